"""The command ``animal-spot``: one name for all programs of this package."""

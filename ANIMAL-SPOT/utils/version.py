"""Which version of this program runs."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def own_version() -> str:
    """Return the version, or words where the program is not installed."""
    try:
        return version("animal-spot")
    except PackageNotFoundError:
        return "of a folder"

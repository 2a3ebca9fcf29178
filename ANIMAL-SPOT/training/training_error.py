"""The error of a training that cannot go on."""

from __future__ import annotations

from animal_spot.utils.errors import RunError


class TrainingError(RunError):
    """Training cannot go on; one line says why and what to try."""

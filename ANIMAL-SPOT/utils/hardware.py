"""What the machine has."""

from __future__ import annotations

import os


def n_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def n_processes(wanted: int) -> int:
    """Return how many processes work at once: as many as wanted, at most one a core, at least 1."""
    return max(1, min(wanted, n_cores()))

"""What the machine has."""

from __future__ import annotations

import os

CORES = "ANIMAL_SPOT_CORES"  # variable of the environment: most cores that a process uses


def n_cores() -> int:
    """Return the number of cores that this process may use, at most as many as ``CORES`` says."""
    if hasattr(os, "sched_getaffinity"):
        there = len(os.sched_getaffinity(0))
    else:
        there = os.cpu_count() or 1
    return min(there, cores_wanted() or there)


def cores_wanted() -> int | None:
    """Return what ``CORES`` says; None if it says nothing of use."""
    wanted = os.environ.get(CORES, "")
    return int(wanted) if wanted.isdecimal() and 1 <= int(wanted) <= 100_000 else None


def n_processes(wanted: int) -> int:
    """Return how many processes work at once: as many as wanted, at most one a core, at least 1."""
    return max(1, min(wanted, n_cores()))

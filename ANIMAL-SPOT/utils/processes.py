"""Which of the processes this is that ``torchrun`` started for one training."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """One of several processes; by default the only one.

    Attributes:
        rank: Its number, from 0.
        size: How many there are, on all machines.
        local_rank: Its number on its machine.
        local_size: How many there are on its machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1


def place() -> Place:
    """Return what ``torchrun`` says in the environment; without it, this is the only process."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    said = [os.environ.get(name, "") for name in names]
    if not all(number.isascii() and number.isdigit() for number in said):
        return Place()
    return Place(*map(int, said))

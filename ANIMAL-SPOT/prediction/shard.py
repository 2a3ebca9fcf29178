"""A share of the recordings for one of several processes: which they are, and its own files.

Standard library only, since settings are made of it.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass

MOST = 100_000
_TEXT = re.compile(r"(\d{1,6})/(\d{1,6})")


@dataclass(frozen=True)
class Shard:
    """Every so manieth recording, by a hash of its name.

    Attributes:
        number: Which one, from 1.
        of: How many there are.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``2/8``.

        Raises:
            ValueError: If it is none.
        """
        match = _TEXT.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"--shard is written I/N, such as 2/8, got {text}")
        shard = cls(int(match[1]), int(match[2]))
        if not 1 <= shard.of <= MOST or not 1 <= shard.number <= shard.of:
            raise ValueError(f"--shard {text}: shards are counted from 1/N to N/N, N up to {MOST}")
        return shard

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def holds(self, name: str) -> bool:
        """Tell whether a recording is in it.

        Args:
            name: Of the recording below the folder that was given.
        """
        digest = hashlib.blake2b(os.fsencode(name), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.of == self.number - 1

    @property
    def journal(self) -> str:
        """Name of its journal."""
        return f".completed.{self._mark}.jsonl"

    @property
    def lock(self) -> str:
        """Name of the file of its lock."""
        return f".prediction.{self._mark}.lock"

    @property
    def note(self) -> str:
        """Name of the note that it leaves when it is done."""
        return f".shard.{self._mark}.json"

    @property
    def _mark(self) -> str:
        return f"{self.number}-of-{self.of}"


def shard_named(name: str) -> Shard | None:
    """Return the shard that a file is of, by its name; None for other files."""
    match = re.fullmatch(
        r"\.(?:completed|prediction|shard)\.(\d{1,6})-of-(\d{1,6})\.(?:jsonl|lock|json)", name
    )
    if match is None or not 1 <= int(match[1]) <= int(match[2]) <= MOST:
        return None
    return Shard(int(match[1]), int(match[2]))

"""Checkpoints of a training: the newest five, of which the newest readable one goes on."""

from __future__ import annotations

import glob
import logging
import os
import re
import time
from pathlib import Path
from typing import Any

from animal_spot.utils.tensor_files import UnreadableFileError, load_tensors, save_tensors

KEPT = 5

log = logging.getLogger(__name__)


class CheckpointFolder:
    """The checkpoints of one task: ``<prefix>_epoch_<5 digits>.checkpoint``, the newest five.

    Args:
        folder: Where they are.
        prefix: First part of their names.
    """

    def __init__(self, folder: Path, prefix: str) -> None:
        self.folder = folder
        self.prefix = prefix

    def path_of(self, epoch: int) -> Path:
        """Return the file of an epoch."""
        return self.folder / f"{self.prefix}_epoch_{epoch:05d}.checkpoint"

    def files(self) -> list[Path]:
        """Return the checkpoints there are, oldest epoch first."""
        pattern = re.compile(re.escape(self.prefix) + r"_epoch_\d+\.checkpoint")
        return sorted(p for p in self.folder.glob("*.checkpoint") if pattern.fullmatch(p.name))

    def remove_leftovers(self) -> None:
        """Remove what a run left that was killed while it wrote a checkpoint."""
        for path in self.folder.glob(f".{glob.escape(self.prefix)}_epoch_*.tmp"):
            path.unlink(missing_ok=True)

    def save(self, content: dict[str, Any], epoch: int) -> Path:
        """Write a checkpoint, then remove the oldest beyond five.

        Raises:
            OSError: If it cannot be written; those there were are kept.
        """
        path = self.path_of(epoch)
        save_tensors(content, path)
        others = [other for other in self.files() if other != path]
        for old in others[: max(0, len(others) - KEPT + 1)]:
            old.unlink(missing_ok=True)
        return path

    def load_newest(self) -> tuple[dict[str, Any], Path] | None:
        """Read the newest checkpoint that can be read; None if there is none.

        One that cannot be read is named in a warning and left where it is.

        Raises:
            UnreadableFileError: If there are checkpoints and none can be read.
        """
        files = self.files()
        for path in reversed(files):
            try:
                content = load_tensors(path)
                if not isinstance(content, dict) or not {"modelState", "trainState"} <= set(
                    content
                ):
                    raise UnreadableFileError(f"{path} is not a checkpoint of this program")
                return content, path
            except UnreadableFileError as error:
                log.warning("%s; trying the checkpoint before it", error)
        if files:
            raise UnreadableFileError(
                f"no checkpoint in {self.folder} can be read; start again with --start_from_scratch"
            )
        return None

    def set_aside(self) -> Path | None:
        """Move the checkpoints of an earlier run into a sub-folder, so that none is mistaken."""
        files = self.files()
        if not files:
            return None
        target = self.folder / f"before_{time.strftime('%Y-%m-%d_%H-%M-%S')}_{os.getpid()}"
        target.mkdir()
        for path in files:
            path.rename(target / path.name)
        return target

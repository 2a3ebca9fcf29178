"""Checkpoints: whole or absent, loaded without running code from the file."""

from __future__ import annotations

import contextlib
import errno
import glob
import logging
import os
import pickle
import re
import stat
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from animal_spot.utils.files import atomic_path

KEPT = 5

log = logging.getLogger(__name__)


class UnreadableFileError(ValueError):
    """A file that does not hold what PyTorch's restricted loader can read."""


def save_tensors(content: Any, path: Path) -> None:
    """Write plain containers and tensors with ``torch.save``, atomically.

    Raises:
        OSError: Naming the path, if the disk is full or the folder cannot be written.
    """
    with torch_file(path) as temporary:
        torch.save(content, temporary)


@contextlib.contextmanager
def torch_file(path: Path) -> Iterator[Path]:
    """Give a temporary path, as ``atomic_path`` does, for PyTorch to write to.

    Raises:
        OSError: Naming the path; PyTorch makes another kind of error of a full disk.
    """
    try:
        with atomic_path(path) as temporary:
            yield temporary
    except OSError as error:
        if str(error.strerror).startswith("cannot write"):
            raise  # of a file that is written inside the block
        raise OSError(error.errno, f"cannot write {path}: {error.strerror or error}") from error
    except RuntimeError as error:
        raise OSError(errno.EIO, f"cannot write {path}: is the disk full?") from error


def load_tensors(path: Path) -> Any:
    """Read what ``save_tensors`` wrote, on the CPU, by restricted unpickling.

    Raises:
        UnreadableFileError: If the file is damaged, or holds more than containers and tensors.
        OSError: If it cannot be opened.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise UnreadableFileError(f"{path} cannot be read: it is not a file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of TorchScript; the error below says it in one line
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can make the unpickler raise anything
        if isinstance(error, OSError) and error.filename is not None:
            raise  # it could not be opened; an end that is cut off is an OSError without a name
        raise UnreadableFileError(f"{path} cannot be read: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Say what is wrong with a file, without PyTorch's advice to read it unsafely."""
    text = str(error)
    if "TorchScript" in text:
        return "it is a TorchScript archive, for --jit_load of predict.py"
    if isinstance(error, pickle.UnpicklingError):
        found = re.search(r"(?:GLOBAL|global|class|Unsupported)\W+([\w.]+\.[\w.]+)", text)
        named = f" ({found[1]})" if found else ""
        return f"it is damaged, or holds more than numbers and plain values{named}"
    return "it is damaged, cut off or of another kind"


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

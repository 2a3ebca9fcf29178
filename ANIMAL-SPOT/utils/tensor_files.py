"""Files of plain containers and tensors: whole or absent, loaded without running code of theirs."""

from __future__ import annotations

import contextlib
import errno
import pickle
import re
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from animal_spot.utils.files import atomic_path


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

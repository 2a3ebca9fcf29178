"""Tensors and texts of a TorchScript archive, read as data: nothing of the archive is run.

PyTorch's own loader runs what an archive says: its ``__setstate__`` may write any file. An archive
is a zip file of a pickle (``data.pkl``), raw numbers (``data/0`` ...) and texts (``extra/...``).
The pickle is read here into inert records, of which only tensors are used.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import stat
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

LARGEST_PICKLE = 16 * 2**20  # bytes; that of a network of a thousand layers has 1 MB
LARGEST_TEXT = 64 * 2**20
MOST_ATTRIBUTES = 1_000_000
MOST_SHARING = 4  # bytes of all tensors to those of the file
_MEMO_OPCODES = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_OWN_CLASSES = "__torch__"  # first part of the names of classes that an archive defines itself
_STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class ArchiveError(ValueError):
    """A file that is no TorchScript archive, or holds what none of our networks has."""


class _Object:
    """A module of the archive: its attributes by name, and nothing that it could do."""

    def __init__(self, *_: Any) -> None:
        self.attributes: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.attributes = state


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: torch.dtype


@dataclass(frozen=True)
class _TensorRecord:
    storage: Any
    offset: Any
    size: Any
    stride: Any


class _Unpickler(pickle.Unpickler):
    """Builds records; every name that is not needed for them is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if module == _OWN_CLASSES or module.startswith(f"{_OWN_CLASSES}."):
            return _Object
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor_record
        if (module, name) == ("collections", "OrderedDict"):
            return _empty
        if module == "torch" and name in _STORAGES:
            return name
        if module == "torch.jit._pickle":  # lists and dictionaries with the types of their values
            return _first
        raise pickle.UnpicklingError(f"it holds {module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage, key = pid[:3]
        if kind != "storage" or storage not in _STORAGES or not isinstance(key, str):
            raise pickle.UnpicklingError("it holds something else than numbers")
        return _Storage(key, _STORAGES[storage])


def _tensor_record(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> _TensorRecord:
    return _TensorRecord(storage, offset, size, stride)


def _empty(*_: Any) -> dict[str, Any]:
    return {}


def _first(value: Any = None, *_: Any) -> Any:
    return value


def is_torchscript(path: Path) -> bool:
    """Tell whether a file is a TorchScript archive, and not one of plain tensors.

    Raises:
        OSError: If it cannot be opened.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def read_torchscript(
    path: Path, texts: Collection[str]
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors of the network, named as in its state dict, and texts beside it.

    Args:
        path: The archive.
        texts: Names of texts that are wanted.

    Returns:
        Tensors on the CPU, and those of the texts that there are.

    Raises:
        ArchiveError: If it is no such archive, or holds more than tensors and plain values.
        OSError: If it cannot be opened.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise ArchiveError("it is not a file")
    try:
        with zipfile.ZipFile(path) as archive:
            return _tensors(archive), _texts(archive, texts)
    except ArchiveError:
        raise
    except OSError as error:
        if error.filename is not None:
            raise
        raise ArchiveError(str(error) or "it is damaged") from error
    except Exception as error:  # a damaged file can make zip and pickle raise anything
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise ArchiveError(reason) from error


def _texts(archive: zipfile.ZipFile, names: Collection[str]) -> dict[str, str]:
    root, members = _root(archive), set(archive.namelist())
    return {
        name: _read(archive, f"{root}/extra/{name}", LARGEST_TEXT).decode("utf-8")
        for name in names
        if f"{root}/extra/{name}" in members
    }


def _tensors(archive: zipfile.ZipFile) -> dict[str, Tensor]:
    root, members = _root(archive), set(archive.namelist())
    order = f"{root}/byteorder"
    if order in members and _read(archive, order, 16) != b"little":
        raise ArchiveError("its numbers are in another order of bytes")
    content = _read(archive, f"{root}/data.pkl", LARGEST_PICKLE)
    for opcode, argument, _ in pickletools.genops(content):
        # A number beyond what the file can hold makes Python reserve memory for all before it.
        if opcode.name in _MEMO_OPCODES and int(argument) > len(content):
            raise ArchiveError("its pickle is damaged")
    records = dict(_records(_Unpickler(io.BytesIO(content)).load()))
    storages: dict[str, bytearray] = {}
    tensors, n_bytes = {}, 0
    for name, record in records.items():
        tensors[name] = _tensor(archive, root, record, storages)
        n_bytes += tensors[name].nbytes
        if n_bytes > MOST_SHARING * _length(archive):
            raise ArchiveError("it uses the same numbers again and again")
    return tensors


def _root(archive: zipfile.ZipFile) -> str:
    found = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    roots = [name.removesuffix("/data.pkl") for name in found if name.count("/") == 1]
    if len(roots) != 1 or f"{roots[0]}/constants.pkl" not in archive.namelist():
        raise ArchiveError("it has no part data.pkl and constants.pkl")
    return roots[0]


def _read(archive: zipfile.ZipFile, name: str, largest: int) -> bytes:
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > largest:
        raise ArchiveError(f"its part {name} is compressed or too large")
    return archive.read(info)


def _records(whole: Any) -> Iterator[tuple[str, _TensorRecord]]:
    """Yield the tensors of all modules with their names."""
    waiting, n_seen = [("", whole)], 0
    while waiting:
        prefix, module = waiting.pop()
        for name, value in module.attributes.items() if isinstance(module, _Object) else ():
            n_seen += 1
            if n_seen > MOST_ATTRIBUTES:
                raise ArchiveError("it has too many parts")
            if isinstance(value, _TensorRecord):
                yield f"{prefix}{name}", value
            else:
                waiting.append((f"{prefix}{name}.", value))


def _length(archive: zipfile.ZipFile) -> int:
    return archive.fp.seek(0, io.SEEK_END)


def _tensor(
    archive: zipfile.ZipFile, root: str, record: _TensorRecord, storages: dict[str, bytearray]
) -> Tensor:
    storage, size, stride = record.storage, record.size, record.stride
    if not isinstance(storage, _Storage):
        raise ArchiveError("a tensor has no numbers")
    if storage.key not in storages:
        content = _read(archive, f"{root}/data/{storage.key}", _length(archive))
        storages[storage.key] = bytearray(content)
    buffer = storages[storage.key]
    n_there = len(buffer) // storage.dtype.itemsize
    numbers = [record.offset, *size, *stride]
    if len(size) != len(stride) or not all(type(n) is int and 0 <= n < 2**40 for n in numbers):
        raise ArchiveError("a tensor has no possible size")
    if (n := math.prod(size)) > n_there:
        raise ArchiveError("a tensor does not fit its numbers")
    if n == 0:
        return torch.empty(size, dtype=storage.dtype)
    whole = torch.frombuffer(buffer, dtype=storage.dtype, count=n_there)
    return whole.as_strided(size, stride, record.offset).clone()

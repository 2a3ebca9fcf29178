"""Tensors of a PyTorch file of the form before 1.6, read without PyTorch.

PyTorch must not share a process with TensorFlow. Such a file is five pickles in a row (two numbers
that say what it is, a dictionary about the machine, the tensors by name, the keys of the blocks)
and then the blocks of numbers; see ``_legacy_save`` in
https://github.com/pytorch/pytorch/blob/main/torch/serialization.py. Nothing in the pickles is run:
only the four names that such files need are known.
"""

from __future__ import annotations

import collections
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_MOST_NUMBERS = 2**28  # of a block


class _Block(NamedTuple):
    key: str
    dtype: str
    size: int


class _Tensor(NamedTuple):
    """A view of a block; offset and strides count numbers."""

    block: _Block
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def of(self, numbers: np.ndarray) -> np.ndarray:
        """Cut the tensor out of its block.

        Raises:
            ValueError: If it reaches beyond the block.
        """
        whole = (self.offset, *self.shape, *self.strides)
        if len(self.shape) != len(self.strides) or min(whole, default=0) < 0:
            raise ValueError("a tensor of no shape")
        reach = sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        if 0 in self.shape or self.offset + reach >= len(numbers):
            raise ValueError("a tensor reaches beyond its numbers")
        strides = tuple(step * numbers.itemsize for step in self.strides)
        view = np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, strides)
        return np.array(view)


class _Pickle(pickle.Unpickler):
    """Knows tensors and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): lambda *said: _Tensor(*said[:4]),
            ("torch", "FloatStorage"): "<f4",
            ("torch", "LongStorage"): "<i8",
        }
        if (module, name) not in known:
            raise ValueError(f"wants {module}.{name}")
        return known[module, name]

    def persistent_load(self, said: Any) -> _Block:
        kind, dtype, key, _, size, view = said
        if kind != "storage" or view is not None or not 0 <= size <= _MOST_NUMBERS:
            raise ValueError("a block of numbers of another kind")
        return _Block(key, dtype, size)


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Return the tensors of a state dictionary by name, little endian float32 and int64.

    Raises:
        ValueError: If the file is damaged or of another kind.
        OSError: If it cannot be read.
    """
    with open(path, "rb") as file:
        try:
            return _read(file)
        except (pickle.UnpicklingError, EOFError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a file of tensors: {error}") from error


def _read(file: BinaryIO) -> dict[str, np.ndarray]:
    if (_Pickle(file).load(), _Pickle(file).load()) != (_MAGIC, _VERSION):
        raise ValueError("not a PyTorch file of the form before 1.6")
    if not _Pickle(file).load()["little_endian"]:
        raise ValueError("its numbers are big endian")
    tensors = _Pickle(file).load()
    if not isinstance(tensors, Mapping) or not all(
        isinstance(v, _Tensor) for v in tensors.values()
    ):
        raise ValueError("holds more than tensors")
    blocks = {tensor.block.key: tensor.block for tensor in tensors.values()}
    numbers = {key: _numbers(file, blocks[key]) for key in _Pickle(file).load()}
    return {name: tensor.of(numbers[tensor.block.key]) for name, tensor in tensors.items()}


def _numbers(file: BinaryIO, block: _Block) -> np.ndarray:
    size = int.from_bytes(file.read(8), "little")
    dtype = np.dtype(block.dtype)
    content = file.read(block.size * dtype.itemsize)
    if size != block.size or len(content) < block.size * dtype.itemsize:
        raise ValueError("ends too early")
    return np.frombuffer(content, dtype)

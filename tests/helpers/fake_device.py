"""A GPU that computes nothing: shapes, types and devices as on a real one, on any machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_STAND_IN = torch.device("cuda")  # the one kind that PyTorch can be told of where there is none


class _NoFloat64(TorchDispatchMode):
    """Refuses what an Apple GPU refuses."""

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        result = operation(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and tensor.device.type == _STAND_IN.type:
                assert tensor.dtype != torch.float64, f"{operation} makes float64 on the device"
        return result


@contextlib.contextmanager
def gpu_without_float64() -> Iterator[torch.device]:
    """Let tensors be on a GPU that is not there.

    As on a real one an operation on tensors of two devices is refused; and as on Apple's float64.
    """
    with FakeTensorMode(allow_non_fake_inputs=True), _NoFloat64():
        yield _STAND_IN

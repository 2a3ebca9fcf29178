"""Which arithmetic a network is trained in."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import torch

from animal_spot.models.dead_taps import NoGradientOfDeadTaps


@dataclass(frozen=True)
class Precision:
    """Arithmetic of forward and backward passes; weights and optimiser are always float32.

    Attributes:
        name: ``fp32``, ``bf16`` or ``fp16``.
        device: Where the network is.
    """

    name: str
    device: torch.device

    @property
    def is_mixed(self) -> bool:
        """Whether layers compute in 16 bits."""
        return self.name != "fp32"

    @property
    def memory_format(self) -> torch.memory_format:
        """Layout of images: 16-bit kernels, and all of a CPU, are fastest with channels last."""
        is_faster = self.is_mixed or self.device.type == "cpu"
        return torch.channels_last if is_faster else torch.contiguous_format

    def autocast(self) -> contextlib.AbstractContextManager:
        """Return the context for a forward pass."""
        if not self.is_mixed:
            return contextlib.nullcontext()
        dtype = torch.bfloat16 if self.name == "bf16" else torch.float16
        context = contextlib.ExitStack()
        context.enter_context(torch.autocast(self.device.type, dtype))
        if self.device.type == "cpu" and torch.is_grad_enabled():
            context.enter_context(NoGradientOfDeadTaps())
        return context


def device_of(cuda: bool) -> torch.device:
    """Return the GPU unless there is none or it is not wanted."""
    return torch.device("cuda" if cuda and torch.cuda.is_available() else "cpu")


def choose_precision(wanted: str, device: torch.device) -> Precision:
    """Resolve ``auto`` to bf16 where the hardware multiplies it in silicon, else to fp32.

    Raises:
        ValueError: If fp16, whose gradients need scaling, is wanted without a CUDA device.
    """
    if wanted == "auto":
        wanted = "bf16" if has_native_bf16(device) else "fp32"
    if wanted == "fp16" and device.type != "cuda":
        raise ValueError("--precision fp16 needs a CUDA device; bf16 and fp32 run everywhere")
    return Precision(wanted, device)


def has_native_bf16(device: torch.device) -> bool:
    """Tell whether the device multiplies bfloat16 in hardware instead of emulating it."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False  # not Linux: nothing says so, and emulation would be slow
    return "amx_bf16" in flags or "avx512_bf16" in flags

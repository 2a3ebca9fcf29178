"""Where a network computes, and in which arithmetic."""

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


def device_of(wanted: str) -> torch.device:
    """Return where to compute.

    Args:
        wanted: ``cpu``, ``cuda``, ``mps`` (Apple's GPUs), or ``auto``: a CUDA device if there is
            one, else the CPU. ``auto`` never means ``mps``, whose numbers nothing has compared.

    Raises:
        ValueError: If there is no such device here.
    """
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"--device cuda: {_why_no_cuda()}; use --device auto or cpu")
    if wanted == "mps" and not torch.backends.mps.is_available():
        raise ValueError(f"--device mps: {_why_no_mps()}; use --device auto or cpu")
    return torch.device(wanted)


def _why_no_cuda() -> str:
    if torch.version.cuda is None and torch.version.hip is None:
        return f"PyTorch {torch.__version__} is built without CUDA"
    return "PyTorch finds no CUDA device here"


def _why_no_mps() -> str:
    if not torch.backends.mps.is_built():
        return f"PyTorch {torch.__version__} is built without Apple's Metal"
    return "it needs a Mac with an Apple GPU and macOS 12.3 or later"


def sum_dtype(device: torch.device) -> torch.dtype:
    """Return what sums of many numbers are kept in: float64, which Apple's GPUs do not have."""
    return torch.float32 if device.type == "mps" else torch.float64


def choose_precision(wanted: str, device: torch.device) -> Precision:
    """Resolve ``auto`` to bf16 where the hardware multiplies it in silicon, else to fp32.

    Raises:
        ValueError: If fp16, whose gradients need scaling, is wanted without a CUDA device, or bf16
            where the system has none.
    """
    if wanted == "auto":
        wanted = "bf16" if has_native_bf16(device) else "fp32"
    if wanted == "fp16" and device.type != "cuda":
        raise ValueError("--precision fp16 needs a CUDA device; fp32 runs everywhere")
    if wanted == "bf16" and device.type == "mps" and not _has_macos_14():
        raise ValueError("--precision bf16 needs macOS 14 on --device mps; fp32 runs everywhere")
    return Precision(wanted, device)


def _has_macos_14() -> bool:
    return torch.backends.mps.is_macos_or_newer(14, 0)


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

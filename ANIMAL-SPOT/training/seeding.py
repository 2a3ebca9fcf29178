"""One seed for everything, and the state of every generator for a checkpoint."""

from __future__ import annotations

import os
import random
import warnings
from typing import Any

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed the global generators of Python, NumPy and PyTorch (all devices)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def compute_repeatably(device: torch.device) -> None:
    """Choose algorithms that give the same result each time, where a GPU has a choice.

    Call it before the GPU is used. A CPU with a fixed number of threads does so anyway.
    """
    if device.type != "cuda":
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # as NVIDIA wants it for this
    torch.backends.cudnn.deterministic = True
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # a help for finding mistakes
    warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation.*")


def generator_state() -> dict[str, Any]:
    """Return the state of PyTorch's generators, which networks draw from while training."""
    state: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    return state


def restore_generators(state: dict[str, Any]) -> None:
    """Put PyTorch's generators back to a state from ``generator_state``.

    It may be of a machine with another number of GPUs.
    """
    torch.set_rng_state(state["cpu"].cpu())
    if "cuda" in state and torch.cuda.is_available():
        known = state["cuda"][: torch.cuda.device_count()]
        torch.cuda.set_rng_state_all([s.cpu() for s in known])
    if "mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"].cpu())

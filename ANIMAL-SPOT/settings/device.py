"""Where a network computes, as it is asked for: ``--device`` and ``--no_cuda`` of all programs.

Standard library only, so that ``--help`` is quick.
"""

from __future__ import annotations

from typing import Any

from animal_spot.settings.flags import option

DEVICES = ("auto", "cpu", "cuda", "mps")
DEVICE_HELP = (
    "where the network computes; auto: on an NVIDIA or AMD GPU if there is one, else on the CPU; "
    "mps: on the GPU of an Apple computer"
)


def device_option(marks: str = "") -> Any:
    """Declare the field ``device``."""
    return option("auto", DEVICE_HELP, choices=DEVICES, marks=marks)


def wanted_device(cuda: bool, device: str) -> str:
    """Return what ``--no_cuda``, which clears ``cuda``, and ``--device`` say together.

    Raises:
        ValueError: If they contradict each other.
    """
    if device not in DEVICES:
        raise ValueError(f"--device must be one of {', '.join(DEVICES)}, got {device}")
    if not cuda and device not in ("auto", "cpu"):
        raise ValueError(f"--no_cuda contradicts --device {device}: leave one of them out")
    return device if cuda else "cpu"

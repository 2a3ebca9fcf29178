"""TensorBoard's own reader, without TensorFlow, which is slow and crashes beside PyTorch."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

sys.modules.setdefault("tensorboard.compat.notf", ModuleType("notf"))  # it looks for this name

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: E402


def read_events(folder: Path) -> EventAccumulator:
    """Read all events of a folder, or of the only folder in it."""
    inner = [path for path in folder.iterdir() if path.is_dir()]
    (folder,) = inner or [folder]
    return EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0}).Reload()

"""From a photo of a footprint to the species: find the print, crop it, name the animal.

``from footprints import YoloInference, Classifier`` gives the two halves to Python programs. They
are imported when they are first used, and must not be used in one process: TensorFlow and PyTorch
there end in a crash. ``python -m footprints.predict`` keeps them apart by itself.
"""

from footprints.system.guard import guard_start

guard_start()

from typing import Any  # noqa: E402 - not before the current folder has left the search path

__all__ = ["Classifier", "YoloInference"]


def __getattr__(name: str) -> Any:
    if name == "YoloInference":
        from footprints.detector.yolo import YoloInference

        return YoloInference
    if name == "Classifier":
        from footprints.network.classifier import Classifier

        return Classifier
    raise AttributeError(f"module 'footprints' has no attribute {name!r}")

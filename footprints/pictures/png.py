"""Crops as PNG files, whose compression costs little time."""

from __future__ import annotations

import numpy as np


def png_of(rgb: np.ndarray) -> bytes:
    """Return a picture ``(height, width, 3)`` uint8 as the bytes of a PNG file.

    Written quickly rather than small: a third of Pillow's time for a fifth more bytes.
    """
    import cv2

    options = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY]
    options += [cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY]
    if hasattr(cv2, "IMWRITE_PNG_FILTER"):  # newer OpenCV
        options += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG]
    _, content = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)
    return content.tobytes()

"""Names in figures are shown as they are."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from PIL import Image

from footprints.scores.plots import confusion_png, curves_png

NAMES = [r"$\frac{$", "a_b^c", "=1+1", "\x1b[31mred", "écureuil"]


def test_no_name_is_mathematics(tmp_path) -> None:
    before = matplotlib_setting()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        png = confusion_png(np.eye(len(NAMES), dtype=int), NAMES, r"$\bad{ title")
    (tmp_path / "a.png").write_bytes(png)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.format == "PNG"
    assert matplotlib_setting() == before, "a setting of the whole process was changed"


def matplotlib_setting() -> bool:
    import matplotlib

    return matplotlib.rcParams["text.parse_math"]


@pytest.mark.parametrize("phase", [r"$\frac{$", "head"])
def test_curves(phase: str) -> None:
    row = {"phase": phase, "epoch": 1, "loss": 1.0, "accuracy": 0.5, "val_loss": 1.0}
    row |= {"val_accuracy": 0.5, "val_macro_f1": 0.5, "is_best": True}
    assert curves_png([row, row], r"$\frac{$")[:4] == b"\x89PNG"

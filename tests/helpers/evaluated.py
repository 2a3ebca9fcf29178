"""A prediction of recordings with tones as calls, the tables of the truth, an evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile as sf

from tests.helpers.programs import run_here
from tests.helpers.results import log_text

NAMES = ["A", "B", "noise"]
_WINDOWS = {"A": [0.9, 0.05, 0.05], "B": [0.1, 0.8, 0.1], "-": [0.05, 0.05, 0.9]}
# Windows of 0.4 s, one every 0.1 s, and the calls that are there: begin, end, class.
FOUND = {
    "good": ("A------B------A---", [(0, 0.4, "A"), (0.7, 1.1, "B"), (1.4, 1.8, "A")]),
    "false": ("A------B------A---", [(0, 0.4, "A")]),
    "missed": ("------------------", [(0.2, 0.6, "A"), (1, 1.4, "B")]),
    "renamed": ("B-----------A-----", [(0, 0.4, "A"), (1.2, 1.6, "A")]),
    "empty": ("------------------", []),
    "mixed": ("A------A----------", [(0, 0.4, "A"), (0.7, 1.1, "A"), (1.5, 1.9, "B")]),
}
RATE = 16_000


def write_prediction(folder: Path) -> Path:
    """Write recordings, results and truth; one more recording has no truth."""
    (folder / "recordings").mkdir(parents=True)
    (folder / "found").mkdir()
    (folder / "truth").mkdir()
    for seed, (name, (windows, truth)) in enumerate([*FOUND.items(), ("odd", ("A---", None))]):
        wav = folder / "recordings" / f"{name}.wav"
        samples = 0.05 * np.random.default_rng(seed).standard_normal(round(2.2 * RATE))
        sf.write(wav, samples, RATE)
        text = log_text(NAMES, [_WINDOWS[window] for window in windows], str(wav))
        (folder / "found" / f"{name}_predict_output.log").write_text(text)
        if truth is not None:
            lines = [f"{begin}\t{end}\t{label}\n" for begin, end, label in truth]
            (folder / "truth" / f"{name}.txt").write_text("".join(lines))
    return folder


def evaluate_it(folder: Path, *options: object, out: str = "scores") -> Path:
    """Score the prediction; return the folder of the scores."""
    result = run_here(
        *("evaluate", "--prediction_dir", folder / "found", "--output_dir", folder / out),
        *("--truth_dir", folder / "truth", *options),
    )
    assert result.returncode == 0, result.stderr
    return folder / out

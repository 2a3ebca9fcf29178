"""What is kept of single windows on request: pictures, and the original's pickle of features."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from animal_spot.audio.picture_scale import picture_scale
from animal_spot.audio.signal_config import SignalConfig
from animal_spot.audio.windows import WindowGrid
from animal_spot.detections.result_writers import RunHeader
from animal_spot.figures.look import save
from animal_spot.figures.spectrogram import spectrogram_figure
from animal_spot.prediction.outcome import Outcome
from animal_spot.remote.addresses import shown
from animal_spot.utils.files import atomic_path

HIDDEN_PREFIX = ".drawing_"
PICKLE = "animal-spot-classifier.p"


class WindowExtras:
    """Draws windows, or collects their feature vectors in the original's form.

    Pictures are drawn as windows are classified, into a hidden folder, and appear when their
    recording is complete.

    Args:
        folder: The output folder.
        header: What the results have in common.
        grid: Windows at the rate of the first network.
        signal: Signal path of the first network.
        stems: What the results of each recording are called after.
        visualize: ``all`` or ``detections``; None for no pictures.
        collect: Collect feature vectors and network inputs, in memory.
    """

    def __init__(
        self,
        folder: Path,
        header: RunHeader,
        grid: WindowGrid,
        signal: SignalConfig,
        stems: Mapping[Path, str],
        *,
        visualize: str | None,
        collect: bool,
    ) -> None:
        for left in folder.glob(f"{HIDDEN_PREFIX}*"):  # by a run that was killed
            left.unlink() if left.is_symlink() else shutil.rmtree(left)
        self._folder = folder
        self._header = header
        self._grid = grid
        self._signal = signal
        self._visualize = visualize
        self._collect = collect
        self._stems = stems
        self._inputs: dict[Path, list[Tensor]] = {}
        self._content: dict[str, list[Any]] = {
            "filenames": [],
            "features": [],
            "spectra_input": [],
        }

    def add(
        self, outcome: Outcome, first_window: int, inputs: Tensor, probabilities: np.ndarray
    ) -> None:
        """Take windows of a recording as they are classified."""
        if self._collect:
            self._inputs.setdefault(outcome.path, []).extend(
                row.clone() for row in inputs.cpu().split(1)
            )
        if self._visualize is None:
            return
        hidden = self._hidden(outcome)
        hidden.mkdir(exist_ok=True)
        found, winner, _ = self._header.rule.decide(probabilities).in_tables
        for i in range(len(probabilities)):
            if self._visualize == "detections" and not found[i]:
                continue
            label = self._header.names[int(winner[i])]
            name = f"net_input_spec_{first_window + i}_{label}_{self._stems[outcome.path]}.pdf"
            figure = spectrogram_figure(
                inputs[i, 0].cpu().numpy(),
                picture_scale(self._signal, inputs.shape[2]),
                title=f"{outcome.path.name}, window {first_window + i}\n{label}",
            )
            save(figure, hidden / name.replace("/", "_"), "pdf")

    def _hidden(self, outcome: Outcome) -> Path:
        return self._folder / f"{HIDDEN_PREFIX}{self._stems[outcome.path]}"

    def end(self, outcome: Outcome) -> None:
        """Show the pictures of a recording that is complete, take its feature vectors."""
        hidden = self._hidden(outcome)
        if hidden.is_dir():
            for picture in () if outcome.reason else hidden.iterdir():
                os.replace(picture, self._folder / picture.name)
            shutil.rmtree(hidden)
        inputs = self._inputs.pop(outcome.path, [])
        if not self._collect or outcome.reason:
            return
        vectors = np.concatenate(list(outcome.embeddings.batches(4096)))
        start, end = self._grid.extents(0, outcome.n_windows, outcome.n_samples)
        stem = shown(outcome.path).replace(".wav", "")
        times = zip(self._grid.rounded_s(start), self._grid.rounded_s(end), strict=True)
        self._content["filenames"] += [f"{stem}_{begin}_{finish}.wav" for begin, finish in times]
        self._content["features"] += list(vectors)
        self._content["spectra_input"] += inputs

    def write(self) -> None:
        """Write the pickle of all recordings, if one is wanted.

        Raises:
            OSError: If it cannot be written.
        """
        if self._collect:
            with atomic_path(self._folder / PICKLE) as temporary, open(temporary, "wb") as file:
                pickle.dump(self._content, file)

"""A trained network in a notebook: ask it about clips, arrays of samples and recordings.

The numbers are those of ``predict.py --precision fp32``, whose code is used.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile as sf

from animal_spot.audio.recordings import RecordingError
from animal_spot.detections.annotations import Annotation
from animal_spot.detections.result_writers import WindowBatch, annotations_of
from animal_spot.prediction.config import PredictConfig
from animal_spot.prediction.predictor import Predictor
from animal_spot.prediction.result_folder import window_batches
from animal_spot.prediction.settled import Run, load_models, settled

log = logging.getLogger(__name__)

StrPath = str | os.PathLike[str]


class Windows(NamedTuple):
    """What is said of the windows of a sound, in the order of time.

    Attributes:
        start_s: Begin of each window, seconds, shape ``(windows,)``.
        end_s: End of each, seconds.
        probabilities: Shape ``(windows, classes)``, 0 to 1; each row adds up to 1.
    """

    start_s: np.ndarray
    end_s: np.ndarray
    probabilities: np.ndarray


class CallClassifier:
    """A trained network, or several, that says which calls are in a sound.

    A sound is heard as one channel, at the sampling rate that the network was trained at, in
    windows as long as its training clips. One that is shorter than a window is one window.

    Args:
        config: Settings of ``predict.py``; ``load`` makes them.

    Attributes:
        names: Classes, in the order of all probabilities.
        noise_class: The one that is no call; None: all are calls.
        window_s: Length of a window, seconds.
        hop_s: Seconds between window starts, unless others are asked for.
        band_hz: Lowest and highest frequency that the network hears.
    """

    def __init__(self, config: PredictConfig) -> None:
        self._config = config
        self._models = load_models(config)
        self._predictors: dict[float, Predictor] = {}
        run = self._run()
        self.names = run.header.names
        self.noise_class = self._models.noise_class
        self.window_s, self.hop_s = run.header.sequence_len, run.header.hop
        self.band_hz = (run.header.data_opts["fmin"], run.header.data_opts["fmax"])

    @classmethod
    def load(
        cls,
        path: StrPath,
        *further: StrPath,
        cuda: bool = True,
        device: str = "auto",
        engine: str = "auto",
        channel: str | int | None = None,
        noise_class: str | None = None,
        sequence_len: float | None = None,
        last_window: bool = False,
        embedding_model: Sequence[StrPath] = (),
    ) -> CallClassifier:
        """Read a model file, an ensemble file, or several model files that are averaged.

        Args:
            path: The file.
            further: More model files.
            cuda: Use a GPU if there is one.
            device: ``auto``, ``cpu``, ``cuda`` or ``mps``, as ``--device`` of the command.
            engine: ``auto``, ``torch``, ``openvino`` or ``onnxruntime``.
            channel: What is heard of sounds with several: ``mix``, ``loudest`` or a number from 1;
                None: as in training.
            noise_class: The class that is no call; None: what the file says.
            sequence_len: Length of a window, seconds, for files that do not say.
            last_window: Add a window at the end where the last one stops short.
            embedding_model: Files of the embedding model that a network was trained on.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If one cannot be used, or a setting is wrong.
        """
        return cls(
            PredictConfig(
                model_path=tuple(map(str, (path, *further))),
                cuda=cuda,
                device=device,
                engine=engine,
                channel=channel,
                noise_class=noise_class,
                sequence_len=sequence_len,
                last_window=last_window,
                embedding_model=tuple(map(str, embedding_model)),
                precision="fp32",  # a faster one is compared with it on all recordings of a run
                num_workers=1,
            )
        )

    def classify(self, path: StrPath) -> dict[str, float]:
        """Say what is in a clip: the probability of each class.

        Of a clip with several windows it is the mean over them; see ``windows`` for each.

        Raises:
            RecordingError: If the file cannot be used.
        """
        mean = self.windows(path).probabilities.mean(0, dtype=np.float64)
        return dict(zip(self.names, mean.tolist(), strict=True))

    def classify_array(self, samples: np.ndarray, rate: int) -> dict[str, float]:
        """Say what is in an array, as ``classify`` does.

        Args:
            samples: Shape ``(samples,)`` or ``(samples, channels)``; floating point with full scale
                1, or int16 or int32.
            rate: Samples a second.

        Raises:
            ValueError: If they cannot be used.
        """
        if rate != int(rate) or rate < 1:
            raise ValueError(f"rate must be a whole number of Hz above 0, got {rate!r}")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "array.wav"
            sf.write(path, _full_scale_1(samples), int(rate), subtype="FLOAT")
            return self.classify(path)

    def windows(self, path: StrPath, *, hop: float | None = None) -> Windows:
        """Return what is said of each window of a sound file.

        Args:
            path: The file.
            hop: Seconds between window starts; None: ``hop_s``.

        Raises:
            RecordingError: If the file cannot be used.
        """
        with self._heard(path, self._run(hop=hop)) as batches:
            columns = zip(*((b.start_s, b.end_s, b.probabilities) for b in batches), strict=True)
            return Windows(*(np.concatenate(column) for column in columns))

    def detect(
        self, path: StrPath, *, hop: float | None = None, threshold: float | None = None
    ) -> list[Annotation]:
        """Find calls in a recording of any length: begin, end, class and confidence.

        Windows become calls as in ``predict.py``: by the decoder of the model file, or else those
        of one class that overlap are joined, and the score is their highest probability.

        Args:
            path: The recording.
            hop: Seconds between window starts; None: ``hop_s``.
            threshold: Least score; None: what the model file says, else 0.5.

        Returns:
            Rows in the order of time.

        Raises:
            RecordingError: If the recording cannot be used.
        """
        given = {} if threshold is None else {"threshold": threshold, "threshold_given": True}
        run = self._run(hop=hop, **given)
        with self._heard(path, run) as batches:
            return list(annotations_of(batches, run.header))

    def _run(self, **changed: Any) -> Run:
        return settled(dataclasses.replace(self._config, **changed), self._models)

    @contextlib.contextmanager
    def _heard(self, path: StrPath, run: Run) -> Iterator[Iterator[WindowBatch]]:
        hop = run.header.hop
        if hop not in self._predictors:  # making one takes a second
            self._predictors[hop] = run.predictor([])
        (outcome,) = self._predictors[hop].run([Path(path)])
        with contextlib.closing(outcome):
            for warning in outcome.warnings:
                log.warning("%s: %s", path, warning)
            if outcome.reason:
                raise RecordingError(f"{path}: {outcome.reason}")
            yield window_batches(outcome, run.grid_of(run.models[0]), run.header)


def _full_scale_1(samples: np.ndarray) -> np.ndarray:
    """Return samples as float32 with full scale 1.

    Raises:
        ValueError: If they are of another kind.
    """
    samples = np.asarray(samples)
    if samples.ndim not in (1, 2):
        raise ValueError(
            f"samples must have the shape (samples,) or (samples, channels), got {samples.shape}"
        )
    if np.issubdtype(samples.dtype, np.floating):
        return samples.astype(np.float32)
    if samples.dtype in (np.int16, np.int32):
        return (samples / -float(np.iinfo(samples.dtype).min)).astype(np.float32)
    raise ValueError(f"samples must be floating point, int16 or int32, got {samples.dtype}")

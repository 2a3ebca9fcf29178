"""Sound to vectors, in which what sounds alike lies close: what a trained network hears."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import Tensor

from animal_spot.audio.clip_files import resample
from animal_spot.audio.recordings import Recording, RecordingError
from animal_spot.audio.windows import WindowGrid
from animal_spot.embeddings.embedding_model import open_embedding_model
from animal_spot.embeddings.embedding_pipeline import EmbeddingFeatures, EmbeddingPipeline
from animal_spot.prediction.config import PredictConfig
from animal_spot.prediction.detectors import Detector, build_detectors
from animal_spot.prediction.engines import infer_all
from animal_spot.prediction.outcome import Outcome
from animal_spot.prediction.predictor import Predictor
from animal_spot.prediction.settled import load_models, settled
from animal_spot.similarity.recording_vectors import RecordingVectors
from animal_spot.utils.files import digest_of, file_digest

_EMBEDDING_MODELS = (".tflite", ".onnx")
_BATCH = 16  # windows
_MOST_WINDOWS = 64  # of a stretch that are averaged
_ROWS = 4096  # that are copied at once
_READERS = 2


class _HandOn:
    """Takes the place of a network where the embedding itself is wanted."""

    name = "no network"
    batch_size = _BATCH
    n_parallel = 1

    def infer(self, features: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return logits that mean nothing, and the embeddings."""
        return np.zeros((len(features), 2), np.float32), features.flatten(1).numpy()


@dataclass(frozen=True)
class Embedder:
    """What makes vectors of recordings, and of any stretch of one.

    A stretch is heard as recordings are: in windows of the model's length. One that is shorter than
    a window is heard with the sound around it.

    Attributes:
        name: For people.
        digest: Hash of all that vectors depend on besides the sound.
        window_s: Length of a window.
        hop_s: Between two begins.
        detectors: Networks, whose vectors are joined.
        channel: What is heard of recordings with several, see ``audio.channels``.
    """

    name: str
    digest: str
    window_s: float
    hop_s: float
    _: KW_ONLY
    detectors: Sequence[Detector]
    channel: str
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def dim(self) -> int:
        """Numbers of a vector."""
        silence = [
            detector.features.of_stretch(np.zeros(detector.grid.length, np.float32), 1)
            for detector in self.detectors
        ]
        pairs = zip(self.detectors, silence, strict=True)
        return sum(one.engine.infer(heard)[1].shape[1] for one, heard in pairs)

    def of_recordings(
        self,
        paths: Sequence[Path],
        on_progress: Callable[[float], None] = lambda seconds: None,
        check: Callable[[], None] = lambda: None,
    ) -> Iterator[RecordingVectors]:
        """Embed all windows of recordings, one recording after the other.

        Args:
            paths: The recordings.
            on_progress: Called with seconds of sound that are done.
            check: Called often; may raise to stop.
        """
        predictor = Predictor(
            self.detectors,
            n_readers=_READERS,
            keep_embeddings=True,
            channel=self.channel,
            on_progress=on_progress,
            check=check,
        )
        for outcome in predictor.run(paths):
            try:
                yield self._vectors(outcome)
            finally:
                outcome.close()

    def _vectors(self, outcome: Outcome) -> RecordingVectors:
        if outcome.reason:
            return RecordingVectors(outcome.path, reason=outcome.reason)
        grid = self.detectors[0].grid
        begin, end = grid.extents(0, outcome.n_windows, outcome.n_samples)
        return RecordingVectors(
            outcome.path,
            outcome.digest,
            tuple(outcome.state),
            np.array(begin) / grid.sample_rate,
            (np.array(end) + 1) / grid.sample_rate,
            np.concatenate(list(outcome.embeddings.batches(_ROWS))),
        )

    def of_stretch(self, path: Path, begin_s: float, end_s: float) -> np.ndarray:
        """Embed a stretch of a recording.

        Up to a window long, it is one window about its middle, moved into the recording where that
        reaches beyond an end. A longer one is the mean of windows that lie in it.

        Returns:
            Shape ``(dim,)``, float32.

        Raises:
            RecordingError: If it cannot be read.
        """
        if not 0 <= begin_s < end_s:
            raise RecordingError("a stretch must end after its begin, and not begin before 0")
        parts = []
        with self._lock, Recording(path, self.channel) as recording:
            begins = self._begins(begin_s, end_s, recording.duration_s)
            for detector in self.detectors:
                inputs = [self._input(recording, detector, begin) for begin in begins]
                # One at a time: those of a short recording have lengths of their own.
                found = [infer_all(detector.engine, one)[1] for one in inputs]
                parts.append(np.concatenate(found).mean(0))
        vector = np.concatenate(parts).astype(np.float32)
        if not np.isfinite(vector).all():
            raise RecordingError(f"{path}: the model's answer is not a finite number")
        return vector

    def _begins(self, begin_s: float, end_s: float, duration_s: float) -> list[float]:
        last = max(0.0, duration_s - self.window_s)
        spare = end_s - begin_s - self.window_s
        if spare <= 0:
            begins = np.array([(begin_s + end_s - self.window_s) / 2])
        else:
            n = min(_MOST_WINDOWS, 1 + int(np.ceil(spare / self.hop_s)))
            begins = begin_s + np.linspace(0, spare, n)
        return np.clip(begins, 0, last).tolist()

    def _input(self, recording: Recording, detector: Detector, begin_s: float) -> Tensor:
        grid = detector.grid
        first = round(begin_s * recording.rate)
        recording.seek(min(first, max(0, recording.n_frames - 1)))
        n = int(np.ceil(grid.length / grid.sample_rate * recording.rate)) + 1
        heard = next(recording.blocks(n), np.empty(0, np.float32))
        samples = resample(heard, recording.rate, grid.sample_rate)[: grid.length]
        if len(samples) == 0:
            raise RecordingError(f"{recording.path}: there is no sound at {begin_s:.3f} s")
        return detector.features.of_stretch(samples, 1)


def open_embedder(
    model: Path, embedding_models: Sequence[Path] = (), hop_s: float | None = None
) -> Embedder:
    """Make a model ready to embed sound.

    Args:
        model: Model or ensemble file, whose vectors are what its last layer sees; or an embedding
            model, ``.tflite`` or ``.onnx``, such as BirdNET.
        embedding_models: Files in which networks on embeddings find what they were trained on.
        hop_s: Seconds between two windows; None: half a window.

    Raises:
        ValueError: If it cannot be used.
        OSError: If it cannot be read.
    """
    if model.suffix.lower() in _EMBEDDING_MODELS:
        return _of_embedding_model(model, hop_s)
    config = PredictConfig(
        model_path=(str(model),),
        embedding_model=tuple(map(str, embedding_models)),
        hop=hop_s,
        precision="fp32",  # a query is the same whatever it is computed with
        num_workers=_READERS,
    )
    models = load_models(config)
    # Half a window, also for models that look for events in steps of a sixth.
    window_s = settled(config, models).header.sequence_len
    hop_s = window_s / 2 if hop_s is None else hop_s
    grids = [WindowGrid.of_seconds(window_s, hop_s, one.signal.sr) for one in models]
    detectors = build_detectors(config, models, grids, [])
    channel = models[0].signal.channel
    said = [file_digest(model), window_s, hop_s, channel]
    return Embedder(
        str(model), _digest(said), window_s, hop_s, detectors=detectors, channel=channel
    )


def _of_embedding_model(path: Path, hop_s: float | None) -> Embedder:
    pipeline = EmbeddingPipeline(open_embedding_model(path))
    info = pipeline.model.info
    window_s = info.n_samples / info.sample_rate
    hop_s = window_s / 2 if hop_s is None else hop_s
    grid = WindowGrid.of_seconds(window_s, hop_s, info.sample_rate)
    detector = Detector(_HandOn(), EmbeddingFeatures(pipeline, grid), grid, float(info.band[0]))
    said = [info.sha256, info.output, window_s, hop_s, pipeline.config.channel]
    return Embedder(
        info.name,
        _digest(said),
        window_s,
        hop_s,
        detectors=[detector],
        channel=pipeline.config.channel,
    )


def _digest(said: list) -> str:
    return digest_of(json.dumps(said).encode())

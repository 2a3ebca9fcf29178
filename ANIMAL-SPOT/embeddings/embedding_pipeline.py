"""From waveform to embedding: the signal path of networks on top of a frozen model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from animal_spot.audio.channel_choice import MIX
from animal_spot.audio.signal_config import SignalConfig
from animal_spot.audio.windows import WindowGrid
from animal_spot.data.augmentation_limits import Augmentation
from animal_spot.embeddings.embedding_model import EmbeddingModel

_SHIFT = 0.25  # of a window: how far a view may be moved in time


class EmbeddingPipeline:
    """Clip or window to one embedding, as ``SpectrogramPipeline`` to a spectrogram.

    The embedding model hears windows of one length, ``W``. A clip is cut to ``sequence_len`` about
    its centre if it is longer; if it is shorter and ``sequence_len`` is longer than ``W``, it gets
    zeros around it up to that length, and so does a recording that is shorter than a window of it.
    What comes of that becomes windows so:

    * up to ``W`` long: one window, the sound in its middle, zeros around it;
    * longer: windows from its start at every ``W / 2``, and one that ends with it if the others
      stop short. Their embeddings are averaged.

    Args:
        model: The embedding model.
        channel: What is heard of a file with several, see ``audio.channels``.

    Attributes:
        model: The embedding model.
        config: Sampling rate and band; its other numbers mean nothing here.
        memory: Embeddings of this process, by length in samples, then by content of the clip.
    """

    def __init__(self, model: EmbeddingModel, channel: str = MIX) -> None:
        self.model = model
        self.memory: dict[int, dict[str, np.ndarray]] = {}
        info = model.info
        low, high = info.band
        self.config = SignalConfig(
            sr=info.sample_rate,
            fmin=low,
            fmax=high,
            preemphases=0.0,
            n_fft=2,
            hop_length=1,
            n_freq_bins=info.dim,
            channel=channel,
        )

    def warnings(self) -> list[str]:
        """Say what is allowed but probably not meant."""
        return []

    def settings(self, sequence_len_ms: float) -> dict[str, object]:
        """Return what the embedding of a clip depends on, besides the clip."""
        info = self.model.info
        settings = {
            "model": info.sha256,
            "output": info.output,
            "sr": info.sample_rate,
            "n_samples": self.n_clip_samples(sequence_len_ms),
        }
        if info.peak is not None:
            settings["peak"] = info.peak
        if info.is_open:
            settings["window"] = info.n_samples
        if self.config.channel != MIX:
            settings["channel"] = self.config.channel
        return settings

    def n_clip_samples(self, sequence_len_ms: float) -> int:
        """Return how many samples of a clip are heard."""
        return int(sequence_len_ms / 1000 * self.model.info.sample_rate)

    def embed_clip(self, waveform: np.ndarray, sequence_len_ms: float) -> np.ndarray:
        """Embed a clip ``(samples,)``; returns ``(dim,)``, float32."""
        n_samples = self.n_clip_samples(sequence_len_ms)
        excess = len(waveform) - n_samples
        if excess > 0:
            waveform = waveform[excess // 2 : excess // 2 + n_samples]
        return self.embed(self.filled(waveform, n_samples))

    def filled(self, samples: np.ndarray, n_samples: int) -> np.ndarray:
        """Put zeros around sound that is shorter than ``n_samples``, where these exceed a window.

        Up to a window ``embed`` does that itself.
        """
        missing = n_samples - len(samples)
        if missing <= 0 or n_samples <= self.model.info.n_samples:
            return samples
        return np.pad(samples, (missing // 2, missing - missing // 2))

    def embed(self, samples: np.ndarray) -> np.ndarray:
        """Embed sound of any length, by the rule above; returns ``(dim,)``, float32."""
        n = self.model.info.n_samples
        starts = window_starts(len(samples), n)
        return self.model.embed([_window(samples, start, n) for start in starts]).mean(0)


def window_starts(n_samples: int, window: int) -> list[int]:
    """Return where windows begin in sound; a single one may reach beyond both ends.

    Args:
        n_samples: Length of the sound.
        window: Length of a window.
    """
    if n_samples <= window:
        return [-((window - n_samples) // 2)]
    starts = list(range(0, n_samples - window + 1, window // 2))
    return starts if starts[-1] + window == n_samples else [*starts, n_samples - window]


class EmbeddingFeatures:
    """Turns a stretch of a recording into the embeddings of its windows.

    The interface is that of ``WindowFeatures``. Where windows are longer than those of the
    embedding model, the parts that they share are embedded once.

    Args:
        pipeline: Signal path.
        grid: Where windows lie, at the embedding model's rate.
    """

    def __init__(self, pipeline: EmbeddingPipeline, grid: WindowGrid) -> None:
        self._pipeline = pipeline
        self._grid = grid

    @property
    def n_features(self) -> int:
        """Numbers of an embedding."""
        return self._pipeline.model.info.dim

    def of_stretch(self, samples: np.ndarray, n_windows: int) -> Tensor:
        """Embed windows.

        Args:
            samples: Shape ``(samples,)``, full scale 1. For one window it may be shorter than a
                window is.
            n_windows: Windows to embed; the first starts at the first sample.

        Returns:
            Shape ``(n_windows, 1, 1, n_features)``, float32.
        """
        grid, model = self._grid, self._pipeline.model
        n = model.info.n_samples
        samples = self._pipeline.filled(samples, grid.length)
        length = min(grid.length, len(samples))
        inside = np.array(window_starts(length, n))
        starts = np.arange(n_windows)[:, None] * grid.hop + inside
        unique, positions = np.unique(starts, return_inverse=True)
        # A short window has zeros around it, not the sound beside it: training had none either.
        embedded = model.embed(
            [
                _window(samples[s - inside[0] :][:length], int(inside[0]), n)
                if length <= n
                else samples[s : s + n]
                for s in unique.tolist()
            ]
        )
        found = embedded[positions.reshape(starts.shape)].mean(1)
        return torch.from_numpy(found)[:, None, None, :]


def _window(samples: np.ndarray, start: int, n: int) -> np.ndarray:
    """Return ``n`` samples from ``start`` on; before the first and after the last are zeros."""
    before = max(0, -start)
    part = samples[max(0, start) : start + n]
    return np.pad(part, (before, n - before - len(part)))


def _preemphasised(samples: np.ndarray) -> np.ndarray:
    """Weaken low frequencies as ``SignalConfig.preemphases`` does."""
    return samples[1:] - SignalConfig.preemphases * samples[:-1]


def view_of(
    waveform: np.ndarray,
    n_samples: int,
    augmentation: Augmentation,
    rng: np.random.Generator,
    noise: Sequence[np.ndarray] = (),
) -> np.ndarray:
    """Alter a clip at random as another recording of the same call might.

    It is moved in time by up to a quarter of ``n_samples``, noise is mixed in at a ratio of
    ``augmentation.snr_db``, and the level changes by ``augmentation.gain_db``. The ratio is that of
    pre-emphasised sound, so that rumble below the calls does not decide it.

    Args:
        waveform: Shape ``(samples,)``.
        n_samples: Length of the view; longer clips are cut, shorter ones get zeros around them.
        augmentation: How far chance may go.
        rng: Draws everything.
        noise: Clips to draw one from; none: nothing is mixed in.

    Returns:
        Shape ``(n_samples,)``, float32.
    """
    margin = max(n_samples, len(waveform)) - len(waveform)
    furthest = int(_SHIFT * n_samples)
    padded = np.pad(waveform, (margin // 2 + furthest, margin - margin // 2 + furthest))
    start = (len(padded) - n_samples) // 2 + int(rng.integers(-furthest, furthest + 1))
    view = padded[start : start + n_samples].astype(np.float64)
    if noise and rng.random() < augmentation.noise_probability:
        drawn = np.asarray(noise[rng.integers(len(noise))], np.float64)
        drawn = np.roll(np.resize(drawn, n_samples), rng.integers(n_samples))
        low, high = augmentation.snr_db
        snr_db = rng.integers(low, high + 1)
        power, of_noise = (np.square(_preemphasised(x)).sum() for x in (view, drawn))
        if of_noise > 0 and power > 0:
            view = view + drawn * np.sqrt(power / of_noise * 10 ** (-snr_db / 10))
    low, high = augmentation.gain_db
    gain_db = rng.integers(low, high + 1)
    return (view * 10 ** (gain_db / 20)).astype(np.float32)

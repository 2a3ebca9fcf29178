"""Network inputs of sliding windows: the same numbers as one at a time, computed together."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from animal_spot.audio import dsp
from animal_spot.audio.own_stream import OwnStream
from animal_spot.audio.spectrograms import SpectrogramPipeline
from animal_spot.audio.windows import WindowGrid

_WINDOWS_AT_ONCE = 1  # so that their frames stay in a core's cache between two steps
_WINDOWS_AT_ONCE_ON_GPU = 64


class WindowFeatures:
    """Turns a stretch of a recording into the network inputs of its windows.

    The signal path is that of ``SpectrogramPipeline.features``, applied to each window by itself.
    The stretch is pre-emphasised once: the first sample of a window, which would come out
    otherwise, has no weight in the periodic Hann window of its first frame. Where the hop is a
    multiple of the frame hop, windows share their frames.

    Args:
        pipeline: Signal path.
        grid: Where windows lie, at the pipeline's sampling rate.
        device: Where to compute.
    """

    def __init__(
        self, pipeline: SpectrogramPipeline, grid: WindowGrid, device: torch.device | str = "cpu"
    ) -> None:
        self._pipeline = pipeline
        self._grid = grid
        self._device = torch.device(device)
        config = pipeline.config
        self._own_stream = OwnStream(self._device)
        hann = dsp.hann_window(config.n_fft)
        self._hann = hann.to(self._device)
        self._scale = (1.0 / hann.square().sum()).to(self._device)
        columns, positions = np.unique(pipeline.bins, return_inverse=True)
        self._band = slice(int(columns[0]), int(columns[-1]) + 1)
        # Bins that are used more than once are computed once and repeated at the end; of bins
        # that are not all used only those that are.
        contiguous = len(columns) == columns[-1] - columns[0] + 1
        self._columns = None if contiguous else torch.from_numpy(columns - columns[0]).to(device)
        repeated = len(columns) < len(pipeline.bins)
        self._positions = torch.from_numpy(positions) if repeated else None

    @property
    def n_features(self) -> int:
        """Width of a network input."""
        return self._pipeline.n_features

    def of_stretch(self, samples: np.ndarray, n_windows: int) -> Tensor:
        """Compute the inputs of windows.

        Args:
            samples: Shape ``(samples,)``, full scale 1. For one window it may be shorter than a
                window is.
            n_windows: Windows to compute; the first starts at the first sample.

        Returns:
            Shape ``(n_windows, 1, time, n_features)``, float32.
        """
        with self._own_stream():
            return self._of_stretch(samples, n_windows)

    def _of_stretch(self, samples: np.ndarray, n_windows: int) -> Tensor:
        config, grid = self._pipeline.config, self._grid
        waveform = torch.from_numpy(np.ascontiguousarray(samples)).to(self._device)
        waveform = dsp.preemphasise(waveform, config.preemphases)
        if len(waveform) < config.n_fft:
            waveform = F.pad(waveform, (0, config.n_fft - len(waveform)))
        length = max(min(grid.length, len(waveform)), config.n_fft)
        n_frames = dsp.n_frames(length, config.n_fft, config.hop_length)
        step = _WINDOWS_AT_ONCE if self._device.type == "cpu" else _WINDOWS_AT_ONCE_ON_GPU
        hop_frames, rest = divmod(grid.hop, config.hop_length)
        if rest == 0 and n_windows > 1:
            frames = waveform.unfold(0, config.n_fft, config.hop_length)
            frames = frames[: (n_windows - 1) * hop_frames + n_frames]
            levels = torch.cat([self._levels(part) for part in frames.split(step * n_frames)])
            levels = levels.unfold(0, n_frames, hop_frames).transpose(1, 2)
            return self._finish(levels).unsqueeze(1)
        frames = waveform.as_strided(
            (n_windows, n_frames, config.n_fft), (grid.hop, config.hop_length, 1)
        )
        features = torch.empty(n_windows, n_frames, self.n_features, device=self._device)
        for part, target in zip(frames.split(step), features.split(step), strict=True):
            self._finish(self._levels(part), target)
        return features.unsqueeze(1)

    def _levels(self, frames: Tensor) -> Tensor:
        """Frames ``(..., n_fft)`` to levels in dB or cepstral coefficients ``(..., features)``."""
        spectrum = torch.fft.rfft(frames * self._hann)[..., self._band]
        if self._columns is not None:
            spectrum = spectrum.index_select(-1, self._columns)
        power = spectrum.real.square().addcmul_(spectrum.imag, spectrum.imag).mul_(self._scale)
        return self._pipeline.level(self._pipeline.compress(power))

    def _finish(self, levels: Tensor, target: Tensor | None = None) -> Tensor:
        """Levels ``(windows, time, features)`` to network inputs, in ``target`` if given."""
        features = self._pipeline.normalise_each(levels)
        if target is None:
            target = torch.empty(*(*features.shape[:-1], self.n_features), device=features.device)
        if self._positions is None:
            return target.copy_(features)
        if features.device.type == "cpu":  # four times as fast as index_select
            positions = self._positions.numpy()
            features.numpy().take(positions, axis=-1, mode="clip", out=target.numpy())
            return target
        positions = self._positions.to(features.device)
        return torch.index_select(features, -1, positions, out=target)

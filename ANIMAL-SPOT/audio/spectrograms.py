"""The signal path as one object, built from a configuration: for training and for prediction."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from animal_spot.audio import dsp
from animal_spot.audio.signal_config import PITCH_FACTORS, SignalConfig

LEVEL_STEP_DB = 0.004
LOWEST_LEVEL_DB = -200.0  # level code 1; code 0 is no power at all


@dataclass(frozen=True)
class PowerBand:
    """Neighbouring bins of a clip's power spectrogram.

    Attributes:
        values: Shape ``(time, bins)``: power as float32, or 16-bit level codes (code ``c`` above 0
            is ``LOWEST_LEVEL_DB + (c - 1) * LEVEL_STEP_DB``).
        first_bin: STFT bin of the first column.
        n_stft_bins: Bins of the whole spectrogram, ``n_fft // 2 + 1``.
        median: Median power of the whole spectrogram; fills what a pitch shift leaves empty.
    """

    values: np.ndarray
    first_bin: int
    n_stft_bins: int
    median: float

    def encode(self) -> PowerBand:
        """Return the band as 16-bit level codes: within 0.002 dB from -200 dB to +62 dB."""
        if self.values.dtype == np.uint16:
            return self
        return PowerBand(_codes_of(self.values), self.first_bin, self.n_stft_bins, self.median)

    def gather(self, rows: np.ndarray | None, bins: np.ndarray) -> np.ndarray:
        """Pick frames and STFT bins, as they are stored.

        Args:
            rows: Frames wanted, in any order and number; None for all.
            bins: STFT bins wanted; -1 stands for the median.

        Returns:
            Shape ``(rows, bins)``; for ``to_power`` or ``to_db``.

        Raises:
            IndexError: If a bin is outside the band.
        """
        columns = bins - self.first_bin
        inside = bins >= 0
        if (columns[inside] < 0).any() or (columns[inside] >= self.values.shape[1]).any():
            raise IndexError(
                f"bins {bins[inside].min()}..{bins[inside].max()} are outside the band that is kept"
            )
        # mode="clip" only spares a slow second check.
        chosen = self.values if rows is None else self.values.take(rows, axis=0, mode="clip")
        chosen = chosen.take(np.where(inside, columns, 0), axis=1, mode="clip")
        if not inside.all():
            median = np.array(self.median, dtype=np.float32)
            chosen[:, ~inside] = _codes_of(median) if chosen.dtype == np.uint16 else median
        return chosen

    @staticmethod
    def to_power(gathered: np.ndarray) -> Tensor:
        """Return gathered values as power."""
        if gathered.dtype == np.uint16:
            gathered = _power_of_codes().take(gathered, mode="clip")
        return torch.from_numpy(gathered)

    @staticmethod
    def to_db(gathered: np.ndarray, floor_db: float) -> Tensor:
        """Return gathered values in dB, never under ``floor_db``."""
        if gathered.dtype == np.uint16:
            level_db = torch.from_numpy(gathered.astype(np.float32))
            level_db = level_db.mul_(LEVEL_STEP_DB).add_(LOWEST_LEVEL_DB - LEVEL_STEP_DB)
            return level_db.clamp_(min=floor_db)
        return dsp.power_to_db(torch.from_numpy(gathered), floor_db)


def _codes_of(power: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        level_db = 10.0 * np.log10(power)
    codes = np.rint((level_db - LOWEST_LEVEL_DB) / LEVEL_STEP_DB) + 1
    codes = np.clip(codes, 1, np.iinfo(np.uint16).max)
    return np.where(power > 0, codes, 0).astype(np.uint16)


@functools.cache
def _power_of_codes() -> np.ndarray:
    """Return the power that each level code stands for."""
    codes = np.arange(np.iinfo(np.uint16).max + 1)
    power = 10.0 ** ((LOWEST_LEVEL_DB + (codes - 1) * LEVEL_STEP_DB) / 10.0)
    power[0] = 0.0
    return power.astype(np.float32)


@functools.lru_cache(maxsize=8)
def _smoothing_matrix(n_frames: int, smoothing: float, device: torch.device) -> Tensor:
    # Made on the CPU: what is copied is complete for all threads and streams of a GPU.
    return dsp.smoothing_matrix(n_frames, smoothing).to(device)


class SpectrogramPipeline:
    """Waveform to network input, step by step, as one configuration wants it.

    Attributes:
        config: The numbers.
        bins: STFT bins that the input of ``compress`` consists of, in order.

    Raises:
        ValueError: If no STFT bin lies in the band.
    """

    def __init__(self, config: SignalConfig) -> None:
        self.config = config
        if config.freq_compression == "linear":
            low, high = dsp.linear_band(config.n_fft, config.sr, config.fmin, config.fmax)
            if high <= low:
                raise ValueError(
                    f"no frequency bin lies between fmin {config.fmin:g} and fmax {config.fmax:g} "
                    f"Hz at n_fft {config.n_fft} and sr {config.sr}; choose a larger n_fft or band"
                )
            self._bank = None
            self.bins = low + dsp.nearest_indices(high - low, config.n_freq_bins).numpy()
        else:
            bank = dsp.mel_bank(
                config.n_fft, config.sr, config.fmin, config.fmax, config.n_freq_bins
            )
            used = np.flatnonzero(bank.sum(1).numpy())
            if len(used) == 0:
                raise ValueError(
                    f"all mel filters are empty between fmin {config.fmin:g} and fmax "
                    f"{config.fmax:g} Hz at n_fft {config.n_fft}; choose a larger n_fft or band"
                )
            self.bins = np.arange(used[0], used[-1] + 1)
            self._bank = bank[self.bins]

    @property
    def n_features(self) -> int:
        """Width of the network input."""
        return self.config.n_features

    def power(self, waveform: Tensor) -> Tensor:
        """Pre-emphasis and power spectrogram: ``(1, samples)`` to ``(1, time, stft bins)``."""
        config = self.config
        emphasised = dsp.preemphasise(waveform, config.preemphases)
        return dsp.power_spectrogram(emphasised, config.n_fft, config.hop_length)

    def band(self, power: Tensor, *, for_pitch_shift: bool) -> PowerBand:
        """Cut the part that the network input depends on out of ``(1, time, stft bins)``.

        Args:
            power: Whole power spectrogram of a clip.
            for_pitch_shift: Keep also the bins that a pitch shift moves into the band.
        """
        low, high = self.band_limits(for_pitch_shift=for_pitch_shift)
        values = np.ascontiguousarray(power[0, :, low:high].numpy())
        return PowerBand(values, low, power.shape[-1], float(power.median()))

    def band_limits(self, *, for_pitch_shift: bool) -> tuple[int, int]:
        """Return the first STFT bin of ``band`` and the one after its last."""
        low, high = int(self.bins[0]), int(self.bins[-1]) + 1
        if for_pitch_shift:
            lowest, highest = PITCH_FACTORS
            low = max(0, int(low / highest) - 2)
            high = min(self.config.n_fft // 2 + 1, int(high / lowest) + 2)
        return low, high

    def compress(self, power_at_bins: Tensor) -> Tensor:
        """Reduce power at ``bins`` to the bands of the network input, still as power."""
        if self._bank is None:
            return power_at_bins
        return power_at_bins @ self._bank.to(power_at_bins.device)

    def finish(self, compressed: Tensor) -> Tensor:
        """Compressed power to normalised network input of the same length."""
        return self.normalise(self.level(compressed))

    def finish_clip(self, compressed: Tensor, n_frames: int, position: float = 0.5) -> Tensor:
        """Compressed power of a clip to a network input of a fixed length.

        Extremes are those of the whole clip, as in the original. Per-channel normalisation sees
        the part that is kept, as it sees a window in prediction; what is padded stays silent.

        Args:
            compressed: Shape ``(time, bins)``.
            n_frames: Length of the input.
            position: See ``dsp.fit_length``.

        Returns:
            Shape ``(1, n_frames, n_features)``.
        """
        if self.config.pcen is not None and len(compressed) > n_frames:
            compressed = dsp.fit_length(compressed[None], n_frames, position)[0]
        return dsp.fit_length(self.finish(compressed)[None], n_frames, position)

    def level(self, compressed: Tensor) -> Tensor:
        """Compressed power to what is normalised.

        That is dB; for ``mfcc`` cepstral coefficients; for per-channel normalisation the power as
        it is.
        """
        if self.config.pcen is not None:
            return compressed
        if self.config.freq_compression == "mfcc":
            return dsp.mfcc(compressed)
        return dsp.power_to_db(compressed, self.config.min_level_db)

    def normalise(self, level: Tensor, extremes: Tensor | None = None) -> Tensor:
        """Map levels to 0..1, by the fixed range or by their own extremes (or those given).

        Per-channel normalisation gives numbers from 0 up, a few at most; there ``level`` is power,
        shape ``(..., time, freq)``.
        """
        config = self.config
        if config.pcen is not None:
            matrix = _smoothing_matrix(level.shape[-2], config.smoothing, level.device)
            return dsp.pcen(level, matrix, config.min_level_db, config.pcen)
        if config.min_max_norm:
            return dsp.normalise_min_max(level, extremes)
        return dsp.normalise_db_range(level, config.min_level_db, config.ref_level_db)

    @property
    def silence(self) -> float:
        """Return what silence is in a network input."""
        nothing = torch.zeros(1, self.config.n_freq_bins)
        return float(self.finish(nothing)[0, 0])

    def normalise_each(self, levels: Tensor) -> Tensor:
        """Normalise levels ``(windows, time, n_features)``, each window by itself."""
        extremes = None
        if self.config.min_max_norm and len(levels) > 1:
            extremes = torch.stack(torch.aminmax(levels.flatten(1), dim=1))[..., None, None]
        return self.normalise(levels, extremes)

    def clip_features(self, band: PowerBand, n_frames: int) -> Tensor:
        """Clip to network input of a fixed length, from its band: ``(1, n_frames, n_features)``."""
        power = self.compress(band.to_power(band.gather(None, self.bins)))
        return self.finish_clip(power, n_frames)

    def features(self, waveform: Tensor) -> Tensor:
        """Whole path without chance: ``(1, samples)`` to ``(1, time, n_features)``."""
        return self.finish(self.compress(self.power(waveform)[..., self.bins]))

    def warnings(self) -> list[str]:
        """Say what is allowed but probably not meant."""
        config, found = self.config, []
        if config.fmax > config.sr / 2:
            found.append(
                f"fmax {config.fmax} Hz is above half the sample rate; the band ends at "
                f"{config.sr / 2:g} Hz"
            )
        if self._bank is not None:
            empty = dsp.empty_mel_filters(self._bank)
            if empty:
                found.append(
                    f"{empty} of {config.n_freq_bins} mel filters are empty because n_fft "
                    f"{config.n_fft} is too short for so many; use fewer bins or a larger n_fft"
                )
        return found

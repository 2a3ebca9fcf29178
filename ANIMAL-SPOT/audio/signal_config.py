"""How a clip becomes network input: the numbers that are stored in every model file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from numbers import Real
from typing import Any, Literal, get_args

from animal_spot.audio import channel_choice

PITCH_FACTORS = (0.5, 1.5)  # widest shift that the cached band allows for

FreqCompression = Literal["linear", "mel", "mfcc"]
Normalization = Literal["db_range", "min_max", "pcen"]

N_MFCC = 32  # most coefficients
# Beyond these a number is damaged or mistyped, and would take all memory.
_MOST = {
    **{"sr": 10**8, "n_fft": 2**22, "hop_length": 2**22, "n_freq_bins": 2**16, "fmin": 10**8},
    **{"fmax": 10**8, "preemphases": 10, "min_level_db": 10_000, "ref_level_db": 10_000},
}


@dataclass(frozen=True, kw_only=True)
class Pcen:
    """Numbers of per-channel energy normalisation; the formula is that of ``dsp.pcen``.

    The defaults are those of Wang et al. (ICASSP 2017). Lostanlen et al. (IEEE Signal Processing
    Letters 2019) say what each of them does.

    Attributes:
        time_constant: Of the smoothing, seconds: sounds that last longer count as background.
        gain: How much of the background's level is taken away: 0 none, 1 all.
        bias: Relative energy that begins to count; larger ones flatten the background more.
        power: Exponent of the compression that follows.
    """

    time_constant: float = 0.4  # s
    gain: float = 0.98
    bias: float = 2.0
    power: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.time_constant < math.inf:
            raise ValueError(f"pcen time_constant must be above 0 s, got {self.time_constant}")
        if not 0 <= self.gain <= 1:
            raise ValueError(f"pcen gain must be in 0..1, got {self.gain}")
        if not 0 < self.bias < math.inf:
            raise ValueError(f"pcen bias must be above 0, got {self.bias}")
        if not 0 < self.power <= 1:
            raise ValueError(f"pcen power must be above 0 and at most 1, got {self.power}")


@dataclass(frozen=True, kw_only=True)
class SignalConfig:
    """Signal path from waveform to network input.

    The names and the order of all but the last three are those of ``dataOpts`` in a model file.
    ``pcen`` is there too where it is not None; it takes the place of dB and their range.
    ``channel``, which says what is heard of a file with several, is there where it is not ``mix``.
    """

    sr: int = 44100  # Hz
    preemphases: float = 0.98
    n_fft: int = 4096  # samples; length of window and transform
    hop_length: int = 441  # samples between frame starts
    n_freq_bins: int = 256
    fmin: int = 500  # Hz
    fmax: int = 10000  # Hz
    freq_compression: FreqCompression = "linear"
    min_level_db: float = -100
    ref_level_db: float = 20
    min_max_norm: bool = False
    pcen: Pcen | None = None
    channel: str = channel_choice.MIX

    def __post_init__(self) -> None:
        for name, most in _MOST.items():
            value = getattr(self, name)
            is_number = isinstance(value, Real) and not isinstance(value, bool)
            if not is_number or not abs(value) <= most:  # nor NaN
                raise ValueError(f"{name} must be a number of at most {most}, got {value!r}")
        for name in ("sr", "n_fft", "hop_length", "n_freq_bins"):
            if int(getattr(self, name)) != getattr(self, name):
                raise ValueError(f"{name} must be a whole number, got {getattr(self, name)!r}")
        if channel_choice.checked(self.channel) != self.channel:
            raise ValueError(f"channel must be mix, loudest or a number, got {self.channel!r}")
        if self.freq_compression not in get_args(FreqCompression):
            choices = ", ".join(get_args(FreqCompression))
            raise ValueError(
                f"freq_compression must be one of {choices}, got {self.freq_compression!r}"
            )
        for name in ("sr", "n_fft", "hop_length", "n_freq_bins"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.freq_compression == "mfcc" and self.n_freq_bins < 2:
            raise ValueError(f"mfcc needs at least 2 n_freq_bins, got {self.n_freq_bins}")
        if self.n_fft < 2 or self.n_fft % 2:
            raise ValueError(f"n_fft must be even and at least 2, got {self.n_fft}")
        if self.min_level_db >= 0:
            raise ValueError(f"min_level_db must be below 0, got {self.min_level_db}")
        if self.pcen is not None and self.min_max_norm:
            raise ValueError(
                "per_channel_normalization and min_max_norm are two normalisations; choose one"
            )
        if self.pcen is not None and self.freq_compression == "mfcc":
            raise ValueError(
                "per_channel_normalization is of energies, which mfcc has no more; "
                "choose freq_compression linear or mel"
            )
        nyquist = self.sr / 2
        if not 0 <= self.fmin < min(self.fmax, nyquist):
            raise ValueError(
                f"fmin must be at least 0 and below fmax and half the sample rate, got fmin "
                f"{self.fmin:g} Hz, fmax {self.fmax:g} Hz, sr {self.sr} Hz"
            )
        if self.freq_compression != "linear" and self.fmax > self.sr // 2:
            raise ValueError(
                f"fmax must be at most half the sample rate for {self.freq_compression}, "
                f"got fmax {self.fmax:g} Hz, sr {self.sr} Hz"
            )

    @property
    def normalization(self) -> Normalization:
        """Name of the normalisation in a model file."""
        if self.pcen is not None:
            return "pcen"
        return "min_max" if self.min_max_norm else "db_range"

    @property
    def smoothing(self) -> float:
        """Weight of a new frame in the running mean of ``pcen``, above 0 and below 1.

        With ``s = time_constant * sr / hop_length`` frames it is
        ``(sqrt(1 + 4 s^2) - 1) / (2 s^2)``, as in librosa.
        """
        frames = self.pcen.time_constant * self.sr / self.hop_length
        return (math.sqrt(1 + 4 * frames**2) - 1) / (2 * frames**2)

    @property
    def n_features(self) -> int:
        """Width of a network input."""
        bins = self.n_freq_bins
        return min(N_MFCC, bins - 1) if self.freq_compression == "mfcc" else bins

    def data_opts(self) -> dict[str, Any]:
        """Return the ``dataOpts`` dictionary of a model file."""
        options = asdict(self)
        del options["min_max_norm"]
        if self.pcen is None:
            del options["pcen"]
        if self.channel == channel_choice.MIX:
            del options["channel"]
        return options

    @classmethod
    def from_data_opts(
        cls, data_opts: Mapping[str, Any], *, min_max_norm: bool = False
    ) -> SignalConfig:
        """Read a ``dataOpts`` dictionary.

        ``num_mels``, as an older relative of the program wrote it, takes precedence over
        ``n_freq_bins``; further keys are ignored.
        """
        names = {field.name for field in fields(cls)}
        options = {k: v for k, v in data_opts.items() if k in names}
        if "num_mels" in data_opts:
            options["n_freq_bins"] = data_opts["num_mels"]
        options["min_max_norm"] = min_max_norm
        if options.get("pcen") is not None:
            options["pcen"] = Pcen(**options["pcen"])
        return cls(**options)

    def n_clip_frames(self, sequence_len_ms: float) -> int:
        """Return how many frames the network sees of a clip of that length."""
        return int(sequence_len_ms / 1000 * self.sr / self.hop_length)

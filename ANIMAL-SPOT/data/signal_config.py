"""How a clip becomes network input: the numbers that are stored in every model file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

FreqCompression = Literal["linear", "mel", "mfcc"]


@dataclass(frozen=True, kw_only=True)
class SignalConfig:
    """Signal path from waveform to network input.

    The names and the order of all but the last are those of ``dataOpts`` in a model file.
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

    def __post_init__(self) -> None:
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

    def data_opts(self) -> dict[str, Any]:
        """Return the ``dataOpts`` dictionary of a model file."""
        options = asdict(self)
        del options["min_max_norm"]
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
        return cls(**options)

    def n_clip_frames(self, sequence_len_ms: float) -> int:
        """Return how many frames the network sees of a clip of that length."""
        return int(sequence_len_ms / 1000 * self.sr / self.hop_length)

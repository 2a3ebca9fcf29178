"""What a picture of a network input shows, as the signal path made it."""

from __future__ import annotations

from animal_spot.audio.signal_config import SignalConfig
from animal_spot.figures.spectrogram import Scale


def picture_scale(signal: SignalConfig, n_frames: int) -> Scale:
    """Return seconds, frequencies and levels of a network input of ``n_frames``."""
    levels: tuple[str, tuple[float, float]] = ("level (0 to 1 in the clip)", (0.0, 1.0))
    if signal.normalization == "pcen":
        levels = ("PCEN energy (no unit)", (0.0, 1.0))
    elif signal.freq_compression == "mfcc":
        levels = ("coefficient (no unit)", (0.0, 1.0))
    elif signal.normalization == "db_range":
        top = signal.ref_level_db
        levels = ("level (dB)", (top + signal.min_level_db, top))
    return Scale(
        duration_s=n_frames * signal.hop_length / signal.sr,
        f_min=signal.fmin,
        f_max=min(signal.fmax, signal.sr / 2),
        spacing=signal.freq_compression,
        level_name=levels[0],
        level_range=levels[1],
    )

"""The band of a call is found where it is, and none in noise."""

import numpy as np
import pytest

from animal_spot.audio.call_band import call_band

RATE, LIMITS = 32000, (300.0, 12000.0)


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return 0.05 * np.random.default_rng(seed).standard_normal(int(seconds * RATE))


@pytest.mark.parametrize(("low", "high"), [(1000, 3000), (2000, 2500), (500, 9000)])
def test_a_sweep_is_found_between_its_ends(low, high):
    waveform = noise(3)
    t = np.arange(RATE) / RATE
    sweep = 0.5 * np.sin(2 * np.pi * (low * t + (high - low) * t**2 / 2))
    waveform[RATE : 2 * RATE] += sweep
    found = call_band(waveform, RATE, 1, 2, LIMITS)
    assert found[0] == pytest.approx(low, abs=60 + 0.04 * (high - low))
    assert found[1] == pytest.approx(high, abs=60 + 0.04 * (high - low))


def test_a_tone_that_is_there_all_the_time_is_background():
    t = np.arange(3 * RATE) / RATE
    waveform = noise(3) + 0.5 * np.sin(2 * np.pi * 1500 * t)
    waveform[RATE : 2 * RATE] += 0.3 * np.sin(2 * np.pi * 5000 * t[RATE : 2 * RATE])
    low, high = call_band(waveform, RATE, 1, 2, LIMITS)
    assert 4900 < low < 5000 < high < 5100


def test_nothing_is_found_in_noise_or_silence():
    assert (
        sum(call_band(noise(3, seed), RATE, 1, 2, LIMITS) is not None for seed in range(100)) <= 2
    )
    assert call_band(np.zeros(3 * RATE), RATE, 1, 2, LIMITS) is None
    assert call_band(noise(0.01), RATE, 0, 0.01, LIMITS) is None

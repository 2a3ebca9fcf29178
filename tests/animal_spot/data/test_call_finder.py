"""Made-up clips say where their call is; the finder must say the same."""

from __future__ import annotations

import numpy as np
import pytest

from animal_spot.data.call_finder import find_calls

FRAME_S, N_FRAMES, N_BANDS = 1 / 64, 192, 64


def noise(seed: int = 0) -> np.ndarray:
    """Power of Gaussian noise: exponential, each cell by itself, falling towards high bands."""
    rng = np.random.default_rng(seed)
    slope = 10 ** (-np.linspace(0, 2, N_BANDS))
    return rng.standard_exponential((N_FRAMES, N_BANDS)) * slope


def add_call(power: np.ndarray, first: int, end: int, db: float = 20.0) -> np.ndarray:
    """Add a rising call with two harmonics, so many dB over the noise of its bands."""
    power = power.copy()
    slope = 10 ** (-np.linspace(0, 2, N_BANDS))
    for frame in range(first, end):
        band = 10 + (frame - first) // 4
        for at in (band, band + 16):
            power[frame, at : at + 2] += slope[at] * 10 ** (db / 10)
    return power


def with_holes(power: np.ndarray, share: float, seed: int = 1) -> np.ndarray:
    """Silence patches of a clip as denoising does, but not the loud ones."""
    rng = np.random.default_rng(seed)
    quiet = power < 4 * 10 ** (-np.linspace(0, 2, N_BANDS))
    patches = np.kron(rng.random((N_FRAMES // 8, N_BANDS // 8)) < share, np.ones((8, 8))) > 0
    return np.where(quiet & patches, power * 1e-6, power)


@pytest.mark.parametrize(
    ("db", "holes"),
    [
        pytest.param(15, 0.0, id="raw"),
        pytest.param(20, 0.3, id="some-holes"),
        pytest.param(30, 0.8, id="mostly-holes"),
    ],
)
def test_a_call_is_found_where_it_is(db, holes):
    calls = find_calls(with_holes(add_call(noise(), 70, 120, db), holes), FRAME_S)
    ((first, end),) = calls.spans
    assert abs(first - 70) <= 8
    assert abs(end - 120) <= 8
    assert (calls.salience[first:end] > 0).all()
    assert not calls.salience[:first].any()
    assert not calls.salience[end:].any()


def test_two_calls_are_two():
    twice = add_call(add_call(noise(), 10, 50), 130, 170)
    (first, second) = find_calls(twice, FRAME_S).spans
    assert first[1] < 70
    assert second[0] > 110


def test_a_click_is_no_call():
    clip = add_call(noise(), 100, 150)
    clip[30:33] += 300 * 10 ** (-np.linspace(0, 2, N_BANDS))
    ((first, _),) = find_calls(clip, FRAME_S).spans
    assert first > 80


def test_level_does_not_matter():
    clip = add_call(noise(), 70, 120)
    assert find_calls(clip * 1e-9, FRAME_S).spans == find_calls(clip, FRAME_S).spans


def test_where_nothing_stands_out_all_is_the_call():
    calls = find_calls(np.zeros((N_FRAMES, N_BANDS)), FRAME_S)
    assert calls.spans == ((0, N_FRAMES),)
    assert (calls.salience > 0).all()

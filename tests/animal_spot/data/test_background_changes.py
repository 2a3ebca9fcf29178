"""Background that changes: what takes over, swells or falls silent is in the window."""

import numpy as np
import torch

from animal_spot.data.background_changes import change_background

N_FRAMES, N_BANDS = 150, 24


def test_windows_change_as_recordings_do():
    rng = np.random.default_rng(0)
    low = torch.zeros(N_FRAMES, N_BANDS)
    low[:, :12] = 1.0
    high = torch.zeros(N_FRAMES, N_BANDS)
    high[:, 12:] = 1.0
    taken_over = silent = swollen = 0
    for _ in range(200):
        window = change_background(low, lambda n: high[:n], rng)
        assert window.shape == low.shape
        assert torch.isfinite(window).all()
        assert (window >= 0).all()
        quiet = window.sum(1) == 0
        silent += bool(quiet.any())
        taken_over += bool((window[:, 12:] > 0).any())
        level = window[~quiet].sum(1)
        swollen += bool(level.max() > 1.5 * level.min())
        # Where the one is gone the other is there: the change is over within a few frames.
        both = (window[:, :12].sum(1) > 0) & (window[:, 12:].sum(1) > 0)
        assert both.sum() <= 12
    assert 60 < taken_over < 140
    assert 15 < silent < 50
    assert swollen > 100
    assert (low[:, :12] == 1).all()


def test_the_same_chance_gives_the_same_window_and_no_other_sound_is_needed():
    power = torch.rand(N_FRAMES, N_BANDS)
    one, other = (
        change_background(power, lambda n: None, np.random.default_rng(5)) for _ in range(2)
    )
    assert torch.equal(one, other)

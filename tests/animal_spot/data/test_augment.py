from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from animal_spot.audio.signal_config import SignalConfig
from animal_spot.audio.spectrograms import PowerBand, SpectrogramPipeline
from animal_spot.data.augment import (
    augment,
    clip_generator,
    draw_distortion,
    mix_noise,
    noise_rows,
    pitch_source_bins,
    random_filter_db,
    stretched_rows,
)
from animal_spot.data.augmentation_limits import Augmentation


def resized(n_in: int, n_out: int) -> np.ndarray:
    """Index map of PyTorch's own nearest-neighbour resize."""
    source = torch.arange(n_in, dtype=torch.float32)[None, None]
    return F.interpolate(source, size=n_out, mode="nearest")[0, 0].long().numpy()


@given(st.integers(2, 2100), st.floats(0.5, 1.5))
def test_pitch_shift_is_a_resize_of_the_frequency_axis_cut_or_filled(n_stft_bins, factor):
    n_shifted = round(n_stft_bins * factor)
    expected = np.full(n_stft_bins, -1)
    shifted = resized(n_stft_bins, n_shifted)[:n_stft_bins]
    expected[: len(shifted)] = shifted
    actual = pitch_source_bins(np.arange(n_stft_bins), n_stft_bins, factor)
    np.testing.assert_array_equal(actual, expected)


def test_pitch_shift_moves_a_tone_by_its_factor():
    bins = np.arange(513)
    for factor in (0.5, 0.75, 1.25, 1.5):
        shown = pitch_source_bins(bins, 513, factor)
        near = bins[np.abs(shown - 200) <= 1]  # lowering leaves some bins out
        assert abs(near.mean() - 200 * factor) <= 1.5


@given(st.integers(1, 1500), st.floats(0.5, 2.0))
def test_time_stretch_is_a_resize_of_the_time_axis(n_rows, factor):
    n_out = max(1, round(n_rows * factor))
    np.testing.assert_array_equal(stretched_rows(n_rows, factor), resized(n_rows, n_out))


def test_draws_cover_their_ranges_and_stay_inside():
    rng = np.random.default_rng(0)
    draws = [draw_distortion(Augmentation(), rng) for _ in range(4000)]
    assert {d.gain_db for d in draws} == set(range(-6, 3))
    pitch, stretch = (np.log2([getattr(d, n) for d in draws]) for n in ("pitch", "stretch"))
    for values, low, high in ((pitch, -1, math.log2(1.5)), (stretch, -1, 1)):
        assert low - 1e-9 <= values.min() < low + 0.01
        assert high - 0.01 < values.max() <= high + 1e-9
        # Even in the logarithm: the mean of 4000 such draws is within 4 standard errors.
        error = (high - low) / math.sqrt(12 * 4000)
        assert values.mean() == pytest.approx((low + high) / 2, abs=4 * error)


def test_noise_is_never_amplified_at_random():
    rng = np.random.default_rng(0)
    assert {draw_distortion(Augmentation(), rng, gain=False).gain_db for _ in range(50)} == {0.0}


@pytest.mark.parametrize(
    ("options", "match"),
    [
        pytest.param({"pitch": (0.4, 1.0)}, "pitch range", id="pitch-too-low"),
        pytest.param({"pitch": (1.0, 1.6)}, "pitch range", id="pitch-too-high"),
        pytest.param({"pitch": (1.2, 0.8)}, "pitch range", id="pitch-falling"),
        pytest.param({"stretch": (0.0, 1.0)}, "stretch range", id="stretch-none"),
        pytest.param({"stretch": (2.0, 1.0)}, "stretch range", id="stretch-falling"),
        pytest.param({"noise_probability": 1.1}, "noise probability", id="probability"),
        pytest.param({"gain_db": (3, 2)}, "gain range", id="gain-falling"),
        pytest.param({"snr_db": (3, 2)}, "noise ratio range", id="ratio-falling"),
    ],
)
def test_impossible_ranges_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        Augmentation(**options)


def test_generator_depends_on_seed_epoch_and_clip():
    keys = [(0, 0, "a"), (1, 0, "a"), (0, 1, "a"), (0, 0, "b")]
    draws = [clip_generator(*key).random() for key in keys]
    assert len(set(draws)) == 4
    assert draws == [clip_generator(*key).random() for key in keys]


# -- noise --------------------------------------------------------------------------------------


def random_power(n_rows: int, n_bins: int = 8, seed: int = 0, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.rand(n_rows, n_bins, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("snr_db", [-3.0, 0.0, 11.0])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_noise_reaches_the_asked_ratio(snr_db, scale):
    clip, noise = random_power(20), random_power(20, seed=1, scale=scale)
    before = clip.clone(), noise.clone()
    added = mix_noise(clip, noise, snr_db).double() - clip.double()
    ratio_db = 10 * math.log10(float(clip.double().sum() / added.sum()))
    assert ratio_db == pytest.approx(snr_db, abs=1e-3)
    torch.testing.assert_close(
        (added / added.sum()).float(), noise / noise.sum(), rtol=1e-3, atol=1e-7
    )
    assert torch.equal(clip, before[0])
    assert torch.equal(noise, before[1])


def test_silent_noise_changes_nothing():
    clip = random_power(5)
    assert torch.equal(mix_noise(clip, torch.zeros(5, 8), 0.0), clip)


def test_noise_does_not_turn_silence_into_something():
    mixed = mix_noise(torch.zeros(5, 8), random_power(5), 0.0)
    assert torch.equal(mixed, torch.zeros(5, 8))


@pytest.mark.parametrize("noise_level", [1e-30, 1e-38, 1e-42])
def test_noise_next_to_nothing_gives_numbers(noise_level):
    noise = torch.zeros(5, 8)
    noise[2, 3] = noise_level
    assert mix_noise(random_power(5, scale=100.0), noise, -3.0).isfinite().all()


@given(st.integers(1, 300), st.integers(1, 100), st.floats(0.5, 2.0), st.integers(0, 99))
def test_noise_frames_are_neighbours_of_one_stretched_part_or_its_repeats(
    n_noise, n_rows, stretch, seed
):
    rows = noise_rows(n_noise, n_rows, stretch, np.random.default_rng(seed))
    assert len(rows) == n_rows
    assert 0 <= rows.min() <= rows.max() < n_noise
    assert rows.max() - rows.min() < 2 * n_rows, "at most twice the length is drawn from"
    steps = np.diff(rows)
    n_wraps = (steps < 0).sum()
    # Time runs forward at the stretched speed, but where a short noise begins again.
    assert (steps[steps >= 0] <= math.ceil(1 / stretch) + 1).all()
    part = max(1, round(min(n_noise, 2 * n_rows) * stretch))
    assert n_wraps <= -(-n_rows // part)


def test_every_part_of_long_noise_can_be_drawn():
    rng = np.random.default_rng(0)
    used = {int(r) for _ in range(8000) for r in noise_rows(100, 10, 1.0, rng)}
    assert used == set(range(100))


# -- the whole ----------------------------------------------------------------------------------


def make_pipeline(**options) -> SpectrogramPipeline:
    return SpectrogramPipeline(
        SignalConfig(**({"n_fft": 256, "hop_length": 64, "n_freq_bins": 16} | options))
    )


def make_band(pipeline, n_samples=6000, seed=0) -> PowerBand:
    x = 0.1 * np.random.default_rng(seed).standard_normal(n_samples).astype(np.float32)
    return pipeline.band(pipeline.power(torch.from_numpy(x)[None]), for_pitch_shift=True)


@pytest.mark.parametrize("noise", [False, True], ids=["clean", "noise"])
@pytest.mark.parametrize("encoded", [False, True], ids=["power", "codes"])
@pytest.mark.parametrize("compression", ["linear", "mel", "mfcc"])
@pytest.mark.parametrize("min_max", [False, True], ids=["fixed", "min-max"])
def test_augmented_input_has_its_shape_and_range(compression, min_max, encoded, noise):
    pipeline = make_pipeline(freq_compression=compression, min_max_norm=min_max, n_freq_bins=40)
    band, noise_band = make_band(pipeline), make_band(pipeline, 9000, seed=1)
    if encoded:
        band, noise_band = band.encode(), noise_band.encode()
    before = band.values.copy()
    for seed in range(12):
        rng = np.random.default_rng(seed)
        draw_noise = (lambda: noise_band) if noise else None
        features = augment(band, pipeline, 80, Augmentation(), rng, draw_noise)
        assert tuple(features.shape) == (1, 80, pipeline.n_features)
        assert features.dtype == torch.float32
        assert features.isfinite().all()
        if compression != "mfcc" or min_max:
            assert float(features.min()) >= 0.0
            assert float(features.max()) <= 1.0
    np.testing.assert_array_equal(band.values, before)


@pytest.mark.parametrize("min_max", [False, True], ids=["fixed", "min-max"])
def test_augmentation_of_levels_equals_the_long_way(min_max):
    # Worked out on the whole power spectrogram, step by step as the specification orders it.
    pipeline = make_pipeline(min_max_norm=min_max)
    x = 0.1 * torch.randn(1, 6000, generator=torch.Generator().manual_seed(0))
    power = pipeline.power(x)
    gain_db, pitch, stretch = -4, 1.3, 1.7
    fixed = Augmentation((gain_db, gain_db), (pitch, pitch), (stretch, stretch))

    amplified = power * 10 ** (gain_db / 10)
    n_bins, n_rows = power.shape[-1], power.shape[-2]
    pitched = F.interpolate(amplified, size=round(n_bins * pitch), mode="nearest")
    stretched = F.interpolate(
        pitched[..., :n_bins].transpose(1, 2), size=round(n_rows * stretch), mode="nearest"
    ).transpose(1, 2)
    whole = pipeline.finish(stretched[..., pipeline.bins])

    band = pipeline.band(power, for_pitch_shift=True)
    features = augment(band, pipeline, 50, fixed, np.random.default_rng(0))
    windows = whole[0].unfold(0, 50, 1).transpose(1, 2)
    assert float((windows - features).abs().amax((1, 2)).min()) < 1e-5, "it is no crop of the whole"


def test_lowered_pitch_is_filled_with_the_median():
    pipeline = make_pipeline(fmin=0, fmax=22050, n_freq_bins=129)
    power = pipeline.power(torch.randn(1, 3000, generator=torch.Generator().manual_seed(0)))
    fixed = Augmentation((0, 0), (0.5, 0.5), (1.0, 1.0))
    band = pipeline.band(power, for_pitch_shift=True)
    features = augment(band, pipeline, len(band.values), fixed, np.random.default_rng(0))
    median = np.sort(power.numpy().ravel())[(power.numel() - 1) // 2]  # lower of the middle two
    expected = min(1.0, (10 * math.log10(median) + 80) / 100)
    torch.testing.assert_close(
        features[..., 70:], torch.full_like(features[..., 70:], expected), rtol=0, atol=1e-5
    )


def test_short_clip_lies_anywhere_in_the_padding():
    pipeline = make_pipeline()
    band = make_band(pipeline, 256 + 64 * 4)
    starts = set()
    for seed in range(200):
        features = augment(band, pipeline, 30, Augmentation(), np.random.default_rng(seed))
        rows = features[0].sum(1).nonzero().flatten().tolist()
        assert rows == list(range(rows[0], rows[-1] + 1))
        starts.add(rows[0])
    assert {0, 10, 20} <= starts


def test_noise_fills_the_padding():
    pipeline = make_pipeline()
    band, noise_band = make_band(pipeline, 400), make_band(pipeline, 9000, seed=1)
    rng = np.random.default_rng(0)
    features = augment(band, pipeline, 60, Augmentation(), rng, lambda: noise_band)
    assert (features[0].sum(1) > 0).all()


def test_noise_is_added_with_its_probability():
    pipeline = make_pipeline()
    band, noise_band = make_band(pipeline, 400), make_band(pipeline, 9000, seed=1)
    drawn = []
    for share, expected in ((0.0, 0), (1.0, 400), (0.25, 100)):
        drawn.clear()
        for seed in range(400):
            augment(
                band,
                pipeline,
                10,
                Augmentation(noise_probability=share),
                np.random.default_rng(seed),
                lambda: drawn.append(1) or noise_band,
            )
        # Four standard deviations of a binomial count.
        tolerance = 4 * math.sqrt(400 * share * (1 - share))
        assert len(drawn) == pytest.approx(expected, abs=tolerance)


def test_time_shift_rotates_the_clip():
    pipeline = make_pipeline()
    power = torch.zeros(1, 50, 129)
    power[0, :, :] = torch.arange(1.0, 51.0)[:, None] / 50  # each frame has a level of its own
    band = pipeline.band(power, for_pitch_shift=True)
    still = {"gain_db": (0, 0), "pitch": (1.0, 1.0), "stretch": (1.0, 1.0)}
    plain = augment(band, pipeline, 50, Augmentation(**still), np.random.default_rng(0))
    firsts = set()
    for seed in range(60):
        limits = Augmentation(**still, time_shift=True)
        shifted = augment(band, pipeline, 50, limits, np.random.default_rng(seed))
        first = int(shifted[0, :, 0].argmin())
        firsts.add(first)
        torch.testing.assert_close(shifted, plain.roll(first, 1), rtol=0, atol=1e-6)
    assert len(firsts) > 25


STILL = {"gain_db": (0, 0), "pitch": (1.0, 1.0), "stretch": (1.0, 1.0)}


def flat_band(pipeline, n_rows: int, power: float = 1e-3) -> PowerBand:
    return pipeline.band(torch.full((1, n_rows, 129), power), for_pitch_shift=True)


@pytest.mark.parametrize("limits", [(-12, -8), (5, 5)], ids=str)
def test_gain_is_drawn_from_the_range_that_is_asked_for(limits):
    pipeline = make_pipeline()
    augmentation = Augmentation(**STILL | {"gain_db": limits})
    gains = set()
    for seed in range(60):
        found = augment(
            flat_band(pipeline, 20), pipeline, 20, augmentation, np.random.default_rng(seed)
        )
        # -30 dB in a range of 100 dB that starts at -80 dB.
        gains.add(round(float(found.mean()) * 100 - 50, 2))
    assert gains == set(range(limits[0], limits[1] + 1))


def test_gain_does_nothing_where_each_clip_has_its_own_scale():
    pipeline = make_pipeline(min_max_norm=True)
    power = 10 ** (torch.rand(1, 40, 129, generator=torch.Generator().manual_seed(0)) * 4 - 4)
    band = pipeline.band(power, for_pitch_shift=True)
    plain, louder = (
        augment(
            band, pipeline, 40, Augmentation(**STILL | {"gain_db": db}), np.random.default_rng(0)
        )
        for db in ((0, 0), (9, 9))
    )
    torch.testing.assert_close(louder, plain, rtol=0, atol=1e-5)


@pytest.mark.parametrize("limits", [(2, 4), (20, 20)], ids=str)
def test_noise_is_mixed_at_a_ratio_of_the_range_that_is_asked_for(limits):
    pipeline = make_pipeline()
    augmentation = Augmentation(**STILL, snr_db=limits)
    ratios = set()
    for seed in range(40):
        found = augment(
            flat_band(pipeline, 20),
            pipeline,
            20,
            augmentation,
            np.random.default_rng(seed),
            lambda: flat_band(pipeline, 50, 0.02),
        )
        power = 10 ** ((float(found.double().mean()) * 100 - 80) / 10)
        ratios.add(round(-10 * math.log10(power / 1e-3 - 1), 1))
    assert ratios == set(range(limits[0], limits[1] + 1))


def test_random_filter_tilts_the_spectrum_and_changes_bands():
    """Share of a straight line in the sum of cosines, and what it leaves.

    Around the middle, cosine k is A / k * n * cos(pi k y + phase), y from -1/2 to 1/2. The
    least-squares slope is 12 times the integral of y times that: only the sine counts, with
    2 (sin(pi k / 2) / (pi k)^2 - cos(pi k / 2) / (2 pi k)), and half of its square on average.
    """
    strength = 4.0
    rng = np.random.default_rng(0)
    responses = np.stack([random_filter_db(400, strength, rng).numpy() for _ in range(4000)])
    position = np.linspace(-0.5, 0.5, 400)
    slope, mean = np.polyfit(position, responses.T.astype(float), 1)
    bands = responses - mean[:, None] - slope[:, None] * position
    k = np.arange(1, 5)
    along = 2 * (np.sin(np.pi * k / 2) / (np.pi * k) ** 2 - np.cos(np.pi * k / 2) / (2 * np.pi * k))
    slope_variance = 144 * np.sum((strength / k) ** 2 * along**2 / 2)
    # 4000 draws; the amplitudes' fourth moments make their variance uncertain by some 4 %.
    assert slope.var() == pytest.approx(slope_variance, rel=0.12)
    level_variance = np.sum(
        (strength / k) ** 2 / 2 * (2 * np.sin(np.pi * k / 2) / (np.pi * k)) ** 2
    )
    total = np.sum((strength / k) ** 2 / 2)
    assert bands.var() == pytest.approx(total - level_variance - slope_variance / 12, rel=0.12)


def test_random_filter_has_the_spread_of_its_four_cosines():
    """Each amplitude is normal with A / k and the phase even: variance A^2 / 2 * sum 1 / k^2."""
    rng = np.random.default_rng(0)
    responses = torch.stack([random_filter_db(64, 3.0, rng) for _ in range(4000)])
    expected = 3.0 * math.sqrt(sum(1 / k**2 for k in range(1, 5)) / 2)
    assert responses.std(0).mean() == pytest.approx(expected, rel=0.05)  # 4000 draws
    assert responses.mean(0).abs().max() < 0.25


def test_random_filter_adds_one_response_to_every_frame():
    pipeline = make_pipeline()
    rng = np.random.default_rng(3)
    augmentation = Augmentation(**STILL, filter_db=3.0)
    features = augment(flat_band(pipeline, 20), pipeline, 20, augmentation, rng)[0]
    plain = augment(flat_band(pipeline, 20), pipeline, 20, Augmentation(**STILL), rng)[0]
    response_db = (features - plain) * 100  # the fixed range is 100 dB
    assert torch.allclose(response_db, response_db[0].expand_as(response_db), atol=1e-3)
    assert response_db[0].std() > 0.3

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import scipy.fft
import scipy.signal
import torch
import torch.nn.functional as F

from animal_spot.audio import dsp
from animal_spot.audio.clip_files import read_waveform, resample
from animal_spot.audio.signal_config import SignalConfig
from animal_spot.audio.spectrograms import SpectrogramPipeline
from tests.helpers.places import GOLDEN
from tests.helpers.transforms import (
    level_bound,
    normalised_bound,
    power_bound,
    scipy_compressed,
    with_spread,
)

CASES = json.loads((GOLDEN / "signal_cases.json").read_text())
SAME_RATE = [case for case in CASES if case["file"] != "mono48.wav"]
CONFIG_KEYS = (
    "sr",
    "n_fft",
    "hop_length",
    "n_freq_bins",
    "freq_compression",
    "fmin",
    "fmax",
    "min_max_norm",
)


def by_name(case):
    return case["name"]


# -- numbers measured on the original program ---------------------------------------------------


@pytest.mark.parametrize("case", SAME_RATE, ids=by_name)
def test_every_stage_agrees_with_the_original(golden, case):
    stored = {
        k: torch.from_numpy(v) for k, v in np.load(golden / f"signal_{case['name']}.npz").items()
    }
    pipeline = SpectrogramPipeline(SignalConfig(**{k: case[k] for k in CONFIG_KEYS}))
    waveform = read_waveform(golden / "audio" / case["file"], case["sr"])
    power = pipeline.power(waveform)
    compressed = pipeline.compress(power[..., pipeline.bins])
    level = pipeline.level(compressed)
    normalised = pipeline.normalise(level)
    network_input = dsp.fit_length(normalised, case["seq"])
    for name, values in {
        "waveform": waveform,
        "power": power,
        "compressed": compressed,
        "network_input": network_input,
    }.items():
        assert list(values.shape) == case["shapes"][name], name
    # Tolerances of the golden numbers, and the rounding of a transform of 32 bits.
    row = power.shape[1] // 2
    off = power_bound(power)
    assert ((power[0, row] - stored["power_row"]).abs() <= off[0, row]).all()
    off = pipeline.compress(off[..., pipeline.bins])
    assert ((compressed - stored["compressed"]).abs() <= off).all()
    off = level_bound(compressed, off, pipeline.config.min_level_db)
    assert ((level - stored["decibel"]).abs() <= off).all()
    off = normalised_bound(pipeline, level, off)
    assert ((normalised - stored["normalised"]).abs() <= off).all()
    assert ((network_input - stored["network_input"]).abs() <= off.max()).all()


def test_resampled_network_input_is_close_to_that_of_the_original(golden):
    case = next(c for c in CASES if c["file"] == "mono48.wav")
    stored = np.load(golden / f"signal_{case['name']}.npz")["network_input"]
    pipeline = SpectrogramPipeline(SignalConfig(**{k: case[k] for k in CONFIG_KEYS}))
    waveform = read_waveform(golden / "audio" / case["file"], case["sr"])
    assert list(waveform.shape) == case["shapes"]["waveform"]
    features = dsp.fit_length(pipeline.features(waveform), case["seq"])
    assert float((features - torch.from_numpy(stored)).abs().mean()) < 0.01


# -- check values of the specification of the signal path ---------------------------------------


def check_signal(n: int) -> torch.Tensor:
    t = np.arange(n) / 44100
    x = 0.5 * np.sin(2 * np.pi * (1000 * t + 8000 * t**2)) + 0.01 * np.cos(2 * np.pi * 15000 * t)
    return torch.from_numpy(x.astype(np.float32))[None]


def pipeline_of(compression: str = "linear", bins: int = 256, min_max: bool = False):
    return SpectrogramPipeline(
        SignalConfig(
            n_fft=1024,
            hop_length=172,
            n_freq_bins=bins,
            freq_compression=compression,
            min_max_norm=min_max,
        )
    )


def test_check_values_of_power_and_preemphasis():
    x = check_signal(22050)
    emphasised = dsp.preemphasise(x, 0.98)[0]
    expected = [0.01, 0.05584446, 0.07203127, 0.0028078, -0.2131837]
    assert emphasised[[0, 1, 2, 100, 22049]].tolist() == pytest.approx(expected, abs=1e-6)
    power = pipeline_of().power(x)
    assert tuple(power.shape) == (1, 123, 513)
    assert float(power.sum()) == pytest.approx(4327.7188, rel=1e-5)
    assert int(power.argmax()) == 62276
    assert float(power.max()) == pytest.approx(25.5304, rel=1e-5)
    assert float(power[0, 0, 30]) == pytest.approx(0.1078672, rel=1e-5)
    # 5.85e-7 is 77 dB below the peak of its frame, where float32 transforms agree to a few digits.
    assert float(power[0, 60, 100]) == pytest.approx(5.8522e-07, rel=1e-2)
    assert float(power[0, 122, 200]) == pytest.approx(0.2159653, rel=1e-5)


def test_check_values_of_compression():
    x = check_signal(22050)
    linear, mel, mel64 = pipeline_of(), pipeline_of("mel"), pipeline_of("mel", 64)
    values = linear.compress(linear.power(x)[..., linear.bins])
    assert float(values.sum()) == pytest.approx(4975.5767, rel=1e-5)
    assert float(values[0, 0, 20]) == pytest.approx(0.5299294, rel=1e-5)
    assert float(values[0, 60, 128]) == pytest.approx(3.3225568e-04, rel=1e-4)
    level = linear.level(values)
    assert float(level.max()) == pytest.approx(14.070577, abs=1e-4)
    assert float(level.min()) == -100.0
    assert float(level.mean()) == pytest.approx(-87.058159, abs=1e-3)
    values = mel.compress(mel.power(x)[..., mel.bins])
    assert float(values.sum()) == pytest.approx(4318.2344, rel=1e-5)
    assert float(values[0, 60, 180]) == pytest.approx(8.8640804, rel=1e-5)
    values = mel64.compress(mel64.power(x)[..., mel64.bins])
    assert float(values.sum()) == pytest.approx(4318.2344, rel=1e-5)
    cepstrum = dsp.mfcc(values)
    # Cepstra have no least level, so bands of rounding errors alone count, which transforms differ
    # in.
    others = [dsp.mfcc(power) for power in scipy_compressed(mel64, x)]
    for chosen, expected, rel in (
        (np.s_[0, 0, 0], 3089.0728, 1e-4),
        (np.s_[0, 60, 5], 461.32697, 1e-3),
        (np.s_[:], -188859.48, 1e-3),
    ):
        found, spread = with_spread(cepstrum[chosen], [other[chosen] for other in others])
        assert found == pytest.approx(expected, abs=rel * abs(expected) + spread)


@pytest.mark.parametrize(
    ("compression", "bins", "min_max", "expected_half_s", "expected_1_s"),
    [
        pytest.param("linear", 256, False, 2230.0145, 1643.9240, id="linear-fixed"),
        pytest.param("linear", 256, True, 3572.4611, 2653.1470, id="linear-min-max"),
        pytest.param("mel", 64, False, 648.8789, 338.1458, id="mel-fixed"),
        pytest.param("mel", 64, True, 963.5134, 499.1754, id="mel-min-max"),
        pytest.param("mfcc", 64, False, 2267.5129, 2414.1977, id="mfcc-fixed"),
        pytest.param("mfcc", 64, True, 1736.1038, 1808.2328, id="mfcc-min-max"),
    ],
)
def test_check_sums_of_a_training_sample(compression, bins, min_max, expected_half_s, expected_1_s):
    pipeline = pipeline_of(compression, bins, min_max)
    for n, expected in ((22050, expected_half_s), (44100, expected_1_s)):
        others = [pipeline.finish(power) for power in scipy_compressed(pipeline, check_signal(n))]
        sample, *others = (
            dsp.fit_length(values, 128) for values in (pipeline.features(check_signal(n)), *others)
        )
        # The sum runs over 4,000 to 32,000 values with a rounding of 1e-5 each at most, and over
        # bands of rounding errors alone, which transforms differ in.
        found, spread = with_spread(sample, others)
        assert found == pytest.approx(expected, abs=0.1 + spread)


def test_check_values_of_padding():
    features = pipeline_of().features(check_signal(22050))
    frames = dsp.fit_length(features, 128)[0].sum(-1)
    assert frames[:4].tolist() == pytest.approx([0, 0, 13.136274, 12.940502], abs=1e-3)
    # 123 frames from index 2 on leave the last three empty.
    assert frames[-3:].tolist() == [0, 0, 0]
    assert frames[124] > 0


# -- transform ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_fft", "hop"),
    [pytest.param(256, 64, id="quarter"), pytest.param(512, 172, id="odd-hop"), (1024, 1500)],
)
def test_power_is_that_of_scipy(n_fft, hop):
    x = np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    power = dsp.power_spectrogram(torch.from_numpy(x)[None], n_fft, hop)[0].numpy()
    window = scipy.signal.get_window("hann", n_fft, fftbins=True)
    frames = np.lib.stride_tricks.sliding_window_view(x.astype(float), n_fft)[::hop]
    expected = np.abs(scipy.fft.rfft(frames * window)) ** 2 / (window**2).sum()
    np.testing.assert_allclose(power, expected, rtol=1e-4, atol=1e-5)
    assert len(power) == dsp.n_frames(5000, n_fft, hop) == 1 + (5000 - n_fft) // hop


@pytest.mark.slow  # librosa compiles for most of a minute when it is used for the first time
def test_power_is_that_of_librosa():
    import librosa

    x = np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    spectrum = librosa.stft(x, n_fft=512, hop_length=172, window="hann", center=False)
    window = scipy.signal.get_window("hann", 512, fftbins=True)
    expected = np.abs(spectrum.T) ** 2 / (window**2).sum()
    power = dsp.power_spectrogram(torch.from_numpy(x)[None], 512, 172)[0].numpy()
    np.testing.assert_allclose(power, expected, rtol=1e-4, atol=1e-5)


def test_sine_on_a_bin_has_the_power_of_the_closed_form():
    n_fft, bin_number, amplitude = 512, 40, 0.5
    x = amplitude * torch.cos(2 * math.pi * bin_number * torch.arange(n_fft) / n_fft)
    row = dsp.power_spectrogram(x[None], n_fft, 1)[0, 0]
    # |X| = amplitude / 2 * sum(w) with sum(w) = n/2 and sum(w^2) = 3n/8 for Hann.
    peak = (amplitude / 2 * n_fft / 2) ** 2 / (3 * n_fft / 8)
    assert float(row[bin_number]) == pytest.approx(peak, rel=1e-4)
    assert float(row[bin_number + 1]) == pytest.approx(peak / 4, rel=1e-3)
    assert float(row[bin_number + 3 :].max()) < 1e-8


def test_white_noise_of_unit_variance_has_unit_mean_power():
    x = torch.randn(1, 200_000, generator=torch.Generator().manual_seed(0))
    power = dsp.power_spectrogram(x, 256, 128)
    assert float(power[..., 1:-1].mean()) == pytest.approx(1.0, abs=0.02)


def test_waveform_shorter_than_a_frame_is_padded_with_zeros():
    x = torch.randn(1, 100, generator=torch.Generator().manual_seed(0))
    power = dsp.power_spectrogram(x, 256, 64)
    assert tuple(power.shape) == (1, 1, 129)
    torch.testing.assert_close(power, dsp.power_spectrogram(F.pad(x, (0, 156)), 256, 64))
    assert dsp.n_frames(100, 256, 64) == 1


def test_preemphasis_is_the_filter_and_leaves_its_argument():
    x = torch.randn(2, 50, dtype=torch.float64)
    before = x.clone()
    expected = scipy.signal.lfilter([1, -0.98], [1], x.numpy(), axis=-1)
    np.testing.assert_allclose(dsp.preemphasise(x, 0.98).numpy(), expected, rtol=1e-12)
    assert torch.equal(x, before)


# -- compression --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param((1024, 44100, 500, 10000), (11, 233), id="example"),
        pytest.param((1024, 44100, 0, 22050), (0, 512), id="whole-band"),
        pytest.param((1024, 44100, 500, 40000), (11, 513), id="above-nyquist"),
    ],
)
def test_linear_band_limits(arguments, expected):
    assert dsp.linear_band(*arguments) == expected


@pytest.mark.parametrize(
    ("n_in", "n_out"),
    [
        (222, 256),
        (882, 256),
        (1, 5),
        (5, 1),
        (7, 7),
        (513, 770),
        (2049, 1025),
        (123, 246),
        (3, 1000),
    ],
)
def test_nearest_indices_are_those_of_interpolate(n_in, n_out):
    source = torch.arange(n_in, dtype=torch.float32)[None, None]
    expected = F.interpolate(source, size=n_out, mode="nearest")[0, 0].long()
    assert torch.equal(dsp.nearest_indices(n_in, n_out), expected)


def test_mel_bank_spot_values():
    bank = dsp.mel_bank(1024, 44100, 500, 10000, 64)
    assert tuple(bank.shape) == (513, 64)
    for filter_number, bin_number in enumerate((12, 13, 14, 15)):
        assert bank[:, filter_number].nonzero().flatten().tolist() == [bin_number]
        assert float(bank[bin_number, filter_number]) == 1.0
    assert bank[:, 20].nonzero().flatten().tolist() == [39, 40, 41]
    assert bank[39:42, 20].tolist() == [0.5, 1.0, 0.5]
    assert bank[:, 63].nonzero().flatten().tolist() == list(range(217, 232))
    assert bank[217:225, 63].tolist() == pytest.approx([0.125 * k for k in range(1, 9)])
    assert float(bank[231, 63]) == pytest.approx(0.125)
    assert float(bank.sum()) == pytest.approx(216.5)
    assert float(dsp.mel_bank(1024, 44100, 500, 10000, 256).sum()) == pytest.approx(220.5)


@pytest.mark.parametrize(
    ("n_fft", "n_mels", "expected"), [(1024, 256, 78), (4096, 256, 0), (1024, 64, 0)]
)
def test_empty_mel_filters_are_counted(n_fft, n_mels, expected):
    assert dsp.empty_mel_filters(dsp.mel_bank(n_fft, 44100, 500, 10000, n_mels)) == expected


def test_mel_centres_are_those_of_librosa():
    # Corners lie on whole bins, so a peak is within one bin of librosa's exact HTK frequency.
    import librosa

    bank = dsp.mel_bank(4096, 44100, 300, 12000, 40)
    centres = librosa.mel_frequencies(42, fmin=300, fmax=12000, htk=True)[1:-1]
    assert np.abs(bank.argmax(0).numpy() * 44100 / 4096 - centres).max() <= 44100 / 4096


@pytest.mark.parametrize(("n_mels", "n_kept"), [(64, 32), (33, 32), (20, 19), (2, 1)])
def test_mfcc_is_scipys_dct_without_the_first_coefficient(n_mels, n_kept):
    power = torch.rand(3, 5, n_mels, generator=torch.Generator().manual_seed(0)) + 1e-3
    level_db = 10 * np.log10(power.double().numpy())
    expected = scipy.fft.dct(level_db, type=2, axis=-1, norm=None)[..., 1 : n_kept + 1]
    cepstrum = dsp.mfcc(power)
    assert tuple(cepstrum.shape) == (3, 5, n_kept)
    # Sums of up to 64 products of size 60: rounding of float32 stays below 1e-2.
    np.testing.assert_allclose(cepstrum.numpy(), expected, atol=1e-2)


def test_mfcc_counts_a_silent_band_as_0_db():
    power = torch.tensor([[0.0, 10.0, 1.0]])
    expected = scipy.fft.dct(np.array([0.0, 10.0, 0.0]), type=2)[1:]
    np.testing.assert_allclose(dsp.mfcc(power)[0].numpy(), expected, atol=1e-5)


# -- levels -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("power", "expected_db"),
    [
        pytest.param(1.0, 0.0, id="full-scale"),
        pytest.param(0.5, -3.0103, id="half-power"),
        pytest.param(100.0, 20.0, id="above-full-scale"),
        pytest.param(0.0, -100.0, id="silence-stops-at-floor"),
        pytest.param(1e-12, -100.0, id="under-the-floor"),
    ],
)
def test_power_to_db_agrees_with_hand_values(power, expected_db):
    spectrogram = torch.full((1, 3, 2), power)
    level = dsp.power_to_db(spectrogram, floor_db=-100.0)
    torch.testing.assert_close(level, torch.full((1, 3, 2), expected_db), rtol=0, atol=1e-4)
    assert (spectrogram == power).all(), "the input was modified"


@pytest.mark.parametrize(
    ("level_db", "expected"),
    [(-120.0, 0.0), (-80.0, 0.0), (-30.0, 0.5), (20.0, 1.0), (50.0, 1.0)],
)
def test_fixed_range_maps_minus_80_to_20_db(level_db, expected):
    value = dsp.normalise_db_range(torch.tensor([level_db]), -100, 20)
    assert value.item() == pytest.approx(expected)


def test_min_max_spans_0_to_1_and_keeps_constants_at_0():
    values = torch.tensor([[-3.0, 1.0], [5.0, -1.0]])
    before = values.clone()
    expected = torch.tensor([[0.0, 0.5], [1.0, 0.25]])
    torch.testing.assert_close(dsp.normalise_min_max(values), expected)
    assert torch.equal(values, before)
    assert torch.equal(dsp.normalise_min_max(torch.full((2, 2), -100.0)), torch.zeros(2, 2))


# -- length -------------------------------------------------------------------------------------


@pytest.mark.parametrize("excess", [0, 1, 2, 5])
def test_centre_crop_and_padding_use_the_floor_of_half(excess):
    ramp = torch.arange(1.0, 11.0)[None, :, None]
    cropped = dsp.fit_length(ramp, 10 - excess)
    assert cropped[0, :, 0].tolist() == list(range(1 + excess // 2, 11 - excess + excess // 2))
    padded = dsp.fit_length(ramp, 10 + excess)
    assert padded[0, excess // 2 : excess // 2 + 10, 0].tolist() == list(range(1, 11))
    assert float(padded.sum()) == 55.0


@pytest.mark.parametrize("n_out", [4, 16])
def test_every_position_can_be_drawn_and_none_is_outside(n_out):
    ramp = torch.arange(1.0, 11.0)[None, :, None]
    found = set()
    for position in np.linspace(0, 1, 400, endpoint=False):
        fitted = dsp.fit_length(ramp, n_out, float(position))
        assert fitted.shape[1] == n_out
        found.add(int(fitted.flatten().argmax()) if n_out > 10 else int(fitted[0, 0, 0]))
    assert len(found) == 7  # six frames too many or too few leave seven positions


# -- reading ------------------------------------------------------------------------------------


def test_channels_are_averaged(tmp_path, write_wav):
    samples = np.stack([np.full(100, 0.5), np.full(100, -0.25)], axis=1).astype(np.float32)
    path = write_wav(tmp_path / "x.wav", samples, 44100)
    waveform = read_waveform(path, 44100)
    assert waveform.dtype == torch.float32
    torch.testing.assert_close(waveform, torch.full((1, 100), 0.125))


@pytest.mark.parametrize(("rate_in", "rate_out"), [(48000, 44100), (22050, 44100), (96000, 8000)])
def test_resampling_keeps_a_tone_and_gives_the_agreed_length(rate_in, rate_out):
    n, frequency = 9601, 1000
    x = np.sin(2 * np.pi * frequency * np.arange(n) / rate_in).astype(np.float32)
    y = resample(x, rate_in, rate_out)
    assert len(y) == n * rate_out // rate_in
    expected = np.sin(2 * np.pi * frequency * np.arange(len(y)) / rate_out)
    edge = len(y) // 10  # the ends ring
    assert np.abs(y - expected)[edge:-edge].max() < 1e-3


def test_resampling_removes_what_the_new_rate_cannot_hold():
    x = np.sin(2 * np.pi * 9000 * np.arange(48000) / 48000).astype(np.float32)
    y = resample(x, 48000, 16000)
    assert np.abs(y[1000:-1000]).max() < 1e-3

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, reject
from hypothesis import strategies as st

from animal_spot.audio import dsp
from animal_spot.audio.signal_config import PITCH_FACTORS, SignalConfig
from animal_spot.audio.spectrograms import PowerBand, SpectrogramPipeline
from animal_spot.data.augment import pitch_source_bins


def pipeline_of(**options) -> SpectrogramPipeline:
    return SpectrogramPipeline(
        SignalConfig(**({"n_fft": 512, "hop_length": 128, "n_freq_bins": 40} | options))
    )


def noisy_tone(n: int = 12000, noise: float = 0.01) -> torch.Tensor:
    rng = np.random.default_rng(0)
    x = 0.3 * np.sin(2 * np.pi * 2000 * np.arange(n) / 44100) + noise * rng.standard_normal(n)
    return torch.from_numpy(x.astype(np.float32))[None]


# -- level codes --------------------------------------------------------------------------------


@given(st.lists(st.floats(-200, 62), min_size=1, max_size=20))
def test_level_codes_are_within_2_thousandths_of_a_decibel(levels):
    power = (10 ** (np.array([levels]) / 10)).astype(np.float32)
    band = PowerBand(power, 0, power.shape[1], 0.0).encode()
    assert band.values.dtype == np.uint16
    decoded = band.to_power(band.gather(None, np.arange(power.shape[1]))).double().numpy()
    # Half a step of 0.004 dB, and 3e-5 dB for levels of this size in float32.
    assert np.abs(10 * np.log10(decoded) - 10 * np.log10(power.astype(float))).max() <= 0.00203
    in_db = band.to_db(band.values, -200.0).double().numpy()
    assert np.abs(in_db - 10 * np.log10(power.astype(float))).max() <= 0.00205


def test_no_power_stays_no_power():
    band = PowerBand(np.zeros((2, 3), np.float32), 0, 3, 0.0).encode()
    assert (band.to_power(band.values) == 0).all()
    assert (band.to_db(band.values, -100.0) == -100.0).all()


def test_encoding_twice_changes_nothing():
    band = PowerBand(np.ones((2, 3), np.float32), 5, 33, 0.25)
    once = band.encode()
    assert once.encode() is once
    assert (once.first_bin, once.n_stft_bins, once.median) == (5, 33, 0.25)


@pytest.mark.parametrize("encoded", [False, True], ids=["power", "codes"])
def test_gather_picks_frames_and_bins_and_fills_with_the_median(encoded):
    power = np.arange(12, dtype=np.float32).reshape(3, 4) + 1
    band = PowerBand(power, 10, 40, 7.0)
    band = band.encode() if encoded else band
    gathered = band.gather(np.array([2, 0, 0]), np.array([13, -1, 10]))
    expected = torch.tensor([[12.0, 7.0, 9.0], [4.0, 7.0, 1.0], [4.0, 7.0, 1.0]])
    torch.testing.assert_close(band.to_power(gathered), expected, rtol=5e-4, atol=0)
    np.testing.assert_array_equal(power.ravel(), np.arange(12) + 1, "the band was modified")


@pytest.mark.parametrize("bin_number", [9, 14])
def test_bins_outside_the_band_are_refused(bin_number):
    band = PowerBand(np.ones((3, 4), np.float32), 10, 40, 0.0)
    with pytest.raises(IndexError, match="outside the band"):
        band.gather(None, np.array([bin_number]))


# -- cached against exact -----------------------------------------------------------------------


@pytest.mark.parametrize("min_max", [False, True], ids=["fixed", "min-max"])
@pytest.mark.parametrize("compression", ["linear", "mel"])
def test_features_of_a_kept_band_differ_by_less_than_a_ten_thousandth(compression, min_max):
    pipeline = pipeline_of(freq_compression=compression, min_max_norm=min_max)
    waveform = noisy_tone()
    exact = pipeline.features(waveform)[0]
    for for_pitch_shift in (False, True):
        band = pipeline.band(pipeline.power(waveform), for_pitch_shift=for_pitch_shift)
        found = pipeline.clip_features(band, len(exact))[0]
        torch.testing.assert_close(found, exact, rtol=0, atol=1e-6)
        kept = pipeline.clip_features(band.encode(), len(exact))[0]
        # 0.002 dB of a range of 100 dB, or with min-max of this clip's own 40 dB and more.
        assert float((kept - exact).abs().max()) < 1e-4


def test_cepstral_features_of_a_kept_band_are_close():
    pipeline = pipeline_of(freq_compression="mfcc")
    waveform = noisy_tone()
    exact = pipeline.level(pipeline.compress(pipeline.power(waveform)[..., pipeline.bins]))[0]
    band = pipeline.band(pipeline.power(waveform), for_pitch_shift=False).encode()
    kept = pipeline.level(pipeline.compress(band.to_power(band.gather(None, pipeline.bins))))
    # Each coefficient sums 40 levels, each within 0.002 dB, with weights of at most 2.
    assert float((kept - exact).abs().max()) < 0.16


def test_cepstral_features_of_a_very_quiet_clip_do_not_depend_on_the_cache():
    # Levels below the lowest code, as float files hold them. A band without power counts as 0 dB,
    # so rounding a weak one down to none changes the coefficients entirely.
    pipeline = pipeline_of(freq_compression="mfcc")
    waveform = 1e-7 * noisy_tone(noise=0.1)
    exact = pipeline.features(waveform)[0]
    band = pipeline.band(pipeline.power(waveform), for_pitch_shift=False).encode()
    found = pipeline.clip_features(band, len(exact))[0]
    assert float((found - exact).abs().mean()) < 0.05


# -- shapes and values --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("compression", "bins", "expected"),
    [
        pytest.param("linear", 40, 40, id="linear"),
        pytest.param("linear", 1000, 1000, id="linear-more-than-there-are"),
        pytest.param("mel", 40, 40, id="mel"),
        pytest.param("mfcc", 40, 32, id="mfcc"),
        pytest.param("mfcc", 20, 19, id="mfcc-few"),
    ],
)
def test_width_of_the_network_input(compression, bins, expected):
    pipeline = pipeline_of(freq_compression=compression, n_freq_bins=bins)
    assert pipeline.n_features == expected
    features = pipeline.features(noisy_tone(5000))
    assert tuple(features.shape) == (1, 1 + (5000 - 512) // 128, expected)
    assert features.dtype == torch.float32
    assert features.isfinite().all()


def test_linear_bins_of_the_documented_example():
    pipeline = pipeline_of(n_fft=1024, n_freq_bins=256)
    expected = 11 + np.minimum(np.arange(256) * 222 // 256, 221)
    np.testing.assert_array_equal(pipeline.bins, expected)


@pytest.mark.parametrize("compression", ["linear", "mel", "mfcc"])
@pytest.mark.parametrize("min_max", [False, True], ids=["fixed", "min-max"])
def test_silence_gives_zeros(compression, min_max):
    pipeline = pipeline_of(freq_compression=compression, min_max_norm=min_max)
    features = pipeline.features(torch.zeros(1, 4000))
    expected = 0.8 if compression == "mfcc" and not min_max else 0.0  # 0 "dB" is 80 % of the range
    torch.testing.assert_close(features, torch.full_like(features, expected))


@st.composite
def signal_configs(draw):
    sr = draw(st.sampled_from([8000, 22050, 32000, 44100, 96000]))
    fmax = draw(st.integers(sr // 20, sr // 2))
    return SignalConfig(
        sr=sr,
        n_fft=2 * draw(st.sampled_from([8, 32, 50, 128, 256, 500, 512, 1024])),
        hop_length=100,
        n_freq_bins=draw(st.sampled_from([1, 2, 33, 64, 256])),
        fmin=draw(st.integers(0, int(fmax * 0.5))),
        fmax=fmax,
        freq_compression=draw(st.sampled_from(["linear", "mel"])),
    )


def possible_pipeline(config: SignalConfig) -> SpectrogramPipeline:
    try:
        return SpectrogramPipeline(config)
    except ValueError:  # the band is too narrow for this n_fft
        reject()


@given(signal_configs(), st.floats(*PITCH_FACTORS))
def test_kept_band_holds_what_any_pitch_shift_needs(config, factor):
    pipeline = possible_pipeline(config)
    low, high = pipeline.band_limits(for_pitch_shift=True)
    n_stft_bins = config.n_fft // 2 + 1
    assert 0 <= low < high <= n_stft_bins
    for each in (factor, *PITCH_FACTORS, 1.0):
        wanted = pitch_source_bins(pipeline.bins, n_stft_bins, each)
        present = wanted[wanted >= 0]
        assert (present >= low).all(), each
        assert (present < high).all(), each


@given(signal_configs())
def test_kept_band_without_pitch_shift_is_what_the_input_needs(config):
    pipeline = possible_pipeline(config)
    low, high = pipeline.band_limits(for_pitch_shift=False)
    assert (low, high) == (pipeline.bins.min(), pipeline.bins.max() + 1)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        pytest.param({"fmax": 30000}, "above half the sample rate", id="fmax"),
        pytest.param(
            {"n_fft": 1024, "n_freq_bins": 256, "freq_compression": "mel"},
            "78 of 256 mel filters",
            id="empty-filters",
        ),
    ],
)
def test_doubtful_settings_are_mentioned(options, match):
    assert any(match in warning for warning in pipeline_of(**options).warnings())


def test_sound_settings_pass_without_a_word():
    assert pipeline_of(n_fft=4096, freq_compression="mel").warnings() == []


def test_mel_band_too_narrow_for_any_filter_is_refused_with_a_reason():
    with pytest.raises(ValueError, match="n_fft"):
        pipeline_of(n_fft=64, fmin=500, fmax=520, freq_compression="mel", n_freq_bins=16)


# -- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "match"),
    [
        pytest.param({"freq_compression": "cqt"}, "linear, mel, mfcc", id="compression"),
        pytest.param({"n_fft": 1023}, "n_fft must be even", id="odd-n_fft"),
        pytest.param({"n_fft": 0}, "n_fft", id="no-n_fft"),
        pytest.param({"hop_length": 0}, "hop_length must be at least 1", id="no-hop"),
        pytest.param({"sr": 0}, "sr must be at least 1", id="no-rate"),
        pytest.param({"fmin": 10000}, "fmin", id="fmin-at-fmax"),
        pytest.param({"fmin": -1}, "fmin", id="negative-fmin"),
        pytest.param({"fmin": 23000, "fmax": 30000}, "fmin", id="fmin-above-nyquist"),
        pytest.param({"fmax": 22051, "freq_compression": "mel"}, "fmax", id="mel-above-nyquist"),
        pytest.param({"min_level_db": 0}, "min_level_db must be below 0", id="floor"),
        pytest.param(
            {"freq_compression": "mfcc", "n_freq_bins": 1}, "n_freq_bins", id="no-coefficient"
        ),
    ],
)
def test_impossible_settings_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        SignalConfig(**options)


@pytest.mark.parametrize(
    ("ms", "sr", "hop", "expected"),
    [(500, 44100, 172, 128), (1280, 44100, 441, 128), (1000, 44100, 172, 256), (10, 44100, 441, 1)],
)
def test_frames_of_a_clip(ms, sr, hop, expected):
    assert SignalConfig(sr=sr, hop_length=hop).n_clip_frames(ms) == expected


def test_data_opts_have_the_original_keys_in_order():
    assert SignalConfig().data_opts() == {
        "sr": 44100,
        "preemphases": 0.98,
        "n_fft": 4096,
        "hop_length": 441,
        "n_freq_bins": 256,
        "fmin": 500,
        "fmax": 10000,
        "freq_compression": "linear",
        "min_level_db": -100,
        "ref_level_db": 20,
    }
    assert list(SignalConfig().data_opts())[:4] == ["sr", "preemphases", "n_fft", "hop_length"]


def test_data_opts_are_read_back_with_the_older_bin_name_first():
    options = SignalConfig(n_fft=512, fmin=100).data_opts() | {"num_mels": 64, "other": 1}
    config = SignalConfig.from_data_opts(options, min_max_norm=True)
    assert config == SignalConfig(n_fft=512, fmin=100, n_freq_bins=64, min_max_norm=True)


def test_level_and_normalisation_follow_the_stored_numbers():
    pipeline = pipeline_of(min_level_db=-60, ref_level_db=0)
    value = pipeline.finish(torch.tensor([[1e-3, 1e-9, 10.0]]))
    torch.testing.assert_close(value, torch.tensor([[0.5, 0.0, 1.0]]))
    assert dsp.N_MFCC == 32

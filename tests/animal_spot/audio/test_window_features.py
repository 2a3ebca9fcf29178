import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from animal_spot.audio.signal_config import SignalConfig
from animal_spot.audio.spectrograms import SpectrogramPipeline
from animal_spot.audio.window_features import WindowFeatures
from animal_spot.audio.windows import WindowGrid
from tests.helpers.transforms import scipy_compressed, with_spread

# Power differs by the rounding of float32 (1e-6 relative); with noise in all bands that is 1e-5 dB
# or less, of a range of 100 dB, or of the tens of dB between the extremes of a window.
TOLERANCE = 2e-5


def noisy(n: int, seed: int = 0) -> np.ndarray:
    t = np.arange(n) / 16000
    rng = np.random.default_rng(seed)
    tone = np.sin(2 * np.pi * (800 * t + 1500 * t**2))
    return (0.3 * tone + 0.03 * rng.standard_normal(n)).astype(np.float32)


def one_by_one(pipeline, grid, samples, n) -> torch.Tensor:
    """Each window by itself, through the path that training takes."""
    return torch.stack(
        [
            pipeline.features(
                torch.from_numpy(samples[i * grid.hop : i * grid.hop + grid.length].copy())[None]
            )
            for i in range(n)
        ]
    )


@pytest.mark.parametrize("min_max", [False, True], ids=["db-range", "min-max"])
@pytest.mark.parametrize(
    ("compression", "bins"),
    [
        pytest.param("linear", 32, id="linear-some-bins"),
        pytest.param("linear", 256, id="linear-bins-repeated"),
        pytest.param("mel", 24, id="mel"),
        pytest.param("mfcc", 24, id="mfcc"),
    ],
)
@pytest.mark.parametrize(
    "hop",
    [
        pytest.param(800, id="frames-shared"),
        pytest.param(777, id="not-shared"),
        pytest.param(801, id="one-sample-from-shared"),
    ],
)
def test_windows_are_as_one_at_a_time(compression, bins, min_max, hop):
    config = SignalConfig(
        **{"sr": 16000, "n_fft": 512, "hop_length": 160, "n_freq_bins": bins},
        **{"fmin": 300, "fmax": 7000, "freq_compression": compression, "min_max_norm": min_max},
    )
    pipeline, grid = SpectrogramPipeline(config), WindowGrid(3200, hop, 16000)
    samples = noisy(3200 + 6 * hop)
    found = WindowFeatures(pipeline, grid).of_stretch(samples, 7)
    wanted = one_by_one(pipeline, grid, samples, 7)
    assert found.shape == wanted.shape == (7, 1, 1 + (3200 - 512) // 160, pipeline.n_features)
    assert found.dtype == torch.float32
    # Cepstral coefficients sum 24 levels with weights up to 2; scaled by min-max, or divided by
    # 100 dB: the error grows by no more than that.
    tolerance = TOLERANCE * (10 if compression == "mfcc" else 1)
    torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance)
    assert found.std() > 0.01, "nothing to compare"


@st.composite
def cases(draw):
    n_fft = 2 * draw(st.integers(32, 256))
    hop_length = draw(st.integers(1, n_fft))
    length = draw(st.integers(n_fft, 3000))
    hop = draw(st.one_of(st.integers(1, 2000), st.integers(1, 12).map(lambda k: k * hop_length)))
    return n_fft, hop_length, length, hop, draw(st.integers(1, 6))


@given(cases(), st.booleans())
def test_any_sizes_are_as_one_at_a_time(case, min_max):
    n_fft, hop_length, length, hop, n = case
    config = SignalConfig(
        **{"sr": 16000, "n_fft": n_fft, "hop_length": hop_length, "n_freq_bins": 16},
        **{"fmin": 1000, "fmax": 7000, "min_max_norm": min_max},
    )
    pipeline, grid = SpectrogramPipeline(config), WindowGrid(length, hop, 16000)
    samples = noisy(length + (n - 1) * hop)
    found = WindowFeatures(pipeline, grid).of_stretch(samples, n)
    torch.testing.assert_close(
        found, one_by_one(pipeline, grid, samples, n), rtol=0, atol=5 * TOLERANCE
    )


@pytest.mark.parametrize(
    "n_samples",
    [
        pytest.param(2000, id="shorter-than-a-window"),
        pytest.param(512, id="one-frame"),
        pytest.param(511, id="one-sample-less-than-a-frame"),
        pytest.param(1, id="one-sample"),
    ],
)
@pytest.mark.parametrize("hop", [800, 777], ids=["multiple", "not-a-multiple"])
def test_a_short_recording_is_one_short_window(n_samples, hop):
    config = SignalConfig(sr=16000, n_fft=512, hop_length=160, n_freq_bins=32, fmax=7000)
    pipeline, grid = SpectrogramPipeline(config), WindowGrid(3200, hop, 16000)
    samples = noisy(n_samples)
    found = WindowFeatures(pipeline, grid).of_stretch(samples, 1)
    wanted = pipeline.features(torch.from_numpy(samples)[None])[None]
    assert found.shape == wanted.shape
    torch.testing.assert_close(found, wanted, rtol=0, atol=TOLERANCE)


def test_the_samples_given_are_not_changed():
    config = SignalConfig(sr=16000, n_fft=512, hop_length=160, n_freq_bins=32, fmax=7000)
    samples = noisy(6400)
    before = samples.copy()
    grid = WindowGrid(3200, 800, 16000)
    WindowFeatures(SpectrogramPipeline(config), grid).of_stretch(samples, 5)
    np.testing.assert_array_equal(samples, before)


def documented_signal(n: int) -> np.ndarray:
    """Reference 03 section 12."""
    t = np.arange(n) / 44100
    chirp = 0.5 * np.sin(2 * math.pi * (1000 * t + 8000 * t**2))
    return (chirp + 0.01 * np.cos(2 * math.pi * 15000 * t)).astype(np.float32)


@pytest.mark.parametrize(
    ("compression", "bins", "min_max", "sums"),
    [
        pytest.param("linear", 256, False, (2230.0145, 1586.9694, 293.2246), id="linear-fixed"),
        pytest.param("linear", 256, True, (3572.4611, 2562.6484, 515.4403), id="linear-min-max"),
        pytest.param("mel", 64, False, (648.8789, 323.1466, 44.4693), id="mel-fixed"),
        pytest.param("mel", 64, True, (963.5134, 477.1734, 79.0232), id="mel-min-max"),
        # Prediction of cepstra follows training, which has no dB step (reference 07, 15): the sum
        # of the training sample that is the first window.
        pytest.param("mfcc", 64, False, (2267.5129,), id="mfcc-fixed"),
        pytest.param("mfcc", 64, True, (1736.1038,), id="mfcc-min-max"),
    ],
)
def test_sums_measured_on_the_original(compression, bins, min_max, sums):
    config = SignalConfig(
        **{"n_fft": 1024, "hop_length": 172, "n_freq_bins": bins, "min_max_norm": min_max},
        freq_compression=compression,
    )
    pipeline, signal = SpectrogramPipeline(config), documented_signal(44100)
    windows = WindowFeatures(pipeline, WindowGrid(22050, 11025, 44100)).of_stretch(signal, 3)
    assert windows.shape[:3] == (3, 1, 123)
    # The sums are of 4000 to 31000 float32 numbers, printed with eight digits. Bands of this signal
    # that hold nothing but rounding errors come out otherwise with each transform, and so on each
    # kind of processor: as much as three transforms differ here the original's may too.
    for i, expected in enumerate(sums):
        part = torch.from_numpy(signal[i * 11025 : i * 11025 + 22050])[None]
        others = [pipeline.finish(power) for power in scipy_compressed(pipeline, part)]
        found, spread = with_spread(windows[i], others)
        assert found == pytest.approx(expected, abs=2e-5 * expected + spread)

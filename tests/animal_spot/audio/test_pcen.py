"""Per-channel normalisation: against librosa, in training, in prediction, in files, exported."""

import math
from dataclasses import replace

import librosa
import numpy as np
import onnxruntime
import pytest
import torch

from animal_spot.audio import dsp
from animal_spot.audio.signal_config import Pcen, SignalConfig
from animal_spot.audio.spectrograms import SpectrogramPipeline
from animal_spot.audio.window_features import WindowFeatures
from animal_spot.audio.windows import WindowGrid
from animal_spot.data.augment import augment
from animal_spot.data.augmentation_limits import Augmentation
from animal_spot.data.clip_dataset import ClipDataset, Sample
from animal_spot.model_files.model_file import (
    FILE_NAME,
    bytes_of,
    load_model,
    load_torchscript,
    save_model,
)
from animal_spot.prediction.export import export_model
from animal_spot.training.config import TrainConfig, parse_config
from animal_spot.utils.tensor_files import UnreadableFileError
from tests.helpers.prediction import (
    RATE,
    SIGNAL,
    make_content,
    predict_here,
    predict_into,
    read_log,
    reference,
    sound,
    write_sound,
)

FLOOR = 1e-10  # -100 dB
STILL = {"gain_db": (0, 0), "pitch": (1.0, 1.0), "stretch": (1.0, 1.0)}


def by_librosa(power: np.ndarray, config: SignalConfig) -> np.ndarray:
    """Normalise ``(time, freq)``; the filter starts as if the first frame had always been."""
    pcen = config.pcen
    frames = pcen.time_constant * config.sr / config.hop_length
    b = (math.sqrt(1 + 4 * frames**2) - 1) / (2 * frames**2)
    energy = power.T.astype(np.float64)
    return librosa.pcen(
        energy,
        sr=config.sr,
        hop_length=config.hop_length,
        gain=pcen.gain,
        bias=pcen.bias,
        power=pcen.power,
        time_constant=pcen.time_constant,
        eps=FLOOR,
        zi=(1 - b) * energy[:, :1],
    ).T


def pipeline_of(**options) -> SpectrogramPipeline:
    return SpectrogramPipeline(SignalConfig(**(SIGNAL | {"pcen": Pcen()} | options)))


def waveform(seconds: float, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(sound(seconds, seed))[None]


# -- the numbers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pcen", "sr", "hop"),
    [
        pytest.param(Pcen(), 44100, 441, id="defaults"),
        pytest.param(
            Pcen(time_constant=0.06, gain=0.8, bias=10, power=0.25), 22050, 32, id="birds"
        ),
        pytest.param(Pcen(gain=1.0, power=1.0, bias=0.5), 16000, 160, id="plain-ratio"),
        pytest.param(Pcen(time_constant=0.001), 44100, 441, id="shorter-than-a-frame"),
    ],
)
@pytest.mark.parametrize("n_frames", [1, 2, 130, 400])
def test_numbers_are_those_of_librosa(pcen, sr, hop, n_frames):
    config = SignalConfig(sr=sr, hop_length=hop, pcen=pcen)
    rng = np.random.default_rng(0)
    power = 10 ** rng.uniform(-11, 2, (n_frames, 20)).astype(np.float32)
    power[n_frames // 2 :, :4] = 0.0
    power[:, 4] = 0.0
    found = SpectrogramPipeline(config).normalise(torch.from_numpy(power)).double().numpy()
    expected = by_librosa(power, config)
    assert expected.max() > 0.05
    # Of the largest number where it is above 1: that of "plain-ratio" grows with the ratio.
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("compression", "bins"), [("linear", 32), ("linear", 256), ("mel", 24)], ids=str
)
def test_network_input_is_what_librosa_makes_of_the_power(compression, bins):
    options = {"freq_compression": compression, "n_freq_bins": bins}
    pipeline = pipeline_of(**options)
    compressed = pipeline.compress(pipeline.power(waveform(0.5))[..., pipeline.bins])[0]
    found = pipeline.features(waveform(0.5))[0].numpy()
    np.testing.assert_allclose(found, by_librosa(compressed.numpy(), pipeline.config), atol=1e-4)
    assert found.shape == (1 + (8000 - 256) // 160, bins)


def test_running_mean_follows_a_step():
    # M rises from 1 to 3 by (1 - s) of the rest in each frame.
    s = 0.1
    x = torch.ones(60, 1)
    x[20:] = 3.0
    found = dsp.smoothing_matrix(60, s) @ x
    expected = [1.0] * 20 + [3 - 2 * (1 - s) ** (k + 1) for k in range(40)]
    torch.testing.assert_close(found[:, 0], torch.tensor(expected), rtol=0, atol=1e-5)


def test_steady_sound_of_any_level_is_the_same_with_full_gain():
    pipeline = pipeline_of(pcen=Pcen(gain=1.0))
    for level in (1e-6, 1.0, 100.0):
        found = pipeline.finish(torch.full((50, 32), level))
        expected = math.sqrt(1 / (1 + FLOOR / level) + 2) - math.sqrt(2)
        torch.testing.assert_close(found, torch.full_like(found, expected), rtol=0, atol=1e-5)


def test_silence_is_zero():
    pipeline = pipeline_of()
    assert pipeline.silence == 0.0
    assert not pipeline.features(torch.zeros(1, 4000)).any()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({"pcen": None}, 0.0, id="db-range"),
        pytest.param({"pcen": None, "min_max_norm": True}, 0.0, id="min-max"),
        pytest.param({"pcen": None, "freq_compression": "mfcc"}, 0.8, id="mfcc-of-0-dB"),
    ],
)
def test_silence_of_the_other_normalisations(options, expected):
    assert pipeline_of(**options).silence == pytest.approx(expected)


# -- training -----------------------------------------------------------------------------------


def item(pipeline, samples, n_frames, tmp_path, write_wav, **options) -> torch.Tensor:
    path = write_wav(tmp_path / "clip.wav", samples, RATE)
    dataset = ClipDataset([Sample(path, "clip", "digest", 0)], pipeline, n_frames, **options)
    return dataset[0, 0][0]


def test_a_clip_in_training_is_a_window_in_prediction(tmp_path, write_wav):
    pipeline = pipeline_of()
    features = pipeline.features(waveform(0.25))
    n_frames = features.shape[1]
    samples = sound(0.25)
    torch.testing.assert_close(
        item(pipeline, samples, n_frames, tmp_path, write_wav), features, rtol=0, atol=1e-5
    )
    # Padded frames are silent and do not count as a past.
    padded = item(pipeline, samples, n_frames + 10, tmp_path, write_wav)
    torch.testing.assert_close(padded[:, 5:-5], features, rtol=0, atol=1e-5)
    assert not padded[:, :5].any()
    assert not padded[:, -5:].any()


def test_a_longer_clip_is_cut_first(tmp_path, write_wav):
    # Frames 10 to 29 of 40: the samples from 1600 on. The first sample of a window has no weight.
    pipeline = pipeline_of()
    samples = sound((39 * 160 + 256) / RATE)
    found = item(pipeline, samples, 20, tmp_path, write_wav)
    part = torch.from_numpy(samples[1600 : 1600 + 19 * 160 + 256])[None]
    torch.testing.assert_close(found, pipeline.features(part), rtol=0, atol=1e-5)
    whole = pipeline.features(torch.from_numpy(samples)[None])[:, 10:30]
    assert (found - whole).abs().max() > 0.05, "no different from cutting last"


def test_kept_spectrograms_do_not_depend_on_the_normalisation(tmp_path, write_wav):
    options = {"cache_dir": tmp_path / "cache"}
    by_range, per_channel = pipeline_of(pcen=None), pipeline_of()
    item(by_range, sound(0.25), 20, tmp_path, write_wav, **options)
    kept = sorted(p.name for p in (tmp_path / "cache").iterdir())
    from_cache = item(per_channel, sound(0.25), 20, tmp_path, write_wav, **options)
    assert sorted(p.name for p in (tmp_path / "cache").iterdir()) == kept
    without = item(per_channel, sound(0.25), 20, tmp_path, write_wav)
    # Levels are kept within 0.002 dB, 0.05 % of the power; the largest numbers here are about 5.
    torch.testing.assert_close(from_cache, without, rtol=0, atol=2e-3)


def test_level_changes_before_the_normalisation():
    pipeline = pipeline_of(n_freq_bins=64)
    power = pipeline.power(waveform(0.25))
    band = pipeline.band(power, for_pitch_shift=True)
    n_frames = len(band.values)
    limits = Augmentation(**STILL | {"gain_db": (-20, -20)})
    found = augment(band, pipeline, n_frames, limits, np.random.default_rng(0))[0].numpy()
    quieter = 0.01 * power[0, :, pipeline.bins].numpy()
    np.testing.assert_allclose(found, by_librosa(quieter, pipeline.config), atol=1e-4)


def test_random_filter_acts_before_the_normalisation():
    # What a filter does to each frequency is taken away again: of g only g to the 0.02 is left.
    pipeline = pipeline_of()
    band = pipeline.band(pipeline.power(waveform(0.25)), for_pitch_shift=True)
    n_frames = len(band.values)
    plain, filtered = (
        augment(band, pipeline, n_frames, Augmentation(**STILL, filter_db=db), rng)[0]
        for db, rng in ((0.0, np.random.default_rng(0)), (6.0, np.random.default_rng(0)))
    )
    assert not torch.equal(plain, filtered)
    # Responses of 6 dB reach some 20 dB: at most a tenth, of the ratio that is then compressed.
    torch.testing.assert_close(filtered, plain, rtol=0.12, atol=0.01)


def test_noise_is_mixed_in_before_the_normalisation():
    # Frames of equal energy in clip and noise: relative energy 1 whatever the noise.
    pipeline = pipeline_of(pcen=Pcen(gain=1.0))
    low, high = pipeline.band_limits(for_pitch_shift=True)
    band = pipeline.band(torch.ones(1, 30, 129), for_pitch_shift=True)
    louder = pipeline.band(torch.full((1, 90, 129), 50.0), for_pitch_shift=True)
    limits = Augmentation(**STILL)
    found = augment(band, pipeline, 30, limits, np.random.default_rng(0), lambda: louder)
    expected = math.sqrt(3) - math.sqrt(2)
    torch.testing.assert_close(found, torch.full_like(found, expected), rtol=0, atol=1e-5)
    assert band.values.shape == (30, high - low)


# -- prediction ---------------------------------------------------------------------------------


@pytest.mark.parametrize("hop", [800, 777], ids=["frames-shared", "not-shared"])
@pytest.mark.parametrize(
    ("compression", "bins"), [("linear", 32), ("linear", 256), ("mel", 24)], ids=str
)
def test_windows_are_as_one_at_a_time(compression, bins, hop):
    pipeline = pipeline_of(freq_compression=compression, n_freq_bins=bins)
    grid = WindowGrid(3200, hop, RATE)
    samples = sound((3200 + 6 * hop) / RATE)
    found = WindowFeatures(pipeline, grid).of_stretch(samples, 7)
    for i in range(7):
        window = torch.from_numpy(samples[i * hop : i * hop + 3200])[None]
        torch.testing.assert_close(found[i], pipeline.features(window), rtol=0, atol=5e-5)


def test_a_window_does_not_depend_on_its_place():
    pipeline = pipeline_of()
    samples = np.tile(sound(0.1), 6)  # 1600 samples each: each second window is the same
    found = WindowFeatures(pipeline, WindowGrid(3200, 800, RATE)).of_stretch(samples, 8)
    torch.testing.assert_close(found[2:], found[:-2], rtol=0, atol=1e-5)
    assert (found[1] - found[0]).abs().max() > 0.1


@pytest.mark.parametrize(
    ("engine", "compression"),
    [("torch", "linear"), pytest.param("onnxruntime", "mel", marks=pytest.mark.slow)],
)
def test_prediction_has_the_probabilities_of_training_features(tmp_path, engine, compression):
    content = make_content(pcen=Pcen(), freq_compression=compression)
    content.normalization = "pcen"
    save_model(content, tmp_path / FILE_NAME)
    recording = write_sound(tmp_path / "in" / "rec.wav", 2.0, seed=5)
    predict_into(
        *(tmp_path / FILE_NAME, recording, tmp_path / "out", "--hop", "0.125", "--engine"),
        *(engine, "--precision", "fp32"),
        plain=False,
    )
    found = read_log(tmp_path / "out" / "rec_predict_output.log")
    times, probabilities = reference(recording, content)
    assert found.times == times
    np.testing.assert_allclose(found.probabilities[:, 0], probabilities[:, 1], atol=1e-4)
    assert probabilities[:, 1].std() > 0.05
    assert "normalization: per channel (PCEN), each window by itself" in found.header


def test_min_max_flag_does_not_count_and_cannot_override(tmp_path, capsys):
    content = make_content(pcen=Pcen())
    content.normalization = "pcen"
    save_model(content, tmp_path / FILE_NAME)
    recording = write_sound(tmp_path / "rec.wav", 1.0)
    arguments = ("--model_path", tmp_path / FILE_NAME, "--input_file", recording, "--min_max_norm")
    assert predict_here(*arguments, "--hop", "0.125", "--output_dir", tmp_path / "out") == 0
    assert "was trained without: the model file wins" in capsys.readouterr().err
    found = read_log(tmp_path / "out" / "rec_predict_output.log").probabilities[:, 0]
    np.testing.assert_allclose(found, reference(recording, content)[1][:, 1], atol=1e-4)
    override = ("--output_dir", tmp_path / "other", "--override_model")
    assert predict_here(*arguments, *override) == 1
    assert "--min_max_norm cannot take the place" in capsys.readouterr().err.splitlines()[-1]


# -- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["dictionary", "torchscript"])
def test_model_file_keeps_it(tmp_path, form):
    pcen = Pcen(time_constant=0.06, gain=0.8, bias=10.0, power=0.25)
    content = make_content(pcen=pcen)
    content.normalization = content.signal.normalization
    path = tmp_path / FILE_NAME
    if form == "dictionary":
        save_model(content, path)
        stored = torch.load(path, weights_only=True)
        assert stored["normalization"] == "pcen"
        assert stored["dataOpts"]["pcen"] == {
            "time_constant": 0.06,
            "gain": 0.8,
            "bias": 10.0,
            "power": 0.25,
        }
        loaded = load_model(path)
    else:
        path.write_bytes(bytes_of(content, torchscript=True))
        loaded = load_torchscript(path)
    assert loaded.normalization == "pcen"
    assert loaded.signal == content.signal
    assert loaded.signal.pcen == pcen


def test_file_without_the_numbers_is_refused(tmp_path):
    content = make_content()
    content.normalization = "pcen"
    save_model(content, tmp_path / FILE_NAME)
    with pytest.raises(UnreadableFileError, match="do not fit together: normalization is pcen"):
        load_model(tmp_path / FILE_NAME)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning")
@pytest.mark.parametrize(
    ("kind", "compression", "bins"),
    [
        ("torchscript", "linear", 256),
        pytest.param("onnx", "mel", 24, marks=pytest.mark.slow),
    ],
)
def test_exported_model_has_it_inside(tmp_path, kind, compression, bins):
    content = make_content(pcen=Pcen(), freq_compression=compression, n_freq_bins=bins)
    path = tmp_path / "model"
    export_model(content, kind, path)
    if kind == "onnx":
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        texts = session.get_modelmeta().custom_metadata_map

        def run(waveforms):
            return session.run(["probabilities"], {"waveform": waveforms.numpy()})[0]
    else:
        texts = {"normalization": ""}
        module = torch.jit.load(path, _extra_files=texts)

        def run(waveforms):
            with torch.no_grad():
                return module(waveforms).numpy()

    assert texts["normalization"] in ('"pcen"', b'"pcen"')
    pipeline = SpectrogramPipeline(content.signal)
    for n in (4000, 5123, 100, 16000):
        waveforms = torch.from_numpy(np.stack([sound(1.0, seed)[:n] for seed in range(3)]))
        with torch.no_grad():
            features = torch.stack([pipeline.features(w[None]) for w in waveforms])
            expected = content.model(features).softmax(-1).numpy()
        np.testing.assert_allclose(run(waveforms), expected, rtol=0, atol=1e-4, err_msg=str(n))
    assert expected.std() > 0.01


# -- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "match"),
    [
        pytest.param({"pcen": Pcen(), "min_max_norm": True}, "choose one", id="min-max"),
        pytest.param({"pcen": Pcen(), "freq_compression": "mfcc"}, "linear or mel", id="mfcc"),
    ],
)
def test_combinations_without_a_meaning_are_refused(options, match, capsys):
    with pytest.raises(ValueError, match=match):
        SignalConfig(**options)
    flags = ["--per_channel_normalization"]
    flags += ["--min_max_norm"] if "min_max_norm" in options else ["--freq_compression", "mfcc"]
    with pytest.raises(SystemExit) as ended:
        parse_config(flags)
    assert ended.value.code == 2
    assert match in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        pytest.param({"time_constant": 0.0}, "time_constant must be above 0", id="time"),
        pytest.param({"gain": 1.1}, "gain must be in 0..1", id="gain"),
        pytest.param({"bias": 0.0}, "bias must be above 0", id="bias"),
        pytest.param({"power": 0.0}, "power must be above 0", id="power"),
    ],
)
def test_impossible_numbers_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        Pcen(**options)


def test_it_is_off_unless_asked_for():
    assert TrainConfig().signal.pcen is None
    on = TrainConfig(per_channel_normalization=True).signal
    assert on == replace(TrainConfig().signal, pcen=Pcen())
    assert "pcen" not in TrainConfig().signal.data_opts()
    assert (TrainConfig().signal.normalization, on.normalization) == ("db_range", "pcen")

"""Which channel of a file is heard, and what a mix does to the channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from animal_spot.audio.channel_choice import checked
from animal_spot.audio.channels import ChannelLevels, pick
from animal_spot.audio.clip_files import ClipError, read_waveform
from animal_spot.audio.recordings import Recording, RecordingError, excerpt
from animal_spot.audio.signal_config import SignalConfig
from animal_spot.model_files.model_file import load_model, save_model
from animal_spot.training.config import TrainConfig, parse_config
from tests.helpers.prediction import LENGTH_S, RATE, make_content, predict_here, sound
from tests.helpers.prediction import messages as lines_of

N = 4 * RATE
CALLS = sound(4.0, seed=1)
OTHER = sound(4.0, seed=2)
HUM = (0.5 * np.sin(2 * np.pi * 50 * np.arange(N) / RATE)).astype(np.float32)
NOTHING = np.zeros(N, np.float32)


def problems(*channels: np.ndarray) -> str:
    return "; ".join(ChannelLevels.of(np.stack(channels, axis=1)).problems(RATE))


@pytest.mark.parametrize(
    ("channels", "said"),
    [
        pytest.param([CALLS, CALLS], "", id="two-equal"),
        pytest.param([CALLS, 0.3 * CALLS], "", id="one-quieter"),
        pytest.param([CALLS, OTHER], "", id="two-microphones"),
        pytest.param([CALLS], "", id="mono"),
        pytest.param([NOTHING, NOTHING], "", id="silence"),
        pytest.param([CALLS, -CALLS], "channels cancel each other", id="inverted"),
        # (1 - 0.98) / 2 of the amplitude is left: 20 log10(0.01) = -40 dB
        pytest.param([CALLS, -0.98 * CALLS], "their mix is 40 dB below one of them", id="98 %"),
        pytest.param([CALLS, HUM - CALLS], "channels cancel each other", id="inverted-and-hum"),
        pytest.param([CALLS, NOTHING], "channel 2 is empty", id="right-empty"),
        pytest.param([NOTHING, CALLS], "channel 1 is empty", id="left-empty"),
        pytest.param([CALLS, NOTHING, NOTHING], "channels 2 and 3 are empty", id="two-empty"),
        pytest.param([CALLS, HUM], "channel 2 is hum", id="hum"),
        pytest.param([HUM + 1e-3 * OTHER, CALLS], "channel 1 is hum", id="hum-and-some-noise"),
    ],
)
def test_problems_of_channels(channels, said):
    found = problems(*channels)
    assert found == "" if said == "" else said in found


@pytest.mark.parametrize("n_channels", [1, 2, 3, 8])
def test_the_mix_is_the_mean_to_the_bit(n_channels):
    values = np.random.default_rng(0).standard_normal((50_000, n_channels)).astype(np.float32)
    np.testing.assert_array_equal(pick(values), values.mean(axis=1, dtype=np.float32))


def test_levels_do_not_depend_on_the_blocks():
    samples = np.stack([CALLS, HUM - CALLS], axis=1)
    whole, parts = ChannelLevels.of(samples), ChannelLevels.none(2)
    for start in range(0, N, 8000):
        parts.add(samples[start : start + 8000])
    np.testing.assert_allclose(parts.difference, whole.difference, rtol=0.01)
    assert parts.loudest == whole.loudest


@pytest.mark.parametrize(
    ("channel", "expected"),
    [
        ("mix", (CALLS + HUM) / 2),
        ("1", HUM),
        ("2", CALLS),
        ("loudest", CALLS),  # though the hum has 10 times its amplitude
    ],
)
def test_what_is_heard(tmp_path, channel, expected):
    samples = np.stack([HUM, CALLS], axis=1)
    np.testing.assert_allclose(pick(samples, channel), expected, atol=1e-6)
    path = tmp_path / "x.wav"
    sf.write(path, samples, RATE, subtype="FLOAT")
    np.testing.assert_allclose(read_waveform(path, RATE, None, channel)[0], expected, atol=1e-6)
    with Recording(path, channel) as recording:
        blocks = list(recording.blocks(5000))
        assert recording.channel == {"mix": 1, "1": 1, "2": 2, "loudest": 2}[channel]
    np.testing.assert_allclose(np.concatenate(blocks), expected, atol=1e-6)
    part = excerpt(path, 0.0, 1.0, RATE, channel)
    np.testing.assert_allclose(part, expected[: len(part)], atol=1e-6)


def test_a_file_without_that_channel_is_refused(tmp_path):
    path = tmp_path / "mono.wav"
    sf.write(path, CALLS, RATE)
    for channel in ("1", "mix", "loudest"):
        np.testing.assert_allclose(read_waveform(path, RATE, None, channel)[0], CALLS, atol=1e-4)
    with pytest.raises(ClipError, match="no channel 2: the file has one channel"):
        read_waveform(path, RATE, None, "2")
    with pytest.raises(RecordingError, match="no channel 2: the file has one channel"):
        Recording(path, "2")


@pytest.mark.parametrize("text", ["", "0", "-1", "left", "1.5", "1025", "²", "1" * 5000])
def test_no_channel(text):
    with pytest.raises(ValueError, match="--channel must be mix, loudest or a number"):
        checked(text)


def test_spellings_of_a_channel():
    assert [checked(text) for text in (" MIX", "Loudest", 2, "02")] == [
        *("mix", "loudest", "2", "2")
    ]


def test_main_takes_a_channel_and_the_model_keeps_it(tmp_path):
    config = parse_config(["--channel", "02"])
    assert config.signal.channel == "2"
    assert config.signal.data_opts()["channel"] == "2"
    assert "channel" not in TrainConfig().signal.data_opts()  # the original's keys
    with pytest.raises(SystemExit):
        parse_config(["--channel", "left"])
    content = make_content()
    content.signal = SignalConfig(**(vars(content.signal) | {"channel": "loudest"}))
    save_model(content, tmp_path / "m.pk")
    assert load_model(tmp_path / "m.pk").signal.channel == "loudest"


@pytest.fixture(scope="module")
def inverted(tmp_path_factory) -> Path:
    """Return a folder with a recording and the same one with two opposite channels."""
    folder = tmp_path_factory.mktemp("inverted")
    sf.write(folder / "mono.wav", CALLS, RATE, subtype="FLOAT")
    sf.write(folder / "stereo.wav", np.stack([-CALLS, CALLS], axis=1), RATE, subtype="FLOAT")
    return folder


def test_prediction_warns_of_channels_that_cancel(inverted, models, tmp_path, capfd):
    run = ("--model_path", models("binary"), "--input_file", inverted)
    assert predict_here(*run, "--output_dir", tmp_path / "out", "--format", "raven", "csv") == 0
    (warning,) = [w for w in lines_of(capfd.readouterr().err, "W") if "cancel" in w]
    assert "stereo.wav: channels cancel each other" in warning
    assert "--channel" in warning
    assert "channels cancel each other" in (tmp_path / "out" / "summary.csv").read_text()

    again = (*run, "--output_dir", tmp_path / "out", "--format", "raven", "csv", "--channel", "2")
    (tmp_path / "mono").mkdir()
    assert predict_here(*again[:2], "--input_file", inverted / "stereo.wav", *again[4:]) == 0
    assert "complete already" not in capfd.readouterr().err  # another channel is another run
    assert (
        predict_here(
            *run[:2],
            "--input_file",
            inverted / "mono.wav",
            *again[4:6],
            "--format",
            "csv",
            "--no_resume",
        )
        == 0
    )

    def probabilities(name: str) -> list[str]:
        text = (tmp_path / "out" / f"{name}_predict_output.csv").read_text()
        return [line.split(",", 1)[1] for line in text.splitlines()]

    assert probabilities("stereo") == probabilities("mono")
    table = (tmp_path / "out" / "stereo.Table.1.selections.txt").read_text().splitlines()
    assert len(table) > 1
    assert {line.split("\t")[2] for line in table[1:]} == {"2"}
    assert float(table[1].split("\t")[4]) >= LENGTH_S


def test_prediction_hears_the_channel_of_the_model(inverted, models, tmp_path, capfd):
    content = make_content()
    content.signal = SignalConfig(**(vars(content.signal) | {"channel": "2"}))
    save_model(content, tmp_path / "right.pk")
    run = ("--input_file", inverted / "stereo.wav", "--format", "csv")
    assert predict_here(*run, "--model_path", tmp_path / "right.pk", "--output_dir", tmp_path) == 0
    assert "cancel" not in capfd.readouterr().err
    both = ("--model_path", tmp_path / "right.pk", models("binary"), "--output_dir", tmp_path)
    assert predict_here(*run, *both) == 1
    assert "choose with --channel" in capfd.readouterr().err
    assert predict_here(*run, *both, "--channel", "1") == 0

"""``synthesise_recording.py --from_clips``: from a folder of clips to recordings with tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from animal_spot.detections.annotation_tables import read_table
from tests.helpers.clips import make_corpus
from tests.helpers.places import ROOT
from tests.helpers.programs import run_here, run_python

WAV, TABLE = "recording1.wav", "recording1.Table.1.selections.txt"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """Tones of 900 Hz (K1) and 2200 Hz (K2), and 3500 Hz as the noise."""
    folder = tmp_path_factory.mktemp("corpus")
    return make_corpus(
        folder, {"K1": list("abcdef"), "K2": list("abcdef"), "noise": list("abcdef")}
    )


def mixed(folder: Path, corpus: Path, *flags: object):
    flags = ("--output_dir", folder, "--from_clips", corpus, "--minutes", 0.5, *flags)
    return run_here("synthesise_recording", *flags)


def loudest_hz(sound: np.ndarray, rate: int) -> float:
    return float(np.fft.rfftfreq(len(sound), 1 / rate)[np.abs(np.fft.rfft(sound)).argmax()])


def test_program_mixes_clips_and_says_where(corpus, tmp_path):
    """Asked as a process; what the table names is what sounds there."""
    result = run_python(
        *(ROOT / "ANIMAL-SPOT" / "synthesise_recording.py", "--from_clips", corpus),
        *("--output_dir", tmp_path, "--minutes", "0.5", "--snr", "20", "25", "--rate", "16000"),
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{tmp_path / WAV}: 0.5 minutes, 5 calls\n"
    assert "12 clips of calls, mixed into 6 clips of background" in result.stderr
    sound, rate = sf.read(tmp_path / WAV)
    assert (rate, len(sound)) == (16000, 30 * 16000)
    rows = read_table(tmp_path / TABLE)
    assert {row.name for row in rows} == {"K1", "K2"}
    assert len(rows) == 5
    for row in rows:
        part = sound[round(row.begin_s * rate) : round(row.end_s * rate)]
        assert loudest_hz(part, rate) == pytest.approx({"K1": 900, "K2": 2200}[row.name], abs=30)
    before = sound[: round(rows[0].begin_s * rate)]
    assert loudest_hz(before, rate) == pytest.approx(3500, abs=30)


def test_background_dir_is_used_instead_of_the_noise_class(corpus, tmp_path):
    hum = 0.1 * np.sin(2 * np.pi * 600 * np.arange(3 * 16000) / 16000)
    (tmp_path / "sea").mkdir()
    sf.write(tmp_path / "sea" / "hum.wav", hum, 16000)
    flags = ("--background_dir", tmp_path / "sea", "--calls_per_minute", 0)
    assert mixed(tmp_path / "out", corpus, *flags).returncode == 0
    sound, rate = sf.read(tmp_path / "out" / WAV)
    assert loudest_hz(sound, rate) == pytest.approx(600, abs=5)
    assert read_table(tmp_path / "out" / TABLE) == []


def test_what_is_no_clip_is_left_out_and_without_noise_it_is_made(tmp_path):
    corpus = make_corpus(tmp_path / "clips", {"K1": list("abc")})
    (corpus / "K1" / "K1-call_9_2020_z_0_300.wav").write_bytes(b"RIFF")
    done = mixed(tmp_path / "out", corpus)
    assert done.returncode == 0
    assert "K1-call_9_2020_z_0_300.wav is left out" in done.stderr
    assert "noise made after the quiet parts of 3 clips" in done.stderr


def test_only_clips_of_a_partition_are_used(tmp_path):
    corpus = make_corpus(tmp_path / "clips", {"K1": list("abc"), "K2": list("abc")})
    done = mixed(tmp_path / "out", corpus, "--partition", "test")
    assert done.returncode == 2
    assert "--partition test: no split is stored" in done.stderr
    for partition, name in (("train", "K1"), ("val", "K1"), ("test", "K2")):
        rows = [f"K1/{p.name}" for p in sorted((corpus / name).glob("*.wav"))]
        (corpus / partition).write_text(f"{name}/{partition}.csv\n")
        (corpus / name / f"{partition}.csv").write_text(
            "".join(f"{Path(row).name}\n" for row in rows)
        )
    assert mixed(tmp_path / "out", corpus, "--partition", "test").returncode == 0
    assert {row.name for row in read_table(tmp_path / "out" / TABLE)} == {"K2"}


def test_what_is_there_is_not_replaced(corpus, tmp_path):
    (tmp_path / WAV).write_text("mine")
    done = mixed(tmp_path, corpus)
    assert done.returncode == 2
    assert "recording1.wav is there already" in done.stderr
    assert (tmp_path / WAV).read_text() == "mine"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        pytest.param(("--snr", 9, 3), "the lesser first", id="snr"),
        pytest.param(("--noise_class", "sea"), "there is no such class", id="class"),
        pytest.param(("--background_dir", "nowhere"), "--background_dir nowhere", id="folder"),
        pytest.param(("--calls_per_minute", 60), "do not fit", id="too-many"),
        pytest.param(("--rate", 10), "at least 1000 Hz", id="rate"),
    ],
)
def test_impossible_settings_are_refused(corpus, tmp_path, flags, message):
    done = mixed(tmp_path / "out", corpus, *flags)
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_settings_of_mixing_need_clips(tmp_path):
    done = run_here("synthesise_recording", "--output_dir", tmp_path / "out", "--snr", 3, 9)
    assert done.returncode == 2
    assert "--snr needs --from_clips" in done.stderr

from __future__ import annotations

import csv
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from animal_spot.demo.corpus import CALL_TYPES
from animal_spot.demo.recording import choose_types, occupied_band
from animal_spot.mixing.placement import LEAST_GAP_S
from animal_spot.synthesise_recording import main
from tests.helpers.places import ROOT
from tests.helpers.programs import run_python

WAV, TABLE = "recording1.wav", "recording1.Table.1.selections.txt"
HEADER = [
    "Selection",
    "View",
    "Channel",
    "Begin Time (s)",
    "End Time (s)",
    "Low Freq (Hz)",
    "High Freq (Hz)",
    "Annotation",
]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    script = ROOT / "ANIMAL-SPOT" / "synthesise_recording.py"
    return run_python(script, *arguments)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("recording")
    result = run("--output_dir", path, "--minutes", "1", "--seed", "3")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert result.stdout == f"{path / WAV}: 1 minutes, {len(read_table(path))} calls\n"
    return path


def read_table(folder: Path) -> list[dict[str, str]]:
    with open(folder / TABLE, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_table_is_one_of_raven(folder):
    text = (folder / TABLE).read_text(encoding="utf-8")
    assert text.split("\n")[0].split("\t") == HEADER
    assert text.endswith("\n")
    rows = read_table(folder)
    assert [int(row["Selection"]) for row in rows] == list(range(1, len(rows) + 1))
    assert {(row["View"], row["Channel"]) for row in rows} == {("Spectrogram 1", "1")}
    assert {row["Annotation"] for row in rows} == set(CALL_TYPES)
    for row in rows:
        for column, decimals in (("Time (s)", 3), ("Freq (Hz)", 1)):
            for name in (n for n in HEADER if n.endswith(column)):
                assert len(row[name].split(".")[1]) == decimals


def test_calls_keep_their_distance_and_length(folder):
    times = [(float(r["Begin Time (s)"]), float(r["End Time (s)"])) for r in read_table(folder)]
    duration = sf.info(folder / WAV).duration
    begins, ends = np.array([*times, (duration, 0)]).T
    gaps = begins - np.concatenate([[0], ends[:-1]])
    assert gaps.min() >= LEAST_GAP_S - 0.002, "rounded to milliseconds"
    for row, (begin, end) in zip(read_table(folder), times, strict=True):
        assert end - begin == pytest.approx(CALL_TYPES[row["Annotation"]].duration_s, rel=0.16)


def test_sound_is_loudest_where_the_table_says(folder):
    """In its band, each call is stronger than the half seconds before and after it."""
    sound, rate = sf.read(folder / WAV)
    assert (rate, sf.info(folder / WAV).subtype, len(sound)) == (44100, "PCM_16", 60 * 44100)
    assert 0.05 < np.abs(sound).max() < 1
    gains_db = []
    for row in read_table(folder):
        begin, end = (round(float(row[f"{edge} Time (s)"]) * rate) for edge in ("Begin", "End"))
        band = [float(row[f"{edge} Freq (Hz)"]) for edge in ("Low", "High")]
        before, inside, after = (
            power_in_band(sound[first:last], band, rate)
            for first, last in ((begin - rate // 2, begin), (begin, end), (end, end + rate // 2))
        )
        assert inside > max(before, after)
        gains_db.append(10 * np.log10(inside / max(before, after)))
    assert np.median(gains_db) > 3


def power_in_band(part: np.ndarray, band: list[float], rate: int) -> float:
    energy = np.abs(np.fft.rfft(part)) ** 2
    frequency = np.fft.rfftfreq(len(part), 1 / rate)
    return energy[(frequency >= band[0]) & (frequency <= band[1])].sum() / len(part) ** 2


def test_calls_begin_and_end_where_the_table_says(tmp_path, monkeypatch):
    monkeypatch.setattr("animal_spot.demo.recording.NOISE_DB", -80)
    monkeypatch.setattr("animal_spot.demo.recording.LEVELS_DB", (60, 60))
    assert main(["--output_dir", str(tmp_path), "--minutes", "0.5"]) == 0
    sound, rate = sf.read(tmp_path / WAV)
    milliseconds = len(sound) // (rate // 1000)
    loudest = np.abs(sound[: milliseconds * (rate // 1000)]).reshape(milliseconds, -1).max(1)
    heard = (np.flatnonzero(loudest > 0.002) + 0.5) * (rate // 1000) / rate  # noise: below 0.001
    inside = np.zeros(len(heard), dtype=bool)
    for row in read_table(tmp_path):
        begin, end = float(row["Begin Time (s)"]), float(row["End Time (s)"])
        own = (heard > begin - 0.001) & (heard < end + 0.001)
        assert heard[own][0] < begin + 0.02, "a call fades in from nothing"
        assert heard[own][-1] > end - 0.02
        inside |= own
    assert inside.all(), "there is sound outside the table's rows"


def test_same_seed_gives_same_bytes_and_another_does_not(folder, tmp_path):
    for name, seed in (("same", 3), ("other", 4)):
        main(["--output_dir", str(tmp_path / name), "--minutes", "1", "--seed", str(seed)])
    for file in (WAV, TABLE):
        first = (folder / file).read_bytes()
        assert (tmp_path / "same" / file).read_bytes() == first
        assert (tmp_path / "other" / file).read_bytes() != first


def test_several_recordings_are_others_each(folder, tmp_path):
    flags = ("--output_dir", str(tmp_path), "--minutes", "1", "--seed", "3", "--recordings", "3")
    assert main([*flags, "--name", "tape"]) == 0
    sounds = [(tmp_path / f"tape{n}.wav").read_bytes() for n in (1, 2, 3)]
    assert sounds[0] == (folder / WAV).read_bytes()
    assert len(set(sounds)) == 3
    tables = {path.read_text() for path in tmp_path.glob("*.selections.txt")}
    assert len(tables) == 3


def test_each_type_comes_and_common_ones_more_often():
    names = choose_types(42, np.random.default_rng(0))
    counts = {name: names.count(name) for name in CALL_TYPES}
    assert counts == {"N01": 10, "N04": 10, "N07": 10, "N09": 10, "N23": 2}
    assert sorted(choose_types(1, np.random.default_rng(0))) == sorted(CALL_TYPES)
    assert names != sorted(names)


def test_band_of_two_tones_reaches_from_one_to_the_other():
    t = np.arange(44100) / 44100
    sound = np.sin(2 * np.pi * 700 * t) + np.sin(2 * np.pi * 3000 * t)
    assert occupied_band(sound + 0.01 * np.sin(2 * np.pi * 9000 * t)) == (700.0, 3000.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--minutes", "0"], "--minutes must be above 0", id="no-length"),
        pytest.param(["--minutes", "31"], "at most 30, got 31", id="too-long"),
        pytest.param(["--minutes", "nan"], "got nan", id="nan"),
        pytest.param(["--minutes", "0.1"], "do not fit into 6 s", id="too-short"),
        pytest.param(["--calls_per_minute", "-1"], "must be 0 to 60", id="negative"),
        pytest.param(
            ["--minutes", "1", "--calls_per_minute", "60"], "do not fit into 60 s", id="too-many"
        ),
        pytest.param(["--recordings", "0"], "--recordings must be 1 to", id="none"),
        pytest.param(["--name", "a/b"], "--name must be letters", id="name"),
        pytest.param(["--seed", "-1"], "--seed must be at least 0", id="seed"),
    ],
)
def test_impossible_setting_ends_with_status_2(tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as raised:
        main(["--output_dir", str(tmp_path / "out"), *arguments])
    assert raised.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_help_and_folder_that_cannot_be_written(tmp_path):
    result = run("--help")
    assert result.returncode == 0
    assert "--minutes" in result.stdout
    (tmp_path / "file").write_text("")
    result = run("--output_dir", tmp_path / "file" / "below", "--minutes", "0.5")
    assert result.returncode == 1
    assert "cannot write" in result.stderr
    assert len(result.stderr.splitlines()) == 1

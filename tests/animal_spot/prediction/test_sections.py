"""Long recordings: the numbers of sections, done by one predictor or by any, are the same."""

from __future__ import annotations

import os
from dataclasses import fields

import numpy as np
import pytest
import soundfile as sf

from animal_spot.audio import sections, sound_file
from animal_spot.detections.decisions import DecisionRule
from animal_spot.prediction.outcome import RecordingEnd
from animal_spot.prediction.predictor import Predictor
from animal_spot.prediction.section_files import joined, keep_section, remove_section
from tests.animal_spot.prediction.test_predictor import MeanEngine, detector
from tests.helpers.prediction import sound, write_sound

FACTS = [each.name for each in fields(RecordingEnd) if each.name != "heard"]


@pytest.fixture(autouse=True)
def short_sections(monkeypatch):
    monkeypatch.setattr(sections, "SECTION_S", 3.0)


def predictor(*detectors, **options) -> Predictor:
    detectors = detectors or (detector(MeanEngine(batch_size=5)),)
    return Predictor(detectors, n_readers=0, keep_embeddings=True, **options)


def numbers_of(outcome) -> list[bytes]:
    spools = outcome.probabilities, outcome.embeddings
    return [np.concatenate(list(spool.batches(7))).tobytes() for spool in spools]


def apart(predictor, path, folder):
    """Do each section by itself, the last one first, as workers might; join them."""
    parts = predictor.parts_of(path)
    files = [folder / f"{part.index}.section" for part in parts]
    for part, file in reversed(list(zip(parts, files, strict=True))):
        (outcome,) = predictor.run([path], part)
        keep_section(file, outcome)
        outcome.close()
    found = joined(path, files, parts[0], predictor.detectors[0].grid, None)
    for file in files:
        remove_section(file)
    assert list(folder.iterdir()) == []
    return found


def stereo(path, seconds, rate, **options):
    heard = np.stack([sound(seconds, 1, rate), 0.001 * sound(seconds, 2, rate)], 1)
    path.parent.mkdir(exist_ok=True)
    sf.write(path, heard, rate, **options)
    return path


@pytest.mark.parametrize("channel", ["mix", "loudest", "2"])
@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_sections_done_apart_are_those_of_one_predictor(suffix, channel, tmp_path):
    path = stereo(tmp_path / f"in/a.{suffix}", 31.3, 22_050)
    rule = DecisionRule(("noise", "target"), noise="noise")
    detectors = (
        detector(MeanEngine(5), exact=MeanEngine(5)),
        detector(MeanEngine(8, 2.0), sr=32_000),
    )
    several = predictor(*detectors, channel=channel, rule=rule)
    (whole,) = several.run([path])
    (tmp_path / "parts").mkdir()
    found = apart(several, path, tmp_path / "parts")
    assert len(several.parts_of(path)) == 10
    assert numbers_of(found) == numbers_of(whole)
    assert [getattr(found, name) for name in FACTS] == [getattr(whole, name) for name in FACTS]
    assert (whole.n_windows, whole.reason) == (249, "")
    assert any("channel 2 is empty" in text for text in whole.warnings) == (channel == "mix")
    assert found.is_complete


@pytest.mark.parametrize(("rate", "off"), [(16_000, 0), (22_050, 2e-5)])
def test_sections_are_what_the_recording_in_one_go_is(rate, off, tmp_path, monkeypatch):
    path = write_sound(tmp_path / "a.wav", 30.9, rate=rate, subtype="FLOAT")
    plain = detector(MeanEngine(batch_size=1), last_window=True)
    (divided,) = predictor(plain).run([path])
    monkeypatch.setattr(sections, "SECTION_S", 1e6)
    (whole,) = predictor(plain).run([path])
    assert [getattr(divided, name) for name in FACTS] == [getattr(whole, name) for name in FACTS]
    assert divided.n_windows == whole.n_windows
    one, other = (np.concatenate(list(o.embeddings.batches(99))) for o in (divided, whole))
    np.testing.assert_allclose(one, other, rtol=0, atol=off)
    assert np.array_equal(one, other) == (rate == 16_000)


def test_batches_end_with_a_section(tmp_path):
    """So what an arithmetic makes of a window does not depend on who does the section before."""
    short, long = write_sound(tmp_path / "a.wav", 0.5), write_sound(tmp_path / "b.wav", 12.3)
    engine = MeanEngine(batch_size=16)
    for _ in predictor(detector(engine)).run([short, long, short]):
        pass
    assert engine.sizes == [3, 16, 8, 16, 8, 16, 8, 16, 9, 3]


def test_what_cannot_be_used_is_said_as_before(tmp_path):
    samples = sound(30, 1, 48_000)
    path = tmp_path / "a.flac"
    sf.write(path, samples, 48_000)
    content = bytearray(path.read_bytes())
    middle = len(content) * 6 // 10
    content[middle : middle + 3000] = bytes(3000)
    path.write_bytes(content)
    several = predictor()
    (whole,) = several.run([path])
    assert whole.reason.startswith("damaged after")
    reasons = []
    for part in several.parts_of(path):
        (outcome,) = several.run([path], part)
        reasons.append(outcome.reason)
        outcome.close()
    assert reasons[4] == ""
    assert next(filter(None, reasons)) == whole.reason
    path.write_bytes(b"RIFF")
    assert several.parts_of(path) == []


def test_a_wild_answer_in_a_section_fails_the_recording(tmp_path):
    path = write_sound(tmp_path / "in" / "a.wav", 31)
    several = predictor(detector(MeanEngine(5, weight=float("inf"))))
    (whole,) = several.run([path])
    (tmp_path / "parts").mkdir()
    found = apart(several, path, tmp_path / "parts")
    assert found.reason == whole.reason
    assert "not a finite number" in found.reason


def test_a_flac_file_is_looked_through_once(tmp_path, monkeypatch):
    """Each worker would read all of a day, from a network drive, before its section."""
    path = write_sound(tmp_path / "a.flac", 20)
    several = predictor()
    parts = several.parts_of(path)
    monkeypatch.setattr(sound_file, "_count_once", None)
    (outcome,) = several.run([path], parts[1])
    assert (outcome.reason, outcome.n_windows) == ("", 24)


@pytest.mark.parametrize("suffix", ["mp3", "ogg"])
def test_formats_without_exact_places_stay_whole(suffix, tmp_path):
    path = write_sound(tmp_path / f"a.{suffix}", 20, rate=22_050)
    assert predictor().parts_of(path) == []
    engine = MeanEngine(batch_size=64)
    (outcome,) = predictor(detector(engine)).run([path])
    assert engine.sizes[0] == 64, "and are no sections either"
    outcome.close()


def test_a_file_that_changes_between_two_sections_is_not_used(tmp_path):
    path = write_sound(tmp_path / "a.wav", 20)
    several = predictor()
    parts = several.parts_of(path)
    files = [tmp_path / f"{part.index}.section" for part in parts]
    for part, file in zip(parts, files, strict=True):
        (outcome,) = several.run([path], part)
        keep_section(file, outcome)
    grid = several.detectors[0].grid
    os.chmod(path, 0o600)
    assert joined(path, files, parts[0], grid, None).reason == "", "its bytes are the same"
    os.utime(path, ns=(5, 5))
    assert joined(path, files, parts[0], grid, None).reason == "changed while it was read"
    (outcome,) = several.run([path], parts[1])
    assert outcome.reason == "changed while it was read"
    path.unlink()
    assert joined(path, files, parts[0], grid, None).reason.startswith("unreadable: No such file")

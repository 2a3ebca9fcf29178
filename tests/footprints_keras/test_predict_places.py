"""When and where photos were taken, from the photo to each file that predict writes."""

from __future__ import annotations

import csv
import json
import os

import pytest

from footprints import predict
from footprints.network.classifier import Classifier
from footprints.pictures.photo_exif import taken_of
from footprints.places.privacy import rounded
from footprints.prediction import sources
from tests.helpers.field_photos import SECRETS, field_exif, write_field_photo
from tests.helpers.keras_models import save
from tests.helpers.photos import marker, noisy
from tests.helpers.programs import run_step

SETT = (47.2345, -8.5)
PLACE = ("47.2345", "-8.5", "512.5")


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    write_field_photo(folder / "sett.jpg", marker(), field_exif())
    broken = write_field_photo(folder / "broken.jpg", noisy(), field_exif(zone=None))
    os.truncate(broken, broken.stat().st_size // 2)
    save(folder / "plain.png", marker())
    return folder


def rows_of(path):
    with path.open(encoding="utf-8") as file:
        return {row["photo"]: row for row in csv.DictReader(file)}


def place_in(row):
    return row["latitude"], row["longitude"], row["altitude_m"]


def texts_in(folder) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_every_table_and_the_copies_say_when_and_where(photos, model_file, tmp_path):
    out = tmp_path / "out"
    flags = ("--model", model_file, "--detector", "none", "--output_dir", out, "--annotate")
    done = run_step("predict", photos, *flags, "--processes", 1)
    assert done.returncode == 3, done.stderr
    rows = rows_of(out / "predictions.csv")
    assert rows["sett.jpg"]["taken_at"] == "2026-03-01T07:15:00+01:00"
    assert rows["sett.jpg"]["camera"] == "Canon EOS R7"
    assert place_in(rows["sett.jpg"]) == PLACE
    assert place_in(rows["plain.png"]) == ("", "", "")
    assert list(rows["plain.png"])[-6] == "note", "older columns stay where they were"
    failed = rows_of(out / "failed_photos.csv")["broken.jpg"]
    assert failed["taken_at"] == "2026-03-01T07:15:00"
    assert place_in(failed) == PLACE
    result = json.loads((out / "predictions.json").read_text())
    records = {one["photo"]: one for one in [*result["photos"], *result["failed"]]}
    assert records["sett.jpg"]["latitude"] == records["broken.jpg"]["latitude"] == SETT[0]
    assert records["plain.png"]["latitude"] is None
    [feature] = json.loads((out / "answers.geojson").read_text())["features"]
    assert feature["geometry"]["coordinates"] == [-8.5, 47.2345, 512.5]
    assert "<coordinates>-8.5,47.2345,512.5</coordinates>" in (out / "answers.kml").read_text()
    assert (out / "report_figures" / "prediction_map.svg").is_file()
    assert "When and where" in (out / "report.html").read_text(encoding="utf-8")
    copy = (out / "annotated" / "sett.jpg").read_bytes()
    assert taken_of(copy) == taken_of(photos / "sett.jpg")
    assert not any(secret in copy for secret in SECRETS)


@pytest.fixture
def fast(model_file, monkeypatch):
    """Let runs in this process use a model that is loaded already."""
    classifier = Classifier(model_file)
    monkeypatch.setattr(sources, "Classifier", lambda path: classifier)


def run_main(*arguments: object) -> int:
    return predict.main([str(one) for one in (*arguments, "--processes", 1)])


@pytest.mark.usefixtures("fast")
def test_stripped_of_positions_nothing_tells_them_any_more(photos, model_file, tmp_path):
    out = tmp_path / "out"
    argv = (photos, "--model", model_file, "--detector", "none", "--output_dir", out, "--annotate")
    assert run_main(*argv) == 3  # what an earlier run told must go too
    assert b"47.2345" in texts_in(out)
    assert run_main(*argv, "--strip_location") == 3
    assert b"47.2345" not in texts_in(out)
    assert not list(out.glob("answers.*")) + list(out.rglob("*_map.*"))
    copy = taken_of(out / "annotated" / "sett.jpg")
    assert not copy.has_place
    assert copy.taken_at == "2026-03-01T07:15:00+01:00"
    assert place_in(rows_of(out / "predictions.csv")["sett.jpg"]) == ("", "", "")


@pytest.mark.usefixtures("fast")
def test_rounded_positions_are_all_that_is_told(photos, model_file, tmp_path):
    out = tmp_path / "out"
    argv = (photos, "--model", model_file, "--detector", "none", "--output_dir", out, "--annotate")
    assert run_main(*argv, "--no_report", "--round_location_km", 10) == 3
    assert b"47.2345" not in texts_in(out)
    assert not taken_of(out / "annotated" / "sett.jpg").has_place
    row = rows_of(out / "predictions.csv")["sett.jpg"]
    assert tuple(map(float, place_in(row)[:2])) == rounded(*SETT, 10)
    [feature] = json.loads((out / "answers.geojson").read_text())["features"]
    assert feature["geometry"]["coordinates"] == [*reversed(rounded(*SETT, 10))]
    assert json.loads((out / "predictions.json").read_text())["round_location_km"] == 10


@pytest.mark.usefixtures("fast")
def test_files_that_still_tell_places_are_named(photos, model_file, tmp_path, capsys):
    out = tmp_path / "out"
    common = (photos / "sett.jpg", "--model", model_file, "--detector", "none", "--output_dir", out)
    argv = (*common, "--no_report")
    assert run_main(*argv, "--annotate") == 0
    assert run_main(*argv, "--strip_location") == 0
    assert "annotated of an earlier run may say where" in capsys.readouterr().err
    assert taken_of(out / "annotated" / "sett.jpg").has_place, "it is left, but named"
    assert run_main(*argv, "--strip_location", "--annotate") == 0
    assert "may say where" not in capsys.readouterr().err


def test_stripped_and_rounded_at_once_is_refused(photos, model_file, capsys):
    argv = [str(photos), "--model", str(model_file), "--detector", "none"]
    with pytest.raises(SystemExit) as caught:
        predict.main([*argv, "--strip_location", "--round_location_km", "5"])
    assert caught.value.code == 2
    assert "not both" in capsys.readouterr().err

"""Answers as a Camera Trap Data Package, validated by frictionless."""

from __future__ import annotations

import csv
import datetime
import json
from pathlib import Path

import frictionless
import pytest

from footprints import export_camtrap
from footprints.places.camtrap_dp import FILES, Sighting, Study, camtrap_dp
from footprints.places.taken import Taken
from footprints.scores.answers import Answer
from tests.helpers.camtrap_schema import PACKAGE_KEYS, PROJECT_KEYS, schema_of
from tests.helpers.programs import call, run_step

AT = Taken("2026-03-01T07:15:00+01:00", 47.2345, -8.5, 512.5, "Canon EOS R7")
FLAGS = ("--title", "Tracks of the Töss", "--contributor", "A. Müller", "B & C")


def answer(name: str, taken: Taken, best: str = "fox", certain: bool = True) -> dict:
    """Return a photo as predict writes it; the print is 20 x 30 pixels in 200 x 100."""
    return Answer(
        source=Path(name),
        name=name,
        answer=best if certain else "unknown",
        certain=certain,
        ranking=((best, 0.8123), ("otter", 0.1)),
        box_xyxy=(10.0, 20.0, 30.0, 50.0),
        detection_confidence=0.9,
        print_found=True,
        width=200,
        height=100,
        taken=taken,
    ).record()


def later(minutes: int, north_m: float = 0.0, **changes) -> Taken:
    time = datetime.datetime.fromisoformat(AT.taken_at) + datetime.timedelta(minutes=minutes)
    values = AT.record() | {"taken_at": time.isoformat(), "latitude": 47.2345 + north_m / 111_195}
    return Taken(**(values | changes))


PHOTOS = [
    answer("monday/a.jpg", AT),
    answer("monday/b.HEIC", later(9, 40), "roe deer"),
    answer("monday/c.jpg", later(3, 300), certain=False),
    answer("tuesday/a.jpg", later(1440)),
    answer("plain.jpg", Taken()),
    answer("no zone.jpg", later(0, taken_at="2026-07-01T07:15:00")),
    answer("../up.jpg", AT),
]


@pytest.fixture
def answers(tmp_path) -> Path:
    (tmp_path / "answers").mkdir()
    content = {"model": "models/mobilenet_real.keras", "photos": PHOTOS}
    (tmp_path / "answers" / "predictions.json").write_text(json.dumps(content), encoding="utf-8")
    species = "class,scientificName\nfox,Vulpes vulpes\notter,Lutra lutra\n"
    (tmp_path / "species.csv").write_text(species)
    return tmp_path / "answers"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def errors_of(package: Path) -> list:
    """Return what frictionless finds wrong, with the schemas of the standard beside the tables."""
    content = json.loads((package / "datapackage.json").read_text(encoding="utf-8"))
    for resource in content["resources"]:
        table = resource["name"]
        assert resource["schema"].endswith(f"/tdwg/camtrap-dp/1.0.1/{table}-table-schema.json")
        schema = schema_of(table)
        with (package / resource["path"]).open(encoding="utf-8", newline="") as file:
            head = next(csv.reader(file))
        order = [field["name"] for field in schema["fields"]]
        required = {f["name"] for f in schema["fields"] if f["constraints"].get("required")}
        assert head == [name for name in order if name in head], "in the standard's order"
        assert required <= {*head}
        schema["fields"] = [field for field in schema["fields"] if field["name"] in head]
        resource["schema"] = schema
    content.pop("profile")  # is on the net
    checked = frictionless.Package.from_descriptor(content, basepath=str(package))
    return checked.validate().flatten(["type", "message"])


def test_package_is_valid(answers, tmp_path) -> None:
    out = tmp_path / "package"
    flags = (*FLAGS, "--species", tmp_path / "species.csv", "--time_zone", "Europe/Zurich")
    done = run_step("export_camtrap", answers, "--output_dir", out, *flags)
    assert done.returncode == 3, done.stderr
    assert "5 photos of 4 deployments" in done.stdout
    assert errors_of(out) == []
    left_out = {row["photo"]: row["reason"] for row in rows_of(out / "left_out.csv")}
    assert left_out.keys() == {"plain.jpg", "../up.jpg"}
    package = json.loads((out / "datapackage.json").read_text(encoding="utf-8"))
    assert package.keys() >= PACKAGE_KEYS
    assert package["project"].keys() >= PROJECT_KEYS
    assert package["temporal"] == {"start": "2026-03-01", "end": "2026-07-01"}
    assert [one["scientificName"] for one in package["taxonomic"]] == ["Vulpes vulpes"]
    assert [one["role"] for one in package["contributors"]] == ["contact", "contributor"]
    assert [-8.5, 47.2345] in package["spatial"]["coordinates"], "longitude first"


def test_a_weak_model_is_called_so_in_the_package(answers, tmp_path) -> None:
    content = json.loads((answers / "predictions.json").read_text(encoding="utf-8"))
    content["note"] = "weak model: 30% of 120 validation photos were right"
    (answers / "predictions.json").write_text(json.dumps(content), encoding="utf-8")
    out = tmp_path / "package"
    done = call(export_camtrap.main, answers, "--output_dir", out, *FLAGS)
    assert content["note"] in done.stdout
    comments = [row["observationComments"] for row in rows_of(out / "observations.csv")]
    assert [text.split("; ")[-1] for text in comments] == [content["note"]] * len(comments)
    assert "perhaps fox (0.81); weak model" in "\n".join(comments)
    package = json.loads((out / "datapackage.json").read_text(encoding="utf-8"))
    assert "Weak model: 30% of 120" in package["project"]["description"]


def test_validation_finds_what_is_wrong(answers, tmp_path) -> None:
    """Else the test above would say nothing."""
    out = tmp_path / "package"
    call(export_camtrap.main, answers, "--output_dir", out, *FLAGS)
    media = out / "media.csv"
    media.write_text(media.read_text().replace("+01:00", "").replace("d0001", "d0009"))
    assert {kind for kind, _ in errors_of(out)} == {"type-error", "foreign-key"}


def test_rows_say_what_the_answers_said(answers, tmp_path) -> None:
    out = tmp_path / "package"
    species = tmp_path / "species.csv"
    done = call(export_camtrap.main, answers, "--output_dir", out, *FLAGS, "--species", species)
    assert done.returncode == 3
    media = {row["filePath"]: row for row in rows_of(out / "media.csv")}
    seen = {row["mediaID"]: row for row in rows_of(out / "observations.csv")}
    places = {row["deploymentID"]: row for row in rows_of(out / "deployments.csv")}
    fox, deer, unknown = (
        seen[media[f"monday/{name}"]["mediaID"]] for name in ("a.jpg", "b.HEIC", "c.jpg")
    )
    assert (fox["observationType"], fox["scientificName"]) == ("animal", "Vulpes vulpes")
    assert fox["classificationProbability"] == "0.8123"
    box = [float(fox[f"bbox{name}"]) for name in ("X", "Y", "Width", "Height")]
    assert box == [0.05, 0.2, 0.1, 0.3]
    assert fox["classifiedBy"].endswith("mobilenet_real.keras")
    assert (deer["scientificName"], deer["observationTags"]) == ("", "sign:track | class:roe deer")
    assert (unknown["observationType"], unknown["scientificName"]) == ("unknown", "")
    assert unknown["classificationProbability"] == ""
    assert "perhaps fox" in unknown["observationComments"]
    assert media["monday/b.HEIC"]["fileMediatype"] == "image/heic"
    near = places[fox["deploymentID"]]
    assert deer["deploymentID"] == fox["deploymentID"] != unknown["deploymentID"]
    start, end = "2026-03-01T07:15:00+01:00", "2026-03-01T07:24:00+01:00"
    assert (near["deploymentStart"], near["deploymentEnd"]) == (start, end)
    assert near["coordinateUncertainty"] in ("40", "41"), "as far as its photos are apart"
    assert (near["locationName"], near["cameraModel"]) == ("monday", "Canon EOS R7")
    left_out = {row["photo"]: row["reason"] for row in rows_of(out / "left_out.csv")}
    assert "--time_zone" in left_out["no zone.jpg"]


def test_zone_that_is_given_knows_summer_time() -> None:
    from zoneinfo import ZoneInfo

    one = Sighting("a.jpg", later(0, taken_at="2026-07-01T07:15:00"), "fox", "fox", 0.9, (), (9, 9))
    study = Study("t", ("n",), "m", zone=ZoneInfo("Europe/Zurich"))
    now = datetime.datetime(2026, 11, 28, tzinfo=datetime.timezone.utc)
    export = camtrap_dp([one], study, now)
    assert export.tables["media.csv"][1][2] == "2026-07-01T07:15:00+02:00"
    assert export.package["created"] == "2026-11-28T00:00:00+00:00"


def test_rounded_places_say_how_uncertain_they_are(answers, tmp_path) -> None:
    path = answers / "predictions.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"round_location_km": 10.0}))
    call(export_camtrap.main, answers, "--output_dir", tmp_path / "p", *FLAGS)
    found = {row["coordinateUncertainty"] for row in rows_of(tmp_path / "p" / "deployments.csv")}
    assert found == {"7072"}, "half the diagonal of a square of 10 km"


@pytest.mark.parametrize(
    ("photos", "said"),
    [
        pytest.param([answer("a.jpg", Taken())], "no photo can be exported.*where", id="no-place"),
        pytest.param([], "no photo can be exported", id="none"),
        pytest.param([{"photo": "a.jpg"}], "not as predict wrote it", id="damaged"),
    ],
)
def test_nothing_to_export(photos, said, answers, tmp_path) -> None:
    (answers / "predictions.json").write_text(json.dumps({"photos": photos}))
    argv = [str(answers), "--output_dir", str(tmp_path / "p"), *FLAGS]
    with pytest.raises(export_camtrap.UserError, match=said):
        export_camtrap.main(argv)
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--time_zone", "Mars/Olympus"), "no time zone 'Mars/Olympus'"),
        (("--time_zone", "../../etc"), "no time zone"),
        (("--metres", "-1"), "must lie from 0"),
    ],
)
def test_wrong_flags(flags, said, answers, tmp_path) -> None:
    done = call(export_camtrap.main, answers, "--output_dir", tmp_path / "p", *FLAGS, *flags)
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("name,latin\nfox,Vulpes vulpes\n", "needs the columns class and scientificName"),
        ("class,scientificName\nfox,Vulpes vulpes\nfox,Canis lupus\n", "has two names"),
    ],
)
def test_wrong_table_of_species(table, said, answers, tmp_path) -> None:
    (tmp_path / "species.csv").write_text(table)
    argv = [str(answers), "--output_dir", str(tmp_path / "p"), *FLAGS]
    with pytest.raises(export_camtrap.UserError, match=said):
        export_camtrap.main([*argv, "--species", str(tmp_path / "species.csv")])


def test_edited_tables_stay_and_predict_keeps_its_own(answers, tmp_path) -> None:
    """The package may lie in the folder of answers: each step knows its own files."""
    argv = (answers, "--output_dir", answers, *FLAGS)
    call(export_camtrap.main, *argv)
    (answers / FILES[0]).write_text("edited")
    done = call(export_camtrap.main, *argv)
    assert "was edited" in done.stderr
    assert (answers / FILES[0]).read_text() == "edited"
    assert not (answers / ".written.json").exists()

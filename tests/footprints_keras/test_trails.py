"""Trails from photos with EXIF to the tables, with a real network and a detector of red squares."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

from footprints import evaluate, predict
from footprints.network.classifier import Classifier
from footprints.pictures import crops
from footprints.scores.combining import combined
from footprints.system.errors import UserError
from tests.helpers.detector import photo_with_square, red_square_detector
from tests.helpers.field_photos import field_exif
from tests.helpers.keras_models import CLASSES, SIDE, write_model
from tests.helpers.keras_steps import even, make_prepared
from tests.helpers.programs import call, run_step

BOXES = ((32, 48, 48, 64), (80, 16, 96, 32))


def photo(seed: int, n_prints: int) -> np.ndarray:
    """A photo with red squares on a pattern of its own."""
    rng = np.random.default_rng(seed)
    rgb = photo_with_square((128, 128), BOXES[0])
    for i, (x1, y1, x2, y2) in enumerate(BOXES[:n_prints]):
        rgb[y1:y2, x1:x2] = (255, 0, 0)
        rgb[y1 + 2 : y2 - 2, x1 + 2 : x1 + 4 + 3 * i] = (200, 0, 0)
    rgb[72:] = rng.integers(60, 200, (56, 128, 3)).repeat(8, 0).repeat(8, 1)[:56, :128]
    return rgb


def write(path, rgb, time, place) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = field_exif(time=f"2026:03:01 {time}", place=place, with_secrets=False)
    Image.fromarray(rgb).save(path, exif=exif)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two trails, the first with three photos, two of them copies, and two places; one of none."""
    folder = tmp_path_factory.mktemp("photos")
    write(folder / "a.png", photo(1, 2), "07:00:00", (47.0, 8.0))
    write(folder / "b.png", photo(1, 2), "07:00:30", (47.0, 8.0))
    write(folder / "c.png", photo(2, 1), "07:05:00", (47.001, 8.0))
    write(folder / "d.png", photo(3, 1), "10:00:00", (47.0, 8.0))
    Image.fromarray(photo(4, 1)).save(folder / "e.png")  # says no time
    return folder


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return red_square_detector(tmp_path_factory.mktemp("detector") / "red.onnx")


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_trail_has_one_answer(photos, model_file, detector, tmp_path):
    out = tmp_path / "out"
    flags = ("--model", model_file, "--detector", detector, "--output_dir", out, "--top_k", 4)
    flags += ("--processes", 1, "--threshold", 0.3)
    done = run_step("predict", photos, *flags, "--trails", "time")
    assert done.returncode == 0, done.stderr
    assert "1 photos do not say when they were taken" in done.stdout
    classifier = Classifier(model_file)

    def said(seed: int, n_prints: int) -> np.ndarray:
        cut = [crops.cut(photo(seed, n_prints), box, SIDE) for box in BOXES[:n_prints]]
        return combined(classifier.predict(cut))

    rows = {row["photo"]: row for row in rows_of(out / "predictions.csv")}
    assert [rows[name]["prints"] for name in ("a.png", "c.png")] == ["2", "1"]
    record = json.loads((out / "predictions.json").read_text(encoding="utf-8"))
    boxes = record["photos"][0]["boxes"]
    np.testing.assert_allclose(sorted(one["box_xyxy"] for one in boxes), sorted(BOXES), atol=1)
    trails = {row["trail"]: row for row in rows_of(out / "trails.csv")}
    assert [trails[f"trail {i}"]["photos"] for i in (1, 2)] == ["3", "1"]
    assert trails["trail 1"]["photos_counted"] == "2", "a copy counts as one photo with the other"
    expected = combined(np.stack([said(1, 2), said(2, 1)]))
    first = trails["trail 1"]
    found = {first[f"class_{k}"]: float(first[f"probability_{k}"]) for k in (1, 2, 3, 4)}
    np.testing.assert_allclose([found[name] for name in CLASSES], expected, atol=2e-3)
    assert first["answer"] == CLASSES[int(expected.argmax())]
    assert sum(int(vote.rsplit(" ", 1)[1]) for vote in first["votes"].split(", ")) == 3
    assert (first["first_at"], first["last_at"]) == (
        "2026-03-01T07:00:00+01:00",
        "2026-03-01T07:05:00+01:00",
    )
    for name, trail in (("a.png", "trail 1"), ("c.png", "trail 1"), ("d.png", "trail 2")):
        assert rows[name]["trail"] == trail
        assert rows[name]["trail_answer"] == trails[trail]["answer"]
    kinds = [
        feature["geometry"]["type"]
        for feature in json.loads((out / "answers.geojson").read_text())["features"]
    ]
    assert kinds == ["Point"] * 4 + ["LineString"], "the second trail is at one place"
    assert "Answers to 2 trails" in (out / "report.html").read_text(encoding="utf-8")

    done = call(predict.main, photos, *flags, "--no_report")
    assert done.returncode == 0, done.stderr
    assert not (out / "trails.csv").exists(), "of an earlier run"
    plain = rows_of(out / "predictions.csv")
    assert {"prints", "trail", "answer_level"}.isdisjoint(plain[0])


@pytest.mark.slow
def test_evaluate_says_how_often_trails_are_named_rightly(tmp_path, keras):
    model = write_model(tmp_path / "m.keras")
    data = make_prepared(tmp_path / "data", {"real": even(tuple(CLASSES), val=6)}) / "real"
    table = tmp_path / "trails.csv"
    crops_of = sorted(path.relative_to(data).as_posix() for path in data.glob("val/*/*.png"))
    rows = [f"{crop},{crop.split('/')[1]}\n" for crop in crops_of]
    table.write_text("crop,trail\n" + "".join(rows), encoding="utf-8")
    flags = ("--model", model, "--data_dir", data, "--output_dir", tmp_path / "out")
    flags += ("--groups", tmp_path / "groups.csv")
    (tmp_path / "groups.csv").write_text("class,group\nchien,canidés\nloup,canidés\n", "utf-8")
    done = call(evaluate.main, *flags, "--trail_sizes", 3, 1, "--trail_table", table)
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    single, three = scores["simulated_trails"]
    assert (single["trails"], three["trails"]) == (24, 8)
    assert single["right"] == pytest.approx(scores["accuracy"])
    (real,) = scores["real_trails"]
    assert (real["size"], real["trails"]) == ("5 or more", 4)
    assert real["single_right"] == pytest.approx(scores["accuracy"])
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    for title in ("Species, group or unknown", "Simulated trails", "canidés: chien, loup"):
        assert title in page
    table.write_text("crop,trail\nval/x.png,a\n")
    with pytest.raises(UserError, match=r"val/x\.png"):
        evaluate.main([*map(str, flags), "--trail_table", str(table)])

"""From photos to answers: boxes, crops, tables, pictures, and what may go wrong."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from footprints import predict
from footprints.cropping import crop_pool
from footprints.network.classifier import Classifier
from footprints.pictures import annotate, crops
from footprints.pictures.answer_pictures import picture_path
from footprints.prediction import sources
from footprints.scores import answers
from footprints.system.errors import UserError
from tests.helpers.detector import (
    RED,
    listing_of,
    photo_with_square,
    red_square_detector,
    save_rotated,
)
from tests.helpers.keras_models import CLASSES, SIDE, THRESHOLD, pictures, save
from tests.helpers.programs import run_python, run_step

BOX = (32, 48, 48, 64)  # one cell of the detector of red in a photo of 128 x 128


def red_photo(seed: int = 0) -> np.ndarray:
    """A photo whose print is a red square with some pattern in it."""
    photo = photo_with_square((128, 128), BOX)
    rng = np.random.default_rng(seed)
    photo[50 : 50 + 4, 34 : 34 + int(rng.integers(2, 12))] = (255, 0, 0)
    photo[:20, :, :] = rng.integers(60, 200, 3)
    return photo


@pytest.fixture(scope="module")
def detector(tmp_path_factory) -> Path:
    return red_square_detector(tmp_path_factory.mktemp("detector") / "red.onnx")


@pytest.fixture(scope="module")
def classifier(model_file) -> Classifier:
    return Classifier(model_file)


@pytest.fixture
def fast(classifier, monkeypatch):
    """Let runs in this process use a model that is loaded already."""
    monkeypatch.setattr(sources, "Classifier", lambda path: classifier)


@pytest.fixture
def photos(tmp_path) -> Path:
    """Nested folders, two photos of one name, one sideways, two that cannot be used."""
    folder = tmp_path / "my photos"
    save(folder / "a" / "IMG_1.png", red_photo(1))
    save(folder / "b" / "IMG_1.png", red_photo(2))
    save(folder / "b" / "IMG_1.jpg", red_photo(3))
    save_rotated(folder / "sideways.png", red_photo(4), 6)
    save(folder / "grün.png", np.full((96, 128, 3), (90, 120, 80), np.uint8))
    (folder / "a" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no photo")
    (folder / "empty.png").touch()
    (folder / "notes.txt").write_text("not a photo")
    return folder


def run_main(*arguments: object) -> int:
    return predict.main([*map(str, arguments), "--no_report"])


def result_of(folder: Path) -> dict:
    return json.loads((folder / "predictions.json").read_text(encoding="utf-8"))


# --- what comes out ----------------------------------------------------------------------------


AS_A_PROCESS = """
import sys
from footprints import predict
from footprints.system.errors import run
status = run(predict.main)
assert "tensorflow" in sys.modules
assert not {"torch", "ultralytics"} & set(sys.modules), "these crash beside TensorFlow"
sys.exit(status)
"""


@pytest.mark.slow
def test_as_a_process(photos, model_file, detector, tmp_path):
    before = listing_of(photos)
    out = tmp_path / "out"
    flags = ("--model", model_file, "--detector", detector, "--output_dir", out, "--annotate")
    done = run_python("-c", AS_A_PROCESS, photos, *flags, "--processes", 2)
    assert done.returncode == 3, done.stderr
    assert "photos/s" in done.stdout
    assert "Traceback" not in done.stderr
    assert listing_of(photos) == before, "the photo folder was changed"
    result = result_of(out)
    assert result["complete"] is True
    assert [row["photo"] for row in result["photos"]] == [
        "a/IMG_1.png",
        "b/IMG_1.jpg",
        "b/IMG_1.png",
        "grün.png",
        "sideways.png",
    ]
    assert {row["photo"] for row in result["failed"]} == {"a/broken.jpg", "empty.png"}
    assert all(row["reason"] for row in result["failed"])
    for name in ("a/broken.jpg", "empty.png"):
        assert name in done.stdout
    figures = ("answers.png", "answers.svg", "probabilities.png", "probabilities.svg")
    assert {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()} == {
        "predictions.json",
        "predictions.csv",
        "failed_photos.csv",
        ".written.json",
        "report.html",
        ".report.json",
        *(f"report_figures/prediction_{name}" for name in figures),
        "report_figures/.report.json",
        "annotated/a/IMG_1.png.jpg",
        "annotated/b/IMG_1.png.jpg",
        "annotated/b/IMG_1.jpg",
        "annotated/grün.png.jpg",
        "annotated/sideways.png.jpg",
    }
    rows = list(csv.DictReader((out / "predictions.csv").open(encoding="utf-8")))
    for row, record in zip(rows, result["photos"], strict=True):
        assert row["photo"] == record["photo"]
        assert row["answer"] == record["answer"]
        assert row["class_1"] == record["top"][0]["class"]
        assert float(row["probability_3"]) == pytest.approx(
            record["top"][2]["probability"], abs=1e-4
        )
        assert row["print_found"] == ("yes" if record["print_found"] else "no")


def test_answers_agree_with_each_part_by_itself(
    photos, fast, classifier, model_file, detector, tmp_path
):
    """Box: where the red square was drawn. Probabilities: the classifier on a crop cut here."""
    flags = ("--model", model_file, "--detector", detector, "--output_dir", tmp_path / "out")
    assert run_main(photos, *flags, "--top_k", 9) == 3
    drawn = {"a/IMG_1.png": 1, "b/IMG_1.png": 2, "sideways.png": 4}
    for row in result_of(tmp_path / "out")["photos"]:
        if row["photo"] not in drawn:
            continue
        np.testing.assert_allclose(row["box_xyxy"], BOX, atol=1)
        assert row["print_found"]
        assert 0.5 < row["detection_confidence"] <= 1
        assert (row["width"], row["height"]) == (128, 128)
        crop = crops.cut(red_photo(drawn[row["photo"]]), row["box_xyxy"], SIDE)
        expected = classifier.predict([crop])[0]
        found = {entry["class"]: entry["probability"] for entry in row["top"]}
        np.testing.assert_allclose([found[name] for name in CLASSES], expected, atol=1e-4)
        assert [e["probability"] for e in row["top"]] == sorted(found.values(), reverse=True)


def test_no_print_is_said_and_the_centre_is_used(fast, classifier, model_file, detector, tmp_path):
    rgb = np.zeros((60, 100, 3), np.uint8)
    rgb[:, 20:80] = (40, 90, 160)
    save(tmp_path / "blue.png", rgb)
    flags = ("--model", model_file, "--detector", detector, "--output_dir", tmp_path / "out")
    assert run_main(tmp_path / "blue.png", *flags) == 0
    [row] = result_of(tmp_path / "out")["photos"]
    assert (row["print_found"], row["detection_confidence"]) == (False, None)
    assert row["box_xyxy"] == [20, 0, 80, 60]
    expected = classifier.predict([rgb[:, 20:80]])[0].max()
    assert row["top"][0]["probability"] == pytest.approx(expected, abs=1e-4)


def test_without_a_detector_the_centre_is_used(fast, model_file, tmp_path, capsys):
    save(tmp_path / "photo.png", red_photo())
    assert run_main(tmp_path / "photo.png", "--model", model_file, "--detector", "none") == 0
    said = capsys.readouterr().out
    assert "no detector: the centre" in said
    assert "photo.png" in said
    assert os.listdir(tmp_path) == ["photo.png"], "nothing should be written without --output_dir"


def test_threshold_of_the_model_file_counts(fast, model_file, tmp_path):
    for i, rgb in enumerate(pictures(40, 64, seed=3)):
        save(tmp_path / "photos" / f"{i:02}.png", rgb)
    flags = ("--model", model_file, "--detector", "none", "--output_dir", tmp_path / "out")
    assert run_main(tmp_path / "photos", *flags) == 0
    result = result_of(tmp_path / "out")
    assert result["threshold"] == THRESHOLD
    for row in result["photos"]:
        best = row["top"][0]
        assert row["certain"] == (best["probability"] >= THRESHOLD)
        assert row["answer"] == (best["class"] if row["certain"] else "unknown")


@pytest.mark.parametrize(("threshold", "certain"), [("0", True), ("1", False)])
def test_threshold_of_the_flag_wins(threshold, certain, fast, model_file, tmp_path):
    save(tmp_path / "photo.png", pictures(1, 64)[0])
    flags = ("--model", model_file, "--detector", "none", "--output_dir", tmp_path / "out")
    assert run_main(tmp_path / "photo.png", *flags, "--threshold", threshold) == 0
    [row] = result_of(tmp_path / "out")["photos"]
    assert row["certain"] is certain
    assert (row["answer"] == "unknown") is not certain


def test_crops_are_cut_as_in_training_unless_told_otherwise(fast, model_file, tmp_path):
    save(tmp_path / "photo.png", red_photo())
    flags = ("--model", model_file, "--detector", "none", "--output_dir", tmp_path / "out")
    assert run_main(tmp_path / "photo.png", *flags) == 0
    kept = result_of(tmp_path / "out")["settings"]
    assert (kept["margin"], kept["min_crop_side"], kept["image_size"]) == (0.0, 8, SIDE)
    assert run_main(tmp_path / "photo.png", *flags, "--margin", "0.4") == 0
    assert result_of(tmp_path / "out")["settings"]["margin"] == 0.4


def test_more_classes_asked_for_than_there_are(fast, model_file, tmp_path):
    save(tmp_path / "photo.png", red_photo())
    flags = ("--model", model_file, "--detector", "none", "--output_dir", tmp_path / "out")
    assert run_main(tmp_path / "photo.png", *flags, "--top_k", "99") == 0
    assert len(result_of(tmp_path / "out")["photos"][0]["top"]) == len(CLASSES)


def test_order_and_answers_do_not_depend_on_processes(fast, model_file, detector, tmp_path):
    for i in range(60):
        save(tmp_path / "photos" / f"{i:02}.png", red_photo(i))
    found = []
    for processes in (1, 3):
        out = tmp_path / f"out{processes}"
        flags = ("--model", model_file, "--detector", detector, "--output_dir", out)
        assert run_main(tmp_path / "photos", *flags, "--processes", processes) == 0
        found.append((out / "predictions.csv").read_text())
    assert found[0] == found[1]
    assert found[0].count("\n") == 61


def test_name_that_is_not_utf8(fast, model_file, tmp_path):
    name = os.fsdecode(b"trace\xe9.png")
    save(tmp_path / "plain.png", red_photo())
    try:
        os.rename(tmp_path / "plain.png", tmp_path / name)
    except OSError:
        pytest.skip("this file system only takes UTF-8 names")
    out = tmp_path / "out"
    flags = ("--model", model_file, "--detector", "none", "--output_dir", out, "--annotate")
    assert run_main(tmp_path, *flags) == 0
    assert result_of(out)["photos"][0]["photo"] == "trace\\udce9.png"
    assert os.listdir(out / "annotated") == [f"{name}.jpg"]


def test_help_and_a_mistake_as_processes(model_file, tmp_path):
    assert "--threshold" in run_step("predict", "--help").stdout
    done = run_step("predict", tmp_path / "nowhere", "--model", model_file, "--detector", "none")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


# --- pictures ----------------------------------------------------------------------------------


def test_annotated_pictures_are_upright_and_in_colour(fast, model_file, detector, tmp_path):
    save_rotated(tmp_path / "photos" / "sideways.jpg", red_photo(), 6)
    flags = ("--model", model_file, "--detector", detector, "--annotate", "--output_dir")
    assert run_main(tmp_path / "photos", *flags, tmp_path / "out") == 0
    with Image.open(tmp_path / "out/annotated/sideways.jpg") as picture:
        drawn = np.asarray(picture, dtype=float)
    scale = drawn.shape[1] / 128
    inside = drawn[round(60 * scale), round(40 * scale)]
    np.testing.assert_allclose(inside, RED, atol=40)  # JPEG, and resized
    corner = drawn[round(100 * scale), round(100 * scale)]
    np.testing.assert_allclose(corner, (120, 120, 120), atol=12)


def test_contact_sheet_shows_every_answer(fast, model_file, detector, photos, tmp_path):
    flags = ("--model", model_file, "--detector", detector, "--contact_sheet", "--no_report")
    out = tmp_path / "out"
    assert run_main(photos, *flags, "--output_dir", out) == 3  # some of the photos are broken
    n = len(result_of(out)["photos"])
    assert n == 5
    with Image.open(out / "contact_sheet.jpg") as sheet:
        sheet.load()
        assert sheet.width == 4 * (320 + 8) + 8
        grey = np.asarray(sheet.convert("L"))
    below = grey[grey.shape[0] - 60 :]  # the last row has one tile, white beside it
    assert below[:, 400:].min() > 240
    assert below[:, 8:328].min() < 60
    assert run_main(photos, *flags[:-2]) == 3
    with pytest.raises(SystemExit):
        run_main(photos, *flags)  # nowhere to put it


def test_caption_hides_nothing_and_box_is_clipped():
    photo = np.full((300, 400, 3), 128, np.uint8)
    box = (-50.0, -20.0, 500.0, 280.0)
    picture = annotate.annotated(photo, box, "loup", [("loup", 0.9), ("cerf", 0.1)])
    assert picture.width == 400
    assert picture.height > 300
    above = np.asarray(picture)[:300]
    assert (above[20:270, 20:380] == 128).all(), "the caption or the box covers the photo"
    assert not (above[:10, :10] == 128).all(), "the box should be drawn at the edge"


@pytest.mark.parametrize("shape", [(16, 16), (16, 3000), (3000, 16), (2500, 4000)])
def test_pictures_of_any_shape(shape):
    photo = np.zeros((*shape, 3), np.uint8)
    long_name = "a very long name of an animal in several languages " * 5
    picture = annotate.annotated(
        photo, (0, 0, shape[1], shape[0]), long_name, [(long_name, 0.5)], print_found=False
    )
    assert picture.width >= 320
    assert max(picture.size) <= annotate.LONGEST_SIDE + 400


def test_accents_are_drawn():
    """A font without them draws the same box for every letter that it lacks."""
    photo = np.zeros((64, 64, 3), np.uint8)
    texts = [
        np.asarray(annotate.annotated(photo, (0, 0, 9, 9), name, [])) for name in ("é", "ё", "λ")
    ]
    assert (texts[0] != texts[1]).any()
    assert (texts[1] != texts[2]).any()


def test_picture_names_never_collide(tmp_path):
    names = [
        "a.jpg",
        "a.png",
        "a.JPG",
        "a.jpg.jpg",
        "a.png.jpg",
        "a.jpeg",
        "d/a.jpg",
        "x" * 250 + ".jpg",
    ]
    names += ["x" * 249 + "y.jpg"]
    targets = [picture_path(tmp_path, Path("r") / name, Path("r")) for name in names]
    assert len(set(targets)) == len(names)
    assert all(len(os.fsencode(target.name)) <= 255 for target in targets)


# --- where results go --------------------------------------------------------------------------


def test_output_in_the_photo_folder_is_no_input_of_the_next_run(fast, model_file, tmp_path):
    save(tmp_path / "photo.png", red_photo())
    flags = ("--model", model_file, "--detector", "none", "--annotate", "--output_dir", tmp_path)
    for _ in range(2):
        assert run_main(tmp_path, *flags) == 0
        assert [row["photo"] for row in result_of(tmp_path)["photos"]] == ["photo.png"]


def test_folder_of_the_user_is_not_written_into(fast, model_file, tmp_path):
    mine = save(tmp_path / "annotated" / "photo.png.jpg", red_photo(7))
    before = mine.read_bytes()
    save(tmp_path / "photo.png", red_photo())
    flags = ("--model", model_file, "--detector", "none", "--annotate", "--output_dir", tmp_path)
    with pytest.raises(UserError, match="holds files of yours"):
        run_main(tmp_path, *flags)
    assert mine.read_bytes() == before


def test_links_out_of_the_output_folder_are_not_followed(fast, model_file, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    save(tmp_path / "photos" / "sub" / "photo.png", red_photo())
    out = tmp_path / "out"
    flags = ("--model", model_file, "--detector", "none", "--annotate", "--output_dir", out)
    assert run_main(tmp_path / "photos", *flags) == 0
    shutil.rmtree(out / "annotated" / "sub")
    (out / "annotated" / "sub").symlink_to(elsewhere)
    with pytest.raises(UserError, match="is a link"):
        run_main(tmp_path / "photos", *flags)
    shutil.rmtree(out / "annotated")
    (out / "annotated").symlink_to(elsewhere)
    with pytest.raises(UserError, match="is a link"):
        run_main(tmp_path / "photos", *flags)
    assert not list(elsewhere.iterdir())


def test_what_was_answered_is_kept_when_stopped(
    fast, classifier, model_file, tmp_path, monkeypatch
):
    for i in range(40):
        save(tmp_path / "photos" / f"{i:02}.png", red_photo(i))
    original, calls = classifier.look, []

    def stopped_at_the_second_batch(batch, photos=None):
        calls.append(len(batch))
        if len(calls) == 3:  # the first call warms up
            raise KeyboardInterrupt
        return original(batch)

    monkeypatch.setattr(classifier, "look", stopped_at_the_second_batch)
    flags = ("--model", model_file, "--detector", "none", "--output_dir", tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        run_main(tmp_path / "photos", *flags)
    result = result_of(tmp_path / "out")
    assert result["complete"] is False
    assert len(result["photos"]) == calls[1] == 32


# --- mistakes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"photos": "nowhere"}, "no such photo", id="no-photo"),
        pytest.param({"photos": "empty"}, "no photo is in", id="empty-folder"),
        pytest.param({"--model": "nowhere.keras"}, "no such model", id="no-model"),
        pytest.param({"--detector": "nowhere.pt"}, "no such detector", id="no-detector"),
        pytest.param({"--output_dir": "photo.png"}, "is a file", id="output-is-a-file"),
    ],
)
def test_mistakes_are_one_line(change, message, fast, model_file, tmp_path):
    save(tmp_path / "photo.png", red_photo())
    (tmp_path / "empty").mkdir()
    known = {"photos": "photo.png", "--model": model_file, "--detector": "none"}
    known |= {k: (v if v == "none" else tmp_path / v) for k, v in change.items()}
    photo = known.pop("photos")
    flags = [str(part) for flag in known.items() for part in flag]
    with pytest.raises(UserError, match=message) as raised:
        run_main(tmp_path / photo, *flags)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "flags",
    [
        ("--top_k", "0"),
        ("--threshold", "1.5"),
        ("--processes", "0"),
        ("--annotate",),
        ("--margin", "-1"),
        ("--ranking", "size"),
    ],
    ids=lambda flags: flags[0],
)
def test_wrong_flags_are_usage_errors(flags, model_file, tmp_path):
    save(tmp_path / "photo.png", red_photo())
    with pytest.raises(SystemExit) as ended:
        run_main(tmp_path / "photo.png", "--model", model_file, "--detector", "none", *flags)
    assert ended.value.code == 2


def test_all_photos_bad(fast, model_file, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/one.jpg").write_bytes(b"no photo")
    flags = ("--model", model_file, "--detector", "none", "--output_dir", tmp_path / "out")
    assert run_main(tmp_path / "photos", *flags) == 3
    assert result_of(tmp_path / "out")["photos"] == []
    assert "one.jpg" in (tmp_path / "out/failed_photos.csv").read_text()


@pytest.mark.skipif(os.name == "nt", reason="no such signals")
def test_a_photo_that_kills_its_process_is_listed_and_the_others_are_answered(
    fast, photos, model_file, tmp_path, monkeypatch, capsys
):
    dies = (
        "import os, sys; from footprints.cropping import crop_worker as it; "
        "read = it.read_file; it.read_file = lambda path: "
        "os.kill(os.getpid(), 9) if path.name == 'sideways.png' else read(path); "
        "sys.exit(it.main())"
    )
    monkeypatch.setattr(crop_pool, "_WORK", ("-c", dies))
    out = tmp_path / "out"
    flags = ("--model", model_file, "--detector", "none", "--output_dir", out)
    assert run_main(photos, *flags) == 3
    failed = {one["photo"]: one["reason"] for one in result_of(out)["failed"]}
    assert set(failed) == {"a/broken.jpg", "empty.png", "sideways.png"}
    assert "was killed, probably for want of memory" in failed["sideways.png"]
    assert result_of(out)["complete"] is True
    assert len(result_of(out)["photos"]) == 4
    assert "sideways.png: its worker process was killed" in capsys.readouterr().out


# --- parts -------------------------------------------------------------------------------------


def test_ranking_by_hand():
    probabilities = np.array([0.1, 0.5, 0.4])
    answer, certain, ranking = answers.rank(probabilities, ["a", "b", "c"], 2, 0.5)
    assert (answer, certain) == ("b", True)
    assert ranking == (("b", 0.5), ("c", 0.4))
    assert answers.rank(probabilities, ["a", "b", "c"], 2, 0.51)[:2] == ("unknown", False)


@pytest.mark.parametrize(("n_photos", "used"), [(50, 1), (51, 2)])
def test_no_more_processes_than_are_worth_their_start(
    n_photos, used, fast, model_file, detector, tmp_path, monkeypatch
):
    for number in range(n_photos):
        save(tmp_path / "photos" / f"{number}.png", red_photo()[:32, :32])
    asked = []

    def stop(_, __, processes):
        asked.append(processes)
        raise UserError("enough")

    monkeypatch.setattr(sources, "CropPool", stop)
    flags = ("--model", model_file, "--detector", detector, "--output_dir", tmp_path / "out")
    with pytest.raises(UserError, match="enough"):
        run_main(tmp_path / "photos", *flags, "--processes", 8)
    assert asked == [used]


def test_equal_probabilities_stay_in_class_order():
    assert answers.rank(np.full(3, 1 / 3), ["a", "b", "c"], 3, 0)[2][0][0] == "a"


# --- what people do with the answers -----------------------------------------------------------


def answer_one(folder: Path, model_file: Path, *flags: object) -> int:
    model = ("--model", model_file, "--detector", "none", "--output_dir", folder / "out")
    return run_main(folder / "photos", *model, *flags)


def test_edited_answers_stay_until_they_are_to_be_replaced(fast, model_file, tmp_path, capsys):
    save(tmp_path / "photos" / "a.png", red_photo())
    assert answer_one(tmp_path, model_file) == 0
    table = tmp_path / "out" / "predictions.csv"
    first = table.read_text(encoding="utf-8")
    assert answer_one(tmp_path, model_file, "--threshold", 0) == 0  # not edited: written anew
    assert table.read_text(encoding="utf-8") != first
    table.write_text("photo,answer\na.png,badger\n")
    capsys.readouterr()
    assert answer_one(tmp_path, model_file, "--threshold", 0.25) == 0
    assert "predictions.csv: was edited after it was written" in capsys.readouterr().err
    assert "badger" in table.read_text()
    assert result_of(tmp_path / "out")["threshold"] == 0.25
    assert answer_one(tmp_path, model_file, "--replace_edited") == 0
    assert table.read_text(encoding="utf-8") == first
    assert "badger" in (tmp_path / "out" / "predictions.csv.bak").read_text()


def test_results_of_an_older_release_are_kept_beside_the_new_ones(fast, model_file, tmp_path):
    save(tmp_path / "photos" / "a.png", red_photo())
    assert answer_one(tmp_path, model_file) == 0
    (tmp_path / "out" / ".written.json").unlink()
    (tmp_path / "out" / "predictions.csv").write_text("perhaps edited")
    assert answer_one(tmp_path, model_file) == 0
    assert (tmp_path / "out" / "predictions.csv.bak").read_text() == "perhaps edited"


def test_raw_photos_and_other_files_are_listed(fast, model_file, tmp_path, capsys):
    save(tmp_path / "photos" / "=1+1.png", red_photo())
    for name in ("=1+1.nef", "alone.cr2", "notes.txt"):
        (tmp_path / "photos" / name).write_bytes(b"x")
    assert answer_one(tmp_path, model_file) == 3
    assert "2 other files are not used (1 .nef, 1 .txt)" in capsys.readouterr().out
    with open(tmp_path / "out" / "failed_photos.csv", encoding="utf-8", newline="") as file:
        reasons = {row["photo"]: row["reason"] for row in csv.DictReader(file)}
    assert "save it as JPEG with the camera's program" in reasons.pop("alone.cr2")
    assert reasons == {
        "'=1+1.nef": "RAW photo; =1+1.png beside it is used",
        "notes.txt": "no photo by its name",
    }
    rows = list(csv.DictReader((tmp_path / "out" / "predictions.csv").open(encoding="utf-8")))
    assert [row["photo"] for row in rows] == ["'=1+1.png"]
    assert [one["file"] for one in result_of(tmp_path / "out")["unused"]] == [
        "=1+1.nef",
        "notes.txt",
    ]


def test_a_weak_model_says_so_in_every_output(fast, classifier, tmp_path, capsys):
    from tests.helpers.keras_models import write_model

    save(tmp_path / "photos" / "a.png", red_photo())
    weak = {"threshold": 0.26, "extra": {"validation": {"photos": 120, "accuracy": 0.3}}}
    assert answer_one(tmp_path, write_model(tmp_path / "weak.keras", **weak)) == 0
    said = "weak model: 30% of 120 validation photos were right, by chance 25% would be"
    assert said in capsys.readouterr().out
    result = result_of(tmp_path / "out")
    assert said in result["note"]
    assert result["threshold"] == pytest.approx(0.4375)  # 0.26 would call guesses certain
    rows = list(csv.DictReader((tmp_path / "out" / "predictions.csv").open(encoding="utf-8")))
    assert [row["note"] for row in rows] == ["weak model"]


def test_pictures_of_a_weak_model_are_a_line_longer(fast, classifier, tmp_path):
    from PIL import Image

    from tests.helpers.keras_models import write_model

    save(tmp_path / "photos" / "a.png", red_photo())
    heights = []
    for accuracy in (0.9, 0.3):
        validation = {"photos": 120, "accuracy": accuracy}
        model = write_model(tmp_path / f"{accuracy}.keras", extra={"validation": validation})
        assert answer_one(tmp_path, model, "--annotate", "--contact_sheet") == 0
        drawn = tmp_path / "out" / "annotated" / "a.png.jpg"
        sheet = tmp_path / "out" / "contact_sheet.jpg"
        heights.append([Image.open(path).height for path in (drawn, sheet)])
    assert all(weak > good for good, weak in zip(*heights, strict=True))


def test_two_runs_do_not_share_a_folder(fast, model_file, tmp_path):
    from footprints.system.files import output_folder

    save(tmp_path / "photos" / "a.png", red_photo())
    with output_folder(tmp_path / "out"), pytest.raises(UserError, match="at work in this folder"):
        answer_one(tmp_path, model_file)

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from footprints import train_detector
from footprints.detector import training
from footprints.detector.data_yaml import read_data_yaml, read_pseudo_labels
from footprints.detector.detector_data import LabelledPhoto
from footprints.detector.detector_resume import TrainingState
from footprints.detector.yolo import load_ultralytics
from footprints.system.errors import UserError
from footprints.train_detector import main
from tests.helpers.detector import (
    GREEN,
    RED,
    Watched,
    listing_of,
    malicious_checkpoints,
    photo_with_square,
    save_rotated,
    write_detector_data,
)
from tests.helpers.programs import run_code, run_step
from tests.helpers.report_page import ReportPage


def texture(seed: int, side: int = 96) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


@pytest.fixture
def data(tmp_path):
    return write_detector_data(tmp_path / "data", {"train": 4, "val": 2, "test": 3})


# --- reading -------------------------------------------------------------------------------------


def test_a_data_yaml_is_read_relative_to_itself(data, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = read_data_yaml(data)
    assert {part: len(photos) for part, photos in content.parts.items()} == {
        "train": 4,
        "val": 2,
        "test": 3,
    }
    assert content.names == ["footprint"]
    photo = content.parts["train"][0]
    expected = (tmp_path / "data" / "labels" / "train" / "0.txt").read_text().split()
    assert photo.boxes[0] == pytest.approx([float(word) for word in expected])


def test_lists_of_folders_and_text_files_of_photos_are_read(data, tmp_path) -> None:
    folder = data.parent
    (folder / "list.txt").write_text("images/train/0.jpg\n./images/train/1.jpg\n\n")
    data.write_text("train: [list.txt]\nval: [images/val, images/test]\nnc: 1\n")
    content = read_data_yaml(data)
    assert [photo.path.name for photo in content.parts["train"]] == ["0.jpg", "1.jpg"]
    assert [len(photo.boxes) for photo in content.parts["train"]] == [1, 1]
    assert len(content.parts["val"]) == 5


def test_outlines_become_boxes_and_overhang_is_clipped(data) -> None:
    labels = data.parent / "labels" / "train"
    labels.joinpath("0.txt").write_text("0 0.1 0.2 0.5 0.2 0.5 0.6 0.1 0.6\n")
    labels.joinpath("1.txt").write_text("0 0.5 0.5 1.01 0.2\n")
    labels.joinpath("2.txt").write_text("\ufeff0 0.5 0.5 0.2 0.2\r\n\r\n")
    boxes = [photo.boxes[0] for photo in read_data_yaml(data).parts["train"][:3]]
    assert boxes[0] == pytest.approx((0, 0.3, 0.4, 0.4, 0.4))
    assert boxes[1] == pytest.approx((0, 0.5, 0.5, 1.0, 0.2))
    assert boxes[2] == pytest.approx((0, 0.5, 0.5, 0.2, 0.2))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0 0.5 0.5 0.2", "class x y width height"),
        ("0 0.5 nonsense 0.2 0.2", "could not convert"),
        ("3 0.5 0.5 0.2 0.2", "class 3 is none of the 1"),
        ("0 320 240 50 50", "outside of the photo"),
        ("0 0.5 0.5 0 0.2", "empty"),
        ("0 0.5 0.5 nan 0.2", "outside"),
    ],
)
def test_a_photo_with_bad_labels_is_left_out_and_listed(data, line, reason) -> None:
    data.parent.joinpath("labels", "train", "1.txt").write_text(line + "\n")
    content = read_data_yaml(data)
    assert len(content.parts["train"]) == 3
    ((source, why),) = content.left_out
    assert source.endswith("1.jpg")
    assert reason in why
    assert content.n_unusable == 1


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("train: [", "not YAML"),
        ("just words", "must name the folders"),
        ("val: images/val\nnames: [a]\n", "must name the folders"),
        ("train: images/train\nnames: [a]\n", "no val part"),
        ("train: images/train\nval: images/val\n", "needs names"),
        ("train: images/train\nval: images/val\nnames: {1: a}\n", "needs names"),
        ("train: absent\nval: images/val\nnames: [a]\n", "absent is neither a folder"),
        ("path: absent\ntrain: images/train\nval: images/val\nnames: [a]\n", "neither a folder"),
    ],
)
def test_a_wrong_data_yaml_is_explained(data, text, match) -> None:
    data.write_text(text)
    with pytest.raises(UserError, match=match) as caught:
        read_data_yaml(data)
    assert str(data) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_folders_of_a_roboflow_export_are_found(tmp_path) -> None:
    """Its data.yaml says ../train/images of folders that lie beside it."""
    export = tmp_path / "export"
    write_detector_data(export, {"train": 3, "valid": 2})
    for part in ("train", "valid"):
        (export / part).mkdir()
        for kind in ("images", "labels"):
            (export / kind / part).rename(export / part / kind)
    path = export / "data.yaml"
    path.write_text(
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n"
        "nc: 1\nnames: ['footprint']\nroboflow:\n  project: prints\n"
    )
    content = read_data_yaml(path)
    assert {part: len(photos) for part, photos in content.parts.items()} == {
        "train": 3,
        "val": 2,
        "test": 0,
    }
    assert all(photo.boxes for photo in content.parts["train"])
    assert any("test part is not there" in note for note in content.notes)


def test_files_that_are_not_used_are_counted_and_named(data, tmp_path) -> None:
    train, labels = (data.parent / kind / "train" for kind in ("images", "labels"))
    (train / "0.nef").write_bytes(b"raw")  # 0.jpg lies beside it
    (train / "day.docx").write_bytes(b"notes")
    (train / "classes.txt").write_text("footprint")
    (train / "7.cr2").write_bytes(b"raw, and nothing beside it")
    (labels / "9.txt").write_text("0 0.5 0.5 0.2 0.2\n")  # its photo is missing
    content = read_data_yaml(data)
    listed = {source.rpartition("/")[2]: reason for source, reason in content.left_out}
    assert set(listed) == {"0.nef", "day.docx"}
    assert "0.jpg beside it is used" in listed["0.nef"]
    (tmp_path / "copy").mkdir()
    content.write_copy(tmp_path / "copy", 64)
    assert "7.cr2" in {source.rpartition("/")[2] for source, _ in content.left_out}
    assert content.n_unusable == 1
    said = content.summary()
    assert "1 .docx, 1 .nef not used" in said
    assert "1 of its files with boxes have no photo that is read, as 9.txt" in said


@pytest.mark.parametrize(
    ("line", "box"),
    [
        ("0 0.9 0.5 0.29 0.2", (0.8775, 0.5, 0.245, 0.2)),  # sticks out by 4.5 %
        ("0 0.5 0.02 0.2 0.13", (0.5, 0.0425, 0.2, 0.085)),
        ("0 0.9 0.5 0.31 0.2", None),  # by 5.5 %
        ("0 0.5 -0.06 0.2 0.02", None),
    ],
)
def test_a_box_a_little_over_the_edge_is_clipped(data, line, box) -> None:
    data.parent.joinpath("labels", "train", "1.txt").write_text(line + "\n")
    content = read_data_yaml(data)
    assert content.n_clipped == (box is not None)
    assert len(content.parts["train"]) == (4 if box else 3)
    if box:
        assert content.parts["train"][1].boxes[0][1:] == pytest.approx(box)
        assert "1 of the boxes stuck out of their photos" in content.summary()


def test_when_all_box_files_are_bad_the_reasons_are_in_the_error(
    data, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(train_detector, "load_start", lambda training: (None, training))
    for n in range(4):
        (data.parent / "labels" / "train" / f"{n}.txt").write_text(f"{n} 120 80 40 30\n")
    out = tmp_path / "out"
    with pytest.raises(UserError) as caught:
        main(["--data", str(data), "--output_dir", str(out)])
    said = str(caught.value)
    assert said.startswith("no usable photo in the train part (images/train); left out: ")
    assert "0.jpg: its labels: box (120.0, 80.0, 40.0, 30.0) begins" in said or "pixels" in said
    assert "class 1 is none of the 1 classes" in said
    assert said.endswith("and 1 more (left_out.csv)")
    with open(out / "left_out.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 4
    assert [path.name for path in out.iterdir()] == ["left_out.csv"]


def test_a_pipe_among_the_labels_is_no_photo_without_a_print(data) -> None:
    label = data.parent / "labels" / "train" / "1.txt"
    label.unlink()
    os.mkfifo(label)
    content = read_data_yaml(data)
    assert len(content.parts["train"]) == 3
    assert "not a regular file" in content.left_out[0][1]


# --- pseudo-labels, and what is kept out ---------------------------------------------------------


@pytest.fixture
def pseudo(tmp_path):
    """A table of boxes and its photos, in folders by class."""
    folder = tmp_path / "real"
    lines = ["file,x,y,width,height"]
    for n, name in enumerate(("hare", "hare", "fox", "fox")):
        (folder / name).mkdir(parents=True, exist_ok=True)
        texture(100 + n).save(folder / name / f"{name}{n}.jpg", quality=95)
        lines.append(f"{name}/{name}{n}.jpg,0.25,0.125,0.5,0.25")
    table = tmp_path / "boxes.csv"
    table.write_text("\n".join(lines) + "\n")
    return table, folder


def test_pseudo_labels_go_into_the_training_part_only(data, pseudo) -> None:
    content = read_data_yaml(data)
    read_pseudo_labels(content, *pseudo)
    assert {part: len(photos) for part, photos in content.parts.items()} == {
        "train": 8,
        "val": 2,
        "test": 3,
    }
    assert content.n_pseudo == 4
    # x, y of the table are the upper left corner; YOLO wants the centre
    assert content.parts["train"][-1].boxes == [(0, 0.5, 0.25, 0.5, 0.25)]


def test_rows_of_the_table_that_cannot_be_used_are_listed(data, pseudo, tmp_path) -> None:
    table, folder = pseudo
    texture(7).save(tmp_path / "outside.jpg")
    with open(table, "a") as file:
        file.write("hare/absent.jpg,0.1,0.1,0.2,0.2\n../outside.jpg,0.1,0.1,0.2,0.2\n")
        file.write("fox/fox2.jpg,0.1,0.1,5,0.2\n")
    content = read_data_yaml(data)
    read_pseudo_labels(content, table, folder)
    assert content.n_pseudo == 3  # fox2 has a wrong box beside the right one
    reasons = " ".join(reason for _, reason in content.left_out)
    for word in ("no such photo", "leads out of", "ends outside"):
        assert word in reasons


def test_a_table_of_another_form_is_refused(data, pseudo, tmp_path) -> None:
    table, folder = pseudo
    content = read_data_yaml(data)
    with pytest.raises(UserError, match="none of its 4 photos"):
        read_pseudo_labels(content, table, tmp_path)
    table.write_text("file,left,top\na,1,2\n")
    with pytest.raises(UserError, match="needs the columns"):
        read_pseudo_labels(content, table, folder)


@pytest.mark.parametrize("how", ["list", "manifest-names", "manifest-hashes"])
def test_excluded_photos_stay_out_of_training(data, pseudo, tmp_path, how) -> None:
    import hashlib

    table, folder = pseudo
    given = tmp_path / "exclude.csv"
    if how == "list":
        given.write_text("# for evaluation\nhare/hare0.jpg\n./fox/fox2.jpg\n")
    else:
        rows = []
        for name, split in (
            ("hare/hare0.jpg", "val"),
            ("hare/hare1.jpg", "train"),
            ("fox/fox2.jpg", "test"),
        ):
            digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
            if how == "manifest-names":
                rows.append(f"{name},,{split}")
            else:
                rows.append(f"moved/{digest[:5]}.jpg,{digest},{split}")
        given.write_text("source,sha256,split\n" + "\n".join(rows) + "\n")
    content = read_data_yaml(data)
    read_pseudo_labels(content, table, folder)
    content.exclude(given)
    (tmp_path / "copy").mkdir()
    content.write_copy(tmp_path / "copy", 64)
    names = {photo.path.name for photo in content.parts["train"] if photo.pseudo}
    assert names == {"hare1.jpg", "fox3.jpg"}
    assert len(content.parts["test"]) == 3
    assert content.n_unusable == 0
    assert all("--exclude" in reason for _, reason in content.left_out)


def test_training_photos_that_are_also_held_back_are_left_out(data, pseudo, tmp_path) -> None:
    table, folder = pseudo
    train, test = (data.parent / "images" / part for part in ("train", "test"))
    (train / "copy.jpg").write_bytes((test / "1.jpg").read_bytes())
    with Image.open(test / "2.jpg") as photo:
        photo.resize((120, 90)).save(folder / "hare" / "hare0.jpg", quality=60)  # nearly the same
    content = read_data_yaml(data)
    read_pseudo_labels(content, table, folder)
    (tmp_path / "copy").mkdir()
    content.write_copy(tmp_path / "copy", 64)
    left_out = {source.rpartition("/")[2]: reason for source, reason in content.left_out}
    assert set(left_out) == {"copy.jpg", "hare0.jpg"}
    assert left_out["copy.jpg"].endswith("test/1.jpg")
    assert left_out["hare0.jpg"].endswith("test/2.jpg")


# --- the copy ------------------------------------------------------------------------------------


def test_the_copy_is_upright_in_the_right_colours_and_small(data, tmp_path) -> None:
    """EXIF rotation and colours on the way into training: the marker is where the box says."""
    upright = photo_with_square((256, 128), (32, 64, 96, 128), RED, marker=(32, 64, 48, 80))
    train = data.parent / "images" / "train"
    for path in train.iterdir():
        path.unlink()
    save_rotated(train / "turned.jpg", upright, 6)
    Image.fromarray(upright).convert("CMYK").save(train / "print.jpg", quality=98)
    box = "0 0.5 0.375 0.5 0.25\n"  # of the upright photo
    for name in ("turned", "print"):
        (data.parent / "labels" / "train" / f"{name}.txt").write_text(box)
    before = listing_of(data.parent)
    content = read_data_yaml(data)
    copy = tmp_path / "copy"
    copy.mkdir()
    data_yaml = content.write_copy(copy, 128)
    assert listing_of(data.parent) == before
    facts = json.loads(data_yaml.read_text())
    assert (facts["train"], facts["names"]) == ("train/images", ["footprint"])
    pictures = sorted((copy / "train" / "images").iterdir())
    assert len(pictures) == 2
    for path in pictures:
        with Image.open(path) as picture:
            assert (picture.size, picture.mode, picture.format) == ((64, 128), "RGB", "JPEG")
            assert picture.getexif().get(0x0112, 1) == 1
            np.testing.assert_allclose(picture.getpixel((19, 35)), GREEN, atol=40)
            np.testing.assert_allclose(picture.getpixel((40, 56)), RED, atol=40)
        label = copy / "train" / "labels" / f"{path.stem}.txt"
        numbers = [float(word) for word in label.read_text().split()]
        assert numbers == pytest.approx([0, 0.5, 0.375, 0.5, 0.25])


def test_damaged_photos_are_left_out_with_a_reason(data, tmp_path) -> None:
    train = data.parent / "images" / "train"
    whole = (train / "0.jpg").read_bytes()
    (train / "0.jpg").write_bytes(whole[: len(whole) // 2])
    (train / "1.jpg").write_bytes(b"")
    content = read_data_yaml(data)
    (tmp_path / "copy").mkdir()
    content.write_copy(tmp_path / "copy", 64)
    assert len(content.parts["train"]) == 2
    assert content.n_unusable == 2
    assert len(list((tmp_path / "copy" / "train" / "images").iterdir())) == 2


def test_a_part_without_a_box_is_refused(data, tmp_path) -> None:
    for path in (data.parent / "labels" / "val").iterdir():
        path.write_text("")
    (tmp_path / "copy").mkdir()
    with pytest.raises(UserError, match="no usable photo with a box is left in the val part"):
        read_data_yaml(data).write_copy(tmp_path / "copy", 64)


def test_a_photo_is_described_by_its_path() -> None:
    photo = LabelledPhoto(path=None, boxes=[])
    assert (photo.pseudo, photo.name) == (False, "")


# --- the step ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """One epoch on eight photos of 64 pixels, with all that can be given; the output folder."""
    folder = tmp_path_factory.mktemp("Zoé's [first] detector")
    data = write_detector_data(folder / "data", {"train": 8, "val": 3, "test": 4})
    (folder / "data" / "images" / "train" / "3.jpg").write_bytes(b"no photo")
    (folder / "real").mkdir()
    lines = ["file,x,y,width,height"]
    for n in range(3):
        texture(n).save(folder / "real" / f"{n}.jpg")
        lines.append(f"{n}.jpg,0.2,0.2,0.5,0.5")
    (folder / "boxes.csv").write_text("\n".join(lines))
    (folder / "exclude.txt").write_text("1.jpg\n")
    before = listing_of(folder)
    watched = Watched(tmp_path_factory.mktemp("watched"))
    done = run_step(
        "train_detector",
        *("--data", data, "--epochs", 1, "--imgsz", 64, "--batch", 4, "--export", "onnx"),
        *("--pseudo_labels", folder / "boxes.csv", "--pseudo_photos", folder / "real"),
        *("--exclude", folder / "exclude.txt", "--output_dir", folder / "out"),
        **watched.environment,
    )
    assert done.returncode == 3, done.stderr[-3000:]
    watched.check()
    return folder, before, done


@pytest.mark.slow
def test_training_writes_a_detector_and_scores(trained) -> None:
    folder, _, done = trained
    out = folder / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        ".report.json",
        "MODEL_CARD.md",
        "detector.onnx",
        "detector.pt",
        "left_out.csv",
        "report.html",
        "report_figures",
        "scores.json",
        "training.csv",
    ]
    scores = json.loads((out / "scores.json").read_text())
    assert (scores["part"], scores["photos"], scores["boxes"]) == ("test", 4, 4)
    for name in ("mAP50", "mAP50-95", "precision", "recall"):
        assert 0 <= scores[name] <= 1
        assert f"{name} {scores[name]:.3f}" in done.stdout.splitlines()[-3]
    assert ReportPage(out / "report.html").values["mAP50"] == scores["mAP50"]
    # 8 and 3 photos, one broken and one excluded; images/train/1.jpg is another one than 1.jpg
    assert scores["training"]["photos"] == {"train": 9, "val": 3, "test": 4}
    assert scores["training"]["pseudo_labelled_photos"] == 2
    assert scores["training"]["epochs_run"] == 1
    with open(out / "left_out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [("--exclude" in row["reason"], row["source"][-5:]) for row in rows] == [
        (False, "3.jpg"),
        (True, "1.jpg"),
    ]


@pytest.mark.slow
def test_no_epoch_only_scores_a_detector(trained, tmp_path) -> None:
    folder, _, _ = trained
    before = (folder / "out" / "detector.pt").read_bytes()
    done = run_step(
        "train_detector",
        *("--data", folder / "data" / "data.yaml", "--epochs", 0, "--imgsz", 64, "--batch", 4),
        *("--weights", folder / "out" / "detector.pt", "--output_dir", tmp_path / "scored"),
        "--no_report",
    )
    assert done.returncode == 3, done.stderr[-3000:]  # one photo is broken
    assert sorted(p.name for p in (tmp_path / "scored").iterdir()) == [
        "left_out.csv",
        "scores_of_detector.json",
    ]
    scores = json.loads((tmp_path / "scored" / "scores_of_detector.json").read_text())
    after_training = json.loads((folder / "out" / "scores.json").read_text())
    for name in ("mAP50", "mAP50-95", "precision", "recall", "boxes"):
        assert scores[name] == pytest.approx(after_training[name], abs=1e-6)
    assert scores["training"]["epochs_run"] == 0
    assert (folder / "out" / "detector.pt").read_bytes() == before


@pytest.mark.slow
def test_training_does_not_touch_the_photos(trained) -> None:
    """Ultralytics writes caches beside labels and saves photos anew that it finds damaged."""
    folder, before, _ = trained
    after = {
        name: facts for name, facts in listing_of(folder).items() if not name.startswith("out/")
    }
    assert after == before


@pytest.mark.slow
def test_the_detector_names_no_folder_of_this_computer(trained) -> None:
    folder, _, _ = trained
    code = """
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    content = b"".join(archive.read(n) for n in archive.namelist() if n.endswith("data.pkl"))
words = [w for w in sys.argv[2:] if w.encode() in content]
print(words, len(content) > 1000)
"""
    words = [
        "footprints-detector-",
        "footprints-yolo-",
        "/tmp",
        ".unfinished-",
        str(folder),
        "github.com",
    ]
    out = folder / "out"
    assert run_code(code, out / "detector.pt", *words).strip() == "[] True"
    onnx = (out / "detector.onnx").read_bytes()
    assert not any(word.encode() in onnx for word in words[:5])


@pytest.mark.slow
def test_the_detector_works_in_both_forms(trained) -> None:
    folder, _, _ = trained
    code = """
import sys
import numpy as np
from footprints import YoloInference
photo = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
pt, onnx = (YoloInference(path, conf_threshold=1e-4).detect(photo) for path in sys.argv[1:])
assert len(pt) == len(onnx) > 0, (len(pt), len(onnx))
np.testing.assert_allclose([d.confidence for d in pt], [d.confidence for d in onnx], atol=1e-4)
assert {d.class_name for d in pt + onnx} == {"footprint"}
print("same")
"""
    out = folder / "out"
    assert run_code(code, out / "detector.pt", out / "detector.onnx").strip() == "same"


@pytest.mark.slow
def test_a_training_that_was_killed_goes_on(tmp_path) -> None:
    """After its last whole epoch, with the same command; two at once are refused."""
    data = write_detector_data(tmp_path / "data", {"train": 4, "val": 2})
    before = listing_of(tmp_path / "data")
    out = tmp_path / "out"
    given = ["--data", data, "--imgsz", 64, "--batch", 4, "--output_dir", out, "--epochs", 5]
    given += ["--no_report"]
    command = [sys.executable, "-m", "footprints.train_detector", *map(str, given)]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "TMPDIR": str(tmp_path),
    }
    state = out / "resume_detector" / "state.json"
    with open(tmp_path / "log", "w") as log:
        run = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        deadline = time.monotonic() + 500
        while not state.exists():
            assert run.poll() is None, (tmp_path / "log").read_text()[-2000:]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        run.send_signal(signal.SIGSTOP)
        with pytest.raises(UserError, match="another process is at work in this folder"):
            main([str(word) for word in given])
    finally:
        run.kill()
        run.wait()
    assert len(list(out.glob(".unfinished-*"))) == 1, "its copy of the photos"
    kept = json.loads(state.read_text())["epochs"]
    assert 1 <= kept < 5
    with pytest.raises(UserError, match=r"seed was 0, is now 1\); give the same, or another"):
        main([*map(str, given), "--seed", "1"])
    assert state.exists()

    done = run_step("train_detector", *given)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"going on after epoch {kept} of 5" in done.stdout
    shown = [line for line in done.stdout.splitlines() if line.startswith("epoch ")]
    assert [line.split(":")[0].split(",")[0] for line in shown] == [
        f"epoch {n} of 5" for n in range(kept + 1, 6)
    ]
    assert all("loss " in line and "mAP50 " in line for line in shown)
    assert len(done.stdout.splitlines()) == 4 + len(shown), "Ultralytics' lines are shown"
    with open(out / "training.csv", newline="") as file:
        assert [row["epoch"].strip() for row in csv.DictReader(file)] == list("12345")
    scores = json.loads((out / "scores.json").read_text())
    assert (scores["part"], scores["photos"]) == ("val", 2)
    assert scores["training"]["epochs_run"] == 5
    assert {path.name for path in out.iterdir()} == {
        "detector.pt",
        "left_out.csv",
        "scores.json",
        "training.csv",
    }
    assert listing_of(tmp_path / "data") == before


@pytest.mark.slow
def test_a_training_that_was_stopped_before_its_scores_is_only_scored(
    tmp_path, monkeypatch, capsys
) -> None:
    data = write_detector_data(tmp_path / "data", {"train": 2, "val": 2})
    out = tmp_path / "out"
    given = ["--data", str(data), "--imgsz", "32", "--batch", "2", "--epochs", "1"]
    given += ["--threads", "1", "--output_dir", str(out), "--no_report"]

    def stop(*_args: object) -> None:
        raise KeyboardInterrupt

    scores = {"part": "val", "photos": 2, "boxes": 2, "mAP50": 0.5, "mAP50-95": 0.2}
    scores |= {"precision": 1.0, "recall": 1.0}
    monkeypatch.setattr(train_detector, "score", stop)
    with pytest.raises(KeyboardInterrupt):
        main(given)
    assert json.loads((out / "resume_detector" / "state.json").read_text())["is_done"] is True
    detector = (out / "detector.pt").read_bytes()
    monkeypatch.setattr(training, "_run_epochs", stop)
    monkeypatch.setattr(train_detector, "score", lambda *args: scores)
    assert main(given) == 0
    assert "going on after epoch 1 of 1" in capsys.readouterr().out
    assert (out / "detector.pt").read_bytes() == detector
    assert sorted(path.name for path in out.iterdir()) == [
        "detector.pt",
        "left_out.csv",
        "scores.json",
        "training.csv",
    ]


def test_a_planted_checkpoint_runs_nothing(tmp_path) -> None:
    """Neither that of the last epoch nor the best one, which Ultralytics loads without care."""
    load_ultralytics()
    import torch
    from ultralytics import YOLO

    marker = tmp_path / "marker"
    state = TrainingState(tmp_path / "out", {})
    state.folder.mkdir(parents=True)
    good = {"epoch": 0, "train_args": {}, "ema": YOLO("yolo11n.yaml").model}
    for kind, path in malicious_checkpoints(tmp_path, marker).items():
        shutil.copyfile(path, state.folder / "last.pt")
        with pytest.raises(UserError, match=r"last\.pt: cannot be gone on from .*--no-resume"):
            state.restore(tmp_path / "run", {})
        torch.save(good, state.folder / "last.pt")
        shutil.copyfile(path, state.best)
        with pytest.raises(UserError, match=rf"{state.best.name}: cannot be gone on from"):
            state.restore(tmp_path / "run", {})
        assert not marker.exists(), kind


@pytest.mark.slow
def test_a_finished_detector_is_not_replaced_unasked(trained, tmp_path) -> None:
    folder, _, _ = trained
    out = folder / "out"
    finished = listing_of(out)
    given = [
        *("--data", folder / "data" / "data.yaml", "--imgsz", 64, "--batch", 4, "--epochs", 1),
        *("--pseudo_labels", folder / "boxes.csv", "--pseudo_photos", folder / "real"),
        *("--exclude", folder / "exclude.txt", "--output_dir", out),
    ]
    given = [str(word) for word in given]
    assert main(given) == 3
    with pytest.raises(UserError, match=r"detector\.pt: was trained with other settings"):
        main([*given, "--mosaic", "0"])
    assert {name: content for name, (_, content) in listing_of(out).items()} == {
        name: content for name, (_, content) in finished.items()
    }
    done = run_step(
        *("train_detector", *given, "--no-resume", "--verbose"),
        *("--weights", out / "detector.pt", "--precision", "bf16", "--epochs", 1),
        *("--output_dir", tmp_path / "again"),
    )
    assert done.returncode == 3, done.stderr[-3000:]
    assert "Transferred" in done.stdout  # Ultralytics: the weights were taken over
    scores = json.loads((tmp_path / "again" / "scores.json").read_text())
    assert scores["training"]["weights"] == "detector.pt"
    assert scores["training"]["precision"] == "bf16"


def test_bf16_is_used_by_the_layers_and_by_nothing_else() -> None:
    code = """
import torch
from types import SimpleNamespace
from footprints.detector.training import compute_in_bf16
torch.manual_seed(0)
class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 4, 3)
    def predict(self, photos):
        return {"boxes": [self.layer(photos)], "places": torch.arange(3)}
network, photos = Network(), torch.rand(2, 3, 8, 8)
exact = network.predict(photos)["boxes"][0]
seen = []
network.layer.register_forward_hook(lambda layer, inputs, output: seen.append(output.dtype))
compute_in_bf16(SimpleNamespace(model=network, device=torch.device("cpu")))
found = network.predict(photos)
assert seen == [torch.bfloat16], seen
assert found["boxes"][0].dtype == network.layer.weight.dtype == torch.float32
assert found["places"].dtype == torch.int64
error = float((found["boxes"][0] - exact).abs().max())
assert 0 < error < 0.02, error  # 8 bits of mantissa
print("right")
"""
    assert run_code(code).strip() == "right"


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--data", "absent.yaml"], "absent.yaml: No such file"),
        (["--weights", "absent.pt"], "absent.pt: no such detector"),
        (["--output_dir", "IMAGES"], "holds photos of the data set"),
        (["--exclude", "absent.csv"], "absent.csv: No such file"),
    ],
)
def test_mistakes_are_named_before_anything_is_trained(data, tmp_path, arguments, match) -> None:
    given = ["--data", str(data), "--output_dir", str(tmp_path / "out"), *arguments]
    given = [str(data.parent / "images" / "val") if word == "IMAGES" else word for word in given]
    with pytest.raises(UserError, match=match):
        main(given)


@pytest.mark.parametrize(
    "arguments", [["--epochs", "0"], ["--pseudo_labels", "a.csv"], ["--imgsz", "-1"], []]
)
def test_usage_errors_end_with_status_2(tmp_path, arguments, capsys) -> None:
    given = ["--data", "data.yaml", *arguments] if arguments else []
    with pytest.raises(SystemExit) as caught:
        main(given)
    assert caught.value.code == 2

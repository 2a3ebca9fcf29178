"""From folders of photos to divided sets of crops; nothing lost, leaked or written elsewhere."""

from __future__ import annotations

import gc
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image

from footprints.cropping import crop_pool
from footprints.pictures.folders import printable
from footprints.places.taken import TAKEN_COLUMNS
from footprints.preparation.manifest import MANIFEST_COLUMNS
from footprints.prepare import main
from footprints.system.errors import UserError
from footprints.system.files import output_folder
from footprints.system.settings import Settings
from tests.helpers.detector import photo_with_square, red_square_detector, save_rotated
from tests.helpers.field_photos import field_exif, write_field_photo
from tests.helpers.photo_sets import (
    crops_of,
    make_oat,
    make_real,
    rows_of,
    soft_photo,
    state_of,
    write_photo,
)
from tests.helpers.photos import BROKEN, SOUND, encoded, noisy, shows_marker
from tests.helpers.programs import run_code, run_process, run_step

SIZE = 64  # of the crops here; small is fast


def prepare(
    output: Path, real: Path | None = None, oat: Path | None = None, *flags: object, detector="none"
) -> int:
    """Run the step in this process."""
    folders = [f"--real_dir={real}"] * bool(real) + [f"--oat_dir={oat}"] * bool(oat)
    fixed = ["--output_dir", str(output), "--detector", str(detector), "--processes", "0"]
    return main([*folders, *fixed, "--image_size", str(SIZE), *map(str, flags)])


def command(output: Path, real: Path, *flags: object) -> list[str]:
    fixed = ["--detector", "none", "--image_size", str(SIZE), "--processes", "1"]
    return [
        *(sys.executable, "-m", "footprints.prepare", "--real_dir", str(real)),
        *("--output_dir", str(output), *fixed, *map(str, flags)),
    ]


@pytest.fixture
def real(tmp_path: Path) -> Path:
    return make_real(tmp_path / "real", {"chat": 10, "loup": 10, "ours": 5})


def test_layout_and_tables(tmp_path: Path, real: Path) -> None:
    assert prepare(tmp_path / "out", real) == 0
    folder = tmp_path / "out" / "real"
    rows = rows_of(folder / "manifest.csv")
    assert tuple(rows[0]) == (*MANIFEST_COLUMNS, *TAKEN_COLUMNS)
    assert {row["crop"] for row in rows} == set(crops_of(folder))
    assert {row["source"] for row in rows} == {
        path.relative_to(real).as_posix() for path in real.rglob("*.jpg")
    }
    counts = Counter((row["class"], row["split"]) for row in rows)
    assert counts == {
        ("chat", "train"): 8,
        ("chat", "val"): 2,
        ("loup", "train"): 8,
        ("loup", "val"): 2,
        ("ours", "train"): 4,
        ("ours", "val"): 1,
    }
    for row in rows:
        assert row["crop"].startswith(f"{row['split']}/{row['class']}/")
        image = Image.open(folder / row["crop"])
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (SIZE, SIZE))
        assert (row["fallback"], row["confidence"]) == ("1", "")
        assert [float(row[key]) for key in ("x1", "y1", "x2", "y2")] == [15, 0, 105, 90]
        assert (row["width"], row["height"]) == ("120", "90")
    assert json.loads((folder / "classes.json").read_text()) == ["chat", "loup", "ours"]
    assert rows_of(folder / "left_out.csv") == []
    settings = Settings(**json.loads((tmp_path / "out" / "settings.json").read_text()))
    assert settings == Settings(image_size=SIZE)
    assert json.loads((folder / "prepare.json").read_text())["mode"] == "centre"


def test_crop_is_the_photo_and_not_black_or_swapped(tmp_path: Path, real: Path) -> None:
    """Defects of the original: black images with a label, red and blue swapped, stretching."""
    prepare(tmp_path / "out", real)
    for row in rows_of(tmp_path / "out" / "real" / "manifest.csv"):
        photo = Image.open(real / row["source"]).crop((15, 0, 105, 90))
        wanted = np.asarray(photo.resize((SIZE, SIZE), Image.Resampling.BICUBIC), float)
        crop = np.asarray(Image.open(tmp_path / "out" / "real" / row["crop"]), float)
        assert np.abs(crop - wanted).mean() < 2


@pytest.mark.parametrize("flags", [(), ("--strip_location",)])
def test_tables_say_when_and_where(flags, tmp_path: Path, real: Path) -> None:
    sett = write_field_photo(real / "chat" / "sett.jpg", soft_photo(77), field_exif())
    broken = write_field_photo(real / "chat" / "broken.jpg", noisy(), field_exif())
    os.truncate(broken, broken.stat().st_size // 2)
    assert prepare(tmp_path / "out", real, None, *flags) == 3
    rows = {row["source"]: row for row in rows_of(tmp_path / "out" / "real" / "manifest.csv")}
    left_out = rows_of(tmp_path / "out" / "real" / "left_out.csv")
    assert [row["source"] for row in left_out] == ["chat/broken.jpg"]
    for row in (rows[f"chat/{sett.name}"], *left_out):
        assert row["taken_at"] == "2026-03-01T07:15:00+01:00"
        place = ("", "", "") if flags else ("47.2345", "-8.5", "512.5")
        assert (row["latitude"], row["longitude"], row["altitude_m"]) == place
    assert rows["chat/chat1.jpg"]["taken_at"] == rows["chat/chat1.jpg"]["latitude"] == ""


def test_photos_are_only_read(tmp_path: Path, real: Path) -> None:
    oat = make_oat(tmp_path / "oat", {"train": {"otter": 3}, "val": {"otter": 2}})
    (real / "chat" / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    for path in [*real.rglob("*"), *oat.rglob("*"), real, oat]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = [state_of(folder) for folder in (real, oat)]
    assert prepare(tmp_path / "out", real, oat) == 3
    assert prepare(tmp_path / "out", real, oat, "--seed", 1) == 3
    assert [state_of(folder) for folder in (real, oat)] == before
    for path in [*real.rglob("*"), *oat.rglob("*"), real, oat]:  # so that pytest can clear up
        path.chmod(0o755)


def test_every_kind_of_photo(tmp_path: Path, capsys) -> None:
    """Sound ones become crops with their colours, upright; others are listed, never black."""
    folder = tmp_path / "real" / "otter"
    folder.mkdir(parents=True)
    for kind in (*SOUND, *BROKEN):
        kind.write(folder / kind.name)
    make_real(tmp_path / "real", {"lion": 5})
    assert prepare(tmp_path / "out", tmp_path / "real", None, "--max_distance", 0) == 3
    left_out = {row["source"]: row["reason"] for row in rows_of(tmp_path / "out/real/left_out.csv")}
    assert set(left_out) == {printable(f"otter/{kind.name}") for kind in BROKEN}
    assert all(left_out.values())
    rows = {row["source"]: row for row in rows_of(tmp_path / "out" / "real" / "manifest.csv")}
    for kind in SOUND:
        crop = np.asarray(
            Image.open(tmp_path / "out/real" / rows[f"otter/{printable(kind.name)}"]["crop"])
        )
        assert shows_marker(crop, kind.tolerance + 5, kind.grey), kind.name
    shown = capsys.readouterr().out
    assert f"{len(BROKEN)} of {len(SOUND) + len(BROKEN) + 5} photos left out" in shown


def test_second_run_makes_nothing(tmp_path: Path, real: Path, monkeypatch) -> None:
    prepare(tmp_path / "out", real)
    before = state_of(tmp_path / "out")
    monkeypatch.setattr(crop_pool, "CropPool", None)  # to use it would be an error
    assert prepare(tmp_path / "out", real) == 0
    assert state_of(tmp_path / "out") == before


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no such signals")
@pytest.mark.parametrize("processes", [1, 2])
def test_a_photo_that_kills_its_process_is_left_out_for_this_run_only(
    tmp_path: Path, real: Path, monkeypatch, processes: int
) -> None:
    out = tmp_path / "out"
    dies = (
        "import os, sys; from footprints.cropping import crop_worker as it; "
        "read = it.read_file; it.read_file = lambda path: "
        "os.kill(os.getpid(), 9) if path.name == 'chat3.jpg' else read(path); sys.exit(it.main())"
    )
    with monkeypatch.context() as patch:
        patch.setattr(crop_pool, "_WORK", ("-c", dies))
        assert prepare(out, real, None, "--processes", processes) == 3
    (row,) = rows_of(out / "real" / "left_out.csv")
    assert row["source"] == "chat/chat3.jpg"
    assert row["reason"] == "its worker process was killed, probably for want of memory"
    assert len(rows_of(out / "real" / "manifest.csv")) == 24
    assert list((out / "crops" / "incoming").iterdir()) == []
    assert prepare(out, real) == 0
    assert len(rows_of(out / "real" / "manifest.csv")) == 25


def sources_made(output: Path, n_before: int) -> list[str]:
    """Return which photos the journal got new lines for."""
    lines = (output / "crops" / "journal.jsonl").read_bytes().splitlines()
    return [json.loads(line)["source"] for line in lines[n_before:] if line.endswith(b"}")]


def test_only_what_changed_is_made_again(tmp_path: Path, real: Path, monkeypatch) -> None:
    made = []
    original = crop_pool.CropPool.map

    def spy(self, jobs):
        jobs = list(jobs)
        made.extend(job.source.name for job in jobs)
        return original(self, jobs)

    monkeypatch.setattr(crop_pool.CropPool, "map", spy)
    out = tmp_path / "out"
    prepare(out, real)
    assert len(made) == 25
    made.clear()
    write_photo(real / "chat" / "chat3.jpg", 777)  # another photo under the same name
    write_photo(real / "chat" / "new.jpg", 778)
    os.utime(real / "loup" / "loup1.jpg", ns=(1, 1))  # touched, not changed
    (real / "loup" / "loup2.jpg").rename(real / "ours" / "moved.jpg")
    (real / "ours" / "ours0.jpg").unlink()
    assert prepare(out, real) == 0
    assert sorted(made) == ["chat3.jpg", "new.jpg"]
    rows = rows_of(out / "real" / "manifest.csv")
    assert {row["crop"] for row in rows} == set(crops_of(out / "real"))
    sources = {row["source"]: row for row in rows}
    assert sources["ours/moved.jpg"]["class"] == "ours"
    assert not {"loup/loup2.jpg", "ours/ours0.jpg"} & set(sources)
    fresh = tmp_path / "fresh"
    prepare(fresh, real)
    assert crops_of(fresh / "real") == crops_of(out / "real")


def test_settings_make_other_crops_and_come_back(tmp_path: Path, real: Path) -> None:
    out = tmp_path / "out"
    prepare(out, real)
    first = crops_of(out / "real")
    prepare(out, real, None, "--image_size", 32)
    assert {Image.open(path).size for path in (out / "real").rglob("*.png")} == {(32, 32)}
    n = len((out / "crops" / "journal.jsonl").read_text().splitlines())
    prepare(out, real)
    assert crops_of(out / "real") == first
    assert sources_made(out, n) == []


def test_damaged_crop_is_made_again(tmp_path: Path, real: Path) -> None:
    out = tmp_path / "out"
    prepare(out, real)
    first = crops_of(out / "real")
    crops = sorted((out / "crops").glob("??/*.png"))
    crops[0].unlink()
    crops[1].write_bytes(b"cut")  # also in the folders for training: the same file
    prepare(out, real)
    assert crops_of(out / "real") == first


def make_look_alikes(folder: Path) -> Path:
    """Write 60 photos of two classes; 24 are copies or resaved copies, some in the other class."""
    make_real(folder, {"chat": 18, "loup": 18})
    for number in range(12):
        write_photo(folder / "chat" / f"copy{number}.jpg", number)
        label = "loup" if number % 2 else "chat"
        image = Image.fromarray(soft_photo(number + 18)).resize((96, 72))
        path = folder / label / f"resaved{number}.jpg"
        path.write_bytes(encoded(np.asarray(image), quality=70))
    return folder


@pytest.mark.parametrize("seed", range(4))
def test_no_leak_by_hash_group_or_looks(seed: int, tmp_path: Path) -> None:
    real = make_look_alikes(tmp_path / "real")
    assert prepare(tmp_path / "out", real, None, "--seed", seed, "--test_fraction", 0.2) == 0
    rows = rows_of(tmp_path / "out" / "real" / "manifest.csv")
    assert len(rows) == 60
    assert {row["split"] for row in rows} == {"train", "val", "test"}
    for key in ("sha256", "group"):
        splits = defaultdict(set)
        for row in rows:
            splits[row[key]].add(row["split"])
        assert all(len(parts) == 1 for parts in splits.values())
    hashes = [imagehash.phash(Image.open(real / row["source"])) for row in rows]
    for i, first in enumerate(rows):
        for j, second in enumerate(rows[:i]):
            if hashes[i] - hashes[j] <= 10:
                assert first["split"] == second["split"]


def test_division_depends_on_content_and_seed_only(tmp_path: Path) -> None:
    real = make_look_alikes(tmp_path / "real")
    other = tmp_path / "elsewhere"
    other.mkdir()
    names = sorted(real.rglob("*.jpg"), reverse=True)  # another order on the disk
    random.Random(1).shuffle(names)
    for path in names:
        target = other / path.relative_to(real)
        target.parent.mkdir(exist_ok=True)
        shutil.copy(path, target)
    for folder, source, seed in (("a", real, 0), ("b", other, 0), ("c", real, 1)):
        prepare(tmp_path / folder, source, None, "--seed", seed)
    tables = [(tmp_path / name / "real" / "manifest.csv").read_text() for name in "abc"]
    assert tables[0] == tables[1] != tables[2]
    assert str(tmp_path) not in tables[0]


def test_oat_keeps_its_parts_and_is_resized_only(tmp_path: Path, capsys) -> None:
    counts = {"train": {"otter": 4, "lion": 3}, "val": {"otter": 2, "lion": 1}, "test": {"lion": 2}}
    oat = make_oat(tmp_path / "oat", counts)
    write_photo(oat / "cropped_imgs" / "val" / "otter" / "copy.jpg", 1000)  # of train/otter0
    assert prepare(tmp_path / "out", None, oat, detector="none") == 0
    rows = rows_of(tmp_path / "out" / "oat" / "manifest.csv")
    assert all(row["source"].split("/")[1] == row["split"] for row in rows)
    assert Counter(row["split"] for row in rows) == {"train": 7, "val": 4, "test": 2}
    assert {row["fallback"] for row in rows} == {"0"}
    assert [rows[0][key] for key in ("x1", "y1", "x2", "y2")] == ["0.0", "0.0", "120.0", "90.0"]
    assert (tmp_path / "out" / "oat" / "test" / "otter").is_dir()  # Keras compares the folders
    shown = capsys.readouterr()
    assert "the same photo in several parts" in shown.err
    assert "look alike in several parts" in shown.out


def test_empty_part_of_oat(tmp_path: Path) -> None:
    oat = make_oat(tmp_path / "oat", {"train": {"otter": 3}, "val": {"otter": 2}})
    (oat / "cropped_imgs" / "test" / "otter").mkdir(parents=True)
    assert prepare(tmp_path / "out", None, oat) == 0
    assert not (tmp_path / "out" / "oat" / "test").exists()
    for path in (oat / "cropped_imgs" / "val" / "otter").iterdir():
        path.write_bytes(b"")
    with pytest.raises(UserError, match="no usable photo in its part val"):
        prepare(tmp_path / "out", None, oat)


def test_too_few_different_photos(tmp_path: Path) -> None:
    for number in range(4):
        write_photo(tmp_path / "real" / "otter" / f"{number}.jpg", 1, quality=90 + number)
    with pytest.raises(UserError, match="no photo is left for val"):
        prepare(tmp_path / "out", tmp_path / "real")


def test_photos_shared_by_both_sets_are_reported(tmp_path: Path, real: Path, capsys) -> None:
    oat = make_oat(tmp_path / "oat", {"train": {"otter": 3}, "val": {"otter": 2}})
    write_photo(oat / "cropped_imgs" / "train" / "otter" / "shared.jpg", 4)  # real/chat/chat4
    prepare(tmp_path / "out", real, oat)
    assert "look like photos of the other, 1 times" in capsys.readouterr().err


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_detector_sees_and_cuts_the_upright_photo(orientation: int, tmp_path: Path) -> None:
    """Defects of the original: box and pixels of different orientation, stretched crops."""
    upright = photo_with_square((256, 320), (192, 64, 256, 128), marker=(192, 64, 224, 80))
    for number in range(2):
        photo = upright.copy()
        photo[200:, : 60 + number * 90] = (90, 110, 140)  # not alike
        save_rotated(tmp_path / "real" / "otter" / f"{number}.jpg", photo, orientation)
    detector = red_square_detector(tmp_path / "red.onnx", image_size=320, cell=32)
    flags = ("--margin", 0, "--max_distance", 0, "--val_fraction", 0.5)
    assert prepare(tmp_path / "out", tmp_path / "real", None, *flags, detector=detector) == 0
    for row in rows_of(tmp_path / "out" / "real" / "manifest.csv"):
        assert row["fallback"] == "0"
        assert float(row["confidence"]) > 0.5
        box = [float(row[key]) for key in ("x1", "y1", "x2", "y2")]
        assert 192 - 4 <= box[0] < box[2] <= 256 + 4
        assert 64 - 4 <= box[1] < box[3] <= 128 + 4
        assert (row["width"], row["height"]) == ("320", "256")
        crop = np.asarray(Image.open(tmp_path / "out" / "real" / row["crop"])).astype(int)
        assert (crop[..., 0] - crop[..., 2]).mean() > 100, "red and blue are swapped"


def test_detector_in_two_processes_gives_the_same(tmp_path: Path) -> None:
    real = make_real(tmp_path / "real", {"chat": 6, "loup": 6})
    for number in range(3):
        photo = photo_with_square((128, 160), (32 + 16 * number, 32, 64 + 16 * number, 64))
        path = real / "chat" / f"print{number}.png"
        path.write_bytes(encoded(photo, "PNG"))
    (real / "loup" / "bad.jpg").write_bytes(b"<html>")
    detector = red_square_detector(tmp_path / "red.onnx")
    assert prepare(tmp_path / "one", real, detector=detector) == 3
    done = run_step(
        *("prepare", "--real_dir", real, "--output_dir", tmp_path / "two", "--detector", detector),
        *("--image_size", SIZE, "--processes", 2),
    )
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    for name in ("manifest.csv", "left_out.csv", "classes.json"):
        texts = [(tmp_path / folder / "real" / name).read_text() for folder in ("one", "two")]
        assert texts[0] == texts[1]
    assert crops_of(tmp_path / "one" / "real") == crops_of(tmp_path / "two" / "real")


def test_without_a_detector_it_says_so(tmp_path: Path, real: Path, capsys) -> None:
    prepare(tmp_path / "out", real)
    assert "no detector was given: all crops are the centres" in capsys.readouterr().out


@pytest.mark.slow
def test_killed_run_goes_on(tmp_path: Path) -> None:
    """As a process, killed with SIGKILL again and again; nothing is made twice or lost."""
    real = make_real(tmp_path / "real", {"chat": 40, "loup": 40})
    for path in list(real.rglob("*.jpg"))[:16]:  # larger ones take their time
        photo = Image.open(path).resize((2400, 1800))
        path.write_bytes(encoded(photo))
    wanted, out = tmp_path / "wanted", tmp_path / "out"
    assert prepare(wanted, real) == 0
    journal = out / "crops" / "journal.jsonl"
    kills = 0
    for lines in (0, 9, 45, 79):
        run = subprocess.Popen(
            command(out, real), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        while run.poll() is None:
            if journal.exists() and journal.read_bytes().count(b"\n") >= lines:
                run.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)
        run.communicate()
        kills += run.returncode == -signal.SIGKILL
        if kills and run.returncode:
            assert not (out / "real" / "manifest.csv").exists()
    assert kills >= 3
    done = run_process(*command(out, real))
    assert done.returncode == 0, done.stderr
    assert crops_of(out / "real") == crops_of(wanted / "real")
    manifests = [(folder / "real" / "manifest.csv").read_text() for folder in (out, wanted)]
    assert manifests[0] == manifests[1]
    made = Counter(sources_made(out, 0))
    assert len(made) == 80
    assert set(made.values()) == {1}, "crops were made twice"
    assert not list(out.rglob(".unfinished-*"))
    assert not list((out / "crops" / "incoming").iterdir())


class Killed(BaseException):
    """Stands for a kill at a certain call."""


@pytest.mark.slow
@pytest.mark.parametrize("function", ["replace", "link", "unlink", "mkdir"])
def test_kill_at_any_write_leaves_nothing_half(function: str, tmp_path: Path, monkeypatch) -> None:
    """Stop before and after each change of a name; the next run mends all."""
    real = make_real(tmp_path / "real", {"chat": 4, "loup": 4})
    wanted = tmp_path / "wanted"
    prepare(wanted, real, None, "--seed", 3)
    reference = crops_of(wanted / "real")
    start = tmp_path / "start"
    prepare(start, real)  # of another seed, so that crops move between the parts
    original = getattr(os, function)
    for number in range(1, 40):
        out = tmp_path / f"out{number}"
        if number % 2:
            shutil.copytree(start, out)
        left = (number + 1) // 2

        def stop(*args, **options):
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed
            return original(*args, **options)

        monkeypatch.setattr(os, function, stop)
        try:
            prepare(out, real, None, "--seed", 3)
            killed = False
        except Killed:
            killed = True
        monkeypatch.setattr(os, function, original)
        gc.collect()  # a killed process drops its locks
        manifest = out / "real" / "manifest.csv"
        if killed and manifest.exists():
            rows = rows_of(manifest)
            assert {row["crop"] for row in rows} == set(crops_of(out / "real")), (
                "manifest is untrue"
            )
        assert prepare(out, real, None, "--seed", 3) == 0
        assert crops_of(out / "real") == reference
        assert manifest.read_text() == (wanted / "real" / "manifest.csv").read_text()
        shutil.rmtree(out)
        if not killed and number > 2:
            break


def _planted(record: dict, **changes) -> str:
    return json.dumps({**record, **changes}) + "\n"


def test_a_planted_journal_brings_no_foreign_picture(tmp_path: Path, real: Path) -> None:
    """A key that is a path linked a picture from anywhere into the training set."""
    out = tmp_path / "out"
    prepare(out, real)
    first = crops_of(out / "real")
    foreign = write_photo(tmp_path / "foreign.png", 5)
    journal = out / "crops" / "journal.jsonl"
    records = [json.loads(line) for line in journal.read_text().splitlines()]
    size = foreign.stat().st_size
    journal.write_text(
        "".join(
            _planted(record, key=key, crop_bytes=size)
            for record in records
            for key in ("../..", str(foreign.with_suffix("")), "../../foreign", "0" * 32, None, 7)
        )
        + _planted(records[0], box_xyxy=[0, 0, 1e400, 1])
        + _planted(records[0], width="wide")
        + "[1]\n7\nnull\n"
        + "[" * 100_000
        + "\n"
    )
    assert prepare(out, real) == 0
    assert crops_of(out / "real") == first


def test_torn_journal_is_read(tmp_path: Path, real: Path) -> None:
    out = tmp_path / "out"
    prepare(out, real)
    first = crops_of(out / "real")
    journal = out / "crops" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-40] + b"\0\0\xff")
    assert prepare(out, real) == 0
    assert prepare(out, real) == 0
    assert crops_of(out / "real") == first
    assert len(sources_made(out, 0)) == 25


def test_where_links_fail_crops_are_copied(tmp_path: Path, real: Path, monkeypatch) -> None:
    def no_links(*_args: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    out = tmp_path / "out"
    assert prepare(out, real) == 0
    before = state_of(out / "real")
    assert len(crops_of(out / "real")) == 25
    assert prepare(out, real) == 0
    assert state_of(out / "real") == before


def test_second_prepare_in_the_same_folder_is_refused(tmp_path: Path, real: Path) -> None:
    with output_folder(tmp_path / "out"):
        done = run_step(
            "prepare", "--real_dir", real, "--output_dir", tmp_path / "out", "--detector", "none"
        )
    assert done.returncode == 1
    assert "another process is at work" in done.stderr


def test_nothing_usable_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "real" / "otter"
    folder.mkdir(parents=True)
    for kind in BROKEN[:5]:
        kind.write(folder / kind.name)
    done = run_step(
        *("prepare", "--real_dir", tmp_path / "real", "--output_dir", tmp_path / "out"),
        *("--detector", "none", "--processes", 1),
    )
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if not line.startswith("crops:")]
    assert len(errors) == 1
    assert "none of its 5 photos can be used; the first is otter/" in errors[0]
    assert len(rows_of(tmp_path / "out" / "real" / "left_out.csv")) == 5


def test_class_without_usable_photos_is_left_out(tmp_path: Path, real: Path, capsys) -> None:
    (real / "lynx").mkdir()
    (real / "lynx" / "a.jpg").write_bytes(b"<html>")
    make_real(real, {"puma": 1}, start=500)
    assert prepare(tmp_path / "out", real) == 3
    shown = capsys.readouterr().err
    assert "class lynx has no usable photo" in shown
    assert "class puma has no photo in val" in shown
    classes = json.loads((tmp_path / "out" / "real" / "classes.json").read_text())
    assert classes == ["chat", "loup", "ours", "puma"]
    assert (tmp_path / "out" / "real" / "val" / "puma").is_dir()


def test_photo_outside_of_a_class_is_left_out(tmp_path: Path, real: Path) -> None:
    write_photo(real / "stray.jpg", 600)
    assert prepare(tmp_path / "out", real) == 3
    left_out = rows_of(tmp_path / "out" / "real" / "left_out.csv")
    stray = {"source": "stray.jpg", "reason": "not in the folder of a class"}
    assert left_out == [stray | dict.fromkeys(TAKEN_COLUMNS, "")]


def test_once_bad_photo_is_taken_when_it_can_be_read(tmp_path: Path, real: Path) -> None:
    """As after a change of permissions, which leaves size and time as they were."""
    data = (real / "chat" / "chat0.jpg").read_bytes()
    path = real / "chat" / "chat0.jpg"
    path.write_bytes(bytes(len(data)))
    os.utime(path, ns=(5, 5))
    assert prepare(tmp_path / "out", real) == 3
    assert prepare(tmp_path / "out", real) == 3
    path.write_bytes(data)
    os.utime(path, ns=(5, 5))
    assert prepare(tmp_path / "out", real) == 0
    assert len(crops_of(tmp_path / "out" / "real")) == 25


def _inside(tmp_path: Path, real: Path) -> Path:
    return real / "prepared"


def _around(tmp_path: Path, real: Path) -> Path:
    return tmp_path


def _linked(tmp_path: Path, real: Path) -> Path:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "real").symlink_to(real)
    return tmp_path / "out"


def _link_to_inside(tmp_path: Path, real: Path) -> Path:
    (tmp_path / "out").symlink_to(real / "chat")
    return tmp_path / "out"


def _of_others(tmp_path: Path, real: Path) -> Path:
    write_photo(tmp_path / "out" / "real" / "train" / "chat" / "mine.jpg", 1)
    return tmp_path / "out"


def _file(tmp_path: Path, real: Path) -> Path:
    (tmp_path / "out").write_text("notes")
    return tmp_path / "out"


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (_inside, "lie in each other"),
        (_around, "lie in each other"),
        (_linked, "is a link"),
        (_link_to_inside, "lie in each other"),
        (_of_others, "not from prepare"),
        (_file, "not a folder"),
    ],
)
def test_output_among_the_photos_or_files_of_others_is_refused(
    make, match: str, tmp_path: Path, real: Path
) -> None:
    output = make(tmp_path, real)
    before = state_of(tmp_path)
    with pytest.raises(UserError, match=match):
        prepare(output, real)
    assert state_of(tmp_path) == before


def test_file_put_among_the_crops_is_kept_and_named(tmp_path: Path, real: Path) -> None:
    prepare(tmp_path / "out", real)
    mine = write_photo(tmp_path / "out" / "real" / "train" / "chat" / "mine.jpg", 1)
    with pytest.raises(UserError, match=r"mine\.jpg: is not from prepare"):
        prepare(tmp_path / "out", real, None, "--seed", 1)
    assert mine.exists()


def test_link_among_the_crops_is_not_followed(tmp_path: Path, real: Path) -> None:
    prepare(tmp_path / "out", real)
    target = tmp_path / "precious"
    shutil.move(tmp_path / "out" / "real" / "val" / "chat", target)
    (tmp_path / "out" / "real" / "val" / "chat").symlink_to(target)
    before = state_of(target)
    with pytest.raises(UserError, match="is a link"):
        prepare(tmp_path / "out", real, None, "--seed", 1)
    assert state_of(target) == before


@pytest.mark.parametrize(
    ("oat", "names", "match"),
    [
        (True, ["otter/a.jpg"], "no train and val folders"),
        (True, ["train/otter/a.jpg", "test/otter/b.jpg"], "no val folder"),
        (False, ["train/otter/a.jpg", "val/otter/b.jpg"], "--oat_dir"),
        (False, ["otter/notes.txt"], "no photos"),
        (False, [os.fsdecode(b"\xff/a.jpg")], "rename this class folder"),
    ],
)
def test_unfit_folders_end_with_one_line(oat, names, match: str, tmp_path: Path) -> None:
    for number, name in enumerate(names):
        write_photo(tmp_path / "data" / name, number)
    folders = {"oat" if oat else "real": tmp_path / "data"}
    with pytest.raises(UserError, match=match) as caught:
        prepare(tmp_path / "out", **folders)
    assert "\n" not in str(caught.value)
    str(caught.value).encode()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "flags",
    [
        ["--val_fraction", "0"],
        ["--val_fraction", "0.7", "--test_fraction", "0.3"],
        ["--seed", "-1"],
        ["--max_distance", "99"],
        ["--processes", "-1"],
        ["--detect_oat"],
        ["--image_size", "3"],
    ],
    ids=" ".join,
)
def test_wrong_flags_end_with_status_2(flags: list[str], tmp_path: Path, real: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        prepare(tmp_path / "out", real, None, *flags)
    assert caught.value.code == 2


def test_absent_detector_and_folder(tmp_path: Path, real: Path) -> None:
    with pytest.raises(UserError, match="no such detector"):
        prepare(tmp_path / "out", real, detector=tmp_path / "best.pt")
    with pytest.raises(UserError, match="no such folder"):
        prepare(tmp_path / "out", tmp_path / "gone")


def test_names_in_any_script_and_bytes(tmp_path: Path) -> None:
    folder = tmp_path / "real" / "écureuil roux"
    for number, name in enumerate([b"caf\xe9.jpg", b"a/b.jpg", b"b.jpg", b"B.jpg", b"\xff.jpg"]):
        write_photo(folder / os.fsdecode(name), number)
    assert prepare(tmp_path / "out", tmp_path / "real") == 0
    rows = rows_of(tmp_path / "out" / "real" / "manifest.csv")
    assert len({row["crop"] for row in rows}) == 5
    assert {row["class"] for row in rows} == {"écureuil roux"}
    assert "écureuil roux/caf\\udce9.jpg" in {row["source"] for row in rows}


@pytest.mark.parametrize("step", ["prepare", "audit"])
def test_help_tells_the_exit_statuses(step: str) -> None:
    done = run_step(step, "--help")
    assert done.returncode == 0
    assert "Exit status" in done.stdout


def test_parent_imports_neither_torch_nor_tensorflow(tmp_path: Path, real: Path) -> None:
    code = """
import sys
from footprints.prepare import main
assert main(sys.argv[1:]) == 0
heavy = {"torch", "tensorflow", "keras", "ultralytics", "cv2", "sklearn", "matplotlib"}
print("heavy:", sorted(heavy & set(sys.modules)))
"""
    shown = run_code(
        *(code, "--real_dir", real, "--output_dir", tmp_path / "out", "--detector", "none"),
        *("--processes", 1),
    )
    assert "heavy: []" in shown


def test_progress_is_plain_without_a_terminal(tmp_path: Path, real: Path) -> None:
    done = run_step(
        "prepare", "--real_dir", real, "--output_dir", tmp_path / "out", "--detector", "none"
    )
    assert done.returncode == 0
    assert "\r" not in done.stderr
    assert "crops: 25 photos in" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="terminals of another kind")
def test_progress_is_a_bar_on_a_terminal(tmp_path: Path, real: Path) -> None:
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    run = subprocess.Popen(
        command(tmp_path / "out", real),
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            block = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not block:
            break
        shown += block
    os.close(ours)
    assert run.wait() == 0
    assert b"\r" in shown
    assert b"25/25" in shown


# --- photos of other animals -------------------------------------------------------------------


def test_photos_of_other_animals_are_divided_with_those_of_the_classes(tmp_path) -> None:
    real = make_real(tmp_path / "real", {"fox": 6, "hare": 6})
    others = make_real(tmp_path / "strange", {"toad": 5, "deep/newt": 5}, start=500)
    done = run_process(*command(tmp_path / "out", real, "--others", others))
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "out" / "real" / "manifest.csv")
    strange = [row for row in rows if row["class"] == "other"]
    assert len(rows) == 22
    assert Counter(row["split"] for row in strange) == {"train": 8, "val": 2}
    assert {row["source"].split("/")[:2][1] for row in strange} == {"toad", "deep"}
    assert json.loads((tmp_path / "out/real/classes.json").read_text()) == ["fox", "hare", "other"]


def test_photos_of_a_class_and_of_none_are_kept_apart(tmp_path) -> None:
    real = make_real(tmp_path / "real", {"fox": 3, "hare": 3})
    with pytest.raises(UserError, match="lie in each other"):
        prepare(tmp_path / "out", real, None, "--others", real / "fox")
    others = make_real(tmp_path / "strange", {"toad": 2, "deep/Fox": 2}, start=500)
    for folder in (others, others / "deep/Fox"):
        with pytest.raises(UserError, match=r"deep/Fox: is called like the class fox"):
            prepare(tmp_path / "out", real, None, "--others", folder)
    assert not (tmp_path / "out").exists()

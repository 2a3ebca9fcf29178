"""Training and evaluation take from a prepared folder what its manifest names, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from footprints import prepare
from footprints.network.prepared_set import open_set
from footprints.system.errors import UserError
from tests.helpers.photo_sets import make_real, rows_of

CLASSES = ("-fox", "deer\u202e", "hérisson")  # a formula, a mark that turns writing, an accent


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    make_real(folder / "photos", dict.fromkeys(CLASSES, 4))
    assert prepare.main(command(folder)) == 0
    return folder


@pytest.fixture
def place(made, tmp_path) -> Path:
    """A copy, for changes."""
    return shutil.copytree(made, tmp_path / "place")


def command(folder: Path) -> list[str]:
    flags = ["--real_dir", folder / "photos", "--output_dir", folder / "prepared"]
    flags += ["--detector", "none", "--image_size", 32, "--processes", 0]
    return [*map(str, flags), "--scales", "crop", "photo", "--test_fraction", "0.25"]


def test_a_set_is_what_its_manifest_names(made) -> None:
    folder = made / "prepared" / "real"
    found = open_set(folder, ("train", "val"))
    assert (found.classes, found.scales) == (CLASSES, ("crop", "photo"))
    assert found.image_size == 32
    rows = rows_of(folder / "manifest.csv")
    for split in ("train", "val"):
        crops = sorted(
            row["crop"].lstrip("'").rpartition("/")[2]
            for row in rows
            if (row["split"], row["scale"]) == (split, "crop")
        )
        assert sorted(path.name for path in found.parts[split].paths) == crops
        for path, number in zip(found.parts[split].paths, found.parts[split].labels, strict=True):
            assert path.parent == folder / split / CLASSES[number]
        for path in found.paths(split, "photo"):
            assert path.is_file()


def test_other_parts_and_the_store_need_not_be_there(place) -> None:
    """As where a set was copied elsewhere for evaluation."""
    folder = place / "prepared" / "real"
    whole = open_set(folder, ("test",)).fingerprint()
    for name in ("train", "train_photo", "val", "val_photo"):
        shutil.rmtree(folder / name)
    shutil.rmtree(place / "prepared" / "crops")
    found = open_set(folder, ("test",)).with_classes(CLASSES[::-1], "m.keras")
    assert found.classes == CLASSES[::-1]
    assert open_set(folder, ("test",)).fingerprint() == whole


def test_prepare_can_be_run_again_where_names_are_odd(place) -> None:
    before = (place / "prepared" / "real" / "manifest.csv").read_bytes()
    assert prepare.main(command(place)) == 0
    assert (place / "prepared" / "real" / "manifest.csv").read_bytes() == before


@pytest.mark.parametrize("part", ["train", "val_photo"])
def test_another_picture_in_a_crops_place_is_named_until_prepare_puts_it_back(place, part) -> None:
    folder = place / "prepared" / "real"
    crop = next((folder / part / "hérisson").iterdir())
    before = crop.read_bytes()
    crop.unlink()
    Image.new("RGB", (32, 32), "red").save(crop)
    with pytest.raises(UserError, match=f"{crop.name}: not the picture that footprints.prepare"):
        open_set(folder, ("train", "val"))
    assert prepare.main(command(place)) == 0
    assert crop.read_bytes() == before
    open_set(folder, ("train", "val"))


def edited(folder: Path, change) -> Path:
    """Change the text of a manifest."""
    manifest = folder / "manifest.csv"
    text = manifest.read_text(encoding="utf-8")
    assert change(text) != text
    manifest.write_text(change(text), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(
            lambda text: text.replace(",hérisson,train,", ",'-fox,train,", 1),
            "its row of 'train/hérisson/.*' cannot be meant",
            id="other-class",
        ),
        pytest.param(
            lambda text: text.replace(",val,", ",train,", 1), "cannot be meant", id="other-part"
        ),
        pytest.param(
            lambda text: text + text.splitlines()[-1] + "\n", "cannot be meant", id="twice"
        ),
        pytest.param(
            lambda text: text.replace("crop,source", "krop,source"), "cannot be", id="no-column"
        ),
        pytest.param(
            lambda text: text.replace(",", ";"), "row of '' cannot be meant", id="semicolons"
        ),
        pytest.param(
            lambda text: "".join(text.splitlines(keepends=True)[:-1]),
            r"val_photo/hérisson/.*png: this crop was put here by hand",
            id="one-row-less",
        ),
        pytest.param(
            lambda text: text.splitlines(keepends=True)[0], "no photos in its part", id="no-rows"
        ),
        pytest.param(
            lambda text: text.replace("train/hérisson/", "train/../", 1), "cannot be", id="outside"
        ),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused_by_name(place, change, said) -> None:
    folder = edited(place / "prepared" / "real", change)
    with pytest.raises(UserError, match=said):
        open_set(folder, ("train", "val"))

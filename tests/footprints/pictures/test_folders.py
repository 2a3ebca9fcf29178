"""Which class a photo is of, by the name of its folder."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from footprints import prepare
from footprints.pictures.folders import list_photos, mistaken_names
from footprints.system.errors import UserError
from tests.helpers.photo_sets import make_real, rows_of, write_photo

SMALL = ["--detector", "none", "--image_size", "32", "--processes", "0"]


def folders(root: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        write_photo(root / name / f"{number}.jpg", number)
    return root


def test_one_species_in_two_unicode_forms_is_one_class(tmp_path: Path) -> None:
    names = [unicodedata.normalize(form, "écureuil") for form in ("NFC", "NFD")]
    listing = list_photos(folders(tmp_path, *names))
    assert {photo.label for photo in listing.photos} == {names[0]}
    assert mistaken_names(listing) == []


@pytest.mark.parametrize(
    ("names", "both"),
    [
        (("Fox", "fox"), "'Fox' and 'fox'"),
        (("fox", "fox "), "'fox' and 'fox '"),
        (("roe deer", "roe  deer"), "'roe  deer' and 'roe deer'"),
        (("train/Fox", "val/fox"), "'train/Fox' and 'val/fox'"),
        (("ÉLAN", unicodedata.normalize("NFD", "élan")), "ÉLAN"),
    ],
    ids=ascii,
)
def test_names_that_differ_in_case_or_blanks_are_named_both(names, both: str, tmp_path) -> None:
    (line,) = mistaken_names(list_photos(folders(tmp_path, *names)))
    assert both in line
    assert "differ only in case or blanks" in line


def test_a_blank_at_the_end_is_no_part_of_a_class(tmp_path: Path) -> None:
    listing = list_photos(folders(tmp_path, "fox ", "hare"))
    assert {photo.label for photo in listing.photos} == {"fox", "hare"}
    assert mistaken_names(listing) == []


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("Fox", "fox"), "'Fox' and 'fox' differ only in case or blanks; give one class one name"),
        (("fox", "UNKNOWN"), "'UNKNOWN': 'unknown' is the answer .*; rename this folder"),
    ],
)
def test_prepare_refuses_such_names(names, said: str, tmp_path: Path) -> None:
    photos = folders(tmp_path / "photos", *names)
    given = ["--real_dir", str(photos), "--output_dir", str(tmp_path / "out"), *SMALL]
    with pytest.raises(UserError, match=said):
        prepare.main(given)
    assert not (tmp_path / "out").exists()


def test_files_that_are_no_photos_are_counted_and_listed(tmp_path: Path, capsys) -> None:
    photos = make_real(tmp_path / "photos", {"fox": 3, "hare": 3})
    (photos / "fox" / "fox0.dng").write_bytes(b"x")
    (photos / "fox" / "alone.arw").write_bytes(b"x")
    (photos / "notes.docx").write_bytes(b"x")
    given = ["--real_dir", str(photos), "--output_dir", str(tmp_path / "out"), *SMALL]
    assert prepare.main(given) == 3
    assert "real: 2 other files are not used (1 .dng, 1 .docx)" in capsys.readouterr().out
    table = {r["source"]: r["reason"] for r in rows_of(tmp_path / "out" / "real" / "left_out.csv")}
    assert "save it as JPEG with the camera's program" in table.pop("fox/alone.arw")
    assert table == {
        "fox/fox0.dng": "RAW photo; fox0.jpg beside it is used",
        "notes.docx": "no photo by its name",
    }

"""What people edit is never overwritten unasked."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from footprints import prepare
from footprints.system.errors import UserError
from footprints.system.results import RECORD, Results
from tests.helpers.photo_sets import make_real, state_of

NAMES = ("a.csv", "b.json")


def write(folder: Path, text: str, **options) -> None:
    results = Results(folder, NAMES, **options)
    results.write_text("a.csv", text)
    results.write_json("b.json", {"n": text})


def test_what_was_not_edited_is_written_anew(tmp_path: Path) -> None:
    write(tmp_path, "one")
    write(tmp_path, "two")
    assert (tmp_path / "a.csv").read_text() == "two"
    digest = hashlib.sha256(b"two").hexdigest()
    assert json.loads((tmp_path / RECORD).read_text())["a.csv"] == [digest]
    (tmp_path / "a.csv").unlink()
    write(tmp_path, "two")
    assert (tmp_path / "a.csv").read_text() == "two"


def test_an_edited_file_stops_the_run_and_everything_stays(tmp_path: Path) -> None:
    write(tmp_path, "one")
    (tmp_path / "a.csv").write_text("edited")
    before = state_of(tmp_path)
    with pytest.raises(UserError, match=r"a\.csv: was edited.*--replace_edited"):
        write(tmp_path, "two")
    assert state_of(tmp_path) == before


def test_replacing_keeps_every_edited_file(tmp_path: Path) -> None:
    for edited in ("first", "second"):
        write(tmp_path, "one", replace_edited=True)
        (tmp_path / "a.csv").write_text(edited)
    write(tmp_path, "two", replace_edited=True)
    assert (tmp_path / "a.csv").read_text() == "two"
    assert (tmp_path / "a.csv.bak").read_text() == "first"
    assert (tmp_path / "a.csv.bak2").read_text() == "second"
    assert not (tmp_path / "b.json.bak").exists()


def test_files_of_others_count_as_edited_unless_trusted(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("mine")
    with pytest.raises(UserError, match="not from this program"):
        write(tmp_path, "two")
    write(tmp_path, "two", trusted=True)
    assert (tmp_path / "a.csv").read_text() == "two"


@pytest.mark.parametrize("record", [b"", b"[]", b"{", b'{"a.csv": 3}', b'{"a.csv": [3]}'])
def test_a_damaged_record_makes_nothing_ours(record: bytes, tmp_path: Path) -> None:
    write(tmp_path, "one")
    (tmp_path / RECORD).write_bytes(record)
    with pytest.raises(UserError, match="was edited"):
        write(tmp_path, "two")


def test_a_kill_between_note_and_file_makes_no_edit_of_it(tmp_path: Path, monkeypatch) -> None:
    write(tmp_path, "one")

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("footprints.system.results.write_bytes", killed)
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path, "two")
    assert (tmp_path / "a.csv").read_text() == "one"
    write(tmp_path, "three")
    assert (tmp_path / "a.csv").read_text() == "three"


# --- prepare -----------------------------------------------------------------------------------


@pytest.fixture
def prepared(tmp_path: Path):
    """Photos that were prepared once, and the command."""
    photos = make_real(tmp_path / "photos", {"fox": 5, "hare": 5})
    flags = ["--real_dir", photos, "--output_dir", tmp_path / "out", "--detector", "none"]
    command = [*map(str, flags), "--image_size", "32", "--processes", "0"]
    assert prepare.main(command) == 0
    return tmp_path / "out" / "real", command


@pytest.mark.parametrize("name", ["manifest.csv", "classes.json", "prepare.json", "left_out.csv"])
def test_an_edited_table_of_prepare_is_kept(name: str, prepared) -> None:
    folder, command = prepared
    before = (folder / name).read_bytes()
    (folder / name).write_bytes(before + b" ")
    with pytest.raises(UserError, match=f"{name}: was edited"):
        prepare.main(command)
    assert (folder / name).read_bytes() == before + b" "
    assert prepare.main([*command, "--replace_edited"]) == 0
    assert (folder / name).read_bytes() == before
    assert (folder / f"{name}.bak").read_bytes() == before + b" "


def test_crops_that_were_moved_or_removed_by_hand_stay_so(prepared) -> None:
    folder, command = prepared
    first, second = sorted((folder / "train" / "fox").iterdir())[:2]
    first.rename(folder / "train" / "hare" / first.name)
    with pytest.raises(UserError, match=f"hare/{first.name}: this crop was moved here by hand"):
        prepare.main(command)
    (folder / "train" / "hare" / first.name).rename(first)
    second.unlink()
    with pytest.raises(UserError, match=f"fox/{second.name}: this crop was removed by hand"):
        prepare.main(command)
    assert not second.exists()
    assert prepare.main([*command, "--replace_edited"]) == 0
    assert second.exists()

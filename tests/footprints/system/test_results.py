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


def test_an_edited_file_is_left_and_the_others_are_written(tmp_path: Path, capsys) -> None:
    write(tmp_path, "one")
    (tmp_path / "a.csv").write_text("edited")
    for text in ("two", "three"):
        write(tmp_path, text)
        assert (tmp_path / "a.csv").read_text() == "edited"
        assert json.loads((tmp_path / "b.json").read_text()) == {"n": text}
        (line,) = capsys.readouterr().err.splitlines()
        assert "a.csv: was edited after it was written and is left as it is" in line
        assert "--replace_edited" in line
    (tmp_path / "a.csv").write_text("one")  # the edit is undone
    write(tmp_path, "two")
    assert (tmp_path / "a.csv").read_text() == "two"


def test_replacing_keeps_every_edited_file(tmp_path: Path) -> None:
    for edited in ("first", "second"):
        write(tmp_path, "one", replace_edited=True)
        (tmp_path / "a.csv").write_text(edited)
    write(tmp_path, "two", replace_edited=True)
    assert (tmp_path / "a.csv").read_text() == "two"
    assert (tmp_path / "a.csv.bak").read_text() == "first"
    assert (tmp_path / "a.csv.bak2").read_text() == "second"
    assert not (tmp_path / "b.json.bak").exists()


def test_files_of_others_are_left_unless_trusted(tmp_path: Path, capsys) -> None:
    (tmp_path / "a.csv").write_text("mine")
    write(tmp_path, "two")
    assert (tmp_path / "a.csv").read_text() == "mine"
    assert "a.csv: was not written by this program and is left" in capsys.readouterr().err
    write(tmp_path, "two", trusted=True)
    assert (tmp_path / "a.csv").read_text() == "two"


@pytest.mark.parametrize("record", [b"", b"[]", b"{", b'{"a.csv": 3}', b'{"a.csv": [3]}'])
def test_a_damaged_record_makes_nothing_ours(record: bytes, tmp_path: Path) -> None:
    write(tmp_path, "one")
    (tmp_path / RECORD).write_bytes(record)
    write(tmp_path, "two")
    assert (tmp_path / "a.csv").read_text() == "one"


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
def test_an_edited_table_of_prepare_is_left(name: str, prepared, capsys) -> None:
    folder, command = prepared
    before = (folder / name).read_bytes()
    (folder / name).write_bytes(before + b" ")
    assert prepare.main(command) == 0
    assert f"{name}: was edited" in capsys.readouterr().err
    assert (folder / name).read_bytes() == before + b" "
    assert prepare.main([*command, "--replace_edited"]) == 0
    assert (folder / name).read_bytes() == before
    assert (folder / f"{name}.bak").read_bytes() == before + b" "


def test_where_an_edited_manifest_would_not_be_true_any_more_the_crops_stay(prepared) -> None:
    folder, command = prepared
    (folder / "manifest.csv").write_text("mine")
    before = state_of(folder)
    with pytest.raises(UserError, match=r"manifest\.csv: was edited, and would no longer be true"):
        prepare.main([*command, "--seed", "5"])
    assert state_of(folder) == before
    assert prepare.main([*command, "--seed", "5", "--replace_edited"]) == 0
    assert (folder / "manifest.csv.bak").read_text() == "mine"


def test_crops_that_were_moved_or_removed_by_hand_stay_so(prepared) -> None:
    folder, command = prepared
    first, second = sorted((folder / "train" / "fox").iterdir())[:2]
    first.rename(folder / "train" / "hare" / first.name)
    with pytest.raises(UserError, match=f"hare/{first.name}: this crop was put here by hand"):
        prepare.main(command)
    (folder / "train" / "hare" / first.name).rename(first)
    second.unlink()
    with pytest.raises(UserError, match=f"fox/{second.name}: this crop was removed by hand"):
        prepare.main(command)
    assert not second.exists()
    assert prepare.main([*command, "--replace_edited"]) == 0
    assert second.exists()


def test_what_is_not_written_any_more_is_removed_unless_edited(tmp_path: Path) -> None:
    for name in ("old.svg", "edited.svg"):
        Results(tmp_path, [name], record=".kept.json").write_text(name, "one")
    (tmp_path / "edited.svg").write_text("mine")
    (tmp_path / "notes.txt").write_text("theirs")
    results = Results(tmp_path, ["new.svg"], record=".kept.json")
    results.write_text("new.svg", "two")
    results.remove_others(["new.svg"])
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"edited.svg", "new.svg", "notes.txt", ".kept.json"}
    assert json.loads((tmp_path / ".kept.json").read_text()).keys() == {"new.svg"}


def test_only_what_is_named_is_removed_and_nothing_edited(tmp_path: Path) -> None:
    write(tmp_path, "one")
    (tmp_path / "mine.csv").write_text("mine")
    Results(tmp_path, NAMES).remove(["a.csv", "mine.csv", "gone.csv"])
    assert {path.name for path in tmp_path.iterdir()} == {"b.json", "mine.csv", RECORD}
    (tmp_path / "b.json").write_text("edited")
    Results(tmp_path, NAMES).remove(["b.json"])
    assert (tmp_path / "b.json").read_text() == "edited"

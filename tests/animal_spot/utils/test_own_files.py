"""Files that a program wrote, told from those that people made or edited."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_spot.utils.own_files import JsonLines, LineError, OwnFiles, file_name, is_copy


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def opened(folder, **options) -> OwnFiles:
    lines = JsonLines(folder / ".record.jsonl")
    own = OwnFiles(folder, lines, **options)
    lines.read(own.read)
    return own


def replace(own, folder, name, text, **options) -> bool:
    """Write as programs do; tell whether it was allowed."""
    if own.may_write(name, **options):
        own.write_text(name, text)
        return True
    return False


def test_what_was_written_is_replaced(folder):
    assert replace(opened(folder), folder, "a.txt", "one")
    assert replace(opened(folder), folder, "a.txt", "two")
    assert (folder / "a.txt").read_text() == "two"
    assert not list(folder.glob("*.bak*"))


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda p: p.write_text("ONE"), id="same-size"),
        pytest.param(lambda p: p.write_text(""), id="emptied"),
        pytest.param(lambda p: p.write_text("one "), id="longer"),
    ],
)
def test_what_was_edited_is_left(folder, edit, caplog):
    replace(opened(folder), folder, "a.txt", "one")
    os.utime(folder / "a.txt", ns=(0, 0))
    edit(folder / "a.txt")
    edited = (folder / "a.txt").read_text()
    own = opened(folder)
    assert own.is_edited("a.txt")
    for _ in range(2):
        assert not replace(own, folder, "a.txt", "two")
    assert (folder / "a.txt").read_text() == edited
    (record,) = caplog.records
    assert "a.txt was edited after it was written and is left" in record.getMessage()


def test_a_touched_or_copied_file_is_the_same(folder):
    replace(opened(folder), folder, "a.txt", "one")
    os.utime(folder / "a.txt", (1, 1))
    assert opened(folder).is_as_written("a.txt")


def test_an_edit_that_is_undone_is_none(folder):
    replace(opened(folder), folder, "a.txt", "one")
    (folder / "a.txt").write_text("two")
    (folder / "a.txt").write_text("one")
    assert opened(folder).is_as_written("a.txt")


def test_what_vanished_is_written_anew(folder):
    replace(opened(folder), folder, "a.txt", "one")
    (folder / "a.txt").unlink()
    own = opened(folder)
    assert not own.is_edited("a.txt")
    assert replace(own, folder, "a.txt", "one")
    assert (folder / "a.txt").read_text() == "one"


def test_copies_are_numbered(folder):
    for number in range(3):
        (folder / "a.txt").write_text(f"mine {number}")
        assert replace(opened(folder, replace_edited=True), folder, "a.txt", "one")
    assert (folder / "a.txt").read_text() == "one"
    names = ["a.txt.bak", "a.txt.bak2", "a.txt.bak3"]
    assert [(folder / name).read_text() for name in names] == ["mine 0", "mine 1", "mine 2"]
    assert all(map(is_copy, names))
    assert not is_copy("a.txt")


def test_what_people_made_is_left_and_what_only_programs_make_is_kept_as_a_copy(folder):
    (folder / "mine.txt").write_text("mine")
    (folder / "scores.json").write_text("of an earlier version")
    own = opened(folder)
    assert not replace(own, folder, "mine.txt", "new")
    assert replace(own, folder, "scores.json", "new", ours_by_name=True)
    assert (folder / "mine.txt").read_text() == "mine"
    assert (folder / "scores.json.bak").read_text() == "of an earlier version"


def test_a_known_size_stands_for_an_unknown_hash(folder):
    """As journals of earlier versions have it."""
    (folder / "a.txt").write_text("one")
    assert opened(folder).is_as_written("a.txt", 3)
    assert opened(folder).is_edited("a.txt", 4)
    assert opened(folder).is_edited("a.txt")


@pytest.mark.parametrize("n_before", [1, 3])
def test_a_program_killed_before_the_file_is_there(folder, n_before, monkeypatch):
    """What is noted and not there yet does not make the file before it a foreign one."""

    def killed(*_):
        raise KeyboardInterrupt

    replace(opened(folder), folder, "a.txt", "one")
    monkeypatch.setattr(os, "replace", killed)
    for number in range(n_before):
        with pytest.raises(KeyboardInterrupt):
            opened(folder).write_text("a.txt", f"new {number}")
    monkeypatch.undo()
    assert (folder / "a.txt").read_text() == "one"
    assert (folder / ".record.jsonl").read_text().count('"wrote": "a.txt"') == 2 + n_before
    assert opened(folder).is_as_written("a.txt")


def test_a_program_killed_when_the_file_is_there(folder):
    replace(opened(folder), folder, "a.txt", "one")
    replace(opened(folder), folder, "a.txt", "two")
    content = (folder / ".record.jsonl").read_bytes().rstrip(b"\n")
    (folder / ".record.jsonl").write_bytes(content[: content.rindex(b"\n")])  # its last note
    assert opened(folder).is_as_written("a.txt")


def test_links_are_replaced_and_folders_refused(folder, tmp_path, caplog):
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "target.txt"
    target.write_text("precious")
    (folder / "a.txt").symlink_to(target)
    own = opened(folder)
    assert replace(own, folder, "a.txt", "one")
    assert target.read_text() == "precious"
    assert not (folder / "a.txt").is_symlink()
    assert "was a link" in caplog.text
    (folder / "b.txt").mkdir()
    with pytest.raises(OSError, match=r"b\.txt is a folder"):
        own.may_write("b.txt")


def test_a_record_that_is_a_link_or_a_pipe_is_refused(folder, tmp_path):
    target = tmp_path / "target"
    target.write_text("{}")
    (folder / ".record.jsonl").symlink_to(target)
    with pytest.raises(OSError, match="is a link or no regular file"):
        opened(folder)
    if hasattr(os, "mkfifo"):
        (folder / ".record.jsonl").unlink()
        os.mkfifo(folder / ".record.jsonl")
        with pytest.raises(OSError, match="is a link or no regular file"):
            opened(folder)


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/b", "..", ".", "", "a\0b", 7, None, "x" * 2000, [1], "link"]
)
def test_names_that_lead_out_are_none(name, tmp_path):
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(LineError):
        file_name(name, tmp_path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            key: json_values | st.sampled_from(["a.txt", "../x", "0" * 32, 3, -1])
            for key in ("wrote", "size", "digest", "state", "of")
        },
    )
)
def test_any_line_is_taken_or_passed_over(tmp_path_factory, content):
    folder = tmp_path_factory.getbasetemp()
    own = OwnFiles(folder, JsonLines(folder / "none"))
    try:
        own.read(content)
    except LineError:
        return
    (name,) = [name for name in own.names_of(content.get("of", ""))]
    assert os.path.dirname(folder / name) == str(folder)
    own.is_edited(name)


def test_tables_that_are_written_together(folder, caplog):
    """Each piece goes into its file; what is there already, or was edited, is not touched."""

    def update(*pieces):
        own = opened(folder)
        own.update(("a.csv", "b.csv", "c.csv"), pieces)
        return own

    update(("a.csv", "1"), ("b.csv", "x"), ("a.csv", "2\n"), ("b.csv", "\udce9"))
    assert (folder / "a.csv").read_bytes() == b"12\n"
    assert (folder / "b.csv").read_bytes() == b"x\xe9", "names need not be UTF-8"
    assert (folder / "c.csv").read_bytes() == b""
    before = {name: (folder / name).stat() for name in ("a.csv", "b.csv")}
    (folder / "c.csv").write_text("edited")
    own = update(("a.csv", "12\n"), ("b.csv", "y"))
    assert (folder / "a.csv").stat() == before["a.csv"]
    assert (folder / "b.csv").read_text() == "y"
    assert (folder / "c.csv").read_text() == "edited"
    assert "c.csv was edited" in caplog.text
    assert own.is_as_written("b.csv")
    assert not list(folder.glob(".*.tmp"))
    with pytest.raises(KeyError):
        update(("a.csv", "half"), ("other.csv", ""))
    assert (folder / "a.csv").read_bytes() == b"12\n"
    assert not list(folder.glob(".*.tmp"))

"""Results at an address: what the folder here holds, and nothing of others replaced."""

from __future__ import annotations

import logging
from pathlib import Path

import fsspec
import pytest

from animal_spot.remote import result_store, stores
from animal_spot.remote.result_store import ResultStore
from animal_spot.utils.errors import RunError

PLACE = "memory://bucket/out"


@pytest.fixture
def there():
    """Return what lies at the address: name to bytes."""
    store = fsspec.filesystem("memory")
    return lambda: {
        name.removeprefix("/bucket/out/"): bytes(file.getvalue())
        for name, file in store.store.items()
        if name.startswith("/bucket/out/")
    }


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / f"{name}.csv").write_text(text)


def keep_up(folder: Path, **texts: str) -> None:
    with ResultStore(folder, PLACE).kept_up():
        write(folder, **texts)
        (folder / ".completed.jsonl").write_text(repr(texts))


def test_what_people_see_and_the_journal_are_there(folder, there):
    with ResultStore(folder, PLACE).kept_up():
        write(folder, a="1", b="2")
        (folder / "report_figures").mkdir()
        (folder / "report_figures" / "f.svg").write_text("<svg/>")
        for name in (".completed.jsonl", ".shard.1-of-2.json", ".prediction.lock", ".a.1.tmp"):
            (folder / name).write_text(name)
        (folder / ".hidden").mkdir()
        (folder / ".hidden" / "x.csv").write_text("x")
    names = {"a.csv", "b.csv", "report_figures/f.svg", ".completed.jsonl", ".shard.1-of-2.json"}
    assert set(there()) == names
    assert there()["report_figures/f.svg"] == b"<svg/>"


def test_only_what_has_changed_is_copied_again(folder, there, monkeypatch):
    keep_up(folder, a="1", b="2")
    copied = []
    put = result_store.put
    monkeypatch.setattr(
        result_store, "put", lambda source, path: (copied.append(path.name), put(source, path))[1]
    )
    with ResultStore(folder, PLACE).kept_up():
        write(folder, b="changed")
    assert copied == ["b.csv"]
    assert there()["b.csv"] == b"changed"


def test_results_come_while_others_are_made(folder, there, monkeypatch):
    monkeypatch.setattr(result_store, "_EVERY_S", 0.01)
    with ResultStore(folder, PLACE).kept_up():
        write(folder, a="1")
        for _ in range(1000):
            if "a.csv" in there():
                break
            result_store.threading.Event().wait(0.01)
        assert there()["a.csv"] == b"1"


def test_empty_folder_gets_what_is_there_and_goes_on(folder, tmp_path, there):
    keep_up(folder, a="1", b="2")
    other = tmp_path / "other"
    with ResultStore(other, PLACE).kept_up():
        assert (other / "a.csv").read_text() == "1"
        assert (other / ".completed.jsonl").read_text() == repr({"a": "1", "b": "2"})
        write(other, a="new", c="3")
    assert (there()["a.csv"], there()["c.csv"]) == (b"new", b"3")


def test_folder_that_knows_its_journal_is_left_alone(folder):
    keep_up(folder, a="1", b="2")
    (folder / "a.csv").unlink()
    with ResultStore(folder, PLACE).kept_up():
        assert not (folder / "a.csv").exists()


def test_what_others_edited_there_stays(folder, there, caplog):
    keep_up(folder, a="1", b="2")
    fsspec.filesystem("memory").pipe_file("/bucket/out/a.csv", b"edited")
    with caplog.at_level(logging.WARNING):
        keep_up(folder, a="3", b="4")
    assert (there()["a.csv"], there()["b.csv"]) == (b"edited", b"4")
    assert "memory://bucket/out/a.csv was edited or written by others there" in caplog.text


def test_what_is_to_be_replaced_is_kept_beside(folder, there):
    keep_up(folder, a="1")
    for i in range(2):
        fsspec.filesystem("memory").pipe_file("/bucket/out/a.csv", b"edited %d" % i)
        with ResultStore(folder, PLACE, replace_edited=True).kept_up():
            write(folder, a=f"new {i}")
    assert there()["a.csv"] == b"new 1"
    assert (there()["a.csv.bak"], there()["a.csv.bak2"]) == (b"edited 0", b"edited 1")


def test_journal_never_names_what_is_not_there(folder, there, monkeypatch):
    put = stores.put

    def failing(source, path):
        if path.name == "b.csv":
            raise stores.RemoteError(path, "HTTP status 500")
        return put(source, path)

    monkeypatch.setattr(result_store, "put", failing)
    said = r"1 results could not be copied to memory://bucket/out, such as b\.csv \(HTTP status 500"
    with pytest.raises(RunError, match=said):
        keep_up(folder, a="1", b="2")
    assert set(there()) == {"a.csv"}
    monkeypatch.setattr(result_store, "put", put)
    keep_up(folder, a="1", b="2")
    assert set(there()) == {"a.csv", "b.csv", ".completed.jsonl"}


def test_error_of_the_run_is_said_and_what_is_complete_copied(folder, there):
    def fail() -> None:
        with ResultStore(folder, PLACE).kept_up():
            write(folder, a="1")
            raise ValueError("of the run")

    with pytest.raises(ValueError, match="of the run"):
        fail()
    assert there() == {"a.csv": b"1"}


@pytest.mark.parametrize("name", ["../evil.csv", "a/../../evil.csv", ".ssh/x", "%~../evil.csv"])
def test_names_from_there_lead_nowhere_else(folder, tmp_path, name):
    store = fsspec.filesystem("memory")
    store.pipe_file("/bucket/out/.completed.jsonl", b"{}")
    store.store[f"/bucket/out/{name}"] = store.store["/bucket/out/.completed.jsonl"]
    with ResultStore(folder, PLACE).kept_up():
        pass
    inside = {path.name for path in folder.iterdir()}
    assert inside <= {".completed.jsonl", ".copied.jsonl"}
    assert {path.name for path in tmp_path.iterdir()} == {"work"}


def test_place_that_cannot_be_written_is_said_first(folder, monkeypatch):
    def refuse(*_):
        raise PermissionError("Access Denied")

    monkeypatch.setattr(stores._store("memory"), "put_file", refuse)
    with pytest.raises(OSError, match="no permission"), ResultStore(folder, PLACE).kept_up():
        pytest.fail("it began")

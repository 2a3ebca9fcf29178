from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from footprints.system import files
from footprints.system.errors import UserError
from footprints.system.files import (
    output_folder,
    path_inside,
    read_text,
    refuse_links,
    sole_process,
    write_bytes,
    write_text,
)
from footprints.system.text import printable

HOLD = """
import sys, time
from footprints.system.files import output_folder
with output_folder(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the folder ``out``."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "out")],
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_folder_is_for_one_process_and_free_when_that_is_killed(holder, tmp_path) -> None:
    with (
        pytest.raises(UserError, match="out: another process is at work in this folder"),
        output_folder(tmp_path / "out"),
    ):
        raise AssertionError
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with output_folder(tmp_path / "out"):
        assert (tmp_path / "out" / files.LOCK).is_file()
    assert list((tmp_path / "out").iterdir()) == []


def test_a_lock_ends_with_its_block_and_is_not_inherited(tmp_path) -> None:
    lock = tmp_path / "lock"
    with sole_process(lock, "busy"):
        child = os.fork() if hasattr(os, "fork") else None
        if child == 0:
            signal.pause()
        with pytest.raises(UserError, match="another process is busy"), sole_process(lock, "busy"):
            raise AssertionError
    try:
        with sole_process(lock, "busy"):
            pass
    finally:
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    assert not lock.exists()


def test_where_drives_have_no_locks_a_file_keeps_others_out(tmp_path, monkeypatch) -> None:
    fcntl = pytest.importorskip("fcntl", reason="stands for a network drive on Unix")

    def no_lock(*_args: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_lock)
    with (
        output_folder(tmp_path / "out"),
        pytest.raises(UserError, match=r"at work .* or remove .*\.lock\.owner if there is none"),
        output_folder(tmp_path / "out"),
    ):
        raise AssertionError
    with output_folder(tmp_path / "out"):
        pass
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("place", ["crops", "crops/ab", "crops/ab/x.png", ".lock"])
def test_links_in_an_output_folder_are_refused(place, tmp_path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = tmp_path / "out" / place
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    with (
        pytest.raises(UserError, match=f"{place}: is a link"),
        output_folder(tmp_path / "out", "crops"),
    ):
        raise AssertionError
    assert list(outside.iterdir()) == []
    assert [path.name for path in (tmp_path / "out").iterdir()] == [place.split("/")[0]]


def test_an_output_folder_may_be_a_link_itself(tmp_path) -> None:
    (tmp_path / "large").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "large")
    with output_folder(tmp_path / "out", "crops"):
        write_text(tmp_path / "out" / "a", "a")
    refuse_links(tmp_path / "out" / "a", tmp_path / "out")
    assert (tmp_path / "large" / "a").read_text() == "a"


def test_leftovers_go_where_the_folder_is_ours(tmp_path) -> None:
    gone = [".unfinished-abc", "crops/ab/.unfinished-abc", "crops/.unfinished-d/x"]
    kept = ["crops/a.png", "mine/.unfinished-abc", "notes"]
    for name in gone + kept:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    with output_folder(tmp_path, "crops", "absent"):
        left = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert left == {*kept, ".lock"}


@pytest.mark.parametrize(
    "name",
    ["", "..", "../x", "a/../../x", "/etc/passwd", "a\0b", None, 7, ["a"], ".", "link/x", "circle"],
)
def test_a_name_that_was_read_does_not_leave_its_folder(name, tmp_path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    (folder / "circle").symlink_to("circle")
    with pytest.raises(ValueError, match=r"not a name of a file inside|leads out of"):
        path_inside(folder, name)


@pytest.mark.parametrize("name", ["a", "a/b.png", "./a", "..a", "a..b/c"])
def test_a_name_inside_is_a_path(name, tmp_path) -> None:
    assert path_inside(tmp_path, name) == tmp_path / name


def test_a_full_disk_names_the_file_and_leaves_nothing(tmp_path, monkeypatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_bytes(tmp_path / "scores.json", b"x")
    assert caught.value.filename == str(tmp_path / "scores.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device here")
def test_a_text_is_a_regular_file(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "zero.txt").symlink_to("/dev/zero")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\0")
    (tmp_path / "good.txt").write_bytes("\ufeffÄ\r\n".encode())
    for name, reason in (
        ("pipe.txt", "not a regular file"),
        ("zero.txt", "not a regular file"),
        ("bytes.txt", "not a text file"),
        ("", "a folder"),
        ("absent.txt", "No such file"),
        ("nul\0.txt", "no such file"),
    ):
        with pytest.raises(UserError, match=reason):
            read_text(tmp_path / name)
    assert read_text(tmp_path / "good.txt") == "Ä\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zoé's print.jpg", "Zoé's print.jpg"),
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("a\nb\r", r"a\nb\r"),
        (os.fsdecode(b"\xff.jpg"), r"\udcff.jpg"),
        ("gpj.\u202eexe", r"gpj.\u202eexe"),
        ("\u2028\x9b", r"\u2028\x9b"),
    ],
)
def test_names_are_printable(text, shown) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown

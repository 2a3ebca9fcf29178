"""utils/files.py: locks, leftovers, paths that stay inside their folder."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
import time

import pytest

from animal_spot.utils import files
from animal_spot.utils.files import (
    DigestAlong,
    atomic_path,
    exclusive,
    path_inside,
    refuse_links,
    remove_leftovers,
    sole_process,
)
from tests.helpers.programs import run_process

HOLDER = """
import sys, time
from pathlib import Path
from animal_spot.utils.files import sole_process
with sole_process(Path(sys.argv[1]), "busy here"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(
    params=[pytest.param(True, id="flock"), pytest.param(False, id="drive-without-locks")]
)
def drive(request, monkeypatch):
    """Let the test run on a drive with locks, and on one without."""
    if not request.param:
        fcntl = pytest.importorskip("fcntl", reason="stands for a network drive on Unix")

        def refuse(*_):
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", refuse)
    return request.param


def test_a_second_holder_is_told_what_the_first_does(drive, tmp_path):
    with sole_process(tmp_path / ".lock", "training here"):
        with (
            pytest.raises(OSError, match="another process is training here; wait for it"),
            sole_process(tmp_path / ".lock", "training here"),
        ):
            pytest.fail("it was let in")
        with sole_process(tmp_path / ".other", "doing this"):
            pass
    with sole_process(tmp_path / ".lock", "training here"):
        pass


def test_the_lock_ends_when_the_block_fails(drive, tmp_path):
    for _ in range(2):
        with pytest.raises(KeyError), sole_process(tmp_path / ".lock", "busy"):
            raise KeyError
    for _ in range(2):
        with pytest.raises(KeyError), exclusive(tmp_path / ".lock"):
            raise KeyError
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith("owner")] == []


@pytest.mark.skipif(os.name == "nt", reason="signals are a Unix thing")
def test_the_lock_ends_with_its_process_however_that_ends(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / ".lock")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(OSError, match="busy"), sole_process(tmp_path / ".lock", "busy"):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    with sole_process(tmp_path / ".lock", "busy"):
        pass


def test_without_locks_the_file_of_a_dead_process_is_taken_over(tmp_path):
    pytest.importorskip("fcntl", reason="stands for a network drive on Unix")
    without_locks = """
import errno, fcntl
def refuse(*_):
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = refuse
"""
    holder, other = (
        subprocess.Popen(
            [sys.executable, "-c", without_locks + script, str(tmp_path / ".lock")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.PIPE,
            text=True,
        )
        for script in (HOLDER, f"input(){HOLDER}")
    )
    assert holder.stdout.readline() == "held\n"
    assert (tmp_path / ".lock.owner").exists()
    command = [sys.executable, "-c", without_locks + HOLDER, str(tmp_path / ".lock")]
    second = run_process(*command)
    assert ".lock.owner if there is none" in second.stderr
    holder.kill()
    holder.communicate()
    other.stdin.write("\n")
    other.stdin.flush()
    assert other.stdout.readline() == "held\n"
    other.kill()
    other.communicate()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_loader_processes_of_a_killed_program_do_not_keep_the_lock(tmp_path):
    script = """
import os, sys, time
from pathlib import Path
from animal_spot.utils.files import sole_process
with sole_process(Path(sys.argv[1]), "busy"):
    child = os.fork()
    if not child:
        print("forked", flush=True)
        time.sleep(60)
    time.sleep(60)
"""
    program = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / ".lock")],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert program.stdout.readline() == "forked\n"
        with pytest.raises(OSError, match="busy"), sole_process(tmp_path / ".lock", "busy"):
            pass
        program.kill()
        program.wait()
        with sole_process(tmp_path / ".lock", "busy"):
            pass
    finally:
        os.killpg(program.pid, signal.SIGKILL)  # the child, which the program left
        program.stdout.close()


def test_exclusive_lets_one_at_a_time_in(drive, tmp_path, monkeypatch):
    import threading

    monkeypatch.setattr(files, "WAIT_S", 0.001)
    inside, most, done = [0], [0], []

    def enter():
        for _ in range(20):
            with exclusive(tmp_path / ".split.lock"):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0.0005)
                inside[0] -= 1
        done.append(1)

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert done == [1] * 4
    assert most == [1]
    assert list(tmp_path.iterdir()) == [], "the lock's file stayed"


def test_a_lock_that_is_a_link_is_refused(tmp_path):
    target = tmp_path / "elsewhere"
    (tmp_path / ".lock").symlink_to(target)
    with pytest.raises(OSError, match="symbolic link"):  # noqa: SIM117 - the inner one raises
        with sole_process(tmp_path / ".lock", "busy"):
            pass
    assert not target.exists()


def test_what_a_killed_program_left_half_written_is_removed_by_the_next(tmp_path):
    script = (
        "import os, sys\nfrom pathlib import Path\n"
        "from animal_spot.utils.files import atomic_path\n"
        + ("with atomic_path(Path(sys.argv[1])) as path: path.write_text('half'); os._exit(1)")
    )
    command = [sys.executable, "-c", script, str(tmp_path / "ANIMAL-SPOT.pk")]
    subprocess.run(command, check=False)
    assert [path.suffix for path in tmp_path.iterdir()] == [".tmp"]
    (tmp_path / "mine.tmp").write_text("not ours")
    with sole_process(tmp_path / ".lock", "busy"):
        assert {path.name for path in tmp_path.iterdir()} == {"mine.tmp", ".lock"}


def test_what_a_running_program_writes_is_left_alone(tmp_path):
    with atomic_path(tmp_path / "a") as temporary:
        temporary.write_text("whole")
        remove_leftovers(tmp_path)
    assert (tmp_path / "a").read_text() == "whole"


@pytest.mark.parametrize("name", ["a.log", "deep/er/a.log", "..a", "a..", "r\udce9union", "a\nb"])
def test_names_inside_a_folder(name, tmp_path):
    assert path_inside(tmp_path, name) == tmp_path / name


@pytest.mark.parametrize(
    "name",
    [
        *("../x", "a/../../x", "a/..", "/etc/passwd", "..", ".", "", "a\0b"),
        *(None, 3, ["a"], {}, b"a"),
    ],
    ids=repr,
)
def test_names_that_lead_out_of_a_folder_are_refused(name, tmp_path):
    with pytest.raises(ValueError, match="not a name of a file inside"):
        path_inside(tmp_path, name)


def test_links_that_lead_out_of_a_folder_are_refused(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "out").symlink_to(tmp_path)
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "within").symlink_to(folder)
    assert path_inside(folder, "within/a") == folder / "within" / "a"
    for name in ("out", "out/x", "loop/x"):
        with pytest.raises(ValueError, match="link"):
            path_inside(folder, name)
    (tmp_path / "alias").symlink_to(folder)
    assert path_inside(tmp_path / "alias", "a") == tmp_path / "alias" / "a"


def test_links_below_an_output_folder_are_refused(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "logs").symlink_to(tmp_path)
    (folder / "file").symlink_to(tmp_path / "not-there")
    (tmp_path / "alias").symlink_to(folder)
    refuse_links(folder / "a" / "b", folder)
    refuse_links(tmp_path / "alias" / "a", tmp_path / "alias")
    for path in ("logs", "logs/TRAIN.log", "file"):
        with pytest.raises(OSError, match=r"out/\w+ is a symbolic link"):
            refuse_links(folder / path, folder)
    with pytest.raises(ValueError, match="subpath"):
        refuse_links(tmp_path / "a", folder)


@pytest.mark.parametrize("n_bytes", [0, 1, 2**20, 5 * 2**20 + 7])
def test_digest_in_step_is_that_of_the_whole_file(tmp_path, n_bytes):
    content = bytes(i * 37 % 251 for i in range(1000)) * (n_bytes // 1000 + 1)
    path = tmp_path / "a.wav"
    path.write_bytes(content[:n_bytes])
    with DigestAlong(path) as along:
        for share in (0.1, 0.5, 0.5, 1.0):
            along.up_to(share)
            assert along._file.tell() <= share * n_bytes, "it stays behind the reader"
        assert along._file.tell() > n_bytes - 2**20 - 1, "little is left to the end"
        assert along.finish() == hashlib.blake2b(content[:n_bytes], digest_size=16).hexdigest()

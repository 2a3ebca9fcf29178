"""Copies of recordings elsewhere: ahead, in bounded space, and gone afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from animal_spot.remote import stores
from animal_spot.remote.addresses import path_of
from animal_spot.remote.local_copies import LocalCopies

N, SIZE = 40, 1000


@pytest.fixture
def recordings(memory) -> list[Path]:
    memory({f"a/{i:02}.wav": bytes([i]) * SIZE for i in range(N)})
    return [path_of(f"memory://a/{i:02}.wav") for i in range(N)]


def taken(folder: Path) -> int:
    """Return the bytes that copies take."""
    n_bytes = 0
    for path in folder.glob("*/*.wav"):
        try:
            n_bytes += path.stat().st_size
        except FileNotFoundError:
            continue
    return n_bytes


def eventually(is_so, seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while not is_so() and time.monotonic() < end:
        time.sleep(0.005)
    return is_so()


def test_copies_come_ahead_and_never_take_more_than_allowed(recordings, tmp_path):
    copies = LocalCopies(tmp_path, limit=5 * SIZE)
    most = 0
    with copies.ahead(recordings) as ahead:
        assert eventually(lambda: taken(tmp_path) == 5 * SIZE), "before anybody asks"
        for i, path in enumerate(recordings):
            with ahead.held(path) as (copy, state):
                assert copy.read_bytes() == bytes([i]) * SIZE
                assert copy.suffix == ".wav"
                assert state == stores.state_of(path)
                most = max(most, taken(tmp_path))
            assert not copy.exists(), "it is not needed any more"
    assert most == 5 * SIZE
    assert taken(tmp_path) == 0


def test_many_readers_get_theirs_while_room_is_short(recordings, tmp_path):
    waiting, got, lock = iter(recordings), [], threading.Lock()
    with LocalCopies(tmp_path, limit=2 * SIZE).ahead(recordings) as ahead:

        def read() -> None:
            while True:
                with lock:
                    path = next(waiting, None)
                if path is None:
                    return
                with ahead.held(path) as (copy, _):
                    got.append(copy.read_bytes()[0])
                    time.sleep(0.001)

        threads = [threading.Thread(target=read, daemon=True) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert sorted(got) == list(range(N))


def test_recording_larger_than_the_room_is_copied_alone(recordings, memory, tmp_path):
    memory({"a/01.wav": bytes(9 * SIZE)})
    with LocalCopies(tmp_path, limit=2 * SIZE).ahead(recordings[:4]) as ahead:
        for i, path in enumerate(recordings[:4]):
            with ahead.held(path) as (copy, _):
                assert len(copy.read_bytes()) == (9 * SIZE if i == 1 else SIZE)
                if i == 1:
                    assert taken(tmp_path) == 9 * SIZE


def test_copies_take_no_more_than_the_disk_has(recordings, tmp_path, monkeypatch):
    """Copies that came ahead filled it, and recordings failed that had room one after another."""
    disk = 3 * SIZE + SIZE // 2

    def usage(_: Path) -> SimpleNamespace:
        return SimpleNamespace(free=disk - taken(tmp_path))

    monkeypatch.setattr("animal_spot.remote.local_copies.shutil.disk_usage", usage)
    most = 0
    with LocalCopies(tmp_path).ahead(recordings) as ahead:
        assert eventually(lambda: taken(tmp_path) == 3 * SIZE)
        for path in recordings:
            with ahead.held(path):
                most = max(most, taken(tmp_path))
    assert most == 3 * SIZE


def test_failing_one_does_not_stop_the_others(recordings, tmp_path, monkeypatch):
    gone = path_of("memory://a/gone.wav")
    with LocalCopies(tmp_path, 5 * SIZE).ahead([recordings[0], gone, recordings[1]]) as ahead:
        with ahead.held(recordings[0]):
            pass
        with pytest.raises(OSError, match=r"gone\.wav: not there"), ahead.held(gone):
            pass
        with ahead.held(recordings[1]) as (copy, _):
            assert copy.exists()


def test_files_of_this_computer_stay_where_they_are(tmp_path):
    here = tmp_path / "x.wav"
    here.write_bytes(b"x")
    with LocalCopies(tmp_path / "cache").ahead([here]) as ahead, ahead.held(here) as held:
        assert held == (here, None)
    assert not (tmp_path / "cache").exists()
    assert here.exists()


def test_folder_that_cannot_be_written_is_the_reason(recordings, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with (
        LocalCopies(tmp_path / "file").ahead(recordings[:1]) as ahead,
        pytest.raises(OSError, match=r"the folder for copies .* choose another by --cache_dir"),
        ahead.held(recordings[0]),
    ):
        pass


def test_stopping_leaves_nothing(recordings, tmp_path):
    with LocalCopies(tmp_path, 5 * SIZE).ahead(recordings) as ahead, ahead.held(recordings[0]):
        pass
    assert not list(tmp_path.iterdir())


KILLED = """
import sys
from pathlib import Path
from animal_spot.remote.addresses import path_of
from animal_spot.remote.local_copies import LocalCopies
recording = path_of(sys.argv[2])
with LocalCopies(Path(sys.argv[1])).ahead([recording]) as ahead, ahead.held(recording):
    print("there", flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_program_left_is_removed_and_a_running_one_keeps_its_own(
    tmp_path_factory, tmp_path, recordings
):
    sound = tmp_path_factory.mktemp("sounds") / "x.wav"
    sound.write_bytes(b"sound")
    command = [sys.executable, "-c", KILLED, tmp_path, f"file://{sound.as_posix()}"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    programs = [subprocess.Popen(command, **pipes) for _ in range(2)]
    for program in programs:
        assert program.stdout.readline().strip() == b"there"
    assert taken(tmp_path) == 2 * len("sound")
    os.kill(programs[0].pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    programs[0].wait()
    with LocalCopies(tmp_path).ahead(recordings[:1]) as ahead, ahead.held(recordings[0]):
        assert taken(tmp_path) == len("sound") + SIZE, "of the program that runs, and its own"
    programs[1].communicate()  # it ends in peace
    assert taken(tmp_path) == 0
    for program in programs:
        program.stdout.close()

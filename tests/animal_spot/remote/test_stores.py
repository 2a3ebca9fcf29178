"""Files elsewhere: listed, read in parts, and asked for again when that fails."""

from __future__ import annotations

import errno
import functools
import http.server
import threading
from pathlib import Path

import numpy as np
import pytest

from animal_spot.audio.recordings import (
    estimated_duration_s,
    excerpt,
    find_sounds,
    listed_names,
    output_stems,
)
from animal_spot.metadata.recording_time import recording_time
from animal_spot.remote import stores
from animal_spot.remote.addresses import path_of, shown
from animal_spot.remote.ranged_file import RangedFile
from tests.helpers.prediction import write_sound
from tests.helpers.recorders import AUDIOMOTH, info, wav


class Flaky:
    """A file system that fails a number of times, and then passes on to another one."""

    def __init__(self, store, failures: list[Exception]) -> None:
        self._store, self._failures = store, failures
        self.n_asked = 0

    def __getattr__(self, name):
        passed_on = getattr(self._store, name)

        def ask(*args, **options):
            self.n_asked += 1
            if self._failures:
                raise self._failures.pop()
            return passed_on(*args, **options)

        return ask


@pytest.fixture
def flaky(monkeypatch):
    def make(*failures: Exception, scheme: str = "memory") -> Flaky:
        store = Flaky(stores._store(scheme), list(failures))
        monkeypatch.setattr(stores, "_store", lambda _: store)
        return store

    return make


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with sounds, other files and hidden ones."""
    root = tmp_path / "archive"
    for name in ("b/x.wav", "a/deep/y.WAV", "a/x.wav", "z.flac", ".hidden/h.wav", "a/.h.wav"):
        write_sound(root / name, 0.5)
    (root / "a" / "call.m4a").write_bytes(b"?")
    (root / "a" / "photo.jpg").write_bytes(b"?")
    (root / "notes.txt").write_text("x")
    return root


def content_of(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder.parent).as_posix(): path.read_bytes() for path in files}


# -- listing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["memory", "file"])
def test_prefix_is_listed_as_a_folder_is(folder, memory, scheme):
    memory(content_of(folder))
    address = f"file://{folder.as_posix()}" if scheme == "file" else "memory://archive"
    here, there = find_sounds([str(folder)]), find_sounds([address])
    for kind in ("recordings", "not_read", "others"):
        wanted = [f"{address}/{p.relative_to(folder).as_posix()}" for p in getattr(here, kind)]
        assert list(map(shown, getattr(there, kind))) == wanted, kind
    assert len(there.recordings) == 4
    names = listed_names([address], there.recordings)
    assert names == listed_names([str(folder)], here.recordings), "the shard of each is the same"
    assert output_stems(there.recordings, {})[0] == "y"


def test_addresses_and_paths_mix_in_lists_and_each_counts_once(folder, memory, tmp_path):
    memory(content_of(folder))
    lines = ["memory://archive/a/x.wav", str(folder / "z.flac"), "memory:///archive/a/x.wav"]
    (tmp_path / "list.txt").write_text("\n".join([*lines, "memory://archive/gone.wav"]))
    found = find_sounds([str(tmp_path / "list.txt"), "memory://archive/b/x.wav"])
    assert list(map(shown, found.recordings)) == [
        "memory://archive/a/x.wav",
        str(folder / "z.flac"),
        "memory://archive/gone.wav",  # reading it tells
        "memory://archive/b/x.wav",
    ]


def test_list_at_an_address_names_what_lies_beside_it(memory, folder):
    memory({**content_of(folder), "archive/some.txt": b"# two\na/x.wav\nmemory://archive/z.flac\n"})
    found = find_sounds(["memory://archive/some.txt"])
    assert [*map(shown, found.recordings)] == [
        "memory://archive/a/x.wav",
        "memory://archive/z.flac",
    ]
    assert listed_names(["memory://archive/some.txt"], found.recordings) == ["a/x.wav", "z.flac"]


def test_nothing_there_is_said_by_address(memory):
    with pytest.raises(OSError, match=r"^memory://archive/2025: not there$"):
        find_sounds(["memory://archive/2025"])


def test_line_with_a_credential_names_its_list_alone(tmp_path):
    (tmp_path / "list.txt").write_text("s3://KEY:hush@bucket/x.wav\n")
    with pytest.raises(
        ValueError, match=r"list\.txt: s3://bucket/x\.wav: user and pass"
    ) as refused:
        find_sounds([str(tmp_path / "list.txt")])
    assert "hush" not in str(refused.value)


# -- patience -------------------------------------------------------------------------------------


def test_failing_read_is_tried_again(memory, flaky, tmp_path):
    memory({"a/x.wav": b"sound"})
    store = flaky(OSError("reset"), TimeoutError(), ConnectionError("cut"))
    state = stores.fetch(path_of("memory://a/x.wav"), tmp_path / "0.wav")
    assert (tmp_path / "0.wav").read_bytes() == b"sound"
    assert state[0] == 5
    assert store.n_asked == 3 + 2, "each failure once, then what is known of it and its bytes"


def test_waits_grow_and_differ(memory, flaky, monkeypatch):
    waits = []
    monkeypatch.setattr(stores.time, "sleep", waits.append)
    monkeypatch.setattr(stores, "_FIRST_WAIT_S", 1.0)
    flaky(*[OSError("reset")] * 4)
    with pytest.raises(OSError, match=r"^memory://a/x\.wav: reset \(4 tries\)$"):
        stores.size_of(path_of("memory://a/x.wav"))
    assert len(waits) == stores.RETRIES == 3
    for wait, most in zip(waits, (1, 3, 9), strict=True):
        assert 0.5 * most <= wait <= 1.5 * most


def test_what_was_given_up_is_fetched_again_but_not_looked_into(memory, flaky, tmp_path):
    memory({"a/x.wav": b"sound"})
    path = path_of("memory://a/x.wav")
    store = flaky(*[OSError("reset")] * 4)
    for _ in range(2):
        with pytest.raises(OSError, match="reset"):
            stores.size_of(path)
    assert store.n_asked == 4
    assert stores.fetch(path, tmp_path / "0.wav")[0] == 5


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError("Access Denied for hush-hush"), r"no permission \(Access Denied for \*"),
        (FileNotFoundError("x"), "not there"),
        (OSError(errno.ENOSPC, "x"), "No space left on device while it was copied here"),
    ],
)
def test_what_no_patience_cures_is_said_at_once(memory, flaky, tmp_path, monkeypatch, error, said):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    memory({"a/x.wav": b"sound"})
    store = flaky(error)
    with pytest.raises(OSError, match=said):
        stores.fetch(path_of("memory://a/x.wav"), tmp_path / "0.wav")
    assert store.n_asked == 1
    assert not list(tmp_path.iterdir())


def test_half_a_file_is_no_copy(memory, monkeypatch, tmp_path):
    memory({"a/x.wav": b"sound"})
    store = stores._store("memory")
    monkeypatch.setattr(store, "get_file", lambda name, to: Path(to).write_bytes(b"so"))
    with pytest.raises(OSError, match=r"2 bytes came instead of 5 \(4 tries\)"):
        stores.fetch(path_of("memory://a/x.wav"), tmp_path / "0.wav")
    assert not list(tmp_path.iterdir())


def test_missing_package_is_named(monkeypatch):
    import fsspec

    def none(scheme):
        raise ImportError("Install it")

    monkeypatch.setattr(fsspec, "get_filesystem_class", none)
    with pytest.raises(ImportError, match=r"gs:// need the package gcsfs: python -m pip install"):
        stores.size_of(path_of("gs://bucket/x.wav"))


# -- reading parts --------------------------------------------------------------------------------


def test_parts_are_those_of_the_file(memory):
    rng = np.random.default_rng(0)
    content = rng.bytes(3_000_000)
    memory({"a/x.wav": content})
    file = RangedFile(path_of("memory://a/x.wav"))
    for _ in range(60):
        position, n = int(rng.integers(0, 3_100_000)), int(rng.choice([1, 5000, 200_000]))
        file.seek(position)
        assert file.read(n) == content[position : position + n]
        assert file.read(n) == content[position + n : position + 2 * n], "and on"
    file.seek(-10, 2)
    assert file.read() == content[-10:]


def test_few_bytes_are_fetched_to_look_into_a_long_recording(memory, monkeypatch, tmp_path):
    comment = info(ICMT=AUDIOMOTH.format(zone="UTC"))
    path = wav(tmp_path / "x.wav", after=comment, seconds=600)
    memory({"a/x.wav": path.read_bytes()})
    there, fetched = path_of("memory://a/x.wav"), []
    store = stores._store("memory")
    cat = store.cat_file

    def counted(name, start, end):
        fetched.append(end - start)
        return cat(name, start=start, end=end)

    monkeypatch.setattr(store, "cat_file", counted)
    assert recording_time(there) == recording_time(path)
    assert recording_time(there).start is not None
    assert estimated_duration_s(there) == 600
    np.testing.assert_array_equal(excerpt(there, 0.5, 1, 8000), excerpt(path, 0.5, 1, 8000))
    assert sum(fetched) < 600_000 < path.stat().st_size / 10


@pytest.mark.parametrize("ending", ["flac", "ogg", "mp3", "aiff"])
def test_excerpt_of_each_kind_is_that_of_the_file(memory, tmp_path, ending):
    path = write_sound(tmp_path / f"x.{ending}", 20)
    memory({f"a/x.{ending}": path.read_bytes()})
    there = path_of(f"memory://a/x.{ending}")
    np.testing.assert_array_equal(excerpt(there, 0.3, 1, 8000), excerpt(path, 0.3, 1, 8000))


# -- web servers ----------------------------------------------------------------------------------


@pytest.fixture
def web(tmp_path):
    """Serve a folder as Python does, which knows no ranges; ``/locked`` is forbidden."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def send_head(self):
            if self.path.startswith("/locked"):
                self.send_error(403)
                return None
            return super().send_head()

        def log_message(self, *_):
            pass

    serve = functools.partial(Handler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_web_server_gives_files(web, tmp_path):
    path = write_sound(tmp_path / "x.wav", 2)
    (tmp_path / "list.txt").write_text("x.wav\n")
    for given in (f"{web}/x.wav", f"{web}/list.txt"):
        (there,) = find_sounds([given]).recordings
        assert shown(there) == f"{web}/x.wav"
    np.testing.assert_array_equal(excerpt(there, 0.5, 0.5, 8000), excerpt(path, 0.5, 0.5, 8000))
    stores.fetch(there, tmp_path / "copy.wav")
    assert (tmp_path / "copy.wav").read_bytes() == path.read_bytes()


def test_web_server_is_not_listed(web, tmp_path):
    write_sound(tmp_path / "sub" / "x.wav", 1)
    for given in (web, f"{web}/", f"{web}/sub/"):
        with pytest.raises(ValueError, match="a web server does not list its files"):
            find_sounds([given])


@pytest.mark.parametrize(
    ("name", "said"), [("locked.wav", "no permission, HTTP status 403"), ("gone.wav", "not there")]
)
def test_what_a_web_server_refuses_is_said(web, name, said):
    with pytest.raises(OSError, match=rf"{name}: {said}"):
        find_sounds([f"{web}/{name}"])


def test_web_server_that_is_not_there_is_said(web):
    with pytest.raises(OSError, match=r"^http://127\.0\.0\.1:9/x\.wav: .*\(4 tries\)$"):
        find_sounds(["http://127.0.0.1:9/x.wav"])

"""The file of vectors: what goes in comes out, and nothing stale, half or foreign stays."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest

from animal_spot.similarity.index import IndexFile, IndexFileError, IndexModel
from animal_spot.similarity.recording_vectors import RecordingVectors
from animal_spot.utils.files import file_digest, file_state

MODEL = IndexModel("abc", "a model", 6)


def vectors_of(path, n=5, seed=0, size=1.0) -> RecordingVectors:
    begin_s = np.arange(n) * 1.5
    vectors = size * np.random.default_rng(seed).standard_normal((n, 6)).astype(np.float32)
    state = tuple(file_state(path))
    return RecordingVectors(path, file_digest(path), state, begin_s, begin_s + 3, vectors)


@pytest.fixture
def recordings(tmp_path):
    paths = [tmp_path / f"{name}.wav" for name in "abc"]
    for path in paths:
        path.write_bytes(path.name.encode() * 10)
    return paths


@pytest.fixture
def index(tmp_path):
    with IndexFile(tmp_path / "x.similar") as opened:
        opened.begin(MODEL)
        yield opened


@pytest.mark.parametrize("size", [1.0, 1e6, 1e-6])
def test_vectors_come_back(index, recordings, size):
    """Sixteen bits have eleven of the number itself."""
    given = [vectors_of(path, 3 + i, i, size) for i, path in enumerate(recordings)]
    for one in given:
        index.add(one)
    found = index.windows({path: 7 + i for i, path in enumerate(recordings)})
    assert len(found) == index.n_windows() == 12
    assert found.recording.tolist() == [7] * 3 + [8] * 4 + [9] * 5
    np.testing.assert_array_equal(found.begin_s, np.concatenate([one.begin_s for one in given]))
    for number, one in enumerate(given, 7):
        for row, vector in enumerate(one.vectors):
            again = found.of_stretch(number, one.begin_s[row], one.end_s[row])
            np.testing.assert_allclose(again, vector, rtol=2**-11, atol=size * 1e-5)


def test_changed_moved_and_new_recordings(index, recordings):
    a, b, c = recordings
    index.add(vectors_of(a))
    index.add(vectors_of(b))
    assert index.fresh(recordings) == {a, b}
    os.utime(a, (1, 1))
    assert index.fresh(recordings) == {a, b}, "only its time is another one"
    b.write_bytes(b"another recording")
    assert index.fresh(recordings) == {a}
    assert set(index.windows({a: 1, b: 2}).recording.tolist()) == {1}, "stale vectors stay away"
    moved = a.rename(a.with_name("moved.wav"))
    assert index.fresh([moved, b, c]) == {moved}
    assert len(index.windows({moved: 1})) == 5


def test_another_model_begins_anew(index, recordings):
    index.add(vectors_of(recordings[0]))
    assert not index.begin(MODEL)
    assert index.n_windows() == 5
    assert index.begin(IndexModel("def", "another", 6))
    assert (index.n_windows(), index.fresh(recordings)) == (0, set())
    assert index.model.name == "another"
    index.begin(IndexModel("ghi", "longer", 7))
    with pytest.raises(IndexFileError, match="not of the model"):
        index.add(vectors_of(recordings[0]))


def test_other_files_are_left_alone(tmp_path):
    path = tmp_path / "x.similar"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE mine(a)")
    with pytest.raises(IndexFileError, match="another program"):
        IndexFile(path)
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(IndexFileError, match="no file of vectors"):
        IndexFile(path)
    assert path.read_bytes() == b"no database at all" * 100


ADDS = """
import sys
import numpy as np
from pathlib import Path
from animal_spot.similarity.recording_vectors import RecordingVectors
from animal_spot.similarity.index import IndexFile, IndexModel
index = IndexFile(Path(sys.argv[1]))
index.begin(IndexModel("abc", "a model", 64))
times = np.arange(40_000.0)
for i in range(10_000):
    vectors = np.full((40_000, 64), i, np.float32)
    index.add(RecordingVectors(Path(f"/r/{i}.wav"), str(i), (i, i, i), times, times + 1, vectors))
    print(i, flush=True)
"""


def test_killed_while_it_writes(tmp_path):
    """Every recording that was said to be there is there, whole; a further one may be."""
    path = tmp_path / "x.similar"
    process = subprocess.Popen(
        [sys.executable, "-c", ADDS, str(path)], stdout=subprocess.PIPE, text=True
    )
    for _ in range(3):
        said = int(process.stdout.readline())
    time.sleep(0.03)
    process.send_signal(signal.SIGKILL)
    said = max([said, *map(int, process.communicate()[0].split())])
    with IndexFile(path) as index:
        db = index._db
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        rows = db.execute(
            "SELECT windows, (SELECT sum(length(begin_s)) / 8 FROM parts "
            "WHERE recording_id = recordings.id) FROM recordings"
        ).fetchall()
    assert len(rows) in (said + 1, said + 2)
    assert all(row == (40_000, 40_000) for row in rows)

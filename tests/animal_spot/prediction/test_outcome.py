"""What comes of a recording: the first reason counts, and numbers come back in order."""

import numpy as np
import pytest

from animal_spot.prediction.outcome import ArraySpool, Outcome, RecordingEnd


def test_an_outcome_is_complete_when_all_windows_are_back(tmp_path):
    outcome = Outcome(path=tmp_path, n_open=3)
    outcome.end(RecordingEnd(duration_s=2.5, n_samples=40_000, channel=2))
    assert not outcome.is_complete
    outcome.n_open = 0
    assert outcome.is_complete
    assert (outcome.duration_s, outcome.n_samples, outcome.channel) == (2.5, 40_000, 2)
    assert outcome.path == tmp_path


def test_the_first_reason_stays(tmp_path):
    outcome = Outcome(path=tmp_path, reason="not a finite number")
    outcome.end(RecordingEnd("changed while it was read"))
    assert outcome.reason == "not a finite number"
    other = Outcome(path=tmp_path)
    other.end(RecordingEnd("unreadable"))
    assert other.reason == "unreadable"


@pytest.mark.parametrize("n", [0, 1, 7, 3_000_000], ids=["none", "one", "few", "on-disk"])
def test_spooled_rows_come_back(tmp_path, n):
    spool = ArraySpool(tmp_path)
    rows = np.arange(2 * n, dtype=np.float32).reshape(n, 2)
    for part in np.array_split(rows, 3):
        spool.append(part)
    for _ in range(2):  # they can be read again
        found = list(spool.batches(4096))
        assert sum(map(len, found)) == n
        if n:
            np.testing.assert_array_equal(np.concatenate(found), rows)
    spool.close()
    assert list(tmp_path.iterdir()) == []

"""From decisions in a project to the figures of page and command."""

import contextlib
import sys

import numpy as np
import pytest
import soundfile as sf
from starlette.datastructures import QueryParams

from animal_spot.reviewing.answers import Review
from animal_spot.reviewing.config import ReviewConfig
from animal_spot.reviewing.importing import bring_in
from animal_spot.reviewing.project import Decision, Project
from animal_spot.reviewing.queue import Filter
from animal_spot.trust.sampling import next_to_review
from animal_spot.trust.score_bins import bin_of, score_bins
from tests.helpers.programs import run_process

N, RATE = 120, 8000
SCORES = np.random.default_rng(1).uniform(0.5, 1, N).round(4)
IS_RIGHT = np.random.default_rng(2).random(N) < SCORES**2
RAVEN = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\t"
    "Annotation\tScore"
)


@pytest.fixture
def project(tmp_path):
    """120 detections of an owl in 2 minutes of noise; their ids are 1 to 120 in time."""
    for name in ("recordings", "predictions"):
        (tmp_path / name).mkdir()
    noise = np.random.default_rng(0).normal(0, 0.01, N * RATE)
    sf.write(tmp_path / "recordings" / "wood.wav", noise, RATE, subtype="PCM_16")
    rows = [
        f"{i + 1}\tSpectrogram 1\t1\t{i}\t{i + 0.5}\t0\t4000\towl\t{SCORES[i]}" for i in range(N)
    ]
    table = tmp_path / "predictions" / "wood.Table.1.selections.txt"
    table.write_text("\n".join([RAVEN, *rows]) + "\n")
    with contextlib.closing(Project(tmp_path / "review.sqlite")) as opened:
        recordings = (str(tmp_path / "recordings"),)
        bring_in(opened, ReviewConfig(predictions=str(table.parent), recordings=recordings))
        yield opened


def test_page_and_command_say_what_the_sample_tells(project, tmp_path):
    review = Review(project)
    ids, _, _ = review.queue.find(Filter(class_names=("owl",)), "bins", 0)
    where = bin_of(SCORES, score_bins(SCORES))
    assert np.bincount(where[ids[:50] - 1]).tolist() == [5] * 10
    wanted = next_to_review(SCORES, [None] * N, 50)
    assert sorted(ids[:50] - 1) == sorted(wanted), "the page draws as the sampler does"
    for i in ids[:50].tolist():
        verdict = Decision("right") if IS_RIGHT[i - 1] else Decision("other", "fox")
        project.decide([(i, verdict)], "Ada")
    n_right = int(IS_RIGHT[ids[:50] - 1].sum())

    (found,) = review.show_statistics(QueryParams(""))["classes"]
    assert (found["class"], found["detections"], found["reviewed"]) == ("owl", N, 50)
    assert (found["right"], found["wrong"]) == (n_right, 50 - n_right)
    # Twelve detections and five reviewed ones in each bin: a plain share.
    assert found["precision"]["value"] == pytest.approx(n_right / 50)
    assert found["true_calls"]["low"] <= IS_RIGHT.sum() <= found["true_calls"]["high"]
    assert [one["precision"] for one in found["wanted"]] == [0.9, 0.95, 0.99]
    (one,) = review.show_statistics(QueryParams("class=owl&wanted=0.8"))["classes"]
    assert [row["precision"] for row in one["wanted"]] == [0.8]
    assert review.show_statistics(QueryParams("class=fox"))["classes"] == []

    # Somebody else does not agree about one right row: then nobody knows it.
    first_right = next(i for i in ids[:50].tolist() if IS_RIGHT[i - 1])
    project.decide([(first_right, Decision("wrong"))], "Bo")
    command = (sys.executable, "-m", "animal_spot.cli", "review")
    done = run_process(*command, "--project", project.path, "--statistics", "--precision", "0.8")
    assert done.returncode == 0, done.stderr
    heads, row, *said = done.stdout.splitlines()
    assert heads.split()[:4] == ["class", "detections", "reviewed", "right"]
    assert row.split()[:4] == ["owl", str(N), "49", str(n_right - 1)]
    assert any(line.startswith("owl: a precision of 80%") for line in said)
    assert any(line.startswith("owl: 1 unsure rows are left out") for line in said)

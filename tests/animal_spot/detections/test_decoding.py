"""Windows of calls at known times become events: one row, one name, begin and end."""

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest

from animal_spot.detections.decisions import Thresholds
from animal_spot.detections.decoding import EventDecoder, cut_at_valleys, runs, smoothed
from animal_spot.detections.event_settings import EventSettings, average
from animal_spot.detections.events import EventConfidence

NAMES = ("A", "B", "noise")
WINDOW_S, HOP_S, NEEDED_S = 3.0, 0.5, 0.3


def heard(calls, duration_s=60.0, hop_s=HOP_S, names=NAMES):
    """Windows of a perfect network, which hears a call from ``NEEDED_S`` of it on."""
    starts = np.arange(0, duration_s - WINDOW_S + 1e-9, hop_s)
    ends = starts + WINDOW_S
    probabilities = np.full((len(starts), len(names)), 0.01)
    for begin, end, name in calls:
        inside = np.minimum(ends, end) - np.maximum(starts, begin)
        share = np.clip(inside / (2 * NEEDED_S), 0, 1)
        column = names.index(name)
        probabilities[:, column] = np.maximum(probabilities[:, column], 0.97 * share)
    noise = names.index("noise")
    probabilities[:, noise] = np.maximum(1 - np.delete(probabilities, noise, 1).sum(1), 0.01)
    return starts, ends, (probabilities / probabilities.sum(1, keepdims=True)).astype(np.float32)


def rows(windows, settings=None, thresholds=None, names=NAMES):
    """Annotations of windows."""
    settings = settings or EventSettings(begin_s=NEEDED_S, end_s=NEEDED_S)
    return EventDecoder(names, "noise", settings, thresholds).annotations([windows])


@pytest.mark.parametrize("hop_s", [0.25, 0.5, 1.0, 1.5])
@pytest.mark.parametrize("duration", [0.7, 1.4, 2.9, 6.0])
def test_a_call_is_one_row_from_its_begin_to_its_end(duration, hop_s):
    begin = 20.13
    (row,) = rows(heard([(begin, begin + duration, "B")], hop_s=hop_s))
    assert row.name == "B"
    tolerance = 0.12 + hop_s / 4
    assert row.begin_s == pytest.approx(begin, abs=tolerance)
    assert row.end_s == pytest.approx(begin + duration, abs=tolerance)


def test_edges_that_are_named_otherwise_make_no_rows_of_their_own():
    starts, ends, probabilities = heard([(20.0, 22.0, "A")])
    edge = (ends > 20.2) & (ends < 20.9)  # the first windows that hear it call it B
    probabilities[edge] = [0.02, 0.95, 0.03]
    assert [row.name for row in rows((starts, ends, probabilities))] == ["A"]


def test_two_calls_with_a_pause_are_two_rows():
    found = rows(heard([(10.0, 11.0, "A"), (14.2, 15.0, "B")]))
    assert [row.name for row in found] == ["A", "B"]


def test_nothing_is_found_in_noise():
    assert rows(heard([])) == []


def test_evidence_that_never_reaches_the_start_is_no_event():
    starts, ends, probabilities = heard([])
    probabilities[40:50] = [0.6, 0.1, 0.3]
    assert rows((starts, ends, probabilities)) == []
    found = rows((starts, ends, probabilities), EventSettings(start=0.65, threshold=0.0))
    assert [row.name for row in found] == ["A"]


def test_batches_change_nothing(tmp_path):
    rng = np.random.default_rng(0)
    calls = [
        (float(t), float(t) + rng.uniform(0.4, 5), "AB"[i % 2])
        for i, t in enumerate(np.sort(rng.uniform(0, 3500, 400)))
    ]
    starts, ends, probabilities = heard(calls, 3600)
    decoder = EventDecoder(NAMES, "noise", EventSettings(smoothing_s=1.6))
    whole = decoder.annotations([(starts, ends, probabilities)])
    for size in (1, 7, 64, 1000):
        batches = [
            (starts[i : i + size], ends[i : i + size], probabilities[i : i + size])
            for i in range(0, len(starts), size)
        ]
        assert decoder.annotations(batches) == whole
    assert len(whole) > 100


def test_a_call_at_the_start_or_the_end_of_a_recording_reaches_to_it():
    found = rows(heard([(0.4, 1.4, "A"), (58.9, 60.0, "B")]))
    assert [row.name for row in found] == ["A", "B"]
    assert found[0].begin_s == 0
    assert found[0].end_s == pytest.approx(1.4, abs=0.25)
    assert found[1].begin_s == pytest.approx(58.9, abs=0.25)
    assert found[1].end_s == 60


def test_classes_that_call_together_are_both_found():
    names = ("A", "B", "noise")
    calls = [(20.0, 22.0, "A"), (20.5, 22.5, "B")]
    alone = rows(heard(calls))
    assert len(alone) == 1
    settings = EventSettings(together=("B",), begin_s=NEEDED_S, end_s=NEEDED_S)
    both = rows(heard(calls), settings, Thresholds(0.1), names)
    assert sorted(row.name for row in both) == ["A", "B"]
    assert rows(heard([(20.0, 22.0, "A")]), settings)[0].name == "A"


def test_short_events_are_dropped_and_long_ones_cut():
    windows = heard([(10.0, 10.5, "A"), (20.0, 40.0, "B")])
    settings = EventSettings(begin_s=NEEDED_S, end_s=NEEDED_S)
    long_only = rows(windows, dataclasses.replace(settings, min_duration_s=1.5))
    assert [row.name for row in long_only] == ["B"]
    cut = rows(windows, dataclasses.replace(settings, max_duration_s=8.0))
    assert next(row.name for row in cut) == "A"
    assert len(cut) >= 3
    assert all(row.end_s - row.begin_s <= 8.0 + WINDOW_S for row in cut)


@pytest.mark.parametrize("max_duration_s", [0.1, 0.3, 0.6])
def test_events_can_be_cut_shorter_than_windows_are_apart(max_duration_s):
    settings = EventSettings(
        begin_s=NEEDED_S, end_s=NEEDED_S, slack_s=0.1, max_duration_s=max_duration_s
    )
    found = rows(heard([(20.0, 22.0, "A")]), settings)
    assert found
    assert {row.name for row in found} == {"A"}


@pytest.mark.parametrize(
    ("pause_s", "apart_s", "expected"), [(1.2, 0.0, 2), (1.2, 1.5, 1), (2, 1.5, 2)]
)
def test_calls_of_two_classes_need_quiet_between_them(pause_s, apart_s, expected):
    calls = [(20.0, 21.0, "A"), (21 + pause_s, 22 + pause_s, "B")]
    settings = EventSettings(begin_s=NEEDED_S, end_s=NEEDED_S, apart_s=apart_s)
    found = rows(heard(calls), settings)
    assert len(found) == expected
    assert found[0].begin_s == pytest.approx(20.0, abs=0.25)
    assert found[-1].end_s == pytest.approx(22 + pause_s, abs=0.25)


def test_events_of_fewer_windows_than_hear_a_call_are_dropped():
    starts, ends, probabilities = heard([(20.0, 20.6, "A")])
    probabilities[80:83] = [0.97, 0.01, 0.02]  # a call would be heard by five windows or more
    windows = starts, ends, probabilities
    settings = EventSettings(begin_s=NEEDED_S, end_s=NEEDED_S)
    assert len(rows(windows, settings)) == 2
    (call,) = rows(windows, dataclasses.replace(settings, slack_s=0.45))
    assert call.begin_s == pytest.approx(20.0, abs=0.25)
    assert len(rows(windows, dataclasses.replace(settings, slack_s=3.0))) == 2


def test_the_threshold_is_of_the_confidence_and_of_the_class():
    windows = heard([(10.0, 12.0, "A"), (20.0, 22.0, "B")])
    settings = EventSettings(confidence=EventConfidence(0.0, 0.5, 0.0))
    scores = {row.name: row.score for row in rows(windows, settings, Thresholds(0.0))}
    peak = windows[2][:, :2].sum(1).max()
    assert scores["A"] <= 1 / (1 + math.exp(-0.5 * math.log(peak / (1 - peak)))) + 1e-6
    assert rows(windows, settings, Thresholds(scores["A"] + 0.01)) == []
    kept = rows(windows, settings, Thresholds(0.0, {"A": 0.99}))
    assert [row.name for row in kept] == ["B"]


def test_settings_survive_files():
    settings = EventSettings(
        start=0.9, together=("B",), confidence=EventConfidence(-1.0, 0.5, 0.25), found={"f1": 0.5}
    )
    assert EventSettings.from_entries(json.loads(json.dumps(settings.entries()))) == settings
    assert not {"apart_s", "slack_s", "max_duration_s"} & settings.entries().keys()
    further = EventSettings(apart_s=1.5, slack_s=0.45)
    assert EventSettings.from_json(further.to_json()) == further
    line = settings.to_json()
    assert EventSettings.from_json(line) == dataclasses.replace(settings, found={})
    assert "Infinity" not in line
    assert "\n" not in line


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"start": "high"},
        {"start": 2.0},
        {"start": 0.3, "stay": 0.5},
        {"unheard_of": 1.0},
        {"confidence": {"bias": 1.0}},
        {"together": "A"},
        {"begin_s": math.inf},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(content):
    with pytest.raises(ValueError, match=r"decoder|evidence"):
        EventSettings.from_entries(content)


def test_a_decoder_needs_a_background_class():
    with pytest.raises(ValueError, match="--noise_class"):
        EventDecoder(("A", "B"), None)


def test_the_average_of_settings_is_that_of_their_numbers():
    one = EventSettings(start=0.9, confidence=EventConfidence(1, 2, 3))
    other = EventSettings(start=0.7, confidence=EventConfidence(3, 2, 1))
    mean = average([one, other])
    assert mean.start == pytest.approx(0.8)
    assert mean.stay == one.stay
    assert mean.confidence == EventConfidence(2, 2, 2, 0)
    assert average([one, EventSettings()]).confidence is None


def test_smoothing_runs_and_valleys():
    evidence = np.array([0.0, 0.0, 1.0, 0.0, 0.0])
    smooth = smoothed(evidence, np.arange(5) * 0.5, 0.75)
    np.testing.assert_allclose(smooth, [0, 0.2, 0.6, 0.2, 0])
    np.testing.assert_array_equal(smoothed(evidence, np.arange(5) * 0.5, 0.0), evidence)
    level = np.array([0.6, 0.9, 0.6, 0.1, 0.6, 0.6, 0.2, 0.95])
    assert list(runs(level, 0.5, 0.9)) == [(0, 2), (7, 7)]
    twice = np.array([0.6, 0.95, 0.7, 0.65, 0.9, 0.6])
    assert cut_at_valleys(twice, 0, 5, 0.2) == [(0, 2), (4, 5)]
    assert cut_at_valleys(twice, 0, 5, 0.3) == [(0, 5)]


@pytest.mark.parametrize("window_s", [0.02, 3.0])
def test_rows_of_any_windows_are_in_order_and_last_for_a_while(window_s):
    rng = np.random.default_rng(0)
    n_rows = 0
    for _ in range(300):
        starts = np.arange(60) * window_s / 6
        probabilities = rng.dirichlet([0.4, 0.4, 0.4], 60).astype(np.float32)
        settings = dataclasses.replace(
            EventSettings.for_windows(window_s), start=0.5, valley=0.05, second=0.1, threshold=0.0
        )
        found = list(
            EventDecoder(NAMES, "noise", settings).events(
                [(starts, starts + window_s, probabilities)]
            )
        )
        n_rows += len(found)
        assert all(event.end_s > event.begin_s for event in found)
        assert all(event.begin_s >= 0 for event in found)
        assert all(event.end_s <= starts[-1] + window_s for event in found)
        pairs = list(itertools.pairwise(found))
        assert all(one.end_s <= other.begin_s for one, other in pairs)
    assert n_rows > 500

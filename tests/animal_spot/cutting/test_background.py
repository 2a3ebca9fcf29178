"""Background: where nothing is annotated, spread, the same again, and no more than asked."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_spot.cutting.background import (
    BackgroundRules,
    Place,
    QuietRecording,
    plan_background,
    spread_evenly,
)
from animal_spot.cutting.coverage import doubts
from animal_spot.cutting.plan import AnnotatedRecording
from animal_spot.tables.event import LabelledEvent

RATE = 100  # Hz


def quiet(name: str, *spans: tuple[float, float], seconds: float = 600.0, **more) -> QuietRecording:
    """A recording with events at these times."""
    events = tuple(LabelledEvent("x", start, end, row=n) for n, (start, end) in enumerate(spans, 1))
    recording = AnnotatedRecording(Path(name), RATE, round(seconds * RATE), events)
    return QuietRecording(recording, name, **more)


def louder_and_louder(recording, places):
    return np.array([1.0 + place.start for place in places])


def plan(recordings, n_wanted, *, levels=louder_and_louder, margin_s=1.0, **rules):
    rules = {"lengths_s": (1.0,), **rules}
    return plan_background(recordings, n_wanted, BackgroundRules(margin_s, **rules), levels)


def spans_of(plans) -> list[tuple[str, int, int]]:
    return [(str(one.source), one.start, one.end) for one in plans]


def after(recordings, plans):
    """The same recordings once the plans were cut."""
    return [
        quiet(
            one.key,
            *((e.start_s, e.end_s) for e in one.recording.events),
            seconds=one.recording.duration_s,
            earlier=one.earlier
            + tuple(Place(p.start, p.end) for p in plans if str(p.source) == one.key),
        )
        for one in recordings
    ]


SPANS = st.lists(
    st.tuples(st.floats(0, 60), st.floats(0.001, 9)).map(lambda e: (e[0], e[0] + e[1])), max_size=6
)
FIELD = st.lists(st.tuples(SPANS, st.floats(0.5, 60)), min_size=1, max_size=4).map(
    lambda field: [quiet(f"r{i}", *spans, seconds=s) for i, (spans, s) in enumerate(field)]
)
LENGTHS = st.lists(st.floats(0.02, 5), min_size=1, max_size=5).map(tuple)


@given(FIELD, st.integers(0, 60), LENGTHS, st.floats(0, 5), st.integers(0, 3))
def test_no_clip_touches_an_event_with_its_margin_or_another_clip(
    recordings, n_wanted, lengths_s, margin_s, seed
):
    plans = plan(recordings, n_wanted, lengths_s=lengths_s, margin_s=margin_s, seed=seed)
    assert len(plans) <= n_wanted
    allowed = {round(length * RATE) for length in lengths_s}
    for one in recordings:
        own = sorted((p.start, p.end) for p in plans if p.source == one.recording.path)
        for start, end in own:
            assert 0 <= start < end <= one.recording.n_samples
            assert end - start in allowed
            for event in one.recording.events:
                assert end <= (event.start_s - margin_s) * RATE + 1e-6 or start >= (
                    (event.end_s + margin_s) * RATE - 1e-6
                )
        assert all(before[1] <= later[0] for before, later in pairwise(own))


@given(FIELD, st.integers(0, 60), LENGTHS, st.integers(0, 3), st.data())
def test_a_further_run_adds_what_is_missing_and_nothing_else(
    recordings, n_wanted, lengths_s, seed, data
):
    rules = {"lengths_s": lengths_s, "seed": seed}
    plans = plan(recordings, n_wanted, **rules)
    assert plan(recordings, n_wanted, **rules) == plans
    assert plan(after(recordings, plans), len(plans), **rules) == []
    done = [one for one in plans if data.draw(st.booleans())]  # then it was killed
    added = plan(after(recordings, done), n_wanted, **rules)
    assert sorted(spans_of(done + added)) == sorted(spans_of(plans))


def test_recordings_get_equal_shares_as_far_as_they_have_room():
    field = [quiet("long", seconds=7200), quiet("short", seconds=4.5), quiet("other", seconds=300)]
    shares = Counter(str(one.source) for one in plan(field, 44))
    assert shares["short"] in (3, 4)
    assert {shares["long"], shares["other"]} <= {20, 21}
    assert shares.total() == 44
    assert len(plan([quiet("tiny", seconds=10)], 100)) <= 10


def test_new_recordings_add_their_share():
    first = [quiet("a"), quiet("b")]
    plans = plan(first, 20)
    grown = [*after(first, plans), quiet("c")]
    assert Counter(str(one.source) for one in plan(grown, 30)) == {"c": 10}
    assert plan(grown, 20) == []


def test_clips_are_spread_over_hours_and_from_quiet_to_loud():
    day = quiet("day", seconds=86_400)
    hours = Counter(one.start // (3600 * RATE) for one in plan([day], 48))
    assert set(hours.values()) == {2}
    assert len(hours) == 24

    def gets_louder_in_each_minute(recording, places):
        return np.array([1.0 + place.start % 6000 for place in places])

    plans = plan([quiet("a", seconds=240)], 40, levels=gets_louder_in_each_minute)
    quarters = Counter((one.start // 6000, one.start % 6000 // 1500) for one in plans)
    assert len(quarters) == 16
    assert max(quarters.values()) <= 4


def test_silence_and_broken_sound_are_no_background():
    def silent_at_first(recording, places):
        starts = np.array([place.start for place in places])
        return np.where(starts < 20_000, 0.0, np.where(starts > 40_000, np.nan, 1.0))

    plans = plan([quiet("a")], 30, levels=silent_at_first)
    assert len(plans) == 30
    assert all(20_000 <= one.start <= 40_000 for one in plans)


def test_only_recordings_of_which_clips_are_missing_are_listened_to():
    heard = []

    def levels(recording, places):
        heard.append(recording.path.name)
        return louder_and_louder(recording, places)

    field = after([quiet("a"), quiet("b")], plan([quiet("a")], 10))
    plan(field, 20, levels=levels)
    assert heard == ["b"]


def test_background_in_which_something_is_annotated_by_now_is_replaced():
    plans = plan([quiet("a")], 5)
    place = Place(plans[0].start, plans[0].end)
    known = tuple(Place(one.start, one.end) for one in plans)
    found = quiet("a", (place.start / RATE + 0.2, place.start / RATE + 0.4), earlier=known)
    (added,) = plan([found], 5)
    assert all(added.end <= one.start or added.start >= one.end for one in known)


@given(st.integers(1, 200), st.floats(0, 1, exclude_max=True))
def test_every_beginning_is_spread_evenly(n, shift):
    order = spread_evenly(range(n), shift)
    assert sorted(order) == list(range(n))
    some = sorted(order[: max(1, n // 4)])
    gaps = [b - a for a, b in pairwise([*some, some[0] + n])]
    assert max(gaps) <= 2 * n / len(some) + 2


@pytest.mark.parametrize(
    ("field", "n_without", "said"),
    [
        ([quiet("a", *((t, t + 1) for t in range(10, 590, 20)))], 0, []),
        ([quiet("a")], 0, []),  # somebody says that nothing is there
        ([quiet("a", (10, 11), seconds=3600)], 0, ["1 of 1 recordings have few rows"]),
        (
            [quiet("a", *((t, t + 1) for t in range(10, 300, 10)), seconds=900)],
            0,
            ["68% of the time lies in unusually long gaps"],
        ),
        ([quiet("a", *((t, t + 1) for t in range(10, 590, 20)))], 3, ["3 of 4 recordings have no"]),
    ],
)
def test_tables_that_do_not_cover_their_recordings_are_doubted(field, n_without, said):
    found = doubts([one.recording for one in field], n_without)
    assert len(found) == len(said)
    assert all(line.startswith(start) for line, start in zip(found, said, strict=True))

"""From events to clips: nothing is lost or doubled, and what is cut shows what the table says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from animal_spot.cutting.plan import (
    DOUBLE,
    NOT_MAPPED,
    OUTSIDE,
    OVERLAPPING,
    TOO_SHORT,
    WRONG,
    AnnotatedRecording,
    PlanRules,
    plan_events,
)
from animal_spot.tables.event import LabelledEvent

RATE = 1000  # Hz
CLASSES = {"a": "A", "b": "B", "b2": "B", "noise": "noise"}  # other labels have none


def recording_of(*events: tuple, seconds: float = 10.0, n_channels: int = 1):
    """A recording with events ``(label, start_s, end_s)``, in a table in that order."""
    made = [
        LabelledEvent(label, start, end, table=Path("t.txt"), row=row, **dict(more))
        for row, (label, start, end, *more) in enumerate(events, 1)
    ]
    return AnnotatedRecording(
        Path("r.wav"), RATE, round(seconds * RATE), tuple(made), n_channels=n_channels
    )


def planned(recording, **rules):
    return plan_events(recording, PlanRules(CLASSES.get, **rules))


def spans(plans) -> list[tuple[int, int]]:
    return [(plan.start, plan.end) for plan in plans]


TIMES = st.integers(0, 12_000).map(lambda ms: ms / 1000)
EVENTS = st.lists(
    st.tuples(
        st.sampled_from([*CLASSES, "unknown"]),
        TIMES,
        st.floats(0.0001, 6, allow_subnormal=False),
        st.booleans(),
    ).map(lambda e: (e[0], e[1], e[1] + e[2], ("is_wrong", e[3] and e[1] > 6))),
    max_size=12,
)
RULES = st.fixed_dictionaries(
    {
        "clip_length": st.none() | st.sampled_from([0.5, 2.0, 11.0]),
        "margin": st.sampled_from([0.0, 0.25, 3.0]),
        "shortest": st.sampled_from([0.0, 0.1]),
        "keep_overlapping": st.booleans(),
    }
)


@given(EVENTS, RULES)
def test_every_event_is_in_clips_or_left_out_once_with_a_reason(events, rules):
    recording = recording_of(*events)
    plans, left_out = planned(recording, **rules)
    in_clips = {plan.event.row for plan in plans}
    out = Counter(one.event.row for one in left_out)
    assert in_clips | set(out) == set(range(1, len(events) + 1))
    assert not in_clips & set(out)
    assert set(out.values()) <= {1}
    assert all(one.reason and one.kind for one in left_out)
    keys = [(p.class_name, *span) for p, span in zip(plans, spans(plans), strict=True)]
    assert len(set(keys)) == len(keys)


@given(EVENTS, RULES)
@example([("a", 0.0, 0.3), ("b", 9.9, 10.4)], {"clip_length": 2.0})
def test_clips_are_real_sound_of_the_wanted_length_that_holds_the_event(events, rules):
    recording = recording_of(*events)
    plans, _ = planned(recording, **rules)
    length, n_samples = rules["clip_length"], recording.n_samples
    for plan in plans:
        assert 0 <= plan.start < plan.end <= n_samples
        assert plan.class_name == CLASSES[plan.event.label]
        first = round(plan.event.start_s * RATE)
        last = min(round(plan.event.end_s * RATE), n_samples)
        if length is None:
            wanted = last - first + 2 * round(rules["margin"] * RATE)
        else:
            wanted = round(length * RATE)
        assert plan.end - plan.start == min(wanted, n_samples)
        if last - first <= plan.end - plan.start:
            assert plan.start <= first
            assert plan.end >= last
        else:  # a part, which shows nothing but its event
            assert max(plan.start, first) < min(plan.end, last)


@given(EVENTS, RULES)
def test_no_call_of_another_class_is_heard_in_a_clip(events, rules):
    recording = recording_of(*events)
    plans, _ = planned(recording, **rules | {"keep_overlapping": False})
    for plan in plans:
        for event in recording.events:
            other = CLASSES.get(event.label)
            if other in (None, "noise", plan.class_name) or event.is_wrong:
                continue
            heard = min(plan.end / RATE, event.end_s) - max(plan.start / RATE, event.start_s)
            assert heard <= 1 / RATE


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        pytest.param(("a", 4.0, 5.0), [(3500, 5500)], id="about-the-middle"),
        pytest.param(("a", 0.1, 0.3), [(0, 2000)], id="moved-from-the-begin"),
        pytest.param(("a", 9.5, 9.9), [(8000, 10000)], id="moved-from-the-end"),
        pytest.param(("a", 9.5, 30.0), [(8000, 10000)], id="goes-on-after-the-end"),
        pytest.param(("a", 3.0, 5.4), [(3200, 5200)], id="a-little-longer"),
        pytest.param(("a", 1.0, 7.0), [(1000, 3000), (3000, 5000), (5000, 7000)], id="three-parts"),
        pytest.param(
            ("a", 1.0, 6.0), [(1000, 3000), (2500, 4500), (4000, 6000)], id="they-overlap"
        ),
    ],
)
def test_clips_of_two_seconds(event, expected):
    assert spans(planned(recording_of(event), clip_length=2.0)[0]) == expected


def test_a_recording_shorter_than_a_clip_is_taken_whole_and_that_is_said():
    plans, _ = planned(recording_of(("a", 0.5, 0.7), seconds=1.0), clip_length=2.0)
    assert spans(plans) == [(0, 1000)]
    assert "the recording is shorter" in plans[0].why


@pytest.mark.parametrize(
    ("events", "rules", "kind"),
    [
        pytest.param([("dog", 1, 2)], {}, NOT_MAPPED, id="no-class"),
        pytest.param([("a", 1, 2, ("is_wrong", True))], {}, WRONG, id="false-alarm"),
        pytest.param([("a", 10.0, 11.0)], {}, OUTSIDE, id="after-the-end"),
        pytest.param([("a", 1.0, 1.0001)], {}, TOO_SHORT, id="no-sample"),
        pytest.param([("a", 1.0, 1.05)], {"shortest": 0.1}, TOO_SHORT, id="short"),
    ],
)
def test_why_an_event_is_left_out(events, rules, kind):
    plans, left_out = planned(recording_of(*events), **rules)
    assert plans == []
    assert [one.kind for one in left_out] == [kind]


def test_what_overlaps_is_named_and_taken_only_if_wanted():
    recording = recording_of(("a", 1.0, 2.0), ("b", 1.9, 3.0), ("noise", 0.0, 5.0))
    plans, left_out = planned(recording)
    assert plans == []
    assert {one.kind for one in left_out} == {OVERLAPPING}
    assert "'b', row 2 of t.txt" in left_out[1].reason
    assert len(planned(recording, keep_overlapping=True)[0]) == 3


def test_rows_that_give_the_same_clip_give_it_once():
    plans, left_out = planned(recording_of(("b", 1.0, 2.0), ("b2", 1.0, 2.0)))
    assert len(plans) == 1
    assert [(one.event.row, one.kind) for one in left_out] == [(2, DOUBLE)]
    assert "row 1 of t.txt" in left_out[0].reason


@pytest.mark.parametrize(
    ("wanted", "n_channels", "heard"),
    [(None, 2, "2"), (None, 1, "mix"), ("1", 2, "1"), ("mix", 2, "mix")],
)
def test_the_channel_that_the_table_names_is_heard_unless_another_is_wanted(
    wanted, n_channels, heard
):
    recording = recording_of(("a", 1.0, 2.0, ("channel", 2)), n_channels=n_channels)
    assert planned(recording, channel=wanted)[0][0].channel == heard

"""Audacity's labels, against crowsetta's reader and by hand."""

import crowsetta
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_spot.tables.event import TableError
from animal_spot.tables.reading import read_events
from tests.helpers.tables import brief, write


def test_plain_labels_as_crowsetta_reads_them(tmp_path):
    text = "0.0\t0.7698181682\tSIL\n0.7698181682\t1.1312740106\tcall\n"
    path = write(tmp_path / "a.txt", text)
    segments = crowsetta.formats.seq.AudSeq.from_file(path).to_seq(round_times=False).segments
    table = read_events(path)
    assert table.format == "Audacity labels"
    assert brief(table) == [(s.label, s.onset_s, s.offset_s) for s in segments]


def test_labels_with_frequencies_as_crowsetta_reads_them(tmp_path):
    text = "0.5\t0.75\tSP\n\\\t6441.06\t12296.57\n0.1\t3\tCRER\n\\\t2593.15\t8866.92\n"
    path = write(tmp_path / "a.txt", text)
    boxes = crowsetta.formats.bbox.AudBBox.from_file(path).to_bbox()
    table = read_events(path)
    assert {(e.label, e.start_s, e.end_s, e.low_hz, e.high_hz) for e in table.events} == {
        (b.label, b.onset, b.offset, b.low_freq, b.high_freq) for b in boxes
    }
    assert [e.row for e in table.events] == [2, 1]


def test_frequencies_that_were_not_set(tmp_path):
    text = "1\t2\tA\n\\\t-1.000000\t-1.000000\n3\t4\tB\n\\\t5\n5\t6\tC\n"
    table = read_events(write(tmp_path / "a.txt", text))
    assert [(e.low_hz, e.high_hz) for e in table.events] == [(None, None)] * 3


@pytest.mark.parametrize(
    ("text", "row", "reason"),
    [
        ("1\t2\tA\n12\t12\tboat\n", 2, "a point without a duration, got 12 to 12 s"),
        ("1\t2\tA\n1\t2\t\n", 2, "has no name"),
        ("1\t2\n1\t2\tA\n", 1, "has no name"),
        ("1\t2\tA\nremark\n", 2, "not an Audacity label"),
        ("remark\n1\t2\tA\n", 1, "not an Audacity label"),
        ("1\t2\tA\n\\\t5\t6\n-1\t2\tA\n", 2, "got -1 to 2 s"),
        ("1\tx\tA\n1\t2\tA\n", 1, "'x' is not a number"),
    ],
)
def test_a_row_that_cannot_be_used_is_left_out_and_named(text, row, reason, tmp_path):
    table = read_events(write(tmp_path / "a.txt", text))
    assert brief(table) == [("A", 1, 2)]
    assert [number for number, _ in table.left_out] == [row]
    assert reason in table.left_out[0][1]


def test_points_only_are_no_empty_table(tmp_path):
    path = write(tmp_path / "a.txt", "".join(f"{t}\t{t}\tA\n" for t in range(5)))
    with pytest.raises(TableError, match=r"none of its 5 rows .* a point .*\.\.\.") as error:
        read_events(path)
    assert "\n" not in str(error.value)


@given(
    st.lists(
        st.tuples(st.integers(0, 10**11), st.integers(1, 10**8), st.sampled_from(["A", "é b", "1"]))
    )
)
def test_times_come_back_in_whole_microseconds(tmp_path_factory, rows):
    text = "".join(
        f"{begin / 1e6:.6f}\t{(begin + length) / 1e6:.6f}\t{label}\n"
        for begin, length, label in rows
    )
    path = write(tmp_path_factory.mktemp("audacity") / "a.txt", text)
    found = [
        (round(e.start_s * 1e6), round(e.end_s * 1e6), e.label) for e in read_events(path).events
    ]
    assert sorted(found) == sorted((b, b + n, label) for b, n, label in rows)


def test_decimal_commas(tmp_path):
    path = write(tmp_path / "a.txt", "1,500000\t2,250000\tA, B\n")
    assert brief(read_events(path)) == [("A, B", 1.5, 2.25)]

"""CSV and other tables with a header, as people and their spreadsheets save them."""

import crowsetta
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_spot.tables.columns import Columns
from animal_spot.tables.event import TableError
from animal_spot.tables.reading import read_events
from animal_spot.utils.csv_cells import csv_text
from tests.helpers.tables import brief, write


def read(tmp_path, text, encoding="utf-8", **options):
    return read_events(write(tmp_path / "a.csv", text, encoding), **options)


@pytest.mark.parametrize(
    "header",
    [
        "begin,end,label",
        "start_s,end_s,species",
        "Start (s),End (s),Common name",
        "onset,offset,Call type",
        "start_time,end_time,annotation",
        "startTime,stopTime,class",
        "start_seconds,stop_seconds,name",
        "from,to,tags",
        "xmin,xmax,category",
    ],
)
def test_columns_are_found_by_their_names_and_said(header, tmp_path):
    table = read(tmp_path, f"{header}\n0.5,1.25,orca\n")
    assert brief(table) == [("orca", 0.5, 1.25)]
    begin, end, label = header.split(",")
    assert table.notes == (f"columns: begin is {begin}, end is {end}, label is {label}",)


@pytest.mark.parametrize(
    ("header", "row", "times"),
    [
        ("start,duration,label", "2,0.5,K", (2, 2.5)),
        ("IN FILE,OFFSET,DURATION,TIME,MANUAL ID", "r,2,0.5,05:00:00,K", (2, 2.5)),  # Kaleidoscope
        ("start_ms,end_ms,label", "2000,2500.5,K", (2, 2.5005)),
        ("Start [ms],Duration (ms),label", "2000,500,K", (2, 2.5)),
        ("start,end,label", "2000,2500,K", (2000, 2500)),  # nothing says that these are ms
        ("begin_minutes,end_minutes,label", "1,1.5,K", (60, 90)),
        ("start,stop,label", "0:01:02.5,1:03,K", (62.5, 63)),
    ],
)
def test_units_are_those_that_the_names_say(header, row, times, tmp_path):
    assert brief(read(tmp_path, f"{header}\n{row}\n")) == [("K", *times)]


def test_other_columns(tmp_path):
    text = (
        "file,start,end,fmin_khz,Max Freq (Hz),label,channel,score\nA/r 1.wav,1,2,1.5,3000,K,2,.5\n"
    )
    (event,) = read(tmp_path, text).events
    assert (event.recording, event.low_hz, event.high_hz) == ("A/r 1.wav", 1500, 3000)
    assert (event.channel, event.extra, event.row) == (2, {"score": ".5"}, 1)


def test_columns_can_be_named(tmp_path):
    text = "von,bis,was,begin\n1,2,Wal,77\n"
    columns = Columns(begin="Von", end="bis", label="was")
    table = read(tmp_path, text, columns=columns)
    assert brief(table) == [("Wal", 1, 2)]
    with pytest.raises(TableError, match=r"no column 'wer' \(columns: von, bis, was, begin\)"):
        read(tmp_path, text, columns=Columns(label="wer"))
    with pytest.raises(TableError, match="hold the end of"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        "begin;end;label\n1,5;2,25;a, b\n",
        "sep=;\nbegin;end;label\n1,5;2,25;a, b\n",
        "begin\tend\tlabel\n1,5\t2,25\ta, b\n",
        'begin,end,label\n"1,5","2,25","a, b"\n',
        "begin|end|label\n1.5|2.25|a, b\n",
        '# made by hand\n\nbegin, end, label\n1.5, 2.25, "a, b"\n\n',
        ',begin,end,label\n0,1.5,2.25,"a, b"\n',
    ],
)
def test_what_stands_between_cells_and_before_decimals(text, tmp_path):
    table = read(tmp_path, text)
    assert brief(table) == [("a, b", 1.5, 2.25)]
    assert ("commas in numbers stand before the decimals" in table.notes) == ("1,5" in text)


def test_commas_beside_points_are_no_decimals(tmp_path):
    table = read(tmp_path, 'begin,end,label\n"1,000",1001.5,K\n2,3,K\n')
    assert table.left_out == ((1, "'1,000' is not a number"),)


def test_a_comma_too_many_is_named(tmp_path):
    table = read(tmp_path, "begin,end,label\n1,5,2,25,K\n1,2,K\n")
    assert [row for row, _ in table.left_out] == [1]
    assert "has 5 cells, and the header 3" in table.left_out[0][1]


@pytest.mark.parametrize(
    ("encoding", "note"),
    [
        ("utf-8", ()),
        ("utf-8-sig", ()),
        ("utf-16", ()),
        ("utf-16-le", ()),
        ("utf-16-be", ()),
        ("cp1252", ("read as Windows-1252",)),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["lf", "crlf", "cr"])
def test_encodings_and_line_ends(encoding, note, end, tmp_path):
    text = end.join(("begin,end,label", "1.5,2,Wal – ä", ""))
    table = read(tmp_path, text, encoding)
    assert brief(table) == [("Wal – ä", 1.5, 2)]
    assert table.notes[1:] == note


def test_labels_are_compared_in_one_unicode_form(tmp_path):
    table = read(tmp_path, "begin,end,label\n1,2,e\u0301\n3,4,\u00e9\n")
    assert {event.label for event in table.events} == {"\u00e9"}


def test_names_that_look_like_formulas_come_back(tmp_path):
    """Our own tables put an apostrophe before them."""
    text = csv_text([("begin", "end", "label"), (1, 2, "=1+1"), (3, 4, "-"), (5, 6, "'x")])
    assert [label for label, *_ in brief(read(tmp_path, text))] == ["=1+1", "-", "'x"]


def test_rows_marked_as_wrong(tmp_path):
    table = read(tmp_path, "begin,end,label,correct\n1,2,K,no\n3,4,K,yes\n")
    assert [event.is_wrong for event in table.events] == [True, False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,K\n3,4,K\n", "has no header: add a first line"),
        ("a remark\n", "neither a Raven table"),
        ("begin,label\n1,K\n", r"hold the end of .*\(columns: begin, label\)"),
        ("begin,end\n1,2\n", r"--label_column \(columns: begin, end\)"),
        ('begin,end,label\n1,2,"K\n3,4,K\n5,6,K\n', "quotation mark not closed"),
        ("begin,end,label\n1,2\n", "too few columns"),
        ("begin,end,label\n2024-05-01 10:00,2,K\n", "'2024-05-01 10:00' is not a number"),
        ("begin,duration,label\n1,-2,K\n", "lasts -2 s"),
        (f'begin,end,label\n1,2,"{"x" * 200_000}"\n', "line 2 is broken"),
    ],
)
def test_tables_that_cannot_be_used(text, message, tmp_path):
    path = write(tmp_path / "a.csv", text)
    with pytest.raises(TableError, match=message) as error:
        read_events(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600


def test_a_header_alone_says_that_nothing_is_there(tmp_path):
    assert read(tmp_path, "begin,end,label\n").events == ()


def test_formats_of_crowsetta_that_are_csv(tmp_path):
    simple = "onset_s,offset_s,label\n0.25,0.5,a\n1,2,b\n"
    path = write(tmp_path / "a.csv", simple)
    segments = crowsetta.formats.seq.SimpleSeq.from_file(path).to_seq(round_times=False).segments
    assert brief(read_events(path)) == [(s.label, s.onset_s, s.offset_s) for s in segments]
    generic = (
        "label,onset_s,offset_s,notated_path,annot_path,sequence,annotation\n"
        "1,0.25,0.5,a.wav,a.mat,0,0\n2,1,2,b.wav,b.mat,0,1\n"
    )
    path = write(tmp_path / "b.csv", generic)
    wanted = [
        (segment.label, segment.onset_s, segment.offset_s, str(annotation.notated_path))
        for annotation in crowsetta.formats.seq.GenericSeq.from_file(path).to_annot()
        for segment in annotation.seq.segments
    ]
    found = read_events(path).events
    assert [(e.label, e.start_s, e.end_s, e.recording) for e in found] == wanted


def test_times_in_samples_need_the_recording(tmp_path, write_wav):
    text = "onset_sample,offset_sample,label,file\n100,300,K,r.wav\n"
    with pytest.raises(TableError, match=r"count samples, and the recording 'r\.wav'"):
        read(tmp_path, text)
    write_wav(tmp_path / "Wave" / "r.wav", [0.0] * 400, 200)
    assert brief(read(tmp_path, text)) == [("K", 0.5, 1.5)]


numbers = st.floats(0, 1e6, allow_nan=False)


@given(
    st.lists(st.tuples(numbers, numbers).filter(lambda t: t[0] < t[1]), min_size=1),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["utf-8", "utf-16", "cp1252"]),
)
def test_times_come_back_to_the_last_digit(tmp_path_factory, times, delimiter, encoding):
    rows = [("begin", "end", "label"), *((repr(a), repr(b), "K") for a, b in times)]
    text = "\n".join(delimiter.join(row) for row in rows)
    path = write(tmp_path_factory.mktemp("csv") / "a.csv", text, encoding)
    assert [(e.start_s, e.end_s) for e in read_events(path).events] == sorted(times)

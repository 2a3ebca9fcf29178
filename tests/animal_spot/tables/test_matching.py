"""Tables and recordings are brought together, and what has no partner is named."""

import dataclasses
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_spot.tables.event import EventTable, LabelledEvent, TableError
from animal_spot.tables.matching import match, start_of
from animal_spot.tables.reading import read_events
from tests.helpers.tables import raven_text, write


def table(path, *events, recording=None, low_hz=None, is_wrong=False) -> EventTable:
    """Return a table of events that begin at these times."""
    rows = tuple(
        LabelledEvent(
            *("K", start, start + 0.5, low_hz, None, Path(path), row, recording, None, is_wrong)
        )
        for row, start in enumerate(events, 1)
    )
    return EventTable(Path(path), "made up", rows)


def paths(*names):
    return [Path(name) for name in names]


def starts(found):
    return {path.as_posix(): [e.start_s for e in rows] for path, rows in found.events.items()}


def test_tables_go_to_the_recording_with_the_longest_name():
    names = ["a.txt", "a.1.Table.1.selections.txt", "ab.audacity.txt", "a.wav.csv", "c.txt"]
    tables = [table(f"t/{name}", n) for n, name in enumerate(names)]
    found = match(paths("r/a.wav", "r/a.1.wav", "r/ab.flac", "r/d.wav"), tables)
    assert starts(found) == {"r/a.wav": [0, 3], "r/a.1.wav": [1], "r/ab.flac": [2]}
    assert found.tables[Path("r/a.wav")] == (Path("t/a.txt"), Path("t/a.wav.csv"))
    assert found.without_table == (Path("r/d.wav"),)
    assert found.without_recording == (
        (Path("t/c.txt"), "t/c.txt is called like none of the recordings"),
    )
    assert found.refused == ()


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("Rec.TXT", "rec"),
        ("re\u0301c.txt", "r\u00e9c"),
        ("rec_annotations.csv", "rec"),
        ("rec - Raven selections.txt", "rec"),
        ("rec_2.txt", None),
        ("record.txt", None),
        ("rec_b.txt", None),
    ],
)
def test_names_that_are_alike(name, start):
    assert start_of(name, {"rec", "r\u00e9c"}) == start


def test_a_table_without_rows_says_that_nothing_is_there():
    found = match(paths("a.wav"), [table("a.txt")])
    assert found.events == {Path("a.wav"): ()}
    assert found.without_table == ()


@pytest.mark.parametrize(
    "said",
    ["b.wav", "B.WAV", "D:\\old\\b.wav", "/elsewhere/b.wav", "b.flac", "b"],
)
def test_what_a_table_says_goes_before_its_name(said):
    found = match(paths("r/a.wav", "r/b.wav"), [table("t/all.txt", 1, 2, recording=said)])
    assert starts(found) == {"r/b.wav": [1, 2]}


def test_one_table_of_several_recordings(tmp_path):
    text = raven_text(
        (1, 2, "a.wav", 1, "K"),
        (31, 32, "b.wav", 1.5, "K"),
        (61, 62, "c.wav", 2, "K"),
        columns=("Begin File", "File Offset (s)", "Annotation"),
    )
    read = read_events(write(tmp_path / "all.txt", text))
    found = match(paths("a.wav", "b.wav", "d.wav"), [read])
    assert starts(found) == {"a.wav": [1], "b.wav": [1.5]}
    assert found.without_table == (Path("d.wav"),)
    ((_, reason),) = found.without_recording
    assert reason.endswith("all.txt is of c.wav, which is not among the recordings")


def test_a_table_called_after_one_recording_that_says_it_is_of_another():
    found = match(paths("a.wav", "c.wav"), [table("a.txt", 1, recording="b.wav")])
    assert found.events == {}
    ((path, reason),) = found.refused
    assert path == Path("a.txt")
    assert "is of b.wav, not of a.wav: are two tables swapped?" in reason


def test_one_name_in_two_folders_is_told_by_the_folders():
    recordings = paths("r/north/1.wav", "r/south/1.wav")
    found = match(recordings, [table("t/south/1.txt", 2), table("t/north/1.txt", 1)])
    assert starts(found) == {"r/north/1.wav": [1], "r/south/1.wav": [2]}
    said = table("t/all.txt", 5, recording="/mnt/South/1.wav")
    assert starts(match(recordings, [said])) == {"r/south/1.wav": [5]}


def test_a_file_of_one_ending_goes_before_that_of_another():
    said = table("t/all.txt", 5, recording="1.flac")
    assert starts(match(paths("r/1.wav", "r/1.flac"), [said])) == {"r/1.flac": [5]}


@pytest.mark.parametrize("recording", [None, "1.wav"])
def test_one_name_in_two_folders_is_refused_where_folders_do_not_tell(recording):
    recordings = paths("r/north/1.wav", "r/south/1.wav")
    found = match(recordings, [table("t/1.txt", 2, recording=recording)])
    assert found.events == {}
    ((_, reason),) = found.refused
    assert "fits r/north/1.wav and r/south/1.wav: put tables into folders" in reason
    assert found.without_table == tuple(recordings)


def test_a_table_of_another_station_is_not_used():
    """The recording of its own folder is absent."""
    tables = [table("t/north/1.txt", 1), table("t/south/1.txt", 2)]
    found = match(paths("r/north/1.wav"), tables)
    assert starts(found) == {"r/north/1.wav": [1]}
    assert found.unused == (
        (
            Path("t/south/1.txt"),
            "t/south/1.txt is not used: t/north/1.txt is nearer to r/north/1.wav",
        ),
    )


def written(path, *events, at=1, kind="Raven", **options) -> EventTable:
    """Return a table whose file was changed at a time."""
    write(path, "")
    os.utime(path, (at, at))
    return dataclasses.replace(table(path, *events, **options), format=kind)


def test_what_predict_writes_in_several_formats_counts_once(tmp_path):
    """Times in the table of all recordings are those of sums, rounded to the millisecond."""
    tables = [
        written(tmp_path / "1.Table.1.selections.txt", 1, 2, 3, at=1),
        written(tmp_path / "1.audacity.txt", 1, 2, 3, at=2, kind="Audacity"),
        written(tmp_path / "all_recordings.txt", 1.001, 2, 2.999, at=3, recording="1.wav"),
    ]
    found = match(paths("1.wav"), tables)
    assert starts(found) == {"1.wav": [1.001, 2, 2.999]}
    assert (found.without_recording, found.unused) == ((), ())


@pytest.mark.parametrize("kept", [(1, 3), (), (1, 2.5, 3), (7,)])
@pytest.mark.parametrize("name", ["1.audacity.txt", "all_recordings.txt"])
def test_rows_that_a_person_took_out_do_not_come_back(kept, name, tmp_path):
    recording = "1.wav" if name.startswith("all") else None
    kind = "Audacity" if recording is None else "Raven"
    tables = [
        written(tmp_path / name, 1, 2, 3, at=2, kind=kind, recording=recording),
        written(tmp_path / "1.Table.1.selections.txt", *kept, at=9),
    ]
    found = match(paths("1.wav"), tables)
    assert starts(found) == {"1.wav": list(kept)}
    ((path, reason),) = found.unused
    assert path == tmp_path / name
    assert "1.Table.1.selections.txt was changed or reviewed later, and has not" in reason


def test_a_reviewed_table_goes_before_a_newer_copy(tmp_path):
    tables = [
        written(tmp_path / "1.audacity.txt", 1, 2, at=5, kind="Audacity"),
        written(tmp_path / "1.Table.1.selections.txt", 1, 2, at=2, is_wrong=True),
    ]
    (rows,) = match(paths("1.wav"), tables).events.values()
    assert [event.is_wrong for event in rows] == [True, True]


def test_tables_of_two_annotators_are_put_together(tmp_path):
    tables = [
        written(tmp_path / "1.Table.1.selections.txt", 1, 3, 3, at=1),
        written(tmp_path / "1.Table.2.selections.txt", 2, 4, at=2),
    ]
    found = match(paths("1.wav"), tables)
    assert starts(found) == {"1.wav": [1, 2, 3, 3, 4]}
    assert found.tables[Path("1.wav")] == (tables[1].path, tables[0].path)


def test_names_that_differ_only_in_case():
    found = match(paths("a.wav", "A.wav"), [table("a.txt", 1), table("A.txt", 2)])
    assert starts(found) == {"a.wav": [1], "A.wav": [2]}


def test_rows_that_name_no_recording_in_a_table_that_does():
    rows = (*table("t.txt", 1).events, *table("t.txt", 2, recording="a.wav").events)
    found = match(paths("a.wav"), [EventTable(Path("t.txt"), "made up", rows)])
    assert starts(found) == {"a.wav": [2]}
    assert found.without_recording == ((Path("t.txt"), "t.txt: 1 of its rows name no recording"),)


# -- a list of pairs ------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["recording,table", "file;selections", "Sound file\tTable"])
def test_a_list_of_pairs_goes_before_names(header, tmp_path):
    between = header[9 if header.startswith("rec") else 4 if ";" in header else 10]
    rows = [("r/a.wav", "t/2.txt"), (str(tmp_path / "r" / "b.wav"), "1.txt")]
    text = "\n".join((header, *(between.join(row) for row in rows)))
    recordings = [tmp_path / "r" / name for name in ("a.wav", "b.wav", "1.wav")]
    tables = [table(tmp_path / "t" / f"{n}.txt", n) for n in (1, 2)]
    found = match(recordings, tables, write(tmp_path / "pairs.csv", text))
    assert {p.name: [e.start_s for e in rows] for p, rows in found.events.items()} == {
        "a.wav": [2],
        "b.wav": [1],
    }
    assert found.without_table == (tmp_path / "r" / "1.wav",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recording,table\nx.wav,1.txt\n", r"row 1: x\.wav is not among the given files"),
        ("recording,table\na.wav,9.txt\n", r"row 1: 9\.txt is not among"),
        ("recording,table\nb.wav,1.txt\n", r"row 1: b\.wav can be n/b\.wav and s/b\.wav"),
        ("recording,table\na.wav\n", "row 1 has too few columns"),
        ("recording,other\na.wav,1.txt\n", "no column 'table'"),
        ("", "holds no line"),
    ],
)
def test_a_list_of_pairs_that_cannot_be_used(text, message, tmp_path):
    recordings = paths("a.wav", "n/b.wav", "s/b.wav")
    with pytest.raises(TableError, match=message):
        match(recordings, [table("1.txt", 1)], write(tmp_path / "pairs.csv", text))


names = st.lists(st.sampled_from(["a", "b", "a.b", "a_1", "A"]), unique=True, max_size=4)
folders = st.sampled_from(["", "n/", "s/"])


@given(st.lists(st.tuples(folders, names), max_size=3), st.lists(st.tuples(folders, names)))
def test_every_recording_and_every_table_is_used_or_named(of_recordings, of_tables):
    recordings = [Path(f"r/{place}{n}.wav") for place, every in of_recordings for n in every]
    tables = [
        table(path, number)
        for number, path in enumerate(
            dict.fromkeys(f"t/{place}{n}.txt" for place, every in of_tables for n in every)
        )
    ]
    found = match(recordings, tables)
    assert {*found.events, *found.without_table} == set(recordings)
    assert not set(found.events) & set(found.without_table)
    used = [event.table for rows in found.events.values() for event in rows]
    unused = [path for path, _ in (*found.without_recording, *found.unused, *found.refused)]
    assert sorted([*used, *unused]) == sorted(one.path for one in tables), "each exactly once"

"""Formats that crowsetta reads: its own examples, against what it makes of them itself."""

from pathlib import Path

import crowsetta
import numpy as np
import pytest

from animal_spot.tables.columns import Columns
from animal_spot.tables.event import TableError
from animal_spot.tables.reading import is_table, is_table_name, read_events
from tests.helpers.tables import brief, write

EXAMPLES = Path(crowsetta.__file__).parent / "examples"


def copied(name: str, to: Path) -> Path:
    to.write_bytes((EXAMPLES / name).read_bytes())
    return to


def by_crowsetta(name: str, path: Path, **options) -> list[tuple[str, float, float]]:
    found = crowsetta.formats.by_name(name).from_file(path).to_seq(**options)
    sequences = found if isinstance(found, list) else [found]
    return [(s.label, s.onset_s, s.offset_s) for one in sequences for s in one.segments]


@pytest.mark.parametrize("ending", [".TextGrid", ".textgrid"])
def test_textgrid(ending, tmp_path):
    original = EXAMPLES / "AVO-maea-basic.TextGrid"
    path = copied(original.name, tmp_path / f"a{ending}")
    table = read_events(path)
    assert table.format == "Praat TextGrid"
    assert sorted(brief(table)) == sorted(by_crowsetta("textgrid", original, round_times=False))
    assert {event.extra["tier"] for event in table.events} == {"Samoan", "Gloss"}
    assert len(table.left_out) == 5, "the tier of points"
    assert table.notes == ("rows are those of 3 tiers: Tones, Samoan, Gloss",)


def test_a_tier_can_be_chosen(tmp_path):
    path = copied("AVO-maea-basic.TextGrid", tmp_path / "a.TextGrid")
    table = read_events(path, columns=Columns(label="Gloss"))
    assert [event.label for event in table.events][:3] == ["PRES", "Sione", "PAST"]
    assert (table.left_out, table.notes) == ((), ())
    with pytest.raises(TableError, match=r"no tier 'X' \(tiers: Tones, Samoan, Gloss\)"):
        read_events(path, columns=Columns(label="X"))


def test_timit_needs_its_recording(tmp_path, write_wav):
    path = copied("sa1.phn", tmp_path / "sa1.PHN")
    with pytest.raises(TableError, match="count samples, and the recording 'sa1', which"):
        read_events(path)
    write_wav(tmp_path / "sa1.WAV", np.zeros(100), 16000)
    wanted = by_crowsetta("timit", EXAMPLES / "sa1.phn", round_times=False, samplerate=16000)
    assert brief(read_events(path)) == wanted


def test_notmat(tmp_path):
    name = "gy6or6_baseline_230312_0808.138.cbin.not.mat"
    path = copied(name, tmp_path / name)
    assert brief(read_events(path)) == by_crowsetta("notmat", path, round_times=False)


def test_birdsong_recognition(tmp_path, write_wav):
    """Of many recordings; a row is of that which it names."""
    path = write(
        tmp_path / "Annotation.xml",
        '<?xml version="1.0"?><Sequences><NumSequence>2</NumSequence>'
        "<Sequence><WaveFileName>0.wav</WaveFileName><Position>3200</Position>"
        "<Length>100</Length><NumNote>1</NumNote><Note><Position>320</Position>"
        "<Length>640</Length><Label>5</Label></Note></Sequence>"
        "<Sequence><WaveFileName>1.wav</WaveFileName><Position>0</Position>"
        "<Length>100</Length><NumNote>1</NumNote><Note><Position>16</Position>"
        "<Length>32</Length><Label>6</Label></Note></Sequence></Sequences>",
    )
    write_wav(tmp_path / "Wave" / "0.wav", np.zeros(10), 32000)
    table = read_events(path)
    assert [(e.label, e.start_s, e.end_s, e.recording) for e in table.events] == [
        ("5", 3520 / 32000, 4160 / 32000, "0.wav")
    ]
    assert [row for row, _ in table.left_out] == [2], "its recording is not there"


def test_songs_of_one_mat_file(tmp_path):
    """Made as SongAnnotationGUI makes it: names in ``keys``, records in ``elements``."""
    from scipy.io import savemat

    fields = [(name, object) for name in ("segFileStartTimes", "segFileEndTimes", "segType", "fs")]
    elements = np.empty(2, dtype=object)
    for i in range(2):
        record = np.zeros(1, dtype=fields)
        starts = np.array([0.5, 1.5]) + i
        record[0] = (starts, starts + 0.25, np.array([3, 4]), 1000.0)
        elements[i] = record
    keys = np.array(["a.wav", "b.wav"], dtype=object)
    savemat(tmp_path / "songs.mat", {"keys": keys, "elements": elements})
    table = read_events(tmp_path / "songs.mat")
    assert [(e.recording, e.label, e.start_s, e.end_s) for e in table.events] == [
        ("a.wav", "3", 0.5, 0.75),
        ("a.wav", "4", 1.5, 1.75),
        ("b.wav", "3", 1.5, 1.75),
        ("b.wav", "4", 2.5, 2.75),
    ]


@pytest.mark.parametrize(
    "name", ["a.TextGrid", "a.phn", "a.wrd", "a.not.mat", "a.mat", "a.xml", "A.XML"]
)
@pytest.mark.parametrize(
    "content",
    [b"", b"\0\xff" * 500, b'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\n'],
    ids=["empty", "binary", "cut-off"],
)
def test_broken_files_of_other_programs(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TableError, match="cannot be read as") as error:
        read_events(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)
    assert "\n" not in str(error.value)


def test_without_crowsetta(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "crowsetta", None)
    path = copied("AVO-maea-basic.TextGrid", tmp_path / "a.TextGrid")
    with pytest.raises(TableError, match=r"without crowsetta; install it: .*pip install"):
        read_events(path)


@pytest.mark.parametrize(
    ("name", "is_table"),
    [
        *((name, True) for name in ("a.txt", "A.CSV", "a.tsv", "a.TextGrid", "a.not.mat", "a.WRD")),
        *((name, False) for name in ("a.wav", ".a.txt", "a.txt.bak", "a.json", "a.xlsx", "a")),
        *((name, False) for name in ("summary.csv", "a_predict_output.csv")),
    ],
)
def test_tables_are_told_by_their_names(name, is_table):
    assert is_table_name(name) == is_table


def test_lists_of_a_split_are_no_tables(tmp_path):
    split, table = tmp_path / "train.csv", tmp_path / "test.csv"
    split.write_text("rec1.wav#0.5-1\r\nrec1.wav#2-3\r\n")
    table.write_text("begin,end,label\n0,1,K1\n")
    assert not is_table(split)
    assert is_table(table), "a name alone says nothing"
    assert not is_table(tmp_path / "absent.csv")

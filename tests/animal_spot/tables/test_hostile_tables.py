"""Files that are no tables, and those from the field: a line, or what can be used; never more."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_spot.tables.event import TableError
from animal_spot.tables.reading import read_events
from tests.helpers.places import SHARED
from tests.helpers.tables import RAVEN, write

CASES = SHARED / "cases" / "tables"


@pytest.fixture
def case():
    """Return a function that gives the path of a table from the field, which need not be here."""

    def path(name):
        if not (CASES / name).is_file():
            pytest.skip("the shared cases are not here")
        return CASES / name

    return path


@pytest.mark.parametrize("text", ["", "\n\n", "  \t \n", "\ufeff"])
def test_an_empty_file_is_a_table_without_rows(text, tmp_path):
    table = read_events(write(tmp_path / "a.txt", text))
    assert (table.events, table.left_out) == ((), ())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"RIFF\x24\0\0\0WAVE", "is sound, not a table"),
        (b"PK\x03\x04\x14\0", "Excel file or another archive: save it as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "an Excel file: save it as CSV"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "bytes that are no text"),
        (bytes(range(256)) * 8, "bytes that are no text"),
        (b"begin,end,label\n1,2,a\0b\n" + b"x" * 5000, "bytes that are no text"),
        (b"\xff\xfe\x00", "is neither a Raven table"),
    ],
)
def test_what_is_no_text(content, message, tmp_path):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(TableError, match=message):
        read_events(tmp_path / "a.txt")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
@pytest.mark.parametrize("name", ["a.txt", "a.TextGrid"])
def test_a_pipe_is_no_table(name, tmp_path):
    os.mkfifo(tmp_path / name)
    with pytest.raises(TableError, match="not a regular file"):
        read_events(tmp_path / name)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_events(tmp_path / "a.txt")


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    with open(tmp_path / "a.csv", "wb") as file:
        file.truncate(2**40)  # takes no room
    with pytest.raises(TableError, match="larger than 128 MB"):
        read_events(tmp_path / "a.csv")


lines = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), max_size=5)


@given(st.one_of(st.binary(max_size=300), lines.map(lambda found: "\n".join(found).encode())))
@pytest.mark.parametrize(
    "start",
    [b"", f"{RAVEN}\tAnnotation\n".encode(), b"begin,end,label\n", b"1\t2\tA\n"],
    ids=["any", "raven", "csv", "audacity"],
)
def test_whatever_is_in_a_file_it_is_a_table_or_an_error_in_one_line(tmp_path_factory, start, end):
    path = tmp_path_factory.mktemp("any") / "a.txt"
    path.write_bytes(start + end)
    try:
        table = read_events(path)
    except TableError as error:
        said = str(error)
        assert str(path) in said
        assert len(said.splitlines()) == 1
    else:
        assert all(0 <= e.start_s < e.end_s and e.label for e in table.events)


@pytest.mark.parametrize(
    ("name", "n", "left_out"),
    [
        ("00_ref.rec1.Table.1.selections.txt", 8, 0),
        ("00_ref.rec2.Table.1.selections.txt", 11, 0),
        ("08_bad_row_3.rec1.Table.1.selections.txt", 9, 0),
        ("22_sequence_default_columns.rec1.Table.1.selections.txt", 19, 0),
        ("24_one_point.rec1.txt", 8, 1),
        ("24_one_point.rec2.txt", 11, 0),
    ],
)
def test_tables_from_the_field(name, n, left_out, case):
    """Whether rows are past the end is for those to say who know the recording."""
    table = read_events(case(name))
    assert len(table.events) == n
    assert [reason[:7] for _, reason in table.left_out] == ["a point"] * left_out


@pytest.mark.parametrize("n", [1, 2])
def test_points_from_the_field(n, case):
    with pytest.raises(TableError, match="a point without a duration"):
        read_events(case(f"03_audacity_points.rec{n}.txt"))


def test_real_tables(shared_data):
    calls = read_events(shared_data / "recordings" / "mixed1.Table.1.selections.txt").events
    assert (calls[0].start_s, calls[0].end_s, calls[0].label) == (3.0, 6.0, "S02")
    birds = read_events(shared_data / "recordings" / "spinetail.audacity.txt").events
    assert (birds[0].start_s, birds[0].end_s, birds[0].low_hz) == (0.101385, 0.36752, 6441.064453)
    assert {event.label for event in birds} == {"SP", "CRER"}

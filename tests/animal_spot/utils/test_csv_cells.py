import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_spot.utils.csv_cells import csv_text, plain_cell, safe_cell

names = st.text() | st.text("'=+-@\t\ra", max_size=6)


@given(names)
def test_what_is_written_is_read(name):
    assert plain_cell(safe_cell(name)) == name


@given(names)
def test_no_cell_is_a_formula(name):
    """What spreadsheets take for one, by OWASP's page on csv injection."""
    assert not re.match(r"[=+\-@\t\r]", safe_cell(name))


@pytest.mark.parametrize("name", ["K1", "'Apapane", "a=b", "", "1-2", "'"])
def test_other_names_stay(name):
    assert safe_cell(name) == plain_cell(name) == name


def test_by_hand():
    assert safe_cell("=1+1") == "'=1+1"
    assert plain_cell("'=1+1") == "=1+1"


def test_a_table_is_read_back_by_the_standard_library():
    rows = [["file", "n"], ["=1+1", 3], ["a,b\nc", -2], ["'x", None]]
    found = list(csv.reader(io.StringIO(csv_text(rows))))
    assert found == [["file", "n"], ["'=1+1", "3"], ["a,b\nc", "-2"], ["'x", ""]]

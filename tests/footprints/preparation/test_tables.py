"""Cells that a spreadsheet would run are made harmless, and read back as they were meant."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from footprints.system.files import read_table
from footprints.system.text import cell, csv_of, text_of_cell


@pytest.mark.parametrize(
    ("value", "stands"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1+1", "'+1+1"),
        ("-cmd", "'-cmd"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-12.5", "-12.5"),
        ("fox", "fox"),
        ("a\nb\x1b", r"a\nb\x1b"),
        (-3, -3),
        (None, None),
    ],
)
def test_cells(value, stands) -> None:
    assert cell(value) == stands


def test_a_table_is_read_back_as_it_was_meant(tmp_path: Path) -> None:
    rows = [["source", "reason"], ["=a/b.jpg", "'quoted'"], ["fox, or dog", ""]]
    text = csv_of(rows)
    assert list(csv.reader(io.StringIO(text)))[1] == ["'=a/b.jpg", "'quoted'"]
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    found = read_table(tmp_path / "t.csv")
    assert [list(row.values()) for row in found] == rows[1:]
    assert text_of_cell("'fox") == "'fox"

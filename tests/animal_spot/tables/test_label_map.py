"""Labels become classes by a table that people edit."""

import csv

import pytest

from animal_spot.tables.event import TableError
from animal_spot.tables.label_map import alike, draft_text, read_label_map
from tests.helpers.tables import write


def test_a_map(tmp_path):
    path = write(tmp_path / "map.csv", "label,class\nN1,orca\nN2,orca\nboat,\n\u00e9,e\n")
    label_map = read_label_map(path)
    labels = ["N1", "N2", "boat", "e\u0301", "other", "n1"]
    assert [label_map.class_of(label) for label in labels] == [
        *("orca", "orca", None, "e", None, None)
    ]
    assert label_map.unknown(labels) == ["n1", "other"]


def test_a_map_as_a_spreadsheet_saves_it(tmp_path):
    text = "Class;Events;Label\norca;5;N1\n;1;boat\n;;\n"
    label_map = read_label_map(write(tmp_path / "map.csv", text, "utf-16"))
    assert dict(label_map.classes) == {"N1": "orca", "boat": ""}


def test_a_draft_maps_each_label_to_itself_and_comes_back(tmp_path):
    counts = {"N1": 5, "=a": 2, 'big, "grey"': 7}
    text = draft_text(counts)
    rows = list(csv.reader(text.splitlines()))
    assert rows[0] == ["label", "class", "events"]
    assert sorted(rows[1:]) == sorted(
        [["N1", "N1", "5"], ["'=a", "'=a", "2"], ['big, "grey"', 'big, "grey"', "7"]]
    )
    label_map = read_label_map(write(tmp_path / "map.csv", text))
    assert dict(label_map.classes) == {label: label for label in counts}


def test_a_draft_makes_one_class_of_labels_that_look_alike(tmp_path):
    counts = {"Orca": 3, "orca": 7, "orca ": 1, "boat": 2}
    label_map = read_label_map(write(tmp_path / "map.csv", draft_text(counts)))
    assert {label_map.class_of(label) for label in ("Orca", "orca")} == {"orca"}
    (line,) = alike(counts)
    assert "'Orca' and 'orca' and 'orca ' differ only in case or blanks" in line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label,class\na,A\na,B\n", "'a' has two classes, 'A' and 'B'"),
        ("label,class\na,Orca\nb,orca\n", "'Orca' and 'orca' differ only in case"),
        ("label,other\na,A\n", r"no column 'class' \(columns: label, other\)"),
        ("", "holds no line"),
    ],
)
def test_a_map_that_cannot_be_used(text, message, tmp_path):
    path = write(tmp_path / "map.csv", text)
    with pytest.raises(TableError, match=message) as error:
        read_label_map(path)
    assert str(path) in str(error.value)

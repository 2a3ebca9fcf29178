"""Tables of the truth held against recordings, by hand and with made-up field cases."""

import math

import pytest

from animal_spot.detections.annotations import Annotation
from animal_spot.evaluation.truth_check import Scored, TruthError, fit_to_recording, swapped_tables


def rows(*times, length=0.5, name="A"):
    return [Annotation(t, t + length, name, math.nan) for t in times]


def test_a_table_that_fits_is_left_alone():
    table = rows(1, 5, 29.5)
    fitting = fit_to_recording(table, 30, 0.5)
    assert fitting.rows == table
    assert fitting.warnings == ()


@pytest.mark.parametrize(
    ("last", "is_past"),
    [
        pytest.param(Annotation(29, 30.9, "A", math.nan), False, id="rounded-up"),
        pytest.param(Annotation(29, 31.1, "A", math.nan), True, id="ends-far-outside"),
        pytest.param(Annotation(30, 30.1, "A", math.nan), True, id="begins-at-the-end"),
    ],
)
def test_what_is_past_the_end(last, is_past):
    table = [*rows(*range(0, 20, 2)), last]
    fitting = fit_to_recording(table, 30, 0.5)
    assert (last not in fitting.rows) == is_past
    assert len(fitting.warnings) == is_past
    if is_past:
        assert "1 of 11 rows lie past the end" in fitting.warnings[0]
        assert f"A at {last.begin_s:g} to {last.end_s:g} s" in fitting.warnings[0]


@pytest.mark.parametrize(
    ("table", "duration_s", "cause"),
    [
        pytest.param(rows(3, 9, 15, 31, 42, 55), 30, "opened as one", id="sequence"),
        pytest.param(rows(40, 50), 30, "another recording, or are its times not", id="all"),
        pytest.param(rows(2989, 6284, 9245, length=826), 30, "in milliseconds", id="milliseconds"),
        pytest.param(rows(31), 30, "another recording", id="the-only-row"),
        pytest.param(
            rows(*range(0, 30), *range(30, 34)), 30, "opened as one", id="more-than-a-tenth"
        ),
    ],
)
def test_a_table_of_something_else_is_refused(table, duration_s, cause):
    with pytest.raises(TruthError, match=cause) as error:
        fit_to_recording(table, duration_s, 0.5)
    n_past = sum(row.begin_s >= duration_s for row in table)
    assert f"{n_past} of {len(table)} rows lie past the end" in str(error.value)


def test_rows_of_minutes_are_doubted():
    """Milliseconds of the first minutes of a day still lie in it."""
    fitting = fit_to_recording(rows(2989, 6284, 9245, length=826), 86400, 0.5)
    assert len(fitting.rows) == 3
    (warning,) = fitting.warnings
    assert "826 s or more" in warning
    assert "milliseconds" in warning


def test_swapped_tables_are_found():
    first, second = rows(1, 4, 8, 12, 20, 26), rows(2, 6, 10, 15, 22, 28)
    third = rows(3, 5, 9, 13, 21, 29)
    found = swapped_tables(
        {
            "one": Scored(second, first),
            "two": Scored(first, second),
            "three": Scored(third, third),
        }
    )
    assert found == {"one": ("two", 6, 0), "two": ("one", 6, 0)}


def test_a_bad_model_alone_makes_no_swap():
    truth = rows(1, 4, 8, 12, 20, 26)
    assert swapped_tables({"one": Scored(truth, []), "two": Scored(truth, rows(2, 6))}) == {}
    few = rows(1, 4)
    assert swapped_tables({"one": Scored(few, []), "two": Scored(rows(9), few)}) == {}

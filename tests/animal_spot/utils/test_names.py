"""Names as people read them: Unicode forms, case and blanks."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_spot.utils.names import composed, look_alikes, refuse_look_alikes, with_composed_names

NFC, NFD = (unicodedata.normalize(form, "Käuzchen") for form in ("NFC", "NFD"))


@given(st.text())
def test_all_unicode_forms_of_a_name_are_one(text):
    forms = {composed(unicodedata.normalize(form, text)) for form in ("NFC", "NFD")}
    assert forms == {composed(text)}


def test_a_dictionary_gets_composed_names_unless_two_would_be_one():
    assert with_composed_names({NFD: 1, "b": 2}) == {NFC: 1, "b": 2}
    assert with_composed_names({NFD: 1, NFC: 2}) == {NFD: 1, NFC: 2}


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        pytest.param(["Kauz", "kauz", "Uhu"], [["Kauz", "kauz"]], id="case"),
        pytest.param(["Kauz ", "Kauz", "Uhu"], [["Kauz", "Kauz "]], id="blank-at-the-end"),
        pytest.param(["a  b", "A b", "ab"], [["A b", "a  b"]], id="blanks-inside"),
        pytest.param([NFC, NFD], [[NFD, NFC]], id="unicode-form"),
        pytest.param(["Straße", "STRASSE"], [["STRASSE", "Straße"]], id="sharp-s"),
        pytest.param(["S1", "S01", "s_1"], [], id="others"),
    ],
)
def test_names_that_differ_only_in_case_or_blanks(names, groups):
    assert look_alikes(names) == groups


def test_they_are_refused_with_both_names():
    refuse_look_alikes(["a", "b"], "rename")
    with pytest.raises(ValueError, match=r"'Kauz' and 'kauz' differ only in case.*; rename one"):
        refuse_look_alikes(["kauz", "Kauz"], "rename one")

"""Classes that names give but that are not meant."""

from __future__ import annotations

import pytest

from animal_spot.data.class_names import divided_class_warnings, look_alike_error
from animal_spot.data.labels import parse_clip


def clips(*names: str):
    return [parse_clip(f"{name}_{i}_2020_T{i}_0_1.wav") for i, name in enumerate(names)]


def test_look_alike_classes_are_named_with_their_folders():
    assert look_alike_error(clips("a/Kauz-x", "b/Uhu-x")) is None
    error = look_alike_error(clips("north/Kauz-x", "south/kauz-x", "south/kauz-x", "Uhu-x"))
    assert "'Kauz' (north/Kauz-x_0_2020_T0_0_1.wav)" in error
    assert "'kauz' (south/kauz-x_1_2020_T1_0_1.wav and 1 more)" in error
    assert "Uhu" not in error


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["S01/S01-srkw", "S02/S02-srkw"], id="plain"),
        pytest.param(["ORCA-N9", "ORCA-N-9", "ORCA-N4"], id="call-types"),
        pytest.param(["my-clips/Roe-x", "my-clips/Fox-x"], id="folder-of-another-name"),
        pytest.param(["Roe-deer-x", "Roe-deer-y"], id="one-word-may-be-a-label"),
        pytest.param(["Roe-deer-x", "Roe-buck-y"], id="too-few-clips-of-a-word"),
    ],
)
def test_usual_names_are_not_warned_of(names):
    assert divided_class_warnings(clips(*names)) == []


def test_folder_of_the_whole_name_tells_that_it_is_a_class():
    (warning,) = divided_class_warnings(
        clips("Roe-deer/Roe-deer-x", "Roe-deer/Roe-deer", "Fox/Fox-x")
    )
    assert "Roe-deer (2 clips): the class of these clips is Roe," in warning
    assert "if Roe-deer is meant to be a class, rename them to Roe_deer-..." in warning


def test_several_words_after_one_name_tell_that_they_are_classes():
    names = ["Roe-deer-x", "Roe-deer-x", "Roe-buck-y", "Roe-buck-y", "Fox-x"]
    (warning,) = divided_class_warnings(clips(*names))
    assert "Roe-buck (2 clips), Roe-deer (2 clips): the class of these clips is Roe" in warning

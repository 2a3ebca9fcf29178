from __future__ import annotations

import os
import unicodedata

import pytest

from animal_spot.data.labels import (
    ClipNameError,
    class_indices,
    class_name_of,
    find_clip_paths,
    names_by_index,
    parse_clip,
    tape_of,
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("ORCA-N9_1_2010_T1_0_300.wav", "ORCA", id="plain"),
        pytest.param("noise-_1_2010_T1_0_300.wav", "noise", id="empty-label-info"),
        pytest.param("a/b-c/ORCA-N-9_1_2010_T-1_0_300.wav", "ORCA", id="dashes-elsewhere"),
        pytest.param("two_words-x_1_2010_T1_0_300.wav", "two_words", id="underscore-in-class"),
        pytest.param("été-x_1_2010_T1_0_300.wav", "été", id="not-ascii"),
    ],
)
def test_class_is_the_text_before_the_first_dash_of_the_base_name(path, expected):
    assert class_name_of(path) == expected


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("foo.wav", id="no-dash"),
        pytest.param("-x_1_2010_T1_0_300.wav", id="nothing-before-dash"),
        pytest.param("class-a/foo_1_2010_T1_0_300.wav", id="dash-only-in-folder"),
    ],
)
def test_name_without_class_is_refused(path):
    with pytest.raises(ClipNameError, match="no class before"):
        class_name_of(path)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("ORCA-N9_1_2010_063a_0_300.wav", "2010_063A", id="upper-case"),
        pytest.param("ORCA-N9_a_b_1_2010_063A_0_300.wav", "2010_063A", id="extra-fields"),
        pytest.param("ORCA-N9__1__2010___063A_0__300.wav", "2010_063A", id="double-underscores"),
        pytest.param("x_y/ORCA-N9_1_2010_063A_0_300.wav", "2010_063A", id="folder-with-underscore"),
        pytest.param("ORCA-N9_1_1950_A_0_300.wav", "1950_A", id="first-year"),
        pytest.param("ORCA-N9_1_2199_A_0_300.wav", "2199_A", id="last-year"),
        pytest.param("ORCA-_2010_A_0_300.WAV", "2010_A", id="no-id"),
    ],
)
def test_tape_is_year_and_tape_counted_from_the_end(path, expected):
    assert tape_of(path) == expected


@pytest.mark.parametrize(
    ("path", "match"),
    [
        pytest.param("ORCA-x_1.wav", "too few", id="too-few-fields"),
        pytest.param("ORCA-x_1_20x0_A_0_300.wav", "'20x0'", id="year-not-a-number"),
        pytest.param("ORCA-x_1_1949_A_0_300.wav", "1949 is outside", id="before-first-year"),
        pytest.param("ORCA-x_1_2200_A_0_300.wav", "2200 is outside", id="after-last-year"),
    ],
)
def test_name_without_tape_is_refused(path, match):
    with pytest.raises(ClipNameError, match=match):
        tape_of(path)


@pytest.mark.parametrize(
    ("path", "match"),
    [
        pytest.param(
            "Roe-x_1_2024_20240512_063000_0_300.wav",
            r"TAPE is '20240512_063000' after the year 2024.*write '20240512-063000'",
            id="date-and-time",
        ),
        pytest.param(
            "st_1/Roe-x_1_2024_20240512_N_0_300.wav", "write '20240512-N'", id="date-and-letter"
        ),
        pytest.param(
            "Roe-x_1_2024_SM4_A_07_0_300.wav", "write 'SM4-A-07'", id="recorder-in-three-parts"
        ),
    ],
)
def test_tape_that_holds_an_underscore_is_told_so(path, match):
    with pytest.raises(ClipNameError, match=match):
        tape_of(path)


def test_end_before_start_is_refused_where_both_are_numbers():
    with pytest.raises(ClipNameError, match="ENDMS 100 lies before STARTMS 300"):
        parse_clip("A-x_1_2020_T_300_100.wav")
    for name in ("A-x_1_2020_T_300_300.wav", "A-x_1_2020_T_late_100.wav", "A-_2020_T_9_10.wav"):
        assert parse_clip(name).tape == "2020_T", name


def test_bytes_that_are_no_text_are_refused_in_class_and_tape_alone():
    for path, part in (
        ("A\udcff-x_1_2020_T_0_1.wav", "CLASS"),
        ("A-x_1_2020_\udcff_0_1.wav", "TAPE"),
    ):
        with pytest.raises(ClipNameError, match=rf"{part} .*not UTF-8.*rename"):
            parse_clip(path)
    assert parse_clip("\udcff/A-\udcff_1_2020_T_0_1.wav").tape == "2020_T"


def test_class_and_tape_are_the_same_in_both_unicode_forms_but_the_path_stays():
    for form in ("NFC", "NFD"):
        path = unicodedata.normalize(form, "Käuzchen/Käuzchen-x_1_2020_höhle_0_1.wav")
        clip = parse_clip(path)
        assert clip.path == path
        assert (clip.class_name, clip.tape) == ("K\u00e4uzchen", "2020_H\u00d6HLE")


def test_blank_at_the_end_of_a_tape_makes_no_other_tape():
    assert tape_of("A-x_1_2020_T1 _0_1.wav") == tape_of("A-x_1_2020_t1_0_1.wav")


def test_parsed_clip_holds_path_class_and_tape():
    clip = parse_clip("s/ORCA-N9_1_2010_063a_0_300.wav")
    assert (clip.path, clip.class_name, clip.tape) == (
        "s/ORCA-N9_1_2010_063a_0_300.wav",
        "ORCA",
        "2010_063A",
    )


def _touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_clips_are_found_at_any_depth_in_sorted_order(tmp_path):
    _touch(tmp_path, "b.wav", "a/z.wav", "a/b/c.wav", "a/note.txt", "x.wav.bak", "D.WAV")
    assert find_clip_paths(tmp_path) == ["D.WAV", "a/b/c.wav", "a/z.wav", "b.wav"]


def test_backup_and_hidden_folders_are_left_out(tmp_path):
    _touch(tmp_path, "a/bkp/x.wav", "a/old.bkp/x.wav", "a/bkp/bkp/x.wav", ".hidden/x.wav")
    _touch(tmp_path, "bkp2/kept.wav", "a/bkp.wav")
    assert find_clip_paths(tmp_path) == ["a/bkp.wav", "bkp2/kept.wav"]


def test_hidden_files_are_left_out(tmp_path):
    # macOS puts "._<name>" beside each file on a foreign disk. A glob "*.wav" does not see those,
    # and taken as clips they would make up a class "._ORCA".
    _touch(tmp_path, "ORCA-x_1_2010_A_0_300.wav", "._ORCA-x_1_2010_A_0_300.wav")
    assert find_clip_paths(tmp_path) == ["ORCA-x_1_2010_A_0_300.wav"]


def test_glob_characters_in_the_data_folder_do_no_harm(tmp_path):
    folder = tmp_path / "data [1] *?"
    _touch(folder, "a/x.wav")
    assert find_clip_paths(folder) == ["a/x.wav"]


def test_folder_named_like_a_clip_is_not_a_clip(tmp_path):
    _touch(tmp_path, "x.wav/y.wav")
    assert find_clip_paths(tmp_path) == ["x.wav/y.wav"]


def test_linked_folders_are_followed_once(tmp_path):
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    _touch(elsewhere, "x.wav")
    data.mkdir()
    os.symlink(elsewhere, data / "link")
    os.symlink(data, data / "loop")
    assert find_clip_paths(data) == ["link/x.wav"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param(["noise", "target"], {"noise": 0, "target": 1}, id="binary"),
        pytest.param(["target", "zebra"], {"target": 1, "zebra": 0}, id="target-first-by-name"),
        pytest.param(
            ["noise", "ape", "Zebra"], {"Zebra": 0, "ape": 1, "noise": 2}, id="by-code-point"
        ),
        pytest.param(["c", "a", "b", "a"], {"a": 0, "b": 1, "c": 2}, id="repeated"),
    ],
)
def test_classes_are_numbered(names, expected):
    classes = class_indices(names)
    assert classes == expected
    assert list(classes) == sorted(classes), "kept in name order"


@pytest.mark.parametrize(
    ("names", "match"),
    [
        pytest.param(["Target", "call"], "'Target' and 'call'", id="no-target"),
        pytest.param(["ape"], "only 'ape'", id="one-class"),
        pytest.param([], "at least two classes", id="none"),
    ],
)
def test_classes_that_cannot_be_numbered_are_refused(names, match):
    with pytest.raises(ValueError, match=match):
        class_indices(names)


def test_names_come_in_index_order():
    assert names_by_index({"target": 1, "zebra": 0}) == ["zebra", "target"]

"""Which recording a clip comes from, by its path."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_spot.data.tapes import guessed_tapes, tapes_by_pattern


def guess(*paths: str) -> list[str]:
    return list(guessed_tapes({path: path.split("/")[0] for path in paths}).of.values())


@pytest.mark.parametrize(
    ("paths", "tapes"),
    [
        pytest.param(
            ["A/rec03_0012.wav", "B/rec03_0013.wav", "A/rec04_0001.wav"],
            ["rec03", "rec03", "rec04"],
            id="recording-and-number",
        ),
        pytest.param(["A/xc12345.wav", "B/xc12346.wav"], ["xc12345", "xc12346"], id="xeno-canto"),
        pytest.param(
            ["A/rec_03_0012.wav", "A/rec_03_0013.wav", "B/rec_04_0012.wav", "B/rec_04_0013.wav"],
            ["rec_03", "rec_03", "rec_04", "rec_04"],
            id="numbered-recordings-stay-apart",
        ),
        pytest.param(
            ["A/day1_12.5_15.wav", "A/day1_20_22.5.wav", "B/day2_1_2.wav", "B/day2_5_6.wav"],
            ["day1", "day1", "day2", "day2"],
            id="start-and-end",
        ),
        pytest.param(
            ["A/20200512_063000.WAV", "A/20200512_064000.WAV", "A/S1_20200512_065000.WAV"],
            ["20200512_063000", "20200512_064000", "S1_20200512_065000"],
            id="recorders-write-date-and-time",
        ),
        pytest.param(
            ["A/20200512_063000_1.wav", "A/20200512_063000_2.wav", "B/20200512_070000_1.wav"],
            ["20200512_063000", "20200512_063000", "20200512_070000"],
            id="clips-of-such-files",
        ),
        pytest.param(
            ["Orca/Orca_rec03_1.wav", "noise/noise-rec03-2.wav", "noise/noise-rec03-3.wav"],
            ["rec03", "rec03", "rec03"],
            id="class-in-the-name",
        ),
        pytest.param(
            ["A/0.934_12_site1_3.0s_6.0s.wav", "A/0.512_40_site1_9.0s_12.0s.wav"],
            ["site1", "site1"],
            id="segments-of-birdnet",
        ),
        pytest.param(
            ["A/rec 1 (1).wav", "A/rec 1 (2).wav", "A/rec 2 (1).wav", "A/rec 2 (2).wav"],
            ["rec 1", "rec 1", "rec 2", "rec 2"],
            id="copies-in-a-file-browser",
        ),
        pytest.param(
            ["A/r1.clip.0001.wav", "A/r1.clip.0002.wav", "A/r2.clip.0001.wav"],
            ["r1", "r1", "r2"],
            id="word-before-the-number",
        ),
    ],
)
def test_common_stem_is_the_recording(paths, tapes):
    assert guess(*paths) == tapes


def test_names_that_say_nothing_make_each_clip_its_own_recording():
    paths = ["A/0001.wav", "A/clip_2.wav", "B/0001.wav", "Orca/Orca 12.wav", "B/rec1_1.wav"]
    tapes = guessed_tapes({path: path.split("/")[0] for path in paths})
    assert len(set(tapes.of.values())) == len(paths)
    assert tapes.unknown == ("A/0001.wav", "A/clip_2.wav", "B/0001.wav", "Orca/Orca 12.wav")


def test_numbers_of_recordings_are_tapes_where_clips_have_numbers_of_their_own():
    assert guess("A/0001_1.wav", "A/0001_2.wav", "B/0002_1.wav", "B/0002_2.wav") == [
        *("0001", "0001", "0002", "0002")
    ]


def test_folders_of_recordings_are_tapes_where_names_say_nothing():
    assert guess("A/day1/001.wav", "A/day1/002.wav", "B/day1/001.wav", "B/day2/001.wav") == [
        *("day1", "day1", "day1", "day2")
    ]


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,5}[0-9]{1,3}", fullmatch=True),
        st.lists(st.sampled_from("AB"), min_size=2, max_size=6),
        min_size=2,
        max_size=8,
    ),
    st.sampled_from(["{}_{:04d}", "{}-{}", "{} ({})", "{}.call{}", "{}_12_{}_{}"]),
)
def test_a_recording_is_never_divided_whoever_numbered_its_clips(recordings, form):
    recording_of = {
        f"{name}/{form.format(recording, i, i + 3)}.wav": recording
        for recording, names in recordings.items()
        for i, name in enumerate(names, start=1)
    }
    tapes = guessed_tapes({path: path[0] for path in recording_of}).of
    assert tapes.keys() == recording_of.keys()
    for recording in recordings:
        assert len({tapes[p] for p, found in recording_of.items() if found == recording}) == 1


@pytest.mark.parametrize(
    ("pattern", "tape"),
    [
        pytest.param(r"rec\d+", "rec03", id="all-that-matches"),
        pytest.param(r"rec(\d+)", "03", id="first-group"),
        pytest.param(r"(A)/(?P<tape>\w+?)_", "rec03", id="group-called-tape"),
        pytest.param(r"^[^/]+/([^/]+)/", "A/rec03_0012", id="no-match-is-one-of-its-own"),
    ],
)
def test_pattern_finds_the_tape_in_the_path(pattern, tape):
    tapes = tapes_by_pattern(["A/rec03_0012.wav"], pattern)
    assert tapes.of == {"A/rec03_0012.wav": tape}
    assert bool(tapes.unknown) == (tape == "A/rec03_0012")

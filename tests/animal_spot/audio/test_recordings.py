import os
import sys
import threading

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from animal_spot.audio import clip_files as audio_io
from animal_spot.audio.recordings import (
    Recording,
    RecordingError,
    StreamResampler,
    excerpt,
    find_recordings,
    find_sounds,
    n_resampled,
    output_stems,
    stem_of,
)
from animal_spot.utils.files import file_digest
from tests.helpers.prediction import sound, write_sound

RATE = 16000


def names(folder, found):
    return [os.fsdecode(os.path.relpath(path, folder)) for path in found]


# -- finding --------------------------------------------------------------------------------------


def touch(folder, *paths):
    for path in paths:
        full = os.path.join(os.fsencode(folder), os.fsencode(path))
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb"):
            pass


def test_a_folder_means_all_sound_files_in_it_and_below(tmp_path):
    wanted = ["B.WAV", "a.wav", "deep/er/c.Flac", "deep/d.ogg", "deep/e.mp3", "f.aiff", "g.aif"]
    touch(tmp_path, *wanted, "notes.txt", "a.wav.bak", "wav", "table.csv")
    found = find_recordings([str(tmp_path)])
    assert sorted(names(tmp_path, found)) == sorted(wanted)
    assert found == sorted(found)


def test_hidden_files_and_folders_are_left_out(tmp_path):
    touch(tmp_path, "a.wav", ".b.wav", "._a.wav", ".trash/c.wav")
    assert names(tmp_path, find_recordings([str(tmp_path)])) == ["a.wav"]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_links_are_followed_but_not_in_circles(tmp_path):
    touch(tmp_path, "in/a.wav", "elsewhere/b.wav")
    (tmp_path / "in" / "up").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "other").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "in")
    found = find_recordings([str(tmp_path / "in")])
    assert sorted(path.name for path in found) == ["a.wav", "b.wav"]


def test_a_folder_named_like_a_recording_is_returned_and_not_entered(tmp_path):
    touch(tmp_path, "x.wav/inside.wav", "a.wav")
    assert names(tmp_path, find_recordings([str(tmp_path)])) == ["a.wav", "x.wav"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_of_all_kinds_are_found(tmp_path):
    wanted = ["a b.wav", "a.1.wav", "Möwe.wav", b"r\xe9union.wav", "it's; $HOME.wav", "-x.wav"]
    touch(tmp_path, *wanted)
    found = find_recordings([str(tmp_path)])
    assert sorted(os.fsencode(path.name) for path in found) == sorted(map(os.fsencode, wanted))


def test_a_list_has_one_path_a_line(tmp_path, monkeypatch):
    touch(tmp_path, "here/a b.wav", "lists/beside.wav", "lists/sub/c.wav")
    absolute = tmp_path / "here" / "a b.wav"
    lines = f"\ufeff# comment\n\n  {absolute}  \r\nbeside.wav\nsub/c.wav\nhere/gone.wav\n"
    (tmp_path / "lists" / "all.txt").write_text(lines, encoding="utf-8", newline="")
    monkeypatch.chdir(tmp_path)
    found = find_recordings(["lists/all.txt"])
    assert [path.name for path in found] == ["a b.wav", "beside.wav", "c.wav", "gone.wav"]
    assert [path.exists() for path in found] == [True, True, True, False]


def test_a_path_in_a_list_is_first_sought_from_the_current_folder(tmp_path, monkeypatch):
    touch(tmp_path, "a.wav", "lists/a.wav")
    (tmp_path / "lists" / "all.txt").write_text("a.wav\n")
    monkeypatch.chdir(tmp_path)
    (found,) = find_recordings(["lists/all.txt"])
    assert os.path.abspath(found) == str(tmp_path / "a.wav")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_list_may_hold_names_that_are_not_utf8(tmp_path):
    touch(tmp_path, b"r\xe9union.wav")
    (tmp_path / "all.txt").write_bytes(b"r\xe9union.wav\n")
    (found,) = find_recordings([str(tmp_path / "all.txt")])
    assert found.exists()


def test_each_recording_is_returned_once(tmp_path):
    touch(tmp_path, "a.wav", "b.wav")
    inputs = [str(tmp_path), str(tmp_path / "a.wav"), str(tmp_path / "." / "b.wav")]
    assert names(tmp_path, find_recordings(inputs)) == ["a.wav", "b.wav"]


def test_what_does_not_exist_is_named(tmp_path):
    with pytest.raises(OSError, match=r"none\.wav"):
        find_recordings([str(tmp_path / "none.wav")])
    with pytest.raises(OSError, match=r"none\.txt"):
        find_recordings([str(tmp_path / "none.txt")])


def test_files_of_kinds_that_cannot_be_read_are_told_apart(tmp_path):
    unread = ["a.m4a", "deep/b.WMA", "c.w4v", "d.MOV"]
    touch(tmp_path, "x.wav", "y.opus", *unread, "t.txt", "t.csv", "p.jpg", "q.png", ".h.m4a")
    found = find_sounds([str(tmp_path)])
    assert names(tmp_path, found.recordings) == ["x.wav", "y.opus"]
    assert sorted(names(tmp_path, found.not_read)) == sorted(unread)
    assert names(tmp_path, found.others) == ["p.jpg", "q.png"]
    (tmp_path / "list.txt").write_text("x.wav\na.m4a\n")
    listed = find_sounds([str(tmp_path / "list.txt")])
    assert (len(listed.recordings), len(listed.not_read)) == (1, 1)
    for name in ("x.wav", "y.opus"):
        (tmp_path / name).unlink()
    with pytest.raises(ValueError, match=r"can be read .*\.m4a 1.*convert them to wav or flac"):
        find_sounds([str(tmp_path)])


def test_nothing_to_do_is_an_error_that_says_what_was_looked_for(tmp_path):
    touch(tmp_path, "notes.md")
    with pytest.raises(ValueError, match=r"no sound file.*\.wav"):
        find_recordings([str(tmp_path)])


# -- names of results -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("a.wav", "a", id="plain"),
        pytest.param("a.1.wav", "a.1", id="inner-dot"),
        pytest.param("5146.230512060000.wav", "5146.230512060000", id="SoundTrap"),
        pytest.param("a.b.FLAC", "a.b", id="capital-ending"),
        pytest.param("a.1.unknown", "a", id="not-the-ending-of-sound"),
        pytest.param(" a b .wav", "a b", id="stripped"),
        pytest.param("Möwe.WAV", "Möwe", id="umlaut"),
    ],
)
def test_stem(name, expected, tmp_path):
    assert stem_of(tmp_path / name) == expected


def test_a_name_of_dots_only_still_gives_a_stem(tmp_path):
    assert stem_of(tmp_path / "...wav")
    assert not stem_of(tmp_path / "...wav").startswith(".")


paths = st.lists(
    st.text("abA.1", min_size=1, max_size=4)
    .filter(lambda name: name not in (".", ".."))  # which name another folder
    .map(lambda name: f"/r/{name}/{name}x.wav"),
    min_size=1,
    max_size=8,
    unique=True,
)


@given(paths, paths)
def test_no_two_recordings_share_results_also_over_runs(first, second):
    from pathlib import Path

    first, second = [Path(p) for p in first], [Path(p) for p in second]
    stems = output_stems(first, {})
    taken = {stem: str(path) for stem, path in zip(stems, first, strict=True)}
    again = output_stems(second, taken)
    owner = dict(zip([stem.casefold() for stem in stems], first, strict=True))
    assert len(owner) == len(first), "two share a name in the first run"
    assert len({stem.casefold() for stem in again}) == len(second)
    for stem, path in zip(again, second, strict=True):
        assert owner.get(stem.casefold(), path) == path, "takes what an earlier run wrote"
    for path, stem in zip(first, stems, strict=True):
        if path in second:
            assert again[second.index(path)] == stem, "a recording's results change their name"


def test_the_first_recording_of_a_stem_has_the_plain_name(tmp_path):
    files = [tmp_path / "a.wav", tmp_path / "a.flac", tmp_path / "x" / "a.wav"]
    stems = output_stems(files, {})
    assert stems[0] == "a"
    assert all(stem.startswith("a-") for stem in stems[1:])
    assert output_stems(files, {}) == stems


def test_a_folder_is_listed_in_the_order_of_paths(tmp_path):
    """Parts are compared one by one: ``a/b.wav`` comes before ``a b.wav``."""
    wanted = ["a b.wav", "a/b.wav", "a/c/d.wav", "a/c.wav", "a-/x.wav", "a.wav", "B.wav", "b.wav"]
    touch(tmp_path, *wanted, "a/.hidden/x.wav", ".x.wav")
    assert find_recordings([str(tmp_path)]) == sorted(tmp_path / name for name in wanted)


def test_folders_that_overlap_give_each_recording_once(tmp_path):
    touch(tmp_path, "a/1.wav", "a/2.wav", "b/3.wav")
    inputs = [str(tmp_path / "a" / "2.wav"), str(tmp_path), str(tmp_path / "b")]
    assert names(tmp_path, find_recordings(inputs)) == ["a/2.wav", "a/1.wav", "b/3.wav"]


# -- reading --------------------------------------------------------------------------------------

# Greatest error of a sample: half a step of the integers; the rest are measured bounds of lossy
# coders for this sound, far below its amplitude of 0.5 and far above what a wrong scale gives.
FORMATS = [
    pytest.param("wav", "PCM_U8", 1 / 127, id="wav-8"),
    pytest.param("wav", "PCM_16", 1 / 32000, id="wav-16"),
    pytest.param("WAV", "PCM_24", 1e-6, id="WAV-24"),
    pytest.param("wav", "PCM_32", 1e-7, id="wav-32"),
    pytest.param("wav", "FLOAT", 0, id="wav-float"),
    pytest.param("wav", "DOUBLE", 0, id="wav-double"),
    pytest.param("flac", "PCM_16", 1 / 32000, id="flac-16"),
    pytest.param("flac", "PCM_24", 1e-6, id="flac-24"),
    pytest.param("aiff", "PCM_16", 1 / 32000, id="aiff"),
    pytest.param("ogg", "VORBIS", 0.2, id="ogg"),
    pytest.param("mp3", "MPEG_LAYER_III", 0.2, id="mp3"),
]


@pytest.mark.parametrize(("suffix", "subtype", "tolerance"), FORMATS)
@pytest.mark.parametrize("channels", [1, 2], ids=["mono", "stereo"])
def test_formats_are_read_in_blocks_and_mixed_down(tmp_path, suffix, subtype, tolerance, channels):
    mono = sound(1.3)
    other = 0.5 * sound(1.3, seed=1)
    samples = mono if channels == 1 else np.stack([mono, other], 1)
    path = tmp_path / f"a.{suffix}"
    kind = {"mp3": "MP3"}.get(suffix.lower(), suffix.upper())
    sf.write(path, samples, RATE, subtype=subtype, format=kind)
    with Recording(path) as recording:
        assert recording.rate == RATE
        blocks = list(recording.blocks(1000))
        duration_s = recording.duration_s
    found = np.concatenate(blocks)
    assert all(block.dtype == np.float32 and block.ndim == 1 for block in blocks)
    assert all(len(block) == 1000 for block in blocks[:-1])
    wanted = mono if channels == 1 else (mono + other) / 2
    # Coders may add a frame at the end (an MP3 frame has 1152 samples).
    assert len(wanted) <= len(found) <= len(wanted) + (0 if tolerance < 0.1 else 2304)
    assert duration_s == pytest.approx(len(found) / RATE)
    assert np.abs(found[: len(wanted)] - wanted).max() <= tolerance + 1e-7  # mean in float32
    if tolerance > 0.1:
        assert np.corrcoef(found[: len(wanted)], wanted)[0, 1] > 0.98


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_that_is_not_utf8_is_read(tmp_path):
    odd = tmp_path / os.fsdecode(b"r\xe9union.wav")
    os.rename(write_sound(tmp_path / "a.wav", 0.5), odd)
    with Recording(odd) as recording:
        assert sum(len(block) for block in recording.blocks(5000)) == 8000


def reason(path) -> str:
    with pytest.raises(RecordingError) as error, Recording(path) as recording:
        for _ in recording.blocks(4000):
            pass
    text = str(error.value)
    assert "\n" not in text
    assert text
    return text


def test_an_empty_file(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"")
    assert "empty" in reason(tmp_path / "a.wav")


def test_a_file_without_samples(tmp_path):
    sf.write(tmp_path / "a.wav", np.empty(0, np.float32), RATE)
    assert "empty" in reason(tmp_path / "a.wav")


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "ogg", "aiff"])
def test_text_named_like_a_sound(tmp_path, suffix):
    (tmp_path / f"a.{suffix}").write_text("no sound at all, only text\n" * 50)
    reason(tmp_path / f"a.{suffix}")


@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        pytest.param("a.wav", "PCM_16", id="wav"),
        pytest.param("a.flac", "PCM_16", id="flac"),
        pytest.param("a.aiff", "PCM_16", id="aiff"),
        pytest.param("a.w64", "PCM_16", id="w64"),
        pytest.param("a.caf", "PCM_16", id="caf"),
        pytest.param("a.au", "PCM_16", id="au"),
    ],
)
@pytest.mark.parametrize("kept", [0.4, 0.97], ids=["less-than-half", "nearly-all"])
def test_truncated_files(tmp_path, name, subtype, kept):
    path = write_sound(tmp_path / name, 3, subtype=subtype)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    reason(path)


def test_a_wav_of_unknown_length_is_read_to_its_end(tmp_path):
    """Programs that write to a pipe cannot know the length; they leave the greatest number."""
    path = write_sound(tmp_path / "a.wav", 1, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    position = data.index(b"data")
    data[position + 4 : position + 8] = b"\xff\xff\xff\xff"
    data[4:8] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    with Recording(path) as recording:
        assert sum(len(block) for block in recording.blocks(5000)) == RATE


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers(tmp_path, value):
    samples = sound(1)
    samples[12345] = value
    sf.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    assert "not a number" in reason(tmp_path / "a.wav")


def test_a_folder(tmp_path):
    (tmp_path / "a.wav").mkdir()
    assert "folder" in reason(tmp_path / "a.wav")


def test_an_absent_file(tmp_path):
    assert "unreadable" in reason(tmp_path / "a.wav")


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_link_that_leads_nowhere(tmp_path):
    (tmp_path / "a.wav").symlink_to(tmp_path / "gone.wav")
    reason(tmp_path / "a.wav")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_does_not_hang(tmp_path):
    """Nobody writes to it: opening it for reading waits for ever."""
    path = tmp_path / "a.wav"
    os.mkfifo(path)
    errors = []

    def read():
        try:
            Recording(path)
        except RecordingError as error:
            errors.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(3)
    hangs = thread.is_alive()
    if hangs:  # let it go
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
    assert not hangs
    assert len(errors) == 1


def test_an_excerpt_is_a_part_at_the_rate_wanted(tmp_path):
    path = write_sound(tmp_path / "a.wav", 2, subtype="FLOAT")
    whole = sound(2)
    np.testing.assert_array_equal(excerpt(path, 0, 0.5, RATE)[:8000], whole[:8000])
    np.testing.assert_array_equal(excerpt(path, 1, 0.5, RATE), whole[-8001:])
    assert len(excerpt(path, 0.3, 0.5, 8000)) in (4000, 4001)
    assert len(excerpt(path, 0.3, 9, RATE)) == len(whole)


def test_the_digest_tells_contents_apart(tmp_path):
    for name, content in (("a", b"1" * 3_000_000), ("b", b"1" * 3_000_000), ("c", b"1")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (file_digest(tmp_path / name) for name in "abc")
    assert a == b != c


# -- resampling -----------------------------------------------------------------------------------

RATES = [
    pytest.param(8000, 44100, id="8000"),
    pytest.param(22050, 44100, id="22050"),
    pytest.param(32000, 44100, id="32000"),
    pytest.param(48000, 44100, id="48000"),
    pytest.param(96000, 44100, id="96000"),
    pytest.param(44100, 44100, id="same"),
    pytest.param(11127, 44100, id="odd"),
    pytest.param(192000, 16000, id="192000-to-16000"),
]


@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
@pytest.mark.parametrize("block", [777, 20000, 10**6], ids=["small", "middle", "whole"])
def test_resampling_in_blocks_is_that_of_the_whole(rate_in, rate_out, block):
    samples = sound(1.37, rate=rate_in)
    stream = StreamResampler(rate_in, rate_out)
    parts = [stream.feed(samples[i : i + block]) for i in range(0, len(samples), block)]
    found = np.concatenate([*parts, stream.finish()])
    wanted = audio_io.resample(samples, rate_in, rate_out)
    assert len(found) == len(wanted) == int(len(samples) * rate_out / rate_in)
    assert found.dtype == np.float32
    # Both compute in float32; amplitudes are below 1.
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)


@given(
    st.sampled_from([8000, 11127, 22050, 32000, 48000, 96000]),
    st.lists(st.integers(0, 3000), min_size=1, max_size=8),
    st.sampled_from([16000, 44100]),
)
def test_resampled_length_is_exact_for_any_blocks(rate_in, sizes, rate_out):
    samples = np.random.default_rng(0).uniform(-1, 1, sum(sizes)).astype(np.float32)
    stream, found, position = StreamResampler(rate_in, rate_out), [], 0
    for size in sizes:
        found.append(stream.feed(samples[position : position + size]))
        position += size
        # Never more than the samples so far stand for.
        assert sum(map(len, found)) <= int(position * rate_out / rate_in)
    found.append(stream.finish())
    assert sum(map(len, found)) == int(sum(sizes) * rate_out / rate_in)
    assert sum(map(len, found)) == n_resampled(sum(sizes), rate_in, rate_out)
    if sum(sizes):
        wanted = audio_io.resample(samples, rate_in, rate_out)
        np.testing.assert_allclose(np.concatenate(found), wanted, rtol=0, atol=1e-5)


def test_a_line_of_a_list_that_can_be_no_name_stops_no_other(tmp_path):
    from animal_spot.audio.recordings import find_recordings

    sf.write(tmp_path / "a.wav", np.zeros(100), 8000)
    (tmp_path / "list.txt").write_bytes(b"b\0c.wav\n" + b"9" * 400 + b".wav\na.wav\n")
    found = find_recordings([str(tmp_path / "list.txt")])
    assert [path.name for path in found] == ["b\0c.wav", "9" * 400 + ".wav", "a.wav"]
    assert found[2].is_file()

"""All of the sound that is in a file, whatever its header says. Lengths are known by construction.

Headers are written here by hand, after the formats' specifications.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import struct

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from animal_spot.audio.chunks import find_samples
from animal_spot.audio.clip_files import ClipError, decode
from animal_spot.audio.recordings import Recording, RecordingError, estimated_duration_s, excerpt
from animal_spot.audio.sound_file import (
    MemoryFile,
    SoundError,
    SoundFile,
    check_magnitude,
    scale_note,
)
from animal_spot.data.inspection import inspect_clip
from tests.helpers.places import SHARED

RATE = 8000
SECONDS = 6
PROMISED = 2  # seconds that a wrong header gives
RNG = np.random.default_rng(0)
SOUND = (0.3 * RNG.standard_normal((SECONDS * RATE, 2))).clip(-0.99, 0.99)
LITTLE, BIG = "<", ">"


def samples(width: int, order: str = LITTLE, channels: int = 1) -> tuple[bytes, np.ndarray]:
    """Return PCM of so many bytes a sample, and what it stands for."""
    whole = np.rint(SOUND[:, :channels] * 2 ** (8 * width - 1)).astype(np.int64)
    raw = whole.astype(f"{order}i8").tobytes()
    columns = np.frombuffer(raw, np.uint8).reshape(-1, 8)
    kept = columns[:, :width] if order == LITTLE else columns[:, 8 - width :]
    return kept.tobytes(), whole / 2 ** (8 * width - 1)


def chunk(name: bytes, body: bytes, size: int | None = None, order: str = LITTLE) -> bytes:
    return name + struct.pack(f"{order}I", len(body) if size is None else size) + body


def wav(
    pcm: bytes, size: int, width: int = 2, channels: int = 1, tail: bytes = b"", riff: int = 0
) -> bytes:
    """Return a WAV file whose data chunk gives a length of its own."""
    block = width * channels
    form = struct.pack("<HHIIHH", 1, channels, RATE, RATE * block, block, 8 * width)
    body = b"WAVE" + chunk(b"fmt ", form) + chunk(b"data", pcm, size) + tail
    return b"RIFF" + struct.pack("<I", riff) + body


def rf64(pcm: bytes, size: int) -> bytes:
    form = struct.pack("<HHIIHH", 1, 1, RATE, RATE * 2, 2, 16)
    ds64 = struct.pack("<QQQI", 0, size, size // 2, 0)
    body = chunk(b"ds64", ds64) + chunk(b"fmt ", form) + chunk(b"data", pcm, 0xFFFFFFFF)
    return b"RF64" + struct.pack("<I", 0xFFFFFFFF) + b"WAVE" + body


_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")


def w64(pcm: bytes, size: int, tail: bytes = b"") -> bytes:
    form = struct.pack("<HHIIHH", 1, 1, RATE, RATE * 2, 2, 16)
    riff = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000") + struct.pack("<Q", 0)
    head = riff + b"wave" + _TAIL
    head += b"fmt " + _TAIL + struct.pack("<Q", 40) + form
    return head + b"data" + _TAIL + struct.pack("<Q", size + 24 if size else 0) + pcm + tail


def aiff(pcm: bytes, size: int) -> bytes:
    rate = struct.pack(">HQ", 16383 + 12, RATE << 63 - 12)
    common = struct.pack(">hIh", 1, size // 2, 16) + rate
    sound = struct.pack(">II", 0, 0) + pcm
    body = chunk(b"COMM", common, order=BIG) + chunk(b"SSND", sound, size + 8, order=BIG)
    return b"FORM" + struct.pack(">I", 0) + b"AIFF" + body


def caf(pcm: bytes, size: int) -> bytes:
    description = struct.pack(">d4sIIIII", RATE, b"lpcm", 0, 2, 1, 1, 16)
    head = b"caff" + struct.pack(">HH", 1, 0)
    head += b"desc" + struct.pack(">q", len(description)) + description
    return head + b"data" + struct.pack(">q", size + 4) + struct.pack(">I", 0) + pcm


def au(pcm: bytes, size: int) -> bytes:
    return b".snd" + struct.pack(">IIIII", 24, size, 3, RATE, 1) + pcm


def read(content: bytes) -> tuple[np.ndarray, list[str], int]:
    """Read a file in blocks; return its samples, notes and the length that it says it has."""
    with contextlib.closing(SoundFile(io.BytesIO(content))) as file:
        said = file.n_frames
        blocks = []
        while len(block := file.read(5000)):
            blocks.append(block)
        return np.concatenate(blocks), file.notes, said


LAYOUTS = {
    "wav": (lambda p, s: wav(p, s), LITTLE),
    "rf64": (rf64, LITTLE),
    "w64": (w64, LITTLE),
    "aiff": (aiff, BIG),
    "caf": (caf, BIG),
    "au": (au, BIG),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("says_s", [SECONDS, PROMISED])
def test_all_samples_are_read_whatever_the_header_says(layout, says_s):
    make, order = LAYOUTS[layout]
    pcm, expected = samples(2, order)
    found, notes, said = read(make(pcm, 2 * RATE * says_s))
    assert said == len(found) == SECONDS * RATE
    np.testing.assert_allclose(found, expected, atol=1e-6)
    right = says_s == SECONDS
    assert notes == (
        [] if right else ["the header says 2.0 s, the file holds 6.0 s: all of it is read"]
    )


@pytest.mark.parametrize("layout", [n for n in LAYOUTS if n != "caf"])  # refused by libsndfile
def test_an_unfinished_header_is_read_over_with_a_warning(layout):
    make, order = LAYOUTS[layout]
    pcm, expected = samples(2, order)
    content = bytearray(make(pcm, 0))
    if layout == "aiff":
        at = content.index(b"SSND") + 4
        content[at : at + 4] = bytes(4)
    found, notes, _ = read(bytes(content))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert notes == ["the header was never finished; the file is read to its end, 6.0 s"]


@pytest.mark.parametrize("width", [2, 3, 4])
@pytest.mark.parametrize("channels", [1, 2])
def test_wrong_lengths_of_other_samples(width, channels):
    pcm, expected = samples(width, LITTLE, channels)
    found, _, _ = read(wav(pcm, len(pcm) // 3, width, channels))
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "MS_ADPCM", "GSM610"])
@pytest.mark.parametrize(
    ("share", "note"),  # coded in blocks, the last of which is filled up
    [
        (1 / 3, r"the header says 2\.0 s, the file holds 6\.[01] s: all of it is read"),
        (0, r"the header was never finished; the file is read to its end, 6\.[01] s"),
    ],
    ids=["a-third", "unfinished"],
)
def test_coded_samples_are_read_whatever_the_header_says(subtype, share, note):
    file = io.BytesIO()
    sf.write(file, SOUND[:, 0], RATE, format="WAV", subtype=subtype)
    right = file.getvalue()
    expected, notes, _ = read(right)
    assert notes == []
    at = right.index(b"data") + 4
    said = int(share * int.from_bytes(right[at : at + 4], "little"))
    found, (noted,), _ = read(right[:at] + said.to_bytes(4, "little") + right[at + 4 :])
    np.testing.assert_array_equal(found[: SECONDS * RATE], expected[: SECONDS * RATE])
    assert re.fullmatch(note, noted)


@pytest.mark.parametrize("width", [2, 3])
@pytest.mark.parametrize(
    "size", [0x7FFFF000, 0x7FFFF000 - 4, 0x7FFFFF00, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFDB]
)
def test_streams_are_read_to_their_end_without_a_word(size, width):
    pcm, expected = samples(width)
    found, notes, _ = read(wav(pcm, size, width))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert notes == []


TAILS = {
    "LIST": chunk(b"LIST", b"INFOISFT" + struct.pack("<I", 4) + b"abcd"),
    "id3": chunk(b"id3 ", b"ID3\3\0\0\0\0\0\0"),
    "guano": chunk(b"guan", b"GUANO|Version: 1.0\nMake: X\n"),
    "its-size-is-wrong": chunk(b"LIST", b"INFO" + bytes(30), 5000),
    "of-no-known-name": chunk(b"Xy12", b"some bytes") + chunk(b"Zz9 ", bytes(range(100))),
    "without-the-byte-that-evens": chunk(b"note", b"odd"),
    "blank": bytes(40_000),
    "a-few-bytes": b"\1\2\3",
    "ID3v1": b"TAG" + b"x" * 125,
}


@pytest.mark.parametrize("tail", TAILS)
def test_what_follows_the_samples_is_no_sound(tail):
    pcm, expected = samples(2)
    found, notes, _ = read(wav(pcm, len(pcm), tail=TAILS[tail]))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert notes == []


def test_lengths_that_hardly_differ_are_told_apart():
    pcm, _ = samples(2)
    _, (note,), _ = read(wav(pcm, len(pcm) - 160))
    assert note == "the header says 5.9900 s, the file holds 6.0000 s: all of it is read"


def test_chunks_behind_the_samples_of_a_w64_file_are_no_sound():
    pcm, expected = samples(2)
    tail = b"list" + _TAIL + struct.pack("<Q", 24 + 4000) + bytes(range(250)) * 16
    found, notes, _ = read(w64(pcm, len(pcm), tail))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert notes == []


class Sparse(io.RawIOBase):
    """A file of more than 4 GB: a header, noise that is made when it is read, and a tail."""

    def __init__(self, head: bytes, n_noise: int, tail: bytes = b"") -> None:
        self._head, self._n_noise, self._tail, self._at = head, n_noise, tail, 0

    def seek(self, offset, whence=0):
        end = len(self._head) + self._n_noise + len(self._tail)
        self._at = offset + (0, self._at, end)[whence]
        return self._at

    def read(self, n=-1):
        parts = b""
        while len(parts) < n:
            inside = self._at - len(self._head)
            if inside < 0:
                part = self._head[self._at :]
            elif inside < self._n_noise:
                part = b"\x81\x92\xa3\xb4" * (min(n, self._n_noise - inside) // 4 + 1)
                part = part[: self._n_noise - inside]
            else:
                part = self._tail[inside - self._n_noise :]
            part = part[: n - len(parts)]
            if not part:
                break
            self._at += len(part)
            parts += part
        return parts


@pytest.mark.parametrize("tail", [b"", TAILS["LIST"]], ids=["", "LIST"])
def test_a_length_that_began_again_at_4_gb(tail):
    n_bytes = 2**32 + 123_456
    head = wav(b"", n_bytes % 2**32)
    region = find_samples(Sparse(head, n_bytes, tail))
    assert (region.start, region.n_bytes, region.promised) == (len(head), n_bytes, 123_456)


def test_a_recording_of_more_than_4_gb_is_read_beyond_its_header(tmp_path):
    path = tmp_path / "long.wav"
    n_bytes = 2**32 + 2 * RATE
    with open(path, "wb") as file:  # sparse: takes no room
        file.write(wav(b"", 2 * RATE))
        start = file.tell()
        file.seek(start + n_bytes - 2 * RATE)
        file.write(samples(2)[0][: 2 * RATE])
    with Recording(path) as recording:
        assert recording.n_frames == n_bytes // 2
        recording.seek(n_bytes // 2 - RATE)
        last = np.concatenate(list(recording.blocks(1000)))
    np.testing.assert_allclose(last, samples(2)[1][:RATE, 0], atol=1e-6)


@pytest.mark.parametrize("layout", [n for n in LAYOUTS if n != "aiff"])  # refused by libsndfile
def test_joined_files_are_refused(layout):
    make, order = LAYOUTS[layout]
    pcm, _ = samples(2, order)
    once = wav(pcm, len(pcm), riff=36 + len(pcm)) if layout == "wav" else make(pcm, len(pcm))
    with pytest.raises(SoundError, match="joined: a second sound file begins"):
        read(once + once)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_cut_files_are_refused(layout):
    make, order = LAYOUTS[layout]
    pcm, _ = samples(2, order)
    with pytest.raises(SoundError, match=f"truncated: {RATE} bytes are missing"):
        read(make(pcm, len(pcm))[:-RATE])


# --- compressed files ---------------------------------------------------------------------------


def encoded(seconds: float = SECONDS, **options) -> bytes:
    file = io.BytesIO()
    # Loud and quiet in turn, so that a variable bit rate varies.
    level = np.where(np.arange(len(SOUND)) // RATE % 2, 1.0, 1e-4)[:, None]
    content = (level * SOUND)[: round(seconds * RATE), :1]
    sf.write(file, content, RATE, **options)
    return file.getvalue()


def seconds_of(content: bytes) -> tuple[float, str]:
    found, notes, said = read(content)
    assert said == pytest.approx(len(found), abs=RATE / 4)
    return len(found) / RATE, "; ".join(notes)


MP3 = {"format": "MP3", "bitrate_mode": "VARIABLE", "compression_level": 0.5}


def test_joined_mp3_files_are_read_to_the_end():
    short, long = encoded(PROMISED, **MP3), encoded(**MP3)
    found, said = seconds_of(short + long)
    assert found == pytest.approx(PROMISED + SECONDS, abs=0.5)
    assert said.startswith("the header says 2.")
    assert said.endswith("all of it is read")


def test_mp3_without_a_header_of_its_length_is_read_to_the_end():
    content = encoded(**MP3)
    bare = content[content.index(b"\xff", content.index(b"Xing") + 150) :]
    assert b"Xing" not in bare
    assert seconds_of(bare)[0] == pytest.approx(SECONDS, abs=0.5)
    assert seconds_of(b"ID3\3\0\0\0\0\0\x0a" + bytes(10) + bare + b"TAG" + bytes(125))[
        0
    ] == pytest.approx(SECONDS, abs=0.5)
    junk = bare[: len(bare) // 2] + b"junk" * 2000 + bare[len(bare) // 2 :]
    assert seconds_of(junk)[0] == pytest.approx(SECONDS, abs=0.5)


def test_cut_mp3_is_refused_with_both_lengths():
    content = encoded(**MP3)
    with pytest.raises(SoundError, match=r"the header says 6\.\d s, only [1-4]\.\d s are there"):
        read(content[: len(content) // 2])


def flac_that_says(n_samples: int) -> bytes:
    content = bytearray(encoded(format="FLAC"))
    numbers = int.from_bytes(content[18:26], "big")
    content[18:26] = (numbers >> 36 << 36 | n_samples).to_bytes(8, "big")
    return bytes(content)


@pytest.mark.parametrize(
    ("n_samples", "note"),
    [
        (SECONDS * RATE, ""),
        (0, ""),  # written to a pipe
        (2 * RATE, "the header says 2.0 s, the file holds 6.0 s: all of it is read"),
    ],
)
def test_flac_is_read_to_its_last_frame(n_samples, note):
    assert seconds_of(flac_that_says(n_samples)) == (SECONDS, note)


def test_cut_and_joined_flac_is_refused():
    content = encoded(format="FLAC")
    with pytest.raises(SoundError, match=r"the header says 6\.0 s, only [0-5]\.\d s are there"):
        read(content[: len(content) // 2])
    with pytest.raises(SoundError, match="joined: a second stream begins"):
        read(content + content)


def test_cut_nist_is_refused():
    content = encoded(format="NIST", subtype="PCM_16")
    assert seconds_of(content) == (SECONDS, "")
    with pytest.raises(SoundError, match=r"the header says 6\.0 s, only 2\.\d s are there"):
        read(content[: len(content) // 2 - 2000])


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_cut_ogg_is_warned_about_and_joined_ogg_refused(subtype):
    content = encoded(format="OGG", subtype=subtype)
    assert seconds_of(content) == (pytest.approx(SECONDS, abs=0.1), "")
    found, note = seconds_of(content[: len(content) * 2 // 3])
    assert found < SECONDS - 0.5
    assert "may have been cut" in note
    with pytest.raises(SoundError, match="joined"):
        read(content + content)


def test_clips_and_recordings_and_parts_of_them_are_read_alike(tmp_path):
    pcm, expected = samples(2)
    path = tmp_path / "wrapped.wav"
    path.write_bytes(wav(pcm, len(pcm) // 3))
    np.testing.assert_allclose(decode(path)[0], expected, atol=1e-6)
    part, _ = decode(path, (5 * RATE, 100))
    np.testing.assert_allclose(part, expected[5 * RATE :][:100], atol=1e-6)
    info = inspect_clip(path)
    assert info.duration_s == SECONDS
    assert "all of it is read" in info.notes[0]
    with Recording(path) as recording:
        np.testing.assert_allclose(
            np.concatenate(list(recording.blocks(777))), expected[:, 0], atol=1e-6
        )
        assert "all of it is read" in recording.problems()[0]
    found = excerpt(path, 1.0, 1.0, RATE)
    np.testing.assert_allclose(found, expected[-len(found) :, 0], atol=1e-6)


# --- what no recorder writes --------------------------------------------------------------------


@pytest.mark.parametrize("rate", [1, 99, 2**31 - 1])
def test_absurd_rates_are_refused(tmp_path, rate):
    path = tmp_path / "x.wav"
    content = bytearray(wav(samples(2)[0], 2 * SECONDS * RATE))
    content[24:28] = rate.to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(ClipError, match=f"wrong rate: the header says {rate} Hz"):
        inspect_clip(path)
    with pytest.raises(RecordingError, match="wrong rate"):
        Recording(path)


@pytest.mark.parametrize("value", [1e19, 1e20, 3e38, np.nan, np.inf, -1e10])
def test_absurd_samples_are_refused(tmp_path, value):
    path = tmp_path / "x.wav"
    content = SOUND[:, 0].astype(np.float32)
    content[4321] = value
    sf.write(path, content, RATE, subtype="FLOAT")
    with pytest.raises(ClipError, match="damaged: holds samples"):
        inspect_clip(path)
    with Recording(path) as recording, pytest.raises(RecordingError, match="damaged: holds"):
        list(recording.blocks(1000))


def test_bounds_of_samples():
    assert check_magnitude(np.float32([0, -(2.0**31)])) == 2.0**31
    assert check_magnitude(np.empty(0, np.float32)) == 0
    with pytest.raises(SoundError):
        check_magnitude(np.float32([2.0**31 * 1.001]))


@pytest.mark.parametrize(
    ("peak", "note"),
    [(0, ""), (0.001, ""), (1.0, ""), (10, ""), (10924, "in counts"), (6.7e-5, "in pascals")],
)
def test_scale_of_floating_point_samples(tmp_path, peak, note):
    assert (note in scale_note(peak)) if note else (scale_note(peak) == "")
    content = (SOUND[:, 0] / np.abs(SOUND[:, 0]).max() * peak).astype(np.float32)
    for name, subtype in (("float.wav", "FLOAT"), ("whole.wav", "PCM_32")):
        sf.write(tmp_path / name, content, RATE, subtype=subtype)
        with Recording(tmp_path / name) as recording:
            for _ in recording.blocks(10_000):
                pass
            said = recording.problems()
        assert list(inspect_clip(tmp_path / name).notes) == said
        assert said == (
            [] if not note or name == "whole.wav" else [scale_note(recording.heard.peak)]
        )


def test_a_clip_of_hours_is_no_clip(tmp_path):
    path = tmp_path / "x.wav"
    content = bytearray(wav(samples(2)[0] * 16, 32 * SECONDS * RATE))
    content[24:28] = (100).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(ClipError, match=r"too long: 2\.1 hours, and clips may last 2"):
        inspect_clip(path)
    with Recording(path) as recording:
        assert recording.duration_s == 16 * SECONDS * RATE / 100


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such thing on this system")
def test_pipes_and_devices_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "zero.wav").symlink_to("/dev/zero")
    for name in ("pipe.wav", "zero.wav"):
        with pytest.raises(ClipError, match="not a regular file"):
            inspect_clip(tmp_path / name)
        with pytest.raises(ClipError, match="not a regular file"):
            decode(tmp_path / name)
        with pytest.raises(RecordingError, match="not a regular file"):
            Recording(tmp_path / name)
        assert estimated_duration_s(tmp_path / name) == 0


def test_a_damaged_file_sends_no_reader_before_its_start():
    file = MemoryFile(b"0123456789")
    assert file.seek(-4) == 0
    assert file.read(2) == b"01"
    assert file.seek(-5, io.SEEK_CUR) == 0
    assert file.seek(-3, io.SEEK_END) == 7
    assert file.read() == b"789"


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_damage_ends_in_samples_or_in_one_error(data):
    """Bytes of a header are changed, taken out and put in."""
    layout = data.draw(st.sampled_from([*LAYOUTS, "mp3", "flac", "ogg"]))
    if layout in LAYOUTS:
        make, order = LAYOUTS[layout]
        content = bytearray(make(samples(2, order)[0], 2 * SECONDS * RATE))
    else:
        content = bytearray(encoded(**(MP3 if layout == "mp3" else {"format": layout.upper()})))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, 200))
        content[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    with (
        contextlib.suppress(SoundError),
        contextlib.closing(SoundFile(MemoryFile(bytes(content)))) as file,
    ):
        while len(file.read(50_000)):
            pass


def test_closes_what_it_opened(tmp_path):
    for content in (b"", b"no sound", wav(samples(2)[0], 0)):
        file = io.BytesIO(content)
        with contextlib.suppress(SoundError):
            SoundFile(file).close()
        assert file.closed


CASES = SHARED / "cases" / "make_sound_cases.py"


@pytest.mark.skipif(not CASES.is_file(), reason="the shared cases are not here")
def test_the_cases_from_the_field(tmp_path):
    import subprocess
    import sys

    subprocess.run([sys.executable, CASES, tmp_path], check=True, capture_output=True)
    said = {}
    for name in ("header_wrapped", "sox_stream", "arecord_stream", "power_lost"):
        with Recording(tmp_path / f"{name}.wav") as recording:
            assert sum(map(len, recording.blocks(100_000))) == 30 * 44_100
            said[name] = "; ".join(recording.problems())
    assert said["sox_stream"] == said["arecord_stream"] == ""
    assert "all of it is read" in said["header_wrapped"]
    assert "never finished" in said["power_lost"]

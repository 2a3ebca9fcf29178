from __future__ import annotations

import hashlib
import os
import signal
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from animal_spot.audio.clip_files import ClipError, read_waveform
from animal_spot.data import inspection
from animal_spot.data.inspection import (
    SILENCE_PEAK,
    inspect_clip,
    inspect_clips,
    inspect_labelled,
    map_in_processes,
)
from animal_spot.data.labels import Clip, named_part


def wav_bytes(samples: np.ndarray, rate: int = 8000, data_size: int | None = None) -> bytes:
    """Put a 16-bit mono WAV file together by hand; ``data_size`` is what its header claims."""
    data = (samples * 32767).astype("<i2").tobytes()
    size = len(data) if data_size is None else data_size
    riff_size = min(36 + size, 0xFFFFFFFF)
    header = b"RIFF" + struct.pack("<I", riff_size) + b"WAVE"
    header += b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16)
    return header + b"data" + struct.pack("<I", size) + data


RAMP = np.linspace(-0.5, 0.25, 4000)


def test_intact_clip_is_described(tmp_path):
    path = tmp_path / "x.wav"
    path.write_bytes(wav_bytes(RAMP))
    info = inspect_clip(path)
    assert info.duration_s == pytest.approx(0.5)
    assert info.peak == pytest.approx(0.5, abs=1e-4), "the peak is negative: not the signed maximum"
    assert info.digest == hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


@pytest.mark.parametrize("data_size", [0xFFFFFFFF, 0xFFFFFFFF - 36, 0x7FFFFFFF])
def test_wav_that_was_streamed_without_a_known_length_is_intact(tmp_path, data_size):
    path = tmp_path / "x.wav"
    path.write_bytes(wav_bytes(RAMP, data_size=data_size))
    assert inspect_clip(path).duration_s == pytest.approx(0.5)
    assert read_waveform(path, 8000).shape == (1, 4000)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        pytest.param(b"", "^empty: the file has 0 bytes", id="0-bytes"),
        pytest.param(wav_bytes(RAMP[:0]), "^empty: no samples", id="no-samples"),
        pytest.param(wav_bytes(RAMP)[:-500], "^truncated: 500 bytes", id="truncated"),
        pytest.param(wav_bytes(RAMP)[:-1], "^truncated: 1 byte", id="truncated-by-one"),
        pytest.param(wav_bytes(RAMP)[:30], "^(unreadable|empty|truncated)", id="half-a-header"),
        pytest.param(b"these are notes, not sound\n" * 40, "^unreadable", id="text"),
        pytest.param(bytes(5000), "^unreadable", id="zeros"),
    ],
)
def test_unusable_clip_is_refused_with_the_reason(tmp_path, content, match):
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    with pytest.raises(ClipError, match=match):
        inspect_clip(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_clip_with_samples_that_are_no_numbers_is_refused(tmp_path, write_wav, bad):
    samples = np.full(100, 0.1, np.float32)
    samples[50] = bad
    with pytest.raises(ClipError, match="not a number or infinite"):
        inspect_clip(write_wav(tmp_path / "x.wav", samples, 8000))


def test_missing_file_and_folder_are_unreadable(tmp_path):
    (tmp_path / "folder.wav").mkdir()
    for name in ("gone.wav", "folder.wav"):
        with pytest.raises(ClipError, match=r"^unreadable"):
            inspect_clip(tmp_path / name)


def test_clips_are_sorted_into_usable_and_not(tmp_path, write_wav):
    write_wav(tmp_path / "loud.wav", np.full(100, -0.5), 8000)
    write_wav(tmp_path / "below.wav", np.full(100, 0.9 * SILENCE_PEAK), 8000)
    write_wav(tmp_path / "above.wav", np.full(100, -1.1 * SILENCE_PEAK), 8000)
    write_wav(tmp_path / "zero.wav", np.zeros(100), 8000)
    (tmp_path / "broken.wav").touch()
    (tmp_path / "folder.wav").mkdir()
    names = sorted(p.name for p in tmp_path.iterdir())
    usable, reasons = inspect_clips(tmp_path, names, exclude_silent=True, n_processes=2)
    assert set(usable) == {"loud.wav", "above.wav"}
    assert {name: reason.split(":")[0] for name, reason in reasons.items()} == {
        "below.wav": "silent",
        "zero.wav": "silent",
        "broken.wav": "empty",
        "folder.wav": "unreadable",
    }
    usable, reasons = inspect_clips(tmp_path, names, exclude_silent=False, n_processes=1)
    assert set(usable) == {"loud.wav", "above.wav", "below.wav", "zero.wav"}
    assert set(reasons) == {"broken.wav", "folder.wav"}


def test_many_clips_in_several_processes_give_the_same(tmp_path):
    content = wav_bytes(RAMP)
    names = [f"{i}.wav" for i in range(230)]
    for i, name in enumerate(names):
        (tmp_path / name).write_bytes(content if i % 50 else content[:-10])
    serial = inspect_clips(tmp_path, names, exclude_silent=False, n_processes=1)
    parallel = inspect_clips(tmp_path, names, exclude_silent=False, n_processes=2)
    assert serial == parallel
    assert list(serial[1]) == ["0.wav", "50.wav", "100.wav", "150.wav", "200.wav"]


def test_digest_tells_copies_from_other_clips(tmp_path):
    for name, samples in {"a": RAMP, "copy": RAMP, "b": RAMP[::-1]}.items():
        (tmp_path / f"{name}.wav").write_bytes(wav_bytes(samples))
    digests = {p.stem: inspect_clip(p).digest for p in tmp_path.iterdir()}
    assert digests["a"] == digests["copy"] != digests["b"]


def _ends_its_process(path):
    if path.name == "bad.wav":
        os.kill(os.getpid(), signal.SIGKILL)
    return path.name


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_killed_process_costs_one_file(tmp_path):
    """As the kernel does where memory is short: no hang, no traceback, the others go on."""
    names = [f"{i}.wav" for i in range(300)]
    names[77] = "bad.wav"
    found = map_in_processes(_ends_its_process, [tmp_path / name for name in names], 2)
    assert found[:77] + found[78:] == names[:77] + names[78:]
    assert found[77].startswith("cannot be looked into: the process was killed")


def test_without_further_processes_clips_are_looked_into(monkeypatch, tmp_path, caplog):
    def refuse(*_, **__):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(inspection, "ProcessPoolExecutor", refuse)
    paths = [tmp_path / f"{i}.wav" for i in range(5)]
    assert map_in_processes(lambda path: path.name, paths, 2) == [p.name for p in paths]
    assert "can't start new thread" in caplog.text


def test_what_is_heard_is_inspected(tmp_path):
    right = np.full(2000, 0.5)
    sf.write(tmp_path / "mono.wav", right, 8000)
    samples = np.stack([np.full(2000, np.nan), right], axis=1)
    sf.write(tmp_path / "stereo.wav", samples, 8000, subtype="FLOAT")
    assert inspect_clip(tmp_path / "stereo.wav", "2").peak == 0.5
    with pytest.raises(ClipError, match="not a number"):
        inspect_clip(tmp_path / "stereo.wav")
    usable, reasons = inspect_clips(
        tmp_path, ["mono.wav", "stereo.wav"], exclude_silent=False, n_processes=1, channel="2"
    )
    assert list(usable) == ["stereo.wav"]
    assert reasons == {"mono.wav": "no channel 2: the file has one channel"}


# -- parts of recordings ---------------------------------------------------------------------------


def part(start_s: float, end_s: float, file: str = "day.flac") -> Clip:
    return Clip(named_part(file, start_s, end_s), "A", "T", (start_s, end_s))


@pytest.fixture
def day(tmp_path) -> Path:
    """Ten seconds whose samples count up, once a millisecond."""
    samples = np.arange(10_000, dtype=np.int16)
    samples[8000:8100] = 0
    sf.write(tmp_path / "day.flac", samples, 1000)
    return tmp_path


def inspected(folder: Path, *clips: Clip, **options) -> tuple[dict, dict]:
    usual = {"exclude_silent": False, "n_processes": 1}
    return inspect_labelled(folder, clips, **(usual | options))


def test_parts_hold_the_samples_of_their_time(day):
    clips = [part(0, 1), part(1.5, 1.75), part(9.9, 10.05)]
    usable, reasons = inspected(day, *clips)
    assert reasons == {}
    spans = {(0, 1000): 0.0305, (1500, 250): 1749 / 32768, (9900, 100): 9999 / 32768}
    assert {info.span: info.peak for info in usable.values()} == pytest.approx(spans, abs=1e-4)
    assert [usable[c.path].duration_s for c in clips] == [1.0, 0.25, 0.1]
    for clip in clips:
        info = usable[clip.path]
        waveform = read_waveform(day / clip.file, 1000, info.span)[0].numpy() * 32768
        assert waveform.tolist() == list(range(info.span[0], sum(info.span)))


@pytest.mark.parametrize(
    ("clip", "reason"),
    [
        pytest.param(part(9, 11), "not within the recording, which lasts 10.000 s", id="end"),
        pytest.param(part(10, 10.05), "not within the recording", id="after-it"),
        pytest.param(part(1, 1.0001), "holds no sample", id="shorter-than-a-sample"),
        pytest.param(part(0, 1, "gone.flac"), "unreadable: No such file", id="gone"),
        pytest.param(part(8, 8.1), "silent", id="silent"),
    ],
)
def test_part_that_cannot_be_used_is_refused_alone(day, clip, reason):
    usable, reasons = inspected(day, clip, part(1, 2), exclude_silent=True)
    assert list(usable) == ["day.flac#1-2"]
    assert reason in reasons[clip.path]


def test_many_parts_in_several_processes_give_the_same(day):
    clips = [part(i / 50, i / 50 + 0.1) for i in range(300)]
    assert inspected(day, *clips) == inspected(day, *clips, n_processes=2)


def test_same_sound_at_two_places_is_a_copy(day):
    samples, rate = sf.read(day / "day.flac", dtype="int16")
    sf.write(day / "other.wav", samples[2000:], rate)
    usable, _ = inspected(day, part(3, 4), part(1, 2, "other.wav"), part(1, 2))
    digests = {path: info.digest for path, info in usable.items()}
    assert digests["day.flac#3-4"] == digests["other.wav#1-2"] != digests["day.flac#1-2"]


def test_a_part_of_a_long_recording_is_read_without_the_rest(tmp_path, monkeypatch):
    sf.write(tmp_path / "day.flac", np.zeros(20_000_000, np.int16), 48_000)
    read = []
    monkeypatch.setattr(sf.SoundFile, "read", _counting(sf.SoundFile.read, read))
    usable, _ = inspected(tmp_path, part(400, 401), part(5, 6))
    assert len(usable) == 2
    assert sum(read) == 2 * 48_000


def _counting(read, numbers: list[int]):
    def counting(self, frames=-1, **options):
        numbers.append(frames)
        return read(self, frames, **options)

    return counting

"""Clips hold the samples of the recording, as they are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from animal_spot.audio.sound_file import SoundFile
from animal_spot.cutting import cutter
from animal_spot.cutting.cutter import ClipForm, cut
from animal_spot.cutting.plan import ClipPlan

RATE = 8000
N_SAMPLES = 20_000


def noise(n_channels: int = 1, dtype: str = "int32") -> np.ndarray:
    """Samples of all sizes, those at the ends of the range too."""
    rng = np.random.default_rng(1)
    samples = rng.integers(-(2**31), 2**31, (N_SAMPLES, n_channels), dtype=np.int64)
    samples[5000:5002] = [[-(2**31)], [2**31 - 1]]
    return samples.astype(dtype)


def recording(folder: Path, subtype: str, kind: str = "wav", n_channels: int = 1) -> Path:
    path = folder / f"r.{kind}"
    samples = noise(n_channels)
    content = samples if subtype.startswith("PCM") else samples / 2.0**31
    sf.write(path, content, RATE, subtype=subtype)
    return path


def cut_all(source: Path, spans, folder: Path, kind: str = "wav", channel: str = "mix"):
    """Cut; return why what failed, and the files in the order of the spans."""
    sound = SoundFile(source)
    form = ClipForm.of(sound, kind)
    sound.close()
    clips = [
        (ClipPlan("A", source, *span, channel=channel), folder / f"{number}.{form.kind}")
        for number, span in enumerate(spans)
    ]
    return cut(source, clips, form), [path for _, path in clips]


@pytest.fixture(scope="module")
def sixteen_bit(tmp_path_factory) -> Path:
    return recording(tmp_path_factory.mktemp("cutter"), "PCM_16")


@given(
    st.lists(
        st.tuples(st.integers(0, N_SAMPLES - 1), st.integers(1, 9000)).map(
            lambda s: (s[0], min(s[0] + s[1], N_SAMPLES))
        ),
        max_size=8,
    ),
    st.sampled_from([1, 2**10, 2**19]),
)
def test_clips_of_16_bit_are_the_recording_bit_for_bit(sixteen_bit, tmp_path, spans, n_block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutter, "_BLOCK", max(n_block, 64))
        patch.setattr(cutter, "_MOST_OPEN", 3)
        failed, paths = cut_all(sixteen_bit, spans, tmp_path)
    assert failed == {}
    samples, _ = sf.read(sixteen_bit, dtype="int16")
    for (start, end), path in zip(spans, paths, strict=True):
        found, rate = sf.read(path, dtype="int16")
        assert rate == RATE
        assert np.array_equal(found, samples[start:end])


@pytest.mark.parametrize(
    ("subtype", "kind", "wanted", "clip_kind", "clip_subtype"),
    [
        ("PCM_16", "wav", "flac", "flac", "PCM_16"),
        ("PCM_24", "wav", "wav", "wav", "PCM_24"),
        ("PCM_24", "flac", "wav", "wav", "PCM_24"),
        ("PCM_24", "wav", "flac", "flac", "PCM_24"),
        ("FLOAT", "wav", "flac", "wav", "FLOAT"),
        ("PCM_16", "aiff", "wav", "wav", "PCM_16"),
        ("PCM_16", "w64", "wav", "wav", "PCM_16"),
    ],
)
def test_kinds_of_files_keep_depth_and_samples(
    tmp_path, subtype, kind, wanted, clip_kind, clip_subtype
):
    source = recording(tmp_path, subtype, kind)
    failed, (path,) = cut_all(source, [(4000, 9000)], tmp_path, wanted)
    assert failed == {}
    assert path.suffix == f".{clip_kind}"
    assert sf.info(path).subtype == clip_subtype
    dtype = "float32" if subtype == "FLOAT" else "int32"
    expected, _ = sf.read(source, dtype=dtype)
    assert np.array_equal(sf.read(path, dtype=dtype)[0], expected[4000:9000])


@pytest.mark.parametrize("channel", ["1", "3", "mix", "loudest"])
def test_channels(tmp_path, channel):
    samples = (noise(3) // 2**17 // np.array([4, 1, 8])).astype(np.int16)
    source = tmp_path / "r.wav"
    sf.write(source, samples, RATE, subtype="PCM_16")
    _, (path,) = cut_all(source, [(100, 9000)], tmp_path, channel=channel)
    mean = np.rint(samples.mean(axis=1, dtype=np.float64))
    expected = {"mix": mean, "loudest": samples[:, 1]}.get(channel)
    if expected is None:
        expected = samples[:, int(channel) - 1]
    assert np.array_equal(sf.read(path, dtype="int16")[0], expected[100:9000])


@pytest.mark.parametrize("kind", ["ogg", "mp3"])
def test_coded_sound_is_read_on_to_the_sample(tmp_path, kind):
    source = tmp_path / f"r.{kind}"
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(5 * 44100) / 44100)
    sf.write(source, tone, 44100)
    failed, paths = cut_all(source, [(150_000, 160_000), (10_000, 20_000)], tmp_path)
    assert failed == {}
    whole, _ = sf.read(source, dtype="float32")
    for path, start in zip(paths, (150_000, 10_000), strict=True):
        found, _ = sf.read(path, dtype="float32")
        assert np.abs(found - whole[start : start + 10_000]).max() <= 2**-16


def test_a_clip_with_what_is_no_number_fails_and_the_others_do_not(tmp_path):
    samples = np.zeros(N_SAMPLES, np.float32)
    samples[5000] = np.nan
    sf.write(tmp_path / "r.wav", samples, RATE, subtype="FLOAT")
    spans = [(0, 4000), (4500, 5500), (5001, 8000)]
    failed, paths = cut_all(tmp_path / "r.wav", spans, tmp_path)
    assert list(failed) == [1]
    assert "not a number" in failed[1]
    assert [path.exists() for path in paths] == [True, False, True]
    assert not list(tmp_path.glob(".*.tmp"))


def test_sound_that_breaks_off_gives_the_clips_before_it(tmp_path):
    source = recording(tmp_path, "PCM_16", "flac")
    content = bytearray(source.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    source.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutter, "_BLOCK", 1000)
        failed, paths = cut_all(source, [(0, 4000), (9000, 19_000), (19_000, 20_000)], tmp_path)
    assert sorted(failed) == [1, 2]
    assert "damaged" in failed[1]
    assert [path.exists() for path in paths] == [True, False, False]


def test_when_it_is_stopped_nothing_is_half_there(tmp_path, sixteen_bit):
    def stop():
        raise KeyboardInterrupt

    plan = ClipPlan("A", sixteen_bit, 0, 5000)
    with pytest.raises(KeyboardInterrupt):
        cut(sixteen_bit, [(plan, tmp_path / "a.wav")], ClipForm("wav", "PCM_16"), stop)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_of_the_clip(tmp_path, sixteen_bit):
    program = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from animal_spot.cutting.cutter import ClipForm, cut\n"
        "from animal_spot.cutting.plan import ClipPlan\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
        "source, folder = map(Path, sys.argv[1:])\n"
        "clips = [(ClipPlan('A', source, 0, n), folder / f'{n}.wav') for n in (4000, 9000)]\n"
        "cut(source, clips, ClipForm('wav', 'PCM_16'))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, sixteen_bit, tmp_path], capture_output=True, text=True
    )
    assert ended.stderr.endswith("9000.wav cannot be written to its end: is the disk full?\n")
    assert [path.name for path in tmp_path.iterdir()] == ["4000.wav"]

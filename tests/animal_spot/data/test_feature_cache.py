from __future__ import annotations

import logging
import multiprocessing
import os

import numpy as np
import pytest
import torch

from animal_spot.audio.signal_config import SignalConfig
from animal_spot.audio.spectrograms import PowerBand, SpectrogramPipeline
from animal_spot.data.clip_dataset import BandReader
from animal_spot.data.feature_cache import FeatureCache
from animal_spot.data.inspection import inspect_clip

CONFIG = {"n_fft": 256, "hop_length": 100, "n_freq_bins": 8}


def pipeline_of(**options) -> SpectrogramPipeline:
    return SpectrogramPipeline(SignalConfig(**(CONFIG | options)))


def make_band(pipeline, seed=0) -> PowerBand:
    x = torch.randn(1, 1500, generator=torch.Generator().manual_seed(seed))
    return pipeline.band(pipeline.power(x), for_pitch_shift=True).encode()


def assert_equal(a: PowerBand, b: PowerBand) -> None:
    np.testing.assert_array_equal(a.values, b.values)
    assert a.values.dtype == b.values.dtype
    assert (a.first_bin, a.n_stft_bins, a.median) == (b.first_bin, b.n_stft_bins, b.median)


def test_what_is_put_comes_back(tmp_path):
    pipeline = pipeline_of()
    cache = FeatureCache(tmp_path / "new", pipeline, for_pitch_shift=True)
    band = make_band(pipeline)
    assert cache.get("digest") is None
    cache.put("digest", band)
    assert_equal(cache.get("digest"), band)
    assert cache.get("other digest") is None
    assert len(list((tmp_path / "new").iterdir())) == 1, "no temporary file is left"


@pytest.mark.parametrize("kept", [0, 1, 20, -1], ids=["empty", "one-byte", "header", "last-byte"])
def test_truncated_file_counts_as_absent(tmp_path, kept):
    pipeline = pipeline_of()
    cache = FeatureCache(tmp_path, pipeline, for_pitch_shift=True)
    cache.put("digest", make_band(pipeline))
    path = cache.path_of("digest")
    path.write_bytes(path.read_bytes()[:kept])
    assert cache.get("digest") is None


def test_file_of_zeros_and_garbage_count_as_absent(tmp_path):
    pipeline = pipeline_of()
    cache = FeatureCache(tmp_path, pipeline, for_pitch_shift=True)
    cache.put("digest", make_band(pipeline))
    path = cache.path_of("digest")
    size = path.stat().st_size
    for content in (bytes(size), np.random.default_rng(0).bytes(size), b"text", b"\x80\x04."):
        path.write_bytes(content)
        assert cache.get("digest") is None


def test_damage_anywhere_in_a_file_is_noticed(tmp_path):
    pipeline = pipeline_of()
    cache = FeatureCache(tmp_path, pipeline, for_pitch_shift=True)
    cache.put("digest", make_band(pipeline))
    path = cache.path_of("digest")
    content = path.read_bytes()
    unnoticed = []
    for position in [*range(64), *range(64, len(content), 97)]:
        damaged = bytearray(content)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        if cache.get("digest") is not None:
            unnoticed.append(position)
    assert unnoticed == []


@pytest.mark.parametrize(
    "option",
    [
        pytest.param({"sr": 48000}, id="sr"),
        pytest.param({"preemphases": 0.97}, id="preemphases"),
        pytest.param({"n_fft": 512}, id="n_fft"),
        pytest.param({"hop_length": 99}, id="hop_length"),
        pytest.param({"fmin": 2000}, id="fmin"),
        pytest.param({"fmax": 5000}, id="fmax"),
    ],
)
def test_every_setting_that_matters_gives_another_file(tmp_path, option):
    plain = FeatureCache(tmp_path, pipeline_of(), for_pitch_shift=False)
    other = FeatureCache(tmp_path, pipeline_of(**option), for_pitch_shift=False)
    assert plain.path_of("digest") != other.path_of("digest")


def test_content_and_band_give_another_file(tmp_path):
    narrow = FeatureCache(tmp_path, pipeline_of(), for_pitch_shift=False)
    wide = FeatureCache(tmp_path, pipeline_of(), for_pitch_shift=True)
    assert narrow.path_of("digest") != wide.path_of("digest")
    assert narrow.path_of("digest") != narrow.path_of("tsegid")


@pytest.mark.parametrize(
    "option", [{"min_max_norm": True}, {"min_level_db": -90}, {"ref_level_db": 10}]
)
def test_settings_of_later_steps_share_the_file(tmp_path, option):
    plain = FeatureCache(tmp_path, pipeline_of(), for_pitch_shift=False)
    other = FeatureCache(tmp_path, pipeline_of(**option), for_pitch_shift=False)
    assert plain.path_of("digest") == other.path_of("digest")


def test_blocked_folder_is_reported_once_and_work_goes_on(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    pipeline = pipeline_of()
    cache = FeatureCache(tmp_path / "file" / "cache", pipeline, for_pitch_shift=True)
    with caplog.at_level(logging.WARNING):
        for digest in "abc":
            assert cache.get(digest) is None
            cache.put(digest, make_band(pipeline))
    assert len(caplog.records) == 1
    assert "cannot keep features" in caplog.text


def _put_many(folder, seed):
    torch.set_num_threads(1)
    pipeline = pipeline_of()
    cache = FeatureCache(folder, pipeline, for_pitch_shift=True)
    band = make_band(pipeline)
    for _ in range(100):
        cache.put("digest", band)
        assert_equal(cache.get("digest"), band)


def test_two_processes_may_write_one_file_at_once(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_put_many, args=(tmp_path, seed)) for seed in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert len(list(tmp_path.iterdir())) == 1


# -- with the reader ----------------------------------------------------------------------------


def test_reader_uses_a_kept_band_and_replaces_a_damaged_one(tmp_path, write_wav):
    rng = np.random.default_rng(0)
    clip = write_wav(tmp_path / "x.wav", 0.1 * rng.standard_normal(3000), 44100)
    digest = inspect_clip(clip).digest
    pipeline = pipeline_of()
    reader = BandReader(pipeline, tmp_path / "cache", for_pitch_shift=False)
    first = reader.read(clip, digest)
    (kept,) = (tmp_path / "cache").iterdir()
    content = kept.read_bytes()
    kept.write_bytes(content[:-3])
    assert_equal(reader.read(clip, digest), first)
    assert kept.read_bytes() == content, "the damaged file was written anew"
    clip.unlink()
    assert_equal(reader.read(clip, digest), first)


def test_reader_names_a_clip_that_has_gone(tmp_path):
    reader = BandReader(pipeline_of(), None, for_pitch_shift=False)
    with pytest.raises(ValueError, match=r"gone\.wav could be read before"):
        reader.read(tmp_path / "gone.wav", "digest")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda b: b.__class__(b.values[:, 1:], 1, b.n_stft_bins, b.median), id="bins"),
        pytest.param(lambda b: b.__class__(b.values[:0], b.first_bin, 129, b.median), id="empty"),
        pytest.param(lambda b: b.__class__(b.values, b.first_bin, 7, b.median), id="spectrum"),
        pytest.param(lambda b: b.__class__(b.values, b.first_bin, b.n_stft_bins, np.nan), id="nan"),
    ],
)
def test_a_whole_file_of_another_shape_counts_as_absent(tmp_path, change):
    pipeline = pipeline_of()
    cache = FeatureCache(tmp_path, pipeline, for_pitch_shift=True)
    band = make_band(pipeline)
    cache.put("digest", change(band.encode()))
    assert cache.get("digest") is None
    cache.put("digest", band)
    assert_equal(cache.get("digest"), band)


def test_what_is_no_file_is_not_waited_for(tmp_path):
    cache = FeatureCache(tmp_path, pipeline_of(), for_pitch_shift=True)
    os.mkfifo(cache.path_of("digest"))
    assert cache.get("digest") is None

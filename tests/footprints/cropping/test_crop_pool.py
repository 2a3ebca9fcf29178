from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest
from PIL import Image

from footprints.cropping import crop_pool
from footprints.cropping.crop_pool import CropPool, Job
from footprints.pictures.similarity import photo_hash
from footprints.system.errors import UserError
from footprints.system.settings import Settings
from tests.helpers.detector import (
    BLUE,
    GREEN,
    RED,
    listing_of,
    photo_with_square,
    red_square_detector,
    save_rotated,
)
from tests.helpers.programs import run_code

SQUARE = (80, 32, 96, 48)
EXACT = Settings(margin=0.0, min_crop_side=1)


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def children() -> set[int]:
    """Return the processes that this one has started and that live."""
    return {child.pid for child in psutil.Process().children() if is_alive(child.pid)}


@pytest.fixture
def started():
    """Return a function that says which processes the test has started and live."""
    before = children()
    return lambda: children() - before


@pytest.fixture(scope="module")
def red(tmp_path_factory):
    return red_square_detector(tmp_path_factory.mktemp("red") / "red.onnx")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Ten photos; in photo n the red square lies n cells from the left."""
    folder = tmp_path_factory.mktemp("photos")
    paths = []
    for n in range(8):
        photo = photo_with_square((128, 128), (16 * n, 32, 16 * n + 16, 48))
        paths.append(folder / f"{n}.png")
        Image.fromarray(photo).save(paths[-1])
    (folder / "8.jpg").write_bytes(b"no photo")
    Image.fromarray(photo_with_square((64, 128), SQUARE, BLUE)).save(folder / "9.png")
    return [*paths, folder / "8.jpg", folder / "9.png"]


@pytest.fixture(scope="module")
def pool(red):
    with CropPool(red, EXACT, 2) as pool:
        yield pool


@pytest.mark.parametrize("processes", [0, 2], ids=["in-this-process", "two"])
def test_results_come_in_order_with_all_facts(red, photos, processes) -> None:
    with CropPool(red, EXACT, processes) as pool:
        jobs = [Job(path) for path in photos]
        results = list(pool.map(iter(jobs)))
    assert [result.job for result in results] == jobs
    for n, result in enumerate(results[:8]):
        assert result.box_xyxy == pytest.approx((16 * n, 32, 16 * n + 16, 48), abs=1e-3)
        assert result.crop_xyxy == (16 * n, 32, 16 * n + 16, 48)
        assert result.confidence == pytest.approx(210 / 255, abs=1e-5)
        assert (result.fallback, len(result.found), result.reason) == (False, 1, None)
        assert (result.width, result.height) == (128, 128)
        assert result.sha256 == hashlib.sha256(photos[n].read_bytes()).hexdigest()
        with Image.open(photos[n]) as photo:
            assert result.phash == photo_hash(np.array(photo))
        np.testing.assert_array_equal(result.rgb[112, 112], RED)
    broken, empty = results[8:]
    assert broken.reason
    assert broken.rgb is broken.box_xyxy is broken.phash is None
    assert broken.sha256 == hashlib.sha256(b"no photo").hexdigest()
    assert (empty.fallback, empty.confidence, empty.found) == (True, None, ())
    assert empty.box_xyxy == empty.crop_xyxy == (32, 0, 96, 64)


def test_a_pool_can_be_used_again(pool, photos) -> None:
    for _ in range(2):
        assert sum(1 for _ in pool.map(Job(path) for path in photos[:3])) == 3
    assert list(pool.map([])) == []


def test_with_a_target_the_crop_is_written(pool, photos, tmp_path) -> None:
    before = listing_of(photos[0].parent)
    targets = [tmp_path / "deep" / f"{n}.png" for n in range(10)]
    written = list(pool.map(Job(p, "detect", t) for p, t in zip(photos, targets, strict=True)))
    sent = list(pool.map(Job(path) for path in photos))
    for target, one, other in zip(targets, written, sent, strict=True):
        assert one.rgb is None
        assert target.exists() == (one.reason is None)
        if one.reason is None:
            with Image.open(target) as crop:
                np.testing.assert_array_equal(np.array(crop), other.rgb)
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == sorted(
        t.name for t in targets if t.name != "8.png"
    )
    assert listing_of(photos[0].parent) == before


@pytest.mark.parametrize(
    ("mode", "square", "fallback"),
    [("whole", (0, -32, 128, 96), False), ("centre", (32, 0, 96, 64), True)],
)
def test_modes_without_detection(pool, photos, mode, square, fallback) -> None:
    (result,) = pool.map([Job(photos[9], mode)])
    assert result.crop_xyxy == square
    assert (result.confidence, result.fallback) == (None, fallback)
    assert result.rgb.shape == (224, 224, 3)
    assert result.box_xyxy == ((0, 0, 128, 64) if mode == "whole" else square)


def test_the_whole_photo_comes_with_the_crop(pool, photos, tmp_path) -> None:
    crop, whole = tmp_path / "crop.png", tmp_path / "whole.png"
    sent, written, plain, one = pool.map(
        [
            Job(photos[9], with_photo=True),
            Job(photos[9], "detect", crop, with_photo=True, photo_target=whole),
            Job(photos[9]),
            Job(photos[9], "whole"),
        ]
    )
    assert (written.rgb, written.photo_rgb, plain.photo_rgb) == (None, None, None)
    for path, made, alone in ((crop, sent.rgb, plain.rgb), (whole, sent.photo_rgb, one.rgb)):
        np.testing.assert_array_equal(made, alone)
        with Image.open(path) as picture:
            np.testing.assert_array_equal(np.array(picture), made)


def test_without_a_detector_everything_is_centred_and_says_so(photos) -> None:
    with CropPool(None, Settings(image_size=64), 1) as pool:
        results = list(pool.map(Job(path) for path in photos))
    assert [result.fallback for result in results if result.reason is None] == [True] * 9
    assert results[0].crop_xyxy == (0, 0, 128, 128)
    assert results[0].rgb.shape == (64, 64, 3)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_colours_and_the_marker_of_a_turned_photo_arrive(pool, tmp_path, orientation) -> None:
    upright = photo_with_square((128, 96), (48, 32, 64, 48), RED, marker=(48, 32, 52, 36))
    path = save_rotated(tmp_path / "turned.jpg", upright, orientation)
    target = tmp_path / "crop.png"
    sent, _ = pool.map([Job(path), Job(path, "detect", target)])
    assert (sent.width, sent.height) == (96, 128)
    with Image.open(target) as crop:
        np.testing.assert_array_equal(np.array(crop), sent.rgb)
    np.testing.assert_allclose(sent.rgb[20, 20], GREEN, atol=30)
    np.testing.assert_allclose(sent.rgb[-20, 20], RED, atol=30)


def test_only_a_few_jobs_are_taken_ahead(pool, photos) -> None:
    taken = 0

    def jobs():
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield Job(photos[0])

    for done, _ in enumerate(pool.map(jobs()), start=1):
        assert taken <= done + 2 * 4
    assert taken == 100


def test_the_parent_loads_nothing_heavy_and_may_have_tensorflow(red, photos) -> None:
    code = """
import sys, types
sys.modules["tensorflow"] = types.ModuleType("tensorflow")
from pathlib import Path
from footprints.cropping import crop_pool
from footprints.cropping.crop_pool import CropPool, Job
from footprints.system.settings import Settings
with CropPool(Path(sys.argv[1]), Settings(), 1) as pool:
    (result,) = pool.map([Job(Path(sys.argv[2]))])
    assert result.confidence > 0.8
print(sorted({"torch", "ultralytics", "onnxruntime", "cv2"} & set(sys.modules)))
"""
    assert run_code(code, red, photos[0]).strip() == "[]"


# --- when something goes wrong -------------------------------------------------------------------


def test_a_wrong_detector_is_named_at_once(tmp_path) -> None:
    with pytest.raises(UserError, match=r"absent\.onnx: no such detector"):
        CropPool(tmp_path / "absent.onnx", Settings(), 1)
    with pytest.raises(UserError, match=r"\.pt or an \.onnx"):
        CropPool(tmp_path / "detector.h5", Settings(), 1)
    with pytest.raises(ValueError, match="negative"):
        CropPool(None, Settings(), -1)


@pytest.mark.parametrize("processes", [0, 2])
def test_an_unusable_detector_ends_the_work_with_one_line(photos, tmp_path, processes) -> None:
    (tmp_path / "noise.onnx").write_bytes(b"noise")
    pool = CropPool(tmp_path / "noise.onnx", Settings(), processes)
    with pool, pytest.raises(UserError, match="not a usable ONNX file") as caught:
        list(pool.map(Job(path) for path in photos))
    assert "\n" not in str(caught.value)


# A process of the pool that does something to itself before it reads a photo.
DIES = """
import os, sys
from pathlib import Path
from footprints.cropping import crop_worker
read = crop_worker.read_file
def read_or_die(path):
    {does}
    return read(path)
crop_worker.read_file = read_or_die
sys.exit(crop_worker.main())
"""


@pytest.fixture
def dying(monkeypatch):
    """Have processes of pools run a line with ``path``, the photo that they are to read."""
    return lambda does: monkeypatch.setattr(crop_pool, "_WORK", ("-c", DIES.format(does=does)))


needs_signals = pytest.mark.skipif(os.name == "nt", reason="no such signals")


@pytest.mark.slow
@needs_signals
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ("os.kill(os.getpid(), 9)", "its worker process was killed, probably for want of memory"),
        ("os.kill(os.getpid(), 11)", "its worker process crashed (SIGSEGV)"),
        ("os._exit(7)", "its worker process ended (status 7)"),
    ],
    ids=["memory", "decoder", "exit"],
)
def test_a_photo_that_kills_its_process_takes_no_other_with_it(
    photos, dying, processes, does, reason, started
) -> None:
    dying(f"path.name in ('2.png', '5.png') and {does}")
    with CropPool(None, EXACT, processes) as pool:
        jobs = [Job(path) for path in photos[:8]]
        results = list(pool.map(jobs))
        deadline = time.monotonic() + 60
        while len(ids := started()) < processes and time.monotonic() < deadline:
            list(pool.map(jobs[:2]))  # a process that died is started again for its next job
    assert [result.job for result in results] == jobs
    expected = [reason if n in (2, 5) else None for n in range(8)]
    assert [result.reason for result in results] == expected
    assert [result.is_passing for result in results] == [n in (2, 5) for n in range(8)]
    assert all(result.rgb is not None for result in results if result.reason is None)
    assert len(ids) == processes
    assert not ids & started()


@needs_signals
def test_a_photo_is_tried_once_more_if_another_may_have_taken_the_memory(
    photos, dying, tmp_path
) -> None:
    """Both processes are killed once; then each photo is worked on alone, and goes well."""
    busy = f"Path({str(tmp_path)!r}, f'{{path.name}}.{{os.getpid()}}')"
    dying(
        f"n = len(list(Path({str(tmp_path)!r}).glob(path.name + '*'))); {busy}.touch(); "
        "path.name == '3.png' and n == 0 and os.kill(os.getpid(), 9)"
    )
    with CropPool(None, EXACT, 2) as pool:
        assert [result.reason for result in pool.map(map(Job, photos[:8]))] == [None] * 8
    assert len(list(tmp_path.glob("3.png.*"))) == 2


@needs_signals
def test_the_second_try_is_made_alone_and_is_the_last(photos, dying, tmp_path) -> None:
    log = tmp_path / "log"
    dying(
        f"import time; log = open({str(log)!r}, 'a', buffering=1); log.write(path.name + ' in\\n');"
        " time.sleep(0.05); path.name == '3.png' and os.kill(os.getpid(), 9);"
        " log.write(path.name + ' out\\n')"
    )
    with CropPool(None, EXACT, 3) as pool:
        results = list(pool.map(map(Job, photos[:8])))
    assert [n for n, result in enumerate(results) if result.reason] == [3]
    lines = log.read_text().split("\n")[:-1]
    _first, last = (n for n, line in enumerate(lines) if line == "3.png in")
    begun = [line for line in lines[:last] if line.endswith(" in") and line != "3.png in"]
    ended = [line for line in lines[:last] if line.endswith(" out")]
    assert len(begun) == len(ended)


@needs_signals
@pytest.mark.parametrize("processes", [1, 2])
def test_where_every_photo_kills_its_process_the_work_ends(photos, dying, processes) -> None:
    dying("os.kill(os.getpid(), 9)")
    with CropPool(None, EXACT, processes) as pool, pytest.raises(UserError) as caught:
        list(pool.map(map(Job, photos)))
    said = str(caught.value)
    assert "3 processes working on photos ended one after the other" in said
    assert "killed, probably for want of memory" in said
    assert ("--processes" in said) == (processes > 1)
    assert "\n" not in said


def test_processes_that_cannot_start_end_the_work(photos, monkeypatch) -> None:
    monkeypatch.setattr(crop_pool, "_WORK", ("-c", "import sys; sys.exit(5)"))
    with CropPool(None, EXACT, 2) as pool, pytest.raises(UserError, match=r"status 5") as caught:
        list(pool.map(map(Job, photos)))
    assert "before it could begin" in str(caught.value)


def test_a_process_that_is_killed_while_it_waits_costs_no_photo(red, photos, started) -> None:
    with CropPool(red, EXACT, 1) as pool:
        assert len(list(pool.map([Job(photos[0])]))) == 1
        for pid in started():
            psutil.Process(pid).kill()
        while started():
            time.sleep(0.01)
        assert [result.reason for result in pool.map(map(Job, photos[:3]))] == [None] * 3


@needs_signals
def test_no_process_is_started_once_the_pool_is_closed(photos, dying, started) -> None:
    dying("import time; path.name == '1.png' and time.sleep(99)")
    with CropPool(None, EXACT, 2) as pool:
        next(results := pool.map(Job(path) for path in [photos[0]] + [photos[1]] * 20))
        assert len(started()) == 2
        results.close()
        assert started() == set()


def test_where_there_are_no_more_threads_all_ends_at_once(
    red, photos, monkeypatch, started
) -> None:
    def no_thread(_thread: object) -> None:
        raise RuntimeError("can't start new thread")

    with CropPool(red, EXACT, 2) as pool:
        assert len(started()) == 2
        monkeypatch.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(RuntimeError, match="start new thread"):
            list(pool.map(Job(path) for path in photos))
        assert started() == set()


def test_a_process_that_sends_nonsense_is_ended(red, photos, monkeypatch) -> None:
    monkeypatch.setattr(
        crop_pool, "_WORK", ("-c", "import time; print('hello', flush=True); time.sleep(99)")
    )
    monkeypatch.setattr(crop_pool, "_SECONDS_TO_END", 0.1)
    with CropPool(red, EXACT, 1) as pool, pytest.raises(UserError, match="sent nothing that"):
        list(pool.map([Job(photos[0])]))


def test_a_crop_that_cannot_be_written_is_an_os_error(pool, photos, tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=r"Not a directory|exists"):
        list(pool.map([Job(photos[0], "detect", tmp_path / "file" / "crop.png")]))


def test_a_mistake_in_the_program_is_not_taken_for_a_bad_photo(red, photos) -> None:
    """Defect 3: any exception made a black picture."""
    pool = CropPool(red, EXACT, 1)
    with pool, pytest.raises(RuntimeError, match="mode must be detect, whole or centre"):
        list(pool.map([Job(photos[0], "squint")]))


def test_a_pool_outside_of_with_is_refused(red, photos) -> None:
    with pytest.raises(RuntimeError, match="with statement"):
        list(CropPool(red, EXACT, 1).map([Job(photos[0])]))


def test_leaving_early_ends_the_processes(red, photos, started) -> None:
    with CropPool(red, EXACT, 2) as pool:
        assert len(started()) == 2
        for _ in pool.map(Job(photos[0]) for _ in range(1000)):
            break
    assert started() == set()


PARENT = """
import sys, time
from pathlib import Path
from footprints.cropping import crop_pool
from footprints.cropping.crop_pool import CropPool, Job
from footprints.system.settings import Settings
def jobs():
    while True:
        yield Job(Path(sys.argv[2]))
with CropPool(Path(sys.argv[1]), Settings(), 2) as pool:
    for n, _ in enumerate(pool.map(jobs())):
        if n == 5:
            print(*[w._process.pid for w in pool._workers], flush=True)
"""


@pytest.mark.slow
@needs_signals
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_processes_end_with_their_parent(red, photos, tmp_path, how) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(red), str(photos[0])],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"TMPDIR": str(scratch)},
    )
    try:
        workers = [int(word) for word in parent.stdout.readline().split()]
        assert len(workers) == 2
        assert all(map(is_alive, workers))
        parent.send_signal(how)
        parent.wait(20)
        deadline = time.monotonic() + 20
        while any(map(is_alive, workers)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(map(is_alive, workers))
        assert list(scratch.iterdir()) == []
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()

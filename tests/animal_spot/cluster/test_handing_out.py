"""What is handed to which worker: everything once, again after a death, given up after two."""

from __future__ import annotations

import hashlib
import os
import random
import sys
from pathlib import Path

import pytest

from animal_spot.audio.recordings import RecordingError
from animal_spot.audio.windows import WindowGrid
from animal_spot.cluster import handing_out
from animal_spot.cluster.handing_out import AHEAD, MOST, HandingOut
from animal_spot.cluster.ray_cluster import connected, import_ray, shared_out
from animal_spot.prediction import detectors
from animal_spot.prediction.config import parse_config
from animal_spot.utils.errors import RunError
from animal_spot.utils.own_files import JsonLines, OwnFiles
from tests.helpers.programs import run_code


def started(n_tasks: int, *workers: str) -> HandingOut[int, str]:
    out = HandingOut(iter(range(n_tasks)), n_tasks)
    for worker in workers:
        out.join(worker)
    return out


@pytest.mark.parametrize("n_tasks", [0, 1, 2, 41, 1000])
def test_everything_is_done_once(n_tasks):
    out = started(n_tasks, "a", "b", "c")
    rng, done, in_work = random.Random(n_tasks), [], {"a": [], "b": [], "c": []}
    while not out.is_done:
        worker = rng.choice("abc")
        while handful := out.next_for(worker):
            in_work[worker].append(handful)
            assert len(in_work[worker]) <= AHEAD
        if in_work[worker]:
            handful = out.done(worker, rng.choice([1e-6, 0.1, 60.0]))
            assert handful == in_work[worker].pop(0)
            done += handful
    assert sorted(done) == list(range(n_tasks))


def test_handfuls_are_small_at_first_for_slow_workers_and_at_the_end():
    out = started(1000, "a", "b")
    assert len(out.next_for("a")) == 1
    out.done("a", seconds=0.01)
    assert len(out.next_for("a")) == MOST
    out.done("a", seconds=MOST * 2.0)
    assert len(out.next_for("a")) == 2, "of recordings that take 2 s each, about 5 s"
    sizes = []
    while not out.is_done:
        out.done("a", seconds=0.0)
        sizes.append(len(out.next_for("a")))
    assert sizes[-2] == 1
    assert max(sizes) == MOST


def test_what_is_listed_is_looked_at_as_far_as_needed():
    seen = []
    out = HandingOut((seen.append(i) or i for i in range(10**9)), 10**9)
    for worker in range(10):
        out.join(worker)
        while out.next_for(worker):
            pass
    assert len(seen) == 10 * AHEAD


def test_a_recording_that_kills_every_worker_is_given_up_and_no_other_one():
    n_tasks, culprit = 200, 77
    out = started(n_tasks, "w0")
    done, given_up, n_workers, worker, queue = [], [], 1, "w0", []
    while not out.is_done:
        while handful := out.next_for(worker):
            queue.append(handful)
        if culprit in queue[0]:
            given_up += out.died(worker)
            worker, queue = f"w{n_workers}", []
            n_workers += 1
            out.join(worker)
            continue
        done += out.done(worker, 0.01 * len(queue.pop(0)))
    assert given_up == [culprit]
    assert sorted(done) == [i for i in range(n_tasks) if i != culprit]
    assert n_workers - 1 == handing_out.DEATHS + 1, "once among others, then alone"


def test_a_suspect_has_a_worker_for_itself():
    """Its answer may be lost if its worker dies of what comes next."""
    out = started(10, "a", "b")
    assert (out.next_for("a"), out.next_for("a"), out.next_for("b")) == ((0,), (1,), (2,))
    assert out.died("a") == []
    assert out.next_for("b") == (1,), "b has something else: no suspect for it"
    out.join("c")
    assert out.next_for("c") == (0,)
    assert out.next_for("c") == ()


def test_a_node_that_is_gone_is_no_recordings_fault():
    out = started(1, "a")
    for worker in "abcde":
        out.join(worker)
        assert out.next_for(worker) == (0,)
        assert out.died(worker, by_its_work=False) == []
    assert not out.is_done


def test_random_deaths_lose_nothing():
    """Ten kills at any time, as long as none hits the same lone recording twice."""
    out = started(500, 0, 1)
    rng, done, given_up, live, queues = random.Random(5), [], [], [0, 1], {0: [], 1: []}
    kills = set(rng.sample(range(20, 90), 10))
    for step in range(10_000):
        if out.is_done:
            break
        worker = rng.choice(live)
        while handful := out.next_for(worker):
            queues[worker].append(handful)
        if step in kills:
            given_up += out.died(worker)
            live.remove(worker)
            live.append(new := max(live) + step + 2)
            queues[new] = []
            out.join(new)
        elif queues[worker]:
            done += out.done(worker, 0.5 * len(queues[worker].pop(0)))
    assert out.is_done
    assert sorted(done + given_up) == list(range(500))
    assert len(given_up) <= 1


@pytest.mark.parametrize(
    ("nodes", "wanted", "gpus", "expected"),
    [
        pytest.param([{"CPU": 2}], None, None, (1, 2, 0), id="a-small-machine"),
        pytest.param([{"CPU": 2}], 2, None, (2, 1, 0), id="as-many-as-wanted"),
        pytest.param([{"CPU": 16}, {"CPU": 8}], None, None, (6, 4, 0), id="four-cores-each"),
        pytest.param([{"CPU": 16}, {"CPU": 8}], 3, None, (3, 8, 0), id="they-share-all-cores"),
        pytest.param([{"CPU": 16, "GPU": 2}], None, 1, (2, 4, 1), id="one-gpu-each"),
        pytest.param([{"CPU": 4, "GPU": 2}], None, 0.5, (4, 1, 0.5), id="half-a-gpu-each"),
        pytest.param([{"CPU": 4}, {"CPU": 8, "GPU": 1}], None, 1, (1, 4, 1), id="a-gpu-somewhere"),
    ],
)
def test_nodes_are_shared_out(nodes, wanted, gpus, expected):
    shares = shared_out(nodes, wanted, gpus)
    assert (shares.n_workers, shares.n_cores, shares.n_gpus) == expected


@pytest.mark.parametrize(("wanted", "gpus"), [(3, None), (None, 1.0)])
def test_more_than_there_is_room_for(wanted, gpus):
    with pytest.raises(ValueError, match=r"the cluster has room for [02] workers"):
        shared_out([{"CPU": 2}], wanted, gpus)


def test_a_file_that_was_adopted_is_own_until_it_is_edited(tmp_path):
    """As if this process had written it."""
    (tmp_path / ".parts").mkdir()
    part = tmp_path / ".parts" / "a.csv"
    part.write_bytes(b"1,2\n")
    lines = JsonLines(tmp_path / "journal")
    own = OwnFiles(tmp_path, lines)
    own.adopt("a.csv", part, digest=hashlib.blake2b(b"1,2\n", digest_size=16).hexdigest(), of="a")
    lines.close()
    assert not part.exists()
    again = OwnFiles(tmp_path, JsonLines(tmp_path / "journal"))
    JsonLines(tmp_path / "journal").read(again.read)
    assert again.is_as_written("a.csv")
    assert again.names_of("a") == ["a.csv"]
    os.utime(tmp_path / "a.csv", (1, 1))
    assert again.is_as_written("a.csv"), "touched, but of the same bytes"
    (tmp_path / "a.csv").write_bytes(b"1,3\n")
    assert again.is_edited("a.csv")
    (tmp_path / "link").symlink_to(tmp_path / "a.csv")
    with pytest.raises(OSError, match="no regular file"):
        own.adopt("b.csv", tmp_path / "link", digest="0" * 32)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--ray_workers", "2"), "--ray_workers needs --ray"),
        (("--gpus_per_worker", "0.5"), "--gpus_per_worker needs --ray"),
        (("--ray", "--shard", "1/2"), "take one of them"),
        (("--ray", "--visualize"), "--visualize cannot be had with --ray"),
    ],
)
def test_flags_that_do_not_go_together(flags, said, tmp_path, capsys):
    with pytest.raises(SystemExit):
        parse_config(["--output_dir", str(tmp_path), "--input_file", "x", *flags])
    assert said in capsys.readouterr().err


def test_without_ray_a_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"--ray needs the package ray: .*pip install"):
        import_ray()


def test_nothing_answers_at_the_address():
    with (
        pytest.raises(RunError, match=r"--ray 127\.0\.0\.1:1: no cluster there"),
        connected("127.0.0.1:1"),
    ):
        pass


def test_prediction_itself_never_imports_ray():
    code = "import animal_spot.prediction.run, sys; print('ray' in sys.modules)"
    assert run_code(code).strip() == "False"


@pytest.mark.parametrize("n", [0, 1, 47, 48, 49, 1000, 12_345])
def test_a_worker_compares_arithmetic_on_what_one_process_does(n, monkeypatch):
    asked: list[Path] = []

    def excerpt(path, *_):
        asked.append(path)
        raise RecordingError("none here")

    monkeypatch.setattr(detectors, "excerpt", excerpt)
    paths = [Path(f"{i}.wav") for i in range(n)]
    grid = WindowGrid(100, 50, 1000)
    seen = []
    for given in (paths, detectors.looked_at(paths)):
        asked.clear()
        if given:
            detectors.sample_windows(given, None, grid, 48)
        seen.append(list(asked))
    assert seen[0] == seen[1]
    assert len(detectors.looked_at(paths)) <= 48

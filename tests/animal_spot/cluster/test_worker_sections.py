"""cluster/worker.py: a worker keeps sections of long recordings, for others and for a next run."""

from __future__ import annotations

import os

import pytest
import torch

from animal_spot.audio import sections
from animal_spot.cluster.parts import sections_of_runs
from animal_spot.cluster.worker import Divided, Order, Task, Worker
from animal_spot.metadata.recording_time import NO_TIME
from animal_spot.prediction.config import parse_config
from animal_spot.prediction.settled import load_models, settled
from animal_spot.utils.hardware import CORES
from tests.helpers.prediction import PLAIN, write_sound


@pytest.fixture
def make_worker(tmp_path, models, monkeypatch):
    """Return a function that starts a worker of a new run; it tells which sections it computes."""
    monkeypatch.setattr(sections, "SECTION_S", 10.0)
    monkeypatch.setenv(CORES, "")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(CORES)
    n_threads = torch.get_num_threads()
    places = ("--input_file", "long.wav", "--output_dir", "out", "--model_path", models("binary"))
    (tmp_path / "parts").mkdir()
    numbers = iter(range(9))

    def make(*flags: str) -> tuple[Worker, list[int]]:
        config = parse_config([str(each) for each in (*places, *PLAIN, *flags)])
        header = settled(config, load_models(config)).header
        order = Order(config, header, tmp_path / "parts", str(tmp_path), tmp_path / "sections")
        worker = Worker(order, next(numbers), 1)
        worker.begin([])
        computed, run = [], worker._predictor.run

        def watched(paths, part=None):
            computed.extend([] if part is None else [part.index])
            return run(paths, part)

        object.__setattr__(worker._predictor, "run", watched)
        return worker, computed

    yield make
    torch.set_num_threads(n_threads)


def test_sections_that_a_run_before_kept_are_not_computed_again(make_worker, tmp_path):
    path = write_sound(tmp_path / "long.wav", 45)
    long = Task(path, "long", "run", NO_TIME)
    (worker, computed), (other, computed_by_other) = make_worker(), make_worker()
    ((divided,), _) = worker.do([long])
    assert isinstance(divided, Divided)
    tasks = [long._replace(part=part) for part in divided.parts]
    made = [worker.do([task])[0][0] for task in tasks[:3]]
    assert computed == [0, 1, 2]
    assert [one.sound_s for one in made[:2]] == [10.0, 10.0]
    numbers = made[1].file.with_name(made[1].file.name + ".probabilities")
    numbers.write_bytes(numbers.read_bytes()[:-4])  # as a power cut may leave it
    assert [other.do([task])[0][0] for task in tasks[:3]] == made
    assert computed_by_other == [1]
    other.do([tasks[0]._replace(run="another model")])
    os.utime(path, ns=(5, 5))
    assert other.do([tasks[3]])[0][0].reason == "changed while it was read"
    ((divided,), _) = other.do([long])
    other.do([long._replace(part=divided.parts[2])])
    assert computed_by_other == [1, 0, 3, 2], "neither model nor file may be another"
    assert other.do([long._replace(path=tmp_path / "none.wav", part=tasks[0].part)])[0][0].reason
    odd = path.rename(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.wav"))
    assert other.do([long._replace(path=odd, part=divided.parts[0])])[0][0].file.exists(), (
        "a name that is no text"
    )


def test_short_and_small_recordings_are_done_at_once(make_worker, tmp_path):
    (worker, _) = make_worker("--format", "csv")
    path = write_sound(tmp_path / "long.wav", 15)
    ((made,), _) = worker.do([Task(path, "long", "run", NO_TIME)])
    assert (made.reason, list(made.digests)) == ("", ["csv"])


def test_sections_stay_until_all_recordings_are_done(tmp_path):
    def stopped() -> None:
        with sections_of_runs(tmp_path) as folder:
            folder.mkdir()
            (folder / "0").write_bytes(b"1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert (tmp_path / ".sections" / "0").exists()
    with sections_of_runs(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []
    (tmp_path / ".sections").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="link"), sections_of_runs(tmp_path):
        pass

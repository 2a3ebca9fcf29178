"""utils/errors.py: from whatever happens to one line and an exit status."""

from __future__ import annotations

import concurrent.futures.process
import errno
import logging
import os
import re
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from animal_spot.models.pretrained import PretrainedWeightsError
from animal_spot.trainer import TrainingError
from animal_spot.utils.errors import run_to_status
from animal_spot.utils.interrupt import Interrupted
from animal_spot.utils.logging import log_to_file
from tests.helpers.places import SOUND
from tests.helpers.prediction import PLAIN, write_sound

log = logging.getLogger("PREDICT")


def end(error: BaseException, **options) -> int:
    def run() -> None:
        raise error

    return run_to_status(log, run, **options)


CURABLE = [
    pytest.param(ValueError("--hop is 0"), "--hop is 0", id="value"),
    pytest.param(FileNotFoundError(2, "No such file", "a\nb"), r"No such file: a\\nb", id="file"),
    pytest.param(OSError(errno.ENOSPC, "No space left on device"), "No space left", id="disk"),
    pytest.param(ImportError("libtorch.so: cannot open"), "libtorch.so", id="import"),
    pytest.param(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), "utf-8", id="text"),
    pytest.param(np.linalg.LinAlgError("SVD did not converge"), "SVD", id="linear-algebra"),
    pytest.param(OverflowError("int too large"), "too large", id="overflow"),
    pytest.param(RecursionError("maximum recursion depth"), "nested too deeply", id="recursion"),
    pytest.param(MemoryError(), "out of memory.*: lower --batch_size", id="memory"),
    pytest.param(torch.OutOfMemoryError("CUDA out of memory"), "lower --batch_size", id="gpu"),
    pytest.param(OSError(errno.ENOMEM, "Cannot allocate memory"), "out of memory", id="no-memory"),
    pytest.param(
        concurrent.futures.process.BrokenProcessPool("A process in the process pool was"),
        "was killed, probably for want of memory: lower --num_workers",
        id="a-killed-process-of-a-pool",
    ),
    pytest.param(
        RuntimeError("DataLoader worker (pid 12) is killed by signal: Killed. "),
        "was killed, probably for want of memory: lower --num_workers",
        id="a-killed-loader-process",
    ),
    pytest.param(RuntimeError("can't start new thread"), "no thread could be", id="thread"),
    pytest.param(BlockingIOError(11, "Resource temporarily unavailable"), "Resource", id="fork"),
    pytest.param(TrainingError("the loss is\nnot a number"), r"the loss is\\nnot", id="training"),
    pytest.param(PretrainedWeightsError("no weights"), "no weights", id="weights"),
]


@pytest.mark.parametrize(("error", "match"), CURABLE)
def test_what_can_be_cured_is_one_line_and_status_1(error, match, capsys):
    assert end(error) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(rf"\|E\|.*{match}", line), line
    assert "fault of this program" not in line


@pytest.mark.parametrize("kind", [KeyError, TypeError, AttributeError, AssertionError, EOFError])
def test_a_fault_of_the_program_says_so_and_where(kind, capsys):
    assert end(kind("\x1bx")) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"|E|a fault of this program ({kind.__name__}: " in line
    assert "test_errors.py line" in line
    assert "\x1b" not in line


def test_the_traceback_of_a_fault_is_in_the_log_file_and_shown_with_debug(tmp_path, capsys):
    def run() -> None:
        log_to_file(tmp_path / "PREDICT.log", append=False)
        raise KeyError("x")

    assert run_to_status(log, run) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert "Traceback (most recent call last)" in (tmp_path / "PREDICT.log").read_text()
    assert run_to_status(log, run, debug=True) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_status_and_stops(capsys):
    assert run_to_status(log, lambda: None) == 0
    assert run_to_status(log, lambda: 3) == 3
    assert capsys.readouterr().err == ""
    assert end(Interrupted(1), stopped="checkpoint written") == 129
    assert end(Interrupted(15)) == 143
    assert end(KeyboardInterrupt(), at_once="nothing was written") == 130
    lines = [line[9:] for line in capsys.readouterr().err.splitlines()]
    assert lines == [
        "W|stopped by SIGHUP: checkpoint written",
        "W|stopped by SIGTERM",
        "W|stopped at once: nothing was written",
    ]


@pytest.mark.skipif(os.name == "nt", reason="pipes and devices of Unix")
@pytest.mark.parametrize("target", ["closed-pipe", "full", "closed"])
def test_an_output_that_cannot_be_written_is_one_line(target, tmp_path):
    arguments = ["--output_dir", str(tmp_path), "--clips", "3", "--tapes", "3"]
    command = [sys.executable, str(SOUND / "synthesise_corpus.py"), *arguments]
    if target == "closed":
        command = ["sh", "-c", 'exec "$@" >&-', "sh", *command]
    if target == "full":
        output = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, output = os.pipe()
        os.close(reader)
    result = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, timeout=120)
    os.close(output)
    lines = result.stderr.splitlines()
    if target == "closed":
        assert (result.returncode, lines) == (0, [])
    else:
        assert result.returncode == 1
        assert len(lines) == 1, lines
        assert ("what reads" if target == "closed-pipe" else "No space left") in lines[0]


def test_without_further_threads_a_prediction_ends_in_one_line(models, tmp_path, monkeypatch):
    from animal_spot import predict

    for number in range(2):
        write_sound(tmp_path / "in" / f"{number}.wav", 0.4)
    argv = ["--model_path", models("multi"), "--input_file", tmp_path / "in", *PLAIN]
    start = threading.Thread.start
    for n_threads in (0, 1, 3):
        left = [n_threads]

        def refuse(self, left=left) -> None:
            if not left[0]:
                raise RuntimeError("can't start new thread")
            left[0] -= 1
            start(self)

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            output = ["--output_dir", str(tmp_path / str(n_threads))]
            assert predict.main([*map(str, argv), *output]) == 1


@pytest.mark.parametrize(("rank", "said"), [(0, "2 processes were started by torchrun"), (1, "")])
def test_what_one_process_does_is_not_done_by_several(rank, said, tmp_path):
    variables = {"RANK": rank, "WORLD_SIZE": 2, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": 2}
    done = subprocess.run(
        [sys.executable, str(SOUND / "merge.py"), str(tmp_path)],
        env=os.environ | {name: str(number) for name, number in variables.items()},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == bool(said)

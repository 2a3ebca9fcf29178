"""Retraining that the page starts: ``retrain.py`` as a process, how far it is, what came of it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from animal_spot.reviewing.retrain_config import output_of
from animal_spot.reviewing.retrain_process import PROCESS, Running, running
from animal_spot.reviewing.retrain_rounds import last_result, unfinished
from animal_spot.utils.status import OK, stopped_by

_PROGRAM = Path(__file__).resolve().parents[1] / "retrain.py"
_LOG = "retrain.log"
_MOST_LINES = 40
_MOST_BYTES = 256 * 1024  # of the log that are looked at
_GRACE_S = 20.0  # for a checkpoint at the end of the server
_LINE = re.compile(r"\d\d:\d\d:\d\d\|(\w)\|(.*)")
_STEP = re.compile(r"step (\d+) of (\d+): ")
_EPOCH = re.compile(r"epoch (\d+) of (\d+)")


class JobError(ValueError):
    """Retraining that cannot be started; one line says why."""


@dataclass
class RetrainJob:
    """The process, of which there is one at a time.

    Attributes:
        project: File of the review.
        model: Model file to begin with; None: there is none.
        data_dir: Its clips; None: where its results say.
        noise_class: Class that is no call; None: that of the model.
        embedding_model: File of the embedding model; None: as the model's results say.
    """

    project: Path
    model: Path | None = None
    data_dir: Path | None = None
    noise_class: str | None = None
    embedding_model: str | None = None
    _process: subprocess.Popen | None = None
    _is_stopped: bool = False
    _log_begin: int = 0  # of the process in the log, in bytes
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Start the process.

        Raises:
            JobError: If there is no model, or it runs already.
            OSError: If it cannot be started.
        """
        if self.model is None:
            raise JobError("no model was given: start again with --model")
        with self._lock:
            if self._is_running():
                raise JobError("retraining runs already")
            output = output_of(self.project)
            if (other := running(output)) is not None:
                raise JobError(f"retraining runs already{_named(other)}")
            output.mkdir(exist_ok=True)
            command = [sys.executable, _PROGRAM, "--project", self.project, "--model", self.model]
            if self.data_dir is not None:
                command += ["--data_dir", self.data_dir]
            if self.noise_class is not None:
                command += ["--noise_class", self.noise_class]
            if self.embedding_model is not None:
                command += ["--embedding_model", self.embedding_model]
            self._is_stopped = False
            with open(output / _LOG, "ab") as log:
                self._log_begin = log.seek(0, os.SEEK_END)
                # In a group of its own: Ctrl-C reaches it once, from here.
                self._process = subprocess.Popen(
                    list(map(str, command)),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )

    def stop(self) -> None:
        """Ask the process to end; what it has done is kept."""
        with self._lock:
            if self._is_running():
                self._is_stopped = True
                self._process.terminate()  # SIGINT is ignored below a shell's background job
                return
            other = running(output_of(self.project))
            if other is not None and other.number is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(other.number, signal.SIGTERM)

    def close(self) -> None:
        """End the process with the server; one of somebody else goes on."""
        if self._process is not None and self._is_running():
            self.stop()
            try:
                self._process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def state(self) -> dict[str, Any]:
        """Return how far it is: ``state``, ``step``, ``done``, ``lines``, ``error``, ``result``."""
        output = output_of(self.project)
        with self._lock:
            status = None if self._process is None else self._process.poll()
            is_begun, is_stopped = self._process is not None, self._is_stopped
            is_own = is_begun and status is None
            other = None if is_own else running(output)
        said = self._said(other) if is_begun or other is not None else []
        texts = [text for _, text in said]
        answer: dict[str, Any] = {
            **{"state": "idle", "step": "", "done": None, "error": None},
            **{"lines": texts[-_MOST_LINES:], "result": None},
        }
        if is_own:
            return answer | {"state": "running"} | _progress(texts)
        if other is not None:
            now = _progress(texts)
            now["step"] = f"{now['step'] if texts else 'it runs'}{_named(other)}"
            return answer | {"state": "running"} | now
        answer["result"] = last_result(output)
        if is_begun and is_stopped and status != OK:
            return answer | {"step": "stopped; Retrain goes on where it was"}
        if is_begun and status != OK:
            errors = [text for level, text in said if level in ("E", "W", "")]
            why = errors[-1] if errors else f"it ended with status {status}"
            if status in (-signal.SIGTERM, stopped_by(signal.SIGINT), stopped_by(signal.SIGTERM)):
                why = "it was stopped; Retrain goes on where it was"
            return answer | {"state": "failed", "error": why, "result": None}
        if not is_begun and (number := unfinished(output)) is not None:
            return answer | {
                "step": f"Round {number} is unfinished. Retrain goes on with it, or begins another "
                "if something else was decided since."
            }
        return answer if answer["result"] is None else answer | {"state": "done"}

    def _is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _said(self, other: Running | None) -> list[tuple[str, str]]:
        """Return level and text of the lines of the log; the level of others is empty.

        Args:
            other: A process that is not of this page: of its lines; None: of the own ones.
        """
        with contextlib.suppress(OSError), open(output_of(self.project) / _LOG, "rb") as log:
            begin = 0 if other is not None else self._log_begin
            log.seek(max(begin, os.fstat(log.fileno()).st_size - _MOST_BYTES))
            lines = log.read().decode("utf-8", "replace").splitlines()
            parted = [_LINE.match(line) for line in lines]
            said = [
                ("", line) if found is None else (found[1], found[2])
                for line, found in zip(lines, parted, strict=True)
                if line.strip()
            ]
            return said if other is None else _lines_of(other, said)
        return []


def _lines_of(process: Running, said: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the lines from that on in which a process says its number; one that has none, none.

    What was started in a terminal writes there.
    """
    own = [i for i, (_, text) in enumerate(said) if text == PROCESS % (process.number or 0)]
    return said[own[-1] :] if own else []


def _named(process: Running) -> str:
    known = "" if process.number is None else f" in process {process.number}"
    return f"{known}, which this page did not start"


def _progress(texts: list[str]) -> dict[str, Any]:
    """Return the step that a run is in and which share of it is done, by its lines."""
    step, done = "begins", None
    for text in texts:
        if found := _STEP.match(text):
            step, done = text, (int(found[1]) - 1) / int(found[2])
            first, width = done, 1 / int(found[2])
        elif done is not None and (found := _EPOCH.match(text)):
            done = first + width * int(found[1]) / int(found[2])
            step = text
    return {"step": step, "done": done}

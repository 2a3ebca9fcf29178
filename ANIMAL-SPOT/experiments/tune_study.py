"""The study of ``tune.py`` on disk: several processes work on it, and any of them may be killed."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from animal_spot.training.recipe import changes
from animal_spot.utils.files import (
    locked,
    path_inside,
    refuse_links,
    remove_leftovers,
)
from animal_spot.utils.own_files import JsonLines, OwnFiles

_WAIT_S = 0.05  # between two looks at a lock
_OWN_FILES = ("running", "workers", "cache", "study.journal", "trials.csv", "best_preset")
_WRITTEN = ".tuning.jsonl"  # what was written, to know what was edited since
N_STARTUP_TRIALS = 5  # drawn at random, and never pruned, before the sampler learns from them

log = logging.getLogger(__name__)


class _FileLock:
    """A lock that ends with its process, however that ends; Optuna's own locks outlive it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = contextlib.ExitStack()

    def acquire(self) -> bool:
        while True:
            try:
                self._lock.enter_context(locked(self._path))
                return True
            except BlockingIOError:
                time.sleep(_WAIT_S)

    def release(self) -> None:
        self._lock.close()


class _JournalLock(_FileLock):
    """The lock of a journal; entering, it drops a line that a killed process left half written."""

    def __init__(self, journal: Path) -> None:
        super().__init__(journal.with_name(f"{journal.name}.lock"))
        self._journal = journal

    def acquire(self) -> bool:
        super().acquire()
        with open(self._journal, "rb+") as file:
            content_end = file.seek(0, os.SEEK_END)
            end = content_end
            while end > 0:
                file.seek(end - 1)
                if file.read(1) == b"\n":
                    break
                end -= 1
            if end < content_end:
                file.truncate(end)
        return True


class TuneStudy:
    """Trials of one search, in the file ``study.journal`` of a folder.

    Use it in a ``with`` block, which tells other processes that this one lives.

    Args:
        folder: Of the search; it exists.
        settings: What all trials have in common, and what they are judged on; kept with the study.
        seed: Of the sampler.
        replace_edited: Replace results that were edited, and keep a copy.

    Raises:
        ValueError: If the study there was begun with other settings.
    """

    def __init__(
        self,
        folder: Path,
        settings: dict[str, Any],
        seed: int,
        *,
        replace_edited: bool = False,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.folder = folder
        self.seed = seed
        self._replace_edited = replace_edited
        self._said_edited: set[str] = set()
        self._worker = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._alive = contextlib.ExitStack()
        for name in _OWN_FILES:
            refuse_links(folder / name, folder)
        (folder / "workers").mkdir(exist_ok=True)
        journal = folder / "study.journal"
        journal.touch()
        with self._alone():
            self.study = _open_study(journal)
            settings = json.loads(json.dumps(settings))
            before = self.study.user_attrs.get("settings", settings)
            changed = changes(before if isinstance(before, dict) else {}, settings)
            if changed:
                raise ValueError(
                    f"the search in {folder} was begun with other {', '.join(changed)} "
                    f"({'; '.join(changed.values())}); use another --output_dir"
                )
            self.study.set_user_attr("settings", settings)

    def __enter__(self) -> TuneStudy:
        self._alive.enter_context(locked(self._worker_file(self._worker)))
        with self._alone():
            for trial in self._trials(TrialState.RUNNING):
                if not self._is_alive(trial.user_attrs.get("worker")):
                    log.info(
                        "trial %d was interrupted: its settings will be tried again", trial.number
                    )
                    self.repeat(trial.number)
            self._remove_leftovers()
        return self

    def __exit__(self, *_: object) -> None:
        self._worker_file(self._worker).unlink(missing_ok=True)
        self._alive.close()

    def next_trial(self, n_trials: int) -> optuna.Trial | None:
        """Begin a trial; None if so many were begun, those that are repeated not counted.

        The sampler is seeded anew for each trial, so that no two processes draw the same. The seed
        follows from how many trials were begun before, those that were given up not counted, so
        that a search of one process that was ended in any way draws what it would have drawn.
        """
        with self._alone():
            begun = [t for t in self._trials() if t.state != TrialState.WAITING]
            repeated = {n for t in self._trials() if type(n := t.user_attrs.get("repeats")) is int}
            n_begun = sum(t.number not in repeated for t in begun)
            if n_begun >= n_trials:
                return None
            rng = np.random.default_rng([self.seed, n_begun])
            self.study.sampler = optuna.samplers.TPESampler(
                seed=int(rng.integers(2**32)), n_startup_trials=N_STARTUP_TRIALS
            )
            trial = self.study.ask()
            trial.set_user_attr("worker", self._worker)
            return trial

    def tell(
        self, trial: optuna.Trial, value: float | None = None, state: TrialState | None = None
    ) -> None:
        """End a trial with its value, or in another state."""
        self.study.tell(trial, value, state=state)

    def repeat(self, number: int) -> None:
        """Give up a trial that is under way, and put its settings in front of the next ones."""
        trial = self.study.trials[number]
        # Settings of which only some were drawn are drawn again, with the same seed.
        params = trial.params if "settings" in trial.user_attrs else {}
        self.study.enqueue_trial(params, user_attrs={"repeats": number})
        self.study.tell(number, state=TrialState.FAIL)

    def best(self, is_valid: Callable[[FrozenTrial], bool]) -> FrozenTrial | None:
        """Return the best complete trial among those that this program can have tried."""
        complete = [
            t for t in self._trials(TrialState.COMPLETE) if 0 <= t.value <= 1 and is_valid(t)
        ]
        return max(complete, key=lambda t: t.value, default=None)

    def write(
        self, preset_of: Callable[[FrozenTrial], str], is_valid: Callable[[FrozenTrial], bool]
    ) -> None:
        """Write ``trials.csv`` and ``best_preset``; those that somebody edited are left alone.

        Args:
            preset_of: Called with the best trial, returns the text of its preset.
            is_valid: Tells whether a trial is within the search space.
        """
        with self._alone():
            best = self.best(is_valid)
            texts = {"trials.csv": trial_table(self._trials())}
            if best is not None:
                texts["best_preset"] = preset_of(best)
            with contextlib.closing(JsonLines(self.folder / _WRITTEN)) as lines:
                own = OwnFiles(self.folder, lines, replace_edited=self._replace_edited)
                lines.read(own.read)
                for name, text in texts.items():
                    if name not in self._said_edited and (
                        own.has_text(name, text) or own.may_write(name, ours_by_name=True)
                    ):
                        own.write_text(name, text)
                self._said_edited |= own.left

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=states or None)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one process at a time into the block."""
        lock = _FileLock(self.folder / ".study.lock")
        lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _remove_leftovers(self) -> None:
        """Remove what killed processes left."""
        remove_leftovers(self.folder)
        running = {str(trial.number) for trial in self._trials(TrialState.RUNNING)}
        folder = self.folder / "running"
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.name.isdigit() and path.name not in running:
                shutil.rmtree(path, ignore_errors=True)

    def _worker_file(self, worker: str) -> Path:
        return path_inside(self.folder / "workers", worker)

    def _is_alive(self, worker: Any) -> bool:
        try:
            if not self._worker_file(worker).exists():
                return False
        except ValueError:  # nothing that this program wrote
            return False
        try:
            with locked(self._worker_file(worker)):
                pass
        except BlockingIOError:
            return True
        self._worker_file(worker).unlink(missing_ok=True)
        return False


def _open_study(journal: Path) -> optuna.Study:
    """Open the study of a journal, or begin one.

    Raises:
        ValueError: If the journal cannot be read.
    """
    try:
        storage = optuna.storages.JournalStorage(
            JournalFileBackend(str(journal), lock_obj=_JournalLock(journal))
        )
        return optuna.create_study(
            storage=storage,
            study_name="tune",
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=N_STARTUP_TRIALS),
        )
    except OSError:
        raise
    except Exception as error:  # what a journal holds can make Optuna raise anything
        raise ValueError(
            f"{journal} is not of a search ({type(error).__name__}); use another --output_dir"
        ) from error


def trial_table(trials: list[FrozenTrial]) -> str:
    """Return CSV text, a row for each trial: number, state, figures, settings that were drawn."""
    names = sorted({name for trial in trials for name in trial.params})
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["trial", "state", "macro_accuracy", "folds", "seconds", "repeats", *names])
    for trial in trials:
        value = trial.value if trial.state == TrialState.COMPLETE else None
        seconds = round(trial.duration.total_seconds(), 1) if trial.duration else None
        writer.writerow(
            [
                trial.number,
                trial.state.name.lower(),
                value,
                len(trial.intermediate_values),
                seconds,
                trial.user_attrs.get("repeats"),
                *(trial.params.get(name) for name in names),
            ]
        )
    return buffer.getvalue()

"""What a training keeps on disk so that the same command goes on after any kind of end."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import math
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from footprints.system import files
from footprints.system.errors import UserError
from footprints.system.resuming import compare_settings
from footprints.system.typed import as_text, as_whole, json_object

if TYPE_CHECKING:
    import keras


_WEIGHTS = re.compile(r"weights-([0-9]{1,3})\.npz")
_DAMAGED = "damaged; --no-resume trains this stage afresh"
_MOST_EPOCHS = 10**9


@dataclass
class EarlyStopping:
    """Stops after ``patience`` epochs in a row that were not better than the best before them."""

    patience: int
    mode: str  # "min" or "max"
    best: float | None = None
    best_epoch: int = 0
    waited: int = 0

    def step(self, value: float, epoch: int) -> bool:
        """Take the value of an epoch; return whether it is the best so far.

        A value that is not a number is never the best.
        """
        better = not math.isnan(value) and (
            self.best is None or (value < self.best if self.mode == "min" else value > self.best)
        )
        if better:
            self.best, self.best_epoch, self.waited = value, epoch, 0
        else:
            self.waited += 1
        return better

    @property
    def should_stop(self) -> bool:
        """Whether patience is at its end."""
        return self.waited >= self.patience


@dataclass
class PhaseState:
    """Where a phase of training stands after ``epoch`` epochs.

    ``weights``, ``best`` and ``optimizer`` are the arrays of the part that learns (now and at its
    best epoch) and of the optimizer, in Keras' order.
    """

    epoch: int
    stopping: EarlyStopping
    rows: list[dict[str, Any]]
    weights: list[np.ndarray] = field(default_factory=list)
    best: list[np.ndarray] = field(default_factory=list)
    optimizer: list[np.ndarray] = field(default_factory=list)

    def marked_rows(self) -> list[dict[str, Any]]:
        """Return the record of each epoch with ``is_best``."""
        best = self.stopping.best_epoch
        return [{**row, "is_best": row["epoch"] == best} for row in self.rows]


class StageFolder:
    """The files of an unfinished stage.

    ``stage.json`` names the settings, ``weights-K.npz`` is the whole model before phase K (counted
    from 0; the last one is the end of training), ``phase-K.npz`` the state within phase K.

    Args:
        folder: Of this stage alone; everything in it is deleted by ``clear``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def open(self, settings: dict[str, Any]) -> bool:
        """Begin, or go on if the folder holds a stage with the same settings.

        A stage of which no epoch is whole keeps nobody from changing the settings.

        Returns:
            Whether there is something to go on with.

        Raises:
            UserError: If it holds a stage with other settings; the first difference is named.
        """
        path = self.folder / "stage.json"
        if path.is_file():
            files.remove_leftovers(self.folder.parent, self.folder.name)
            try:
                compare_settings(_read_json(path), settings, f"{self.folder}: unfinished training")
                if self.is_begun():
                    return True
            except UserError:
                if self._has_epochs():
                    raise
        self.clear()
        files.write_json(path, settings)
        return False

    def is_begun(self) -> bool:
        """Tell whether the weights to begin with were had; a start before that left nothing."""
        return any(self.folder.glob("weights-*.npz"))

    def clear(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def features(self, phase: int) -> Path:
        """Return the folder for cached features of a phase."""
        return self.folder / f"features-{phase}"

    def save_weights(self, phase: int, weights: Sequence[np.ndarray]) -> None:
        """Keep the whole model as it is before a phase, and drop what the phase before needed."""
        _write_arrays(self.folder / f"weights-{phase}.npz", {"weights": weights})
        if phase > 0:
            shutil.rmtree(self.features(phase - 1), ignore_errors=True)

    def _has_epochs(self) -> bool:
        return any(self.folder.glob("phase-*.npz"))

    def latest_weights(self) -> tuple[int, list[np.ndarray]] | None:
        """Return the last phase that was reached, and the whole model before it."""
        names = (path.name for path in self.folder.glob("weights-*.npz"))
        phases = sorted(int(found[1]) for name in names if (found := _WEIGHTS.fullmatch(name)))
        if not phases:
            return None
        path = self.folder / f"weights-{phases[-1]}.npz"
        arrays, _ = _read_arrays(path)
        if list(arrays) != ["weights"]:
            raise UserError(f"{path}: {_DAMAGED}")
        return phases[-1], arrays["weights"]

    def save_phase(self, phase: int, state: PhaseState) -> None:
        """Keep the state at the end of an epoch."""
        arrays = {"weights": state.weights, "best": state.best, "optimizer": state.optimizer}
        facts = {
            "epoch": state.epoch,
            "rows": state.rows,
            "stopping": dataclasses.asdict(state.stopping),
        }
        _write_arrays(self.folder / f"phase-{phase}.npz", arrays, facts)

    def load_phase(self, phase: int) -> PhaseState | None:
        """Return the state of a phase, or None if it has not finished an epoch."""
        path = self.folder / f"phase-{phase}.npz"
        if not path.is_file():
            return None
        arrays, facts = _read_arrays(path)
        try:
            return _phase_state(arrays, facts)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"{path}: {_DAMAGED}") from error

    def rows(self, phase: int) -> list[dict[str, Any]]:
        """Return the record of each epoch of a phase that is done; see ``PhaseState``.

        Raises:
            UserError: If it is not there.
        """
        state = self.load_phase(phase)
        if state is None:
            raise UserError(f"{self.folder / f'phase-{phase}.npz'}: {_DAMAGED}")
        return state.marked_rows()


@contextlib.contextmanager
def fitting(folder: StageFolder) -> Iterator[None]:
    """Turn what Keras says of kept arrays that do not fit the network into one line.

    Raises:
        UserError: Instead of a ``ValueError`` of the block.
    """
    try:
        yield
    except ValueError as error:
        raise UserError(f"{folder.folder}: not of this network; {_DAMAGED}") from error


def optimizer_arrays(net: keras.Model) -> list[np.ndarray]:
    """Return the state of a compiled model's optimizer."""
    return [variable.numpy() for variable in net.optimizer.variables]


def restore_optimizer(net: keras.Model, arrays: Sequence[np.ndarray]) -> None:
    """Put a state of ``optimizer_arrays`` back."""
    net.optimizer.build(net.trainable_variables)
    for variable, value in zip(net.optimizer.variables, arrays, strict=True):
        variable.assign(value)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json_object(files.read_text(path))
    except ValueError:
        raise UserError(f"{path}: cannot be read; --no-resume begins afresh") from None


def _phase_state(arrays: dict[str, list[np.ndarray]], facts: dict[str, Any]) -> PhaseState:
    """Build a state of what a file holds, each part of its type.

    Raises:
        KeyError, TypeError, ValueError: If one is not.
    """
    kept, rows = facts["stopping"], facts["rows"]
    epoch = as_whole(facts["epoch"], 0, _MOST_EPOCHS)
    if not isinstance(rows, list) or len(rows) != epoch:
        raise ValueError("a record is needed for each epoch")
    for row in rows:
        as_whole(row["epoch"], 1, epoch)
        for name in ("loss", "accuracy", "val_loss", "val_accuracy", "val_macro_f1"):
            float(row[name])  # may be no number, as in a training that failed
    best = kept["best"]
    stopping = EarlyStopping(
        patience=as_whole(kept["patience"], 1, _MOST_EPOCHS),
        mode=as_text(kept["mode"], "min|max"),
        best=None if best is None else float(best),
        best_epoch=as_whole(kept["best_epoch"], 0, epoch),
        waited=as_whole(kept["waited"], 0, epoch),
    )
    return PhaseState(epoch=epoch, stopping=stopping, rows=rows, **arrays)


def _write_arrays(
    path: Path, groups: dict[str, Sequence[np.ndarray]], facts: dict[str, Any] | None = None
) -> None:
    arrays = {f"{name}-{i:05}": a for name, group in groups.items() for i, a in enumerate(group)}
    arrays["facts"] = np.frombuffer(
        json.dumps({"groups": list(groups), "facts": facts or {}}).encode(), np.uint8
    )
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    files.write_bytes(path, buffer.getbuffer())


def _read_arrays(path: Path) -> tuple[dict[str, list[np.ndarray]], dict[str, Any]]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            facts = json.loads(stored["facts"].tobytes())
            groups = {
                name: [stored[key] for key in sorted(stored) if key.rsplit("-", 1)[0] == name]
                for name in facts["groups"]
            }
    except Exception as error:  # NumPy and zipfile raise many kinds for damaged files
        raise UserError(f"{path}: {_DAMAGED}") from error
    return groups, facts["facts"]

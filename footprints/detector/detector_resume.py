"""What a training of a detector keeps, so that the same command goes on after any kind of end.

In the folder ``resume_detector``, ``last.pt`` is Ultralytics' checkpoint of the last whole epoch,
``training.csv`` has the figures of all epochs, ``state.json`` the settings; that is written last.
The best network so far lies beside the folder as ``detector_unfinished.pt``. Nothing is kept before
an epoch is whole, so a start that fails leaves nothing behind.
"""

from __future__ import annotations

import csv
import io
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from footprints.system.errors import UserError
from footprints.system.files import read_text, write_bytes, write_json
from footprints.system.resuming import compare_settings
from footprints.system.typed import as_flag, as_number, as_text, as_whole, json_object

FOLDER = "resume_detector"
UNFINISHED = "detector_unfinished.pt"  # the best so far, while a training runs
_AFRESH = "--no-resume begins afresh"
_CHOSEN = {"optimizer": as_text, "lr0": as_number, "warmup_bias_lr": as_number}


@dataclass(frozen=True)
class Stopped:
    """A training that did not come to its end: so many epochs are whole; whether that is all."""

    epochs: int
    is_done: bool


class TrainingState:
    """The state of a training in an output folder.

    Args:
        output_dir: Held by this process.
        settings: All that the result depends on.
    """

    def __init__(self, output_dir: Path, settings: dict[str, Any]) -> None:
        self.folder = output_dir / FOLDER
        self.best = output_dir / UNFINISHED
        self._settings = settings

    def read(self) -> Stopped | None:
        """Return what there is to go on with.

        Raises:
            UserError: If that was made with other settings, or is damaged.
        """
        path = self.folder / "state.json"
        if not path.is_file():
            return None
        try:
            content = json_object(read_text(path))
            stopped = Stopped(
                as_whole(content.get("epochs"), 1, 10**6), as_flag(content.get("is_done"))
            )
            before = content.get("settings")
            if not isinstance(before, dict):
                raise ValueError("has no settings")
        except ValueError as error:
            raise UserError(f"{path}: damaged ({error}); {_AFRESH}") from None
        compare_settings(before, self._settings, f"{self.folder}: unfinished training")
        for needed in (self.best, self.folder / "last.pt", self.folder / "training.csv"):
            if not needed.is_file():
                raise UserError(f"{needed}: is missing, so the training cannot go on; {_AFRESH}")
        return stopped

    def save(self, trainer: Any) -> None:
        """Keep the state of a trainer of Ultralytics, after its ``save_model``, and the best."""
        if trainer.best.is_file() and trainer.fitness == trainer.best_fitness:
            write_bytes(self.best, _without_paths(trainer.best))
        write_bytes(self.folder / "training.csv", trainer.csv.read_bytes())
        write_bytes(self.folder / "last.pt", trainer.last.read_bytes())
        content = {"epochs": trainer.epoch + 1, "is_done": bool(trainer.stop)}
        write_json(self.folder / "state.json", content | {"settings": self._settings})

    def restore(self, run_folder: Path, train_args: dict[str, Any]) -> Path:
        """Lay the files out as Ultralytics expects them.

        Args:
            run_folder: New folder of the run.
            train_args: Of the training; of those that the checkpoint holds, only what Ultralytics
                chose by itself is taken.

        Returns:
            The checkpoint to go on from.

        Raises:
            UserError: If it is damaged or asks for more than the parts of a network.
        """
        kept, last = self.folder / "last.pt", run_folder / "weights" / "last.pt"
        checkpoint = _load(kept, last)
        try:
            epoch = as_whole(checkpoint["epoch"], 0, 10**6)
            before = checkpoint["train_args"]
            chosen = {key: kind(before[key]) for key, kind in _CHOSEN.items() if key in before}
            checkpoint["ema"].args = checkpoint["train_args"] = {**train_args, **chosen}
            checkpoint["train_results"] = {}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"{kept}: cannot be gone on from ({error}); {_AFRESH}") from None
        _save(last, checkpoint)
        best = last.with_name("best.pt")
        _save(best, _load(self.best, best))  # anew, since Ultralytics loads it without care
        rows = _first_rows(read_text(self.folder / "training.csv"), epoch + 1)
        (run_folder / "results.csv").write_text(rows, encoding="utf-8")
        return last

    def clear(self) -> None:
        """Forget the training."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.best.unlink(missing_ok=True)


def is_finished(detector: Path, record: Path, settings: dict[str, Any]) -> bool:
    """Tell whether a training came to its end with these settings.

    Raises:
        UserError: If there is a detector that was trained with others.
    """
    if not record.is_file() or not detector.is_file():
        return False
    try:
        before = json_object(read_text(record)).get("settings")
    except ValueError:
        before = None
    if not isinstance(before, dict):
        raise UserError(
            f"{detector}: is there already, and nothing says how it was trained; choose another "
            "--output_dir, or replace it with --no-resume"
        )
    compare_settings(before, settings, f"{detector}: was trained")
    return True


def _without_paths(path: Path) -> bytes:
    """Return a checkpoint of our own training as a network to be used.

    Without the state of the training, and without the folders and names of this computer.
    """
    import torch
    from ultralytics.nn import tasks

    checkpoint, _ = tasks.torch_safe_load(path, safe_only=True)
    network = checkpoint.get("ema") or checkpoint["model"]
    for key in ("git", "train_results"):
        checkpoint.pop(key, None)
    for key in ("ema", "optimizer", "scaler", "stopper", "updates", "best_fitness"):
        checkpoint[key] = None
    checkpoint |= {"epoch": -1, "model": network}
    network.args = dict(network.args)
    for holder in (checkpoint["train_args"], network.args):
        for key in ("data", "project", "save_dir", "model", "name", "resume"):
            if key in holder:
                holder[key] = None
    if hasattr(network, "pt_path"):
        network.pt_path = None
    if isinstance(getattr(network, "yaml", None), dict) and network.yaml.get("yaml_file"):
        network.yaml["yaml_file"] = Path(network.yaml["yaml_file"]).name
    content = io.BytesIO()
    torch.save(checkpoint, content)
    return content.getvalue()


def _load(source: Path, plain: Path) -> dict[str, Any]:
    """Load a checkpoint, its classes held to a list of known ones, by way of a plain path."""
    from ultralytics.nn import tasks

    plain.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, plain)
    try:
        checkpoint, _ = tasks.torch_safe_load(plain, safe_only=True)
        if not isinstance(checkpoint, dict):
            raise TypeError("it is no checkpoint")
    except Exception as error:  # a foreign pickle raises almost anything
        reason = " ".join(str(error).replace(str(plain), "it").split())[:150]
        raise UserError(f"{source}: cannot be gone on from ({reason}); {_AFRESH}") from None
    return checkpoint


def _save(path: Path, checkpoint: dict[str, Any]) -> None:
    import torch

    content = io.BytesIO()
    torch.save(checkpoint, content)
    write_bytes(path, content.getvalue())


def _first_rows(text: str, epochs: int) -> str:
    """Return the head and the rows of whole epochs; a kill may have left one more."""
    lines = list(csv.reader(text.splitlines()))
    return "".join(",".join(line) + "\n" for line in lines[: epochs + 1])

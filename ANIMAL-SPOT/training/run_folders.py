"""Where a training reads and writes: folders made and proved before anything long starts."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from animal_spot.data.corpus import CorpusError
from animal_spot.training.config import TrainConfig
from animal_spot.utils.files import refuse_links, remove_leftovers, require_writable_folder

_USES = {"data": "the folder of the labelled clips", "model": "the folder of the new model"}


@dataclass(frozen=True, kw_only=True)
class RunFolders:
    """Folders of a training, as absolute paths.

    Attributes:
        data: Labelled clips.
        model: Model file and ``results.json``.
        summary: Parent of TensorBoard's run folders.
        checkpoint: Checkpoints; None: the run cannot resume.
        log: ``TRAIN.log`` and ``excluded_files.csv``; None: neither is written.
        cache: Kept features; None: computed each time.
    """

    data: Path
    model: Path
    summary: Path
    checkpoint: Path | None = None
    log: Path | None = None
    cache: Path | None = None

    @classmethod
    def made_for(cls, config: TrainConfig) -> RunFolders:
        """Make the folders that settings name, and prove that they can be written.

        Raises:
            ValueError: If the settings name no folder of the data or of the model.
            CorpusError: If there is no data folder.
            OSError: If one cannot be written.
        """
        _require_names(config)
        data = Path(config.data_dir).resolve()
        if not data.is_dir():
            raise CorpusError(
                f"the data folder {config.data_dir} does not exist or is not a folder"
            )
        written = ("model", "checkpoint", "log", "summary", "cache")
        given = {name: getattr(config, f"{name}_dir") for name in written}
        given["summary"] = given["summary"] or "runs"
        paths = {name: Path(path).resolve() for name, path in given.items() if path}
        for name, path in paths.items():
            require_writable_folder(path, f"the {name} folder")
        return cls(data=data, **paths)

    def of_fold(self, fold: int) -> RunFolders:
        """Make those of one fold, in them, without what a killed run left there.

        Args:
            fold: Number, from 0.

        Raises:
            OSError: If one is a link, or cannot be written.
        """
        own = {}
        for name in ("model", "checkpoint", "summary"):
            parent = getattr(self, name)
            if parent is not None:
                own[name] = parent / f"fold_{fold + 1}"
                refuse_links(own[name], parent)
                require_writable_folder(own[name], f"the {name} folder")
                remove_leftovers(own[name])
        return dataclasses.replace(self, **own)


def run_prefix(n_classes: int) -> str:
    """Return how checkpoints and TensorBoard's run folders of a task are called."""
    return "binary_classifier" if n_classes == 2 else f"multi_class_{n_classes}_classifier"


def _require_names(config: TrainConfig) -> None:
    missing = {name: use for name, use in _USES.items() if getattr(config, f"{name}_dir") is None}
    if missing:
        said = "; ".join(f"--{name}_dir is needed: {use}" for name, use in missing.items())
        raise ValueError(f"{said}{_demo_offer() if 'data' in missing else ''}")


def _demo_offer() -> str:
    """Return what to type for a first try without clips of one's own."""
    here = Path.cwd()
    program = Path(__file__).resolve().parents[1] / "synthesise_corpus.py"
    paths = [
        p.relative_to(here) if here in p.parents else p for p in (Path(sys.executable), program)
    ]
    command = shlex.join([*map(str, paths), "--output_dir", "demo/data"])
    return (
        f". To try it with made-up calls, type {command} and then your command again with "
        "--data_dir demo/data --model_dir demo/model"
    )

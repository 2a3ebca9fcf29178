"""A retraining: reviewed prints join the prepared set, a model is trained, both are compared.

Each retraining is a round with a folder of its own. The same command goes on with a round that was
stopped; after further decisions it makes the next one, again from the model that is named.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from footprints.network.keras_file import read_metadata
from footprints.network.prepared_set import PreparedSet, open_set
from footprints.network.stage import MODEL_FILES
from footprints.pictures.folders import SPLITS
from footprints.pictures.scales import scales_of
from footprints.pictures.similarity import DEFAULT_MAX_DISTANCE
from footprints.preparation.manifest import pictures_of
from footprints.retraining import comparison, joining
from footprints.retraining.examples import Example, cut_examples, labels_of, usable
from footprints.retraining.joined_set import Picture, known_photos, pictures_in, write_joined
from footprints.retraining.measuring import measure
from footprints.retraining.old_training import flags_of
from footprints.reviewing.judged import Judged, judged
from footprints.reviewing.project import NO_PRINT, Project
from footprints.scores.calibration import UNKNOWN
from footprints.system import files
from footprints.system.child import run_step
from footprints.system.errors import UserError
from footprints.system.progress import say, warn
from footprints.system.settings import Settings
from footprints.system.text import printable, printable_lines
from footprints.system.typed import json_object

RESULT, TEXT = "results.json", "retrained.txt"
_STATE, _SET, _CROPS, _MODEL = "round.json", "prepared", "reviewed", "model"
_ROUND = re.compile(r"round_(\d{1,6})\Z")
_SHOWN = 3  # names in a note


@dataclass(frozen=True)
class Wanted:
    """What is asked for.

    Attributes:
        project: File of the review.
        model: What it begins with.
        prepared: Output folder of prepare, or a set in it.
        output: Where rounds go.
        held_out: Share of the reviewed groups that is not learned from.
        training: Flags of train.
    """

    project: Path
    model: Path
    prepared: Path
    output: Path
    held_out: float
    training: tuple[str, ...] = ()


def retrain(wanted: Wanted) -> int:
    """Retrain, or go on with it, or show what it brought; return the exit status.

    Raises:
        UserError: If there is nothing to learn from, or something given cannot be used.
        OSError: If something cannot be read or written.
    """
    facts = _facts_of(wanted.model)
    every, rows = _rows_of(wanted.project)
    prepared = _prepared_of(wanted, facts)
    _require_outside(wanted, prepared)
    with files.output_folder(wanted.output):
        folder = _round_of(wanted, rows, prepared)
        if (folder / RESULT).is_file():
            say(f"{folder}: this was learned already; decide on more, or see what it brought:")
            print(printable_lines("\n".join(comparison.text_of(_read(folder / RESULT)))))
            return 0
        return _Round(wanted, facts, every, rows, prepared, folder).run()


def _facts_of(model: Path) -> dict[str, Any]:
    if model.suffix != ".keras":
        raise UserError(
            f"--model {model}: retraining begins with a .keras file of footprints.train, of which "
            ".tflite and .onnx files are made"
        )
    return read_metadata(model)


def _rows_of(path: Path) -> tuple[list[Judged], list[Judged]]:
    """Return what was decided, and what of it can be learned from or asked about.

    Raises:
        UserError: If there is nothing, or the file is none of a review.
    """
    try:
        with Project(path) as project:
            every = judged(project)
    except ValueError as error:
        raise UserError(printable(str(error))) from error
    rows = usable(every)
    if not every:
        raise UserError(f"{printable(path)}: nothing was decided yet; there is nothing to learn")
    if not rows:
        raise UserError(
            f"{printable(path)}: none of the {len(every)} decisions says whose print it is; there "
            "is nothing to learn"
        )
    return every, rows


def _prepared_of(wanted: Wanted, facts: Mapping[str, Any]) -> PreparedSet:
    """Open the set that the model was trained on.

    Raises:
        UserError: If it is not there, or of other classes or sizes.
    """
    folder = wanted.prepared
    stage = str(facts.get("stage"))
    for inner in dict.fromkeys((stage, *MODEL_FILES)):
        if inner in MODEL_FILES and (folder / inner / "manifest.csv").is_file():
            folder = folder / inner
            break
    manifest = folder / "manifest.csv"
    if not manifest.is_file():
        raise UserError(
            f"--prepared {printable(folder)}: holds no prepared set, which the model is trained on "
            "beside the reviewed photos; make it by footprints prepare, or name its folder"
        )
    there = {one.split for one in pictures_of(manifest)}
    splits = tuple(name for name in SPLITS if name in there | {"train", "val"})
    model = str(wanted.model)
    prepared = open_set(folder, splits).with_classes(facts["classes"], model)
    prepared = prepared.with_scales(scales_of(facts), model)
    if prepared.image_size != facts["image_size"]:
        raise UserError(
            f"{model}: takes photos of {facts['image_size']} pixels, the crops in {folder} have "
            f"{prepared.image_size}"
        )
    return prepared


def _require_outside(wanted: Wanted, prepared: PreparedSet) -> None:
    """Make sure that nothing is written where nothing may change.

    Raises:
        UserError: If the output folder lies in the prepared set.
    """
    output = wanted.output.resolve()
    if output.is_relative_to(prepared.folder.resolve().parent):
        raise UserError(
            f"--output_dir {printable(wanted.output)}: lies in the prepared photos, in which "
            "nothing is changed; name a folder elsewhere"
        )


def _round_of(wanted: Wanted, rows: Sequence[Judged], prepared: PreparedSet) -> Path:
    """Return the folder of the newest round if it is of the same, else that of the next."""
    key = [
        [_identity(row) for row in rows],
        files.sha256_of(wanted.model),
        prepared.fingerprint(),
        *(wanted.held_out, wanted.training),
    ]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    numbers = [int(m[1]) for p in wanted.output.iterdir() if (m := _ROUND.match(p.name))]
    newest = max(numbers, default=0)
    folder = wanted.output / f"round_{newest}"
    if newest and _state(folder) == digest:
        return folder
    folder = wanted.output / f"round_{newest + 1}"
    files.write_json(folder / _STATE, {"digest": digest})
    return folder


def _identity(row: Judged) -> list[Any]:
    return [row.id, str(row.photo.path), row.predicted, row.verdict, row.class_name, row.box]


def _state(folder: Path) -> str | None:
    try:
        return json_object((folder / _STATE).read_bytes()).get("digest")
    except (OSError, ValueError):
        return None


def _read(path: Path) -> dict[str, Any]:
    try:
        return json_object(path.read_bytes())
    except ValueError as error:
        raise UserError(f"{printable(path)}: cannot be read; remove its folder") from error


class _Round:
    """One round, from decisions to results."""

    def __init__(
        self,
        wanted: Wanted,
        facts: Mapping[str, Any],
        every: Sequence[Judged],
        rows: Sequence[Judged],
        prepared: PreparedSet,
        folder: Path,
    ) -> None:
        self._wanted, self._facts, self._every, self._rows = wanted, facts, every, rows
        self._prepared, self._folder = prepared, folder
        self._notes: list[str] = []

    def run(self) -> int:
        """Do what is left of it; return the exit status."""
        examples = self._examples()
        pictures = pictures_in(self._prepared)
        where = self._places(examples, pictures)
        learned = [one for one, at in zip(examples, where, strict=True) if at == joining.LEARNED]
        if not learned:
            raise UserError(
                f"{printable(self._wanted.project)}: of {len(examples)} reviewed prints none can "
                f"be learned from ({_counted(where)}); decide on more photos"
            )
        n = write_joined(self._set, self._prepared, pictures, learned)
        if n:
            self._note(
                f"{n} training photos were reviewed: the reviewed prints are learned in their place"
            )
        model = self._folder / _MODEL / MODEL_FILES["real"]
        status = run_step("train", self._flags())
        if status:
            return status
        self._compare(model, examples, where)
        return 0

    @property
    def _set(self) -> Path:
        return self._folder / _SET / "real"

    def _examples(self) -> list[Example]:
        settings = {
            name: value
            for name, value in self._prepared.settings.items()
            if name in {one.name for one in fields(Settings)}
        }
        settings["image_size"] = self._prepared.image_size
        examples, failed = cut_examples(
            self._rows,
            labels_of(self._rows, self._prepared.classes),
            self._folder / _CROPS,
            Settings(**settings),
            str(self._of_prepare("mode", "detect")),
            self._prepared.scales,
        )
        if failed:
            more = f" and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
            self._note(f"photos that cannot be read: {', '.join(failed[:_SHOWN])}{more}")
        if not examples:
            raise UserError(
                f"{printable(self._wanted.project)}: none of its reviewed photos can be read, as "
                f"{failed[0]}; footprints review --photos DIR says where they are now"
            )
        return examples

    def _of_prepare(self, key: str, default: Any) -> Any:
        try:
            return _read(self._prepared.folder / "prepare.json").get(key, default)
        except OSError:
            return default

    def _places(self, examples: Sequence[Example], pictures: Sequence[Picture]) -> list[str]:
        where = joining.places(
            examples,
            known_photos(self._prepared, pictures),
            {*self._prepared.classes, *([UNKNOWN] if self._prepared.other else [])},
            int(self._of_prepare("max_distance", DEFAULT_MAX_DISTANCE)),
            self._wanted.held_out,
        )
        say(f"{len(examples)} reviewed prints: {_counted(where)}")
        for place, text in _SAID.items():
            if n := where.count(place):
                self._note(f"{n} {text}")
        if joining.HELD_OUT not in where:
            self._note("too few reviewed photos to hold any out; see what it brought on the others")
        n_silent = len(self._every) - len(self._rows)
        if n_silent:
            n_empty = sum(row.class_name == NO_PRINT for row in self._every)
            self._note(
                f"{n_silent} rows say nothing of a class, {n_empty} of them that there is no "
                "print; for a detector, export the boxes as YOLO in footprints review and give "
                "them to footprints train_detector"
            )
        if (self._facts.get("training") or {}).get("teachers"):
            self._note(
                "the old model learned from a teacher too; that is left out, unless it is named: "
                "-- --teacher MODEL"
            )
        return where

    def _flags(self) -> list[str]:
        return [
            *("--stage", "real", "--data_dir", str(self._folder / _SET)),
            *("--output_dir", str(self._folder / _MODEL), "--weights", str(self._wanted.model)),
            *flags_of(self._facts, self._folder),
            *self._wanted.training,
        ]

    def _compare(self, model: Path, examples: list[Example], where: list[str]) -> None:
        part = "test" if "test" in self._prepared.parts else "val"
        before = measure(self._wanted.model, self._prepared, part, examples)
        joined = open_set(self._set, (part,))
        after = measure(model, joined, part, examples)
        content = {
            "model": {
                "before": {
                    "file": printable(self._wanted.model),
                    "sha256": files.sha256_of(self._wanted.model),
                },
                "after": {"file": printable(model), "sha256": files.sha256_of(model)},
            },
            "project": printable(self._wanted.project),
            "prepared": printable(self._prepared.folder),
            "reviewed": dict(sorted(Counter(where).items())),
            "sets": comparison.sets_of(part, before, after, examples, where),
            "strangers": comparison.strangers_of(part, before, after, examples),
            "changes": comparison.changes_of(before, after, examples, where),
            "notes": self._notes,
        }
        text = "\n".join(comparison.text_of(content))
        files.write_text(self._folder / TEXT, text + "\n")
        files.write_json(self._folder / RESULT, content)
        print(printable_lines(text))
        say(f"the new model is {model}, what it brought in {self._folder / TEXT}")

    def _note(self, text: str) -> None:
        warn(text)
        self._notes.append(text)


_SAID = {
    joining.LIKE_TEST: "look like test photos: they are not learned from, but asked about",
    joining.LIKE_VAL: "look like validation photos and are not learned from",
    joining.NEW_CLASS: f"are of a new class with fewer than {joining.LEAST_OF_CLASS} prints to "
    "learn from, and left out",
    joining.NO_CLASS: f"are of animals of no class ({UNKNOWN}) and not learned from, since the "
    "prepared set has no photos of other animals (prepare --others)",
}


def _counted(where: Sequence[str]) -> str:
    return ", ".join(f"{n} {place}" for place, n in sorted(Counter(where).items()))

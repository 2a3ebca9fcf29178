"""What ``results.json`` of a training, or of a cross-validation, says; checked once, here.

Runs of earlier versions lack keys; what they would say is None or empty then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from animal_spot.reporting.sources import RESULTS, read_json
from animal_spot.utils.typed import ContentError, integer, number, typed

PARTS = {"train": "training", "val": "validation", "test": "test"}  # of a split, in words
Interval = tuple[float, float] | None


@dataclass(frozen=True)
class ClassScore:
    """How good a network is on one class.

    Attributes:
        name: Of the class.
        clips: That were judged.
        correct: How many of them are right.
        accuracy: Share of them, 0..1; None without clips.
        interval: Its 95 % interval; None if unknown.
        tapes: Recordings that the clips are from; None if unknown.
    """

    name: str
    clips: int
    correct: int
    accuracy: float | None
    interval: Interval
    tapes: int | None = None


@dataclass(frozen=True)
class Scores:
    """How good a network is on clips that it did not learn from.

    Attributes:
        classes: One by one, in index order.
        accuracy: Share of all clips that are right, 0..1.
        macro: Mean of the classes' accuracies; None if there is none.
        confusion: Counts ``[true][predicted]``.
        accuracy_interval: 95 % interval of ``accuracy``; None if it is not said.
        macro_interval: Likewise of ``macro``.
        tapes: Recordings that the clips are from; None if unknown.
        loss: Mean cross entropy; None if it is not said.
    """

    classes: tuple[ClassScore, ...]
    accuracy: float
    macro: float | None
    confusion: tuple[tuple[int, ...], ...]
    accuracy_interval: Interval = None
    macro_interval: Interval = None
    tapes: int | None = None
    loss: float | None = None

    @property
    def clips(self) -> int:
        """How many were judged."""
        return sum(row.clips for row in self.classes)

    @property
    def correct(self) -> int:
        """How many of them are right."""
        return sum(row.correct for row in self.classes)


@dataclass(frozen=True)
class JudgedClip:
    """What a network said of a clip.

    Attributes:
        file: Its name, relative to the data folder; ``file#begin-end`` is a part of a file.
        true: Its class.
        predicted: The answer.
        probability: Of the answer, 0..1; None if it is not said.
        tape: Recording that it is from; None if unknown.
    """

    file: str
    true: str
    predicted: str
    probability: float | None = None
    tape: str | None = None

    @property
    def is_right(self) -> bool:
        """Whether the answer is the class."""
        return self.true == self.predicted


@dataclass(frozen=True)
class ClassCount:
    """Clips of a class in a part of the split, and the recordings that they are from."""

    name: str
    clips: int
    tapes: int | None = None


@dataclass(frozen=True)
class Fold:
    """One of the networks of a cross-validation."""

    number: int
    clips: Mapping[str, int]
    tapes: int
    accuracy: float
    macro: float | None


@dataclass(frozen=True)
class Results:
    """What a run says of itself.

    Attributes:
        path: ``results.json``.
        settings: All options of ``train``, by name.
        classes: In index order.
        noise_class: The class that is no call; None: all are calls.
        precision: Arithmetic; None if it is not said.
        versions: Of programs, by name.
        warnings: What was probably not as it was meant.
        excluded: Files that were left out; None if it is not said.
        clips: In each part of the split.
        counts: Of each class in each part; empty if it is not said.
        scores: ``val`` and ``test``; of a cross-validation ``all``.
        judged: Of these the clips that are known by name: wrong ones, and some or all right ones.
        folds: Networks of a cross-validation, else empty.
        content: The whole file, for what has no attribute of its own.
    """

    path: Path
    settings: Mapping[str, Any]
    classes: tuple[str, ...]
    noise_class: str | None
    precision: str | None
    versions: Mapping[str, str]
    warnings: tuple[str, ...]
    excluded: int | None
    clips: Mapping[str, int]
    counts: Mapping[str, tuple[ClassCount, ...]]
    scores: Mapping[str, Scores]
    judged: Mapping[str, tuple[JudgedClip, ...]]
    folds: tuple[Fold, ...]
    content: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        """Where the run's model is."""
        return self.path.parent

    def text(self, key: str) -> str | None:
        """Return a text of the file; None if it is not there or none."""
        value = self.content.get(key)
        return value if isinstance(value, str) else None

    def part(self, key: str) -> Mapping[str, Any]:
        """Return an object of the file; empty if it is not there or none."""
        value = self.content.get(key)
        return value if isinstance(value, Mapping) else {}


def read_results(folder: Path) -> Results:
    """Read ``results.json`` of a training or of a cross-validation.

    Raises:
        ValueError: If it is damaged.
        OSError: If it cannot be read.
    """
    return read_results_file(folder / RESULTS)


def read_results_file(path: Path) -> Results:
    """Read such a file, or that of an ensemble, whatever its name.

    Raises:
        ValueError: If it is damaged.
        OSError: If it cannot be read.
    """
    content = read_json(path)
    try:
        return _results(path, content)
    except ContentError as error:
        raise ContentError(f"{path} is damaged: {error}") from error


def _results(path: Path, content: Mapping[str, Any]) -> Results:
    by_name = typed(dict[str, int], content.get("classes", {}), "classes")
    names = tuple(sorted(by_name, key=by_name.__getitem__))
    if not names:
        raise ContentError("it names no classes")
    if "pooled" in content:
        scores = {"all": _scores(content["pooled"], names, "pooled")}
        judged = {"all": _all_clips(content.get("clips", []), names)}
        clips: dict[str, int] = {}
    else:
        parts = typed(dict[str, Any], content.get("partitions", {}), "partitions")
        scores = {name: _scores(entry, names, name) for name, entry in parts.items()}
        judged = {
            name: (
                *_clips(entry.get("wrong_clips", []), f"{name}.wrong_clips"),
                *_clips(entry.get("surest_clips", []), f"{name}.surest_clips"),
            )
            for name, entry in parts.items()
        }
        clips = typed(dict[str, int], content.get("clips", {}), "clips")
    return Results(
        path=path,
        settings=typed(dict[str, Any], content.get("settings", {}), "settings"),
        classes=names,
        noise_class=typed(str | None, content.get("noise_class"), "noise_class"),
        precision=typed(str | None, content.get("precision"), "precision"),
        versions=typed(dict[str, str], content.get("versions", {}), "versions"),
        warnings=typed(tuple[str, ...], content.get("warnings", []), "warnings"),
        excluded=typed(int | None, content.get("excluded_files"), "excluded_files"),
        clips=clips,
        counts=_counts(content.get("classes_of_clips", {})),
        scores=scores,
        judged=judged,
        folds=_folds(content.get("folds", [])),
        content=content,
    )


def _scores(entry: Any, names: tuple[str, ...], where: str) -> Scores:
    entry = typed(dict[str, Any], entry, where)
    rows = typed(list[dict[str, Any]], entry.get("classes"), f"{where}.classes")
    matrix = typed(list[list[int]], entry.get("confusion_matrix"), f"{where}.confusion_matrix")
    n = len(names)
    if len(rows) != n or len(matrix) != n or any(len(row) != n for row in matrix):
        raise ContentError(f"{where} is not of {n} classes")
    if any(value < 0 for row in matrix for value in row):
        raise ContentError(f"{where}.confusion_matrix has numbers below 0")
    return Scores(
        classes=tuple(_class_score(row, f"{where}.classes[{i}]") for i, row in enumerate(rows)),
        accuracy=number(entry.get("accuracy"), f"{where}.accuracy", least=0, most=1),
        macro=_share(entry.get("macro_accuracy"), f"{where}.macro_accuracy"),
        confusion=tuple(map(tuple, matrix)),
        accuracy_interval=_interval(entry.get("accuracy_interval_95"), where),
        macro_interval=_interval(entry.get("macro_accuracy_interval_95"), where),
        tapes=typed(int | None, entry.get("tapes"), f"{where}.tapes"),
        loss=typed(float | None, entry.get("loss"), f"{where}.loss"),
    )


def _class_score(row: Mapping[str, Any], where: str) -> ClassScore:
    clips = integer(row.get("clips"), f"{where}.clips", least=0, most=2**53)
    return ClassScore(
        name=typed(str, row.get("class"), f"{where}.class"),
        clips=clips,
        correct=integer(row.get("correct"), f"{where}.correct", least=0, most=clips),
        accuracy=_share(row.get("accuracy"), f"{where}.accuracy"),
        interval=_interval(row.get("interval_95"), where),
        tapes=typed(int | None, row.get("tapes"), f"{where}.tapes"),
    )


def _share(value: Any, where: str) -> float | None:
    return None if value is None else number(value, where, least=0, most=1)


def _interval(value: Any, where: str) -> Interval:
    if value is None:
        return None
    ends = typed(list[float], value, f"{where}.interval_95")
    if len(ends) != 2 or not 0 <= ends[0] <= ends[1] <= 1:
        raise ContentError(f"{where}.interval_95 is no interval of shares")
    if ends[0] == ends[1]:  # all draws of a bootstrap are alike, which is no certainty
        return None
    return ends[0], ends[1]


def _clips(entries: Any, where: str) -> list[JudgedClip]:
    return [
        JudgedClip(
            *(typed(str, entry.get(key), f"{where}[{i}].{key}") for key in _OF_A_CLIP),
            probability=_share(entry.get("probability"), f"{where}[{i}].probability"),
        )
        for i, entry in enumerate(typed(list[dict[str, Any]], entries, where))
    ]


_OF_A_CLIP = ("file", "true", "predicted")


def _all_clips(entries: Any, names: tuple[str, ...]) -> tuple[JudgedClip, ...]:
    """Return the clips of a cross-validation, which has the probabilities of all classes."""
    found = []
    for i, entry in enumerate(typed(list[dict[str, Any]], entries, "clips")):
        where = f"clips[{i}]"
        (clip,) = _clips([entry], where)
        said = typed(list[float], entry.get("probabilities"), f"{where}.probabilities")
        if len(said) != len(names) or clip.predicted not in names:
            raise ContentError(f"{where} is not of these classes")
        found.append(
            JudgedClip(
                *(clip.file, clip.true, clip.predicted),
                probability=said[names.index(clip.predicted)],
                tape=typed(str | None, entry.get("tape"), f"{where}.tape"),
            )
        )
    return tuple(found)


def _counts(content: Any) -> dict[str, tuple[ClassCount, ...]]:
    parts = typed(dict[str, list[dict[str, Any]]], content, "classes_of_clips")
    return {
        part: tuple(
            ClassCount(
                typed(str, row.get("class"), f"{part}.class"),
                typed(int, row.get("clips"), f"{part}.clips"),
                typed(int | None, row.get("tapes"), f"{part}.tapes"),
            )
            for row in rows
        )
        for part, rows in parts.items()
    }


def _folds(entries: Any) -> tuple[Fold, ...]:
    return tuple(
        Fold(
            typed(int, entry.get("fold"), "fold"),
            typed(dict[str, int], entry.get("clips"), "fold.clips"),
            typed(int, entry.get("tapes"), "fold.tapes"),
            number(entry.get("accuracy"), "fold.accuracy", least=0, most=1),
            _share(entry.get("macro_accuracy"), "fold.macro_accuracy"),
        )
        for entry in typed(list[dict[str, Any]], entries, "folds")
    )

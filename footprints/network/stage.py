"""One stage of training the classifier, from prepared crops to a model with its figures.

Stage oat teaches a new head on the OpenAnimalTracks crops, the backbone stays as it is. Stage real
starts from that model with a new head for its own classes: first the head alone, then with it the
last layers of the backbone at a low rate. Validation crops choose the epoch, the temperature and
the "unknown" threshold, so a figure on them flatters.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from footprints.network.augmentation import PLAIN
from footprints.network.build import build_model
from footprints.network.distillation import taught_crops, taught_objective
from footprints.network.feature_cache import random_numbers
from footprints.network.freezing import measure_batch_norm
from footprints.network.keras_file import read_metadata, save_model
from footprints.network.loader import CropLoader
from footprints.network.phase import (
    Phase,
    class_weights,
    run_phase,
    validation_scores,
)
from footprints.network.prepared_set import PreparedSet
from footprints.network.refusing import find_refusal
from footprints.network.strangeness import divided
from footprints.network.teachers import Lesson, Teaching, ask_teachers, check_teachers
from footprints.network.train_state import StageFolder, fitting
from footprints.pictures.scales import DEFAULT_SCALES
from footprints.scores import metrics
from footprints.scores.calibration import WEAK, calibrated, threshold_in_use, weakness
from footprints.scores.groups import NONE, choose_group_threshold, groups_named
from footprints.scores.intervals import wilson_interval
from footprints.scores.report import answers_to_crops, score
from footprints.scores.strangers import (
    DISTANCE,
    ENERGY,
    KNOWN_KEPT,
    NONE_OF_THESE,
    Refusal,
    in_words,
)
from footprints.scores.thresholds import WANTED_PRECISION, choose_threshold
from footprints.system import files
from footprints.system.errors import UserError
from footprints.system.progress import say
from footprints.system.resuming import compare_settings
from footprints.system.text import csv_of, printable
from footprints.system.versions import versions

if TYPE_CHECKING:
    import keras

MODEL_FILES = {"oat": "mobilenet_oat.keras", "real": "mobilenet_real.keras"}
STAGES = tuple(MODEL_FILES)
_STATISTICS_BATCHES = 8  # of 64 crops, for the BatchNorm statistics of random weights
_COLUMNS = ("stage", "phase", "epoch", "loss", "accuracy")
_COLUMNS += ("val_loss", "val_accuracy", "val_macro_f1", "seconds", "is_best")


@dataclass(frozen=True)
class Stage:
    """What to do.

    Attributes:
        name: Of ``STAGES``.
        phases: In order.
        start: Where the backbone's weights come from, see ``build_model``.
        backbone: Of ``BACKBONES``.
        output_dir: Where models, histories, curves and logs go.
        seed: Of weights, order, augmentation and dropout.
        class_weights: Whether rare classes count as much as frequent ones.
        views: How many views of each picture the model answers by, see ``pictures.views``.
        groups: Of its classes, as ``scores.groups.groups_named`` takes them.
        known_kept: Share of validation photos of the classes that are not refused as strangers.
        wanted_precision: Share of right answers that the "unknown" threshold is chosen for.
        teaching: Whose answers it learns beside the labels, or None.
        augmented: How photos are changed in training, see ``network.augmentation``.
    """

    name: str
    phases: tuple[Phase, ...]
    start: str
    backbone: str
    output_dir: Path
    seed: int
    class_weights: bool
    views: int
    groups: str = NONE
    wanted_precision: float = WANTED_PRECISION
    teaching: Teaching | None = None
    augmented: str = PLAIN
    known_kept: float = KNOWN_KEPT

    @property
    def path(self) -> Path:
        """Of the model; it is there once the stage is finished."""
        return self.output_dir / MODEL_FILES[self.name]


def stage_folder(output_dir: Path, name: str) -> StageFolder:
    """Return what an output folder keeps of an unfinished stage."""
    return StageFolder(output_dir / "resume" / name)


def train_stage(stage: Stage, prepared: PreparedSet, resume: bool) -> None:
    """Train and save one stage, or go on with it, or see that it is finished.

    Args:
        stage: What to do.
        prepared: The crops.
        resume: Go on with what the output folder holds; else begin afresh.

    Raises:
        UserError: If it holds something that was made otherwise, or crops or weights do not fit.
    """
    name, path, teaching = stage.name, stage.path, stage.teaching
    folder = stage_folder(stage.output_dir, name)
    if teaching is not None and prepared.other is not None:
        raise UserError(
            f"{prepared.folder}: has photos of other animals ({prepared.other}), which a teacher "
            "cannot name; leave out either these or --teacher"
        )
    if teaching is not None:
        check_teachers(teaching.models, prepared)
    settings = _settings_of(stage, prepared)
    if not resume:
        folder.clear()
    elif path.is_file():
        before = read_metadata(path).get("training", {})
        compare_settings(before, settings, f"{path}: was trained")
        folder.clear()
        say(f"{name}: finished already, {path}; --no-resume trains it afresh")
        return
    if folder.open(settings):
        say(f"{name}: going on with the training in {folder.folder}")
    train, val = CropLoader(prepared, "train"), CropLoader(prepared, "val")
    what = "crops" if len(prepared.scales) == 1 else f"photos ({' and '.join(prepared.scales)})"
    say(f"{name}: {train.n_photos} {what} to learn from, {val.n_photos} for validation")
    train.check()
    val.check()
    try:
        model, first = _model_at(stage, folder, train, prepared)
    except UserError:
        if not folder.is_begun():
            folder.clear()
        raise
    lesson = None if teaching is None else ask_teachers(teaching, prepared, folder.folder)
    rows = _train_phases(model, first, stage, folder, (train, val), prepared, lesson)
    _finish(model, stage, (train, val), rows, prepared, settings, lesson)
    folder.clear()


def _settings_of(stage: Stage, prepared: PreparedSet) -> dict[str, Any]:
    """Return all that the result depends on."""
    settings = {
        "stage": stage.name,
        "backbone": stage.backbone,
        "start": _identity(stage.start),
        "classes": list(prepared.classes),
        "image_size": prepared.image_size,
        "photos": prepared.fingerprint(),
        "seed": stage.seed,
        "class_weights": stage.class_weights,
        **{
            f"{phase.name} {name}": value
            for phase in stage.phases
            for name, value in dataclasses.asdict(phase).items()
        },
    }
    if prepared.scales != DEFAULT_SCALES:  # as files of earlier releases have it
        settings["scales"] = list(prepared.scales)
    if stage.views != 1:
        settings["views"] = stage.views
    if groups := groups_named(stage.groups, prepared.classes):
        settings["groups"] = groups.facts()["groups"]
    if stage.wanted_precision != WANTED_PRECISION:
        settings["wanted_precision"] = stage.wanted_precision
    if stage.augmented != PLAIN:
        settings["augmentation"] = stage.augmented
    if stage.known_kept != KNOWN_KEPT:
        settings["known_kept"] = stage.known_kept
    if prepared.other is not None:
        settings["other"] = prepared.other
    return settings if stage.teaching is None else settings | stage.teaching.settings()


def _photos_of(prepared: PreparedSet) -> dict[str, dict[str, int]]:
    """Return the number of photos of each class, by part."""
    return {
        part: dict(zip(prepared.outputs, prepared.counts(part).tolist(), strict=True))
        for part in prepared.parts
    }


_RULES_IN_WORDS = {
    NONE_OF_THESE: "the output for none of these",
    DISTANCE: "their distance to the photos of training",
    ENERGY: "the energy of the classes",
}


def _without_references(refusal: Refusal) -> dict[str, Any]:
    return {key: value for key, value in refusal.facts().items() if key != "references"}


def _prior(stage: Stage, prepared: PreparedSet) -> list[float]:
    """Return how frequent each class is in what the model learns from; never 0."""
    counts = np.maximum(prepared.counts("train")[: len(prepared.classes)], 1).astype(float)
    if stage.class_weights:
        counts = np.ones_like(counts)
    return (counts / counts.sum()).tolist()


def _identity(start: str) -> str:
    """Return what tells one start from another, wherever its file is."""
    if start in ("imagenet", "none"):
        return start
    path = Path(start)
    if not path.is_file():
        raise UserError(f"{path}: no such file; --weights is imagenet, none or a file")
    return f"sha256 {files.sha256_of(path)}"


def _model_at(
    stage: Stage, folder: StageFolder, train: CropLoader, prepared: PreparedSet
) -> tuple[keras.Model, int]:
    """Return the whole model as it was before the phase that is to be done next, and its number."""
    reached = folder.latest_weights()
    weights = stage.start if reached is None else "none"
    size, n_classes = prepared.image_size, len(prepared.outputs)
    seed = stage.seed + STAGES.index(stage.name)
    model = build_model(n_classes, stage.backbone, weights, seed, size, stage.augmented)
    if reached is not None:
        with fitting(folder):
            model.set_weights(reached[1])
        return model, reached[0]
    if stage.start == "none":
        order = int(random_numbers(stage.seed, stage.name, "statistics").integers(2**31))
        batches = train.batches(64, order).take(_STATISTICS_BATCHES)
        measure_batch_norm(model, (photos for photos, _ in batches))
    start = f"{stage.backbone} from {stage.start}"
    say(f"{stage.name}: {start}, {_outputs_in_words(prepared)}, crops of {size} pixels")
    folder.save_weights(0, model.get_weights())
    return model, 0


def _outputs_in_words(prepared: PreparedSet) -> str:
    said = f"{len(prepared.classes)} classes"
    return said if prepared.other is None else f"{said} and an output for none of these"


def _train_phases(
    model: keras.Model,
    first: int,
    stage: Stage,
    folder: StageFolder,
    loaders: tuple[CropLoader, CropLoader],
    prepared: PreparedSet,
    lesson: Lesson | None,
) -> list[dict[str, Any]]:
    """Run what is left of a stage; return the records of all its epochs."""
    rows: list[dict[str, Any]] = []
    weights = class_weights(prepared.counts("train")) if stage.class_weights else None
    train, objective = loaders[0], None
    if lesson is not None:
        train = taught_crops(lesson, prepared, stage.teaching, weights)
        objective, weights = taught_objective(stage.teaching.temperature), None
    for number, phase in enumerate(stage.phases):
        if number < first:
            rows += folder.rows(number)
            continue
        rows += run_phase(
            model,
            phase,
            number=number,
            stage=stage.name,
            train=train,
            val=loaders[1],
            seed=stage.seed,
            weights=weights,
            folder=folder,
            log_dir=stage.output_dir / "logs" / stage.name / phase.name,
            report=say,
            objective=objective,
        )
        folder.save_weights(number + 1, model.get_weights())
    return rows


def _finish(
    model: keras.Model,
    stage: Stage,
    loaders: tuple[CropLoader, CropLoader],
    rows: list[dict[str, Any]],
    prepared: PreparedSet,
    settings: dict[str, Any],
    lesson: Lesson | None,
) -> None:
    """Calibrate on validation and write everything; the model comes last, as it says "finished"."""
    from footprints.scores.plots import curves_figure, figure_files  # Matplotlib: not for help

    name, path, folder = stage.name, stage.path, stage.output_dir
    train, val = loaders
    n_classes = len(prepared.classes)
    said, refusal = find_refusal(
        model, n_classes, train, val, views=stage.views, seed=stage.seed, kept=stage.known_kept
    )
    known = val.photo_labels < n_classes
    raw, _ = divided(said[known], n_classes, None)
    labels = val.photo_labels[known]
    temperature = metrics.fit_temperature(raw, labels)
    probabilities = calibrated(raw, temperature)
    threshold = choose_threshold(probabilities, labels, stage.wanted_precision)
    groups = groups_named(stage.groups, prepared.classes)
    if groups:
        least = threshold_in_use({"classes": prepared.classes, "threshold": threshold.value})
        chosen = choose_group_threshold(
            probabilities, labels, prepared.classes, groups, least, stage.wanted_precision
        )
        groups = dataclasses.replace(groups, threshold=chosen)
    scores = validation_scores(raw, labels)
    validation = {
        "photos": len(labels),
        "loss": scores["val_loss"],
        "accuracy": scores["val_accuracy"],
        "macro_f1": scores["val_macro_f1"],
        "expected_calibration_error": metrics.expected_calibration_error(raw, labels),
        "expected_calibration_error_calibrated": metrics.expected_calibration_error(
            probabilities, labels
        ),
    }
    facts = {"classes": prepared.classes, "threshold": threshold.value, "validation": validation}
    weak = weakness(facts)
    history = {
        "stage": name,
        "settings": settings,
        "data_dir": printable(prepared.folder),
        "photos": _photos_of(prepared),
        "validation": validation,
        "temperature": temperature,
        "threshold": threshold.value,
        **groups.facts(),
        "threshold_choice": threshold.record(),
        "refusal": None if refusal is None else _without_references(refusal),
        "weakness": weak,
        "scores": score(raw, labels, prepared.classes, temperature),
        "versions": versions(),
        "epochs": rows,
    }
    if lesson is not None:
        history["teacher"] = _teacher_scores(stage.teaching, lesson, labels, prepared.classes)
    paths = prepared.parts["val"].paths[: len(labels)]  # those of other animals come last
    crops = [crop.relative_to(prepared.folder).as_posix() for crop in paths]
    note = WEAK if weak else ""
    answers = answers_to_crops(crops, labels, probabilities, prepared.classes, note)
    files.write_text(folder / f"validation_{name}.csv", csv_of(answers))
    files.write_json(folder / f"history_{name}.json", history)
    table = [_COLUMNS, *([row.get(column) for column in _COLUMNS] for row in rows)]
    files.write_text(folder / f"history_{name}.csv", csv_of(table))
    curves = curves_figure(rows, f"stage {name}, {path.name}")
    for kind, picture in figure_files(curves).items():
        files.write_bytes(folder / f"curves_{name}.{kind}", picture)
    save_model(
        model,
        path,
        classes=prepared.classes,
        stage=name,
        temperature=temperature,
        threshold=threshold.value,
        settings=prepared.settings,
        scales=prepared.scales,
        views=stage.views,
        refusal=refusal,
        extra={
            "training": settings,
            "validation": validation,
            "class_prior": _prior(stage, prepared),
            **groups.facts(),
            "threshold_choice": threshold.record(),
        },
    )
    low, high = wilson_interval(scores["val_accuracy"] * len(labels), len(labels))
    say(
        f"{name}: {path}, {path.stat().st_size / 1e6:.1f} MB; validation accuracy "
        f"{scores['val_accuracy']:.3f} ({low:.3f} to {high:.3f}), "
        f"macro F1 {scores['val_macro_f1']:.3f}, temperature {temperature:.2f}"
    )
    used = threshold_in_use(facts)
    say(f'{name}: answers below {used:.2f} are "unknown" ({threshold.in_words()})')
    if refusal is not None:
        counted = in_words(refusal.found["validation"])
        say(f"{name}: strangers are unknown by {_RULES_IN_WORDS[refusal.rule]}: {counted}")
    if groups:
        how = "chosen on validation" if groups.threshold is not None else "the default"
        least = f"{groups.threshold_in_use:.2f}"
        say(f"{name}: {len(groups.members)} groups, answered from {least} on ({how})")
    if weak:
        say(f"{name}: {weak}")
    if lesson is not None:
        teacher, student = history["teacher"], history["scores"]
        said = " and ".join(
            f"the {who}'s {of['macro_f1']:.3f} ({low:.3f} to {high:.3f})"
            for who, of in (("teacher", teacher), ("student", student))
            for low, high in [of["macro_f1_interval"]]
        )
        say(f"{name}: macro F1 on validation is {said}")


def _teacher_scores(
    teaching: Teaching, lesson: Lesson, labels: np.ndarray, classes: tuple[str, ...]
) -> dict[str, Any]:
    """Return what the teachers reach on validation, to compare the student with."""
    scores = score(lesson.val, labels, classes, temperature=1.0)
    wanted = ("photos", "accuracy", "accuracy_interval", "macro_f1", "macro_f1_interval")
    return {
        "models": [printable(path) for path in teaching.models],
        "photos_without_labels": len(lesson.unlabelled),
        **{name: scores[name] for name in wanted},
    }

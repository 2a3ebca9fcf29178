"""One phase of training: epochs on crops or on cached features, early stopping, state on disk."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from footprints.network.backbones import import_keras
from footprints.network.distillation import Objective, TaughtCrops
from footprints.network.feature_cache import FeatureCache, bytes_needed, random_numbers, reseed
from footprints.network.freezing import freeze, split_model
from footprints.network.train_state import (
    EarlyStopping,
    PhaseState,
    StageFolder,
    fitting,
    optimizer_arrays,
    restore_optimizer,
)
from footprints.pictures.views import mean_over_views
from footprints.scores import metrics
from footprints.system.errors import UserError
from footprints.system.progress import warn
from footprints.system.text import reason_of

if TYPE_CHECKING:
    import keras

    from footprints.network.loader import CropLoader

MONITORS = {"val_loss": "min", "val_macro_f1": "max"}
_CACHE_LIMIT_BYTES = 6 * 2**30
_SEEDS = 2**31


@dataclass(frozen=True)
class Phase:
    """A stretch of training with one set of frozen layers.

    ``n_last``: backbone layers that learn, from the end; ``cached_views``: 0 trains end to end.
    ``monitor``: a key of ``MONITORS``; the epoch where it is best gives the weights.
    """

    name: str
    n_last: int
    optimizer: str  # "adamax" or "adam"
    learning_rate: float
    epochs: int
    patience: int
    batch_size: int
    cached_views: int
    monitor: str = "val_loss"


class _Crops:
    """Trains the whole model, with fresh augmentation in each epoch."""

    def __init__(
        self, model: keras.Model, phase: Phase, train: CropLoader | TaughtCrops, val: CropLoader
    ):
        self.net = model
        self._phase, self._train, self._val = phase, train, val

    def train(self, rng: np.random.Generator, **fit: Any) -> dict[str, list[float]]:
        batches = self._train.batches(self._phase.batch_size, int(rng.integers(_SEEDS)))
        return self.net.fit(batches, shuffle=False, epochs=1, verbose=0, **fit).history

    def validate(self) -> np.ndarray:
        return predict_batches(self.net, self._val)


class _Features:
    """Trains the part behind the frozen one on cached features of it."""

    def __init__(
        self,
        model: keras.Model,
        phase: Phase,
        train: CropLoader | TaughtCrops,
        val: CropLoader,
        folder: Path,
        seed: int,
    ):
        front, self.net = split_model(model, phase.n_last)
        self._phase, self._labels = phase, train.labels
        augment = model.get_layer("augmentation")
        self._cache = FeatureCache(
            front, augment, train, folder, n_views=phase.cached_views, seed=seed, name="train"
        )
        self._val = FeatureCache(front, None, val, folder, n_views=1, seed=seed, name="val")
        self._per_photo = val.per_photo

    def train(self, rng: np.random.Generator, **fit: Any) -> dict[str, list[float]]:
        features, order = self._cache.draw(rng)
        return self.net.fit(
            features,
            self._labels[order],
            batch_size=self._phase.batch_size,
            shuffle=False,
            epochs=1,
            verbose=0,
            **fit,
        ).history

    def validate(self) -> np.ndarray:
        return self._per_photo(self.net.predict(self._val.view(0), batch_size=256, verbose=0))


def predict_batches(
    model: keras.Model, loader: CropLoader, batch_size: int = 64, views: int = 1
) -> np.ndarray:
    """Return uncalibrated probabilities ``(photos, classes)`` in the loader's order.

    Those of several views (see ``pictures.views``) are their mean.
    """
    batches = [
        mean_over_views(model.predict_on_batch, x.numpy(), views)
        for x, _ in loader.batches(batch_size)
    ]
    return loader.per_photo(np.concatenate(batches))


def validation_scores(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return ``val_loss`` (cross entropy alone), ``val_accuracy`` and ``val_macro_f1``.

    Args:
        probabilities: One row a photo, ``(photos, classes)``: where a photo has pictures of two
            scales, their mean. So early stopping goes by the answers that users get.
        labels: ``(photos,)``.
    """
    matrix = metrics.confusion_matrix(labels, probabilities.argmax(1), probabilities.shape[1])
    return {
        "val_loss": metrics.negative_log_likelihood(probabilities, labels),
        "val_accuracy": metrics.accuracy(matrix),
        "val_macro_f1": metrics.macro_f1(matrix),
    }


def class_weights(counts: np.ndarray) -> dict[int, float]:
    """Return a weight for each class so that every class counts alike; their photo mean is 1.

    Args:
        counts: Training photos per class, each above 0.
    """
    counts = np.asarray(counts, dtype=float)
    return {i: float(counts.sum() / (len(counts) * n)) for i, n in enumerate(counts)}


def run_phase(
    model: keras.Model,
    phase: Phase,
    *,
    number: int,
    stage: str,
    train: CropLoader | TaughtCrops,
    val: CropLoader,
    seed: int,
    weights: dict[int, float] | None,
    folder: StageFolder,
    log_dir: Path,
    report: Callable[[str], None] = print,
    objective: Objective | None = None,
) -> list[dict[str, Any]]:
    """Train until the epochs or the patience are used up; the model ends at its best epoch.

    For all but the first phase of a stage, the model as it was before counts as epoch 0.

    Every epoch draws order, views, augmentation and dropout from ``(seed, stage, phase, epoch)``
    alone, and its end is kept in ``folder``, so a run that was broken off goes on as if it had
    not been.

    Args:
        model: The whole model; changed.
        phase: What to do.
        number: Of the phase within the stage, from 0.
        stage: ``oat`` or ``real``.
        train: Training crops; of two scales each picture counts by itself.
        val: Validation crops; they only choose the epoch. Of two scales the photo counts.
        seed: Of the whole training.
        weights: Class weights for the training loss, or None.
        folder: Where the state is kept.
        log_dir: For TensorBoard; event files in it are replaced.
        report: Takes lines for the user.
        objective: Of ``train``'s labels or targets; None: of labels.

    Returns:
        One record per epoch: phase, epoch (from 1), loss, accuracy (training, with augmentation
        and dropout), val_loss, val_accuracy, val_macro_f1, seconds, is_best.

    Raises:
        UserError: If the validation loss was never a number.
    """
    keras = import_keras()
    freeze(model, phase.n_last)
    state = folder.load_phase(number)
    source = _make_source(model, phase, number, state, train, val, seed, stage, folder, report)
    net = source.net
    optimizer = {"adam": keras.optimizers.Adam, "adamax": keras.optimizers.Adamax}[phase.optimizer]
    objective = objective or Objective()
    net.compile(
        optimizer=optimizer(phase.learning_rate),
        loss=objective.loss,
        metrics=[objective.accuracy],
        jit_compile=False,
    )
    if state is None:
        start = EarlyStopping(phase.patience, MONITORS[phase.monitor])
        state = PhaseState(epoch=0, stopping=start, rows=[])
        if number > 0:  # a later phase must be better than what it begins with
            scores = validation_scores(source.validate(), val.photo_labels)
            start.step(scores[phase.monitor], 0)
            state.best = net.get_weights()
    else:
        with fitting(folder):
            net.set_weights(state.weights)
            restore_optimizer(net, state.optimizer)
        report(f"{stage} {phase.name}: going on after epoch {state.epoch}")
    stopping = state.stopping
    log = _Log(log_dir, state.rows)
    while state.epoch < phase.epochs and not stopping.should_stop:
        started = time.monotonic()
        rng = random_numbers(seed, stage, phase.name, state.epoch)
        reseed(net, rng)
        history = source.train(rng, class_weight=weights)
        row = {
            "stage": stage,
            "phase": phase.name,
            "epoch": state.epoch + 1,
            "loss": float(history["loss"][-1]),
            "accuracy": float(history["accuracy"][-1]),
            **validation_scores(source.validate(), val.photo_labels),
        }
        is_best = stopping.step(row[phase.monitor], state.epoch + 1)
        row["seconds"] = round(time.monotonic() - started, 3)
        state.rows.append(row)
        state.epoch += 1
        state.weights = net.get_weights()
        if is_best:
            state.best = state.weights
        state.optimizer = optimizer_arrays(net)
        folder.save_phase(number, state)
        log.add(row)
        report(_line(row, phase.epochs, is_best))
    log.close()
    if stopping.best is None:
        raise UserError(
            f"{stage} {phase.name}: the validation loss was no number in any epoch; "
            f"a learning rate below {phase.learning_rate:g} may help"
        )
    net.set_weights(state.best)
    ended = ", patience used up" if stopping.should_stop else ""
    report(f"{stage} {phase.name}: best epoch {stopping.best_epoch} of {state.epoch}{ended}")
    return state.marked_rows()


def _make_source(
    model: keras.Model,
    phase: Phase,
    number: int,
    state: PhaseState | None,
    train: CropLoader | TaughtCrops,
    val: CropLoader,
    seed: int,
    stage: str,
    folder: StageFolder,
    report: Callable[[str], None],
) -> _Crops | _Features:
    """Choose between end to end and cached features: as before, else as asked and room allows."""
    if state is not None:
        end_to_end = len(state.weights) == len(model.weights)
    else:
        end_to_end = not phase.cached_views
    if state is None and phase.cached_views:
        front, _ = split_model(model, phase.n_last)
        needed = bytes_needed(front, len(train), phase.cached_views)
        free = shutil.disk_usage(folder.folder).free + _size_of(folder.features(number))
        if needed > min(_CACHE_LIMIT_BYTES, 0.8 * free):
            report(
                f"{stage} {phase.name}: features of {phase.cached_views} views would take "
                f"{needed / 2**30:.1f} GiB; training end to end instead"
            )
            end_to_end = True
    if end_to_end:
        return _Crops(model, phase, train, val)
    view_seed = int(random_numbers(seed, stage, phase.name, "views").integers(_SEEDS))
    return _Features(model, phase, train, val, folder.features(number), view_seed)


def _size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*"))


class _Log:
    """TensorBoard's event files of a phase; written anew from the rows when a run goes on.

    They are a picture of the training, and never end it: what cannot be written is warned about.
    """

    def __init__(self, folder: Path, rows: list[dict[str, Any]]) -> None:
        self._folder = folder
        self._writer: Any = None
        with self._or_warned():
            import tensorflow as tf

            for old in folder.glob("events.out.tfevents.*") if folder.is_dir() else ():
                old.unlink()
            self._summary = tf.summary
            self._writer = tf.summary.create_file_writer(str(folder))
        for row in rows:
            self.add(row)

    def add(self, row: dict[str, Any]) -> None:
        if self._writer is None:
            return
        with self._or_warned():
            with self._writer.as_default(step=row["epoch"]):
                for name in ("loss", "accuracy", "val_loss", "val_accuracy", "val_macro_f1"):
                    self._summary.scalar(name, row[name])
            self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            with self._or_warned():
                self._writer.close()

    @contextlib.contextmanager
    def _or_warned(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # TensorFlow has kinds of its own
            self._writer = None
            reason = reason_of(error, 150)
            warn(f"{self._folder}: no curves for TensorBoard from here on ({reason})")


def _line(row: dict[str, Any], epochs: int, is_best: bool) -> str:
    return (
        f"{row['stage']} {row['phase']} epoch {row['epoch']}/{epochs}: loss {row['loss']:.4f} "
        f"accuracy {row['accuracy']:.3f}, validation loss {row['val_loss']:.4f} "
        f"accuracy {row['val_accuracy']:.3f} macro F1 {row['val_macro_f1']:.3f}, "
        f"{row['seconds']:.1f} s{' *' if is_best else ''}"
    )

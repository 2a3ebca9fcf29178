"""The training loop: epochs, validation, the best network, checkpoints."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from animal_spot.models.factory import batch_norms
from animal_spot.models.precision import Precision
from animal_spot.training.checkpoints import CheckpointFolder
from animal_spot.training.early_stopping import EarlyStopping
from animal_spot.training.epoch_progress import EpochProgress
from animal_spot.training.phase_result import Phase, PhaseResult
from animal_spot.training.recipe import changes, of_meaning, refuse_changes
from animal_spot.training.seeding import generator_state, restore_generators
from animal_spot.training.tensorboard import Summary
from animal_spot.training.weight_average import WeightAverage
from animal_spot.utils.errors import RunError, is_memory_error, one_line
from animal_spot.utils.interrupt import Interrupted, StopRequest
from animal_spot.utils.metrics import ConfusionMatrix
from animal_spot.utils.names import with_composed_names
from animal_spot.utils.tensor_files import UnreadableFileError

LARGEST_FEATURE = 1e6  # of a network input, which is 0 to 1 or a few units wide
# What a checkpoint brings back with the optimiser and the plateau scheduler.
_RESTORED_SETTINGS = frozenset(
    {
        *("lr", "beta1", "weight_decay", "lr_patience_epochs", "lr_decay_factor"),
        *("backbone_lr_factor", "warmup_epochs"),
    }
)

# (labels, indices of the samples) to targets.
TargetFunction = Callable[[Tensor, Tensor], Tensor]
# (features, labels, epoch, batch index) to features and targets, all on the device.
BatchFunction = Callable[[Tensor, Tensor, int, int], tuple[Tensor, Tensor]]

log = logging.getLogger(__name__)


class TrainingError(RunError):
    """Training cannot go on; one line says why and what to try."""


@dataclass
class _Running:
    """Sums of a pass that is under way; kept in a checkpoint when the pass is interrupted."""

    confusion: ConfusionMatrix
    loss_sum: Tensor
    labels: list[Tensor] = field(default_factory=list)
    predictions: list[Tensor] = field(default_factory=list)
    confidences: list[Tensor] = field(default_factory=list)
    indices: list[Tensor] = field(default_factory=list)
    first_bad: Tensor | None = None  # number of the first batch whose loss is no number

    def add(self, logits: Tensor, labels: Tensor, indices: Tensor, loss: Tensor) -> None:
        probabilities = logits.detach().float().softmax(1)
        confidences, predictions = probabilities.max(1)
        if logits.shape[1] == 2:
            confidences = probabilities[:, 1]
        self.confusion.update(labels, predictions)
        self.loss_sum += loss.detach() * len(labels)
        # On the device: nothing waits for it.
        before = -torch.ones_like(labels[:1]) if self.first_bad is None else self.first_bad
        is_first = (before < 0) & ~loss.detach().isfinite()
        self.first_bad = torch.where(is_first, len(self.labels), before)
        self.labels.append(labels)
        self.predictions.append(predictions)
        self.confidences.append(confidences)
        self.indices.append(indices)

    def state_dict(self) -> dict[str, Any]:
        lists = ("labels", "predictions", "confidences", "indices")
        return {
            "confusion": self.confusion.get(),
            "loss_sum": self.loss_sum.cpu(),
            **{name: [t.cpu() for t in getattr(self, name)] for name in lists},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.confusion.load(state["confusion"])
        self.loss_sum.copy_(state["loss_sum"])
        for name in ("labels", "predictions", "confidences", "indices"):
            setattr(self, name, [t.to(self.loss_sum.device) for t in state[name]])


@dataclass
class _Progress:
    """How far an epoch of training has come."""

    batches: int
    sums: _Running


class Trainer:
    """Trains a classifier and keeps the network that validated best.

    Args:
        model: Network on its device, ``(batch, 1, time, freq)`` to logits.
        class_names: In index order.
        precision: Arithmetic.
        optimizer: Over the parameters of ``model``.
        scheduler: ``ReduceLROnPlateau`` steps once a validation, on its metric; one with
            ``total_steps`` once a batch.
        early_stopping: Asked after each validation.
        val_metric: ``accuracy``, ``macro_accuracy`` or ``loss``; judges epochs.
        epochs_per_eval: Validate after epochs 0, n, 2n ... and after the last.
        gradient_clip_norm: Largest gradient norm, or None.
        loss: Logits ``(batch, classes)`` and targets to what training minimises. Validation and
            test always show the cross entropy.
        ema_decay: Validate and keep a ``WeightAverage`` with this decay, or None.
        freeze_epochs: In so many first epochs ``model.encoder`` stays as it is.
        freeze_batch_norm: The batch normalisations of ``model.encoder`` keep their running
            statistics, and use them in training too; their scales and shifts are trained.
        make_targets: Makes the targets of the loss of a training batch from class indices
            ``(batch,)``, below 0 where a sample has no label, and the indices of the samples;
            None: the class indices themselves. Accuracy is that of samples with a label.
        batch_augmentation: Changes each training batch before the forward pass, or None. It gets
            features ``(batch, 1, time, freq)``, the targets so far, the epoch and the
            number of the batch in it, and returns features and targets: class indices, or
            probabilities ``(batch, classes)``.
        checkpoints: Where the state is kept, or None.
        settings: Kept in each checkpoint, to compare with those of a resuming run.
        classes: Name to index; kept in each checkpoint.
    """

    def __init__(
        self,
        model: nn.Module,
        class_names: list[str],
        *,
        precision: Precision,
        optimizer: torch.optim.Optimizer,
        scheduler: torch.optim.lr_scheduler.LRScheduler,
        early_stopping: EarlyStopping,
        val_metric: str = "accuracy",
        epochs_per_eval: int = 2,
        gradient_clip_norm: float | None = None,
        loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
        ema_decay: float | None = None,
        freeze_epochs: int = 0,
        freeze_batch_norm: bool = False,
        make_targets: TargetFunction | None = None,
        batch_augmentation: BatchFunction | None = None,
        checkpoints: CheckpointFolder | None = None,
        settings: dict[str, Any] | None = None,
        classes: dict[str, int] | None = None,
    ) -> None:
        self.model = model.to(memory_format=precision.memory_format)
        self.class_names = class_names
        self.precision = precision
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.early_stopping = early_stopping
        self.val_metric = val_metric
        self.epochs_per_eval = epochs_per_eval
        self.gradient_clip_norm = gradient_clip_norm
        self.loss = loss
        self.average = None if ema_decay is None else WeightAverage(self.model, ema_decay)
        self.freeze_epochs = freeze_epochs
        self.freeze_batch_norm = freeze_batch_norm
        self.make_targets = make_targets
        self.batch_augmentation = batch_augmentation
        self.checkpoints = checkpoints
        self.summary: Summary | None = None  # set once the run's name is known
        self.data: str | None = None  # hash of the clips, kept in each checkpoint
        self.settings = settings or {}
        self.classes = classes or {}
        self.best_metric = math.inf if val_metric == "loss" else 0.0
        self.best_model = _cpu_copy(model.state_dict())
        self.start_epoch = 0
        self._interrupted: dict[str, Any] | None = None  # the epoch that a resumed run is in
        self._scaler = torch.amp.GradScaler(precision.device.type, enabled=precision.name == "fp16")
        self._stop = StopRequest()

    # -- fitting ------------------------------------------------------------------------------

    def fit(self, train_loader: DataLoader, val_loader: DataLoader, max_epochs: int) -> None:
        """Train until the last epoch or until early stopping, then take the best network.

        Raises:
            Interrupted: On Ctrl-C, SIGTERM or SIGHUP, after a checkpoint was written.
            TrainingError: If the loss is no longer a number.
            OSError: If a checkpoint cannot be written.
        """
        progress = EpochProgress()
        with self._stop:
            for epoch in range(self.start_epoch, max_epochs):
                if self.early_stopping.should_stop:
                    break
                started = time.perf_counter()
                last = epoch == max_epochs - 1
                results = self._fit_epoch(epoch, train_loader, val_loader, last=last)
                seconds = time.perf_counter() - started
                log.info("%s", progress.line(epoch, max_epochs, seconds, *results))
                if self.early_stopping.should_stop:
                    log.info(
                        "stopped early: no better %s in the last %d validations",
                        self.val_metric,
                        self.early_stopping.patience + 1,
                    )
        self.model.load_state_dict(self.best_model)

    def _fit_epoch(
        self, epoch: int, train_loader: DataLoader, val_loader: DataLoader, *, last: bool
    ) -> tuple[PhaseResult, ...]:
        """Train, and validate if it is time; return what came of either."""
        trained, progress = self._train_epoch(train_loader, epoch)
        validates = epoch % self.epochs_per_eval == 0 or last
        self._report(trained, epoch, with_figures=validates)
        if not validates:
            return (trained,)
        try:
            result = self.evaluate(val_loader, "val", epoch, model=self._candidate)
        except Interrupted:
            self._save(epoch - 1, progress)
            raise
        value = result.value_of(self.val_metric)
        better = value < self.best_metric if self.val_metric == "loss" else value > self.best_metric
        if better:
            self.best_metric = value
            self.best_model = _cpu_copy(self._candidate.state_dict())
        if self._steps_on_plateau:
            self.scheduler.step(value)
        self.early_stopping.step(value)
        self._save(epoch)
        self._report(result, epoch, with_figures=True, dataset=val_loader.dataset)
        return trained, result

    def _train_epoch(self, loader: DataLoader, epoch: int) -> tuple[PhaseResult, _Progress]:
        """Train one epoch, or what an interrupted run left of it."""
        self.model.train()
        if self.freeze_epochs:
            frozen = epoch < self.freeze_epochs
            self.model.encoder.requires_grad_(not frozen).train(not frozen)
        if self.freeze_batch_norm:
            for module in batch_norms(self.model.encoder):
                module.eval()
        running = self._new_running()
        first_batch = 0
        if self._interrupted is not None:
            first_batch = self._interrupted["batches"]
            running.load_state_dict(self._interrupted["sums"])
            self._interrupted = None
        progress = _Progress(first_batch, running)
        loader.batch_sampler.start_at(epoch, first_batch)
        log.debug("train|%d|start", epoch)
        started, waited = time.perf_counter(), 0.0
        n_batches = len(loader.batch_sampler)
        batches = _timed(loader) if first_batch < n_batches else iter(())
        with self._bar(f"train {epoch}", n_batches, first_batch) as bar:
            for done, (seconds, batch) in enumerate(batches, first_batch + 1):
                waited += seconds
                loss = self._step(batch, running, epoch, done - 1)
                self._show(bar, loss, running, done == n_batches)
                progress.batches = done
                try:
                    self._stop.check()
                except Interrupted:
                    self._require_finite(running, loader, "train", epoch)
                    self._save(epoch - 1, progress)
                    raise
        self._require_finite(running, loader, "train", epoch)
        return self._finish(running, "train", time.perf_counter() - started, waited), progress

    def _step(
        self, batch: tuple[Tensor, ...], running: _Running, epoch: int, batch_index: int
    ) -> Tensor:
        features, labels, indices = self._to_device(batch)
        targets = labels if self.make_targets is None else self.make_targets(labels, indices)
        if self.batch_augmentation is not None:
            features, targets = self.batch_augmentation(features, targets, epoch, batch_index)
        with self.precision.autocast():
            logits = self.model(features)
        loss = self.loss(logits.float(), targets)
        self.optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()
        if self.gradient_clip_norm is not None:
            self._scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.gradient_clip_norm)
        self._scaler.step(self.optimizer)
        self._scaler.update()
        if (
            not self._steps_on_plateau
            and self.scheduler.last_epoch + 1 < self.scheduler.total_steps
        ):
            self.scheduler.step()
        if self.average is not None:
            self.average.update(self.model)
        if self.make_targets is not None:
            known = labels >= 0
            logits, labels, indices = logits[known], labels[known], indices[known]
        running.add(logits, labels, indices, loss)
        return loss

    # -- evaluating ---------------------------------------------------------------------------

    @torch.inference_mode()
    def evaluate(
        self, loader: DataLoader, phase: Phase, epoch: int = 0, *, model: nn.Module | None = None
    ) -> PhaseResult:
        """Run over a partition without learning.

        Args:
            loader: Of the partition.
            phase: Its name.
            epoch: For the report.
            model: Network to look at; None: the one that is trained.

        Raises:
            Interrupted: On Ctrl-C, SIGTERM or SIGHUP.
            TrainingError: If the loss is not a number.
        """
        model = (model or self.model).eval()
        running = self._new_running()
        loader.batch_sampler.start_at(epoch)
        log.debug("%s|%d|start", phase, epoch)
        started, waited = time.perf_counter(), 0.0
        n_batches = len(loader.batch_sampler)
        with self._bar(f"{phase} {epoch}", n_batches) as bar:
            for seconds, batch in _timed(loader):
                waited += seconds
                features, labels, indices = self._to_device(batch)
                with self.precision.autocast():
                    logits = model(features)
                loss = F.cross_entropy(logits.float(), labels)
                running.add(logits, labels, indices, loss)
                self._show(bar, loss, running, last=False)
                self._stop.check()
        self._require_finite(running, loader, phase, epoch)
        return self._finish(running, phase, time.perf_counter() - started, waited)

    def test(self, loader: DataLoader) -> PhaseResult:
        """Evaluate on the test partition and report it, as epoch 0."""
        with self._stop:
            result = self.evaluate(loader, "test")
        self._report(result, 0, with_figures=True, dataset=loader.dataset)
        return result

    def validate_best(self, loader: DataLoader) -> PhaseResult:
        """Evaluate the best network once more on the validation partition; nothing is logged."""
        with self._stop:
            return self.evaluate(loader, "val")

    # -- state --------------------------------------------------------------------------------

    def resume(self) -> dict[str, Any] | None:
        """Go on from the newest readable checkpoint, if there is one; return its content.

        Raises:
            TrainingError: If it does not fit the network, the classes or the settings.
        """
        try:
            found = self.checkpoints.load_newest()
        except UnreadableFileError as error:
            raise TrainingError(str(error)) from error
        if found is None:
            return None
        try:
            return self._restore(*found)
        except (AttributeError, LookupError, TypeError, RuntimeError, OverflowError) as error:
            if isinstance(error, TrainingError) or is_memory_error(error):
                raise
            raise TrainingError(
                f"{found[1]} is damaged, or of another program ({one_line(error)}); use another "
                "--checkpoint_dir or --start_from_scratch"
            ) from error

    def _restore(self, content: dict[str, Any], path: Path) -> dict[str, Any]:
        if with_composed_names(content.get("classes", self.classes)) != self.classes:
            raise TrainingError(
                f"{path} was trained on the classes {', '.join(content['classes'])}, the data "
                f"folder has {', '.join(self.classes)}; use another --checkpoint_dir or "
                "--start_from_scratch"
            )
        before = content.get("settings", {})
        changed = of_meaning(
            changes(before, self.settings), self.settings.get("backbone", "resnet")
        )
        if before:
            refuse_changes(changed, path, over=False)
        metric_before = content.get("settings", {}).get("val_metric", "accuracy")
        if metric_before != self.val_metric:
            raise TrainingError(
                f"{path} chose its best epoch by --val_metric {metric_before}, not by "
                f"{self.val_metric}; use the same metric or --start_from_scratch"
            )
        self._log_changed_settings(content.get("settings", {}))
        state = content["trainState"]
        averaged = state.get("averaged")
        if (averaged is None) != (self.average is None):
            without = "without " if averaged is None else "with "
            raise TrainingError(
                f"{path} is of a run {without}--ema_decay; do the same, or use --start_from_scratch"
            )
        try:
            self.model.load_state_dict(averaged["model"] if averaged else content["modelState"])
            if averaged:
                self.average.load(content["modelState"], averaged["n_updates"])
            self.optimizer.load_state_dict(state["optState"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise TrainingError(
                f"{path} does not fit this network ({str(error).splitlines()[0]}); use the "
                "options of that run, another --checkpoint_dir or --start_from_scratch"
            ) from error
        before = state["scheduler"].get("total_steps")
        if before != getattr(self.scheduler, "total_steps", None):
            raise TrainingError(
                f"{path} is in the middle of another schedule ({before or 'no'} steps in all); "
                "with --scheduler onecycle or cosine a resumed run needs the same --scheduler, "
                "--max_train_epochs and --batch_size, or --start_from_scratch"
            )
        self.scheduler.load_state_dict(state["scheduler"])
        self.early_stopping.load_state_dict(state["earlyStopping"])
        self.best_metric, self.best_model = state["best_metric"], state["best_model"]
        self.start_epoch = state["epoch"] + 1
        self._interrupted = state.get("partial")
        if state.get("scaler"):
            self._scaler.load_state_dict(state["scaler"])
        if "generators" in state:
            restore_generators(state["generators"])
        at = f", batch {self._interrupted['batches']}" if self._interrupted else ""
        log.info("resumed from %s: going on with epoch %d%s", path, self.start_epoch, at)
        return content

    def _log_changed_settings(self, before: dict[str, Any]) -> None:
        for name, value in before.items():
            if name not in self.settings or self.settings[name] == value:
                continue
            if name in _RESTORED_SETTINGS:
                log.warning("--%s stays %s, as in the run that is resumed", name, value)
            else:
                now = self.settings[name]
                log.warning(
                    "--%s was %s in the run that is resumed, now it is %s", name, value, now
                )

    def _save(self, epoch: int, progress: _Progress | None = None) -> None:
        """Keep everything that the rest of the run depends on.

        Args:
            epoch: Last epoch that is complete.
            progress: What is done of the epoch after it.
        """
        if self.checkpoints is None:
            return
        train_state = {
            "epoch": epoch,
            "best_metric": self.best_metric,
            "best_model": self.best_model,
            "optState": self.optimizer.state_dict(),
            "earlyStopping": self.early_stopping.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "scaler": self._scaler.state_dict(),
            "generators": generator_state(),
        }
        if self.average is not None:
            train_state["averaged"] = {
                "n_updates": self.average.n_updates,
                "model": _cpu_copy(self.model.state_dict()),
            }
        if progress is not None:
            train_state["partial"] = {
                "batches": progress.batches,
                "sums": progress.sums.state_dict(),
            }
        content = {
            "modelState": _cpu_copy(self._candidate.state_dict()),
            "trainState": train_state,
            "classes": self.classes,
            "settings": self.settings,
            "data": self.data,
            "summaryRun": self.summary.run_name if self.summary else None,
        }
        # An interrupted epoch has its own number, so that the complete one before it is kept.
        path = self.checkpoints.save(content, epoch if progress is None else epoch + 1)
        log.debug("checkpoint written to %s", path)

    # -- helpers ------------------------------------------------------------------------------

    @property
    def _candidate(self) -> nn.Module:
        """The network that is validated and kept."""
        return self.model if self.average is None else self.average.model

    @property
    def _steps_on_plateau(self) -> bool:
        return isinstance(self.scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau)

    def _new_running(self) -> _Running:
        device = self.precision.device
        return _Running(
            ConfusionMatrix(len(self.class_names), device),
            torch.zeros((), dtype=torch.float64, device=device),
        )

    def _to_device(self, batch: Iterable[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        features, labels, indices = batch
        device = self.precision.device
        features = features.to(device, non_blocking=True)
        features = features.contiguous(memory_format=self.precision.memory_format)
        return features, labels.to(device, non_blocking=True), indices.to(device, non_blocking=True)

    def _finish(
        self, running: _Running, phase: Phase, seconds: float, waited: float
    ) -> PhaseResult:
        labels = torch.cat(running.labels).cpu()
        return PhaseResult(
            phase=phase,
            loss=float(running.loss_sum) / len(labels),
            confusion=running.confusion.get(),
            labels=labels,
            predictions=torch.cat(running.predictions).cpu(),
            confidences=torch.cat(running.confidences).cpu(),
            indices=torch.cat(running.indices).cpu(),
            seconds=seconds,
            loading_seconds=waited,
        )

    def _report(
        self, result: PhaseResult, epoch: int, *, with_figures: bool, dataset: Any = None
    ) -> None:
        lr = self.optimizer.param_groups[0]["lr"] if result.phase == "train" else None
        log.info("%s", result.log_line(epoch, lr))
        if result.phase != "train" and len(self.class_names) > 2:
            log.info("%s", result.class_line(epoch, self.class_names))
        if self.summary is not None:
            self.summary.add_phase(result, epoch, lr=lr, with_figures=with_figures, dataset=dataset)

    def _require_finite(
        self, running: _Running, loader: DataLoader, phase: Phase, epoch: int
    ) -> None:
        if not math.isfinite(float(running.loss_sum)):
            if clip := _clip_out_of_bounds(loader, epoch, int(running.first_bad)):
                raise TrainingError(
                    f"the {phase} loss of epoch {epoch} is not a number, because of the clip "
                    f"{clip}: leave it out or repair it"
                )
            raise TrainingError(
                f"the {phase} loss of epoch {epoch} is not a number: the learning rate "
                f"{self.optimizer.param_groups[0]['lr']:.2e} (--lr times --batch_size) is probably "
                "too high; lower --lr or set --gradient_clip_norm 1"
                + ("; the last good checkpoint is kept" if self.checkpoints else "")
            )

    def _bar(self, title: str, total: int, initial: int = 0) -> tqdm:
        return tqdm(
            total=total,
            initial=initial,
            desc=title,
            unit="batch",
            leave=False,
            disable=not sys.stderr.isatty(),
            file=sys.stderr,
        )

    def _show(self, bar: tqdm, loss: Tensor, running: _Running, last: bool) -> None:
        """Move the bar; look at the loss, which waits for the device, only when it is redrawn."""
        if not bar.disable and (last or time.time() - bar.last_print_t >= bar.mininterval):
            elapsed = bar.format_dict["elapsed"]
            n_clips = sum(map(len, running.labels))
            rate = n_clips / elapsed if elapsed > 0 else 0.0
            bar.set_postfix_str(f"loss {float(loss):.3f}, {rate:.0f} clips/s", refresh=False)
        bar.update()


def _timed(loader: DataLoader) -> Iterator[tuple[float, Any]]:
    """Yield the batches of a loader with the seconds that each was waited for."""
    started = time.perf_counter()
    for batch in loader:
        yield time.perf_counter() - started, batch
        started = time.perf_counter()


def _clip_out_of_bounds(loader: DataLoader, epoch: int, batch: int) -> str | None:
    """Return the clip of a batch whose features are no numbers, or out of all bounds."""
    if batch < 0:
        return None
    loader.batch_sampler.start_at(epoch, batch)
    for key in next(iter(loader.batch_sampler), ()):
        features, _, index = loader.dataset[key]
        largest = float(features.abs().max())
        if not largest <= LARGEST_FEATURE:
            samples = getattr(loader.dataset, "samples", None)
            name = samples[index].name if samples else f"number {index}"
            return f"{name}, whose features are as large as {largest:g}"
    return None


def _cpu_copy(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return type(state)((key, value.detach().to("cpu", copy=True)) for key, value in state.items())

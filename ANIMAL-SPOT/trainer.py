"""The training loop: epochs, validation, the best network, checkpoints."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from animal_spot.models.factory import batch_norms
from animal_spot.training.checkpoints import CheckpointFolder
from animal_spot.training.distributed import ALONE, World
from animal_spot.training.epoch_progress import EpochProgress
from animal_spot.training.finite_loss import require_finite
from animal_spot.training.pass_bar import PassBar
from animal_spot.training.pass_sums import EpochSums, PassSums
from animal_spot.training.phase_result import Phase, PhaseResult
from animal_spot.training.tensorboard import Summary
from animal_spot.training.train_state import TrainState
from animal_spot.training.trainer_recipe import TrainerRecipe
from animal_spot.training.training_error import TrainingError
from animal_spot.utils.interrupt import Interrupted, StopRequest
from animal_spot.utils.tensor_files import UnreadableFileError

log = logging.getLogger(__name__)


class Trainer:
    """Trains a classifier and keeps the network that validated best.

    Attributes:
        recipe: How the network is trained.
        state: The network, and what changes with it.

    Args:
        model: Network on its device, ``(batch, 1, time, freq)`` to logits.
        recipe: How it is trained.
        checkpoints: Where the state is kept, or None.
        summary: TensorBoard's folder of the run, or None.
        world: The processes that train it together, each with a trainer and its share of the
            clips. Only the first has checkpoints and a summary.
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: TrainerRecipe,
        *,
        checkpoints: CheckpointFolder | None = None,
        summary: Summary | None = None,
        world: World = ALONE,
    ) -> None:
        self.recipe = recipe
        self.state = TrainState(model, recipe, world)
        self.checkpoints = checkpoints
        self.summary = summary
        self._world = world
        self._stop = StopRequest(patient=world.size > 1)

    @property
    def model(self) -> nn.Module:
        """Network that is trained; after ``fit`` the best one."""
        return self.state.model

    # -- fitting ------------------------------------------------------------------------------

    def fit(self, train_loader: DataLoader, val_loader: DataLoader, max_epochs: int) -> None:
        """Train until the last epoch or until early stopping, then take the best network.

        Raises:
            Interrupted: On Ctrl-C, SIGTERM or SIGHUP, after a checkpoint was written.
            TrainingError: If the loss is no longer a number.
            OSError: If a checkpoint cannot be written.
        """
        progress, stopping = EpochProgress(), self.state.early_stopping
        with self._stop:
            for epoch in range(self.state.start_epoch, max_epochs):
                if stopping.should_stop:
                    break
                started = time.perf_counter()
                last = epoch == max_epochs - 1
                results = self._fit_epoch(epoch, train_loader, val_loader, last=last)
                seconds = time.perf_counter() - started
                log.info("%s", progress.line(epoch, max_epochs, seconds, *results))
                if stopping.should_stop:
                    log.info(
                        "stopped early: no better %s in the last %d validations",
                        self.recipe.val_metric,
                        stopping.patience + 1,
                    )
        self.model.load_state_dict(self.state.best_model)

    def _fit_epoch(
        self, epoch: int, train_loader: DataLoader, val_loader: DataLoader, *, last: bool
    ) -> tuple[PhaseResult, ...]:
        """Train, and validate if it is time; return what came of either."""
        trained, done = self._train_epoch(train_loader, epoch)
        validates = epoch % self.recipe.epochs_per_eval == 0 or last
        self._report(trained, epoch, with_figures=validates)
        if not validates:
            return (trained,)
        try:
            result = self.evaluate(val_loader, "val", epoch, model=self.state.candidate)
        except Interrupted:
            self._save(epoch - 1, done)
            raise
        self.state.judge(self._world.agreed(self.recipe.worth(result, epoch)))
        self._save(epoch)
        self._report(result, epoch, with_figures=True, dataset=val_loader.dataset)
        return trained, result

    def _train_epoch(self, loader: DataLoader, epoch: int) -> tuple[PhaseResult, EpochSums]:
        """Train one epoch, or what an interrupted run left of it."""
        self._set_modes(epoch)
        done = self._part_done()
        loader.batch_sampler.start_at(epoch, done.n_batches)
        log.debug("train|%d|start", epoch)
        started, waited = time.perf_counter(), 0.0
        n_batches = len(loader.batch_sampler)
        batches = _timed(loader) if done.n_batches < n_batches else iter(())
        with self._bar(f"train {epoch}", n_batches, done.n_batches) as bar:
            for seconds, batch in batches:
                waited += seconds
                n_clips = loader.batch_sampler.size_of(done.n_batches)
                loss = self._step(batch, n_clips, done.sums, epoch, done.n_batches)
                done.n_batches += 1
                bar.count(loss, done.sums, last=done.n_batches == n_batches)
                try:
                    self._world.check(self._stop)
                except Interrupted:
                    self._require_finite(done.sums, loader, "train", epoch)
                    self._save(epoch - 1, done)
                    raise
        self._require_finite(done.sums, loader, "train", epoch)
        return done.sums.result("train", time.perf_counter() - started, waited), done

    def _set_modes(self, epoch: int) -> None:
        """Let layers train, but for those that are frozen in this epoch."""
        self.model.train()
        if self.recipe.freeze_epochs:
            frozen = epoch < self.recipe.freeze_epochs
            self.model.encoder.requires_grad_(not frozen).train(not frozen)
        if self.recipe.freeze_batch_norm:
            for module in batch_norms(self.model.encoder):
                module.eval()

    def _part_done(self) -> EpochSums:
        """Return what an interrupted run has done of the epoch, which is nothing as a rule."""
        done, before = EpochSums(0, self._new_sums()), self.state.interrupted
        if before is not None:
            done.n_batches = before["batches"]
            done.sums.load_state_dict(before["sums"])
            self.state.interrupted = None
        return done

    def _step(
        self, batch: tuple[Tensor, ...], n_clips: int, sums: PassSums, epoch: int, batch_index: int
    ) -> Tensor:
        """Learn from a batch of ``n_clips``, of which this process has its share of rows."""
        recipe, world = self.recipe, self._world
        features, *said = self._to_device(batch)
        labels, indices, *scene = (world.whole(rows, n_clips) for rows in said)
        targets = labels
        if recipe.make_targets is not None:
            targets = recipe.make_targets(labels, indices, *scene)
        if recipe.batch_augmentation is not None:
            features, targets = recipe.batch_augmentation(
                world.whole(features, n_clips), targets, epoch, batch_index
            )
            features = features[world.share(n_clips)]
        with recipe.precision.autocast(), world.one_batch(n_clips):
            logits = self.model(features)
        logits = world.whole(logits.float(), n_clips)
        loss = recipe.loss(logits, targets)
        self.state.descend(loss)
        if recipe.make_targets is not None:
            known = labels >= 0
            logits, labels, indices = logits[known], labels[known], indices[known]
        sums.add(logits, labels, indices, loss)
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
        model, world = (model or self.model).eval(), self._world
        sums = self._new_sums()
        loader.batch_sampler.start_at(epoch)
        log.debug("%s|%d|start", phase, epoch)
        started, waited = time.perf_counter(), 0.0
        with self._bar(f"{phase} {epoch}", len(loader.batch_sampler)) as bar:
            for number, (seconds, batch) in enumerate(_timed(loader)):
                waited += seconds
                features, *said = self._to_device(batch)
                with self.recipe.precision.autocast():
                    own = model(features).float()
                n_clips = loader.batch_sampler.size_of(number)
                logits, labels, indices = (world.whole(rows, n_clips) for rows in (own, *said))
                loss = F.cross_entropy(logits, labels)
                sums.add(logits, labels, indices, loss)
                bar.count(loss, sums)
                world.check(self._stop)
        self._require_finite(sums, loader, phase, epoch)
        return sums.result(phase, time.perf_counter() - started, waited)

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
            ValueError: If it is of other settings.
        """
        found = self._world.from_first(self._newest)
        if found is None:
            return None
        content, path = found
        self.state.load(content, path)
        if self.summary is not None:
            self.summary.go_on(content.get("summaryRun"), self.state.start_epoch)
        return content

    def _newest(self) -> tuple[dict[str, Any], Path] | None:
        """Read the newest checkpoint, if there is one."""
        if self.checkpoints is None:
            return None
        try:
            return self.checkpoints.load_newest()
        except UnreadableFileError as error:
            raise TrainingError(str(error)) from error

    def _save(self, epoch: int, done: EpochSums | None = None) -> None:
        """Write a checkpoint.

        Args:
            epoch: Last epoch that is complete.
            done: What is done of the epoch after it.
        """
        if self.checkpoints is not None:
            self._write(epoch, done)
        self._world.wait()  # one that ends lets torchrun end the others

    def _write(self, epoch: int, done: EpochSums | None) -> None:
        content = self.state.content(epoch, done)
        content["summaryRun"] = self.summary.run_name if self.summary else None
        # An interrupted epoch has its own number, so that the complete one before it is kept.
        path = self.checkpoints.save(content, epoch if done is None else epoch + 1)
        log.debug("checkpoint written to %s", path)

    # -- helpers ------------------------------------------------------------------------------

    def _bar(self, title: str, n_batches: int, n_done: int = 0) -> PassBar:
        return PassBar(title, n_batches, n_done, shown=self._world.is_first)

    def _new_sums(self) -> PassSums:
        return PassSums.empty(len(self.recipe.classes), self.recipe.precision.device)

    def _to_device(self, batch: Iterable[Tensor]) -> tuple[Tensor, ...]:
        features, *others = batch
        precision = self.recipe.precision
        beside = {"non_blocking": precision.device.type == "cuda"}  # from pinned memory
        features = features.to(precision.device, **beside)
        features = features.contiguous(memory_format=precision.memory_format)
        return features, *(t.to(precision.device, **beside) for t in others)

    def _report(
        self, result: PhaseResult, epoch: int, *, with_figures: bool, dataset: Any = None
    ) -> None:
        lr = self.state.lr if result.phase == "train" else None
        log.info("%s", result.log_line(epoch, lr))
        names = self.recipe.class_names
        if result.phase != "train" and len(names) > 2:
            log.info("%s", result.class_line(epoch, names))
        if self.summary is not None:
            self.summary.add_phase(result, epoch, lr=lr, with_figures=with_figures, dataset=dataset)

    def _require_finite(self, sums: PassSums, loader: DataLoader, phase: Phase, epoch: int) -> None:
        is_kept = self.checkpoints is not None
        require_finite(sums, loader, phase, epoch, lr=self.state.lr, is_kept=is_kept)


def _timed(loader: DataLoader) -> Iterator[tuple[float, Any]]:
    """Yield the batches of a loader with the seconds that each was waited for."""
    started = time.perf_counter()
    for batch in loader:
        yield time.perf_counter() - started, batch
        started = time.perf_counter()

"""What a training changes, and a checkpoint keeps so that another run goes on from there."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from animal_spot.training.distributed import ALONE, World
from animal_spot.training.early_stopping import EarlyStopping
from animal_spot.training.finite_weights import require_finite_weights
from animal_spot.training.pass_sums import EpochSums
from animal_spot.training.recipe import changes, of_meaning, refuse_changes
from animal_spot.training.seeding import generator_state, restore_generators
from animal_spot.training.trainer_recipe import TrainerRecipe
from animal_spot.training.training_error import TrainingError
from animal_spot.training.weight_average import WeightAverage
from animal_spot.utils.errors import is_memory_error, one_line
from animal_spot.utils.names import with_composed_names

# What a checkpoint brings back with the optimiser and the plateau scheduler.
_RESTORED_SETTINGS = frozenset(
    {
        *("lr", "beta1", "weight_decay", "lr_patience_epochs", "lr_decay_factor"),
        *("backbone_lr_factor", "init_lr_factor", "warmup_epochs"),
    }
)

log = logging.getLogger(__name__)


class TrainState:
    """A network with its optimiser and schedule, and the best network so far.

    Attributes:
        model: Network that is trained.
        average: Mean of its weights, or None.
        optimizer: Of its weights.
        scheduler: Of the optimiser.
        early_stopping: Asked after each validation.
        best_metric: Value of the best validation.
        best_model: Weights of that epoch.
        start_epoch: Epoch that a run begins or goes on with.
        interrupted: What is done of that epoch already, as ``content`` wrote it, or None.

    Args:
        model: Network on its device.
        recipe: How it is trained.
        world: The processes that do so.
    """

    def __init__(self, model: nn.Module, recipe: TrainerRecipe, world: World = ALONE) -> None:
        precision = recipe.precision
        self._recipe, self._world = recipe, world
        self.model = model.to(memory_format=precision.memory_format)
        self.average = (
            None if recipe.ema_decay is None else WeightAverage(self.model, recipe.ema_decay)
        )
        self.optimizer = recipe.optimizer(self.model)
        self.scheduler = recipe.scheduler(self.optimizer)
        self.early_stopping = EarlyStopping(
            recipe.patience, "min" if recipe.val_metric == "loss" else "max"
        )
        self._scaler = torch.amp.GradScaler(precision.device.type, enabled=precision.name == "fp16")
        self.best_metric = recipe.worst
        self.best_model = _cpu_copy(model.state_dict())
        self.start_epoch = 0
        self.interrupted: dict[str, Any] | None = None

    @property
    def candidate(self) -> nn.Module:
        """The network that is validated and kept."""
        return self.model if self.average is None else self.average.model

    @property
    def lr(self) -> float:
        """Learning rate of the last layer."""
        return self.optimizer.param_groups[0]["lr"]

    def descend(self, loss: Tensor) -> None:
        """Take one step down the gradient of a loss, which all processes have a part of."""
        self.optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()
        self._world.sum_gradients(self.model)
        if self._recipe.gradient_clip_norm is not None:
            self._scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self._recipe.gradient_clip_norm)
        self._scaler.step(self.optimizer)
        self._scaler.update()
        in_steps = not self._steps_on_plateau
        if in_steps and self.scheduler.last_epoch + 1 < self.scheduler.total_steps:
            self.scheduler.step()
        if self.average is not None:
            self.average.update(self.model)

    def judge(self, value: float) -> None:
        """Take the metric of a validation: keep the best network, slow down, or stop.

        Raises:
            TrainingError: If that network has weights that are no numbers.
        """
        if self._recipe.is_better(value, self.best_metric):
            self.best_metric = value
            self.best_model = _kept(self.candidate)
        if self._steps_on_plateau:
            self.scheduler.step(value)
        self.early_stopping.step(value)

    def content(self, epoch: int, part: EpochSums | None = None) -> dict[str, Any]:
        """Return what a checkpoint keeps: everything that the rest of the run depends on.

        Args:
            epoch: Last epoch that is complete.
            part: What is done of the epoch after it.

        Raises:
            TrainingError: If the network has weights that are no numbers.
        """
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
                "model": _kept(self.model),
            }
        if part is not None:
            train_state["partial"] = {"batches": part.n_batches, "sums": part.sums.state_dict()}
        return {
            "modelState": _kept(self.candidate),
            "trainState": train_state,
            "classes": self._recipe.classes,
            "settings": self._recipe.settings,
            "data": self._recipe.data,
        }

    def load(self, content: Mapping[str, Any], path: Path) -> None:
        """Go on from the content of a checkpoint.

        Args:
            content: What ``content`` returned.
            path: Where it was read, for messages.

        Raises:
            TrainingError: If it does not fit the network or the classes, or is damaged.
            ValueError: If it is of other settings.
        """
        try:
            self._require_fitting(content, path)
            self._log_changed_settings(content.get("settings", {}))
            self._load_networks(content, path)
            self._load_progress(content["trainState"], path)
        except (AttributeError, LookupError, TypeError, RuntimeError, OverflowError) as error:
            if isinstance(error, TrainingError) or is_memory_error(error):
                raise
            raise TrainingError(
                f"{path} is damaged, or of another program ({one_line(error)}); use another "
                "--checkpoint_dir or --start_from_scratch"
            ) from error

    def _require_fitting(self, content: Mapping[str, Any], path: Path) -> None:
        """Refuse classes, settings and a metric that are not those of this run."""
        recipe = self._recipe
        if with_composed_names(content.get("classes", recipe.classes)) != recipe.classes:
            raise TrainingError(
                f"{path} was trained on the classes {', '.join(content['classes'])}, the data "
                f"folder has {', '.join(recipe.classes)}; use another --checkpoint_dir or "
                "--start_from_scratch"
            )
        before = content.get("settings", {})
        if before:
            changed = changes(before, recipe.settings)
            refuse_changes(of_meaning(changed, recipe.settings["backbone"]), path, over=False)
        metric_before = before.get("val_metric", "accuracy")
        if metric_before != recipe.val_metric:
            raise TrainingError(
                f"{path} chose its best epoch by --val_metric {metric_before}, not by "
                f"{recipe.val_metric}; use the same metric or --start_from_scratch"
            )

    def _log_changed_settings(self, before: Mapping[str, Any]) -> None:
        settings = self._recipe.settings
        for name, value in before.items():
            if name not in settings or settings[name] == value:
                continue
            if name in _RESTORED_SETTINGS:
                log.warning("--%s stays %s, as in the run that is resumed", name, value)
            else:
                log.warning(
                    "--%s was %s in the run that is resumed, now it is %s",
                    *(name, value, settings[name]),
                )

    def _load_networks(self, content: Mapping[str, Any], path: Path) -> None:
        averaged = content["trainState"].get("averaged")
        if (averaged is None) != (self.average is None):
            without = "without " if averaged is None else "with "
            raise TrainingError(
                f"{path} is of a run {without}--ema_decay; do the same, or use --start_from_scratch"
            )
        try:
            self.model.load_state_dict(averaged["model"] if averaged else content["modelState"])
            if averaged:
                self.average.load(content["modelState"], averaged["n_updates"])
            self.optimizer.load_state_dict(content["trainState"]["optState"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise TrainingError(
                f"{path} does not fit this network ({str(error).splitlines()[0]}); use the "
                "options of that run, another --checkpoint_dir or --start_from_scratch"
            ) from error

    def _load_progress(self, state: Mapping[str, Any], path: Path) -> None:
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
        self.interrupted = state.get("partial")
        if state.get("scaler"):
            self._scaler.load_state_dict(state["scaler"])
        if "generators" in state:
            restore_generators(state["generators"])
        at = f", batch {self.interrupted['batches']}" if self.interrupted else ""
        log.info("resumed from %s: going on with epoch %d%s", path, self.start_epoch, at)

    @property
    def _steps_on_plateau(self) -> bool:
        return isinstance(self.scheduler, ReduceLROnPlateau)


def _kept(network: nn.Module) -> dict[str, Tensor]:
    state = _cpu_copy(network.state_dict())
    require_finite_weights(state)
    return state


def _cpu_copy(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return type(state)((key, value.detach().to("cpu", copy=True)) for key, value in state.items())

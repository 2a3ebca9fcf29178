"""How far the training of a detector is: one line an epoch, and now and then one within it."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

from footprints.system.errors import UserError

_SECONDS_BETWEEN_LINES = 30.0


class EpochLines:
    """Follows a trainer of Ultralytics and prints lines; to be put in by ``follow``.

    Raises:
        UserError: Out of the training, if its loss is no number any more.
    """

    def __init__(self) -> None:
        self._started = self._shown = time.monotonic()
        self._first_epoch = 0
        self._step = 0

    def follow(self, model: Any) -> None:
        """Have a model of Ultralytics call this object as it trains."""
        model.add_callback("on_train_start", self._on_start)
        model.add_callback("on_train_epoch_start", self._on_epoch)
        model.add_callback("on_train_batch_end", self._on_step)
        model.add_callback("on_model_save", self._on_end_of_epoch)

    def _on_start(self, trainer: Any) -> None:
        self._started = self._shown = time.monotonic()
        self._first_epoch = trainer.start_epoch

    def _on_epoch(self, _trainer: Any) -> None:
        self._step = 0

    def _on_step(self, trainer: Any) -> None:
        self._step += 1
        now = time.monotonic()
        if now - self._shown >= _SECONDS_BETWEEN_LINES:
            self._shown = now
            n_steps = len(trainer.train_loader)
            epoch = trainer.epoch + 1
            text = f"epoch {epoch} of {trainer.epochs}: step {self._step} of {n_steps}"
            print(text, file=sys.stderr, flush=True)

    def _on_end_of_epoch(self, trainer: Any) -> None:
        if trainer.loss is not None and not bool(trainer.loss.isfinite()):
            raise UserError(
                f"the training has failed: in epoch {trainer.epoch + 1} its loss is not a number; "
                "give a smaller --lr, or another --weights to start from"
            )
        epoch, now = trainer.epoch + 1, time.monotonic()
        done = epoch - self._first_epoch
        left = (now - self._started) / max(done, 1) * (trainer.epochs - epoch)
        loss = sum(float(value) for value in trainer.tloss.values())
        score = float(trainer.metrics.get("metrics/mAP50(B)", math.nan))
        text = f"epoch {epoch} of {trainer.epochs}"
        if left:  # it may end early, see --patience
            text += f", at most {_duration(left)} left"
        print(f"{text}: loss {loss:.3f}, mAP50 {score:.3f}", flush=True)
        self._shown = now


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"

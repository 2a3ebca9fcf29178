"""When to stop training."""

from __future__ import annotations

from typing import Any, Literal


class EarlyStopping:
    """Stops after more than ``patience`` validations in a row without improvement.

    A value equal to the best counts as an improvement, as in the original program.

    Args:
        patience: Validations without improvement that are forgiven.
        mode: Whether a larger (``max``) or a smaller value is better.
    """

    def __init__(self, patience: int, mode: Literal["max", "min"] = "max") -> None:
        self.patience = patience
        self.mode = mode
        self._count = 0
        self._best: float | None = None

    @property
    def should_stop(self) -> bool:
        """Whether the last value said stop."""
        return self._count > self.patience

    def step(self, value: float) -> bool:
        """Take the value of a validation; return whether to stop."""
        if self._best is None or self._is_improvement(value):
            self._best, self._count = value, 0
        else:
            self._count += 1
        return self.should_stop

    def _is_improvement(self, value: float) -> bool:
        return value >= self._best if self.mode == "max" else value <= self._best

    def state_dict(self) -> dict[str, Any]:
        """Return the state under the key names of the original's checkpoints."""
        return {
            "patience": self.patience,
            "mode": self.mode,
            "min_delta": 0.0,
            "_count": self._count,
            "_best_score": self._best,
            "is_improved": None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore count and best value; patience and mode stay as they were given."""
        self._count, self._best = state["_count"], state["_best_score"]

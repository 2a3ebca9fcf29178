"""How far a training has come, in words: ``epoch 3 of 40, 2 min left``."""

from __future__ import annotations

from collections import deque

from animal_spot.training.phase_result import PhaseResult

_LAST = 6  # epochs whose mean length is that of the ones to come; some validate, some do not


class EpochProgress:
    """Counts epochs and guesses from the length of the last ones what is left."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_LAST)

    def line(
        self,
        epoch: int,
        n_epochs: int,
        seconds: float,
        train: PhaseResult,
        val: PhaseResult | None = None,
    ) -> str:
        """Return the line about an epoch that is complete.

        Args:
            epoch: Its index, from 0.
            n_epochs: How many there are at most.
            seconds: How long it took, validation included.
            train: Its training.
            val: Its validation, if there was one.
        """
        self._seconds.append(seconds)
        to_come = n_epochs - epoch - 1
        left = to_come * sum(self._seconds) / len(self._seconds)
        said = f"epoch {epoch + 1} of {n_epochs}"
        if to_come:
            said += f", {in_words(left)} left"
        figures = [f"training {_figures(train)}"]
        if val is not None:
            figures.append(f"validation {_figures(val)}")
        return f"{said}: {'; '.join(figures)}"


def in_words(seconds: float) -> str:
    """Return a length of time as people say it, such as ``2 min`` or ``1 h 5 min``."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _figures(result: PhaseResult) -> str:
    return f"loss {result.loss:.3f}, accuracy {100 * result.accuracy:.1f} %"

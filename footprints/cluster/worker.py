"""What a worker of a cluster does: it loads detector and classifier once, and does photos.

The detector is in processes of its own, as PyTorch and TensorFlow crash in one. This module imports
nothing heavy, so that a process can be told its share of the cores before TensorFlow is there.
"""

from __future__ import annotations

import contextlib
import io
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from footprints.cropping.crop_pool import CropPool, Job, Result
from footprints.system.settings import Settings

if TYPE_CHECKING:
    from footprints.places.privacy import Privacy
    from footprints.scores.answers import Answer, Failure
    from footprints.scores.judging import Rules


@dataclass(frozen=True)
class Naming:
    """How crops become answers.

    Attributes:
        model: The classifier's file.
        root: The folder that photos are named relative to.
        rules: How probabilities become an answer.
        privacy: What is told of the places of photos.
    """

    model: Path
    root: Path
    rules: Rules
    privacy: Privacy


@dataclass(frozen=True)
class Order:
    """What is the same for all photos.

    Attributes:
        detector: Its file; None: the centre of photos is taken.
        settings: How crops are cut.
        naming: How they become answers; None: they do not, and the crops are what is wanted.
        working_dir: The folder that relative paths are relative to.
    """

    detector: Path | None
    settings: Settings
    naming: Naming | None
    working_dir: str


class Worker:
    """A process that does photos.

    Args:
        order: What is the same for all of them.
        n_cores: How many cores it may use.
    """

    def __init__(self, order: Order, n_cores: int) -> None:
        for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
            os.environ[name] = str(n_cores)
        os.chdir(order.working_dir)
        self._order, self._n_cores = order, n_cores

    def begin(self) -> int:
        """Load what is needed; return the number of this process."""
        order = self._order
        self._pool = CropPool(order.detector, order.settings, self._n_cores).__enter__()
        self._classifier = None
        if order.naming is not None:
            from footprints.network.classifier import Classifier

            self._classifier = Classifier(order.naming.model)
        return os.getpid()

    def do(self, jobs: Sequence[Job]) -> tuple[list[Result | Answer | Failure], float, str]:
        """Do photos; return what came of each, the seconds that took, and what was said."""
        started = time.perf_counter()
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            found: list[Result | Answer | Failure] = list(self._found(jobs))
        return found, time.perf_counter() - started, said.getvalue()

    def _found(self, jobs: Sequence[Job]):
        naming, results = self._order.naming, self._pool.map(jobs)
        if naming is None:
            return results
        from footprints.network.answering import classified

        return classified(results, self._classifier, naming.root, naming.rules, naming.privacy)

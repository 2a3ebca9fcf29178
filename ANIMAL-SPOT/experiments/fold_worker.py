"""What a worker of a cluster does: it trains the network of one fold of a cross-validation.

This module imports nothing heavy, so that a process can be told its share of the cores before the
packages that compute are there.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from animal_spot.utils.hardware import CORES

if TYPE_CHECKING:
    from animal_spot.cluster.ray_cluster import Messages
    from animal_spot.data.corpus import Corpus
    from animal_spot.experiments.fold_result import FoldResult
    from animal_spot.models.precision import Precision
    from animal_spot.training.config import TrainConfig
    from animal_spot.training.run_folders import RunFolders


@dataclass(frozen=True)
class FoldOrder:
    """What is the same for all folds.

    Attributes:
        config: Settings.
        folders: Of all folds; every node sees them at these places.
        precision: Name of the arithmetic on the CPU; None: on the worker's GPU, by the settings.
        n_cores: Cores, and so threads, of a worker.
        working_dir: The folder that relative paths are relative to.
    """

    config: TrainConfig
    folders: RunFolders
    precision: str | None
    n_cores: int
    working_dir: str


class FoldWorker:
    """A process that trains one network.

    Args:
        order: What is the same for all folds.
        messages: Takes what is said, as ``(fold, level, text)``.
    """

    def __init__(self, order: FoldOrder, messages: Messages) -> None:
        os.environ[CORES] = str(order.n_cores)
        os.environ["OMP_NUM_THREADS"] = str(order.n_cores)
        self._order, self._messages = order, messages

    def train(self, fold: int, corpus: Corpus) -> FoldResult:
        """Train and judge the network of a fold.

        Args:
            fold: Number, from 0.
            corpus: Its clips.

        Raises:
            RunError: If the process was asked to stop, or the training cannot go on.
            ValueError: If settings do not fit the clips, or checkpoints are of another run.
            OSError: If something cannot be read or written.
        """
        import torch

        from animal_spot.experiments.cross_validation import run_fold
        from animal_spot.training.run_setup import RunSetup, pipeline_of_config
        from animal_spot.training.seeding import compute_repeatably
        from animal_spot.utils.errors import RunError
        from animal_spot.utils.interrupt import Interrupted

        os.chdir(self._order.working_dir)
        torch.set_num_threads(self._order.n_cores)
        config, precision = self._order.config, self._precision()
        compute_repeatably(precision.device)
        setup = RunSetup(config, self._order.folders, pipeline_of_config(config), precision)
        handler = _Sender(fold, self._messages)
        for name in ("TRAIN", "animal_spot"):
            logging.getLogger(name).setLevel(logging.DEBUG if config.debug else logging.INFO)
        logging.getLogger().addHandler(handler)
        try:
            logging.getLogger(__name__).debug("process %d", os.getpid())
            return run_fold(setup, corpus, fold)
        except Interrupted as stop:
            raise RunError(f"its worker was stopped by {stop}") from stop
        finally:
            logging.getLogger().removeHandler(handler)
            self._messages.flush()

    def _precision(self) -> Precision:
        import torch

        from animal_spot.models.precision import Precision
        from animal_spot.training.run_setup import training_precision

        if self._order.precision is None:
            return training_precision(self._order.config)
        return Precision(self._order.precision, torch.device("cpu"))


class _Sender(logging.Handler):
    """Sends what is said to the driver."""

    def __init__(self, fold: int, messages: Messages) -> None:
        super().__init__()
        self._fold, self._messages, self._pid = fold, messages, os.getpid()

    def emit(self, record: logging.LogRecord) -> None:
        if os.getpid() == self._pid:  # processes that load clips are no workers of the cluster
            self._messages.send((self._fold, record.levelno, record.getMessage()))

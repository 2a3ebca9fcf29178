"""A training in several processes: the first leads, the others do what it says."""

from __future__ import annotations

import logging

from animal_spot.experiments.network_training import take_part
from animal_spot.experiments.training_run import run
from animal_spot.training.config import TrainConfig
from animal_spot.training.distributed import LostProcessError, Team, joined
from animal_spot.utils.errors import RunError, one_line
from animal_spot.utils.interrupt import Interrupted
from animal_spot.utils.logging import close_log, start_log
from animal_spot.utils.status import FAILED, OK

log = logging.getLogger("TRAIN")


def lead(config: TrainConfig) -> bool:
    """Train as configured, with the other processes that ``torchrun`` started, if there are any.

    Returns:
        Whether there is something new; False: it was finished already.
    """
    with joined() as world:
        return run(config, world)


def follow(argv: list[str]) -> int:
    """Train as the first process says until that has ended; return the exit status.

    Only warnings are logged, and why this process cannot go on; the first one says the rest.

    Args:
        argv: The command line, which the first process reads.
    """
    if {"-h", "--help"} & set(argv):
        return OK
    start_log(log.name)
    for name in (log.name, "animal_spot"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        with joined() as team:
            return _follow(team)
    finally:
        close_log()


def _follow(team: Team) -> int:
    try:
        while (task := team.from_first(lambda: None)) is not None:
            take_part(team, task)
        return OK
    except Interrupted as stop:
        return stop.status
    except LostProcessError as error:
        if team.must_tell():
            log.error("%s", error)
        return FAILED
    except Exception as error:
        team.leave_word(one_line(error))
        is_known = isinstance(error, (ValueError, OSError, ImportError, RunError))
        log.debug("where it came from", exc_info=True)
        if not is_known:
            log.error("a fault of this program in process %d", team.rank, exc_info=True)
        return FAILED

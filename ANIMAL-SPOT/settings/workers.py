"""Options that say what each worker of a cluster has; standard library only."""

from __future__ import annotations

from typing import Any

from animal_spot.settings.flags import option


def ray_workers_option(**more: Any) -> Any:
    """Declare ``--ray_workers``; further arguments are those of ``option``."""
    return option(
        None,
        "workers of --ray; none: one for each four cores, or as many as GPUs allow",
        type=int,
        least=1,
        most=100_000,
        **more,
    )


def gpus_per_worker_option(**more: Any) -> Any:
    """Declare ``--gpus_per_worker``; further arguments are those of ``option``."""
    return option(
        None,
        "GPUs of a worker of --ray, or a share of one, such as 0.5; none: workers compute on CPUs",
        type=float,
        above=0,
        most=64,
        **more,
    )

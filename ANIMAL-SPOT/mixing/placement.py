"""Where in a recording the calls are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LEAST_GAP_S = 1.0  # between calls, so that each is an event of its own


def random_starts(
    lengths: Sequence[int], n_samples: int, rate: int, rng: np.random.Generator
) -> list[int]:
    """Return where calls begin, in their order, ``LEAST_GAP_S`` and random times apart.

    Args:
        lengths: Of the calls, in samples.
        n_samples: Of the recording.
        rate: Hz.
        rng: Draws the times.

    Raises:
        ValueError: If the recording is too short for so many.
    """
    least_gap = int(LEAST_GAP_S * rate)
    free = n_samples - sum(lengths) - (len(lengths) + 1) * least_gap
    if free < 0:
        raise ValueError(
            f"{len(lengths)} calls and the gaps between them do not fit into "
            f"{n_samples / rate:g} s; choose more minutes or fewer calls"
        )
    gaps = least_gap + (rng.dirichlet(np.ones(len(lengths) + 1)) * free).astype(int)
    before = np.cumsum([0, *lengths[:-1]])
    return (np.cumsum(gaps[:-1]) + before).tolist() if len(lengths) else []

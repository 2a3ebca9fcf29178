"""The progress bar of a pass over a partition."""

from __future__ import annotations

import sys
import time

from torch import Tensor
from tqdm import tqdm

from animal_spot.training.pass_sums import PassSums


class PassBar(tqdm):
    """Counts batches on a terminal, with loss and speed.

    Args:
        title: What goes on.
        total: Batches of the pass.
        initial: Those that were done before.
        shown: Draw it, if there is a terminal.
    """

    def __init__(self, title: str, total: int, initial: int = 0, *, shown: bool = True) -> None:
        super().__init__(
            total=total,
            initial=initial,
            desc=title,
            unit="batch",
            leave=False,
            disable=not (shown and sys.stderr.isatty()),
            file=sys.stderr,
        )

    def count(self, loss: Tensor, sums: PassSums, *, last: bool = False) -> None:
        """Move on by a batch; the loss, which waits for the device, is looked at only to draw it.

        Args:
            loss: Of the batch.
            sums: Of the pass.
            last: Draw in any case.
        """
        if not self.disable and (last or time.time() - self.last_print_t >= self.mininterval):
            elapsed = self.format_dict["elapsed"]
            rate = sums.n_clips / elapsed if elapsed > 0 else 0.0
            self.set_postfix_str(f"loss {float(loss):.3f}, {rate:.0f} clips/s", refresh=False)
        self.update()

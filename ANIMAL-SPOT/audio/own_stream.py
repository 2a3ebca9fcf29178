"""Work of a thread on a GPU that does not queue behind what other threads have it do."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import torch


class OwnStream:
    """Gives each thread a CUDA stream of its own, before the others in the queue.

    Else all threads share one: a copy of the next samples to the GPU would wait for the network,
    and with it the thread that could read on. On other devices it does nothing.

    Args:
        device: Where to compute.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._of_thread = threading.local()

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Compute what the block does in the stream of this thread; at its end that is done.

        What the block takes must be complete before; what comes of it may go to any stream. Memory
        of a result is used again by this thread once nobody holds it, so who computes with it
        elsewhere holds it until that is done.
        """
        if self._device.type != "cuda" or not torch.cuda.is_available():
            yield
            return
        stream = getattr(self._of_thread, "stream", None)
        if stream is None:
            stream = torch.cuda.Stream(self._device, priority=-1)
            self._of_thread.stream = stream
        with torch.cuda.stream(stream):
            yield
        stream.synchronize()

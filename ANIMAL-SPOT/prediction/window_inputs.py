"""From a recording to the network inputs of its windows, for several networks side by side."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from animal_spot.audio.clip_files import n_resampled
from animal_spot.audio.recordings import Recording, RecordingError, StreamResampler
from animal_spot.audio.window_features import WindowFeatures
from animal_spot.audio.windows import WindowCutter
from animal_spot.embeddings.embedding_pipeline import EmbeddingFeatures
from animal_spot.prediction.detectors import Detector
from animal_spot.prediction.outcome import RecordingEnd
from animal_spot.prediction.read_ahead import Item
from animal_spot.remote.local_copies import CopiesAhead
from animal_spot.remote.stores import RemoteError
from animal_spot.utils.errors import is_memory_error, one_line, operation_not_on_device
from animal_spot.utils.files import DigestAlong, file_state

log = logging.getLogger(__name__)

_BLOCK_S = 20.0  # of sound that is read at a time


@dataclass(frozen=True)
class WindowInputs:
    """Reads recordings and computes what networks hear.

    Attributes:
        detectors: Networks.
        channel: What is heard of recordings with several, see ``audio.channels``.
        n_at_once: Windows whose inputs are computed together.
        copies: Of recordings at addresses.
    """

    detectors: Sequence[Detector]
    channel: str
    n_at_once: int
    copies: CopiesAhead

    def of(self, path: Path) -> Generator[Item, None, None]:
        """Yield the network inputs of a recording's windows in stretches, then its end."""
        try:
            yield from self._items(path)
        except RecordingError as error:
            yield RecordingEnd(str(error))
        except RemoteError as error:
            yield RecordingEnd(f"unreadable: {error.reason}")
        except OSError as error:
            yield RecordingEnd(f"unreadable: {error.strerror or error}")
        except ValueError as error:  # such as a NUL in a name of a list
            log.debug("%s", path, exc_info=True)
            yield RecordingEnd(f"unreadable: {one_line(error)}")
        except Exception as error:  # one recording never stops the others
            if is_memory_error(error) or operation_not_on_device(error):
                raise
            log.debug("%s", path, exc_info=True)
            yield RecordingEnd(f"{type(error).__name__}: {error}".split("\n")[0])

    def _items(self, path: Path) -> Iterator[Item]:
        with self.copies.held(path) as (file, state):
            yield from self._items_of(file, state)

    def _items_of(self, path: Path, state_there: list[int] | None) -> Iterator[Item]:
        """Yield what ``of`` does of a file, or of a copy of one with that state."""
        state = file_state(path)
        with Recording(path, self.channel) as recording, DigestAlong(path) as along:
            self._refuse_low_rate(recording.rate)
            n_samples = yield from self._stretches(recording, along)
            digest = along.finish()
            if file_state(path) != state:
                raise RecordingError("changed while it was read")
            yield RecordingEnd(
                duration_s=recording.duration_s,
                n_samples=n_samples,
                rate=recording.rate,
                state=state_there or state,
                digest=digest,
                channel=recording.channel,
                warnings=tuple(recording.problems()),
            )

    def _refuse_low_rate(self, rate: int) -> None:
        lowest = min(detector.f_min for detector in self.detectors)
        if rate <= 2 * lowest:
            raise RecordingError(
                f"wrong rate: at {rate} Hz it holds nothing above {rate / 2:g} Hz, and the "
                f"model listens from {lowest:g} Hz"
            )

    def _stretches(
        self, recording: Recording, along: DigestAlong
    ) -> Generator[list[Tensor], None, int]:
        """Yield network inputs; return the length in samples at the first network's rate."""
        rate = recording.rate
        grids = list(dict.fromkeys(detector.grid for detector in self.detectors))
        streams = [StreamResampler(rate, grid.sample_rate) for grid in grids]
        cutters = [WindowCutter(grid, self.n_at_once) for grid in grids]
        cut = {grid: deque() for grid in grids}

        def inputs() -> Iterator[list[Tensor]]:
            while all(cut.values()):
                stretches = {grid: waiting.popleft() for grid, waiting in cut.items()}
                n = min(n for _, n in stretches.values())  # rates may round the end otherwise
                shared: dict[WindowFeatures | EmbeddingFeatures, Tensor] = {}
                for detector in self.detectors:
                    if detector.features not in shared:
                        samples, _ = stretches[detector.grid]
                        shared[detector.features] = detector.features.of_stretch(samples, n)
                yield [shared[detector.features] for detector in self.detectors]

        n_read = 0
        for block in recording.blocks(max(1, int(_BLOCK_S * rate))):
            n_read += len(block)
            along.up_to(n_read / max(n_read, recording.n_frames))
            for waiting, cutter, stream in zip(cut.values(), cutters, streams, strict=True):
                waiting.extend(cutter.feed(stream.feed(block)))
            yield from inputs()
        for waiting, cutter, stream in zip(cut.values(), cutters, streams, strict=True):
            waiting.extend(cutter.feed(stream.finish()))
        n_samples = n_resampled(recording.n_frames, rate, grids[0].sample_rate)
        if n_samples == 0:
            raise RecordingError("empty: shorter than one sample")
        end = cutters[0].window_counts
        for waiting, cutter in zip(cut.values(), cutters, strict=True):
            waiting.extend(cutter.finish(*end))
        yield from inputs()
        return n_samples

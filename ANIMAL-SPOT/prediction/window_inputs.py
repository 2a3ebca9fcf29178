"""From a recording to the network inputs of its windows, for several networks side by side."""

from __future__ import annotations

import functools
import logging
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from animal_spot.audio.clip_files import n_resampled
from animal_spot.audio.recordings import Recording, RecordingError, StreamResampler
from animal_spot.audio.sections import WHOLE, Section, sections_of
from animal_spot.audio.window_features import WindowFeatures
from animal_spot.audio.windows import WindowCutter, WindowGrid
from animal_spot.embeddings.embedding_pipeline import EmbeddingFeatures
from animal_spot.prediction.detectors import Detector
from animal_spot.prediction.outcome import Part, RecordingEnd, SectionEdge
from animal_spot.prediction.read_ahead import Item
from animal_spot.remote.local_copies import CopiesAhead
from animal_spot.remote.stores import RemoteError
from animal_spot.utils.errors import is_memory_error, one_line, operation_not_on_device
from animal_spot.utils.files import DigestAlong, file_state

log = logging.getLogger(__name__)

CHANGED = "changed while it was read"
_BLOCK_S = 20.0  # of sound that is read at a time


@dataclass(frozen=True)
class WindowInputs:
    """Reads recordings and computes what networks hear.

    A long recording is read in sections, each as if it were the only one: by a resampler of its
    own, and into batches without other windows. So the numbers are the same if another process does
    it.

    Attributes:
        detectors: Networks.
        channel: What is heard of recordings with several, see ``audio.channels``.
        n_at_once: Windows whose inputs are computed together.
        copies: Of recordings at addresses.
        part: The only section to read; None: all of a recording.
    """

    detectors: Sequence[Detector]
    channel: str
    n_at_once: int
    copies: CopiesAhead
    part: Part | None = None

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
        state, part = file_state(path), self.part
        if part is not None and not part.is_of(state):
            raise RecordingError(CHANGED)
        heard = (self.channel, None) if part is None else (part.channel, part.counted)
        with Recording(path, *heard) as recording, DigestAlong(path) as along:
            self._refuse_low_rate(recording.rate)
            sections = _sections_of(recording, self._grids)
            chosen = sections if part is None else [sections[part.index]]
            with_digest = part is None or part.index == 0  # one section is enough to have it
            up_to = along.up_to if with_digest else _ignore
            yield from self._chosen(path, recording, chosen, up_to)
            digest = along.finish() if with_digest else ""
            if file_state(path) != state:
                raise RecordingError(CHANGED)
            yield end_of(recording, self._grids[0], state_there or state, digest)

    @property
    def _grids(self) -> list[WindowGrid]:
        return grids_of(self.detectors)

    def _refuse_low_rate(self, rate: int) -> None:
        lowest = min(detector.f_min for detector in self.detectors)
        if rate <= 2 * lowest:
            raise RecordingError(
                f"wrong rate: at {rate} Hz it holds nothing above {rate / 2:g} Hz, and the "
                f"model listens from {lowest:g} Hz"
            )

    def _chosen(
        self,
        path: Path,
        recording: Recording,
        sections: Sequence[Section],
        up_to: Callable[[float], None],
    ) -> Iterator[Item]:
        """Yield the network inputs of sections, each read by itself unless it is the whole."""
        if sections == [WHOLE]:
            yield from self._stretches(recording, WHOLE, up_to)
            return
        for i, section in enumerate(sections):
            with Recording(path, recording.wanted, recording.counted) as own:
                yield SectionEdge()
                share_up_to = functools.partial(_share_of, i, len(sections), up_to)
                yield from self._stretches(own, section, share_up_to)
                yield SectionEdge()
            recording.heard.add(own.heard)

    def _stretches(
        self, recording: Recording, section: Section, up_to: Callable[[float], None]
    ) -> Iterator[list[Tensor]]:
        """Yield network inputs; say what share of the samples is read."""
        rate, grids = recording.rate, self._grids
        streams = [StreamResampler(rate, grid.sample_rate) for grid in grids]
        first, end = section.first_window, section.end_window
        cutters = [
            WindowCutter(grid, self.n_at_once, first, end, section.start_s * grid.sample_rate)
            for grid in grids
        ]
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

        n_read, start, most = 0, section.start_s * rate, None
        if start:
            recording.seek(start)
        if section.end_s is not None:
            most = section.end_s * rate - start
        for block in recording.blocks(max(1, int(_BLOCK_S * rate)), most):
            n_read += len(block)
            up_to(n_read / max(n_read, recording.n_frames - start if most is None else most))
            for waiting, cutter, stream in zip(cut.values(), cutters, streams, strict=True):
                waiting.extend(cutter.feed(stream.feed(block)))
            yield from inputs()
        for waiting, cutter, stream in zip(cut.values(), cutters, streams, strict=True):
            waiting.extend(cutter.feed(stream.finish()))
        if n_resampled(recording.n_frames, rate, grids[0].sample_rate) == 0:
            raise RecordingError("empty: shorter than one sample")
        counts = cutters[0].window_counts if end is None else (end, False)
        for waiting, cutter in zip(cut.values(), cutters, strict=True):
            waiting.extend(cutter.finish(*counts))
        yield from inputs()


def _ignore(share: float) -> None:
    """Let a digest be."""


def _share_of(index: int, n: int, up_to: Callable[[float], None], share: float) -> None:
    """Say what share is read of all sections, of which one is read so far."""
    up_to((index + share) / n)


def grids_of(detectors: Sequence[Detector]) -> list[WindowGrid]:
    """Return the windows of networks, at each rate once."""
    return list(dict.fromkeys(detector.grid for detector in detectors))


def _sections_of(recording: Recording, grids: Sequence[WindowGrid]) -> list[Section]:
    if not recording.seeks_exactly:
        return [WHOLE]
    return sections_of(grids, recording.rate, recording.n_frames)


def parts_of(path: Path, grids: Sequence[WindowGrid], channel: str) -> list[Part]:
    """Return the sections of a recording that may be done apart; none if there are no two.

    Args:
        path: A file; one that cannot be used has none.
        grids: Windows, see ``grids_of``.
        channel: What is heard, see ``audio.channels``.
    """
    try:
        state = tuple(file_state(path))
        with Recording(path) as recording:
            n = len(_sections_of(recording, grids))
        if n < 2:
            return []
        with Recording(path, channel, recording.counted) as recording:
            heard = recording.wanted, recording.counted
            return [Part(i, n, state, *heard) for i in range(n)]
    except (RecordingError, OSError, ValueError):  # whoever does it will say why
        return []


def end_of(recording: Recording, grid: WindowGrid, state: list[int], digest: str) -> RecordingEnd:
    """Return what is known of a recording when all of it was heard.

    Args:
        recording: That was read.
        grid: Windows at the rate of the first network.
        state: Of the file, or of the object that it is a copy of.
        digest: Hash of its bytes.
    """
    return RecordingEnd(
        duration_s=recording.duration_s,
        n_samples=n_resampled(recording.n_frames, recording.rate, grid.sample_rate),
        rate=recording.rate,
        state=state,
        digest=digest,
        channel=recording.channel,
        warnings=tuple(recording.problems()),
        heard=recording.heard,
    )

"""What came of sections of a recording, kept in files until one process joins them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from animal_spot.audio.channels import ChannelLevels
from animal_spot.audio.recordings import Heard, Recording, RecordingError
from animal_spot.audio.windows import WindowGrid
from animal_spot.prediction.outcome import ArraySpool, Outcome, Part, RecordingEnd
from animal_spot.prediction.window_inputs import CHANGED, end_of
from animal_spot.utils.files import atomic_path, file_state

_ROWS = 4096  # windows that are copied at a time
_FACTS = ("n_windows", "seconds", "reason", "rate", "state", "digest")  # of an outcome


def keep_section(file: Path, outcome: Outcome) -> None:
    """Write what came of a section that could be read, each file whole or not at all.

    Args:
        file: Where its facts go, last of all; its numbers go beside.
        outcome: Of the section.

    Raises:
        OSError: If something cannot be written.
    """
    file.parent.mkdir(exist_ok=True)
    facts = {name: getattr(outcome, name) for name in _FACTS}
    heard = outcome.heard
    facts["heard"] = {
        "peak": heard.peak,
        "difference": heard.levels.difference.tolist(),
        "plain": heard.levels.plain.tolist(),
        "mix": heard.levels.mix,
    }
    facts["n_columns"] = {}
    for kind, spool in _spools(outcome).items():
        facts["n_columns"][kind] = 0 if spool is None else spool.n_columns
        with atomic_path(_beside(file, kind)) as path, open(path, "wb") as numbers:
            for rows in () if spool is None else spool.batches(_ROWS):
                numbers.write(rows.data)
    with atomic_path(file) as path:
        path.write_text(json.dumps(facts), encoding="utf-8")


def kept_section(file: Path) -> int | None:
    """Return how many windows a section has that was kept, by this run or one before; or None."""
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
        for kind, n_columns in facts["n_columns"].items():
            if _beside(file, kind).stat().st_size != 4 * n_columns * facts["n_windows"]:
                return None
    except (OSError, ValueError):
        return None
    return facts["n_windows"]


def remove_section(file: Path) -> None:
    """Remove what ``keep_section`` wrote."""
    for path in (file, *(_beside(file, kind) for kind in ("probabilities", "embeddings"))):
        path.unlink(missing_ok=True)


def joined(
    path: Path, files: Sequence[Path], part: Part, grid: WindowGrid, folder: Path | None
) -> Outcome:
    """Put the sections of a recording together to what one process would have made of it.

    Args:
        path: The recording.
        files: Facts of each section, in order.
        part: Any of its sections.
        grid: Windows at the rate of the first network.
        folder: Where the numbers of long recordings go; None: the system's for temporary files.

    Raises:
        OSError: If something cannot be read.
    """
    found = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    outcome = Outcome(path=path, started=time.perf_counter())
    try:
        outcome.end(_end(path, found, part, grid))
    except RecordingError as error:
        outcome.reason, outcome.ended = str(error), True
        return outcome
    outcome.reason = next((facts["reason"] for facts in found if facts["reason"]), "")
    outcome.probabilities, outcome.embeddings = ArraySpool(folder), ArraySpool(folder)
    for file, facts in zip(files, found, strict=True):
        for kind, spool in _spools(outcome).items():
            _append(spool, _beside(file, kind), facts["n_columns"][kind])
        outcome.n_windows += facts["n_windows"]
        outcome.seconds += facts["seconds"]
    return outcome


def _end(path: Path, found: Sequence[dict], part: Part, grid: WindowGrid) -> RecordingEnd:
    try:
        states = [file_state(path), *(facts["state"] for facts in found)]
    except OSError as error:
        raise RecordingError(f"unreadable: {error.strerror or error}") from error
    if not all(map(part.is_of, states)):
        raise RecordingError(CHANGED)
    with Recording(path, part.channel, part.counted) as recording:
        for facts in found:
            heard = facts["heard"]
            levels = (np.array(heard[name]) for name in ("difference", "plain"))
            recording.heard.add(Heard(ChannelLevels(*levels, heard["mix"]), heard["peak"]))
        return end_of(recording, grid, found[0]["state"], found[0]["digest"])


def _spools(outcome: Outcome) -> dict[str, ArraySpool | None]:
    return {"probabilities": outcome.probabilities, "embeddings": outcome.embeddings}


def _beside(file: Path, kind: str) -> Path:
    return file.with_name(f"{file.name}.{kind}")


def _append(spool: ArraySpool, file: Path, n_columns: int) -> None:
    n_bytes = 4 * n_columns * _ROWS
    with open(file, "rb") as numbers:
        while n_bytes and (content := numbers.read(n_bytes)):
            spool.append(np.frombuffer(content, np.float32).reshape(-1, n_columns))

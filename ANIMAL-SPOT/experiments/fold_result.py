"""What the network of one fold said of the clips that it never heard, and its file."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from animal_spot.data.corpus import Corpus
from animal_spot.model_files.model_file import FILE_NAME
from animal_spot.utils.errors import one_line
from animal_spot.utils.files import write_text_atomic
from animal_spot.utils.typed import ContentError, read_json, typed

PREDICTIONS_FILE = "predictions.json"  # of a fold; written last, so a fold that has it is complete

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Predictions:
    """What ``PREDICTIONS_FILE`` holds; see ``FoldResult``."""

    clips: dict[str, int]
    names: list[str]
    labels: list[int]
    probabilities: list[list[float]]


@dataclass(frozen=True)
class FoldResult:
    """What the network of one fold said of the clips that it never heard.

    Attributes:
        fold: Number, from 0.
        clips: Number of clips in train, val and test.
        names: Judged clips.
        labels: Their class indices.
        probabilities: Shape ``(clips, classes)``.
    """

    fold: int
    clips: dict[str, int]
    names: list[str]
    labels: list[int]
    probabilities: np.ndarray

    @classmethod
    def of(cls, fold: int, corpus: Corpus, probabilities: np.ndarray) -> FoldResult:
        """Put together what a network said of the test clips of a corpus."""
        judged = corpus.samples["test"]
        return cls(
            fold,
            {part: len(samples) for part, samples in corpus.samples.items()},
            [s.name for s in judged],
            [s.label for s in judged],
            probabilities,
        )

    @property
    def predictions(self) -> list[int]:
        """Most probable class of each clip."""
        return self.probabilities.argmax(1).tolist()

    def write(self, folder: Path) -> None:
        """Write it into the model folder of the fold, which is complete then."""
        said = _Predictions(self.clips, self.names, self.labels, self.probabilities.tolist())
        write_text_atomic(folder / PREDICTIONS_FILE, json.dumps(asdict(said)) + "\n")


def complete_fold(folder: Path, fold: int, corpus: Corpus) -> FoldResult | None:
    """Read the result of a fold; None if it is not complete, or of other clips.

    Args:
        folder: Model folder of the fold.
        fold: Number, from 0.
        corpus: Its clips.
    """
    path = folder / PREDICTIONS_FILE
    try:
        said = typed(_Predictions, read_json(path), str(path))
    except FileNotFoundError:
        return None
    except (OSError, ContentError) as error:
        log.warning("fold %d is trained again: %s", fold, one_line(error))
        return None
    judged = corpus.samples["test"]
    fits = (
        said.names == [s.name for s in judged]
        and said.labels == [s.label for s in judged]
        and len(said.probabilities) == len(judged)
        and all(len(row) == len(corpus.classes) for row in said.probabilities)
    )
    if not fits or not (folder / FILE_NAME).is_file():
        return None
    return FoldResult(fold, said.clips, said.names, said.labels, np.array(said.probabilities))

"""The clips of a retraining: those of the corpus, and those that were reviewed, in one table.

No clip of the corpus changes its part. What was reviewed goes where its recording is: to the
training part, to validation if its recording is there, and nowhere if that is in the test part.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from animal_spot.cutting.labels_file import NAME as LABELS
from animal_spot.cutting.labels_file import read_labels
from animal_spot.data import sources
from animal_spot.data.corpus import Corpus
from animal_spot.data.division import divide_further
from animal_spot.data.labels import names_by_index
from animal_spot.data.splits import FRACTIONS, MISSING_COST, PARTITIONS
from animal_spot.utils.csv_cells import csv_text
from animal_spot.utils.files import write_text_atomic
from animal_spot.utils.names import composed

COLUMNS = ("file", "label", "start_s", "end_s", "tape", "split")
LEAST_OF_CLASS = 5  # training clips of a class that is new
_DEALT = ("train", "val")
_LEAST_LETTERS = 4  # of a name of a tape that is looked for in names of recordings

log = logging.getLogger("RETRAIN")


@dataclass(frozen=True)
class ReviewedClip:
    """A clip that was cut of what was decided.

    Attributes:
        file: Where it is.
        label: Its class.
        tape: Its recording, as names of clips call it.
        source: The recording's file.
    """

    file: Path
    label: str
    tape: str
    source: str


@dataclass
class KnownTapes:
    """Recordings of a corpus.

    Attributes:
        parts: In which parts of the split each tape is.
        by_source: Tape by the name of the recording's file without its ending, where a table of
            the corpus says it.
    """

    parts: dict[str, set[str]] = field(default_factory=dict)
    by_source: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, corpus: Corpus, data_dir: Path, labels: Path | None) -> KnownTapes:
        """Return those of a corpus."""
        known = cls()
        tape_of = {}
        for part in PARTITIONS:
            for sample in corpus.samples[part]:
                if sample.tape is not None:
                    known.parts.setdefault(sample.tape, set()).add(part)
                    tape_of[sample.name] = sample.tape
        if labels is not None or (data_dir / LABELS).is_file():
            source = sources.find_source(data_dir, labels=labels)
            for name, (recording, _) in source.sources.items():
                if name in tape_of:
                    known.by_source[_stem(recording)] = tape_of[name]
        return known

    def tape_of(self, clip: ReviewedClip) -> str | None:
        """Return the tape of the corpus that a clip's recording is; None: it is new.

        Where names only resemble each other it is rather taken for known: else a test clip could
        be learned from.
        """
        if clip.tape in self.parts:
            return clip.tape
        stem = _stem(clip.source)
        if stem in self.by_source:
            return self.by_source[stem]
        words = _words(stem)
        alike = [tape for tape in self.parts if _is_named(_words(tape), words)]
        # The test part first, then what says most.
        return max(alike, key=lambda t: ("test" in self.parts[t], len(t), t), default=None)


def _stem(recording: str) -> str:
    name = re.split(r"[/\\]", recording)[-1]
    return composed(name.rpartition(".")[0] or name).casefold()


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W_]+", composed(name).casefold())


def _is_named(tape: Sequence[str], recording: Sequence[str]) -> bool:
    """Tell whether the name of a recording holds that of a tape, with or without its year."""
    for words in (tape, tape[1:] if re.fullmatch(r"(19|20)\d\d", tape[0] if tape else "") else ()):
        says = sum(map(len, words)) >= _LEAST_LETTERS and any(map(_has_digit, words))
        n = len(words)
        if words and list(words) == list(recording):
            return True
        if says and any(
            list(recording[i : i + n]) == list(words) for i in range(len(recording) - n + 1)
        ):
            return True
    return False


def _has_digit(word: str) -> bool:
    return any(map(str.isdigit, word))


def reviewed_clips(folder: Path) -> list[ReviewedClip]:
    """Return the clips that an export of a review left in a folder."""
    rows = read_labels(folder / LABELS)
    return [
        ReviewedClip(folder / row["file"], row["label"], row["tape"], row["source"])
        for row in rows
        if (folder / row["file"]).is_file()
    ]


@dataclass
class Joined:
    """Which reviewed clips join which part.

    Attributes:
        rows: Clip, tape and part of each.
        held_back: Those of recordings of the test part.
        few: Classes that are new and of which there are too few, with how many.
        dealt: Part of each recording that the corpus does not know.
    """

    rows: list[tuple[ReviewedClip, str, str]] = field(default_factory=list)
    held_back: list[ReviewedClip] = field(default_factory=list)
    few: dict[str, int] = field(default_factory=dict)
    dealt: dict[str, str] = field(default_factory=dict)

    def counts(self, part: str) -> Counter[str]:
        """Return how many clips of each class join a part."""
        return Counter(clip.label for clip, _, where in self.rows if where == part)


def join(
    clips: Sequence[ReviewedClip],
    corpus: Corpus,
    known: KnownTapes,
    dealt: Mapping[str, str],
    seed: int = 0,
) -> Joined:
    """Say where reviewed clips go. The test part gets none.

    Recordings that are new to the corpus are dealt to training and validation as new tapes join a
    split, but the one with most clips goes to training: else a review of one recording might teach
    nothing.

    Args:
        clips: What was reviewed.
        corpus: What the model was trained on.
        known: Its recordings.
        dealt: Where recordings of an earlier round went; they stay there.
        seed: Of the dealing.
    """
    joined = Joined()
    new: dict[str, list[ReviewedClip]] = defaultdict(list)
    for clip in clips:
        tape = known.tape_of(clip)
        if tape is None:
            new[clip.tape].append(clip)
        elif "test" in known.parts[tape]:
            joined.held_back.append(clip)
        else:
            part = "train" if "train" in known.parts[tape] else "val"
            joined.rows.append((clip, tape, part))
    joined.dealt = _dealt(new, corpus, joined.rows, dealt, seed)
    for tape, own in new.items():
        joined.rows += [(clip, tape, joined.dealt[tape]) for clip in own]
    joined.rows.sort(key=lambda row: str(row[0].file))
    n_train = joined.counts("train")
    labels = {clip.label for clip, _, _ in joined.rows} - set(corpus.classes)
    joined.few = {name: n_train[name] for name in sorted(labels) if n_train[name] < LEAST_OF_CLASS}
    joined.rows = [row for row in joined.rows if row[0].label not in joined.few]
    return joined


def _dealt(
    new: Mapping[str, Sequence[ReviewedClip]],
    corpus: Corpus,
    rows: Iterable[tuple[ReviewedClip, str, str]],
    before: Mapping[str, str],
    seed: int,
) -> dict[str, str]:
    parts = {tape: before[tape] for tape in new if before.get(tape) in _DEALT}
    free = sorted(set(new) - set(parts))
    if free and "train" not in parts.values():
        largest = max(free, key=lambda tape: len(new[tape]))
        parts[largest] = "train"
        free.remove(largest)
    if not free:
        return parts
    names = names_by_index(corpus.classes)
    labels = sorted({*names, *(clip.label for own in new.values() for clip in own)})
    labels = sorted({*labels, *(clip.label for clip, _, _ in rows)})
    index = {name: i for i, name in enumerate(labels)}
    held = np.zeros((len(_DEALT), len(labels)))
    for i, part in enumerate(_DEALT):
        for sample in corpus.samples[part]:
            held[i, index[names[sample.label]]] += 1
        for clip, _, where in rows:
            held[i, index[clip.label]] += where == part
        for tape in (tape for tape, where in parts.items() if where == part):
            for clip in new[tape]:
                held[i, index[clip.label]] += 1
    counts = np.zeros((len(free), len(labels)))
    for i, tape in enumerate(free):
        for clip in new[tape]:
            counts[i, index[clip.label]] += 1
    shares = np.array([FRACTIONS[name] for name in _DEALT])
    found = divide_further(counts, held, shares / shares.sum(), MISSING_COST[: len(_DEALT)], seed)
    return parts | {tape: _DEALT[part] for tape, part in zip(free, found, strict=True)}


def write_table(path: Path, corpus: Corpus, rows: Iterable[tuple[ReviewedClip, str, str]]) -> None:
    """Write the table of all clips, which ``--labels`` of training reads."""
    names = names_by_index(corpus.classes)
    lines = [COLUMNS]
    for part in PARTITIONS:
        for sample in corpus.samples[part]:
            start, end = "", ""
            if sample.span is not None:
                start, _, end = sample.name.rpartition("#")[2].partition("-")
            tape = sample.tape or os.path.splitext(sample.name)[0]
            file = os.path.abspath(sample.path)
            lines.append((file, names[sample.label], start, end, tape, part))
    for clip, tape, part in rows:
        lines.append((os.path.relpath(clip.file, path.parent), clip.label, "", "", tape, part))
    write_text_atomic(path, csv_text(lines))


def read_dealt(path: Path) -> dict[str, str]:
    """Return where recordings of earlier rounds went; {} where nobody noted it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(k): v for k, v in content.items() if v in _DEALT} if type(content) is dict else {}

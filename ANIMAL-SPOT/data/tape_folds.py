"""Divide all clips into folds without dividing a tape, whatever split is stored."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from animal_spot.audio.channel_choice import MIX
from animal_spot.data.clip_dataset import Sample
from animal_spot.data.corpus import (
    Corpus,
    CorpusError,
    check_class_names,
    find_source,
    labelled_sample,
    nothing_usable,
    number_classes,
    report_notes,
)
from animal_spot.data.inspection import inspect_labelled
from animal_spot.data.labels import Clip, names_by_index
from animal_spot.data.splits import PARTITIONS, Split, split_exists

VAL_PARTS = 6  # one part of so many of the training clips chooses the epoch
_FEWEST_RESTARTS, _MOST_RESTARTS = 3, 20
_RESTART_WORK = 4000  # tapes looked at in all restarts together

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClipPool:
    """Clips that are to be divided.

    Attributes:
        classes: Class name to index.
        clips: Each with a tape, sorted by path.
        samples: Sample of each clip by its path.
        excluded: Path of each file left out, and the reason.
        warnings: What is probably not as it was meant, for ``results.json``.
    """

    classes: dict[str, int]
    clips: tuple[Clip, ...]
    samples: dict[str, Sample]
    excluded: dict[str, str]
    warnings: list[str] = field(default_factory=list)

    def corpus_of(self, split: Split) -> Corpus:
        """Return what a network is trained and judged on."""
        samples = {name: [self.samples[c.path] for c in split[name]] for name in PARTITIONS}
        return Corpus(self.classes, samples)


def load_pool(
    data_dir: Path,
    *,
    num_classes: int | None = None,
    exclude_silent: bool = False,
    n_processes: int = 1,
    channel: str = MIX,
    labels: Path | None = None,
    tape_pattern: str | None = None,
) -> ClipPool:
    """Find all clips below a folder and look into each; a stored split is not read.

    Args:
        data_dir: Folder of the clips.
        num_classes: Number of classes that must be found; None takes what is found.
        exclude_silent: Leave out clips without sound.
        n_processes: For looking into the clips.
        channel: What is heard of clips with several, see ``audio.channels``.
        labels: Table of the clips, see ``data.sources``.
        tape_pattern: Finds the tape in the path of a clip, see ``data.sources``.

    Raises:
        CorpusError: If there is nothing to train on, or the classes are not as they should be.
    """
    source = find_source(
        data_dir,
        labels=labels,
        tape_pattern=tape_pattern,
        place=data_dir if split_exists(data_dir) else None,
    )
    excluded = dict(source.excluded)
    infos, reasons = inspect_labelled(
        source.folder,
        source.clips,
        exclude_silent=exclude_silent,
        n_processes=n_processes,
        channel=channel,
    )
    excluded |= reasons | source.not_read
    warnings_of_clips = report_notes({path: info.notes for path, info in infos.items()})
    clips = sorted(clip for clip in source.clips if clip.path in infos)
    if not clips:
        raise nothing_usable(data_dir, source.names, excluded)
    vanished = sorted(source.class_names - {clip.class_name for clip in clips})
    if vanished:
        examples = [f"{path} ({why})" for path, why in sorted(excluded.items())[:3]]
        raise CorpusError(
            f"no usable clip of class {', '.join(vanished)}; add clips, or remove the class; of "
            f"{len(excluded)} files that are left out: {'; '.join(examples)}"
        )
    check_class_names(clips, source)
    classes = number_classes({clip.class_name for clip in clips}, num_classes)
    samples = {c.path: labelled_sample(source.folder, c, infos[c.path], classes) for c in clips}
    warnings_of_clips = [*source.warnings, *warnings_of_clips]
    return ClipPool(classes, tuple(clips), samples, excluded, warnings_of_clips)


def pool_of(corpus: Corpus, partitions: Sequence[str]) -> ClipPool:
    """Return the clips of some partitions of a corpus; those without a tape are left out."""
    names = names_by_index(corpus.classes)
    clips, samples = [], {}
    for sample in (s for name in partitions for s in corpus.samples[name]):
        if sample.tape is not None:
            clips.append(Clip(sample.name, names[sample.label], sample.tape))
        samples[sample.name] = sample
    untaped = len(samples) - len(clips)
    if untaped:
        log.warning("%d clips have no tape in their name, so they are left out", untaped)
    return ClipPool(corpus.classes, tuple(sorted(clips)), samples, corpus.excluded)


def assign_folds(clips: Sequence[Clip], n_folds: int, seed: int = 0) -> np.ndarray:
    """Give each tape a fold, so that classes are spread evenly over the folds.

    The work is done by scikit-learn's ``StratifiedGroupKFold`` in several random orders. Taken is
    the result in which the fewest classes lie in one fold alone (a network trained without that
    fold would never have heard them), then that in which classes reach the most folds, then the
    most even one; where single moves of tapes help with the first two, they are made.

    Args:
        clips: Each with a tape. Their order does not matter.
        n_folds: At least 2.
        seed: Same seed and clips, same folds.

    Returns:
        Fold of each clip, 0 to ``n_folds - 1``, shape ``(clips,)``, in the order of ``clips``.

    Raises:
        CorpusError: If there are fewer tapes than folds, or no class has as many clips.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # slow to import

    order = sorted(range(len(clips)), key=lambda i: clips[i])
    tapes, tape = np.unique([clips[i].tape for i in order], return_inverse=True)
    names, label = np.unique([clips[i].class_name for i in order], return_inverse=True)
    if len(tapes) < n_folds:
        raise CorpusError(
            f"{n_folds} folds need clips from at least {n_folds} tapes, and there are "
            f"{len(tapes)}; use fewer --folds"
        )
    if np.bincount(label).max() < n_folds:
        raise CorpusError(f"no class has {n_folds} clips; use fewer --folds")
    counts = np.zeros((len(tapes), len(names)))
    np.add.at(counts, (tape, label), 1)
    rng = np.random.default_rng(seed)
    best, best_cost = None, None
    for restart in range(max(1, min(_MOST_RESTARTS, _RESTART_WORK // len(tapes)))):
        if restart >= _FEWEST_RESTARTS and best_cost[:2] == (0, 0):
            break
        folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=int(rng.integers(2**32)))
        fold_of_tape = np.zeros(len(tapes), dtype=int)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of small classes; warn_of_weak_folds says it better
            for k, (_, judged) in enumerate(folds.split(label, label, tape)):
                fold_of_tape[tape[judged]] = k
        cost = _cost(counts, fold_of_tape, n_folds)
        if best is None or cost < best_cost:
            best, best_cost = fold_of_tape, cost
    best = _improve(counts, best, n_folds)
    result = np.empty(len(clips), dtype=int)
    result[order] = best[tape]
    return result


def _cost(counts: np.ndarray, folds: np.ndarray, n_folds: int) -> tuple[int, int, float]:
    """Return what is bad about folds of tapes, the worst first.

    Args:
        counts: Clips of each class on each tape, shape ``(tapes, classes)``.
        folds: Fold of each tape.
        n_folds: Number of folds.
    """
    holds = np.zeros((n_folds, counts.shape[1]))
    np.add.at(holds, folds, counts)
    n_tapes = (counts > 0).sum(0)
    reached = (holds > 0).sum(0)
    empty = int((holds.sum(1) == 0).sum())
    alone = int(((reached == 1) & (n_tapes > 1)).sum())
    missing = int((np.minimum(n_folds, n_tapes) - reached).sum())
    shares = holds / holds.sum(0)
    uneven = float(shares.std(0).sum() + (holds.sum(1) / holds.sum()).std())
    return empty + alone, missing, uneven


def _improve(counts: np.ndarray, folds: np.ndarray, n_folds: int) -> np.ndarray:
    """Move single tapes while that spreads classes over more folds."""
    folds, cost = folds.copy(), _cost(counts, folds, n_folds)
    while cost[:2] > (0, 0):
        best_cost, best_move = cost, None
        for tape, old in enumerate(folds.tolist()):
            for new in range(n_folds):
                folds[tape] = new
                moved = _cost(counts, folds, n_folds)
                if moved[:2] < cost[:2] and moved < best_cost:
                    best_cost, best_move = moved, (tape, new)
            folds[tape] = old
        if best_move is None:
            break
        folds[best_move[0]], cost = best_move[1], best_cost
    return folds


def fold_split(clips: Sequence[Clip], folds: np.ndarray, fold: int, seed: int = 0) -> Split:
    """Return the split of one fold: test is the fold, val and train come from the others.

    About a sixth of the other clips are val, whole tapes again, but none that is all that training
    would have of a class.

    Args:
        clips: Each with a tape.
        folds: Fold of each clip, from ``assign_folds``.
        fold: Which one is judged.
        seed: Of the choice of val.

    Raises:
        CorpusError: If the other folds have too few tapes for a validation part.
    """
    test = tuple(clip for clip, k in zip(clips, folds, strict=True) if k == fold)
    others = [clip for clip, k in zip(clips, folds, strict=True) if k != fold]
    tapes_of: dict[str, set[str]] = {}
    for clip in others:
        tapes_of.setdefault(clip.class_name, set()).add(clip.tape)
    most_clips = max((sum(c.class_name == name for c in others) for name in tapes_of), default=0)
    n_parts = min(VAL_PARTS, len({c.tape for c in others}), most_clips)
    candidates = []
    if n_parts > 1:
        parts = assign_folds(others, n_parts, seed)
        for part in range(n_parts):
            tapes = {c.tape for c, k in zip(others, parts, strict=True) if k == part}
            for name in sorted(tapes_of):
                if tapes_of[name] <= tapes:  # training needs one of them
                    tapes.discard(max(tapes_of[name]))
            val = [clip for clip in others if clip.tape in tapes]
            n_classes = len({clip.class_name for clip in val})
            uneven = abs(len(val) / len(others) - 1 / n_parts)
            candidates.append((-n_classes, uneven, part, val))
    val = min(candidates)[3] if candidates else []
    if not val:
        raise CorpusError(
            f"fold {fold + 1}: the other folds have too few tapes for training and validation; "
            "clips from more tapes are needed"
        )
    chosen = {clip.tape for clip in val}
    return Split(tuple(c for c in others if c.tape not in chosen), tuple(val), test)


def warn_of_weak_folds(pool: ClipPool, folds: np.ndarray) -> None:
    """Say which classes have too few tapes, and whether copies of a clip lie in several folds."""
    n_folds = int(max(folds)) + 1
    tapes_of: dict[str, set[str]] = {}
    folds_of: dict[str, set[int]] = {}
    copies: dict[str, set[int]] = {}
    for clip, fold in zip(pool.clips, folds, strict=True):
        copies.setdefault(pool.samples[clip.path].digest, set()).add(int(fold))
        tapes_of.setdefault(clip.class_name, set()).add(clip.tape)
        folds_of.setdefault(clip.class_name, set()).add(int(fold))
    for name, tapes in sorted(tapes_of.items()):
        if len(folds_of[name]) == 1:
            log.warning(
                "class %s lies in fold %d alone (it has %d tape%s): the network that judges it "
                "never heard it and cannot be right",
                name,
                min(folds_of[name]) + 1,
                len(tapes),
                "s" * (len(tapes) != 1),
            )
        elif len(tapes) < n_folds:
            log.warning(
                "class %s has %d tapes, fewer than %d folds: some folds have none of it",
                name,
                len(tapes),
                n_folds,
            )
    n_copies = sum(len(where) > 1 for where in copies.values())
    if n_copies:
        log.warning(
            "%d clips lie in more than one fold as identical copies; accuracy will flatter",
            n_copies,
        )

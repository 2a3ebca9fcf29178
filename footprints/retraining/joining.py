"""Which reviewed prints are learned from, and which are kept to see what that brought.

No prepared photo changes its part. A reviewed print that looks like a test photo is never learned
from, nor one that looks like a validation photo.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np

from footprints.pictures.similarity import close_pairs
from footprints.retraining.examples import Example
from footprints.scores.calibration import UNKNOWN

LEARNED, HELD_OUT, LIKE_TEST, LIKE_VAL = "learned", "held out", "like test", "like validation"
NEW_CLASS, NO_CLASS = "too few of its class", "of no class"
UNTOUCHED = (HELD_OUT, LIKE_TEST)  # neither model learned from them
LEAST_OF_CLASS = 5  # prints to learn a new class from
_RANK = {"test": 0, "val": 1, "train": 2}


@dataclass(frozen=True)
class Known:
    """A photo of the prepared set.

    Attributes:
        split: Its part.
        sha256: Of the photo's bytes; empty: not known.
        photo_hash: Perceptual hash of the photo; None: not known.
        crop_hash: The same of its crop.
    """

    split: str
    sha256: str
    photo_hash: str | None
    crop_hash: str


def places(
    examples: Sequence[Example],
    known: Sequence[Known],
    classes: Set[str],
    max_distance: int,
    held_out: float,
) -> list[str]:
    """Say what becomes of each reviewed print.

    Prints of one photo, of one trail and of photos that look alike stay together. Those that look
    like a training photo are learned from, since the old model knows them already. Of the others
    the share ``held_out`` is kept, chosen by a digest of the photos alone.

    Args:
        examples: What was reviewed.
        known: The prepared set.
        classes: Of that, and ``unknown`` if it has photos of other animals.
        max_distance: Bits in which perceptual hashes of photos that look alike differ at most.
        held_out: Share of the groups that is not learned from, 0 to 1.

    Returns:
        For each print ``LEARNED``, ``HELD_OUT``, ``LIKE_TEST``, ``LIKE_VAL``, ``NEW_CLASS`` or
        ``NO_CLASS``.
    """
    groups = _groups(examples, max_distance)
    parts = _parts_of_look_alikes(examples, known, max_distance)
    members: dict[int, list[int]] = defaultdict(list)
    for number, group in enumerate(groups):
        members[group].append(number)
    of_group: dict[int, str] = {}
    for group, numbers in members.items():
        part = min((parts[i] for i in numbers if parts[i]), key=_RANK.__getitem__, default="")
        of_group[group] = {"test": LIKE_TEST, "val": LIKE_VAL, "train": LEARNED}.get(part, "")
    free = sorted(
        (group for group, place in of_group.items() if not place),
        key=lambda group: _digest(min(examples[i].sha256 for i in members[group])),
    )
    n_held_out = int(len(free) * held_out)
    for number, group in enumerate(free):
        of_group[group] = HELD_OUT if number < n_held_out else LEARNED
    found = [of_group[group] for group in groups]
    learned = Counter(
        one.label for one, place in zip(examples, found, strict=True) if place == LEARNED
    )
    for number, one in enumerate(examples):
        if one.label not in classes and found[number] == LEARNED:
            if one.label == UNKNOWN:
                found[number] = NO_CLASS
            elif learned[one.label] < LEAST_OF_CLASS:
                found[number] = NEW_CLASS
    return found


def _groups(examples: Sequence[Example], max_distance: int) -> list[int]:
    """Number the groups of prints that belong together."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    pairs = [
        close_pairs([one.photo_hash for one in examples], max_distance)[:, :2],
        close_pairs([one.crop_hash for one in examples], max_distance)[:, :2],
    ]
    for key in (lambda one: one.sha256, lambda one: one.row.photo.trail):
        first: dict[str, int] = {}
        same = [
            (first.setdefault(name, number), number)
            for number, name in enumerate(map(key, examples))
            if name
        ]
        pairs.append(np.array(same, dtype=np.int64).reshape(-1, 2))
    links = np.concatenate(pairs)
    n = len(examples)
    graph = coo_matrix((np.ones(len(links), dtype=bool), (links[:, 0], links[:, 1])), (n, n))
    return connected_components(graph, directed=False)[1].tolist()


def _parts_of_look_alikes(
    examples: Sequence[Example], known: Sequence[Known], max_distance: int
) -> list[str]:
    """Return the part of the prepared photos that each print looks like; empty: of none.

    Of several parts it is the test part first: nothing like it may be learned from.
    """
    found: list[set[str]] = [set() for _ in examples]
    of_digest: dict[str, set[str]] = defaultdict(set)
    for one in known:
        of_digest[one.sha256].add(one.split)
    for parts, one in zip(found, examples, strict=True):
        parts |= of_digest.get(one.sha256, set())
    photos = [one for one in known if one.photo_hash is not None]
    for own, others, there in (
        ([one.photo_hash for one in examples], [str(one.photo_hash) for one in photos], photos),
        ([one.crop_hash for one in examples], [one.crop_hash for one in known], known),
    ):
        for first, second, _ in close_pairs([*own, *others], max_distance).tolist():
            if first < len(own) <= second:
                found[first].add(there[second - len(own)].split)
    return [min(parts, key=_RANK.__getitem__, default="") for parts in found]


def _digest(text: str) -> str:
    return hashlib.sha256(f"held out {text}".encode()).hexdigest()

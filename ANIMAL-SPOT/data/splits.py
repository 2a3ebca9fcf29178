"""Partition clips into train, val and test without dividing a tape, and keep the split on disk.

On disk a split is, in the data folder, three list files ``train``, ``val`` and ``test`` that name
one CSV file a line, and in each folder of clips up to three CSV files with one clip a row.
"""

from __future__ import annotations

import csv
import io
import math
import ntpath
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from data.labels import Clip, ClipNameError, class_name_of, tape_of
from utils.files import write_text_atomic

PARTITIONS = ("train", "val", "test")
FRACTIONS = {"train": 0.7, "val": 0.15, "test": 0.15}

# What a class missing from a partition costs, times the number of classes: more than all
# deviations from the wanted shares together, which are below 2 a class. Training needs every class;
# test comes before val, so that a class with two tapes is measured on a tape that chose nothing.
_MISSING_COST = np.array([1000.0, 3.0, 3.3])
_TOTAL_SHARE_WEIGHT = 0.5
_MOST_RESTARTS = 300
_RESTART_WORK = 20_000  # tapes looked at in all restarts together


@dataclass(frozen=True)
class Split:
    """Clips of each partition, in a fixed order."""

    train: tuple[Clip, ...]
    val: tuple[Clip, ...]
    test: tuple[Clip, ...]

    def __getitem__(self, partition: str) -> tuple[Clip, ...]:
        return getattr(self, partition)


def split_by_tape(
    clips: Sequence[Clip], seed: int = 0, fractions: Mapping[str, float] = FRACTIONS
) -> Split:
    """Assign whole tapes to partitions, over all classes at once.

    Each class is to reach every partition, then to hold the wanted share of its clips in each.
    A tape is placed where its rarest class lacks most (iterative stratification: Sechidis,
    Tsoumakas & Vlahavas 2011), then single moves and swaps of tapes remove what can be removed.

    Args:
        clips: Each with a tape. Their order does not matter.
        seed: Same seed and clips, same split.
        fractions: Wanted share of the clips for each partition; the shares sum to 1.

    Raises:
        ValueError: If a clip has no tape or the fractions do not sum to 1.
    """
    shares = np.array([fractions[name] for name in PARTITIONS])
    if not math.isclose(shares.sum(), 1.0, abs_tol=1e-9) or (shares < 0).any():
        raise ValueError(f"the fractions must sum to 1, got {dict(fractions)}")
    if any(clip.tape is None for clip in clips):
        raise ValueError("a clip without a tape cannot be split by tape")
    clips = sorted(clips)
    tapes = sorted({clip.tape for clip in clips})
    class_names = sorted({clip.class_name for clip in clips})
    if not tapes:
        return Split((), (), ())
    tape_index = {tape: i for i, tape in enumerate(tapes)}
    class_index = {name: i for i, name in enumerate(class_names)}
    counts = np.zeros((len(tapes), len(class_names)))
    for clip in clips:
        counts[tape_index[clip.tape], class_index[clip.class_name]] += 1

    rng = np.random.default_rng(seed)
    best, best_cost = None, math.inf
    inevitable = _inevitable_cost(counts)
    for _ in range(min(_MOST_RESTARTS, 1 + _RESTART_WORK // len(tapes))):
        assignment = _improve(counts, _assign_greedily(counts, shares, rng), shares)
        cost = _cost(counts, assignment, shares)
        if cost < best_cost - 1e-9:
            best, best_cost = assignment, cost
        if best_cost < inevitable + _MISSING_COST.min() * len(class_names):
            break  # every class is where it can be; the first such split of a seed is taken
    partition_of = {tape: PARTITIONS[best[i]] for tape, i in tape_index.items()}
    return Split(
        **{name: tuple(c for c in clips if partition_of[c.tape] == name) for name in PARTITIONS}
    )


def _inevitable_cost(counts: np.ndarray) -> float:
    """Return what is missing whatever is done, since a class has fewer tapes than partitions."""
    n_tapes = (counts > 0).sum(0)
    cheapest_first = np.sort(_MISSING_COST)
    missing = [cheapest_first[: max(0, len(_MISSING_COST) - n)].sum() for n in n_tapes]
    return float(sum(missing)) * counts.shape[1]


def _assign_greedily(
    counts: np.ndarray, shares: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Place tapes one by one, those of the class with the fewest tapes first."""
    n_tapes, n_classes = counts.shape
    assignment = np.full(n_tapes, -1)
    wanted = shares[:, None] * counts.sum(0)
    holds = np.zeros((len(shares), n_classes))
    order = rng.permutation(n_tapes)
    for c in np.argsort((counts > 0).sum(0), kind="stable"):
        for t in order[(counts[order, c] > 0) & (assignment[order] < 0)]:
            lack = (wanted[:, c] - holds[:, c]) / counts[:, c].sum()
            empty = _MISSING_COST * (holds[:, c] == 0)
            p = int(np.argmax(lack + empty + 1e-6 * (wanted - holds).sum(1)))
            assignment[t] = p
            holds[p] += counts[t]
    return assignment


def _holdings(counts: np.ndarray, assignment: np.ndarray, n_partitions: int) -> np.ndarray:
    holds = np.zeros((n_partitions, counts.shape[1]))
    np.add.at(holds, assignment, counts)
    return holds


def _partition_cost(
    holds: np.ndarray, share: float, class_totals: np.ndarray, missing: float
) -> np.ndarray:
    """Cost of one partition that holds ``holds`` (..., classes): shape (...)."""
    deviation = np.abs(holds / class_totals - share).sum(-1)
    total = np.abs(holds.sum(-1) / class_totals.sum() - share)
    missing = missing * holds.shape[-1]
    return deviation + _TOTAL_SHARE_WEIGHT * total + missing * (holds == 0).sum(-1)


def _cost(counts: np.ndarray, assignment: np.ndarray, shares: np.ndarray) -> float:
    totals = counts.sum(0)
    holds = _holdings(counts, assignment, len(shares))
    return sum(
        float(_partition_cost(holds[p], shares[p], totals, _MISSING_COST[p]))
        for p in range(len(shares))
    )


def _improve(counts: np.ndarray, assignment: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Move, and where a class is missing swap, tapes while that lowers the cost."""
    assignment = assignment.copy()
    while True:
        gain, changes = _best_change(counts, assignment, shares)
        if gain < 1e-9:
            return assignment
        for tape, partition in changes:
            assignment[tape] = partition


def _best_change(
    counts: np.ndarray, assignment: np.ndarray, shares: np.ndarray
) -> tuple[float, list[tuple[int, int]]]:
    """Return how much the best move or swap saves, and the new places of its tapes."""
    totals = counts.sum(0)
    holds = _holdings(counts, assignment, len(shares))

    def cost(p: int, held: np.ndarray) -> np.ndarray:
        return _partition_cost(held, shares[p], totals, _MISSING_COST[p])

    best_gain, best_changes = 0.0, []
    for source in range(len(shares)):
        for target in range(len(shares)):
            tapes = np.flatnonzero(assignment == source)
            if source == target or not len(tapes):
                continue
            before = cost(source, holds[source]) + cost(target, holds[target])
            moved = counts[tapes]
            after = cost(source, holds[source] - moved) + cost(target, holds[target] + moved)
            i = int(np.argmin(after))
            if before - after[i] > best_gain + 1e-12:
                best_gain, best_changes = before - after[i], [(tapes[i], target)]
            # Swapping is tried only for tapes that bring a class which the target lacks.
            brings = (moved[:, holds[target] == 0] > 0).any(1)
            others = np.flatnonzero(assignment == target)
            for t in tapes[brings] if len(others) else []:
                difference = counts[t] - counts[others]
                after = cost(source, holds[source] - difference) + cost(
                    target, holds[target] + difference
                )
                i = int(np.argmin(after))
                if before - after[i] > best_gain + 1e-12:
                    best_gain = before - after[i]
                    best_changes = [(t, target), (others[i], source)]
    return best_gain, best_changes


def leaking_tapes(split: Split) -> dict[str, list[str]]:
    """Return the tapes that lie in more than one partition, with those partitions' names."""
    places: dict[str, list[str]] = defaultdict(list)
    for partition in PARTITIONS:
        for tape in sorted({c.tape for c in split[partition] if c.tape is not None}):
            places[tape].append(partition)
    return {tape: where for tape, where in sorted(places.items()) if len(where) > 1}


def split_table(split: Split, class_names: Iterable[str]) -> list[str]:
    """Return the lines of a table of clips (tapes) per class and partition.

    A class that is missing from a partition is marked, with the reason.
    """
    names = sorted(set(class_names))
    width = max(len(n) for n in [*names, "class"])
    lines = [f"{'class':<{width}} " + "".join(f"{p + ' clips (tapes)':>22}" for p in PARTITIONS)]
    clips = [clip for partition in PARTITIONS for clip in split[partition]]
    for name in [*names, None]:
        cells, missing = [], []
        for partition in PARTITIONS:
            chosen = [c for c in split[partition] if name in (None, c.class_name)]
            cells.append(f"{len(chosen)} ({len({c.tape for c in chosen})})")
            if not chosen:
                missing.append(partition)
        note = ""
        if missing and name is not None:
            n_tapes = len({c.tape for c in clips if c.class_name == name})
            why = (
                f"it has only {n_tapes} tape{'s' * (n_tapes != 1)}"
                if n_tapes < len(PARTITIONS)
                else "its tapes lie elsewhere"
            )
            note = f"   none in {' and '.join(missing)}: {why}"
        lines.append(f"{name or 'all':<{width}} " + "".join(f"{cell:>22}" for cell in cells) + note)
    return lines


def split_exists(data_dir: Path) -> bool:
    """Tell whether all three list files are there."""
    return all((data_dir / partition).is_file() for partition in PARTITIONS)


def save_split(split: Split, data_dir: Path) -> None:
    """Write a split: first every CSV file, then the three list files that make it count.

    Raises:
        ValueError: If a CSV file in the way does not look like a part of a split.
        OSError: If a file cannot be written.
    """
    for partition in PARTITIONS:
        if (data_dir / partition).is_dir():
            raise ValueError(
                f"the folder {data_dir / partition} is in the way: the split needs a file of that "
                "name; rename the folder"
            )
    rows: dict[str, dict[str, list[str]]] = {}
    for partition in PARTITIONS:
        by_folder: dict[str, list[str]] = defaultdict(list)
        for clip in split[partition]:
            by_folder[PurePosixPath(clip.path).parent.as_posix()].append(clip.path)
        rows[partition] = {
            (PurePosixPath(folder) / f"{partition}.csv").as_posix(): paths
            for folder, paths in by_folder.items()
        }
    for csv_path in (data_dir / p for files in rows.values() for p in files):
        if csv_path.exists() and not _looks_like_split_csv(csv_path):
            raise ValueError(
                f"{csv_path} is in the way: the split wants to write its clips there, but the "
                "file holds something else; move it to another place"
            )
    for files in rows.values():
        for csv_name, paths in files.items():
            buffer = io.StringIO(newline="")
            csv.writer(buffer).writerows([path] for path in paths)
            write_text_atomic(data_dir / csv_name, buffer.getvalue())
    for partition, files in rows.items():
        listed = (f"./{name}" if name[0] in "# " else name for name in files)
        write_text_atomic(data_dir / partition, "".join(f"{name}\n" for name in listed))


def _looks_like_split_csv(path: Path) -> bool:
    with open(path, newline="", encoding="utf-8", errors="replace") as file:
        return all(
            len(row) <= 1 and (not row or row[0].strip().lower().endswith(".wav"))
            for row in csv.reader(file)
        )


def load_split(data_dir: Path) -> tuple[Split, dict[str, str]]:
    """Read a split from disk, as the original program wrote it or as ``save_split`` did.

    The folder written in a row is ignored: a clip lies beside the CSV that lists it. A clip whose
    name gives no tape is taken all the same, since its partition is known.

    Returns:
        The split, and for each row that could not be used its path and the reason.

    Raises:
        FileNotFoundError: If a CSV file that a list file names is missing.
    """
    skipped: dict[str, str] = {}
    partitions: dict[str, tuple[Clip, ...]] = {}
    for partition in PARTITIONS:
        clips: dict[str, Clip] = {}
        for csv_name in _listed_csv_files(data_dir / partition):
            csv_path = data_dir / csv_name
            if not csv_path.is_file():
                raise FileNotFoundError(
                    f"{data_dir / partition} names {csv_name}, which is missing; restore it, or "
                    f"delete the files {', '.join(PARTITIONS)} in {data_dir} for a new split"
                )
            folder = _relative_folder(csv_path, data_dir)
            rows = csv.reader(io.StringIO(_read_names(csv_path), newline=""))
            names = [row[0].strip() for row in rows if row and row[0].strip()]
            for name in names:
                path = (PurePosixPath(folder) / ntpath.basename(name)).as_posix()
                try:
                    clips[path] = Clip(path, class_name_of(path), _tape_or_none(path))
                except ClipNameError as error:
                    skipped[path] = str(error)
        partitions[partition] = tuple(clips.values())
    return Split(**partitions), skipped


def _listed_csv_files(list_file: Path) -> list[str]:
    lines = (line.rstrip("\r") for line in _read_names(list_file).split("\n"))
    names = (line.replace("\\", "/") for line in lines if line.strip() and not line.startswith("#"))
    return list(dict.fromkeys(names))


def _read_names(path: Path) -> str:
    """Read a file of paths: UTF-8, with a mark at its start or without; other bytes are kept."""
    return path.read_bytes().decode("utf-8-sig", errors="surrogateescape")


def _relative_folder(csv_path: Path, data_dir: Path) -> str:
    """Folder of a CSV relative to the data folder, or its full path if it lies elsewhere."""
    folder = csv_path.parent
    return (folder.relative_to(data_dir) if folder.is_relative_to(data_dir) else folder).as_posix()


def _tape_or_none(path: str) -> str | None:
    try:
        return tape_of(path)
    except ClipNameError:
        return None

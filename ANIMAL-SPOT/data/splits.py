"""Partition clips into train, val and test without dividing a tape, and keep the split on disk.

On disk a split is, in the data folder, three list files ``train``, ``val`` and ``test`` that name
one CSV file a line, and in each folder of clips up to three CSV files with one clip a row. It may
also lie in a folder of its own, with folders called as those of the clips. Where clips do not
follow the naming rule, the list files begin with ``# classes by folders`` or ``# classes by
table``; a part of a recording is then called ``day1.wav#12.5-15``, see
``data.labels.named_part``. A split by time within recordings (``data.time_blocks``) says so there.
"""

from __future__ import annotations

import csv
import io
import ntpath
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, get_args

import numpy as np

from animal_spot.data.clip_source import Kind
from animal_spot.data.division import divide, divide_further
from animal_spot.data.labels import Clip, ClipNameError, clip_by_name
from animal_spot.utils.files import refuse_links, write_text_atomic
from animal_spot.utils.names import composed

PARTITIONS = ("train", "val", "test")
FRACTIONS = {"train": 0.7, "val": 0.15, "test": 0.15}

# What a class costs that is missing from a partition, see ``divide``. Training needs every class;
# test comes before val, so that a class with two tapes is measured on a tape that chose nothing.
MISSING_COST = np.array([1000.0, 3.0, 3.3])
_CLIP_NAME = re.compile(r"[^/\\]-[^/\\]*_[^/\\]*\.\w{2,5}$")
_ANY_CLIP_NAME = re.compile(r"[^/\\]\.\w{2,5}(#[\d.]+-[\d.]+)?$")
_MARK = "# classes by "  # at the start of list files whose clips do not follow the naming rule
_BY_TIME = "# split by time within recordings"  # then, in those of such a split
_KNOWN = ".split.known"  # beside the list files: every clip that was ever listed by this program
_MOST_BYTES = 64 * 2**20  # of a list of clips
_FAR = 0.15 + 1e-9  # share of clips in another partition than wanted
_WORTH_A_NEW_SPLIT = 0.1  # less of that share in a new split


@dataclass(frozen=True)
class Split:
    """Clips of each partition, in a fixed order."""

    train: tuple[Clip, ...]
    val: tuple[Clip, ...]
    test: tuple[Clip, ...]

    def __getitem__(self, partition: str) -> tuple[Clip, ...]:
        return getattr(self, partition)


def split_by_tape(clips: Sequence[Clip], seed: int = 0) -> Split:
    """Assign whole tapes to partitions, over all classes at once.

    Each class is to reach every partition, and as nearly as that allows to have the wanted share
    of its clips in each; ``data.division`` says how that is measured and found.

    Args:
        clips: Each with a tape. Their order does not matter.
        seed: Same seed and clips, same split; another may find another that is as good.

    Raises:
        ValueError: If a clip has no tape.
    """
    if any(clip.tape is None for clip in clips):
        raise ValueError("a clip without a tape cannot be split by tape")
    return split_in_groups(clips, {clip.path: clip.tape for clip in clips}, seed)


def split_in_groups(clips: Sequence[Clip], groups: Mapping[str, Any], seed: int = 0) -> Split:
    """Assign whole groups of clips to partitions, see ``split_by_tape``.

    Args:
        clips: The clips. Their order does not matter.
        groups: What is not divided, of each clip by its path; they have an order.
        seed: As in ``split_by_tape``.
    """
    shares = np.array([FRACTIONS[name] for name in PARTITIONS])
    clips = sorted(clips)
    names = sorted({groups[clip.path] for clip in clips})
    class_names = sorted({clip.class_name for clip in clips})
    if not names:
        return Split((), (), ())
    group_index = {group: i for i, group in enumerate(names)}
    class_index = {name: i for i, name in enumerate(class_names)}
    counts = np.zeros((len(names), len(class_names)))
    for clip in clips:
        counts[group_index[groups[clip.path]], class_index[clip.class_name]] += 1

    parts = divide(counts, shares, MISSING_COST, seed)
    partition_of = {group: PARTITIONS[parts[i]] for group, i in group_index.items()}
    return Split(
        **{p: tuple(c for c in clips if partition_of[groups[c.path]] == p) for p in PARTITIONS}
    )


def join_split(split: Split, clips: Sequence[Clip], seed: int = 0) -> Split:
    """Deal clips that are new to a split, of which no clip moves.

    Clips of a tape that it knows go where that tape is, to train if it lies in several partitions.
    New tapes are dealt as ``split_by_tape`` does, so that the shares of all clips come nearest to
    the wanted ones.

    Args:
        split: The split.
        clips: Others, each with a tape. Their order does not matter.
        seed: Same seed, split and clips, same result.

    Returns:
        What joins each partition.

    Raises:
        ValueError: If a clip has no tape.
    """
    if any(clip.tape is None for clip in clips):
        raise ValueError("a clip without a tape cannot join a split")
    partition_of: dict[str, str] = {}
    for partition in reversed(PARTITIONS):  # train comes last, and wins
        partition_of |= {clip.tape: partition for clip in split[partition] if clip.tape is not None}
    new = sorted(clip for clip in clips if clip.tape not in partition_of)
    tapes = {tape: i for i, tape in enumerate(sorted({clip.tape for clip in new}))}
    if tapes:
        known = [clip for partition in PARTITIONS for clip in split[partition]]
        old = [clip for clip in clips if clip.tape in partition_of]
        names = sorted({clip.class_name for clip in [*known, *clips]})
        index = {name: i for i, name in enumerate(names)}
        counts = np.zeros((len(tapes), len(names)))
        for clip in new:
            counts[tapes[clip.tape], index[clip.class_name]] += 1
        held = np.zeros((len(PARTITIONS), len(names)))
        for part, partition in enumerate(PARTITIONS):
            for clip in [*split[partition], *(c for c in old if partition_of[c.tape] == partition)]:
                held[part, index[clip.class_name]] += 1
        shares = np.array([FRACTIONS[name] for name in PARTITIONS])
        parts = divide_further(counts, held, shares, MISSING_COST, seed)
        partition_of |= {tape: PARTITIONS[parts[i]] for tape, i in tapes.items()}
    ordered = sorted(clips)
    return Split(
        **{name: tuple(c for c in ordered if partition_of[c.tape] == name) for name in PARTITIONS}
    )


def leaking_tapes(split: Split) -> dict[str, list[str]]:
    """Return the tapes that lie in more than one partition, with those partitions' names."""
    places: dict[str, list[str]] = defaultdict(list)
    for partition in PARTITIONS:
        for tape in sorted({c.tape for c in split[partition] if c.tape is not None}):
            places[tape].append(partition)
    return {tape: where for tape, where in sorted(places.items()) if len(where) > 1}


def overlaps_across(split: Split) -> list[Clip]:
    """Return the parts of recordings that overlap an earlier part in another partition."""
    by_file: dict[str, list[tuple[float, float, str, Clip]]] = defaultdict(list)
    for partition in PARTITIONS:
        for clip in split[partition]:
            if clip.span_s is not None:
                by_file[clip.file].append((*clip.span_s, partition, clip))
    found = []
    for parts in by_file.values():
        ends = dict.fromkeys(PARTITIONS, 0.0)
        for start_s, end_s, partition, clip in sorted(parts, key=lambda part: part[:2]):
            if any(end > start_s for name, end in ends.items() if name != partition):
                found.append(clip)
            ends[partition] = max(ends[partition], end_s)
    return found


def split_table(split: Split, class_names: Iterable[str], *, by_time: bool = False) -> list[str]:
    """Return the lines of a table of clips (tapes) per class and partition.

    A class that is missing from a partition is marked, with the reason.

    Args:
        split: The split.
        class_names: All classes.
        by_time: Whether recordings are divided.
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
            if by_time:
                why = "too few of its clips lie far enough from each other"
            note = f"   none in {' and '.join(missing)}: {why}"
        lines.append(f"{name or 'all':<{width}} " + "".join(f"{cell:>22}" for cell in cells) + note)
    return lines


def distance_warning(split: Split, *, stored: bool = False) -> str | None:
    """Say which classes are far from the wanted shares, and what would bring them nearer.

    A class of three or more tapes is far if more than 15 % of its clips lie in another partition
    than wanted; of one with fewer the table says it. The same goes for all clips together.

    Args:
        split: The split.
        stored: Whether it was made before. Then it is said only where a new one would be nearer.

    Returns:
        The warning; None if nothing is far.
    """
    clips = [clip for name in PARTITIONS for clip in split[name]]
    far = _far_classes(split)
    total = _percentages(split, None)
    if not clips or (not far and misplaced(split, None) <= _FAR):
        return None
    wanted = "/".join(f"{100 * FRACTIONS[p]:.0f}" for p in PARTITIONS)
    text = f"the split is far from {wanted} % (train/val/test): "
    if stored:
        if any(clip.tape is None for clip in clips):
            return None
        new = split_by_tape(sorted(set(clips)))
        gain = {name: misplaced(split, name) - misplaced(new, name) for name in [*far, None]}
        if max(gain.values()) < _WORTH_A_NEW_SPLIT:
            return None
        better = [f"{n} {_percentages(split, n)} (new {_percentages(new, n)})" for n in far]
        return (
            f"{text}{_some([*better, f'all clips {total} (new {_percentages(new, None)})'])}; it "
            "is used as it is stored; delete the files train, val and test for a new one"
        )
    found = []
    for name in far:
        sizes = Counter(clip.tape for clip in clips if clip.class_name == name)
        (tape, largest), n = sizes.most_common(1)[0], sum(sizes.values())
        found.append(
            f"{name} {_percentages(split, name)} (of {n} clips on {len(sizes)} tapes, "
            f"{largest} on {tape})"
        )
    return (
        f"{text}{_some([*found, f'all clips {total}'])}; no division of whole tapes that was found "
        "is nearer: add clips from further tapes (recordings), or leave out clips of the largest"
    )


def _far_classes(split: Split) -> list[str]:
    """Return the classes that are far from the wanted shares, the farthest first."""
    tapes: dict[str, set[str | None]] = defaultdict(set)
    for partition in PARTITIONS:
        for clip in split[partition]:
            tapes[clip.class_name].add(clip.tape)
    names = [name for name in sorted(tapes) if len(tapes[name]) >= len(PARTITIONS)]
    far = {name: misplaced(split, name) for name in names}
    return sorted((name for name in names if far[name] > _FAR), key=lambda name: -far[name])


def _shares(split: Split, class_name: str | None) -> list[float]:
    """Return the share of a class's clips, or of all, in each partition."""
    n = [sum(class_name in (None, c.class_name) for c in split[p]) for p in PARTITIONS]
    return [count / max(1, sum(n)) for count in n]


def misplaced(split: Split, class_name: str | None) -> float:
    """Return which share of a class's clips, or of all, is in another partition than wanted."""
    wanted = (FRACTIONS[p] for p in PARTITIONS)
    return sum(abs(a - b) for a, b in zip(_shares(split, class_name), wanted, strict=True)) / 2


def _percentages(split: Split, class_name: str | None) -> str:
    return "/".join(f"{100 * share:.0f}" for share in _shares(split, class_name))


def _some(items: Sequence[str], most: int = 6) -> str:
    """Join what is said of classes and, last, of all clips; of many classes the first ones."""
    left_out = len(items) - most
    shown = items if left_out <= 0 else [*items[: most - 1], f"{left_out} more", items[-1]]
    return ", ".join(shown)


def split_exists(split_dir: Path) -> bool:
    """Tell whether all three list files are there."""
    return all((split_dir / partition).is_file() for partition in PARTITIONS)


def save_split(
    split: Split, split_dir: Path, kind: Kind = "names", *, by_time: bool = False
) -> None:
    """Write a split: first every CSV file, then the three list files that make it count.

    Args:
        split: The split.
        split_dir: The data folder, or another, which gets folders of the same names.
        kind: Where classes and tapes of the clips come from. Of a table, whose files may lie
            anywhere, all clips are in one CSV file for each partition.
        by_time: Whether recordings are divided, see ``data.time_blocks``.

    Raises:
        ValueError: If a file in the way does not look like a part of a split.
        OSError: If a file cannot be written, or its folder is a link to another place.
    """
    for partition in PARTITIONS:
        if (split_dir / partition).is_dir():
            raise ValueError(
                f"the folder {split_dir / partition} is in the way: the split needs a file of that "
                "name; rename the folder"
            )
        if (split_dir / partition).exists() and not _looks_like_list(split_dir / partition):
            raise ValueError(
                f"{split_dir / partition} is in the way: the split needs a file of that name, but "
                "this one holds something else; rename it"
            )
    rows: dict[str, dict[str, list[str]]] = {}
    for partition in PARTITIONS:
        by_folder = _by_folder(split[partition], kind)
        rows[partition] = {
            (PurePosixPath(folder) / f"{partition}.csv").as_posix(): paths
            for folder, paths in by_folder.items()
        }
    for csv_path in (split_dir / p for files in rows.values() for p in files):
        refuse_links(csv_path.parent, split_dir)
        if csv_path.exists() and not _looks_like_split_csv(csv_path, kind):
            raise ValueError(
                f"{csv_path} is in the way: the split wants to write its clips there, but the "
                "file holds something else; move it to another place"
            )
    for files in rows.values():
        for csv_name, paths in files.items():
            buffer = io.StringIO(newline="")
            csv.writer(buffer).writerows([path] for path in paths)
            (split_dir / csv_name).parent.mkdir(parents=True, exist_ok=True)
            write_text_atomic(split_dir / csv_name, buffer.getvalue())
    for partition, files in rows.items():
        listed = (f"./{name}" if name[0] in "# " else name for name in files)
        mark = f"{_MARK}{kind}\n" if kind != "names" else ""
        mark += f"{_BY_TIME}\n" if by_time else ""
        lines = (f"{name}\n" for name in listed)
        write_text_atomic(split_dir / partition, mark + "".join(lines))
    (split_dir / _KNOWN).unlink(missing_ok=True)
    _note_known(split, split_dir)


def _by_folder(clips: Iterable[Clip], kind: Kind) -> dict[str, list[str]]:
    """Return the names of clips by the folder of the list that they stand in."""
    found: dict[str, list[str]] = defaultdict(list)
    for clip in clips:
        folder = "." if kind == "table" else PurePosixPath(clip.path).parent.as_posix()
        found[folder].append(clip.path)
    return found


def removed_by_hand(split: Split, split_dir: Path) -> set[str]:
    """Return the clips that this program has listed in a stored split and that somebody took out.

    Args:
        split: What it lists now.
        split_dir: Where it is kept. Of a split by another program nothing is known.
    """
    path = split_dir / _KNOWN
    known = set(_read_names(path).splitlines()) if path.is_file() else set()
    return known - {clip.path for partition in PARTITIONS for clip in split[partition]}


def _note_known(split: Split, split_dir: Path) -> None:
    """Note which clips are listed, to know later which were taken out."""
    listed = sorted({clip.path for partition in PARTITIONS for clip in split[partition]})
    _append_text(split_dir / _KNOWN, "".join(f"{path}\n" for path in listed))


def split_kind(split_dir: Path) -> Kind:
    """Return where classes and tapes come from in a stored split, as its list files say.

    Raises:
        ValueError: If they say what is not known.
        OSError: If they cannot be read.
    """
    first = _read_names(split_dir / PARTITIONS[0]).partition("\n")[0].strip()
    if not first.startswith(_MARK):
        return "names"
    kind = first.removeprefix(_MARK)
    if kind not in get_args(Kind):
        raise ValueError(f"{split_dir / PARTITIONS[0]} begins with {first!r}, which is not known")
    return kind


def is_by_time(split_dir: Path) -> bool:
    """Tell whether recordings are divided in a stored split, as its list files say.

    Raises:
        ValueError: If they are no lists.
        OSError: If they cannot be read.
    """
    return any(
        line.rstrip() == _BY_TIME
        for partition in PARTITIONS
        for line in _read_names(split_dir / partition).split("\n")
    )


def extend_split(joined: Split, split_dir: Path, kind: Kind = "names") -> None:
    """Add clips to a stored split; what stands in its files stays as it is.

    Args:
        joined: What joins each partition.
        split_dir: Where the split is kept.
        kind: As in ``save_split``.

    Raises:
        ValueError: If a file in the way does not look like a part of a split.
        OSError: If a file cannot be written.
    """
    for partition in PARTITIONS:
        by_folder = _by_folder(joined[partition], kind)
        named = {os.path.normpath(n) for n in _listed_csv_files(split_dir / partition)}
        unnamed = []
        for folder, paths in by_folder.items():
            name = (PurePosixPath(folder) / f"{partition}.csv").as_posix()
            path = split_dir / name
            if path.exists() and not _looks_like_split_csv(path, kind):
                raise ValueError(f"{path} holds something else than clips of the split; move it")
            path.parent.mkdir(parents=True, exist_ok=True)
            refuse_links(path.parent, split_dir)
            buffer = io.StringIO(newline="")
            csv.writer(buffer).writerows([clip] for clip in paths)
            _append_text(path, buffer.getvalue())
            if os.path.normpath(name) not in named:
                unnamed.append(f"./{name}" if name[0] in "# " else name)
        if unnamed:
            _append_text(split_dir / partition, "".join(f"{name}\n" for name in unnamed))
    _note_known(joined, split_dir)


def _append_text(path: Path, text: str) -> None:
    """Add lines at the end of a file of paths, which is there whole before and after."""
    before = path.read_bytes().decode("utf-8", "surrogateescape") if path.exists() else ""
    if before and not before.endswith(("\n", "\r")):
        before += "\n"
    write_text_atomic(path, before + text)


def _looks_like_list(path: Path) -> bool:
    try:
        return all(name.lower().endswith(".csv") for name in _listed_csv_files(path))
    except ValueError:
        return False


def _looks_like_split_csv(path: Path, kind: Kind = "names") -> bool:
    try:
        rows = list(csv.reader(io.StringIO(_read_names(path), newline="")))
    except (ValueError, csv.Error):
        return False
    name = _CLIP_NAME if kind == "names" else _ANY_CLIP_NAME
    return all(len(row) <= 1 and (not row or name.search(row[0].strip())) for row in rows)


def load_split(
    split_dir: Path, clip_of: Callable[[str, str], Clip] = clip_by_name
) -> tuple[Split, dict[str, str]]:
    """Read a split from disk, as the original program wrote it or as ``save_split`` did.

    The folder written in a row is ignored: a clip lies in the folder of the CSV that lists it,
    or in the folder of that name in the data folder where the split is kept elsewhere. A clip whose
    name gives no tape is taken all the same, since its partition is known.

    Args:
        split_dir: The data folder, or the one that the split is kept in.
        clip_of: See ``ClipSource.clip_of``.

    Returns:
        The split, its paths relative to the data folder, and for each row that could not be used
        its path and the reason.

    Raises:
        FileNotFoundError: If a CSV file that a list file names is missing.
        ValueError: If a file is no list of names, or names what lies outside of the folder.
    """
    skipped: dict[str, str] = {}
    partitions: dict[str, tuple[Clip, ...]] = {}
    for partition in PARTITIONS:
        clips: dict[str, Clip] = {}
        for csv_name in _listed_csv_files(split_dir / partition):
            csv_path = _existing_file(split_dir, csv_name)
            if csv_path is None:
                raise FileNotFoundError(
                    f"{split_dir / partition} names {csv_name}, which is missing; restore it, or "
                    f"delete the files {', '.join(PARTITIONS)} in {split_dir} for a new split"
                )
            folder = csv_path.relative_to(split_dir).parent
            rows = csv.reader(io.StringIO(_read_names(csv_path), newline=""))
            names = [row[0].strip() for row in rows if row and row[0].strip()]
            for name in names:
                path = (PurePosixPath(folder.as_posix()) / ntpath.basename(name)).as_posix()
                try:
                    clip = clip_of(path, name)
                    clips[clip.path] = clip
                except ClipNameError as error:
                    skipped[path] = str(error)
        partitions[partition] = tuple(clips.values())
    return Split(**partitions), skipped


def _listed_csv_files(list_file: Path) -> list[str]:
    lines = (line.rstrip("\r") for line in _read_names(list_file).split("\n"))
    names = (line.replace("\\", "/") for line in lines if line.strip() and not line.startswith("#"))
    return list(dict.fromkeys(names))


def _read_names(path: Path) -> str:
    """Read a file of paths: UTF-8, with a mark at its start or without; other bytes are kept.

    Raises:
        ValueError: If it cannot be one.
        OSError: If it cannot be read.
    """
    if not path.is_file():
        raise ValueError(f"{path} is no file")
    with open(path, "rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if b"\0" in content or len(content) > _MOST_BYTES:
        what = "is larger than 64 MiB" if len(content) > _MOST_BYTES else "holds no text"
        raise ValueError(f"{path} {what}, so it is no list of clips")
    return content.decode("utf-8-sig", errors="surrogateescape")


def _existing_file(folder: Path, name: str) -> Path | None:
    """Find a listed file, also under another Unicode form of its name; None if there is none.

    Raises:
        ValueError: If the name leads out of the folder. Linked folders inside it do not count.
    """
    root = os.path.abspath(folder)
    parts = Path(os.path.relpath(os.path.join(root, name), root)).parts
    if parts[:1] == ("..",):
        raise ValueError(f"{name!r} in the lists of {folder} leads out of that folder")
    path = folder.joinpath(*parts)
    if path.is_file():
        return path
    place = folder
    for part in parts:
        if not place.is_dir():
            return None
        alike = [n for n in sorted(os.listdir(place)) if composed(n) == composed(part)]
        if not alike:
            return None
        place /= part if part in alike else alike[0]
    return place if place.is_file() else None

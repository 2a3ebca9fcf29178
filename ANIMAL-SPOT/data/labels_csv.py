"""Clips as a table: ``labels.csv`` with a row for each clip, which may be a part of a recording.

Columns are ``file`` and ``label``, and if wanted ``start_s`` and ``end_s`` (seconds in the file),
``tape``, ``site`` and ``split`` (train, val or test); ``source`` and ``source_start_s`` say where a
clip was cut; others do not count. Files are relative to the folder of the table, or else to the
data folder, where a name without folders is enough if only one file has it.
"""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from animal_spot.audio.sound_kinds import is_not_read, is_read, why_not_read
from animal_spot.data.class_folders import is_text
from animal_spot.data.clip_source import ClipSource, tapes_line, unknown_tapes
from animal_spot.data.labels import Clip, FoundFiles, named_part
from animal_spot.data.tapes import Tapes, guessed_tapes, tapes_by_pattern
from animal_spot.tables.delimited import split_table
from animal_spot.tables.numbers import RowError, has_decimal_commas, to_seconds
from animal_spot.tables.table_text import read_text, shortened
from animal_spot.utils.names import composed

LABELS_FILE = "labels.csv"
_SOURCE = ("source", "source_start_s")  # of our own tables
_COLUMNS = ("file", "label", "start_s", "end_s", "tape", "site", "split", *_SOURCE)
_PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


class NoLabelsError(ValueError):
    """A table without the columns of labels."""


@dataclass
class _Rows:
    """What was read of a table.

    Attributes:
        clips: By name; a tape that is not given is None.
        partitions: Partition of each clip that has one.
        excluded: Name of each row that cannot be used, and why.
        labels: All labels of rows that name a file, by name.
        sources: See ``ClipSource``.
    """

    clips: dict[str, Clip] = field(default_factory=dict)
    partitions: dict[str, str] = field(default_factory=dict)
    excluded: dict[str, str] = field(default_factory=dict)
    not_read: dict[str, str] = field(default_factory=dict)
    labels: set[str] = field(default_factory=set)
    sources: dict[str, tuple[str, float]] = field(default_factory=dict)
    n_again: int = 0


def clips_of_table(
    table: Path, data_dir: Path, files: FoundFiles, tape_pattern: str | None
) -> ClipSource:
    """Return the clips that a table lists.

    Args:
        table: The table, as spreadsheets save it: any encoding, commas, semicolons or tabs.
        data_dir: The data folder.
        files: What is in it.
        tape_pattern: Finds the tape of rows that give none, see ``tapes_by_pattern``; None: it is
            the name of the recording for parts, and guessed for others.

    Raises:
        NoLabelsError: If it has no columns file and label.
        TableError: If it is broken.
        OSError: If it cannot be read.
    """
    header, cells, _ = split_table(table, read_text(table)[0])
    columns = _columns_of(header.names)
    if not {"file", "label"} <= columns.keys():
        raise NoLabelsError(
            f"{table} has no columns file and label ({header.present}); its first line must name "
            "them"
        )
    texts = [
        {name: row[i].strip() if i < len(row) else "" for name, i in columns.items()}
        for row in cells
    ]
    finder = _Finder(table.parent, data_dir, files, [row["file"] for row in texts])
    rows = _read_rows(table.name, texts, finder)
    clips, tapes = _with_tapes(list(rows.clips.values()), tape_pattern)
    classes = frozenset(rows.labels)
    n_parts = sum(clip.span_s is not None for clip in clips)
    by = "by the table" if not tapes.of else "by the table and the names of files"
    how = f"labels: classes by {table}, {len(texts)} rows, {n_parts} of them parts of recordings"
    warnings = [*unknown_tapes(tapes, len(clips), tape_pattern), *_unlisted(rows, files, finder)]
    if rows.n_again:
        warnings.append(f"{rows.n_again} rows of {table} stand there twice; each counts once")
    return ClipSource(
        "table",
        finder.folder,
        f"{how}; {tapes_line(clips, by)}",
        tuple(clips),
        rows.excluded,
        rows.not_read,
        tuple([*rows.clips, *rows.excluded]),
        classes,
        classes,
        rows.partitions,
        tuple(warnings),
        rows.sources,
    )


def _columns_of(names: Sequence[str]) -> dict[str, int]:
    """Return the place of each column that counts."""
    plain = ["_".join(name.casefold().split()) for name in names]
    return {name: plain.index(name) for name in _COLUMNS if name in plain}


def _read_rows(table: str, texts: Sequence[Mapping[str, str]], finder: _Finder) -> _Rows:
    comma = has_decimal_commas(
        [row.get(name, "") for row in texts for name in ("start_s", "end_s") if row.get(name)]
    )
    rows, several = _Rows(), {}
    for number, row in enumerate(texts, start=1):
        where = f"{table}, row {number}"
        try:
            clip = _clip_of(row, finder, comma=comma)
            if is_not_read(clip.file):
                rows.not_read[clip.path] = why_not_read(clip.file)
                rows.labels.add(clip.class_name)
                continue
            part = _partition_of(row.get("split", ""))
        except RowError as error:
            rows.excluded[f"{row['file']} ({where})".lstrip()] = str(error)
            continue
        rows.labels.add(clip.class_name)
        with contextlib.suppress(RowError):
            if row.get("source") and row.get("source_start_s"):
                start_s = to_seconds(row["source_start_s"], comma="," in row["source_start_s"])
                rows.sources.setdefault(clip.path, (composed(row["source"]), start_s))
        before = rows.clips.setdefault(clip.path, clip)
        if before.class_name != clip.class_name:
            several.setdefault(clip.path, {before.class_name}).add(clip.class_name)
        elif before is not clip:
            rows.n_again += 1
        if part is not None and rows.partitions.setdefault(clip.path, part) != part:
            rows.excluded[f"{clip.path} ({where})"] = "it is in another part of the split too"
    for path, labels in several.items():
        rows.excluded[path] = f"labelled as {' and as '.join(sorted(labels))} in {table}"
        del rows.clips[path]
        rows.partitions.pop(path, None)
    return rows


def _clip_of(row: Mapping[str, str], finder: _Finder, *, comma: bool) -> Clip:
    """Return the clip of a row, whose tape is None where it gives none.

    Raises:
        RowError: If it is none.
    """
    if not row["file"]:
        raise RowError("names no file")
    label = composed(" ".join(row["label"].split()))
    if not label:
        raise RowError("has no label")
    if not is_text(label) or not is_text(row.get("tape", "")):
        raise RowError("holds bytes that are no letters")
    file = finder.find(row["file"])
    if file is None:
        raise RowError(f"there is no such file in {finder.folder}, or several")
    if not is_read(file) and not is_not_read(file):
        raise RowError("is no sound file")
    tape = composed(row.get("tape", "")) or None
    start, end = row.get("start_s", ""), row.get("end_s", "")
    if not start and not end:
        return Clip(file, label, tape)
    if not start or not end:
        raise RowError("has only one of start_s and end_s")
    start_s, end_s = to_seconds(start, comma=comma), to_seconds(end, comma=comma)
    if not 0 <= start_s < end_s:
        raise RowError(f"start_s is {shortened(start)} and end_s {shortened(end)}")
    return Clip(named_part(file, start_s, end_s), label, tape, (start_s, end_s))


def _partition_of(text: str) -> str | None:
    """Return the partition that a row is in; None if it does not say.

    Raises:
        RowError: If it is none.
    """
    if not text:
        return None
    if text.casefold() not in _PARTS:
        raise RowError(f"split is {shortened(text)}; it must be train, val or test")
    return _PARTS[text.casefold()]


def _with_tapes(clips: Sequence[Clip], tape_pattern: str | None) -> tuple[list[Clip], Tapes]:
    """Give clips without a tape one; return all clips, and these tapes by file."""
    missing = [clip for clip in clips if clip.tape is None]
    if tape_pattern is not None:
        tapes = tapes_by_pattern([clip.file for clip in missing], tape_pattern)
    else:
        whole = {f"{c.class_name}/{c.file}": c for c in missing if c.span_s is None}
        guessed = guessed_tapes({name: clip.class_name for name, clip in whole.items()})
        of = {clip.file: guessed.of[name] for name, clip in whole.items()}
        of |= {c.file: composed(PurePosixPath(c.file).stem) for c in missing if c.span_s}
        tapes = Tapes(of, tuple(whole[name].file for name in guessed.unknown))
    done = [
        clip
        if clip.tape is not None
        else Clip(clip.path, clip.class_name, tapes.of[clip.file], clip.span_s)
        for clip in clips
    ]
    return done, tapes


def _unlisted(rows: _Rows, files: FoundFiles, finder: _Finder) -> list[str]:
    """Say how many files of the data folder no row names."""
    named = {os.path.realpath(finder.folder / file) for file in finder.found}
    left = [p for p in files.clips if os.path.realpath(finder.data_dir / p) not in named]
    if not left:
        return []
    return [
        f"{len(left)} sound files of the data folder are in no row, so they are not used, such as "
        f"{left[0]}"
    ]


class _Finder:
    """Finds the files that a table names.

    Args:
        beside: Folder of the table.
        data_dir: The data folder.
        files: What is in it.
        names: All names; they are looked for in that folder in which more of them are.

    Attributes:
        folder: What files are relative to.
    """

    def __init__(
        self, beside: Path, data_dir: Path, files: FoundFiles, names: Sequence[str]
    ) -> None:
        self.data_dir = data_dir
        by_base: dict[str, list[str]] = defaultdict(list)
        for path in [*files.clips, *files.not_read]:
            by_base[composed(PurePosixPath(path).name)].append(path)
        self._by_base = {base: paths[0] for base, paths in by_base.items() if len(paths) == 1}
        each = list(dict.fromkeys(filter(None, names)))
        found = {place: self._known_in(place, each) for place in dict.fromkeys((beside, data_dir))}
        self.folder = max(
            found, key=lambda place: sum(f is not None for f in found[place].values())
        )
        self._known = found[self.folder]

    def _known_in(self, folder: Path, names: Sequence[str]) -> dict[str, str | None]:
        is_data = folder.resolve() == self.data_dir.resolve()
        by_base = self._by_base if is_data else {}
        return {name: _file(folder, name) or by_base.get(composed(name)) for name in names}

    @property
    def found(self) -> list[str]:
        """Files that were found."""
        return [file for file in self._known.values() if file is not None]

    def find(self, name: str) -> str | None:
        """Return the path of a file as it is on disk, with ``/`` between folders."""
        return self._known.get(name)


def _file(folder: Path, name: str) -> str | None:
    """Find a file, also one with backslashes between folders or in another Unicode form."""
    for written in dict.fromkeys((name, name.replace("\\", "/"))):
        path = PurePosixPath(os.path.normpath(written)).as_posix()
        if (folder / path).is_file():
            return path
        parent = (folder / path).parent
        if parent.is_dir() and not path.isascii():
            wanted = composed(PurePosixPath(path).name)
            for found in sorted(os.listdir(parent)):
                if composed(found) == wanted and (parent / found).is_file():
                    return PurePosixPath(path).with_name(found).as_posix()
    return None

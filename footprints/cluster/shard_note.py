"""What a shard leaves for the merge: how it was started, what it listed, what failed."""

from __future__ import annotations

import argparse
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from footprints.cluster.flags import flags_of
from footprints.system.errors import UserError
from footprints.system.files import read_text, write_json
from footprints.system.shard import MOST, Shard
from footprints.system.shard_folder import shards_of
from footprints.system.text import printable
from footprints.system.typed import as_text, as_whole, json_object

_MOST_WORDS = 1000  # of a command line


@dataclass(frozen=True, kw_only=True)
class ShardNote:
    """A shard that is done.

    Attributes:
        step: ``predict`` or ``prepare``.
        number: Which shard, from 1.
        of: How many there are.
        arguments: The command line.
        working_dir: The folder that its relative paths are relative to.
        flags: What all shards must agree in, by the names of flags.
        run: Digest of all that the result of a photo depends on.
        n_listed: Photos of all shards.
        listed: Digest of their names.
        failed: Why photos failed that the journal does not know of, by their names.
    """

    step: str
    number: int
    of: int
    arguments: list[str]
    working_dir: str
    flags: dict[str, str]
    run: str
    n_listed: int
    listed: str
    failed: dict[str, str]

    @classmethod
    def of_run(
        cls,
        args: argparse.Namespace,
        step: str,
        run: str,
        names: Sequence[str],
        *,
        failed: Mapping[str, str],
        arguments: Sequence[str],
    ) -> ShardNote:
        """Make the note of a shard that has come to its end.

        Args:
            args: Its flags.
            step: ``predict`` or ``prepare``.
            run: As the attribute.
            names: Of the photos of all shards.
            failed: As the attribute.
            arguments: As the attribute.
        """
        return cls(
            step=step,
            number=args.shard.number,
            of=args.shard.of,
            arguments=list(map(str, arguments)),
            working_dir=os.getcwd(),
            flags=flags_of(args),
            run=run,
            n_listed=len(names),
            listed=digest_of_names(names),
            failed=dict(failed),
        )

    @property
    def shard(self) -> Shard:
        """Which shard it is of."""
        return Shard(self.number, self.of)


def name_in_listing(path: Path, root: Path) -> str:
    """Return what a photo is called below the folder that was given, on all systems."""
    return path.relative_to(root).as_posix()


def digest_of_names(names: Iterable[str]) -> str:
    """Return a digest of a list."""
    digest = hashlib.sha256()
    for name in names:
        digest.update(os.fsencode(name) + b"\0")
    return digest.hexdigest()


def write_note(folder: Path, note: ShardNote) -> None:
    """Note that a shard is done."""
    write_json(folder / note.shard.note, {"version": 1} | asdict(note))


def forget_note(folder: Path, shard: Shard) -> None:
    """Remove the note of a shard that begins anew."""
    (folder / shard.note).unlink(missing_ok=True)


def read_note(path: Path) -> ShardNote:
    """Read a note.

    Raises:
        UserError: If it is none.
    """
    try:
        known = json_object(read_text(path))
        as_whole(known.pop("version", None), 1, 1)
        note = ShardNote(
            step=as_text(known.get("step"), "predict|prepare"),
            number=as_whole(known.get("number"), 1, MOST),
            of=as_whole(known.get("of"), 1, MOST),
            arguments=_texts(known.get("arguments")),
            working_dir=as_text(known.get("working_dir")),
            flags=_text_of_text(known.get("flags")),
            run=as_text(known.get("run")),
            n_listed=as_whole(known.get("n_listed"), 0),
            listed=as_text(known.get("listed")),
            failed=_text_of_text(known.get("failed")),
        )
    except ValueError as error:
        raise UserError(f"{printable(path)}: {error}; run that shard again") from None
    if path.name != note.shard.note:
        raise UserError(f"{printable(path)}: is not the note of that shard; run it again")
    return note


def notes_of(folder: Path) -> list[ShardNote]:
    """Return the notes of all shards of the newest division, which agree with each other.

    Raises:
        UserError: Naming the shards that are missing or not finished, or what they differ in.
    """
    done, begun = shards_of(folder, "json"), shards_of(folder, "jsonl")
    if not done and not begun:
        raise UserError(
            f"{printable(folder)}: no shard wrote here; use footprints predict or prepare with "
            "--shard I/N"
        )
    newest = max([*done, *begun], key=lambda shard: _last_change(folder, shard))
    every = [Shard(number, newest.of) for number in range(1, newest.of + 1)]
    missing = [shard for shard in every if shard not in done]
    if missing:
        what = [
            f"{_listed(shards)} {word}"
            for shards, word in (
                ([shard for shard in missing if shard in begun], "not finished"),
                ([shard for shard in missing if shard not in begun], "not begun"),
            )
            if shards
        ]
        raise UserError(
            f"{printable(folder)}: {len(missing)} of {newest.of} shards are missing: "
            f"{'; '.join(what)}; run them (again) with --shard {missing[0]} and so on, then merge "
            "again"
        )
    notes = [read_note(folder / shard.note) for shard in every]
    for note in notes[1:]:
        _refuse_other(notes[0], note)
    return notes


def refuse_other_list(note: ShardNote, names: Sequence[str], what: Path) -> None:
    """Make sure that the photos of now are those that a shard listed.

    Raises:
        UserError: If they are not.
    """
    if (note.n_listed, note.listed) != (len(names), digest_of_names(names)):
        raise UserError(
            f"{printable(what)}: holds other photos now ({len(names)}) than when the shards listed "
            f"them ({note.n_listed}); run all shards again, which do what is missing"
        )


def refuse_other_run(note: ShardNote, run: str) -> None:
    """Make sure that model, detector and release are those of a shard.

    Raises:
        UserError: If they are not.
    """
    if note.run != run:
        raise UserError(
            f"shard {note.shard} was run with another model, detector, region list or release than "
            "there is now; run all shards again"
        )


def _refuse_other(first: ShardNote, note: ShardNote) -> None:
    pair = f"shards {first.shard} and {note.shard}"
    if first.step != note.step:
        raise UserError(f"{pair} are of {first.step} and of {note.step}; run one of them again")
    for name in sorted({*first.flags, *note.flags}):
        one, other = first.flags.get(name), note.flags.get(name)
        if one != other:
            raise UserError(
                f"{pair} were run with another --{name} ({one} and {other}); run one of them again"
            )
    if first.run != note.run:
        raise UserError(
            f"{pair} were run with another model, detector or release; run one of them again"
        )
    if (first.n_listed, first.listed) != (note.n_listed, note.listed):
        raise UserError(
            f"{pair} listed other photos ({first.n_listed} and {note.n_listed}); run them again, "
            "which do what is missing"
        )


def _last_change(folder: Path, shard: Shard) -> int:
    paths = (folder / shard.note, folder / shard.journal)
    return max(path.stat().st_mtime_ns for path in paths if path.exists())


def _listed(shards: list[Shard]) -> str:
    shown = ", ".join(map(str, shards[:8]))
    return f"{shown} and {len(shards) - 8} more" if len(shards) > 8 else shown


def _texts(value: object) -> list[str]:
    if not isinstance(value, list) or len(value) > _MOST_WORDS:
        raise ValueError("has no list of words")
    return [as_text(one) for one in value]


def _text_of_text(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ValueError("lacks a table of texts")
    return {name: as_text(text) for name, text in value.items()}

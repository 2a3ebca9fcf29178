"""A folder of named clips becomes a training corpus: found, inspected, numbered, partitioned."""

from __future__ import annotations

import csv
import errno
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from animal_spot.audio.channel_choice import MIX
from animal_spot.audio.sound_kinds import is_not_read, is_read, why_not_read
from animal_spot.data import sources
from animal_spot.data.class_names import divided_class_warnings, look_alike_error
from animal_spot.data.clip_dataset import Sample
from animal_spot.data.clip_source import ClipSource, Kind
from animal_spot.data.inspection import ClipInfo, inspect_clips, inspect_labelled
from animal_spot.data.labels import Clip, class_indices
from animal_spot.data.splits import (
    PARTITIONS,
    Split,
    distance_warning,
    extend_split,
    is_by_time,
    join_split,
    leaking_tapes,
    load_split,
    overlaps_across,
    removed_by_hand,
    save_split,
    split_by_tape,
    split_exists,
    split_kind,
    split_table,
)
from animal_spot.data.time_blocks import (
    IN_A_GAP,
    KNOWN_RECORDING,
    TimeSplit,
    flatters_warning,
    of_new_recordings,
    place_of,
    split_by_time,
)
from animal_spot.utils.csv_cells import csv_text
from animal_spot.utils.files import exclusive, write_text_atomic
from animal_spot.utils.names import composed

SPLIT_FOLDER = "split"  # beside a model, if the data folder cannot be written
_STORED_CURE = "delete the files train, val and test in the data folder for a new split"
_GIVEN_CURE = "change the column split of the table"
_STRICT_CURES = {
    _STORED_CURE: "delete its files train, val and test for a new one",
    _GIVEN_CURE: _GIVEN_CURE,
}
_NAMED_BY: dict[Kind, str] = {"names": "clips", "folders": "folder", "table": "labels"}
_TAKEN_OUT = "taken out of the stored split by hand"
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS, None)  # the last: a link that is refused

log = logging.getLogger(__name__)


class CorpusError(ValueError):
    """A data folder that cannot be trained on; one line says why and what to do."""


@dataclass
class Corpus:
    """What a run trains and is judged on.

    Attributes:
        classes: Class name to index.
        samples: Usable clips of each partition.
        noise: Clips for noise augmentation.
        noise_pool: What those were chosen from, where there are several such choices.
        unlabelled: Sound without labels to train on, see ``data.unlabelled``.
        excluded: Path of each file left out, and the reason.
        warnings: What is probably not as it was meant, for ``results.json``.
    """

    classes: dict[str, int]
    samples: dict[str, list[Sample]]
    noise: list[Sample] = field(default_factory=list)
    noise_pool: list[Sample] = field(default_factory=list)
    unlabelled: list[Sample] = field(default_factory=list)
    excluded: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def load_corpus(
    data_dir: Path,
    *,
    num_classes: int | None = None,
    noise_dir: Path | None = None,
    noise_from_class: str | None = None,
    exclude_silent: bool = False,
    strict_split: bool = False,
    by_time: bool | None = None,
    join_new: bool = False,
    seed: int = 0,
    n_processes: int = 1,
    split_dir: Path | None = None,
    fallback_split_dirs: Sequence[Path] = (),
    channel: str = MIX,
    labels: Path | None = None,
    tape_pattern: str | None = None,
    no_split: str | None = None,
) -> Corpus:
    """Find the clips below a folder, look into each, and load or make their split.

    Args:
        data_dir: Folder of the clips.
        num_classes: Number of classes that must be found; None takes what is found.
        noise_dir: Folder whose sound files are mixed into training clips.
        noise_from_class: Class whose training clips are mixed into training clips.
        exclude_silent: Leave out clips without sound.
        strict_split: Refuse a stored split with a tape in two partitions.
        by_time: Divide recordings where there are too few for a new split, see
            ``data.time_blocks``; None: there is no flag for it that could be named.
        join_new: Add clips that a stored split does not list to it, see ``splits.join_split``.
        seed: Of a new split.
        n_processes: For looking into the clips.
        split_dir: Folder of the split; None: the data folder.
        fallback_split_dirs: Where a stored split is looked for if the data folder has none, and
            the first is where a new one is written if the data folder cannot be written.
        channel: What is heard of clips with several, see ``audio.channels``.
        labels: Table of the clips, see ``data.sources``.
        tape_pattern: Finds the tape in the path of a clip, see ``data.sources``.
        no_split: What is wrong where there is no split yet; None: it is made.

    Raises:
        CorpusError: If there is nothing to train on, or the classes are not as they should be.
        OSError: If a new split cannot be written.
    """
    if not data_dir.is_dir():
        raise CorpusError(f"the data folder {data_dir} does not exist or is not a folder")
    excluded: dict[str, str] = {}
    places = [split_dir] if split_dir is not None else [data_dir, *fallback_split_dirs]
    place = next((p for p in places if split_exists(p)), None)
    source = find_source(data_dir, labels=labels, tape_pattern=tape_pattern, place=place)
    given = bool(source.partitions)
    stored = given or place is not None
    if not stored and no_split is not None:
        raise CorpusError(no_split)
    timed, left_out, divides = None, (), False  # the last: whether recordings are divided
    if given:
        log.info("split: by the column split of the table")
        split, unusable_rows = _given_split(source), {}
    elif stored:
        log.info("split: stored in %s", place)
        try:
            divides = is_by_time(place)
            split, unusable_rows = load_split(place, source.clip_of)
        except (OSError, ValueError, csv.Error) as error:
            raise CorpusError(f"the stored split cannot be read: {error}") from error
    if stored:
        if by_time and not divides:
            log.warning("--split_by_time changes nothing: there is a split already")
        split = _as_on_disk(split, source.names)
        excluded |= unusable_rows
        listed = [clip for name in PARTITIONS for clip in split[name]]
        wanted = sorted({clip.path: clip for clip in listed}.values())
        of_split = {clip.path for clip in wanted}
        clips = [clip for clip in source.clips if clip.path not in of_split]
        excluded |= {name: why for name, why in source.excluded.items() if name not in of_split}
        class_names = {clip.class_name for clip in listed} | source.shown_classes
        check_class_names([*listed, *clips], source)
        if divides:
            clips = _new_recordings(split, clips, excluded)
        joins = join_new and not given
        if clips and not joins:
            log.warning(
                "%d clips are in no partition of the %s, so they are not used; %s",
                len(clips),
                "column split" if given else "stored split",
                "fill it in every row, or in none"
                if given
                else "train without --freeze_split and they join it, or delete the files train, "
                f"val and test in {place} for a new split",
            )
            clips = []
        elif clips:
            removed = removed_by_hand(split, place)
            out = {clip.path: _TAKEN_OUT for clip in clips if clip.path in removed}
            clips = [clip for clip in clips if clip.path not in removed]
            excluded |= out
            if out:
                log.warning("%d clips were taken out of the stored split and stay out", len(out))
    else:
        clips = wanted = list(source.clips)
        excluded = dict(source.excluded)
        class_names = source.class_names
        check_class_names(clips, source)
    infos, reasons = inspect_labelled(
        source.folder,
        [*wanted, *clips] if stored else wanted,
        exclude_silent=exclude_silent,
        n_processes=n_processes,
        channel=channel,
    )
    excluded |= reasons | source.not_read
    if not infos:
        raise nothing_usable(data_dir, source.names, excluded)
    classes = number_classes(class_names, num_classes)
    if stored:
        extended = split
        if clips:
            joined = join_split(split, [clip for clip in clips if clip.path in infos], seed)
            extended = _extend_stored(split, joined, place, source)
        is_same = extended is not None
        split = extended or split
        split = Split(**{p: tuple(c for c in split[p] if c.path in infos) for p in PARTITIONS})
    else:
        usable = [clip for clip in clips if clip.path in infos]
        timed = _split_by_time(usable, source, infos, seed) if by_time else None
        split = split_by_tape(usable, seed) if timed is None else timed.split
        left_out = () if timed is None else timed.left_out
        excluded |= dict.fromkeys((clip.path for clip in left_out), IN_A_GAP)
        divides = timed is not None and timed.divides
    for line in split_table(split, classes, by_time=divides):
        log.info("%s", line)
    far = None if given or divides else distance_warning(split, stored=stored)
    if far is not None:
        log.warning("%s", far)
    cure = _GIVEN_CURE if given else _STORED_CURE if stored else None
    way_out = "" if stored or by_time is None else _way_out(timed)
    _check_partitions(split, classes, excluded, cure, way_out)
    warnings = list(source.warnings)
    if divides:
        warnings.append(flatters_warning(split, len(left_out)))
        log.warning("%s", warnings[-1])
    _audit(split, infos, strict=stored and strict_split, cure=cure, by_time=divides)
    if not stored:
        is_same = _store_split(split, places, seed, source.kind, by_time=divides)
    if not is_same:
        return load_corpus(  # another run has changed the split meanwhile: all runs use the same
            data_dir,
            num_classes=num_classes,
            noise_dir=noise_dir,
            noise_from_class=noise_from_class,
            exclude_silent=exclude_silent,
            strict_split=strict_split,
            by_time=by_time,
            join_new=join_new,
            seed=seed,
            n_processes=n_processes,
            split_dir=split_dir,
            fallback_split_dirs=fallback_split_dirs,
            channel=channel,
            labels=labels,
            tape_pattern=tape_pattern,
        )

    samples = {
        partition: [
            labelled_sample(source.folder, clip, infos[clip.path], classes)
            for clip in split[partition]
        ]
        for partition in PARTITIONS
    }
    corpus = Corpus(classes, samples, excluded=excluded, warnings=warnings)
    corpus.noise = noise_samples(
        corpus,
        noise_dir,
        noise_from_class,
        exclude_silent=exclude_silent,
        n_processes=n_processes,
        channel=channel,
    )
    corpus.warnings += report_notes({path: info.notes for path, info in infos.items()})
    return corpus


def labelled_sample(folder: Path, clip: Clip, info: ClipInfo, classes: Mapping[str, int]) -> Sample:
    """Return a clip as it is trained and judged on; its file is relative to ``folder``."""
    return Sample(
        folder / clip.file,
        clip.path,
        info.digest,
        classes[clip.class_name],
        info.span,
        info.duration_s,
        clip.tape,
    )


def find_source(
    data_dir: Path,
    *,
    labels: Path | None = None,
    tape_pattern: str | None = None,
    place: Path | None = None,
) -> ClipSource:
    """Find the labelled clips of a folder and say how; see ``data.sources``.

    Args:
        data_dir: The folder.
        labels: Table of the clips.
        tape_pattern: Finds the tape in the path of a clip.
        place: Folder of the stored split, if there is one.

    Raises:
        CorpusError: If what says the labels cannot be read.
    """
    try:
        stored = split_kind(place) if place is not None else None
    except (OSError, ValueError) as error:
        raise CorpusError(f"the stored split cannot be read: {error}") from error
    try:
        source = sources.find_source(
            data_dir, labels=labels, tape_pattern=tape_pattern, stored=stored
        )
    except sources.SourceError as error:
        raise CorpusError(str(error)) from error
    log.info("%s", source.how)
    for warning in source.warnings:
        log.warning("%s", warning)
    return source


def check_class_names(clips: Sequence[Clip], source: ClipSource) -> None:
    """Warn of classes that are probably not meant.

    Raises:
        CorpusError: If two classes differ only in case or blanks.
    """
    error = look_alike_error(clips, _NAMED_BY[source.kind])
    if error is not None:
        raise CorpusError(error)
    if source.kind == "names":
        for warning in divided_class_warnings(clips):
            log.warning("%s", warning)


def nothing_usable(
    data_dir: Path, paths: Sequence[str], excluded: Mapping[str, str]
) -> CorpusError:
    """Return the error that says why no clip is left."""
    problem = "no clip is usable" if paths or excluded else "no sound file was found"
    examples = [f"{p} ({why})" for p, why in list(excluded.items())[:3]]
    example = f": {'; '.join(examples)}" if examples else ""
    cure = ""
    if any(why.startswith("badly named") for why in excluded.values()):
        cure = "; or sort the clips into a folder for each class, or list them in a labels.csv"
    return CorpusError(f"{problem} in {data_dir}{example}{cure}")


def number_classes(class_names: Iterable[str], num_classes: int | None) -> dict[str, int]:
    """Number the classes.

    Raises:
        CorpusError: If they make no task, or are not as many as they should be.
    """
    try:
        classes = class_indices(class_names)
    except ValueError as error:
        raise CorpusError(str(error)) from error
    if num_classes is not None and num_classes != len(classes):
        raise CorpusError(
            f"--num_classes is {num_classes}, but {len(classes)} classes were found: "
            f"{', '.join(sorted(classes))}; leave the flag out to follow the data"
        )
    return classes


def _as_on_disk(split: Split, paths: Sequence[str]) -> Split:
    """Give clips the path that they have on disk, if that is another Unicode form of theirs."""
    known = set(paths)
    by_name = {composed(path): path for path in paths}

    def on_disk(clip: Clip) -> Clip:
        if clip.path in known:
            return clip
        return replace(clip, path=by_name.get(composed(clip.path), clip.path))

    return Split(**{p: tuple(on_disk(clip) for clip in split[p]) for p in PARTITIONS})


def _given_split(source: ClipSource) -> Split:
    """Return the split that a table gives."""
    return Split(
        **{
            name: tuple(c for c in source.clips if source.partitions.get(c.path) == name)
            for name in PARTITIONS
        }
    )


def _split_by_time(
    clips: Sequence[Clip], source: ClipSource, infos: Mapping[str, ClipInfo], seed: int
) -> TimeSplit:
    """Split by time where there are too few tapes, and say so where there are enough."""
    found = split_by_time(
        clips,
        {
            clip.path: place_of(clip, source.sources.get(clip.path), infos[clip.path].duration_s)
            for clip in clips
        },
        seed,
    )
    if not found.divides and not found.undivided:
        log.info("--split_by_time is not needed: whole tapes bring every class into each part")
    if found.divides and found.undivided:
        log.warning("%s", _undivided(found))
    return found


def _undivided(timed: TimeSplit) -> str:
    """Say which tapes --split_by_time could not divide."""
    named = ", ".join(timed.undivided[:3]) + (", ..." if len(timed.undivided) > 3 else "")
    return (
        f"--split_by_time cannot divide {len(timed.undivided)} tapes ({named}): not all of their "
        "clips say where in the recording they begin (STARTMS in the name, or start_s in a "
        "labels.csv)"
    )


def _new_recordings(split: Split, clips: list[Clip], excluded: dict[str, str]) -> list[Clip]:
    """Return the clips that may join a split by time; the others are left out, with a line."""
    new = of_new_recordings(split, clips)
    left = {clip.path for clip in clips} - {clip.path for clip in new}
    if left:
        excluded |= dict.fromkeys(left, KNOWN_RECORDING)
        log.warning(
            "%d clips are not in the stored split, which is by time, and their recordings are: "
            "they are left out, only new recordings join",
            len(left),
        )
    return new


def _store_split(
    split: Split, places: Sequence[Path], seed: int, kind: Kind, *, by_time: bool = False
) -> bool:
    """Write a new split; return whether it was written: not if there is one by now.

    Args:
        split: The split.
        places: Folders to write it into: the first that can be written.
        seed: That it was made with.
        kind: Where classes and tapes come from.
        by_time: Whether recordings are divided.
    """
    for place, following in zip(places, [*places[1:], None], strict=True):
        try:
            place.mkdir(parents=True, exist_ok=True)
            with exclusive(place / ".split.lock"):
                if split_exists(place):
                    return False
                save_split(split, place, kind, by_time=by_time)
        except ValueError as error:
            raise CorpusError(str(error)) from error
        except OSError as error:
            if error.errno not in _READ_ONLY:
                raise
            why = f"the split cannot be written into {place}: {error.strerror or error}"
            if following is None:
                raise CorpusError(f"{why}; name another folder with --split_dir") from error
            log.warning("%s; it is kept in %s", why, following)
        else:
            log.info("split: made with seed %d and stored in %s", seed, place)
            return True
    raise AssertionError("no place is left")


def _extend_stored(stored: Split, joined: Split, place: Path, source: ClipSource) -> Split | None:
    """Add what joins a stored split to its files; return the whole in the order of the files.

    None: these are not as they were read.

    Args:
        stored: The split as it was read.
        joined: What joins it.
        place: Folder of the split.
        source: What reads its rows.
    """
    n_joined = sum(len(joined[partition]) for partition in PARTITIONS)
    if not n_joined:
        return stored
    whole = Split(**{partition: stored[partition] + joined[partition] for partition in PARTITIONS})

    def read() -> Split:
        return _as_on_disk(load_split(place, source.clip_of)[0], source.names)

    try:
        with exclusive(place / ".split.lock"):
            if read() != stored:
                return None
            extend_split(joined, place, source.kind)
            whole = read()
    except ValueError as error:
        raise CorpusError(str(error)) from error
    except OSError as error:
        if error.errno not in _READ_ONLY:
            raise
        log.warning(
            "the split in %s cannot be added to (%s): new clips join it for this run only",
            place,
            error.strerror or error,
        )
    parts = []
    for partition in PARTITIONS:
        counts = Counter(clip.class_name for clip in joined[partition])
        classes = ", ".join(f"{name} {n}" for name, n in sorted(counts.items()))
        parts.append(f"{partition} {counts.total()}" + (f" ({classes})" if classes else ""))
    log.info("%d new clips join the stored split: %s", n_joined, "; ".join(parts))
    return whole


def _check_partitions(
    split: Split,
    classes: Mapping[str, int],
    excluded: Mapping[str, str],
    cure: str | None,
    way_out: str,
) -> None:
    missing = sorted(set(classes) - {clip.class_name for clip in split.train})
    if missing:
        because = f" ({len(excluded)} files were left out, see the list)" if excluded else ""
        raise CorpusError(
            f"no usable training clip of class {', '.join(missing)}{because}; "
            f"{cure or 'add clips'}, or remove the class"
        )
    if not split.val:
        raise CorpusError(
            "no clip is left for validation: a tape is never divided, and training needs one of "
            f"each class; {_tapes_of_classes(split)}; cut clips of each class from at least 3 "
            f"tapes (recordings){way_out}"
        )
    if not split.test:
        log.warning("no clip is left for the test: the result will be validated, not tested")


def _way_out(timed: TimeSplit | None) -> str:
    """Say what --split_by_time would do, or why it does not help."""
    if timed is None:
        return ", or divide recordings by time with --split_by_time, whose figures flatter"
    if timed.undivided:
        return f", since {_undivided(timed)}"
    return ", since --split_by_time finds too few clips that lie far enough from each other"


def _tapes_of_classes(split: Split, most: int = 8) -> str:
    """Say how many tapes each class has and lacks, those with the fewest first."""
    tapes: dict[str, set[str | None]] = defaultdict(set)
    for partition in PARTITIONS:
        for clip in split[partition]:
            tapes[clip.class_name].add(clip.tape)
    said = []
    lacking: dict[int, list[str]] = defaultdict(list)
    for name, found in sorted(tapes.items(), key=lambda item: (len(item[1]), item[0])):
        said.append(f"{name} comes from {len(found)} tape{'s' * (len(found) != 1)}")
        if len(found) < len(PARTITIONS):
            lacking[len(PARTITIONS) - len(found)].append(name)
    counts = ", ".join(said[:most]) + (", ..." if len(said) > most else "")
    lacks = " and ".join(
        f"{n} more tape{'s' * (n != 1)} of {', '.join(names[:most])}"
        + (", ..." if len(names) > most else "")
        for n, names in lacking.items()
    )
    return f"{counts}; missing: {lacks}" if lacks else counts


def _audit(
    split: Split,
    infos: Mapping[str, ClipInfo],
    *,
    strict: bool,
    cure: str | None,
    by_time: bool,
) -> None:
    """Say what lies in two partitions; of a split by time tapes do, which is said elsewhere.

    Raises:
        CorpusError: If a tape does and ``strict`` is set.
    """
    flatters = "accuracy on val and test will flatter"
    leaking = leaking_tapes(split)
    if leaking:
        named = "; ".join(f"{tape} ({', '.join(where)})" for tape, where in leaking.items())
        kind = "the split is by time within recordings" if by_time else "the split leaks"
        problem = f"{kind}: {len(leaking)} tapes lie in more than one partition: {named}"
        if strict:
            raise CorpusError(f"{problem}; {_STRICT_CURES[cure]}, or leave out --strict_split")
        if not by_time:
            log.warning("%s; %s", problem, flatters)
    copies: dict[str, set[str]] = defaultdict(set)
    for partition in PARTITIONS:
        for clip in split[partition]:
            copies[infos[clip.path].digest].add(partition)
    n_copies = sum(len(where) > 1 for where in copies.values())
    if n_copies:
        log.warning(
            "%d clips lie in more than one partition as identical copies; %s",
            n_copies,
            flatters,
        )
    n_overlaps = len(overlaps_across(split))
    if n_overlaps:
        log.warning(
            "%d parts of recordings overlap one in another partition; %s", n_overlaps, flatters
        )
    untaped = sum(c.tape is None for p in PARTITIONS for c in split[p])
    if untaped:
        log.warning("%d clips have no tape in their name that could be checked", untaped)


def noise_samples(
    corpus: Corpus,
    noise_dir: Path | None,
    noise_from_class: str | None,
    *,
    exclude_silent: bool,
    n_processes: int,
    channel: str = MIX,
) -> list[Sample]:
    """Collect what is mixed into training clips: a folder's clips, a class's training clips.

    Raises:
        CorpusError: If there is no such folder or class.
    """
    samples: list[Sample] = []
    if noise_from_class is not None:
        noise_from_class = composed(noise_from_class)
        if noise_from_class not in corpus.classes:
            raise CorpusError(
                f"--noise_from_class {noise_from_class}: there is no such class, only "
                f"{', '.join(corpus.classes)}"
            )
        label = corpus.classes[noise_from_class]
        samples += [sample for sample in corpus.samples["train"] if sample.label == label]
    if noise_dir is not None:
        if not noise_dir.is_dir():
            raise CorpusError(f"the noise folder {noise_dir} does not exist or is not a folder")
        listed = sorted(p.name for p in noise_dir.iterdir() if not p.name.startswith("."))
        names = [name for name in listed if is_read(name)]
        infos, reasons = inspect_clips(
            noise_dir,
            names,
            exclude_silent=exclude_silent,
            n_processes=n_processes,
            channel=channel,
        )
        reasons |= {name: why_not_read(name) for name in listed if is_not_read(name)}
        corpus.warnings += report_notes({str(noise_dir / n): i.notes for n, i in infos.items()})
        corpus.excluded |= {str(noise_dir / name): reason for name, reason in reasons.items()}
        held_back = {s.digest for name in ("val", "test") for s in corpus.samples[name]}
        kept = {name: info for name, info in infos.items() if info.digest not in held_back}
        if len(kept) < len(infos):
            log.warning(
                "%d noise clips are also clips of val or test, so they are not mixed in",
                len(infos) - len(kept),
            )
        if not kept:
            log.warning("no usable noise clip in %s: nothing will be mixed in", noise_dir)
        samples += [Sample(noise_dir / n, n, info.digest, -1) for n, info in kept.items()]
    return samples


def report_notes(notes: Mapping[str, Sequence[str]]) -> list[str]:
    """Say, in a line for each kind, what is strange about files that are used all the same.

    Args:
        notes: Of each file.

    Returns:
        These lines.
    """
    lines = []
    kinds: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for path, of_file in notes.items():
        for note in of_file:
            kinds[re.sub(r"[\d.e+-]*\d", "N", note)].append((path, note))
    for found in kinds.values():
        path, note = found[0]
        several = f" and {len(found) - 1} others like it" if len(found) > 1 else ""
        lines.append(f"{path}{several}: {note}")
        log.warning("%s", lines[-1])
    return lines


def report_excluded(excluded: Mapping[str, str], log_dir: Path | None) -> None:
    """Say what was left out, and why, in ``excluded_files.csv`` if there is a log folder."""
    if log_dir is not None:
        write_excluded_files(excluded, log_dir / "excluded_files.csv")
    if not excluded:
        return
    if log_dir is not None:
        where = f"; see {log_dir / 'excluded_files.csv'}"
    else:
        where = ": " + "; ".join(f"{f} ({why})" for f, why in sorted(excluded.items())[:10])
    log.warning("%d files are left out%s", len(excluded), where)


def write_excluded_files(excluded: Mapping[str, str], path: Path) -> None:
    """Write the table of files that were left out: columns ``file`` and ``reason``."""
    write_text_atomic(path, csv_text([("file", "reason"), *sorted(excluded.items())]))

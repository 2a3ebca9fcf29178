"""The part of a report on photos that were named."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from footprints.pictures.annotate import colour_of
from footprints.reporting import methods
from footprints.reporting.page import (
    Block,
    Cell,
    Copied,
    Facts,
    Note,
    Section,
    Sound,
    Sounds,
    Table,
    count,
    decimal,
    share,
)
from footprints.reporting.pictures import picture
from footprints.reporting.record import Record, read_record
from footprints.reporting.sources import located
from footprints.reporting.wanted import Wanted
from footprints.scores import maps, plots
from footprints.scores.calibration import UNKNOWN
from footprints.scores.judging import STRANGER
from footprints.system.errors import UserError
from footprints.system.files import path_inside

_MOST_PICTURES = 120  # a photo takes a tenth of a second
_MOST_FOLDERS = 60


@dataclass(frozen=True)
class _Named:
    """A photo with its answer, see ``scores.answers.Answer``."""

    photo: str
    answer: str
    certain: bool
    ranking: tuple[tuple[str, float], ...]
    box_xyxy: tuple[float, ...]
    print_found: bool
    confidence: float | None
    taken_at: str | None
    place: tuple[float, float] | None  # latitude and longitude, degrees
    trail: str | None

    @property
    def probability(self) -> float:
        """Of the best class."""
        return self.ranking[0][1]


def sections(path: Path, wanted: Wanted, prefix: str) -> list[Section]:
    """Return the sections on a prediction.

    Args:
        path: Its ``predictions.json``.
        wanted: How the report is to be made.
        prefix: Before the names of tables and figures, which are unique in a report.

    Raises:
        UserError: If it cannot be read.
    """
    run = read_record(path)
    named = [_named(one) for one in run.records("photos")]
    found = [_summary(run, named, prefix), _answers(run, named, prefix)]
    if trails := run.records("trails"):
        found.append(_trails(run, trails, prefix))
    if any(one.place or one.taken_at for one in named):
        found.append(_when_and_where(run, named, prefix))
    if named and wanted.examples:
        found.append(_examples(run, named, wanted))
    found.append(_methods(run))
    if named:
        found.append(_photos(named, prefix))
    return found


def _named(record: Record) -> _Named:
    ranking = tuple(
        (one.text("class") or "", one.share("probability") or 0.0) for one in record.records("top")
    )
    photo, answer, box = record.text("photo"), record.text("answer"), record.numbers("box_xyxy")
    if not ranking or photo is None or answer is None or len(box) not in (0, 4):
        raise UserError(f"{record.path}: one of its photos is not as predict wrote it")
    return _Named(
        photo,
        answer,
        bool(record.flag("certain")),
        ranking,
        box,
        bool(record.flag("print_found")),
        record.share("detection_confidence"),
        record.text("taken_at"),
        _place(record),
        record.text("trail"),
    )


def _place(record: Record) -> tuple[float, float] | None:
    latitude = record.number("latitude", -90, 90)
    longitude = record.number("longitude", -180, 180)
    return None if latitude is None or longitude is None else (latitude, longitude)


def _summary(run: Record, named: Sequence[_Named], prefix: str) -> Section:
    failed, unused = run.records("failed"), run.records("unused")
    blocks: list[Block] = []
    if run.flag("complete") is False:
        text = "The run was stopped before its end: photos are missing here."
        blocks.append(Note(text, is_warning=True))
    if weak := run.text("note"):
        blocks.append(Note(f"{weak[:1].upper()}{weak[1:]}.", is_warning=True))
    if failed:
        n = len(failed)
        text = f"{n:,} {'photo' if n == 1 else 'photos'} could not be used; they are listed below."
        blocks.append(Note(text, is_warning=True))
    n, n_unknown = len(named), sum(not one.certain for one in named)
    n_found = sum(one.print_found for one in named)
    if named and not run.has("detector"):
        text = "There was no detector: the centre of each photo was looked at."
        blocks.append(Note(text, is_warning=True))
    elif n_found < n:
        text = (
            f"No print was found on {n - n_found:,} of {n:,} photos; their centre was looked at. "
        )
        blocks.append(Note(text + "Do not trust these answers much.", is_warning=True))
    rows: list[tuple[str, Cell]] = [
        ("photos", count(n + len(failed))),
        ("photos with an answer", count(n - n_unknown)),
        ("answered unknown", count(n_unknown)),
        ("share that is unknown", share(n_unknown / n if n else None)),
        ("photos that could not be used", count(len(failed))),
        ("other files, not used", count(len(unused))),
        ("answers are unknown below", share(run.share("threshold"))),
        *_rule_rows(run),
        *_stranger_rows(run),
        *_file_rows(run, "model"),
        *_file_rows(run, "detector"),
    ]
    blocks.append(Facts(tuple(rows)))
    blocks.append(
        Note(
            "The program can only choose among the names that it knows. Tracks of any other animal "
            "get one of these names, or unknown."
        )
    )
    if failed:
        reasons = [[one.text("photo") or "", one.text("reason") or ""] for one in failed]
        title = "Photos that could not be used"
        blocks.append(Table(f"{prefix}_failed", title, ("photo", "why"), reasons, most=20))
    return Section("In short", blocks)


def _rule_rows(run: Record) -> list[tuple[str, Cell]]:
    """Return what groups and a region did, where there were any."""
    photos, rows = run.records("photos"), list[tuple[str, Cell]]()
    if groups := run.inside("groups").names():
        n = sum(one.text("answer_level") == "group" for one in photos)
        rows += [
            ("groups", ", ".join(groups)),
            ("a group is answered from", share(run.share("group_threshold"))),
            ("answers that are a group", count(n)),
        ]
    if run.has("region"):
        region = run.inside("region")
        n = sum(bool(one.text("name_without_region")) for one in photos)
        rows += [
            ("region", Path(region.text("file") or "").name),
            ("classes that occur there", count(len(region.inside("factors").names()))),
            ("answers that it changed", count(n)),
        ]
    return rows


def _stranger_rows(run: Record) -> list[tuple[str, Cell]]:
    """Return how many photos look like none of the classes, of a model that can tell."""
    rule = run.inside("refusal").text("rule")
    if rule is None:
        return []
    n = sum(one.text("why") == STRANGER for one in run.records("photos"))
    return [("unknown, as they look like none of the classes", f"{n:,}, told by {rule}")]


def _file_rows(run: Record, what: str) -> list[tuple[str, Cell]]:
    """Return the name of a model file, and how its SHA-256 begins."""
    rows: list[tuple[str, Cell]] = [(what, Path(run.text(what) or "none").name)]
    if digest := run.text(f"{what}_sha256"):
        rows.append((f"SHA-256 of the {what}, first digits", digest[:16]))
    return rows


def _answers(run: Record, named: Sequence[_Named], prefix: str) -> Section:
    """Return how many photos got which answer, and how sure the program is."""
    of_answer = _by_answer(run, named)
    blocks: list[Block] = []
    if named:
        names, counts = list(of_answer), [len(one) for one in of_answer.values()]
        figure = plots.answers_figure(names, counts, f"Answers to {len(named):,} photos")
        blocks.append(picture(figure, f"{prefix}_answers", "Answers", "Photos of each answer."))
        figure = plots.probabilities_figure(
            [one.probability for one in named],
            run.share("threshold"),
            f"How sure the answers are ({len(named):,} photos)",
        )
        caption = "The probability of the best class of each photo."
        blocks.append(picture(figure, f"{prefix}_probabilities", "Probabilities", caption))
    rows = [
        [
            name,
            count(len(photos)),
            share(len(photos) / len(named) if named else None),
            share(float(np.mean([one.probability for one in photos])) if photos else None),
            share(float(np.mean([one.print_found for one in photos])) if photos else None),
        ]
        for name, photos in of_answer.items()
    ]
    columns = ("answer", "photos", "share", "mean probability", "with a print that was found")
    note = "Probabilities are the program's own; nobody has looked at these answers."
    blocks.append(Table(f"{prefix}_answers", "Photos of each answer", columns, rows, (), note))
    if folders := _folders_table(named, list(of_answer), prefix):
        blocks.append(folders)
    return Section("Answers", blocks)


def _when_and_where(run: Record, named: Sequence[_Named], prefix: str) -> Section:
    """Return a map of the photos that say their place, and the days on which they were taken."""
    times = sorted(one.taken_at for one in named if one.taken_at)
    n_places = sum(one.place is not None for one in named)
    n_zones = sum(len(time) > len("2026-03-01T07:15:00") for time in times)
    rows: list[tuple[str, Cell]] = [
        ("photos that say where they were taken", count(n_places)),
        ("photos that say when", count(len(times))),
        ("of these, with their time zone", count(n_zones)),
    ]
    if times:
        rows += [("first day", times[0][:10]), ("last day", times[-1][:10])]
    blocks: list[Block] = [Facts(tuple(rows))]
    if n_places:
        places = {
            answer: found
            for answer, photos in _by_answer(run, named).items()
            if (found := [one.place for one in photos if one.place])
        }
        title = f"Where {n_places:,} photos were taken"
        figure = maps.map_figure(places, title, _lines(named))
        caption = "By the photos' own positions; north is up."
        if run.records("trails"):
            caption += " Lines join the photos of a trail."
        blocks.append(picture(figure, f"{prefix}_map", "Map", caption, is_wide=True))
        text = (
            "This map shows where animals are. Before you share it, think of dens, nests and "
            "setts: predict --strip_location or --round_location_km."
        )
        blocks.append(Note(text, is_warning=True))
    return Section("When and where", blocks)


def _lines(named: Sequence[_Named]) -> list[list[tuple[float, float]]]:
    """Return the places of each trail in the order of time, where there are two at least."""
    of_trail: dict[str, list[_Named]] = defaultdict(list)
    for one in named:
        if one.trail and one.place:
            of_trail[one.trail].append(one)
    ordered = (sorted(photos, key=lambda one: one.taken_at or "") for photos in of_trail.values())
    lines = [list(dict.fromkeys(one.place for one in photos if one.place)) for photos in ordered]
    return [line for line in lines if len(line) > 1]


def _trails(run: Record, trails: Sequence[Record], prefix: str) -> Section:
    """Return one line for each trail: what all its photos say together."""
    rows = []
    for one in trails:
        votes = one.inside("votes").counts()
        first, last = one.text("first_at"), one.text("last_at")
        rows.append(
            [
                one.text("trail") or "",
                count(one.count("photos")),
                (first or "")[:16],
                (last or "")[:16],
                one.text("answer") or "",
                share(one.share("probability")),
                ", ".join(f"{name} {n}" for name, n in votes.items()),
            ]
        )
    columns = ("trail", "photos", "first", "last", "answer", "probability", "photos by themselves")
    by = _BY_TIME if run.text("trails_by") == "time" else "The photos of one folder are a trail."
    note = (
        f"{by} Pictures that look alike count once, and photos without a print only where none has "
        "one."
    )
    table = Table(f"{prefix}_trails", f"Answers to {len(rows):,} trails", columns, rows, (), note)
    return Section("Trails", [table])


_BY_TIME = "Photos that one camera took shortly after each other and nearby are a trail."


def _by_answer(run: Record, named: Sequence[_Named]) -> dict[str, list[_Named]]:
    """Return the photos of each answer: classes as the model has them, "unknown" last."""
    found: dict[str, list[_Named]] = {name: [] for name in run.texts("classes")}
    for one in named:
        found.setdefault(one.answer, []).append(one)
    unknown = found.pop(UNKNOWN, [])
    return found | {UNKNOWN: unknown}


def _folders_table(named: Sequence[_Named], names: Sequence[str], prefix: str) -> Table | None:
    """Return how often each answer was given in each folder of photos; None if there is one."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for one in named:
        counts[str(PurePosixPath(one.photo).parent)][one.answer] += 1
    if not 1 < len(counts) <= _MOST_FOLDERS:
        return None
    rows = [
        [folder, count(counts[folder].total()), *(count(counts[folder][name]) for name in names)]
        for folder in sorted(counts)
    ]
    return Table(f"{prefix}_folders", "Answers by folder", ("folder", "photos", *names), rows)


def _examples(run: Record, named: Sequence[_Named], wanted: Wanted) -> Section:
    """Return photos of each answer, drawn at random."""
    folder = wanted.photos
    if folder is None:
        folder = located(run.text("photos_dir") or "", run.path)
    rng = np.random.default_rng([wanted.seed, len(named)])
    blocks: list[Block] = []
    left = _MOST_PICTURES
    for name, photos in _by_answer(run, named).items():
        n = min(wanted.examples, len(photos), left)
        if not n:
            continue
        left -= n
        chosen = sorted(rng.choice(len(photos), n, replace=False).tolist())
        items = [_picture_of(photos[i], folder, wanted) for i in chosen]
        blocks.append(Sounds(f"{name}: {n} of {len(photos)}, drawn at random", items))
    note = "Yellow: a print that was found; red: the answer is unknown; grey: no print was found."
    return Section("Examples", [Note(note), *blocks])


def _picture_of(one: _Named, folder: Path | None, wanted: Wanted) -> Sound:
    path = None
    if folder is not None:
        try:
            path = path_inside(folder, one.photo)
        except ValueError:
            path = None
    ranking = ", ".join(f"{name} {100 * p:.1f} %" for name, p in one.ranking[:3])
    found = "no print found" if not one.print_found else "print found"
    if one.confidence is not None:
        found += f" with confidence {one.confidence:.2f}"
    return wanted.thumbnails.of(
        path if path is not None and path.is_file() else None,
        one.answer,
        (ranking, found, one.photo),
        one.box_xyxy or None,
        colour_of(certain=one.certain, print_found=one.print_found),
    )


def _methods(run: Record) -> Section:
    text = methods.prediction_methods(run)
    return Section("How they were named", [Copied("For the methods section of a paper", text)])


def _photos(named: Sequence[_Named], prefix: str) -> Section:
    rows = []
    for one in named:
        second = one.ranking[1] if len(one.ranking) > 1 else ("", None)
        rows.append(
            [
                one.photo,
                one.answer,
                one.ranking[0][0],
                share(one.probability),
                second[0],
                share(second[1]),
                decimal(one.confidence),
            ]
        )
    columns = ("photo", "answer", "best class", "probability", "second", "its probability")
    title = f"Answers to {len(named):,} photos"
    table = Table(f"{prefix}_photos", title, (*columns, "print (confidence)"), rows, most=40)
    return Section("All photos", [table])

"""The part of a report that tells of prediction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from animal_spot.data.noise_class import is_background
from animal_spot.figures.found import MOST_PANELS, is_wide, score_histograms
from animal_spot.reporting.found_examples import examples_section
from animal_spot.reporting.found_recordings import recordings_section
from animal_spot.reporting.found_settings import Settings, read_settings
from animal_spot.reporting.found_tables import Found, odd_lines, read_failed, read_found
from animal_spot.reporting.found_when import when_section
from animal_spot.reporting.page import (
    Block,
    Cell,
    Facts,
    Note,
    Section,
    Table,
    Text,
    count,
    decimal,
)
from animal_spot.reporting.pictures import picture
from animal_spot.reporting.wanted import Wanted
from animal_spot.utils.text import printable

_MOST_FAILED = 200  # files that are listed
_QUANTILES = 0.1, 0.5, 0.9


def sections(path: Path, wanted: Wanted) -> list[Section]:
    """Return what there is to say.

    Raises:
        SourceError: If what the files hold cannot be used.
        OSError: If something cannot be read.
    """
    found = read_found(path)
    settings = read_settings(path, found.recordings)
    counts = found.counts()
    calls = _calls(found, counts, settings.noise_class)
    made = [
        _overview(path, found, settings, counts, calls),
        _classes(found, settings, counts, calls),
        _review(path),
        when_section(found, calls),
        recordings_section(found, counts, calls),
        examples_section(found, settings, calls, wanted),
        _failed(path, found),
    ]
    return [section for section in made if section is not None]


def _calls(found: Found, counts: np.ndarray, noise_class: str | None) -> list[int]:
    """Return the indexes of the classes that are no background, the most frequent first."""
    sums = counts.sum(axis=0)
    calls = [i for i, name in enumerate(found.classes) if not is_background(name, noise_class)]
    return sorted(calls, key=lambda i: -sums[i])


def _overview(
    path: Path, found: Found, settings: Settings, counts: np.ndarray, calls: Sequence[int]
) -> Section:
    complete = [one for one in found.recordings if one.is_complete]
    hours = sum(one.duration_s for one in complete) / 3600
    with_time = [one for one in complete if one.start is not None]
    status = [one.status for one in found.recordings]
    rows: list[tuple[str, Cell]] = [
        ("Recordings listened to", count(len(complete))),
        ("Recordings that failed", count(status.count("failed"))),
    ]
    n_open = len(status) - len(complete) - status.count("failed")
    if n_open:
        rows.append(("Recordings not reached", count(n_open)))
    rows += [
        ("Sound", decimal(hours, 2, " h")),
        ("Sound with known time", decimal(_hours(with_time), 2, " h")),
    ]
    if sites := {one.site for one in complete if one.site}:
        rows.append(("Sites", count(len(sites))))
    if with_time:
        days = [one.start.date() for one in with_time]
        rows.append(("First and last day", f"{min(days)} to {max(days)}"))
    rows.append(("Detections", count(int(counts[:, calls].sum()))))
    rows += _settings_rows(settings)
    blocks: list[Block] = [Facts(tuple(rows))]
    stopped = (
        f"The prediction was stopped before it had heard {n_open} of {len(status)} recordings. The "
        "same command goes on with them."
    )
    if n_open:
        blocks.append(Note(stopped, is_warning=True))
    warnings = [*found.notes, *map(_sentence, settings.warnings), *odd_lines(found.recordings)]
    blocks += [Note(printable(text), is_warning=True) for text in warnings]
    return Section("Overview", blocks)


def _hours(recordings: Sequence) -> float:
    return sum(one.duration_s for one in recordings) / 3600


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _settings_rows(settings: Settings) -> list[tuple[str, Cell]]:
    rows: list[tuple[str, Cell]] = []
    if settings.models:
        rows.append(
            ("Model" if len(settings.models) == 1 else "Models", ", ".join(settings.models))
        )
    if settings.length_s is not None and settings.hop_s is not None:
        rows.append(("Windows", f"{settings.length_s:g} s, one every {settings.hop_s:g} s"))
    if settings.decoder is not None:
        rows.append(("Least score of a detection", decimal(settings.decoder.threshold)))
    elif settings.threshold is not None:
        rows.append(("Least score of a detection", decimal(settings.threshold)))
    if settings.fmin_hz is not None:
        band = f"{settings.fmin_hz:g} to {settings.fmax_hz:g} Hz"
        rows.append(("Band that the model listens to", band))
    return rows


def _classes(found: Found, settings: Settings, counts: np.ndarray, calls: Sequence[int]) -> Section:
    """Return how much was found of each class, and with which scores."""
    hours = _hours([one for one in found.recordings if one.is_complete])
    its = found.detections
    scores = {}
    if its is not None:
        scores = {c: its.score[(its.label == c) & np.isfinite(its.score)] for c in calls}
    rows: list[tuple[Cell, ...]] = []
    for c in calls:
        n = int(counts[:, c].sum())
        quantiles = (None, None, None)
        if len(scores.get(c, ())):
            quantiles = tuple(float(q) for q in np.quantile(scores[c], _QUANTILES))
        rows.append(
            (
                *(found.classes[c], count(n), decimal(n / hours if hours else None)),
                count(int((counts[:, c] > 0).sum())),
                *(decimal(q) for q in quantiles),
                decimal(settings.threshold_of(found.classes[c])),
            )
        )
    columns = (
        *("Class", "Detections", "Per recorded hour", "Recordings with any"),
        *("Score: lowest tenth below", "Score: median", "Score: highest tenth above", "Threshold"),
    )
    blocks: list[Block] = [
        Text(
            (
                "These are what the model took for calls. How many of them are right is known when "
                "somebody has listened to some: animal-spot review.",
            )
        ),
        Table("classes", "Detections of each class", columns, rows),
    ]
    drawn = {found.classes[c]: scores[c] for c in calls[:MOST_PANELS] if len(scores.get(c, ()))}
    if drawn:
        blocks.append(
            picture(
                score_histograms(drawn, {name: settings.threshold_of(name) for name in drawn}),
                "scores",
                "Scores of the detections",
                "How many detections have which score. Many right above the threshold mean that "
                "it matters where it is.",
                is_wide=is_wide(drawn),
            )
        )
    return Section("Detections", blocks)


def _review(path: Path) -> Section | None:
    """Return what reviewers said of the prediction; None if no review of it lies nearby."""
    places = path.resolve().parent, Path.cwd()
    if not any(next(place.glob("*.sqlite"), None) for place in places):
        return None
    from animal_spot.reporting.review_part import review_state  # scipy, which takes two seconds

    blocks = review_state(path)
    return Section("Review", blocks) if blocks else None


def _failed(path: Path, found: Found) -> Section | None:
    failed = read_failed(path, found.recordings)
    if not failed:
        return None
    files = "1 file" if len(failed) == 1 else f"{len(failed):,} files"
    note = f"{files} could not be used; nothing is known of what is in them."
    more = ""
    if len(failed) > _MOST_FAILED:
        more = f"The first {_MOST_FAILED} are listed; failed_files.csv has all."
    table = Table(
        "failed", "Files and reasons", ("File", "Reason"), failed[:_MOST_FAILED], (), more
    )
    return Section("Files that could not be used", [Note(note, is_warning=True), table])

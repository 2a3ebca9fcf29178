"""The background of a corpus: what is there of it, what is missing, what to listen to."""

from __future__ import annotations

import logging
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from animal_spot.audio.channel_choice import MIX
from animal_spot.audio.sound_file import promised_duration_s
from animal_spot.cutting.background import (
    BackgroundRules,
    Place,
    QuietRecording,
    events_at,
    plan_background,
)
from animal_spot.cutting.clip_names import class_part
from animal_spot.cutting.config import ClipsConfig
from animal_spot.cutting.corpus_folder import CorpusFolder
from animal_spot.cutting.coverage import doubts
from animal_spot.cutting.levels import level_of, levels_at
from animal_spot.cutting.plan import (
    OVERLAPPING,
    ClipPlan,
    LeftOut,
    PlanRules,
    named_row,
    plan_events,
)
from animal_spot.cutting.report import CorpusClip, CutReport
from animal_spot.cutting.source import Source
from animal_spot.tables.event import LabelledEvent
from animal_spot.utils.csv_cells import csv_text

TO_CHECK = "background_to_check.csv"
_N_TO_CHECK = 20
_LENGTH_S = 1.0  # where there is no clip of a call to take the length from
_COLUMNS = ("file", "source", "source_start_s", "source_end_s", "level_db", "above_usual_db")
_STEM = re.compile(
    r"(?P<class>[^-]*)-.*_(?P<start>\d+)(?:c(?P<channel>\w+))?_\d+_(?P<tape>[^_]*)"
    r"_(?P<start_ms>\d+)_(?P<end_ms>\d+)\Z"
)

log = logging.getLogger(__name__)


def plan_negatives(
    source: Source, negatives: Iterable[LabelledEvent], rules: PlanRules
) -> list[LeftOut]:
    """Plan clips of false alarms, as background; return those in which a call is heard."""
    own = replace(
        source.recording, events=tuple(replace(event, is_wrong=False) for event in negatives)
    )
    as_background = replace(rules, class_of=lambda _: rules.background_class, keep_overlapping=True)
    plans, left_out = plan_events(own, as_background)
    known = {source.stem(plan) for plan in source.plans}
    kept: list[ClipPlan] = []
    for plan in plans:
        call = _call_at(source, Place(plan.start, plan.end), rules)
        if call is None and source.stem(plan) not in known:
            kept.append(plan)
        elif call is not None:
            reason = f"{call.label!r}, {named_row(call)}, is heard in its clip too"
            left_out.append(LeftOut(plan.event, plan.source, plan.class_name, OVERLAPPING, reason))
    source.plans = sorted([*source.plans, *kept], key=lambda plan: (plan.start, plan.end))
    cut = {id(plan.event) for plan in kept}
    return [one for one in left_out if id(one.event) not in cut]


def _call_at(source: Source, place: Place, rules: PlanRules) -> LabelledEvent | None:
    no_calls = (None, rules.background_class)
    calls = (
        event
        for event in events_at(source.recording, place)
        if rules.class_of(event.label) not in no_calls
    )
    return next(calls, None)


def add_background(
    sources: Sequence[Source],
    corpus: CorpusFolder,
    config: ClipsConfig,
    n_without_table: int,
    check: Callable[[], None],
) -> dict[str, str]:
    """Let sources keep their background of earlier runs, and plan what is missing.

    Args:
        sources: Recordings with the plans of their events.
        corpus: What is there.
        config: How much background is wanted.
        n_without_table: Recordings that no table is of.
        check: Called often; may raise to stop.

    Returns:
        Clips of background in which something is annotated by now, and why.
    """
    name = config.background_class
    earlier = {
        source.tape.name.casefold(): _earlier_clips(source, corpus, name) for source in sources
    }
    touched: dict[str, str] = {}
    quiet = []
    heard_channels = {plan.channel for source in sources for plan in source.plans}
    counts = Counter(plan.class_name for source in sources for plan in source.plans)
    for source in sources:
        own = earlier[source.tape.name.casefold()]
        for place, file in own:
            heard = events_at(source.recording, place)
            if heard and file is not None:
                touched[file] = f"{heard[0].label!r}, {named_row(heard[0])}, is annotated in it now"
            elif file is not None:
                plan = ClipPlan(name, source.recording.path, place.start, place.end)
                source.kept.append(CorpusClip(plan, file, source.recording.rate, is_new=False))
        if source.is_annotated:
            quiet.append(_quiet(source, tuple(place for place, _ in own), heard_channels))
    n_wanted = config.background
    if n_wanted is None:
        others = (n for class_name, n in counts.items() if class_name != name)
        n_wanted = max(0, max(others, default=0) - counts[name])
    rules = BackgroundRules(
        config.background_margin, _lengths_s(sources, config), name, config.seed
    )
    plans = plan_background(
        quiet, n_wanted, rules, lambda recording, places: levels_at(recording, places, check)
    )
    by_path = {source.recording.path: source for source in sources}
    for plan in plans:
        by_path[plan.source].plans.append(plan)
    n_there = len(plans) + sum(len(one.earlier) for one in quiet) - len(touched)
    if n_there < n_wanted:
        log.warning(
            "%d clips of the class %s were wanted, and there is room for %d: take recordings "
            "without calls with --background_dir, or a smaller --background_margin",
            *(n_wanted, name, n_there),
        )
    reasons = doubts(
        [source.recording for source in sources if source.is_annotated], n_without_table
    )
    if reasons and (plans or any(source.kept for source in sources)):
        log.warning(
            "calls that no table names may hide in the class %s: %s; listen to the clips in %s",
            *(name, "; ".join(reasons), TO_CHECK),
        )
    return touched


def _earlier_clips(
    source: Source, corpus: CorpusFolder, class_name: str
) -> list[tuple[Place, str | None]]:
    """Return the places of background of earlier runs, and the clips; None: it was removed."""
    planned = {source.stem(plan).casefold() for plan in source.plans}
    rate = source.recording.rate
    clips = []
    for stem in corpus.stems_of(source.tape.name):
        match = _STEM.fullmatch(stem)
        if not match or stem in planned or match["class"] != class_part(class_name).casefold():
            continue
        start, file = int(match["start"]), corpus.file_of(stem)
        n_samples = 0
        if file is not None:
            n_samples = round(promised_duration_s(corpus.folder / file) * rate)
        end_ms = int(match["end_ms"])
        clips.append(
            (Place(start, start + n_samples if n_samples else end_ms * rate // 1000), file)
        )
    return sorted(clips, key=lambda clip: (clip[0].start, clip[0].end))


def _quiet(source: Source, earlier: tuple[Place, ...], heard: set[str]) -> QuietRecording:
    """Return a recording as background is planned in it.

    Args:
        source: The recording.
        earlier: Places of background of earlier runs.
        heard: Channels of all clips, for recordings of which there is no other clip.
    """
    n_channels = source.recording.n_channels
    channels = sorted({plan.channel for plan in source.plans})
    if not channels and n_channels > 1:
        channels = sorted(c for c in heard if not c.isdecimal() or int(c) <= n_channels)
    channels = channels or [MIX]
    start = source.time.start
    clock_s = 0.0 if start is None else 3600 * start.hour + 60 * start.minute + start.second
    return QuietRecording(source.recording, source.tape.name, earlier, tuple(channels), clock_s)


def _lengths_s(sources: Sequence[Source], config: ClipsConfig) -> tuple[float, ...]:
    """Return the lengths that clips of background are drawn from: those of calls."""
    if config.clip_length is not None:
        return (config.clip_length,)
    lengths = [
        (plan.end - plan.start) / source.recording.rate
        for source in sources
        for plan in source.plans
    ]
    return tuple(lengths) or (_LENGTH_S,)


def write_list_to_check(report: CutReport, class_name: str, corpus: CorpusFolder) -> bool:
    """List the background clips that are loudest beside the others of their recording.

    Returns:
        Whether there is such a list of this program.
    """
    clips = [
        clip
        for clip in report.clips
        if clip.plan.class_name == class_name and clip.plan.event is None
    ]
    is_there = (corpus.folder / TO_CHECK).exists()
    if clips and (any(clip.is_new for clip in clips) or not is_there):
        text = _list_text(clips, corpus.folder)
        if corpus.own.has_text(TO_CHECK, text) or corpus.own.may_write(TO_CHECK, ours_by_name=True):
            corpus.own.write_text(TO_CHECK, text)
            is_there = True
    return bool(clips) and is_there


def _list_text(clips: Sequence[CorpusClip], folder: Path) -> str:
    levels = {clip.file: _decibel(level_of(folder / clip.file)) for clip in clips}
    by_source: dict[Path, list[float]] = {}
    for clip in clips:
        by_source.setdefault(clip.plan.source, []).append(levels[clip.file])
    usual = {source: median(own) for source, own in by_source.items()}

    def above(clip: CorpusClip) -> float:
        return levels[clip.file] - usual[clip.plan.source]

    loudest = sorted(clips, key=lambda clip: (-above(clip), clip.file))[:_N_TO_CHECK]
    rows = [
        (
            clip.file,
            str(clip.plan.source),
            f"{clip.plan.start / clip.rate:.3f}",
            f"{clip.plan.end / clip.rate:.3f}",
            round(levels[clip.file], 1),
            round(above(clip), 1),
        )
        for clip in loudest
    ]
    return csv_text([_COLUMNS, *rows])


def _decibel(level: float) -> float:
    """Return a level re full scale; that of silence or of what cannot be read is very low."""
    return 20 * math.log10(level) if level > 1e-10 else -200.0

"""A run of ``clips.py``: recordings and tables in, a corpus of clips out."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from animal_spot.audio.sound_file import SoundError, SoundFile
from animal_spot.cutting import summary
from animal_spot.cutting.clip_names import refuse_confusable
from animal_spot.cutting.config import ClipsConfig
from animal_spot.cutting.contact_sheets import draw_contact_sheets
from animal_spot.cutting.corpus_background import (
    add_background,
    plan_negatives,
    write_list_to_check,
)
from animal_spot.cutting.corpus_folder import LOCK, CorpusFolder
from animal_spot.cutting.cutter import ClipForm, cut
from animal_spot.cutting.inputs import Inputs, class_of_labels, read_inputs, write_label_list
from animal_spot.cutting.labels_file import label_row
from animal_spot.cutting.left_out_file import left_out_text
from animal_spot.cutting.plan import (
    NO_RECORDING,
    REMOVED,
    AnnotatedRecording,
    ClipPlan,
    LeftOut,
    PlanRules,
    plan_events,
)
from animal_spot.cutting.report import CorpusClip, CutReport
from animal_spot.cutting.screen import say_what_was_done
from animal_spot.cutting.source import Source
from animal_spot.cutting.stale_clips import set_aside, stale_clips
from animal_spot.cutting.tapes import sound_print
from animal_spot.metadata.recording_time import TimeFinder, lines_about
from animal_spot.metadata.time_flags import time_finder_of
from animal_spot.utils.errors import one_line
from animal_spot.utils.files import require_writable_folder, sole_process
from animal_spot.utils.interrupt import StopRequest
from animal_spot.utils.status import OK, SOME_FAILED

LEFT_OUT = "left_out.csv"
_NOTED_EVERY_S = 60.0

log = logging.getLogger("CLIPS")


def run(config: ClipsConfig) -> int:
    """Run with these settings; return the exit status.

    Raises:
        ValueError: If something given cannot be used.
        OSError: If something cannot be read or written.
    """
    with StopRequest() as stop:
        return make_corpus(config, stop.check)


def make_corpus(config: ClipsConfig, check: Callable[[], None] = lambda: None) -> int:
    """Do what ``run`` does, also in a thread.

    Args:
        config: The settings.
        check: Called often; may raise to stop.

    Returns:
        The exit status.

    Raises:
        ValueError: If something given cannot be used.
        OSError: If something cannot be read or written.
    """
    inputs = read_inputs(config)
    if config.list_labels is not None:
        write_label_list(inputs.tables, Path(config.list_labels))
        for path, reason in inputs.failed.items():
            log.error("%s", _said(path, reason))
        return SOME_FAILED if inputs.failed else OK
    if not inputs.events:
        reasons = "".join(f"{reason}; " for reason in list(inputs.failed.values())[:3])
        raise ValueError(
            f"no table is of one of the recordings: {reasons}name tables like their "
            "recordings, or list both with --pairs"
        )
    events = [event for own in inputs.events.values() for event in own]
    class_of = class_of_labels(config, events)
    classes = set(map(class_of, {event.label for event in events})) | {config.background_class}
    refuse_confusable(filter(None, classes))
    folder = Path(config.output_dir)
    require_writable_folder(folder, "the output folder")
    with (
        sole_process(folder / LOCK, f"writing into {folder}"),
        contextlib.closing(CorpusFolder(folder, replace_edited=config.replace_edited)) as corpus,
    ):
        length = config.clip_length
        margin = config.margin_s if length is None else None
        corpus.require_settings({"clip_length": length, "margin": margin})
        rules = PlanRules(
            class_of,
            length,
            config.margin_s,
            config.shortest_event,
            config.keep_overlapping,
            config.channel,
            config.background_class,
        )
        report = _Cutting(config, rules, corpus, inputs, check).run()
    if not (report.clips or report.failed):
        why = f"see {folder / LEFT_OUT}" if report.left_out else "the tables hold no event"
        raise ValueError(f"there is no clip in {folder}: {why}")
    return SOME_FAILED if report.failed else OK


class _Cutting:
    """Cuts what is new into a corpus."""

    def __init__(
        self,
        config: ClipsConfig,
        rules: PlanRules,
        corpus: CorpusFolder,
        inputs: Inputs,
        check: Callable[[], None],
    ) -> None:
        self._config, self._rules, self._corpus = config, rules, corpus
        self._inputs, self._check = inputs, check
        self._report = CutReport(corpus.folder, failed=dict(inputs.failed))

    def run(self) -> CutReport:
        report = self._report
        sources = self._open_all()
        for source in sources:
            self._plan(source)
        touched = add_background(
            sources, self._corpus, self._config, self._inputs.n_without_table, self._check
        )
        pending: list[dict[str, object]] = []
        noted_at = time.monotonic()
        try:
            for number, source in enumerate(sources, 1):
                log.debug("%d of %d: %s", number, len(sources), source.recording.path)
                pending += self._cut(source)
                if time.monotonic() - noted_at > _NOTED_EVERY_S:
                    self._corpus.add(pending)
                    pending, noted_at = [], time.monotonic()
        finally:
            self._corpus.add(pending)
        report.stale = stale_clips(self._corpus.rows(), report.clips, [s.tape for s in sources])
        report.stale |= touched
        # An event that is in a table which cannot be read today is not gone.
        if self._config.remove_stale and not report.failed:
            set_aside(self._corpus.folder, report.stale)
            report.is_stale_removed = True
        own, text = self._corpus.own, left_out_text(report, self._inputs.ignored)
        for name, content in ((LEFT_OUT, text), (summary.NAME, summary.summary_text(report))):
            if own.has_text(name, content) or own.may_write(name, ours_by_name=True):
                own.write_text(name, content)
        write_list_to_check(report, self._config.background_class, self._corpus)
        draw_contact_sheets(report, self._config.contact_sheets, self._check)
        say_what_was_done(report, self._inputs.ignored, LEFT_OUT)
        return report

    def _open_all(self) -> list[Source]:
        """Open each recording that a table is of; what cannot be read is noted."""
        finder = time_finder_of(self._config)
        sources: list[Source] = []
        by_tape: dict[str, Path] = {}
        every = self._inputs.events | {
            path: () for path in self._inputs.negatives if path not in self._inputs.events
        }
        for path, events in every.items():
            self._check()
            try:
                source = self._open(path, events, finder)
            except (SoundError, OSError) as error:
                self._fail(path, one_line(error), events)
                continue
            first = by_tape.setdefault(source.tape.key, path)
            if first == path:
                sources.append(source)
            else:
                reason = f"it is a copy of {first}: keep one of them, with the tables of both"
                self._fail(path, reason, events)
        self._report.recordings = [source.recording for source in sources]
        times = [(source.recording.path, source.time) for source in sources]
        for is_warning, line in lines_about(times):
            log.log(logging.WARNING if is_warning else logging.INFO, "%s", line)
        return sources

    def _plan(self, source: Source) -> None:
        """Plan the clips of events and of false alarms."""
        source.plans, left_out = plan_events(source.recording, self._rules)
        negatives = self._inputs.negatives.get(source.recording.path, ())
        rows = {(event.table, event.row) for event in negatives}
        self._report.left_out += [
            one for one in left_out if (one.event.table, one.event.row) not in rows
        ]
        self._report.left_out += plan_negatives(source, negatives, self._rules)

    def _open(self, path: Path, events: Sequence, finder: TimeFinder) -> Source:
        with contextlib.closing(SoundFile(path)) as sound:
            recording = AnnotatedRecording(
                path, sound.rate, sound.n_frames, tuple(events), sound.n_channels
            )
            form = ClipForm.of(sound, self._config.format)
            notes = sound.notes
            heard = sound_print(sound)
        for note in notes:
            log.warning("%s: %s", path, note)
        made = finder.of(path)
        tape = self._corpus.tapes.tape_of(path, made, heard)
        twin = self._corpus.tapes.twin_of(tape)
        if twin is not None:
            log.warning(
                "%s seems to be the same sound as %s, which is another tape: keep one of them, or "
                "calls of one lie in training and test",
                *(path, twin.recording),
            )
        return Source(recording, form, tape, made, path in self._inputs.events)

    def _fail(self, path: Path, reason: str, events: Sequence) -> None:
        self._report.failed[path] = reason
        self._report.left_out += [
            LeftOut(event, path, self._rules.class_of(event.label), NO_RECORDING, reason)
            for event in events
        ]

    def _cut(self, source: Source) -> list[dict[str, object]]:
        """Cut what is missing of a recording; return the rows that its clips shall have."""
        corpus, report = self._corpus, self._report
        lost: list[tuple[ClipPlan, str, str]] = []  # with kind and reason
        wanted: list[tuple[ClipPlan, str]] = []
        done = list(source.kept)
        rate = source.recording.rate
        for plan in source.plans:
            stem = source.stem(plan)
            file = corpus.file_of(stem)
            if file is not None:
                done.append(CorpusClip(plan, file, rate, is_new=False))
            elif corpus.was_removed(stem) and not self._config.restore_removed:
                lost.append((plan, REMOVED, f"{stem} was cut before and is not there any more"))
            else:
                wanted.append((plan, f"{stem}.{source.form.kind}"))
        paths = [(plan, corpus.folder / file) for plan, file in wanted]
        try:
            failed = cut(source.recording.path, paths, source.form, self._check)
        except ValueError as error:
            failed = dict.fromkeys(range(len(wanted)), one_line(error))
        for index, (plan, file) in enumerate(wanted):
            if index in failed:
                lost.append((plan, NO_RECORDING, failed[index]))
                report.failed.setdefault(source.recording.path, failed[index])
            else:
                done.append(CorpusClip(plan, file, rate, is_new=True))
        self._leave_out(source, lost, {id(clip.plan.event) for clip in done})
        done.sort(key=lambda clip: (clip.plan.start, clip.plan.end))
        report.clips += done
        return [
            label_row(clip, source.tape, source.time)
            for clip in done
            if clip.is_new or not corpus.is_listed(Path(clip.file).stem)
        ]

    def _leave_out(
        self, source: Source, lost: Sequence[tuple[ClipPlan, str, str]], known: set[int]
    ) -> None:
        """Note each event of which no part could be cut, once."""
        for plan, kind, reason in lost:
            if plan.event is not None and id(plan.event) not in known:
                known.add(id(plan.event))
                self._report.left_out.append(
                    LeftOut(plan.event, source.recording.path, plan.class_name, kind, reason)
                )


def _said(path: Path, reason: str) -> str:
    return reason if str(path) in reason else f"{path}: {reason}"

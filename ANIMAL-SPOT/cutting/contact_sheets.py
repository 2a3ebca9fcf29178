"""A page of spectrograms for each class, to look over before training."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from animal_spot.audio.sound_file import SoundError, SoundFile
from animal_spot.cutting.background import spread_evenly
from animal_spot.cutting.clip_names import class_part
from animal_spot.cutting.report import CorpusClip, CutReport
from animal_spot.utils.own_files import JsonLines, OwnFiles

if TYPE_CHECKING:
    from animal_spot.figures.spectrogram import SheetClip

FOLDER = "contact_sheets"
_JOURNAL = ".clips.jsonl"
_COLUMNS = 6
_LEAST_BINS = 64  # frequencies of a picture
_FRAMES = 200  # times of a picture
_OVERLAP = 3  # of the pieces that a spectrum is of
_EVENED = 0.5  # share of steady noise that is taken away
_COLOURS = 128  # of a stored page
_DPI = 100
_MOST_SAMPLES = 2**22  # of a clip that are drawn
_RANGE_DB = (15.0, 50.0)  # least and most between the darkest and the lightest
_ABOVE_BOXES = 1.25  # the highest frequency that is drawn, times the top of nearly all boxes


def draw_contact_sheets(
    report: CutReport, most: int, check: Callable[[], None] = lambda: None
) -> list[str]:
    """Draw a page for each class that has new clips, or no page yet.

    Args:
        report: What a run did.
        most: Clips on a page; 0: no page.
        check: Called often; may raise to stop.

    Returns:
        The pages that were written, in the folder ``FOLDER`` of the corpus.

    Raises:
        OSError: If one cannot be written.
    """
    by_class: dict[str, list[CorpusClip]] = {}
    for clip in report.clips if most else ():
        by_class.setdefault(clip.plan.class_name, []).append(clip)
    folder = report.output_dir / FOLDER
    wanted = {
        f"{class_part(name)}.png": (name, clips)
        for name, clips in sorted(by_class.items())
        if any(c.is_new for c in clips) or not (folder / f"{class_part(name)}.png").exists()
    }
    if not wanted:
        return []
    folder.mkdir(exist_ok=True)
    top_hz = _top_hz(report.clips)
    written = []
    with contextlib.closing(JsonLines(folder / _JOURNAL)) as lines:
        own = OwnFiles(folder, lines)
        lines.read(lambda content: own.read(content) if "wrote" in content else None)
        for file, (name, clips) in wanted.items():
            check()
            if own.may_write(file, ours_by_name=True):
                chosen = choose_evenly(clips, most)
                n_recordings = len({clip.plan.source for clip in clips})
                title = f"{len(chosen)} of {len(clips)} clips, recordings: {n_recordings}"
                with own.writing(file) as temporary:
                    _draw(temporary, report.output_dir, name, title, chosen, top_hz)
                written.append(file)
    return written


def choose_evenly(clips: Sequence[CorpusClip], n: int) -> list[CorpusClip]:
    """Choose clips: as many of each recording as there are, spread over its time."""
    by_source: dict[Path, list[CorpusClip]] = {}
    for clip in clips:
        by_source.setdefault(clip.plan.source, []).append(clip)
    sources = spread_evenly(sorted(by_source))
    queues = [
        spread_evenly(sorted(by_source[source], key=lambda c: (c.plan.start, c.plan.end)))
        for source in sources
    ]
    rounds = itertools.zip_longest(*queues)
    chosen = [clip for one_of_each in rounds for clip in one_of_each if clip is not None][:n]
    return sorted(chosen, key=lambda clip: (str(clip.plan.source), clip.plan.start))


def _top_hz(clips: Sequence[CorpusClip]) -> float:
    """Return the highest frequency of all pages: somewhat above the boxes, where most have one."""
    nyquist = max(clip.rate for clip in clips) / 2
    calls = [clip for clip in clips if clip.plan.event is not None]
    tops = sorted(clip.plan.high_hz for clip in calls if clip.plan.high_hz is not None)
    if not tops or len(tops) < len(calls) / 2:
        return nyquist
    return min(nyquist, _ABOVE_BOXES * tops[int(0.95 * (len(tops) - 1))])


def spectrogram(samples: np.ndarray, rate: int, top_hz: float) -> np.ndarray:
    """Return decibels, shape ``(frequencies, times)``, from 0 Hz to ``top_hz`` or half the rate."""
    n_samples = len(samples)
    for_times = _OVERLAP * n_samples / _FRAMES
    for_bins = 2 * _LEAST_BINS * max(1.0, rate / 2 / top_hz)
    n_fft = 2 ** math.ceil(math.log2(max(16.0, min(max(for_times, for_bins), n_samples / 4))))
    padded = np.pad(samples, n_fft // 2)
    starts = np.linspace(0, n_samples - 1, min(_FRAMES, n_samples)).astype(int)
    pieces = np.lib.stride_tricks.sliding_window_view(padded, n_fft)
    power = np.abs(np.fft.rfft(pieces[starts] * np.hanning(n_fft), axis=1)) ** 2
    n_bins = max(2, math.ceil(min(top_hz, rate / 2) / rate * n_fft) + 1)
    return 10 * np.log10(power[:, :n_bins].T + 1e-12)


def _evened(decibels: np.ndarray) -> np.ndarray:
    """Take away most of the steady noise of each frequency, which hides calls."""
    steady = np.percentile(decibels, 20, axis=1, keepdims=True)
    return decibels - _EVENED * (steady - steady.mean())


def _read(path: Path) -> np.ndarray:
    with contextlib.closing(SoundFile(path)) as sound:
        return sound.read(min(_MOST_SAMPLES, sound.n_frames))[:, 0]


def _draw(
    path: Path,
    corpus: Path,
    class_name: str,
    title: str,
    clips: Sequence[CorpusClip],
    top_hz: float,
) -> None:
    from PIL import Image

    from animal_spot.figures.look import pixels, shown
    from animal_spot.figures.spectrogram import sheet_figure

    has_events = any(clip.plan.event is not None for clip in clips)
    note = "seconds of the clip; the event is marked" if has_events else "seconds of the clip"
    figure = sheet_figure(
        [_sheet_clip(corpus, clip, top_hz) for clip in clips],
        top_hz,
        title=f"{shown(class_name)}: {title}",
        note=note,
        columns=_COLUMNS,
    )
    figure.set_dpi(_DPI)
    picture = Image.fromarray(pixels(figure))
    picture.quantize(_COLOURS, dither=Image.Dither.NONE).save(path, format="PNG")


def _sheet_clip(corpus: Path, clip: CorpusClip, top_hz: float) -> SheetClip:
    from animal_spot.figures.look import shown
    from animal_spot.figures.spectrogram import SheetClip

    plan, event = clip.plan, clip.plan.event
    start_s = plan.start / clip.rate
    title = f"{_shortened(shown(plan.source.stem))}  {_clock(start_s)}"
    try:
        samples = _read(corpus / clip.file)
    except (SoundError, OSError):
        return SheetClip(title=title, seconds=clip.seconds)
    values = _evened(spectrogram(samples, clip.rate, top_hz))
    low, high = np.percentile(values, (30, 99.9))
    known = plan.low_hz is not None and plan.high_hz is not None
    return SheetClip(
        title=title,
        seconds=clip.seconds,
        decibels=values,
        top_hz=min(top_hz, clip.rate / 2),
        drawn_s=len(samples) / clip.rate,
        limits=(max(min(low, high - _RANGE_DB[0]), high - _RANGE_DB[1]), high),
        event_s=None if event is None else (event.start_s - start_s, event.end_s - start_s),
        event_hz=(plan.low_hz, plan.high_hz) if known else None,
    )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"


def _shortened(name: str, most: int = 24) -> str:
    return name if len(name) <= most else f"…{name[-most:]}"

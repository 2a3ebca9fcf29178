"""A page of spectrograms for each class, to look over before training."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from animal_spot.audio.sound_file import SoundError, SoundFile
from animal_spot.cutting.background import spread_evenly
from animal_spot.cutting.clip_names import class_part
from animal_spot.cutting.report import CorpusClip, CutReport
from animal_spot.utils.own_files import JsonLines, OwnFiles

FOLDER = "contact_sheets"
_JOURNAL = ".clips.jsonl"
_COLUMNS = 6
_LEAST_BINS = 64  # frequencies of a picture
_FRAMES = 200  # times of a picture
_OVERLAP = 3  # of the pieces that a spectrum is of
_EVENED = 0.5  # share of steady noise that is taken away
_COLOURS = 128  # of a stored page
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
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    from animal_spot.utils.plots import plot_label

    n_rows = math.ceil(len(clips) / _COLUMNS)
    height = 1.55 * n_rows + 0.9  # inches
    figure = Figure(figsize=(2.2 * _COLUMNS + 0.8, height))
    figure.set_dpi(100)
    canvas = FigureCanvasAgg(figure)
    figure.suptitle(f"{plot_label(class_name)}: {title}", y=1 - 0.25 / height)
    grid = figure.subplots(n_rows, _COLUMNS, squeeze=False)
    figure.subplots_adjust(
        *(0.05, 0.45 / height, 0.99, 1 - 0.75 / height), wspace=0.08, hspace=0.45
    )
    scale, unit = (1000.0, "kHz") if top_hz >= 2000 else (1.0, "Hz")
    for i, axes in enumerate(grid.flat):
        if i >= len(clips):
            axes.set_axis_off()
            continue
        clip = clips[i]
        at_s = clip.plan.start / clip.rate
        name = plot_label(clip.plan.source.stem)
        axes.set_title(f"{_shortened(name)}  {_clock(at_s)}", fontsize=7, pad=2)
        axes.set_xlim(0, clip.seconds)
        axes.set_ylim(0, top_hz / scale)
        axes.tick_params(labelsize=6, length=2, pad=1, labelleft=i % _COLUMNS == 0)
        axes.set_facecolor("0.9")
        try:
            samples = _read(corpus / clip.file)
        except (SoundError, OSError):
            axes.text(0.5, 0.5, "unreadable", transform=axes.transAxes, ha="center", fontsize=7)
            continue
        values = _evened(spectrogram(samples, clip.rate, top_hz))
        low, high = np.percentile(values, (30, 99.9))
        low = max(min(low, high - _RANGE_DB[0]), high - _RANGE_DB[1])
        top = min(top_hz, clip.rate / 2) / scale
        axes.imshow(
            values,
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=low,
            vmax=high,
            extent=(0, len(samples) / clip.rate, 0, top),
        )
        _mark_event(axes, clip, top_hz, scale)
    for axes in grid[:, 0]:
        axes.set_ylabel(unit, fontsize=7, labelpad=1)
    has_events = any(clip.plan.event is not None for clip in clips)
    note = "seconds of the clip; the event is marked" if has_events else "seconds of the clip"
    figure.text(0.5, 0.1 / height, note, ha="center", fontsize=8)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    picture.quantize(_COLOURS, dither=Image.Dither.NONE).save(path, format="PNG")


def _mark_event(axes, clip: CorpusClip, top_hz: float, scale: float) -> None:
    """Draw the box of an event; without frequencies, lines at its begin and end."""
    from matplotlib.patches import Rectangle

    event, plan = clip.plan.event, clip.plan
    if event is None:
        return
    start, end = (at_s - plan.start / clip.rate for at_s in (event.start_s, event.end_s))
    colour = "#40e0d0"
    if plan.low_hz is None or plan.high_hz is None:
        for at_s in (start, end):
            axes.axvline(at_s, color=colour, linewidth=0.8, linestyle="--")
        return
    low, high = plan.low_hz / scale, min(plan.high_hz, top_hz) / scale
    box = Rectangle(
        (start, low), end - start, high - low, fill=False, edgecolor=colour, linewidth=0.8
    )
    axes.add_patch(box)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"


def _shortened(name: str, most: int = 24) -> str:
    return name if len(name) <= most else f"…{name[-most:]}"

"""Clips to look at and to listen to: the worst mistakes, and the surest right answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import soundfile as sf

from animal_spot.reporting.examples import LOUDNESS_NOTE, Examples
from animal_spot.reporting.page import Block, Note, Section, Sound, Sounds, Table, share
from animal_spot.reporting.training_data import clip_file
from animal_spot.reporting.training_results import PARTS, JudgedClip, Results
from animal_spot.reporting.wanted import Wanted

_MOST_OF_ALL = 48  # best examples of all classes together
_MOST_ROWS = 2000  # of the table of wrong clips


def example_sections(results: Results, wanted: Wanted) -> list[Section]:
    """Return the mistakes and the best examples of the part that is judged last.

    Args:
        results: Of the run.
        wanted: How many sounds, and where the clips are.
    """
    part = next((p for p in ("all", "test", "val") if p in results.scores), None)
    if part is None:
        return []
    clips = results.judged[part]
    of = "" if part == "all" else f" of the {PARTS[part]} clips"
    wrong = [clip for clip in clips if not clip.is_right]
    right = [clip for clip in clips if clip.is_right]
    with Examples(wanted) as examples:
        sound = _SoundOf(results, wanted, examples)
        return [
            Section(f"Worst mistakes{of}", _mistakes(wrong, wanted, sound)),
            Section(f"Best examples{of}", _best(right, results, wanted, sound)),
        ]


class _SoundOf:
    """Makes the sound of a clip."""

    def __init__(self, results: Results, wanted: Wanted, examples: Examples) -> None:
        data = results.settings.get("data_dir")
        labels = results.settings.get("labels")
        self._folders = [
            *([wanted.clips] if wanted.clips is not None else []),
            *([Path(data)] if isinstance(data, str) else []),
            *([Path(labels).parent] if isinstance(labels, str) else []),
        ] or [Path()]
        self._examples = examples
        low, high = (results.settings.get(key) for key in ("fmin", "fmax"))
        is_band = all(isinstance(hz, (int, float)) for hz in (low, high)) and 0 <= low < high
        hears_all = results.settings.get("backbone") == "birdnet"
        self._band = (0.0, float(high) * 1.1) if is_band and not hears_all else (0.0, None)

    def _file(self, clip: JudgedClip) -> tuple[Path, tuple[float, float] | None]:
        """Return the file of a clip, where it is found first, and its part of it in seconds."""
        places = [clip_file(clip, folder) for folder in self._folders]
        return next((place for place in places if place[0].is_file()), places[0])

    def __call__(self, clip: JudgedClip) -> Sound:
        file, span = self._file(clip)
        begin_s, end_s = span or (0.0, _duration_s(file))
        name, answer = Path(clip.file).name, f"answer {clip.predicted}"
        if clip.probability is not None:
            answer += f": {share(clip.probability).text}"
        title, lines = name, [answer]
        if not clip.is_right:
            title, lines = f"{clip.true}, taken for {clip.predicted}", [name, answer]
        return self._examples.sound(
            file, begin_s, end_s, title=title, lines=lines, context_s=0.0, band_hz=self._band
        )


def _duration_s(file: Path) -> float:
    """Return how long a file is; 1 s if it cannot be read, which is then said with its sound."""
    try:
        return float(sf.info(str(file)).duration)
    except (OSError, RuntimeError):
        return 1.0


def _mistakes(
    wrong: Sequence[JudgedClip], wanted: Wanted, sound: Callable[[JudgedClip], Sound]
) -> list[Block]:
    if not wrong:
        return [Note("No clip was named wrong.")]
    is_sure = all(clip.probability is not None for clip in wrong)
    if is_sure:
        listed = sorted(wrong, key=lambda clip: (-clip.probability, clip.file))
        heard = listed[: 2 * wanted.examples]
        note = "The network was surest of these. Look first whether the label is right."
    else:
        listed = sorted(wrong, key=lambda clip: clip.file)
        rng = np.random.default_rng(wanted.seed)
        chosen = rng.permutation(len(listed))[: 2 * wanted.examples]
        heard = [listed[i] for i in sorted(chosen)]
        note = (
            "Drawn by chance: this run does not say how sure the network was of its wrong answers."
        )
    blocks: list[Block] = []
    if heard:
        blocks.append(
            Sounds("Wrong answers", [sound(clip) for clip in heard], f"{note} {LOUDNESS_NOTE}")
        )
    rest = len(listed) - _MOST_ROWS
    blocks.append(
        Table(
            "wrong_clips",
            "All wrong answers",
            ("clip", "class", "answer", "probability of the answer"),
            [
                [clip.file, clip.true, clip.predicted, share(clip.probability)]
                for clip in listed[:_MOST_ROWS]
            ],
            note=f"And {rest} more." if rest > 0 else "",
            most=20,
        )
    )
    return blocks


def _best(
    right: Sequence[JudgedClip],
    results: Results,
    wanted: Wanted,
    sound: Callable[[JudgedClip], Sound],
) -> list[Block]:
    known = [clip for clip in right if clip.probability is not None]
    if not known:
        return [Note("This run does not say which right answers the network was surest of.")]
    each = min(wanted.examples, max(1, _MOST_OF_ALL // len(results.classes)))
    blocks: list[Block] = []
    for label in results.classes:
        of_class = [clip for clip in known if clip.true == label]
        surest = sorted(of_class, key=lambda clip: (-clip.probability, clip.file))[:each]
        if surest:
            blocks.append(Sounds(label, [sound(clip) for clip in surest]))
    note = (
        "The right answers that the network was surest of: how a class sounds at its clearest, not "
        "on the average."
    )
    return [Note(note), *blocks] if blocks else [Note("No sounds were wanted.")]

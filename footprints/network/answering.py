"""From crops, as the pool finds them, to the names of animals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from footprints.cropping.crop_worker import Result
from footprints.network.classifier import BATCH, Classifier
from footprints.places.privacy import FULL, Privacy
from footprints.scores.answers import Answer, Failure, PrintAnswer
from footprints.scores.combining import combined
from footprints.scores.judging import Judgement, Rules, judge
from footprints.system.progress import warn
from footprints.system.text import printable


def classified(
    results: Iterable[Result],
    classifier: Classifier,
    root: Path,
    rules: Rules,
    privacy: Privacy = FULL,
) -> Iterator[Answer | Failure]:
    """Classify crops batch by batch, while the pool finds the next ones; the order is kept.

    Args:
        results: Of ``CropPool.map``, with the crop in ``rgb`` and, for a classifier of two scales,
            the whole photo in ``photo_rgb``. Where all prints were cut out (``crops``), the answer
            is that of all of them together.
        classifier: Names the animals.
        root: Folder that photos are named relative to.
        rules: How probabilities become an answer.
        privacy: What is told of the places of photos.

    Yields:
        One answer or failure for each result.
    """
    batch: list[Result] = []
    for result in results:
        batch.append(replace(result, taken=privacy.of(result.taken)))
        if len(batch) == BATCH:
            yield from _named(batch, classifier, root, rules)
            batch = []
    yield from _named(batch, classifier, root, rules)


def _named(
    batch: list[Result], classifier: Classifier, root: Path, rules: Rules
) -> Iterator[Answer | Failure]:
    good = [result for result in batch if result.reason is None]
    prints = [[one.rgb for one in result.crops] or [result.rgb] for result in good]
    shown = [rgb for some in prints for rgb in some]
    wholes = [one.photo_rgb for one, some in zip(good, prints, strict=True) for _ in some]
    if len(shown) == 1:
        # A batch of one is summed in another order than larger ones, so that the last digits of a
        # photo's answer would depend on how many there are.
        shown, wholes = shown * 2, wholes * 2
    has_photo = "photo" in classifier.scales
    probabilities, strangeness = classifier.look(shown, wholes if has_photo else None)
    said = iter(probabilities)
    rows = (np.array([next(said) for _ in some]) for some in prints)
    how_strange = _means(strangeness, [len(some) for some in prints])
    for result in batch:
        name = name_of(result.job.source, root)
        if result.reason is not None:
            yield Failure(name, result.reason, result.taken)
            continue
        if result.note:
            warn(f"{name}: {result.note}")
        of_prints, strange = next(rows), next(how_strange)
        probabilities = combined(of_prints)
        found = judge(probabilities, rules, strange)
        yield Answer(
            source=result.job.source,
            name=name,
            answer=found.answer,
            certain=found.is_certain,
            ranking=found.ranking,
            box_xyxy=tuple(result.box_xyxy),
            detection_confidence=None if result.fallback else result.confidence,
            print_found=not result.fallback,
            width=result.width,
            height=result.height,
            taken=result.taken,
            group_probability=found.group_probability,
            probabilities=tuple(probabilities.tolist()),
            strangeness=strange,
            phash=result.phash,
            prints=tuple(
                PrintAnswer(
                    tuple(map(float, crop.box_xyxy)),
                    float(crop.confidence or 0),
                    classifier.classes[int(row.argmax())],
                    float(row.max()),
                )
                for crop, row in zip(result.crops, of_prints, strict=False)
            ),
            further=columns_of(found, rules)
            | ({"prints": len(result.crops)} if result.job.all_crops else {}),
        )


def _means(strangeness: np.ndarray | None, n_prints: list[int]) -> Iterator[float | None]:
    """Yield how strange each photo is: the mean over its prints, or None."""
    at = 0
    for n in n_prints:
        yield None if strangeness is None else float(strangeness[at : at + n].mean())
        at += n


def columns_of(found: Judgement, rules: Rules) -> dict[str, str | float]:
    """Return the columns that groups, a region and a refusal add to tables."""
    columns: dict[str, str | float] = {}
    if rules.groups:
        columns |= {"answer_level": found.level, "answer_probability": round(found.probability, 6)}
    if rules.region is not None:
        columns["name_without_region"] = found.without_region or ""
    if rules.refusal is not None:
        columns["why"] = found.why
    return columns


def name_of(source: Path, root: Path) -> str:
    """Return what a photo is called, relative to the folder of all, fit for screens and tables."""
    return printable(source.relative_to(root))

"""From crops, as the pool finds them, to the names of animals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from footprints.cropping.crop_worker import Result
from footprints.network.classifier import BATCH, Classifier
from footprints.places.privacy import FULL, Privacy
from footprints.scores.answers import Answer, Failure, rank
from footprints.system.progress import warn
from footprints.system.text import printable


def classified(
    results: Iterable[Result],
    classifier: Classifier,
    root: Path,
    top_k: int,
    threshold: float,
    privacy: Privacy = FULL,
) -> Iterator[Answer | Failure]:
    """Classify crops batch by batch, while the pool finds the next ones; the order is kept.

    Args:
        results: Of ``CropPool.map``, with the crop in ``rgb`` and, for a classifier of two scales,
            the whole photo in ``photo_rgb``.
        classifier: Names the animals.
        root: Folder that photos are named relative to.
        top_k: Classes in a ranking.
        threshold: Least probability of an answer.
        privacy: What is told of the places of photos.

    Yields:
        One answer or failure for each result.
    """
    batch: list[Result] = []
    for result in results:
        batch.append(replace(result, taken=privacy.of(result.taken)))
        if len(batch) == BATCH:
            yield from _named(batch, classifier, root, top_k, threshold)
            batch = []
    yield from _named(batch, classifier, root, top_k, threshold)


def _named(
    batch: list[Result], classifier: Classifier, root: Path, top_k: int, threshold: float
) -> Iterator[Answer | Failure]:
    good = [result for result in batch if result.reason is None]
    wholes = [result.photo_rgb for result in good] if "photo" in classifier.scales else None
    rows = iter(classifier.predict([result.rgb for result in good], wholes))
    for result in batch:
        name = name_of(result.job.source, root)
        if result.reason is not None:
            yield Failure(name, result.reason, result.taken)
            continue
        if result.note:
            warn(f"{name}: {result.note}")
        answer, certain, ranking = rank(next(rows), classifier.classes, top_k, threshold)
        yield Answer(
            source=result.job.source,
            name=name,
            answer=answer,
            certain=certain,
            ranking=ranking,
            box_xyxy=tuple(result.box_xyxy),
            detection_confidence=None if result.fallback else result.confidence,
            print_found=not result.fallback,
            width=result.width,
            height=result.height,
            taken=result.taken,
        )


def name_of(source: Path, root: Path) -> str:
    """Return what a photo is called, relative to the folder of all, fit for screens and tables."""
    return printable(source.relative_to(root))

"""Who answers photos: this process and its pool, or the workers of a cluster."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from footprints.cluster.answer_journal import WHOLE, AnswerJournal, Source
from footprints.cropping.crop_pool import CropPool, Job
from footprints.network.answering import classified, name_of
from footprints.network.classifier import Classifier
from footprints.pictures.scales import scales_of
from footprints.prediction.facts import run_digest
from footprints.prediction.request import Request
from footprints.scores.answers import Answer, Failure
from footprints.system.progress import progress
from footprints.system.progress_file import photo_progress


@contextlib.contextmanager
def answered_here(request: Request, photos: Sequence[Path]) -> Iterator[Iterator[Answer | Failure]]:
    """Have photos answered by this process and its pool; give what was found, in their order."""
    args, processes = request.args, _processes(request.args.processes, len(photos))
    with CropPool(request.detector, request.settings, processes) as pool:
        classifier = Classifier(args.model)  # while the detectors start
        blank = [np.zeros((classifier.image_size, classifier.image_size, 3), np.uint8)]
        classifier.predict(blank, blank)  # the first call takes long
        made = pool.map(_job_of(request, photo) for photo in photos)
        made = progress(made, len(photos), "predict")
        found = classified(made, classifier, request.root, request.rules, request.privacy)
        with photo_progress(args.progress_file, len(photos)) as noted:
            yield noted.over(found, lambda one: isinstance(one, Failure))


def source_of_news(
    request: Request, source: Callable[[Request, Sequence[Path]], AbstractContextManager]
) -> Source:
    """Return a source that starts nothing where nothing is left to do, but says so."""

    @contextlib.contextmanager
    def news(photos: Sequence[Path]) -> Iterator[Iterator[Answer | Failure]]:
        if photos:
            with source(request, photos) as found:
                yield found
            return
        with photo_progress(request.args.progress_file, 0):
            yield iter(())

    return news


@contextlib.contextmanager
def answered_and_kept(
    request: Request, photos: Sequence[Path]
) -> Iterator[Iterator[Answer | Failure]]:
    """Have photos answered by the workers of a cluster, but for those whose answer is noted."""
    run = run_digest(request)
    with (
        AnswerJournal(request.args.output_dir, WHOLE, request.root, run) as journal,
        journal.completed_by(source_of_news(request, _answered_by_cluster), photos) as found,
    ):
        yield found


@contextlib.contextmanager
def _answered_by_cluster(
    request: Request, photos: Sequence[Path]
) -> Iterator[Iterator[Answer | Failure]]:
    """Have photos answered by the workers of a cluster; give what was found, in their order."""
    from footprints.cluster.driver import spread
    from footprints.cluster.worker import Naming, Order

    args, root = request.args, request.root
    naming = Naming(args.model, root, request.rules, request.privacy)
    order = Order(request.detector, request.settings, naming, os.getcwd())
    jobs = [_job_of(request, photo) for photo in photos]

    def given_up(job: Job, reason: str) -> Failure:
        return Failure(name_of(job.source, root), reason)

    with (
        spread(args.ray, args.ray_workers, order, jobs, given_up) as found,
        photo_progress(args.progress_file, len(photos)) as noted,
    ):
        found = progress(found, len(photos), "predict")
        yield noted.over(found, lambda one: isinstance(one, Failure))


def _job_of(request: Request, photo: Path) -> Job:
    """Return what the pool is to do with a photo."""
    return Job(
        photo,
        "centre" if request.detector is None else "detect",
        with_photo="photo" in scales_of(request.metadata),
        all_crops=request.args.all_boxes or request.args.trails != "off",
    )


def _processes(given: int, n_photos: int) -> int:
    """Return how many processes are worth their start, which takes as long as some 50 photos."""
    return min(given, -(-n_photos // 50))

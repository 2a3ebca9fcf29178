"""From crops to answers."""

from __future__ import annotations

from pathlib import Path

from footprints.cropping.crop_worker import Job, Result
from footprints.network.answering import classified
from footprints.network.classifier import BATCH, Classifier
from footprints.scores.judging import Rules
from tests.helpers.keras_models import CLASSES, pictures


def test_an_answer_does_not_depend_on_how_many_photos_there_are(model_file):
    """A network sums a batch of one in another order; the last of these is in one."""
    results = [
        Result(Job(Path(f"{i}.png")), "0" * 64, box_xyxy=(0, 0, 1, 1), width=1, height=1, rgb=rgb)
        for i, rgb in enumerate(pictures(2 * BATCH + 1, seed=3))
    ]

    classifier = Classifier(model_file)

    def rankings(some):
        found = classified(some, classifier, Path("."), Rules(CLASSES, 0.5, len(CLASSES)))
        return [answer.ranking for answer in found]

    whole = rankings(results)
    assert rankings(results[:BATCH]) == whole[:BATCH]
    alone = [ranking for one in results[:20] for ranking in rankings([one])]
    assert alone == whole[:20]
    assert rankings(results[-3:]) == whole[-3:]

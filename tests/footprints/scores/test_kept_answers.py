"""Answers that are kept come back as they were."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from footprints.places.taken import Taken
from footprints.scores.answers import Answer, Failure, PrintAnswer
from footprints.scores.kept_answers import kept, read_kept

TAKEN = Taken("2026-03-01T07:15:00+01:00", 47.1234567, -8.5, 12.25, "Cam 1")
ANSWER = Answer(
    source=Path("a/b\udcff.jpg"),
    name="b?.jpg",
    answer="écureuil",
    certain=True,
    ranking=(("écureuil", 1 / 3), ("loup", float(np.float64(np.float32(0.1))))),
    box_xyxy=(np.float32(0.1), -1.5, 3.0, 4.0),
    detection_confidence=float(np.float32(0.7)),
    print_found=True,
    width=4000,
    height=3000,
    taken=TAKEN,
    group_probability=0.1 + 0.2,
    probabilities=(1 / 3, 2 / 3),
    phash="0123456789abcdef",
    strangeness=-1 / 3,
    prints=(PrintAnswer((1.5, 2.0, 3.0, 4.5), 0.25, "loup", 2 / 3),),
    further={"answer_level": "group", "answer_probability": 0.3},
)


@pytest.mark.parametrize(
    "found", [ANSWER, Failure("b.jpg", "no photo", TAKEN), Failure("c.jpg", "vanished")]
)
def test_what_is_kept_comes_back_to_the_last_digit(found):
    line = json.dumps(kept(found))
    assert read_kept(json.loads(line), ANSWER.source) == found


def test_the_example_leaves_no_field_at_its_default():
    for field in dataclasses.fields(Answer):
        default = field.default_factory() if callable(field.default_factory) else field.default
        assert getattr(ANSWER, field.name) != default, f"give {field.name} a value above"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"width": "wide"}, "whole number"),
        ({"ranking": [["loup"]]}, "parts"),
        ({"certain": 1}, "true or false"),
        ({"colour": "red"}, "colour, which no answer has"),
        ({"box_xyxy": [1, 2, 3, float("nan")]}, "number"),
    ],
)
def test_what_no_answer_can_be_is_refused(change, match):
    content = kept(ANSWER)
    content["answer"] |= change
    with pytest.raises(ValueError, match=match):
        read_kept(content, ANSWER.source)

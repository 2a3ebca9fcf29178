"""Cohen's kappa, by hand."""

from __future__ import annotations

import pytest

from animal_spot.reviewing.agreement import agreement


def decisions(reviewer, verdicts):
    return [
        {
            **{"detection_id": i, "reviewer": reviewer, "predicted": "owl"},
            **{"verdict": "other" if verdict in ("fox", "newt") else verdict, "class": verdict},
        }
        for i, verdict in enumerate(verdicts)
    ]


def test_a_table_of_two_by_two():
    """20 and 15 the same, 5 and 10 not: 0.7 the same, 0.5 by chance, kappa 0.4 (Wikipedia)."""
    ann = ["right"] * 25 + ["wrong"] * 25
    ben = ["right"] * 20 + ["wrong"] * 5 + ["right"] * 10 + ["wrong"] * 15
    (pair,) = agreement(decisions("Ann", ann) + decisions("Ben", ben))
    assert (pair["a"], pair["b"], pair["both"], pair["same"]) == ("Ann", "Ben", 50, 35)
    assert pair["kappa"] == pytest.approx(0.4)
    # Wilson's interval of 35 of 50 is 0.562 to 0.809, as R's prop.test(correct = FALSE) says.
    assert pair["low"] == pytest.approx((0.5625 - 0.5) / 0.5, abs=0.001)
    assert pair["high"] == pytest.approx((0.8090 - 0.5) / 0.5, abs=0.001)


def test_other_classes_count_and_unsure_do_not():
    ann = ["right", "fox", "fox", "wrong", "unsure", "skip"]
    ben = ["right", "fox", "newt", "wrong", "right", "wrong"]
    (pair,) = agreement(decisions("Ann", ann) + decisions("Ben", ben))
    assert (pair["both"], pair["same"], pair["differ"]) == (4, 3, [2])
    # By chance 1/16 + 2/16 + 1/16.
    assert pair["kappa"] == pytest.approx((3 / 4 - 4 / 16) / (1 - 4 / 16))


def test_nothing_to_compare():
    (pair,) = agreement(decisions("Ann", ["right"] * 3) + decisions("Ben", ["right"] * 3))
    assert (pair["same"], pair["kappa"], pair["low"]) == (3, None, None)
    assert agreement(decisions("Ann", ["right"])) == []

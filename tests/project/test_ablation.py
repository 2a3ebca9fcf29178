"""tests/bench/ablation.py: its rows and its table. Training with it is done by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from animal_spot.training.config import as_dict, parse_config
from tests.bench import ablation


def test_rows_are_understood_and_lead_from_published_to_recommended():
    rows = ablation.read_rows(ablation.ROWS, "noise")
    settings = {name: as_dict(parse_config(flags)) for name, flags in rows.items()}
    names = list(rows)
    assert names[0] == "published"

    def changed(row: str) -> set[str]:
        """Settings that a row has otherwise than the row before it."""
        before, after = (settings[n] for n in (names[names.index(row) - 1], row))
        return {k for k, v in after.items() if before[k] != v}

    assert changed("from_scratch") == {"preset", "logit_adjustment"}
    # The first happens to a network that is trained already; the others came with recordings.
    beside_training = {"tune_decoder", "fill_holes", "background_changes"}
    ranges = {"pitch_range", "stretch_range"}
    assert changed("recommended") - beside_training == {"preset", *ranges}
    seen = [json.dumps(s | {"preset": ""}, default=str) for s in settings.values()]
    assert len(set(seen)) == len(seen), "two rows are the same"


def test_rows_of_a_file():
    text = "# comment\none: --lr 1\n\n+ two: --beta1 0.5\n  --seed 3\nother: --noise_dir {noise}\n"
    assert ablation.read_rows(text, "sea") == {
        "one": ["--lr", "1"],
        "+ two": ["--lr", "1", "--beta1", "0.5", "--seed", "3"],
        "other": ["--noise_dir", "sea"],
    }


@pytest.mark.parametrize("text", ["+ a: --lr 1", "a", "a:", "a: --lr 1\na: --lr 2"])
def test_bad_rows(text):
    with pytest.raises(ValueError, match=r"row|form"):
        ablation.read_rows(text, "noise")


def run_of(folder: Path, row: str, seed: int, right: list[float], altered: float):
    """A run on four clips, each of its own tape; ``right`` are probabilities of the truth."""
    run = ablation.Run(row, seed, folder / f"{row}{seed}", [])
    run.results.parent.mkdir(parents=True)
    truth = [0, 0, 1, 1]

    def row_of(label: int, p: float) -> list[float]:
        return [p, 1 - p] if label == 0 else [1 - p, p]

    clips = [
        {
            "file": f"{i}.wav",
            "tape": f"T{i}",
            "fold": 1,
            "true": "AB"[label],
            "probabilities": row_of(label, p),
        }
        for i, (label, p) in enumerate(zip(truth, right, strict=True))
    ]
    run.results.write_text(json.dumps({"classes": {"A": 0, "B": 1}, "clips": clips}))
    shifted = {f"{i}.wav": [row_of(label, altered)] * 2 for i, label in enumerate(truth)}
    (run.folder / "shifted.json").write_text(json.dumps(shifted))
    return run


def test_table_worked_by_hand(tmp_path):
    runs = [
        run_of(tmp_path, "first", 0, [0.9, 0.4, 0.9, 0.9], 0.9),  # A 1/2, B 1
        run_of(tmp_path, "first", 1, [0.9, 0.4, 0.9, 0.4], 0.9),  # A 1/2, B 1/2
        run_of(tmp_path, "second", 0, [0.9, 0.8, 0.4, 0.9], 0.1),  # A 1, B 1/2
        run_of(tmp_path, "second", 1, [0.9, 0.8, 0.9, 0.9], 0.1),  # A 1, B 1
    ]
    first, second, both = ablation.table_rows(
        runs, ["first", "second", "absent"], ["first; second"], shifted=True, draws=2
    )
    assert first["as it is"]["macro_accuracy"] == pytest.approx(0.625)
    assert first["as it is"]["worst_class"] == "A"
    assert first["as it is"]["worst_accuracy"] == pytest.approx(0.5)
    assert first["as it is"]["difference_interval_95"] == (0, 0)
    assert second["as it is"]["macro_accuracy"] == pytest.approx(0.875)
    assert second["as it is"]["relative_error"] == pytest.approx(0.125 / 0.375)
    # Means of the truth: 0.9, 0.6, 0.775, 0.775.
    assert both["as it is"]["macro_accuracy"] == 1
    assert both["row"] == "ensemble of first and second"
    assert [e["altered"]["macro_accuracy"] for e in (first, second)] == [1, 0]
    lines = ablation.markdown([first, second, both])
    assert len(lines) == 5
    assert len({line.count("|") for line in lines}) == 1
    assert "| second | 2 | 87.5% (" in lines[3]


def test_ensemble_averages_each_alteration_by_itself():
    def judged(*values: float):
        return ablation.Judged(["A", "B"], ["T"], [0], [np.array([[v, 1 - v]]) for v in values])

    # Two rows, two alterations each.
    mean = ablation.averaged([judged(0.2, 0.6), judged(0.4, 1.0)], 2)
    np.testing.assert_allclose([p[0, 0] for p in mean.probabilities], [0.3, 0.8])
    one = ablation.averaged([judged(0.2, 0.6), judged(0.4, 1.0)], 1)
    np.testing.assert_allclose([p[0, 0] for p in one.probabilities], [0.55])


def test_unknown_row_of_an_ensemble():
    with pytest.raises(ValueError, match="no row third"):
        ablation.table_rows([], ["first"], ["first; third"], shifted=False, draws=1)

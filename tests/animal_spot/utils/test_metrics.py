from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.metrics
import torch

from animal_spot.utils.metrics import (
    ConfusionMatrix,
    PerClassAccuracy,
    accuracy,
    binary_metrics,
    mean_present,
    most_confused,
    per_class_accuracy,
)


def random_labels(n: int, k: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    labels, predictions = rng.integers(k, size=n), rng.integers(k, size=n)
    predictions[: n // 2] = labels[: n // 2]
    return torch.from_numpy(labels), torch.from_numpy(predictions)


@pytest.mark.parametrize("k", [2, 3, 13])
def test_confusion_matrix_over_batches_is_that_of_scikit_learn(k):
    labels, predictions = random_labels(500, k)
    matrix = ConfusionMatrix(k)
    for batch in torch.arange(500).split(64):
        matrix.update(labels[batch], predictions[batch])
    expected = sklearn.metrics.confusion_matrix(labels, predictions, labels=range(k))
    np.testing.assert_array_equal(matrix.get().numpy(), expected)
    assert matrix.get().dtype == torch.int64
    assert accuracy(matrix.get()) == pytest.approx(
        sklearn.metrics.accuracy_score(labels, predictions)
    )


def test_counting_goes_on_from_loaded_counts():
    labels, predictions = random_labels(60, 3)
    whole, first, second = ConfusionMatrix(3), ConfusionMatrix(3), ConfusionMatrix(3)
    whole.update(labels, predictions)
    first.update(labels[:25], predictions[:25])
    second.load(first.get())
    second.update(labels[25:], predictions[25:])
    assert torch.equal(second.get(), whole.get())


def test_labels_and_predictions_of_different_shape_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        ConfusionMatrix(2).update(
            torch.zeros(3, dtype=torch.long), torch.zeros(2, dtype=torch.long)
        )


def test_accuracy_per_class_is_the_recall_of_scikit_learn():
    labels, predictions = random_labels(400, 5)
    metric = PerClassAccuracy(5)
    for batch in torch.arange(400).split(33):
        metric.update(labels[batch], predictions[batch])
    expected = sklearn.metrics.recall_score(labels, predictions, average=None)
    assert metric.get() == pytest.approx(expected.tolist())
    assert mean_present(metric.get()) == pytest.approx(
        sklearn.metrics.balanced_accuracy_score(labels, predictions)
    )


def test_absent_class_is_nan_and_left_out_of_the_mean():
    metric = PerClassAccuracy(4)
    metric.update(torch.tensor([0, 0, 2]), torch.tensor([0, 3, 2]))
    values = metric.get()
    assert values[0] == 0.5
    assert math.isnan(values[1])
    assert values[2] == 1.0
    assert math.isnan(values[3]), "predicted, but never there"
    assert mean_present(values) == 0.75


def test_without_any_clip_everything_is_defined():
    empty = torch.zeros(3, 3, dtype=torch.int64)
    assert accuracy(empty) == 0.0
    assert all(map(math.isnan, per_class_accuracy(empty)))
    assert math.isnan(mean_present(per_class_accuracy(empty)))
    assert most_confused(empty, ["a", "b", "c"]) == []


def test_binary_metrics_are_those_of_scikit_learn():
    labels, predictions = random_labels(300, 2)
    matrix = ConfusionMatrix(2)
    matrix.update(labels, predictions)
    metrics = binary_metrics(matrix.get())
    (tn, fp), (fn, tp) = sklearn.metrics.confusion_matrix(labels, predictions)
    assert vars(metrics) == pytest.approx(
        {
            "tp": tp,
            "tn": tn,
            "fp": fp,
            "fn": fn,
            "accuracy": sklearn.metrics.accuracy_score(labels, predictions),
            "f1": sklearn.metrics.f1_score(labels, predictions),
            "precision": sklearn.metrics.precision_score(labels, predictions),
            "TPR": sklearn.metrics.recall_score(labels, predictions),
            "FPR": fp / (fp + tn),
        }
    )
    names = ["tp", "tn", "fp", "fn", "accuracy", "f1", "precision", "TPR", "FPR"]
    assert list(vars(metrics)) == names


@pytest.mark.parametrize(
    "confusion",
    [
        pytest.param([[0, 0], [0, 0]], id="nothing"),
        pytest.param([[5, 0], [0, 0]], id="only-negatives"),
        pytest.param([[0, 0], [4, 0]], id="only-missed-positives"),
    ],
)
def test_ratio_without_denominator_is_0(confusion):
    metrics = binary_metrics(torch.tensor(confusion))
    assert (metrics.f1, metrics.precision, metrics.TPR, metrics.FPR) == (0, 0, 0, 0)


def test_most_confused_pairs_come_by_number():
    confusion = torch.tensor([[9, 2, 0], [5, 9, 1], [0, 3, 9]])
    assert most_confused(confusion, ["a", "b", "c"], 3) == [
        ("b", "a", 5),
        ("c", "b", 3),
        ("a", "b", 2),
    ]
    assert confusion[0, 0] == 9, "the input was modified"

"""The layers on top of embeddings, against scikit-learn and by their own loss."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, log_loss
from sklearn.preprocessing import StandardScaler
from torch import nn

from animal_spot.training.head_trainer import (
    HIDDEN_UNITS,
    Embedded,
    Head,
    candidates,
    choose_head,
    judge,
    logits_of,
)
from animal_spot.training.losses import class_weights

DIM = 40
OPTIONS = {"dim": DIM}


def clips(n_each: list[int], seed: int = 0, shift: float = 1.0) -> Embedded:
    """Clusters of different size and scale, with a number that is always the same."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((len(n_each), DIM))
    rows = [shift * centres[k] + rng.standard_normal((n, DIM)) for k, n in enumerate(n_each)]
    x = np.concatenate(rows) * np.linspace(0.1, 5, DIM) + 3
    x[:, 7] = 0.25
    return Embedded(
        torch.from_numpy(x.astype(np.float32)),
        torch.arange(len(n_each)).repeat_interleave(torch.tensor(n_each)),
    )


def fitted(train: Embedded, n_classes: int, head: Head, seed: int = 0) -> nn.Sequential:
    """Return the one network that there is to choose."""
    model, chosen = choose_head(train, train, n_classes, [head], OPTIONS, metric="loss", seed=seed)
    assert chosen == head
    return model


@pytest.mark.parametrize("n_each", [[30, 9, 14], [8, 5, 4]], ids=["more-clips", "fewer-than-dim"])
@pytest.mark.parametrize("l2", [1.0, 0.03])
def test_linear_head_is_scikit_learns_balanced_logistic_regression(n_each, l2):
    train, other = clips(n_each), clips([10, 10, 10], seed=1)
    model = fitted(train, 3, Head(0, l2))
    scaler = StandardScaler().fit(train.embeddings.double())
    theirs = LogisticRegression(
        C=1 / (sum(n_each) * l2), class_weight="balanced", max_iter=10_000, tol=1e-8
    ).fit(scaler.transform(train.embeddings.double()), train.labels)
    wanted = theirs.predict_proba(scaler.transform(other.embeddings.double()))
    with torch.no_grad():
        found = logits_of(model, other.embeddings).softmax(1).numpy()
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-3)
    np.testing.assert_allclose(model.encoder.mean, scaler.mean_, rtol=1e-5)
    np.testing.assert_allclose(model.encoder.std, scaler.scale_, rtol=1e-5)


def test_hidden_head_is_at_a_minimum_of_its_loss():
    train = clips([12, 6, 5])
    model = fitted(train, 3, Head(16, 0.1), seed=4).double()
    assert model.encoder.out_channels == 16
    weight = torch.from_numpy(class_weights(np.array([12, 6, 5]), "inverse"))
    layers = (model.encoder.hidden, model.classifier.linear)
    loss = F.cross_entropy(
        logits_of(model, train.embeddings.double()), train.labels, weight=weight
    ) + 0.05 * sum(layer.weight.square().sum() for layer in layers)
    loss.backward()
    for layer in layers:
        # float32 weights, and at most so many steps
        assert layer.weight.grad.abs().max() < 2e-3
    assert loss.item() < np.log(3)
    again = fitted(train, 3, Head(16, 0.1), seed=4).double()
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True)
    )


def test_judgement_is_scikit_learns():
    train, val = clips([12, 6, 5]), clips([4, 7, 3], seed=2, shift=0.4)
    model = fitted(train, 3, Head(0, 0.1))
    result = judge(model, val, "val", 3)
    with torch.no_grad():
        p = logits_of(model, val.embeddings).softmax(1).numpy()
    assert result.macro_accuracy == pytest.approx(balanced_accuracy_score(val.labels, p.argmax(1)))
    assert result.loss == pytest.approx(log_loss(val.labels, p), rel=1e-5)
    np.testing.assert_array_equal(result.predictions, p.argmax(1))
    binary = judge(fitted(clips([9, 6]), 2, Head(0, 0.1)), clips([3, 4], 5), "val", 2)
    assert binary.binary is not None
    assert ((binary.confidences > 0.5) == (binary.predictions == 1)).all(), "of class 1"


@pytest.mark.parametrize("metric", ["loss", "accuracy", "macro_accuracy"])
def test_the_head_that_validates_best_is_chosen(metric):
    train, val = clips([12, 6, 5]), clips([9, 7, 8], seed=2, shift=0.4)
    heads = candidates("linear", None)
    _, chosen = choose_head(train, val, 3, heads, OPTIONS, metric=metric, seed=0)
    results = [judge(fitted(train, 3, h), val, "val", 3) for h in heads]
    values = [-r.loss if metric == "loss" else r.value_of(metric) for r in results]
    best = [i for i, value in enumerate(values) if value == max(values)]
    assert chosen == heads[min(best, key=lambda i: results[i].loss)]


def test_candidates_are_what_was_asked_for():
    assert candidates("hidden", 0.5) == [Head(HIDDEN_UNITS, 0.5)]
    assert candidates("auto", 0.5) == [Head(0, 0.5), Head(HIDDEN_UNITS, 0.5)]
    assert {h.hidden for h in candidates("auto", None)} == {0, HIDDEN_UNITS}
    assert {h.hidden for h in candidates("linear", None)} == {0}

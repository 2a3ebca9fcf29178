from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight

from animal_spot.data.class_balance import balance_factors
from animal_spot.training.losses import TrainingLoss, class_weights, focal_loss

COUNTS = np.array([60, 30, 8, 2])
N_CLASSES = len(COUNTS)
KINDS = ("indices", "probabilities")


@pytest.fixture
def logits() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return 3 * torch.randn(7, N_CLASSES, generator=generator)


@pytest.fixture
def targets() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return {
        "indices": torch.tensor([0, 0, 1, 2, 3, 3, 1]),
        "probabilities": torch.rand(7, N_CLASSES, generator=generator).softmax(1),
    }


def by_hand(
    logits: torch.Tensor,
    targets: torch.Tensor,
    *,
    gamma: float = 0.0,
    weights: np.ndarray | None = None,
    smoothing: float = 0.0,
    shift: np.ndarray | None = None,
) -> float:
    """Return the loss by its definition, clip by clip and class by class, in double precision."""
    weights = np.ones(N_CLASSES) if weights is None else weights
    shift = np.zeros(N_CLASSES) if shift is None else shift
    total = norm = 0.0
    for row, target in zip(logits.double().numpy(), targets.numpy(), strict=True):
        odds = np.exp(row + shift)
        p = odds / odds.sum()
        soft = np.eye(N_CLASSES)[target] if np.ndim(target) == 0 else target.astype(float)
        norm += weights[target] if np.ndim(target) == 0 else 1.0
        for c in range(N_CLASSES):
            q = (1 - smoothing) * soft[c] + smoothing / N_CLASSES
            total += weights[c] * q * (1 - p[c]) ** gamma * -math.log(p[c])
    return total / norm


# -- weights ------------------------------------------------------------------------------------


def test_inverse_weights_are_those_of_scikit_learn():
    labels = np.repeat(np.arange(N_CLASSES), COUNTS)
    expected = compute_class_weight("balanced", classes=np.arange(N_CLASSES), y=labels)
    assert class_weights(COUNTS, "inverse") == pytest.approx(expected)
    assert balance_factors(COUNTS, "inverse_freq") == pytest.approx(expected)


@pytest.mark.parametrize(
    ("strategy", "counts", "expected"),
    [
        pytest.param("inverse_freq", [60, 30, 8, 2], [5 / 12, 5 / 6, 25 / 8, 12.5], id="inverse"),
        pytest.param("sqrt_inverse_freq", [25, 50, 25], [2, math.sqrt(2), 2], id="square-root"),
        # (1 - b) / (1 - b^n) = 1 / (1 + b + ... + b^(n - 1))
        pytest.param("effective_num", [1, 2, 3], [1, 1 / 1.9999, 1 / 2.99970001], id="effective"),
        pytest.param("inverse_freq", [3, 0], [0.5, 1.5], id="absent-class-counts-as-one-clip"),
    ],
)
def test_factors_have_their_hand_values(strategy, counts, expected):
    assert balance_factors(np.array(counts), strategy) == pytest.approx(expected, rel=1e-9)


def test_unknown_strategy_is_named():
    with pytest.raises(ValueError, match="rarest"):
        balance_factors(COUNTS, "rarest")


@pytest.mark.parametrize("weighting", ["inverse", "sqrt_inverse", "effective"])
def test_mean_weight_over_the_clips_is_one(weighting):
    weights = class_weights(COUNTS, weighting)
    labels = np.repeat(np.arange(N_CLASSES), COUNTS)
    assert weights[labels].mean() == pytest.approx(1)
    assert (np.diff(weights) > 0).all(), "the rarer the class, the more it counts"


# -- cross entropy --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_without_options_it_is_the_cross_entropy_of_torch_to_the_bit(logits, targets, kind):
    assert torch.equal(
        TrainingLoss(COUNTS)(logits, targets[kind]), F.cross_entropy(logits, targets[kind])
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1], ids=["sharp", "smoothed"])
@pytest.mark.parametrize("gamma", [None, 0.0, 0.7, 2.0], ids=str)
@pytest.mark.parametrize("weighting", ["none", "inverse", "sqrt_inverse", "effective"])
@pytest.mark.parametrize("tau", [0.0, 1.5], ids=["plain", "adjusted"])
def test_every_combination_agrees_with_its_definition(
    logits, targets, kind, smoothing, gamma, weighting, tau
):
    loss = TrainingLoss(
        COUNTS,
        class_weighting=weighting,
        focal_gamma=gamma,
        label_smoothing=smoothing,
        logit_adjustment=tau,
    )
    expected = by_hand(
        logits,
        targets[kind],
        gamma=gamma or 0.0,
        weights=None if weighting == "none" else class_weights(COUNTS, weighting),
        smoothing=smoothing,
        shift=tau * np.log(COUNTS / 100),
    )
    assert float(loss(logits, targets[kind])) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_weighted_mean_is_that_of_torch(logits, targets, kind):
    """Divided by the weights of the targets, or by the number of clips for probabilities."""
    labels = np.repeat(np.arange(N_CLASSES), COUNTS)
    weight = torch.tensor(
        compute_class_weight("balanced", classes=np.arange(N_CLASSES), y=labels),
        dtype=torch.float32,
    )
    loss = TrainingLoss(COUNTS, class_weighting="inverse", label_smoothing=0.2)
    expected = F.cross_entropy(logits, targets[kind], weight=weight, label_smoothing=0.2)
    assert torch.allclose(loss(logits, targets[kind]), expected)


# -- focal loss -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3], ids=["sharp", "smoothed"])
def test_focal_loss_without_focus_is_the_cross_entropy(logits, targets, kind, weighted, smoothing):
    weight = torch.tensor([0.5, 1.0, 2.0, 4.0]) if weighted else None
    focal = focal_loss(logits, targets[kind], 0.0, weight=weight, label_smoothing=smoothing)
    expected = F.cross_entropy(logits, targets[kind], weight=weight, label_smoothing=smoothing)
    assert torch.allclose(focal, expected)


@pytest.mark.parametrize(
    ("p", "factor"),
    [pytest.param(0.9, 100, id="0.9"), pytest.param(0.968, 1000, id="0.968")],
)
def test_focal_loss_takes_from_easy_clips_what_the_paper_says(p, factor):
    """With gamma 2, 100 times less than the cross entropy at 0.9, about 1000 times at 0.968."""
    logits = torch.tensor([[math.log(p), math.log(1 - p)]])
    target = torch.tensor([0])
    ratio = F.cross_entropy(logits, target) / focal_loss(logits, target, 2.0)
    assert float(ratio) == pytest.approx(factor, rel=0.03)


def test_one_hot_probabilities_are_indices(logits, targets):
    one_hot = F.one_hot(targets["indices"], N_CLASSES).float()
    loss = TrainingLoss(COUNTS, focal_gamma=2.0, label_smoothing=0.1)
    assert torch.allclose(loss(logits, one_hot), loss(logits, targets["indices"]))


@pytest.mark.parametrize("kind", KINDS)
def test_focal_gradient_is_that_of_finite_differences(logits, targets, kind):
    target = targets[kind] if kind == "indices" else targets[kind].double()
    assert torch.autograd.gradcheck(
        lambda x: focal_loss(x, target, 1.5, label_smoothing=0.1), logits.double().requires_grad_()
    )


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0], ids=str)
def test_focal_gradient_is_finite_where_the_network_is_sure(gamma):
    logits = torch.tensor([[200.0, 0.0], [0.0, 200.0], [20.0, 0.0]], requires_grad=True)
    loss = focal_loss(logits, torch.tensor([0, 0, 0]), gamma)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()
    assert logits.grad[1, 0] < 0, "the wrong clip pulls"


# -- logit adjustment -----------------------------------------------------------------------------


def test_adjusted_loss_is_least_for_a_network_that_knows_no_prior():
    """Clips that look alike, as many of each class as there are: the best logits are all equal."""
    labels = torch.from_numpy(np.repeat(np.arange(N_CLASSES), COUNTS))
    logits = torch.zeros(len(labels), N_CLASSES, requires_grad=True)
    TrainingLoss(COUNTS, logit_adjustment=1.0)(logits, labels).backward()
    assert logits.grad.sum(0).abs().max() < 1e-6
    plain = torch.zeros_like(logits, requires_grad=True)
    TrainingLoss(COUNTS)(plain, labels).backward()
    assert plain.grad.sum(0).abs().max() > 0.1


def test_arguments_are_not_changed(logits, targets):
    before = logits.clone(), targets["probabilities"].clone()
    TrainingLoss(
        COUNTS,
        class_weighting="inverse",
        focal_gamma=2.0,
        label_smoothing=0.1,
        logit_adjustment=1.0,
    )(logits, targets["probabilities"])
    assert torch.equal(logits, before[0])
    assert torch.equal(targets["probabilities"], before[1])

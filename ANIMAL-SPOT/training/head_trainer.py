"""Training of the few layers on top of frozen embeddings, and the choice between them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from animal_spot.data.clip_dataset import one_thread
from animal_spot.models.classifier import Classifier
from animal_spot.models.embedding_encoder import EmbeddingEncoder
from animal_spot.models.factory import build_model
from animal_spot.training.losses import class_weights
from animal_spot.training.phase_result import Phase, PhaseResult
from animal_spot.utils.metrics import ConfusionMatrix

HIDDEN_UNITS = 64
L2_GRID = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
L2_GRID_HIDDEN = (0.3, 0.1, 0.03, 0.01)  # more of it makes all hidden units vanish
_MAX_STEPS = 300

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Head:
    """Layers on top of embeddings.

    Attributes:
        hidden: Units of a hidden layer; 0: none.
        l2: Weight of the squared weights in the loss.
    """

    hidden: int
    l2: float

    def __str__(self) -> str:
        kind = f"{self.hidden} hidden units" if self.hidden else "linear"
        return f"{kind}, L2 {self.l2:g}"


@dataclass(frozen=True)
class Embedded:
    """Clips as embeddings.

    Attributes:
        embeddings: Shape ``(clips, dim)``, float32.
        labels: Class indices, shape ``(clips,)``.
    """

    embeddings: Tensor
    labels: Tensor


def candidates(kind: str, l2: float | None) -> list[Head]:
    """Return the heads to choose from, the plainest and most restrained first.

    Args:
        kind: ``auto``, ``linear`` or ``hidden``.
        l2: Weight of the squared weights; None: several.
    """
    grids = {0: L2_GRID, HIDDEN_UNITS: L2_GRID_HIDDEN}
    units = {"linear": (0,), "hidden": (HIDDEN_UNITS,), "auto": tuple(grids)}[kind]
    return [Head(u, value) for u in units for value in (grids[u] if l2 is None else (l2,))]


@dataclass(frozen=True)
class _Standardised:
    """Embeddings with mean 0 and deviation 1, in the space that they span; float64."""

    mean: Tensor
    std: Tensor
    basis: Tensor
    inputs: Tensor


def _standardised(train: Embedded) -> _Standardised:
    x = train.embeddings.double()
    std = x.std(0, correction=0)
    mean, std = x.mean(0), torch.where(std > 0, std, 1.0)
    with one_thread():
        return _Standardised(mean, std, *_own_space((x - mean) / std))


def _fit_standardised(
    x: _Standardised,
    labels: Tensor,
    n_classes: int,
    head: Head,
    encoder_opts: dict[str, Any],
    seed: int,
) -> nn.Sequential:
    with one_thread():
        fitted = _fit(x.inputs, labels, n_classes, head, seed)
    encoder = EmbeddingEncoder(encoder_opts["dim"], head.hidden)
    model = build_model(encoder, Classifier(encoder.out_channels, "avg", n_classes))
    encoder.mean.copy_(x.mean)
    encoder.std.copy_(x.std)
    with torch.no_grad():
        for layer, found in zip(_linear_layers(model), fitted, strict=True):
            first = layer.in_features == len(x.std)
            layer.weight.copy_(found.weight @ x.basis if first else found.weight)
            layer.bias.copy_(found.bias)
    return model.eval()


def _linear_layers(model: nn.Sequential) -> list[nn.Linear]:
    layers = [model.encoder.hidden, model.classifier.linear]
    return [layer for layer in layers if layer is not None]


def _own_space(x: Tensor) -> tuple[Tensor, Tensor]:
    """Turn inputs into the space that they span, of at most as many dimensions as there are clips.

    What penalises squared weights leaves none outside it, so nothing is lost, and a fit is quicker.

    Returns:
        Orthonormal rows ``(rank, dim)`` and the inputs along them ``(clips, rank)``.
    """
    _, sizes, basis = torch.linalg.svd(x, full_matrices=False)
    basis = basis[sizes > 1e-10 * sizes.max().clamp(min=1e-300)]
    return basis, x @ basis.T


def _fit(x: Tensor, labels: Tensor, n_classes: int, head: Head, seed: int) -> list[nn.Linear]:
    """Return the layers that minimise the loss of ``choose_head``, float64."""
    n_inputs = x.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [nn.Linear(n_inputs, head.hidden)] if head.hidden else []
        layers.append(nn.Linear(head.hidden or n_inputs, n_classes))
    nn.init.zeros_(layers[-1].bias)
    if not head.hidden:
        nn.init.zeros_(layers[-1].weight)
    network = nn.Sequential(*[m for layer in layers for m in (layer, nn.ReLU())][:-1]).double()
    counts = np.bincount(labels.numpy(), minlength=n_classes)
    weight = torch.from_numpy(class_weights(counts, "inverse"))
    optimizer = torch.optim.LBFGS(
        network.parameters(),
        max_iter=_MAX_STEPS,
        tolerance_grad=1e-7,
        tolerance_change=1e-10,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(network(x), labels, weight=weight)
        value = value + head.l2 / 2 * sum(layer.weight.square().sum() for layer in layers)
        value.backward()
        return value

    optimizer.step(loss)
    return layers


def logits_of(model: nn.Sequential, embeddings: Tensor) -> Tensor:
    """Apply a network to embeddings ``(clips, dim)``; returns ``(clips, classes)``."""
    return model(embeddings[:, None, None, :])


@torch.no_grad()
def judge(model: nn.Sequential, clips: Embedded, phase: Phase, n_classes: int) -> PhaseResult:
    """Return what a network says of the clips of a partition."""
    logits = logits_of(model, clips.embeddings)
    probabilities = logits.softmax(1)
    confidences, predictions = probabilities.max(1)
    confusion = ConfusionMatrix(n_classes)
    confusion.update(clips.labels, predictions)
    return PhaseResult(
        phase=phase,
        loss=float(F.cross_entropy(logits, clips.labels)),
        confusion=confusion.get(),
        labels=clips.labels,
        predictions=predictions,
        confidences=probabilities[:, 1] if n_classes == 2 else confidences,
        indices=torch.arange(len(clips.labels)),
        seconds=0.0,
        loading_seconds=0.0,
    )


def choose_head(
    train: Embedded,
    val: Embedded,
    n_classes: int,
    heads: Sequence[Head],
    encoder_opts: dict[str, Any],
    *,
    metric: str,
    seed: int,
) -> tuple[nn.Sequential, Head]:
    """Fit several heads to all training clips at once and return the one that validates best.

    Embeddings are standardised by the mean and standard deviation of the training clips. The loss
    is the mean cross entropy, each class with the same weight, plus ``l2 / 2`` times the sum of all
    squared weights (not biases), and L-BFGS finds its minimum. Without a hidden layer this is
    multinomial logistic regression: scikit-learn's, with ``class_weight="balanced"`` and
    ``C = 1 / (clips * l2)``.

    Args:
        train: Training clips; each class has some.
        val: Validation clips.
        n_classes: Number of classes.
        heads: To choose from.
        encoder_opts: ``encoderOpts`` of the network but for ``hidden``.
        metric: ``accuracy``, ``macro_accuracy`` or ``loss``; of equal ones the less lossy wins.
        seed: Of the start of a hidden layer.

    Returns:
        ``encoder`` and ``classifier``, float32, and the head that it is.
    """
    best, standardised = None, _standardised(train)
    for head in heads:
        model = _fit_standardised(standardised, train.labels, n_classes, head, encoder_opts, seed)
        result = judge(model, val, "val", n_classes)
        value = -result.loss if metric == "loss" else result.value_of(metric)
        log.info(
            "head: %s: val loss %.3f, accuracy %.3f, mean of classes %.3f",
            *(head, result.loss, result.accuracy, result.macro_accuracy),
        )
        key = (value, -result.loss)
        if best is None or key > best[0]:
            best = key, model, head
    _, model, head = best
    if len(heads) > 1:
        log.info("head that validates best (%s): %s", metric, head)
    return model, head

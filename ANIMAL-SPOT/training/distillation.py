"""A student learns what a teacher says of the clips, besides their labels.

After Hinton, Vinyals & Dean, Distilling the knowledge in a neural network (2015).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from animal_spot.data.corpus import Corpus, CorpusError
from animal_spot.data.unlabelled import UNLABELLED
from animal_spot.detections.calibration import log_mean, log_softmax
from animal_spot.model_files.ensemble_file import load_members
from animal_spot.model_files.signal_path import warn_of_unused_embedding_model
from animal_spot.training.clip_scores import score_clips, split_warnings
from animal_spot.training.losses import TrainingLoss

log = logging.getLogger(__name__)


class DistillationTargets:
    """Targets of a batch: what the label says, then what the teacher says.

    Args:
        log_probabilities: The teacher's, of all training samples, shape ``(samples, classes)``.
        temperature: By which they are divided; above 1 lesser classes count more.
    """

    def __init__(self, log_probabilities: np.ndarray, temperature: float) -> None:
        softened = log_softmax(log_probabilities, temperature)
        self._teacher = torch.from_numpy(np.exp(softened)).float()

    def __call__(self, labels: Tensor, indices: Tensor) -> Tensor:
        """Return targets ``(batch, 2 * classes)``.

        Args:
            labels: Class indices, ``UNLABELLED`` where there is no label, shape ``(batch,)``.
            indices: Of the samples, shape ``(batch,)``.

        Returns:
            One-hot labels, zero throughout where there is none, and the teacher's softened
            probabilities. Both halves may be mixed with those of other clips.
        """
        self._teacher = self._teacher.to(labels.device)  # once; so no step waits for the device
        teacher = self._teacher[indices]
        is_known = labels != UNLABELLED
        hard = F.one_hot(labels.clamp(min=0), teacher.shape[1]) * is_known[:, None]
        return torch.cat([hard.to(teacher.dtype), teacher], 1)


class DistillationLoss(nn.Module):
    """``(1 - w) h L(labels) + (1 - (1 - w) h) T^2 KL(teacher || student)``, mean of the batch.

    ``h`` is the share of a clip that has a label: 1, or 0 without a label, or between them where
    such clips are mixed. So a clip without a label has the teacher alone as its target. ``T``
    softens both sides of the divergence; its square keeps the size of the gradient.

    Args:
        training_loss: ``L``, of labels alone.
        weight: ``w``.
        temperature: ``T``.
    """

    def __init__(self, training_loss: TrainingLoss, weight: float, temperature: float) -> None:
        super().__init__()
        self.training_loss = training_loss
        self.weight = weight
        self.temperature = temperature

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss, a scalar.

        Args:
            logits: Shape ``(batch, classes)``.
            targets: Of ``DistillationTargets``.
        """
        hard, teacher = targets.chunk(2, 1)
        share = hard.sum(1)
        labels = hard / share.clamp(min=torch.finfo(share.dtype).tiny)[:, None]
        weight = (1 - self.weight) * share
        student = (logits / self.temperature).log_softmax(1)
        divergence = F.kl_div(student, teacher, reduction="none").sum(1)
        by_label = self.training_loss.of_clips(logits, labels)
        return (weight * by_label + (1 - weight) * self.temperature**2 * divergence).mean()


def teach(
    path: Path,
    corpus: Corpus,
    device: torch.device,
    n_workers: int,
    embedding_models: Sequence[Path] = (),
) -> np.ndarray:
    """Ask the teacher about the training samples, labelled ones first, as they are, in fp32.

    Each network of an ensemble hears them in its own way; temperatures count.

    Args:
        path: Model or ensemble file.
        corpus: Training data.
        device: Where to compute.
        n_workers: Processes that load clips.
        embedding_models: Files among which its embedding model is looked for, if it has one.

    Returns:
        Log probabilities ``(samples, classes)``.

    Raises:
        CorpusError: If its classes are not those of the corpus.
        ValueError: If the file cannot be read, or does not say how it hears clips.
        OSError: If there is no such file.
    """
    ensemble = load_members([path])
    if ensemble.classes != corpus.classes:
        raise CorpusError(
            f"the classes of --distill {path} ({', '.join(ensemble.classes)}) are not those of the "
            f"data folder ({', '.join(corpus.classes)}); a teacher must know the same classes"
        )
    for warning in split_warnings(ensemble, corpus):
        log.warning("teacher: %s; what the student learns from it then flatters too", warning)
    warn_of_unused_embedding_model(embedding_models, ensemble)
    labelled = corpus.samples["train"]
    samples = [*labelled, *corpus.unlabelled]
    scores = score_clips(ensemble, samples, device, n_workers, embedding_models)
    said = log_mean(scores.log_probabilities(ensemble))
    said = log_softmax(said, ensemble.calibration.temperature or 1.0)
    right = np.mean(said[: len(labelled)].argmax(1) == [s.label for s in labelled])
    log.info(
        "teacher: %d network%s; says of %d training clips%s what they are, and is right on %.1f %% "
        "of those with a label",
        len(ensemble),
        "s" if len(ensemble) > 1 else "",
        len(samples),
        f" ({len(corpus.unlabelled)} without a label)" if corpus.unlabelled else "",
        100 * right,
    )
    return said

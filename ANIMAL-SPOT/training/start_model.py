"""A model file that a training begins from: its network, its settings, the classes it knows.

The encoder is taken over whole. Of the last layer a class of the same name keeps its row; other
classes get new ones.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from animal_spot.audio.signal_config import Pcen, SignalConfig
from animal_spot.model_files.ensemble_file import load_ensemble
from animal_spot.model_files.model_file import ModelFile
from animal_spot.model_files.torchscript_reader import is_torchscript
from animal_spot.models.classifier import Classifier
from animal_spot.models.factory import build_encoder, build_model

log = logging.getLogger(__name__)

_SIGNAL_FLAGS = ("sr", "fmin", "fmax", "n_freq_bins", "n_fft", "hop_length")
_SIGNAL_WITHOUT_FLAGS = ("preemphases", "min_level_db", "ref_level_db")


@dataclass(frozen=True)
class StartModel:
    """A model file as it was read.

    Attributes:
        path: Where it is.
        sha256: Hash of its bytes, by which runs know it.
        content: What it holds.
    """

    path: Path
    sha256: str
    content: ModelFile

    @classmethod
    def read(cls, path: Path) -> StartModel:
        """Read a model file of this program or of the original, of either form.

        Raises:
            ValueError: If there is none, or a training cannot begin from it.
        """
        if not os.path.isfile(path):  # which takes a name that is too long, too
            raise ValueError(f"--init_from {path} does not exist or is not a file")
        try:
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            members = load_ensemble(path, torchscript=is_torchscript(path)).members
        except OSError as error:
            raise ValueError(
                f"--init_from {path} cannot be read: {error.strerror or error}"
            ) from error
        except ValueError as error:
            raise ValueError(f"--init_from: {error}") from error
        start = cls(path, sha256, members[0])
        if len(members) > 1:
            raise ValueError(
                f"--init_from {path} is an ensemble of {len(members)} networks; name the model "
                "file of one of them"
            )
        start._require_usable()
        return start

    def _require_usable(self) -> None:
        content, what = self.content, f"--init_from {self.path}"
        if content.kind.hears == "embeddings":
            raise ValueError(
                f"{what} is a head on embeddings, which is trained anew in seconds: leave "
                f"--init_from out and train with --backbone {content.backbone} on old and new "
                "clips together"
            )
        n_outputs = content.classifier_opts["num_classes"]
        if n_outputs != len(content.classes):
            raise ValueError(
                f"{what} has {n_outputs} outputs and {len(content.classes)} class names, so nobody "
                "knows which is which"
            )
        for name in _SIGNAL_WITHOUT_FLAGS:
            value, here = getattr(content.signal, name), getattr(SignalConfig, name)
            if value != here:
                raise ValueError(
                    f"{what} was trained with {name} {value}; this program trains with {here} only"
                )
        if content.signal.pcen not in (None, Pcen()):
            raise ValueError(
                f"{what} was trained with {content.signal.pcen}; this program trains with the "
                "usual numbers only"
            )

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of a training that are the file's: the network, and how it hears clips.

        What a file of the original does not say is not among them.
        """
        content, signal = self.content, self.content.signal
        options = {"convnext": "tiny"} | content.encoder_opts
        settings = {
            "backbone": content.backbone,
            **{name: options[name] for name in content.kind.options},
            **{name: _whole(getattr(signal, name)) for name in _SIGNAL_FLAGS},
            "freq_compression": signal.freq_compression,
            "channel": signal.channel,
            "pretrained": False,
            "pretrained_weights": None,
            "init_digest": f"sha256 {self.sha256}",
        }
        if content.sequence_len_ms is not None:
            settings["sequence_len"] = _whole(content.sequence_len_ms)
        if content.normalization is not None:
            settings["min_max_norm"] = signal.min_max_norm
            settings["per_channel_normalization"] = signal.pcen is not None
        return settings

    def require_input_size(self, size: tuple[int, int]) -> None:
        """Make sure that the network takes spectrograms of ``(time, freq)``.

        Raises:
            ValueError: If it takes others only.
        """
        fixed = self.content.encoder_opts.get("input_size")
        if fixed is not None and tuple(fixed) != size:
            raise ValueError(
                f"the network of --init_from {self.path} takes {fixed[0]} frames only, and "
                f"--sequence_len gives {size[0]}; leave --sequence_len out"
            )

    def known(self, classes: Mapping[str, int]) -> list[str]:
        """Return the classes of a training whose rows of the last layer are taken over."""
        return [name for name in classes if name in self.content.classes]

    def network(
        self, classes: Mapping[str, int], stochastic_depth: float | None = None
    ) -> tuple[nn.Sequential, dict[str, Any]]:
        """Build the network that a training on these classes begins with.

        Args:
            classes: Name to index.
            stochastic_depth: See ``ConvNextEncoder``.

        Returns:
            ``encoder`` and ``classifier``, and ``classifierOpts`` of its model file.
        """
        content = self.content
        encoder = build_encoder(
            content.backbone, content.encoder_opts, stochastic_depth=stochastic_depth
        )
        encoder.load_state_dict(content.model.encoder.state_dict())
        options = {
            "input_channels": content.classifier_opts["input_channels"],
            "pooling": content.classifier_opts.get("pooling", "avg"),
            "num_classes": len(classes),
        }
        head = Classifier(**options)
        before = content.model.classifier.linear
        with torch.no_grad():
            for name in self.known(classes):
                new, old = classes[name], content.classes[name]
                head.linear.weight[new] = before.weight[old]
                head.linear.bias[new] = before.bias[old]
        return build_model(encoder, head), options

    def tell(self, classes: Mapping[str, int]) -> None:
        """Log which classes of a training the network knows."""
        known = self.known(classes)
        new = [name for name in classes if name not in known]
        log.info("begins from %s (sha256 %s)", self.path, self.sha256)
        log.info("classes that it knows: %s", ", ".join(known) or "none")
        if new:
            log.info("classes that are new to it: %s", ", ".join(new))

    def warnings(
        self, classes: Mapping[str, int], noise_class: str | None, split: str | None
    ) -> list[str]:
        """Say what of the file is lost or not known, and whether figures will flatter.

        Args:
            classes: Of the training, name to index.
            noise_class: The one of them that is no call.
            split: What the clips are known by that judge it, as model files keep it; None: folds.
        """
        content, what = self.content, f"--init_from {self.path}"
        warnings = []
        if gone := [name for name in content.names if name not in classes]:
            warnings.append(
                f"classes of {what} without clips here are left out, and the new model will not "
                f"know them: {', '.join(gone)}"
            )
        if content.noise_class in classes and content.noise_class != noise_class:
            warnings.append(
                f"{content.noise_class} is background for {what}; say so here too: --noise_class "
                f"{content.noise_class!r}"
            )
        if content.normalization is None:
            warnings.append(
                f"{what} does not say how its clips were normalised; if they were scaled to 0..1, "
                "--min_max_norm is needed"
            )
        if split is None:
            warnings.append(
                f"{what} may have heard clips that the folds judge its successors on: their "
                "figures flatter"
            )
        elif (content.extra or {}).get("split") != split:
            warnings.append(
                f"{what} was trained on another split, or does not say on which: validation and "
                "test figures flatter if it has heard those clips"
            )
        return warnings


def _whole(value: float) -> float:
    return int(value) if value == int(value) else value

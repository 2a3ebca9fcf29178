"""The model file ``ANIMAL-SPOT.pk``, in the original's form with a few keys more.

The dictionary form holds plain dictionaries and state dicts, so that other programs can read it
and none of our classes becomes a file format. The TorchScript form carries text files beside the
network, which other programs (PAMGuard among them) read.
"""

from __future__ import annotations

import ast
import copy
import io
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from animal_spot.audio.signal_config import SignalConfig
from animal_spot.data.noise_class import noise_name
from animal_spot.detections.calibration import Calibration
from animal_spot.model_files.torchscript_reader import ArchiveError, read_torchscript
from animal_spot.models.classifier import Classifier
from animal_spot.models.factory import build_encoder, build_model
from animal_spot.models.names import Backbone, backbone, backbone_of
from animal_spot.utils.errors import is_memory_error
from animal_spot.utils.names import composed, with_composed_names
from animal_spot.utils.tensor_files import (
    UnreadableFileError,
    load_tensors,
    save_tensors,
)
from animal_spot.utils.typed import integer, number, typed

FILE_NAME = "ANIMAL-SPOT.pk"
DEFAULT_CLASSES = {"noise": 0, "target": 1}
# Texts beside a TorchScript network that are read.
_TEXTS = (
    *("dataOpts", "encoderOpts", "classifierOpts", "classes", "transforms", "calibration"),
    "noise_class",
)
# Largest values of encoderOpts; beyond them a network would take all memory.
_MOST = {
    **{"input_channels": 16, "conv_kernel_size": 255, "resnet_size": 152, "max_pool": 2},
    **{"dim": 65_536, "hidden": 65_536},
}
REQUIRED = ("encoderOpts", "classifierOpts", "dataOpts", "encoderState", "classifierState")
NOT_SAID: Any = object()  # the file of an earlier version: the class called noise, if there is one


@dataclass
class ModelFile:
    """A network with everything needed to use it.

    Attributes:
        model: ``encoder`` and ``classifier`` in sequence.
        encoder_opts: ``encoderOpts`` of the file.
        classifier_opts: ``classifierOpts`` of the file.
        signal: Signal path.
        classes: Class name to index.
        backbone: See ``models.factory``.
        sequence_len_ms: Clip length in training; None in files of the original.
        normalization: ``min_max``, ``db_range``, ``pcen``, or ``none`` with ``birdnet``; None in
            files of the original, which does not store it.
        extra: Further keys: ``seed``, ``metrics``, ``split`` and ``init_from``.
        calibration: Temperature and thresholds, if it was calibrated.
        noise_class: The class that is no call; None: all are calls.
    """

    model: nn.Sequential
    encoder_opts: dict[str, Any]
    classifier_opts: dict[str, Any]
    signal: SignalConfig
    classes: dict[str, int]
    backbone: str = "resnet"
    sequence_len_ms: int | None = None
    normalization: str | None = None
    extra: dict[str, Any] | None = None
    calibration: Calibration = field(default_factory=Calibration)
    noise_class: str | None = NOT_SAID

    def __post_init__(self) -> None:
        self.classes = with_composed_names(self.classes)
        self.calibration = replace(
            self.calibration, thresholds=with_composed_names(self.calibration.thresholds)
        )
        if self.noise_class not in (NOT_SAID, None, *self.classes):
            self.noise_class = composed(self.noise_class)
        if self.noise_class is NOT_SAID:
            self.noise_class = noise_name(self.names)

    @property
    def names(self) -> list[str]:
        """Classes in index order."""
        return sorted(self.classes, key=self.classes.__getitem__)

    @property
    def kind(self) -> Backbone:
        """What is known of the kind of network."""
        return backbone(self.backbone)


def calibrated_network(content: ModelFile) -> nn.Sequential:
    """Return a copy of the network whose logits are divided by the temperature.

    The last layer is linear, so its weights are divided: every engine and every export computes
    calibrated logits, in its own arithmetic. Without a temperature the copy is equal to the bit.
    """
    network = copy.deepcopy(content.model)
    temperature = content.calibration.temperature
    if temperature not in (None, 1):
        with torch.no_grad():
            for values in network.classifier.linear.parameters():
                values /= temperature
    return network


def save_model(content: ModelFile, path: Path) -> None:
    """Write the dictionary form.

    Raises:
        OSError: If the file cannot be written.
    """
    save_tensors(dictionary_of(content), path)


def bytes_of(content: ModelFile, *, torchscript: bool) -> bytes:
    """Return what a model file holds: the dictionary form, or the TorchScript form."""
    buffer = io.BytesIO()
    if torchscript:
        _write_torchscript(content, buffer)
    else:
        torch.save(dictionary_of(content), buffer)
    return buffer.getvalue()


def dictionary_of(content: ModelFile) -> dict[str, Any]:
    """Return the dictionary form: plain containers and tensors."""
    model = content.model
    return {
        "encoderOpts": content.encoder_opts,
        "classifierOpts": content.classifier_opts,
        "dataOpts": content.signal.data_opts(),
        "encoderState": _cpu_state(model.encoder),
        "classifierState": _cpu_state(model.classifier),
        "classes": content.classes,
        "backbone": content.backbone,
        "normalization": content.normalization,
        "sequence_len_ms": content.sequence_len_ms,
        "noise_class": content.noise_class,
        **(content.extra or {}),
        **content.calibration.entries(),
    }


def _cpu_state(module: nn.Module) -> dict[str, torch.Tensor]:
    return type(state := module.state_dict())(
        (key, value.detach().cpu().contiguous()) for key, value in state.items()
    )


def load_model(path: Path) -> ModelFile:
    """Read a dictionary model file of this program, of the original or of the cetacean fork.

    Raises:
        FileNotFoundError: If there is no such file.
        UnreadableFileError: If it is no such file, or its parts do not fit together.
    """
    return model_of(load_tensors(path), path)


def model_of(content: Any, path: Path | str) -> ModelFile:
    """Build the network from the dictionary form.

    Args:
        content: What a file holds.
        path: What error messages call it.

    Raises:
        UnreadableFileError: If it is no such dictionary, or its parts do not fit together.
    """
    missing = [key for key in REQUIRED if not isinstance(content, Mapping) or key not in content]
    if missing:
        raise UnreadableFileError(f"{path} is not a model file: it has no {', '.join(missing)}")
    normalization = content.get("normalization")
    try:
        encoder_opts = dict(content["encoderOpts"])
        kernel = encoder_opts.get("conv_kernel_size")
        if isinstance(kernel, (list, tuple)):
            encoder_opts["conv_kernel_size"] = kernel[0]
        classes = _checked_classes(content.get("classes") or DEFAULT_CLASSES)
        _check_options(encoder_opts, content)
        backbone = content.get("backbone") or backbone_of(encoder_opts)
        encoder = build_encoder(backbone, encoder_opts)
        encoder.load_state_dict(fork_encoder_state(content["encoderState"]))
        classifier = Classifier(**content["classifierOpts"])
        classifier.load_state_dict(content["classifierState"])
        signal = SignalConfig.from_data_opts(
            content["dataOpts"], min_max_norm=normalization == "min_max"
        )
        if normalization == "pcen" and signal.pcen is None:
            raise ValueError("normalization is pcen, but dataOpts holds no pcen")
        calibration = Calibration.from_entries(content, list(classes))
        noise_class = content.get("noise_class", NOT_SAID)
        if noise_class not in (NOT_SAID, None, *classes):
            raise ValueError(f"its noise class {noise_class!r} is none of its classes")
    except Exception as error:  # PyTorch makes many kinds of what does not fit
        if is_memory_error(error):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UnreadableFileError(f"the parts of {path} do not fit together: {reason}") from error
    return ModelFile(
        model=build_model(encoder, classifier),
        encoder_opts=encoder_opts,
        classifier_opts=dict(content["classifierOpts"]),
        signal=signal,
        classes=classes,
        backbone=backbone,
        sequence_len_ms=content.get("sequence_len_ms"),
        normalization=normalization,
        extra={k: content[k] for k in ("seed", "metrics", "split", "init_from") if k in content},
        calibration=calibration,
        noise_class=noise_class,
    )


def _checked_classes(classes: Any) -> dict[str, int]:
    classes = typed(dict[str, int], classes, "classes")
    if sorted(classes.values()) != list(range(len(classes))):
        raise ValueError(f"its classes are not numbered 0, 1 ...: {classes}")
    return dict(classes)


def _check_options(encoder_opts: Mapping[str, Any], content: Mapping[str, Any]) -> None:
    """Make sure that a network of these options fits its weights, before it is built.

    Raises:
        ValueError: If an option is no number or out of all bounds, or a weight is no number.
    """
    for name, most in _MOST.items():
        if encoder_opts.get(name) is not None:
            integer(encoder_opts[name], name, least=0, most=most)
    if content.get("sequence_len_ms") is not None:
        number(content["sequence_len_ms"], "sequence_len_ms", least=1, most=10**7)
    options = typed(dict[str, Any], dict(content["classifierOpts"]), "classifierOpts")
    shape = tuple(content["classifierState"]["linear.weight"].shape)
    if shape != (options["num_classes"], options["input_channels"]):
        raise ValueError(f"classifierOpts are {options}, but its weights have the shape {shape}")
    for state in (content["encoderState"], content["classifierState"]):
        for name, values in state.items():
            if not values.isfinite().all():
                raise ValueError(f"{name} holds values that are no numbers")


def fork_encoder_state(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Reduce the encoder state of the cetacean fork to the keys used here.

    That program stores each feature tensor twice and an ImageNet head that it never uses.
    """
    return {key: value for key, value in state.items() if not key.startswith("backbone.")}


def load_torchscript(path: Path) -> ModelFile:
    """Read a TorchScript file of this program or of the original.

    The network is built anew from the options that are stored beside it and takes the weights of
    the archive, so that it can do all that one of a dictionary file can. Nothing of the file is
    run, see ``torchscript_reader``.

    Raises:
        FileNotFoundError: If there is no such file.
        UnreadableFileError: If it is no such file, or its parts do not fit together.
    """
    try:
        state, texts = read_torchscript(path, _TEXTS)
    except ArchiveError as error:
        raise UnreadableFileError(
            f"{path} is not a TorchScript archive of a network that this program knows ({error}); "
            "leave --jit_load out for a dictionary file"
        ) from error
    options = {name: _literal(texts.get(name, ""), name, path) for name in _TEXTS}
    signal_texts = options["transforms"] or {}
    normalised = re.search(r"min_max\s*:\s*(True|False)", signal_texts.get("normalize", ""))
    length = re.search(r"size_ms\s*:\s*(\d+)", signal_texts.get("seg_size", ""))
    if "noise_class" not in texts:
        del options["noise_class"]
    content = {
        **options,
        **dict(options["calibration"]),
        "encoderState": _part_of(state, "encoder."),
        "classifierState": _part_of(state, "classifier."),
    }
    if normalised:
        content["normalization"] = "min_max" if normalised[1] == "True" else "db_range"
    elif options["dataOpts"] and options["dataOpts"].get("pcen"):
        content["normalization"] = "pcen"
    if length:
        content["sequence_len_ms"] = int(length[1])
    return model_of(content, path)


def _literal(text: str, name: str, path: Path) -> Any:
    """Read a stored dictionary without evaluating it as code."""
    try:
        if len(text) > 10**6:
            raise ValueError("too long")
        return ast.literal_eval(text) if text else {}
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise UnreadableFileError(f"{path}: its {name} cannot be read") from error


def _part_of(state: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def _write_torchscript(content: ModelFile, buffer: io.BytesIO) -> None:
    model = content.model.cpu().eval().to(memory_format=torch.contiguous_format)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of TorchScript, which is deprecated
        size = getattr(model.encoder, "input_size", None) or (128, 256)
        traced = torch.jit.trace(model, torch.rand(1, 1, *size))
        extra_files = {
            "dataOpts": str(content.signal.data_opts()),
            "encoderOpts": str(content.encoder_opts),
            "classifierOpts": str(content.classifier_opts),
            "encoderState": str(content.model.encoder.state_dict()),
            "classifierState": str(content.model.classifier.state_dict()),
            "transforms": str(_transform_texts(content)),
            "classes": str(content.classes),
        }
        if content.noise_class != noise_name(content.names):
            extra_files["noise_class"] = repr(content.noise_class)
        if calibration := content.calibration.entries():
            extra_files["calibration"] = str(calibration)
        # Into memory: PyTorch's own writing ends the process when the disk is full.
        torch.jit.save(traced, buffer, _extra_files=extra_files)


def _transform_texts(content: ModelFile) -> dict[str, str]:
    """Describe the signal path in the original's words, which other programs parse."""
    signal = content.signal
    min_db, ref_db = (
        (None, None) if signal.min_max_norm else (signal.min_level_db, signal.ref_level_db)
    )
    n_classes = content.classifier_opts["num_classes"]
    levels = {
        "amplitude_to_decibel": f"{{min_db : {signal.min_level_db}}}",
        "normalize": f"{{min_max : {signal.min_max_norm}, min_db : {min_db}, ref_db : {ref_db}}}",
    }
    if signal.pcen is not None:  # which has no words there
        levels = {"normalize": f"{{pcen : {signal.data_opts()['pcen']}}}"}
    return {
        "load_audio": f"{{sr: {signal.sr}, mono : True}}",
        "pre_emph": f"{{pre_empf_factor : {signal.preemphases}}}",
        "spectrogram": f"{{fft : {signal.n_fft}, hop : {signal.hop_length}, center : False}}",
        "freq_compression": (
            f"{{type : {signal.freq_compression}, bins : {signal.n_freq_bins}, "
            f"fmin : {signal.fmin}, fmax : {signal.fmax}}}"
        ),
        **levels,
        "class_info": f"{{num_class : {n_classes}, name_class : {content.classes}}}",
        "seg_size": f"{{size_ms : {content.sequence_len_ms}}}",
    }

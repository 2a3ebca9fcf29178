"""How a model is trained further: as it was trained, from its own weights, and shorter."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from animal_spot.model_files.model_file import ModelFile
from animal_spot.settings.presets import read_preset
from animal_spot.training.config import (
    FREE_TO_CHANGE,
    LAST,
    TrainConfig,
    build_parser,
    going_on_from,
    marked,
)
from animal_spot.training.finished_run import RESULTS
from animal_spot.utils.typed import ContentError, read_json, typed

_KNOWN = frozenset(f.name for f in fields(TrainConfig))
# What belongs to the run that made the model, not to the way in which it learns.
_OF_THAT_RUN = (
    *("folds", "num_classes", "pretrained", "pretrained_weights", "init_digest", "jit_save"),
    *("distill", "distill_weight", "distill_temperature", "unlabelled_dir", "max_train_epochs"),
)
_KEPT_FREE = frozenset({"calibrate", "calibration_precision"})
_FOLDERS = ("noise_dir", "background_dir")
_OURS = (
    *("data_dir", "model_dir", "checkpoint_dir", "log_dir", "summary_dir", "labels", "split_dir"),
    *("tape_pattern", "init_from", "folds", "split_by_time", "freeze_split", "strict_split"),
)
_MAY_DIFFER = frozenset({"sequence_len", "channel", "noise_class"})
_PRESET = "recommended"  # for networks of which nobody knows how they were trained
_FEW_CLIPS = "few_clips"
# Reviewed clips are as short as their events and lie in whole clips of the corpus: background is
# laid under what they lack, and calls lie anywhere, so that neither length nor silence is a cue.
_AS_IN_RECORDINGS = {"fill_holes": 1.0, "partial_calls": 0.5, "mix_calls": 0.2}
_OLD_SHARE = 0.25  # of the weights: few reviewed rows else cost what was known of other noise
_RATE = 0.5  # of the weights that are gone on from; with the tenth of trainings little is learned

log = logging.getLogger("RETRAIN")


def settings_beside(model: Path) -> dict[str, Any]:
    """Return the settings that a model was trained with, by the results beside it; {}: unknown."""
    path = model.with_name(RESULTS)
    if not path.is_file():
        return {}
    try:
        content = typed(dict[str, Any], read_json(path), str(path))
        found = typed(dict[str, Any], content.get("settings", {}), f"settings of {path}")
    except (ContentError, OSError) as error:
        log.warning("%s: its settings do not count", error)
        return {}
    # What json calls a list are ranges and several folders.
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in found.items()
        if name in _KNOWN
    }


def further_options(words: Sequence[str]) -> dict[str, Any]:
    """Return the options of training that were given, by name; a wrong one ends the program.

    Raises:
        ValueError: If one is retraining's own business, or the preset of one cannot be read.
    """
    parser = build_parser("retrain.py ... --")
    nothing = object()
    parser.set_defaults(**dict.fromkeys(_KNOWN - {"init_digest"}, nothing))
    found = vars(parser.parse_args(list(words)))
    values = {name: value for name, value in found.items() if value is not nothing}
    for name in _OURS:
        if name in values:
            raise ValueError(f"--{name} behind -- is settled by retraining: leave it out")
    if isinstance(kernel := values.get("conv_kernel_size"), list):
        values["conv_kernel_size"] = kernel[0] if kernel else 7
    preset = values.get("preset")
    return (read_preset(preset, build_parser()) if preset else {}) | values


def training_settings(
    content: ModelFile,
    before: Mapping[str, Any],
    given: Mapping[str, Any],
    *,
    classes: Sequence[str],
    noise_class: str | None,
    epochs: int,
) -> dict[str, Any]:
    """Return how the model is trained further, without folders.

    Args:
        content: The model.
        before: Settings that it was trained with; {}: not known.
        given: Options that win.
        classes: Of the clips.
        noise_class: The one of them that is no call; None: there is none.
        epochs: At most so many.
    """
    on_embeddings = content.kind.hears == "embeddings"
    known = dict(before)
    if not known:
        preset = _FEW_CLIPS if on_embeddings else _PRESET
        known = read_preset(preset, build_parser())
        log.info("nothing beside the model says how it was trained: as preset %s does", preset)
    left = (FREE_TO_CHANGE - _KEPT_FREE) | {*_OF_THAT_RUN, *_OURS}
    kept = {name: value for name, value in known.items() if name not in left}
    for name in _FOLDERS:
        wanted = kept.get(name)
        every = (wanted,) if isinstance(wanted, str) else wanted or ()
        if not all(Path(folder).is_dir() for folder in every):
            log.warning("--%s %s is not there any more: left out", name, ", ".join(every))
            kept.pop(name)
    kept["noise_class"] = noise_class
    if kept.get("noise_from_class") not in classes:
        kept["noise_from_class"] = None
    calibration = content.calibration
    # Whatever the old model did: most false alarms in recordings are windows that a call touches.
    kept["tune_decoder"] = True
    kept["calibrate"] = bool(calibration.thresholds) or bool(before.get("calibrate"))
    if on_embeddings:
        kept["backbone"] = content.backbone
        if content.sequence_len_ms is not None:
            kept["sequence_len"] = round(content.sequence_len_ms)
    else:
        # What the file says of the network, it says again.
        start = (marked(TrainConfig, "meaning") | {*content.kind.options}) - _MAY_DIFFER
        kept = {name: value for name, value in kept.items() if name not in start}
        if not before and content.sequence_len_ms is None:
            kept.pop("sequence_len", None)
        kept["max_train_epochs"] = epochs
        # The validation part rarely holds what was reviewed: it would choose the first epoch.
        kept["val_metric"] = LAST
        kept["init_lr_factor"], kept["init_share"] = _RATE, _OLD_SHARE
        if kept.get("augmentation"):
            if not kept.get("partial_calls") and not kept.get("mix_calls"):
                kept["partial_targets"] = "ignore"
            for name, share in _AS_IN_RECORDINGS.items():
                kept[name] = max(kept.get(name, 0.0), share)
        for name, most in (("freeze_epochs", epochs // 3), ("warmup_epochs", epochs / 3)):
            kept[name] = min(kept.get(name, 0), most)
    return kept | {name: value for name, value in given.items() if name != "preset"}


def train_config(model: Path, content: ModelFile, settings: Mapping[str, Any]) -> TrainConfig:
    """Return the settings of a training that begins with a model.

    Raises:
        ValueError: If settings cannot be used, or the training cannot begin with it.
    """
    try:
        if content.kind.hears == "embeddings":
            return TrainConfig(**settings)
        return going_on_from(model, **settings)
    except TypeError as error:
        raise ValueError(f"the settings beside {model} cannot be used: {error}") from error

"""How a network was trained, in sentences that a biologist can read, and a paper can print."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from typing import Any, get_type_hints

from animal_spot.audio.channel_choice import LOUDEST, MIX
from animal_spot.data.class_balance import STRATEGY_OF_WEIGHTING
from animal_spot.embeddings.known_models import KNOWN
from animal_spot.models.names import TIMM_PREFIX
from animal_spot.training.config import LAST, TrainConfig
from animal_spot.utils.typed import typed

_SHARES = {
    "inverse_freq": "in inverse proportion to the clips of their class",
    "sqrt_inverse_freq": "in inverse proportion to the square root of the clips of their class",
    "effective_num": "in inverse proportion to the effective number of clips of their class",
}

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@lru_cache(maxsize=1)
def _types() -> dict[str, Any]:
    return get_type_hints(TrainConfig)


def config_of(settings: Mapping[str, Any]) -> TrainConfig:
    """Return settings of a run as they are typed; those that it does not know are the defaults.

    Raises:
        ValueError: If one cannot be meant.
    """
    known = {f.name for f in fields(TrainConfig)}
    values = {k: typed(_types()[k], v, f"settings.{k}") for k, v in settings.items() if k in known}
    return TrainConfig(**values)


def groups_of(config: TrainConfig, head: Mapping[str, Any]) -> dict[str, str]:
    """Return what was done, by what it is of.

    Args:
        config: The settings.
        head: ``hidden`` and ``l2`` of layers on embeddings; empty for other networks.
    """
    if config.kind.hears == "embeddings":
        groups = {
            "Network": _embedding_network(config),
            "What it hears": _windows(config),
            "Course of training": _fit(config, head),
            "Altered copies": _views(config),
            "Class balance": "Each class counted the same in training, however many clips it has.",
        }
    else:
        groups = {
            "Network": _network(config),
            "What it hears": f"{_windows(config)} {_spectrogram(config)}",
            "Course of training": _course(config),
            "Alterations of clips": _augmentation(config),
            "Class balance": _balance(config),
        }
    return {title: text for title, text in groups.items() if text}


def _number(value: float) -> str:
    """Return a number as papers write it: ``0.05``, ``12,000``, ``2 × 10⁻⁴``."""
    if float(value).is_integer():
        return f"{int(value):,}".replace("-", "−")
    if abs(value) < 1e-4:
        digits, _, power = f"{value:.6e}".partition("e")
        return f"{digits.rstrip('0').rstrip('.')} × 10{str(int(power)).translate(_RAISED)}"
    return f"{value:.6g}".replace("-", "−")


def frequency(hz: float) -> str:
    """Return a frequency in the unit that fits it."""
    return f"{_number(hz)} Hz" if hz < 1000 else f"{hz / 1000:g} kHz"


def network_name(config: TrainConfig) -> str:
    """Return what the kind of network is called."""
    if config.backbone == "resnet":
        return f"ResNet-{config.resnet_size}"
    if config.backbone.startswith(TIMM_PREFIX):
        return f"{config.backbone.removeprefix(TIMM_PREFIX)} (library timm)"
    return config.kind.label.format(**vars(config))


def embedding_name(config: TrainConfig) -> str:
    """Return what the model that gives embeddings is called."""
    if config.embedding_preset in KNOWN:
        return KNOWN[config.embedding_preset].name
    if config.embedding_model is not None:
        return config.embedding_model.replace("\\", "/").rpartition("/")[2]
    return "BirdNET"


def _network(config: TrainConfig) -> str:
    start = "from random weights"
    if config.init_from is not None:
        name = config.init_from.replace("\\", "/").rpartition("/")[2]
        start = f"from the network of an earlier model file ({name})"
    elif config.pretrained:
        start = "from weights that were learned on the photos of ImageNet"
    text = f"The network was {network_name(config)}; its training began {start}."
    if config.distill is not None:
        text += (
            f" It learned from the answers of a larger model too (weight "
            f"{_number(config.distill_weight)}, temperature {_number(config.distill_temperature)})."
        )
    return text


def _embedding_network(config: TrainConfig) -> str:
    return (
        f"The network was {embedding_name(config)}, which stayed as it was, with a new last part "
        "that tells the classes apart by its embeddings."
    )


def _windows(config: TrainConfig) -> str:
    heard = {MIX: "the mean of all channels", LOUDEST: "the loudest channel"}
    channel = heard.get(config.channel, f"channel {config.channel}")
    rate = "" if config.kind.hears == "embeddings" else f" at a sampling rate of {_rate(config)}"
    return (
        f"It heard {_number(config.sequence_len / 1000)} s at a time{rate}; of several channels "
        f"{channel} counted."
    )


def _rate(config: TrainConfig) -> str:
    return f"{config.sr / 1000:g} kHz"


def _spectrogram(config: TrainConfig) -> str:
    kinds = {"mel": "mel bands", "mfcc": "mel-frequency cepstral coefficients"}
    bands = kinds.get(config.freq_compression, "linearly spaced bands")
    ms = 1000 / config.sr
    text = (
        f"Spectrograms had windows of {_number(config.n_fft)} samples "
        f"({config.n_fft * ms:.1f} ms), a step of {_number(config.hop_length)} samples "
        f"({config.hop_length * ms:.1f} ms), and {config.n_freq_bins} {bands} between "
        f"{frequency(config.fmin)} and {frequency(config.fmax)}. "
    )
    if config.per_channel_normalization:
        return f"{text}Each frequency was normalised by its own recent past (PCEN)."
    if config.min_max_norm:
        return f"{text}Levels in dB were scaled to 0 to 1 in each spectrogram by itself."
    return f"{text}Levels in a fixed range of dB were scaled to 0 to 1."


def _course(config: TrainConfig) -> str:
    optimizer = {"adam": "Adam", "adamw": "AdamW"}[config.optimizer]
    decay = f", weight decay {_number(config.weight_decay)}" if config.optimizer == "adamw" else ""
    parts = [
        f"Training took at most {_number(config.max_train_epochs)} epochs, in batches of "
        f"{config.batch_size} clips, with {optimizer} (beta1 {_number(config.beta1)}{decay}).",
        _learning_rate(config),
    ]
    if config.freeze_epochs:
        parts.append(f"In the first {config.freeze_epochs} epochs only the last layer was trained.")
    if config.freeze_batch_norm:
        parts.append("Batch normalisations kept the statistics that they came with.")
    loss = {"cross_entropy": "cross entropy", "focal": f"focal loss (gamma {config.focal_gamma:g})"}
    smoothing = (
        f", with a label smoothing of {_number(config.label_smoothing)}"
        if config.label_smoothing
        else ""
    )
    parts.append(f"The loss was {loss[config.loss]}{smoothing}.")
    if config.ema_decay is not None:
        parts.append(f"A running mean of the weights was kept (decay {config.ema_decay:g}).")
    if config.gradient_clip_norm is not None:
        parts.append(f"Gradients were clipped at a norm of {config.gradient_clip_norm:g}.")
    return " ".join([*parts, _chosen(config)])


def _learning_rate(config: TrainConfig) -> str:
    """Say the rate of the last layer as it is used, and how it changes."""
    full = config.lr * config.batch_size
    if config.scheduler == "onecycle":
        text = (
            f"The learning rate rose from {_number(config.lr)} to {_number(10 * config.lr)} and "
            "fell to almost nothing (one cycle)"
        )
    elif config.scheduler == "cosine":
        text = (
            f"The learning rate was {_number(full)} at most, risen to in "
            f"{_number(config.warmup_epochs)} epochs, and fell along half a cosine"
        )
    else:
        text = (
            f"The learning rate was {_number(full)} ({_number(config.lr)} for each clip of a "
            f"batch), and was multiplied by {_number(config.lr_decay_factor)} after "
            f"{config.lr_patience_epochs} epochs without improvement"
        )
    if config.init_from is not None and config.init_lr_factor != 1:
        text += f"; layers of the earlier model learned at {config.init_lr_factor:g} times that"
    if config.backbone_lr_factor != 1:
        text += (
            f"; all layers but the last learned at {_number(config.backbone_lr_factor)} times that"
        )
    return f"{text}."


def _chosen(config: TrainConfig) -> str:
    if config.val_metric == LAST:
        return "The network of the last epoch was kept."
    best = {
        "accuracy": "highest accuracy on validation clips",
        "macro_accuracy": "highest mean accuracy of the classes on validation clips",
        "loss": "lowest loss on validation clips",
    }[config.val_metric]
    every = "epoch" if config.epochs_per_eval == 1 else f"{config.epochs_per_eval} epochs"
    text = f"Every {every} it was validated, and the network with the {best} was kept"
    if config.early_stopping_patience_epochs < config.max_train_epochs:
        text += (
            f"; training stopped after {config.early_stopping_patience_epochs} epochs without "
            "improvement"
        )
    return f"{text}."


def _range(low_high: tuple[float, float]) -> str:
    low, high = low_high
    return f"{_number(low)} to {_number(high)}"


def _augmentation(config: TrainConfig) -> str:
    if not config.augmentation:
        parts = []
    else:
        parts = [
            f"pitch by factors of {_range(config.pitch_range)}",
            f"duration by factors of {_range(config.stretch_range)}",
        ]
        if not config.min_max_norm:
            parts.append(f"level by {_range(config.gain)} dB")
        parts.append("position in the window")
        if config.random_filter:
            parts.append(f"timbre by random filters of {_number(config.random_filter)} dB")
        if config.time_shift:
            parts.append("rotation in time")
    said = [f"In each epoch training clips were altered at random: {', '.join(parts)}."]
    if not parts:
        said = ["Training clips were not altered in pitch, duration or level."]
    noise = _noise(config)
    if noise and config.augmentation:
        said.append(noise)
    for share, text in (
        (config.partial_calls, "windows of calls were placed anywhere over the call"),
        (config.mix_calls, "windows of calls got a second call"),
        (config.fill_holes, "clips with silence or holes in them got background laid under them"),
        (config.background_changes, "windows of background changed to another background"),
    ):
        if share:
            said.append(f"{100 * share:g} % of {text}.")
    if config.mixup_alpha:
        said.append(f"Pairs of clips were mixed (mixup, alpha {_number(config.mixup_alpha)}).")
    if config.spec_augment:
        said.append("Stripes of time and of frequency were masked (SpecAugment).")
    return " ".join(said)


def _noise(config: TrainConfig) -> str:
    sources = []
    if config.noise_from_class is not None:
        sources.append(f"clips of the class {config.noise_from_class}")
    if config.noise_dir is not None:
        sources.append("recordings of noise")
    if config.background_dir is not None:
        sources.append("recordings without calls")
    if not sources:
        return ""
    return (
        f"Into {100 * config.noise_probability:g} % of them {' and '.join(sources)} were mixed, "
        f"at a signal-to-noise ratio of {_range(config.noise_snr)} dB."
    )


def _balance(config: TrainConfig) -> str:
    said = []
    if config.weighted_sampling:
        said.append(f"Clips were drawn {_SHARES[config.sampling_strategy]}.")
        if config.balance_tapes:
            said.append("Each recording of a class was drawn from equally often.")
    if config.class_weighting != "none":
        strategy = STRATEGY_OF_WEIGHTING[config.class_weighting]
        said.append(f"Clips counted in the loss {_SHARES[strategy]}.")
    if config.logit_adjustment:
        said.append(
            f"The logits were adjusted by {config.logit_adjustment:g} times the log of the "
            "classes' shares."
        )
    return " ".join(said) or "Classes were not balanced: each clip came once in an epoch."


def _fit(config: TrainConfig, head: Mapping[str, Any]) -> str:
    # What each network of a cross-validation chose stands in its own results.
    hidden = head.get("hidden", 0 if config.embedding_head == "linear" else None)
    l2 = head.get("l2", config.embedding_l2)
    kind = "The new layers were"
    if hidden == 0:
        kind = "The new part is one linear layer, which was"
    elif isinstance(hidden, int):
        kind = f"The new part has a hidden layer of {hidden} units, and was"
    text = f"{kind} fitted to all training clips at once (L-BFGS)"
    if isinstance(l2, (int, float)):
        chosen = "" if config.embedding_l2 is not None else ", which validated best of several"
        text += f", with an L2 penalty of {_number(l2)}{chosen}"
    return f"{text}."


def _views(config: TrainConfig) -> str:
    if not config.embedding_views:
        return "Training clips were not altered."
    text = (
        f"It learned from {config.embedding_views} altered copies of each clip too: moved in time, "
        f"and their level changed by {_range(config.gain)} dB."
    )
    return f"{text} {_noise(config)}".strip()

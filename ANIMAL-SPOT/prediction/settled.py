"""From flags and model files to a prediction that can begin: what they say, and which counts."""

from __future__ import annotations

import dataclasses
import logging
import math
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from animal_spot.audio.windows import WindowGrid
from animal_spot.detections.calibration import Calibration
from animal_spot.detections.decoders import EVENTS, ORIGINAL
from animal_spot.detections.decoding import EventDecoder
from animal_spot.detections.event_settings import EventSettings, average
from animal_spot.detections.result_writers import RunHeader
from animal_spot.model_files.ensemble_file import Ensemble, load_members
from animal_spot.model_files.model_file import ModelFile
from animal_spot.model_files.signal_path import warn_of_unused_embedding_model
from animal_spot.prediction.config import PredictConfig
from animal_spot.prediction.detectors import Arithmetic, build_detectors
from animal_spot.prediction.predictor import Predictor
from animal_spot.remote.local_copies import LocalCopies
from animal_spot.utils.names import composed
from animal_spot.utils.tensor_files import load_tensors

log = logging.getLogger("PREDICT")


@dataclass(frozen=True)
class Run:
    """What is the same for all recordings of a run."""

    config: PredictConfig
    models: Ensemble
    header: RunHeader
    check: Callable[[], None]  # called often; may raise to stop

    def _config_of_engines(self) -> PredictConfig:
        """Return the settings, with fp32 for ``auto`` where rounding could grow.

        A faster arithmetic is good to ``MARGIN`` in a probability, but not in one that the
        temperature of an average stretches afterwards.
        """
        if self.models.calibration.temperature in (None, 1) or self.config.precision != "auto":
            return self.config
        log.info("an ensemble with a temperature of its own is computed in fp32")
        return dataclasses.replace(self.config, precision="fp32")

    def _copies(self) -> LocalCopies:
        folder = None if self.config.cache_dir is None else Path(self.config.cache_dir)
        return LocalCopies(folder, round(self.config.cache_gb * 1e9))

    def grid_of(self, model: ModelFile) -> WindowGrid:
        """Return the windows at the rate of a model."""
        return WindowGrid.of_seconds(
            self.header.sequence_len,
            self.header.hop,
            model.signal.sr,
            last_window=self.config.last_window,
        )

    def predictor(
        self,
        paths: Sequence[Path],
        decided: Sequence[Arithmetic | None] | None = None,
        **options: object,
    ) -> Predictor:
        """Make the networks ready, in arithmetic that agrees with fp32 on these recordings.

        Args:
            paths: The recordings.
            decided: The arithmetic of each network, if another process decided on it.
            options: Further attributes of the predictor.
        """
        return Predictor(
            build_detectors(
                self._config_of_engines(),
                self.models,
                [self.grid_of(model) for model in self.models],
                paths,
                decided,
            ),
            n_readers=self.config.num_workers,
            rule=self.header.rule,
            temperature=self.models.calibration.temperature,
            channel=self.models[0].signal.channel,
            copies=self._copies(),
            check=self.check,
            **options,
        )


def load_models(config: PredictConfig) -> Ensemble:
    """Read the model files.

    Raises:
        ValueError: If one cannot be read, or their classes differ.
        OSError: If one does not exist.
    """
    models = load_members(
        [Path(p) for p in config.model_path],
        torchscript=config.jit_load,
        noise_class=config.noise_class,
    )
    warn_of_unused_embedding_model(config.embedding_model, models)
    if config.checkpoint_path is not None and len(models) > 1:
        raise ValueError(
            f"--checkpoint_path holds one network, and {config.model_path[0]} {len(models)}"
        )
    if config.checkpoint_path is not None:
        content = load_tensors(Path(config.checkpoint_path))
        try:
            models[0].model.load_state_dict(content["modelState"])
        except (LookupError, TypeError, RuntimeError) as error:
            raise ValueError(
                f"{config.checkpoint_path} is not a checkpoint of the network in "
                f"{config.model_path[0]}"
            ) from error
        if models[0].calibration.entries():
            log.warning(
                "the weights are the checkpoint's: the model file's calibration is not used"
            )
            models = Ensemble(
                [dataclasses.replace(models[0], calibration=Calibration())],
                models.names,
                called=models.called,
            )
    return models


def settled(
    config: PredictConfig, models: Ensemble, check: Callable[[], None] = lambda: None
) -> Run:
    """Settle what flags and models both say, and let the models know.

    Args:
        config: The flags.
        models: Networks with the same classes; their normalisation and channel are set.
        check: Called often while recordings are predicted; may raise to stop.

    Raises:
        ValueError: If flags and models cannot go together.
    """
    sequence_len, hop, class_thresholds = choose_settings(config, models)
    _choose_channel(config, models)
    data_opts = models[0].signal.data_opts()
    if models[0].kind.hears == "embeddings":
        data_opts["embedding_model"] = models[0].encoder_opts["embedding_model"]
    header = RunHeader(
        model_path=", ".join(config.model_path),
        data_opts=data_opts,
        min_max_norm=models[0].signal.min_max_norm,
        sequence_len=sequence_len,
        hop=hop,
        threshold=config.threshold,
        names=tuple(sorted(models[0].classes, key=models[0].classes.get)),
        noise_class=models.noise_class,
        class_thresholds=class_thresholds,
        debug=config.debug,
        decoder=_decoder(config, models, sequence_len),
    )
    return Run(config, models, header, check)


def choose_settings(
    config: PredictConfig, models: Ensemble
) -> tuple[float, float, dict[str, float]]:
    """Settle what model files and flags both say; see to each model's normalisation.

    Where they contradict each other the model file wins, and a warning says so.

    Returns:
        Length and hop of windows in seconds, and the thresholds that single classes have.

    Raises:
        ValueError: If the window is too short for a model, or cannot be laid alike for all.
    """
    winner = "the flag wins (--override_model)" if config.override_model else "the model file wins"
    _choose_normalisation(config, models, winner)
    sequence_len, hop = _choose_windows(config, models, winner)
    _refuse_unfit_windows(sequence_len, hop, models)
    return sequence_len, hop, _class_thresholds(config, models)


def _choose_normalisation(config: PredictConfig, models: Ensemble, winner: str) -> None:
    for path, model in zip(models.called, models, strict=True):
        if model.signal.pcen is not None:
            if config.min_max_norm and config.override_model:
                raise ValueError(
                    f"{path} was trained with per-channel normalisation, which --min_max_norm "
                    "cannot take the place of; leave it out"
                )
            if config.min_max_norm:
                log.warning("--min_max_norm, but %s was trained without: %s", path, winner)
            continue
        wanted = config.min_max_norm
        if model.normalization is not None and not config.override_model:
            wanted = model.normalization == "min_max"
        if config.min_max_norm and model.normalization == "db_range":
            log.warning("--min_max_norm, but %s was trained without: %s", path, winner)
        model.signal = dataclasses.replace(model.signal, min_max_norm=wanted)


def _choose_windows(config: PredictConfig, models: Ensemble, winner: str) -> tuple[float, float]:
    """Return length and hop of windows in seconds."""
    stored = [m.sequence_len_ms / 1000 for m in models if m.sequence_len_ms is not None]
    if len(set(stored)) > 1:
        log.warning(
            "the models were trained on clips of %s s; windows of %s s are used",
            " and ".join(str(s) for s in sorted(set(stored))),
            config.sequence_len if config.override_model and config.sequence_len else stored[0],
        )
    sequence_len = config.sequence_len
    if stored and sequence_len not in (None, stored[0]):
        log.warning(
            "--sequence_len %s s, but the model was trained on clips of %s s: %s",
            sequence_len,
            stored[0],
            winner,
        )
    if stored and not (config.override_model and sequence_len is not None):
        sequence_len = stored[0]
    if sequence_len is None:
        sequence_len = 2
    hop = config.hop
    if hop is None:
        of_events = config.decoder != ORIGINAL and _stored_decoder(models) is not None
        hop = (sequence_len / (6 if of_events else 2)) if stored else 1
    if hop > sequence_len:
        log.warning(
            "--hop %s s is longer than a window of %s s: the sound between windows is not looked "
            "at",
            hop,
            sequence_len,
        )
    return sequence_len, hop


def _refuse_unfit_windows(sequence_len: float, hop: float, models: Ensemble) -> None:
    for path, model in zip(models.called, models, strict=True):
        grid = WindowGrid.of_seconds(sequence_len, hop, model.signal.sr)
        if grid.length < model.signal.n_fft:
            raise ValueError(
                f"windows of {sequence_len} s are shorter than one spectrum of {path} "
                f"({model.signal.n_fft / model.signal.sr:.3f} s); choose a longer --sequence_len"
            )
    rates = {model.signal.sr for model in models}
    common = math.gcd(*rates)
    if len(rates) > 1 and not float(hop * common).is_integer():
        raise ValueError(
            f"models with sampling rates of {' and '.join(map(str, sorted(rates)))} Hz need a "
            f"--hop that is a multiple of 1/{common} s, or their windows would drift apart: "
            f"{max(1, round(hop * common)) / common:g} instead of {hop:g}"
        )


def _choose_channel(config: PredictConfig, models: Ensemble) -> None:
    """Let all networks hear the wanted channel, else the one that they were trained on.

    Raises:
        ValueError: If that is not the same for all of them.
    """
    trained_on = sorted({model.signal.channel for model in models})
    if config.channel is None and len(trained_on) > 1:
        raise ValueError(
            f"the models were trained on channel {' and '.join(trained_on)}; choose with --channel"
        )
    if config.channel is not None and trained_on != [config.channel]:
        log.info(
            "--channel %s is heard; the model was trained on %s",
            config.channel,
            " and ".join(trained_on),
        )
    models.hear_channel(config.channel)


def _stored_decoder(models: Ensemble) -> EventSettings | None:
    """Return how model files say that windows become events; of several, their mean."""
    if models.calibration.decoder is not None:
        return models.calibration.decoder
    decoders = [model.calibration.decoder for model in models]
    return average(decoders) if all(decoders) else None


def _decoder(config: PredictConfig, models: Ensemble, sequence_len: float) -> EventSettings | None:
    """Settle how windows become annotations; None: by the original's rule.

    Raises:
        ValueError: If it cannot be as wanted.
    """
    stored = _stored_decoder(models)
    wanted = config.decoder or (EVENTS if stored and models.noise_class else ORIGINAL)
    changes = {
        "together": tuple(map(composed, config.co_occurring)) or None,
        "min_duration_s": config.min_duration,
        "max_duration_s": config.max_duration,
        "threshold": config.threshold if config.threshold_given else None,
    }
    if wanted == ORIGINAL:
        for name in ("co_occurring", "min_duration", "max_duration"):
            if getattr(config, name):
                raise ValueError(f"--{name} is for --decoder events, and the decoder is original")
        return None
    settings = stored
    if settings is None:
        settings = EventSettings.for_windows(sequence_len)
        log.warning(
            "the model file does not say how to find events (calibrate.py can add it): default "
            "settings are used, and the confidence of an event is not calibrated"
        )
    settings = dataclasses.replace(
        settings, **{name: value for name, value in changes.items() if value is not None}
    )
    if unknown := sorted(set(settings.together) - set(models.classes)):
        raise ValueError(
            f"--co_occurring: no class {', '.join(unknown)}; there are {', '.join(models.classes)}"
        )
    EventDecoder(tuple(models.classes), models.noise_class, settings)  # or says what is wrong
    log.info(
        "events: one row for each call, from a confidence of %.3g on; --decoder original joins "
        "windows as before",
        settings.threshold,
    )
    return settings


def _class_thresholds(config: PredictConfig, models: Ensemble) -> dict[str, float]:
    """Return the thresholds of a calibrated model file that no flag takes the place of."""
    thresholds = dict(models.calibration.thresholds)
    if not thresholds:
        return {}
    if config.threshold_given:
        log.info(
            "--threshold %s is used, not the thresholds that the model file has for its classes",
            config.threshold,
        )
        return {}
    values = {name: np.format_float_positional(value) for name, value in thresholds.items()}
    log.info(
        "thresholds of the model file: %s; all others %s",
        ", ".join(f"{name} {value} ({_clips_of(models, name)})" for name, value in values.items()),
        config.threshold,
    )
    unknown = [name for name in thresholds if name not in models.calibration.clips]
    if unknown:
        log.warning(
            "the model file is of an older version, which took thresholds from few clips too: "
            "should %s be found nowhere, calibrate the model again (animal-spot calibrate) or give "
            "--threshold",
            ", ".join(unknown),
        )
    log.info(
        "evaluate.py decides by them with: --threshold %s --class_threshold %s",
        config.threshold,
        shlex.quote(" ".join(f"{name}={value}" for name, value in values.items())),
    )
    return thresholds


def _clips_of(models: Ensemble, name: str) -> str:
    n = models.calibration.clips.get(name)
    return "found on an unknown number of clips" if n is None else f"found on {n} clips"

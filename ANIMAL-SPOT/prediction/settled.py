"""A prediction that can begin: flags and models have been settled between them."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from animal_spot.audio.windows import WindowGrid
from animal_spot.detections.result_writers import RunHeader
from animal_spot.model_files.ensemble_file import Ensemble
from animal_spot.model_files.model_file import ModelFile
from animal_spot.prediction.config import PredictConfig
from animal_spot.prediction.detectors import build_detectors
from animal_spot.prediction.model_settings import choose_channel, choose_settings
from animal_spot.prediction.predictor import Predictor

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

    def grid_of(self, model: ModelFile) -> WindowGrid:
        """Return the windows at the rate of a model."""
        return WindowGrid.of_seconds(
            self.header.sequence_len,
            self.header.hop,
            model.signal.sr,
            last_window=self.config.last_window,
        )

    def predictor(self, paths: Sequence[Path], **options: object) -> Predictor:
        """Make the networks ready for these recordings."""
        return Predictor(
            build_detectors(
                self._config_of_engines(),
                self.models,
                [self.grid_of(model) for model in self.models],
                paths,
            ),
            n_readers=self.config.num_workers,
            rule=self.header.rule,
            temperature=self.models.calibration.temperature,
            channel=self.models[0].signal.channel,
            check=self.check,
            **options,
        )


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
    settings = choose_settings(config, models)
    choose_channel(config, models)
    data_opts = models[0].signal.data_opts()
    if models[0].kind.hears == "embeddings":
        data_opts["embedding_model"] = models[0].encoder_opts["embedding_model"]
    header = RunHeader(
        model_path=", ".join(config.model_path),
        data_opts=data_opts,
        min_max_norm=models[0].signal.min_max_norm,
        sequence_len=settings.sequence_len,
        hop=settings.hop,
        threshold=config.threshold,
        names=settings.names,
        noise_class=models.noise_class,
        class_thresholds=settings.class_thresholds,
        debug=config.debug,
    )
    return Run(config, models, header, check)

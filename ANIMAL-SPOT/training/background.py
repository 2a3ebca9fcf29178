"""Recordings without calls, as the settings of a training want them."""

from __future__ import annotations

from animal_spot.data.background_windows import add_background
from animal_spot.data.corpus import Corpus
from animal_spot.training.config import TrainConfig
from animal_spot.training.loaders import noise_label_of


def add_background_of(config: TrainConfig, corpus: Corpus) -> None:
    """Add windows of ``--background_dir`` to a corpus, if there is one.

    Raises:
        CorpusError: If a folder does not exist, or nothing in them can be used.
    """
    if config.background_dir is None:
        return
    add_background(
        corpus,
        config.background_dir,
        config.sequence_len / 1000,
        noise_label=noise_label_of(config, corpus.classes),
        seed=config.seed,
        exclude_silent=config.filter_broken_audio,
        channel=config.channel,
    )

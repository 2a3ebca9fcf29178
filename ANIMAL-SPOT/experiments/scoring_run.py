"""How ``calibrate.py`` and ``ensemble.py`` run: the file that comes of it, the scores, the end."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from animal_spot.data.corpus import Corpus
from animal_spot.detections.event_settings import EventSettings
from animal_spot.experiments.decoder_tuning import tune_decoder
from animal_spot.experiments.scoring_flags import ScoringSettings
from animal_spot.model_files.ensemble_file import Ensemble
from animal_spot.models.precision import device_of
from animal_spot.training.clip_scores import Scores, score_corpus, stored_corpus
from animal_spot.utils.errors import run_to_status
from animal_spot.utils.files import locked, remove_leftovers, require_writable_folder

log = logging.getLogger(__name__)


def score_to_status(log: logging.Logger, run: Callable[[], None], *, debug: bool) -> int:
    """Run and return the exit status; what went wrong is one line in the log."""
    return run_to_status(
        log,
        run,
        debug=debug,
        at_once="nothing was written",
        out_of_memory="leave members out, or use --no_cuda",
    )


def corpus_of(ensemble: Ensemble, settings: ScoringSettings) -> Corpus:
    """Return the clips of a data set with the split that training stored.

    Args:
        ensemble: The networks; hears the channel that is wanted from now on.
        settings: Of the run.

    Raises:
        CorpusError: If there are no such clips.
    """
    ensemble.hear_channel(settings.channel)
    return stored_corpus(
        settings.data_dir,
        ensemble.classes,
        settings.num_workers,
        settings.split_dir,
        settings.models,
        channel=ensemble[0].signal.channel,
        labels=settings.labels,
        tape_pattern=settings.tape_pattern,
    )


def scores_of(ensemble: Ensemble, corpus: Corpus, settings: ScoringSettings) -> dict[str, Scores]:
    """Return what networks say of the validation and test clips.

    Raises:
        ValueError: If a network cannot be judged on clips.
    """
    device = device_of(settings.wanted_device)
    return score_corpus(ensemble, corpus, device, settings.num_workers, settings.embedding_model)


def decoder_of(
    ensemble: Ensemble, corpus: Corpus, settings: ScoringSettings
) -> EventSettings | None:
    """Find how windows of networks become events, on the validation clips."""
    sequence_len_ms = ensemble[0].sequence_len_ms
    if sequence_len_ms is None:  # a file of the original
        log.warning("the model file does not say how long its windows are: no decoder is found")
        return None
    return tune_decoder(
        ensemble,
        corpus.samples["val"],
        sequence_len_s=sequence_len_ms / 1000,
        settings={
            "cuda": settings.cuda,
            "device": settings.device,
            "embedding_model": tuple(map(str, settings.embedding_model)),
        },
    )


@contextlib.contextmanager
def new_files(path: Path, flag: str, *, beside: Sequence[str] = ()) -> Iterator[None]:
    """Make sure before a long run that a file can be written, replaces none, and is ours alone.

    Args:
        path: The file.
        flag: That names it.
        beside: Endings of further files of the same name.

    Raises:
        ValueError: If one is there already.
        OSError: If its folder cannot be written, or another process is about to write the file.
    """
    for file in (path, *(path.with_suffix(ending) for ending in beside)):
        if file.exists() or file.is_symlink():
            raise ValueError(f"{file} is there already; name another file with {flag}")
    require_writable_folder(path.absolute().parent, f"the folder of {flag}")
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(path.with_name(f".{path.name}.lock"), remove=True))
        except BlockingIOError as error:
            raise OSError(f"another process is writing {path}; wait for it or end it") from error
        remove_leftovers(path.absolute().parent)
        yield

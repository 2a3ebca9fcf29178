"""The flags of steps whose photos are shared out among processes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from footprints.system.flags import some_text, whole
from footprints.system.progress_file import add_progress_flag
from footprints.system.shard import Shard

LOCAL = "local"  # a cluster on this machine
_OF_THIS_PROCESS = (  # results do not depend on them
    "output_dir",
    "shard",
    "ray",
    "ray_workers",
    "processes",
    "progress_file",
    "replace_edited",
    "no_report",
)


def add_cluster_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that share photos out, and the one that says how far that is."""
    parser.add_argument(
        "--shard",
        type=_shard,
        metavar="I/N",
        help="do only the I-th of N shares of the photos; others may run beside it, and footprints "
        "merge makes the tables",
    )
    parser.add_argument(
        "--ray",
        nargs="?",
        const=LOCAL,
        type=some_text,
        metavar="ADDRESS",
        help="spread photos over the workers of a Ray cluster: one on this machine, or the one at "
        "an address (auto, host:port or ray://host:port)",
    )
    parser.add_argument(
        "--ray_workers",
        type=whole(1, 100_000),
        metavar="N",
        help="workers of --ray (default: one for each two cores)",
    )
    add_progress_flag(parser)


def check_cluster_flags(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """End the program if flags contradict each other."""
    if args.shard is not None and args.ray is not None:
        parser.error("--shard and --ray are two ways to do the same; give one of them")
    if args.ray_workers is not None and args.ray is None:
        parser.error("--ray_workers needs --ray")
    for name in ("shard", "ray"):
        if getattr(args, name) is not None and args.output_dir is None:
            parser.error(f"--{name} needs --output_dir")


def arguments_for_merge(
    parser: argparse.ArgumentParser, arguments: Sequence[str], folder: Path, replace_edited: bool
) -> argparse.Namespace:
    """Return the flags of a shard for the merge, which does the rest of a whole run.

    Args:
        parser: Of the step.
        arguments: The command line of the shard.
        folder: The output folder.
        replace_edited: Whether the merge may replace what was edited.
    """
    args = parser.parse_args(arguments)
    if not (args.output_dir.exists() and args.output_dir.samefile(folder)):
        args.output_dir = folder  # else as it was called: the report names it
    args.shard = args.progress_file = None
    args.replace_edited = replace_edited
    return args


def flags_of(args: argparse.Namespace, *but: str) -> dict[str, str]:
    """Return the flags that results depend on, as texts.

    Args:
        args: Of a step.
        *but: Names of flags to leave out.
    """
    return {
        name: _text(value)
        for name, value in sorted(vars(args).items())
        if name not in (*_OF_THIS_PROCESS, *but) and value is not None
    }


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _shard(text: str) -> Shard:
    try:
        return Shard.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None

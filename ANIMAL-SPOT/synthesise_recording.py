"""Make recordings with calls at known times, and the Raven tables that name them.

The calls are those of ``synthesise_corpus.py``, in other renditions, and each recording is a tape
of its own, so that a model can be tried on sound that it has not heard. With ``--from_clips`` they
are calls of real clips, mixed into background of the same folder or of real recordings.
"""

from __future__ import annotations

try:
    import animal_spot.utils.environment  # noqa: F401 - says in one line what is missing
except ModuleNotFoundError:  # this Python does not have the project itself
    import runpy
    from pathlib import Path

    runpy.run_path(str(Path(__file__).with_name("utils") / "environment.py"))
import argparse
import logging
import re
import sys
from pathlib import Path

from animal_spot.settings.flags import Parser
from animal_spot.utils.text import printable

log = logging.getLogger("RECORDING")

LONGEST_MIN = 30  # a whole recording is made in memory
MOST = 1000  # recordings
DEFAULT_SNR_DB, DEFAULT_RATE = (3.0, 15.0), 32000
OF_CLIPS = ("partition", "background_dir", "noise_class", "snr", "rate")  # need --from_clips


def build_parser(prog: str = "synthesise_recording.py") -> argparse.ArgumentParser:
    """Build the command line."""
    parser = Parser(prog=prog, description=__doc__.split("\n")[0])
    parser.add_argument("--output_dir", type=Path, required=True, help="folder for the files")
    parser.add_argument("--minutes", type=float, default=3.0, help="length of a recording")
    parser.add_argument("--recordings", type=int, default=1, help="number of recordings")
    parser.add_argument(
        "--calls_per_minute", type=float, default=10.0, help="each type comes at least once"
    )
    parser.add_argument("--name", default="recording", help="their name, before its number")
    parser.add_argument("--seed", type=int, default=0, help="other numbers, other recordings")
    parser.add_argument(
        "--from_clips",
        type=Path,
        metavar="DIR",
        help="mix the calls of these clips, a folder as for training, in place of made-up ones",
    )
    parser.add_argument(
        "--partition",
        choices=("train", "val", "test"),
        help="with --from_clips: only clips of this part of the split that is stored there",
    )
    parser.add_argument(
        "--background_dir",
        type=Path,
        metavar="DIR",
        help="with --from_clips: recordings without calls to mix them into; none: clips of the "
        "noise class, or without such made-up noise",
    )
    parser.add_argument(
        "--noise_class",
        metavar="NAME",
        help="with --from_clips: class that is no call, but background; none: the one called noise",
    )
    parser.add_argument(
        "--snr",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="with --from_clips: level of calls over the background under them, dB; none: 3 15",
    )
    parser.add_argument(
        "--rate", type=int, help="with --from_clips: sampling rate, Hz; none: 32000"
    )
    return parser


def main(argv: list[str] | None = None, prog: str = "synthesise_recording.py") -> int:
    """Run the program; return its exit status."""
    parser = build_parser(prog)
    args = parser.parse_args(argv)
    if not 0 < args.minutes <= LONGEST_MIN:
        parser.error(f"--minutes must be above 0 and at most {LONGEST_MIN}, got {args.minutes:g}")
    if not 0 <= args.calls_per_minute <= 60:
        parser.error(f"--calls_per_minute must be 0 to 60, got {args.calls_per_minute:g}")
    if not 1 <= args.recordings <= MOST:
        parser.error(f"--recordings must be 1 to {MOST}, got {args.recordings}")
    if not re.fullmatch(r"\w[\w-]{0,63}", args.name):
        parser.error(f"--name must be letters, digits, _ and -, at most 64, got {args.name!r}")
    if args.seed < 0:
        parser.error(f"--seed must be at least 0, got {args.seed}")
    if args.from_clips is None:
        for name in OF_CLIPS:
            if getattr(args, name) is not None:
                parser.error(f"--{name} needs --from_clips")
    for name in ("from_clips", "background_dir"):
        folder = getattr(args, name)
        if folder is not None and not folder.is_dir():
            parser.error(f"--{name} {folder} does not exist or is not a folder")
    from animal_spot.utils.errors import run_to_status

    run = _run if args.from_clips is None else _mix
    return run_to_status(log, lambda: run(args, parser))


def _run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    import soundfile as sf

    from animal_spot.demo.recording import synthesise
    from animal_spot.utils.errors import one_line

    for number in range(1, args.recordings + 1):
        try:
            n_calls = synthesise(
                *(args.output_dir, args.minutes, args.calls_per_minute, args.seed),
                *(number, args.name),
            )
        except ValueError as error:
            parser.error(str(error))
        except (OSError, sf.LibsndfileError) as error:
            raise OSError(f"cannot write {args.output_dir}: {one_line(error)}") from error
        _say(args, number, n_calls)


def _mix(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    import numpy as np
    import soundfile as sf

    from animal_spot.demo.mixed_recording import mix_source, write_mixture
    from animal_spot.mixing.mixture import mix
    from animal_spot.utils.errors import one_line

    paths = [args.output_dir / f"{args.name}{n + 1}.wav" for n in range(args.recordings)]
    if there := [path for path in paths if path.exists()]:
        parser.error(f"{there[0]} is there already; choose another --output_dir or --name")
    try:
        source = mix_source(
            args.from_clips,
            partition=args.partition,
            noise_class=args.noise_class,
            background_dir=args.background_dir,
        )
        log.info("%d clips of calls, mixed into %s", len(source.calls), source.background.about)
        for number, path in enumerate(paths, 1):
            mixture = mix(
                *(source.calls, source.background),
                minutes=args.minutes,
                calls_per_hour=60 * args.calls_per_minute,
                snr_db=tuple(args.snr or DEFAULT_SNR_DB),
                rate=args.rate or DEFAULT_RATE,
                rng=np.random.default_rng([args.seed, number]),
            )
            try:
                write_mixture(mixture, args.output_dir, path.stem)
            except (OSError, sf.LibsndfileError) as error:
                raise OSError(f"cannot write {args.output_dir}: {one_line(error)}") from error
            _say(args, number, len(mixture.events))
    except ValueError as error:
        parser.error(str(error))


def _say(args: argparse.Namespace, number: int, n_calls: int) -> None:
    path = printable(str(args.output_dir / f"{args.name}{number}"))
    print(f"{path}.wav: {args.minutes:g} minutes, {n_calls} calls")


if __name__ == "__main__":
    sys.exit(main())

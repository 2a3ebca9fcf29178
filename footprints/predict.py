"""Name the animals on photos: find the print, crop it, classify the crop.

The detector works in processes of its own (``cropping.crop_pool``); this process, which holds
TensorFlow, only ever sees crops. Photos are read, never written.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path

from footprints.cluster.answer_journal import answers_of_shards
from footprints.cluster.flags import add_cluster_flags, arguments_for_merge, check_cluster_flags
from footprints.cluster.shard_note import (
    ShardNote,
    name_in_listing,
    refuse_other_list,
    refuse_other_run,
)
from footprints.pictures.contact_sheet import MOST
from footprints.places.privacy import add_location_flags
from footprints.places.trails import WAYS
from footprints.prediction.facts import run_digest
from footprints.prediction.file_names import SHEET
from footprints.prediction.outputs import check_output
from footprints.prediction.request import CROP_FLAGS, request_of
from footprints.prediction.run import predict_photos, predict_shard, predict_whole
from footprints.prediction.sources import answered_and_kept, answered_here
from footprints.scores.calibration import DEFAULT_THRESHOLD
from footprints.system.errors import run
from footprints.system.flags import (
    add_report_flag,
    number,
    option,
    program,
    some_path,
    some_text,
    whole,
)
from footprints.system.progress import available_cores
from footprints.system.progress_file import refuse_other_file
from footprints.system.results import add_replace_flag
from footprints.system.settings import Settings
from footprints.system.text import printable


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the step's flags."""
    parser = argparse.ArgumentParser(
        prog=program("predict"),
        description="Find the print on each photo and name the animal.",
    )
    parser.add_argument("photos", type=some_path, metavar="PHOTO|DIR", help="a photo or a folder")
    parser.add_argument(
        "--model", type=some_path, required=True, help="classifier: a .keras, .tflite or .onnx file"
    )
    parser.add_argument(
        "--detector",
        type=some_text,
        required=True,
        metavar="PATH|none",
        help="detector: a .pt or .onnx file; none looks at the centre of each photo",
    )
    option(parser, "top_k", whole(1, 10_000), 3, "how many classes to name")
    parser.add_argument(
        "--threshold",
        type=number(0, 1),
        help='least probability of an answer, below it is "unknown" (default: what validation '
        f"chose, kept in the model file, else {DEFAULT_THRESHOLD})",
    )
    parser.add_argument(
        "--groups",
        type=some_text,
        metavar="FILE.csv|ready|none",
        help="answer a group, such as canids, where no species is probable enough: a table with "
        "the columns class and group, or ready for that of this program (default: the groups in "
        "the model file, if it has some)",
    )
    parser.add_argument(
        "--group_threshold",
        type=number(0, 1),
        help="least probability of a group (default: what validation chose, kept in the model "
        f"file, else {DEFAULT_THRESHOLD})",
    )
    parser.add_argument(
        "--region_list",
        type=some_path,
        metavar="FILE",
        help="animals that occur where the photos were taken, one class a line, or a table with "
        "the columns class and weight (default: all classes of the model)",
    )
    parser.add_argument(
        "--no_refusal",
        action="store_true",
        help="also name photos that look to the model like those of an animal of none of its "
        "classes (default: these are unknown, if the model can tell)",
    )
    parser.add_argument(
        "--all_boxes",
        action="store_true",
        help="answer by all prints on a photo together (default: by the surest print alone)",
    )
    parser.add_argument(
        "--trails",
        choices=[*WAYS, "off"],
        default="off",
        help="also one answer for all photos of a trail, with --all_boxes: folder: those of one "
        "folder; time: those that one camera took shortly after each other and nearby "
        "(default: %(default)s)",
    )
    option(
        parser,
        "trail_minutes",
        number(0, 100_000),
        30.0,
        "--trails time: a photo that was taken longer after the one before begins a new trail",
    )
    option(
        parser,
        "trail_metres",
        number(0, 1_000_000),
        200.0,
        "--trails time: and so does one that was taken farther away, where both say their place",
    )
    parser.add_argument(
        "--output_dir",
        type=some_path,
        help="folder for predictions.json, predictions.csv and failed_photos.csv (default: none, "
        "answers only appear on the screen)",
    )
    parser.add_argument(
        "--annotate",
        action="store_true",
        help="also draw box and names into copies of the photos, in OUTPUT_DIR/annotated",
    )
    parser.add_argument(
        "--contact_sheet",
        action="store_true",
        help=f"also draw the answers to the first {MOST} photos into one picture, "
        f"OUTPUT_DIR/{SHEET}",
    )
    parser.add_argument(
        "--processes",
        type=whole(1, 1024),
        default=available_cores(),
        help="processes that read photos and find prints (default: one a core, here %(default)s)",
    )
    add_cluster_flags(parser)
    add_location_flags(parser)
    add_replace_flag(parser)
    add_report_flag(parser)
    group = parser.add_argument_group("crops (leave them as the model was trained)")
    for setting in fields(Settings):
        if setting.name in CROP_FLAGS:
            group.add_argument(
                f"--{setting.name}",
                type=type(setting.default),
                help=f"{setting.metadata['help']} (default: as in training, "
                f"else {setting.default})",
            )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the step; returns its exit status."""
    parser = build_parser()
    args = parser.parse_args(argv)
    check_cluster_flags(args, parser)
    for flag in ("annotate", "contact_sheet"):
        if getattr(args, flag) and args.output_dir is None:
            parser.error(f"--{flag} needs --output_dir, the folder for the pictures")
    refuse_other_file(args.progress_file)
    request = request_of(args, parser)
    if args.output_dir is None:
        with _begins_anew(None):
            return predict_photos(request, None, partial(answered_here, request))
    check_output(args.output_dir)
    if args.shard is not None:
        return predict_shard(request, sys.argv[1:] if argv is None else argv)
    if args.ray is not None:
        return predict_whole(request, partial(answered_and_kept, request))
    with _begins_anew(args.output_dir):
        return predict_whole(request, partial(answered_here, request))


@contextlib.contextmanager
def _begins_anew(folder: Path | None) -> Iterator[None]:
    """Let a stop say that the same command would not go on where it was."""
    try:
        yield
    except KeyboardInterrupt as stop:
        kept = "" if folder is None else f"what was answered so far is in {printable(folder)}; "
        stop.said = f"stopped; {kept}the same command begins with the first photo again"
        raise


def merge(
    folder: Path, notes: Sequence[ShardNote], *, replace_edited: bool, no_report: bool
) -> int:
    """Write what one process would have written, of the answers that shards noted down.

    Args:
        folder: The output folder of the shards.
        notes: Of all of them.
        replace_edited: As the flag of that name.
        no_report: Make none, as where the shards had that flag.

    Returns:
        The exit status.

    Raises:
        UserError: If photos, model or detector are not those of the shards any more.
    """
    parser = build_parser()
    args = arguments_for_merge(parser, notes[0].arguments, folder, replace_edited)
    args.no_report |= no_report
    request = request_of(args, parser)
    refuse_other_run(notes[0], run_digest(request))
    names = [name_in_listing(photo, request.root) for photo in request.photos]
    refuse_other_list(notes[0], names, args.photos)
    known = list(answers_of_shards(args.output_dir, notes, request.root, request.photos))
    not_drawn = {name: reason for note in notes for name, reason in note.failed.items()}
    return predict_whole(request, lambda _: contextlib.nullcontext(iter(known)), not_drawn)


if __name__ == "__main__":
    sys.exit(run(main))

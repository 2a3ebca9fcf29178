"""Find footprints in photos, and cut them out.

``python -m footprints.detect PHOTO|DIR --detector FILE`` lists the boxes and writes the crops.
"""

from __future__ import annotations

import argparse
import contextlib
import sys

from footprints.cropping.crop_pool import CropPool, Job, Result
from footprints.detector.detect_report import CROPS, TABLES, DetectReport
from footprints.pictures.crops import Crop
from footprints.pictures.finding import photos_at
from footprints.places.privacy import Privacy, add_location_flags, privacy_of
from footprints.system.errors import STATUS_SOME_FAILED, run
from footprints.system.files import output_folder
from footprints.system.flags import program, some_path
from footprints.system.progress import progress, warn
from footprints.system.results import Results, add_replace_flag
from footprints.system.settings import add_flags, settings_from
from footprints.system.text import printable


def build_parser() -> argparse.ArgumentParser:
    """Return the flags of this step."""
    parser = argparse.ArgumentParser(
        prog=program("detect"),
        description="Find footprints in a photo, or in all photos of a folder, and cut them out.",
        epilog="Exit status: 0 all photos read, 3 some could not be read (listed), 1 failed.",
    )
    parser.add_argument("source", type=some_path, metavar="PHOTO|DIR", help="a photo or a folder")
    parser.add_argument("--detector", type=some_path, required=True, help=".pt or .onnx file")
    parser.add_argument(
        "--output_dir",
        type=some_path,
        help="crops, detections.json and detections.csv are written here; without it, boxes are "
        "only listed on the screen",
    )
    parser.add_argument(
        "--all_crops", action="store_true", help="cut out every print, not only the best"
    )
    add_location_flags(parser)
    add_replace_flag(parser)
    add_flags(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Find prints; see ``build_parser``.

    Returns:
        0, or 3 if photos could not be read.
    """
    parser = build_parser()
    args = parser.parse_args(argv)
    settings = settings_from(args, parser)
    privacy = privacy_of(args, parser)
    root, photos, unused = photos_at(args.source, args.output_dir, (CROPS, *TABLES))
    with contextlib.ExitStack() as held:
        results = None
        if args.output_dir is not None:
            held.enter_context(output_folder(args.output_dir, CROPS))
            results = Results(args.output_dir, TABLES, args.replace_edited)
        report = DetectReport(root, results, unused)
        pool = held.enter_context(CropPool(args.detector, settings, 1, threads=None))
        done = pool.map(Job(photo, all_crops=args.all_crops) for photo in photos)
        try:
            for result in progress(done, len(photos), "detect"):
                _note(result, report, privacy, with_crops=results is not None)
        finally:  # also what was done before Ctrl-C
            if not report.is_empty:
                report.finish()
    return STATUS_SOME_FAILED if report.n_failed else 0


def _note(result: Result, report: DetectReport, privacy: Privacy, with_crops: bool) -> None:
    """Note what became of a photo: its prints, their crops if there is a folder, or the reason."""
    path, taken = result.job.source, privacy.of(result.taken)
    if result.reason is not None:
        report.failed(path, result.reason, taken)
        return
    if result.note:
        warn(f"{printable(path)}: {result.note}")
    crops: list[Crop] = []
    if with_crops:
        best = Crop(
            result.rgb, result.box_xyxy, result.crop_xyxy, result.confidence, result.fallback
        )
        crops = list(result.crops) or [best]
    report.add(path, (result.height, result.width), result.found, crops, taken)


if __name__ == "__main__":
    sys.exit(run(main))

"""Name the animals on photos: find the print, crop it, classify the crop.

The detector works in processes of its own (``footprints.crop_pool``); this process, which holds
TensorFlow, only ever sees crops. Photos are read, never written.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from footprints.annotate import annotated, jpeg_bytes
from footprints.answers import (
    Answer,
    Failure,
    answers_csv,
    failures_csv,
    rank,
    screen_table,
    summary,
)
from footprints.calibration import DEFAULT_THRESHOLD
from footprints.classifier import BATCH, Classifier, read_model_metadata
from footprints.crop_pool import CropPool, Job, Result
from footprints.errors import STATUS_SOME_FAILED, UserError, run
from footprints.files import sha256_of, write_bytes, write_json, write_text
from footprints.photos import PhotoError, find_photos, load_photo
from footprints.progress import progress, warn
from footprints.scales import scales_of
from footprints.settings import Settings
from footprints.text import printable

RESULTS = "predictions.json"
PICTURES = "annotated"
_SCREEN_LINES = 40  # where the rest is in a file
_CROP_FLAGS = ("conf_threshold", "iou_threshold", "margin", "min_crop_side", "ranking")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the step's flags."""
    parser = argparse.ArgumentParser(
        prog="python -m footprints.predict",
        description="Find the print on each photo and name the animal.",
    )
    parser.add_argument("photos", type=Path, metavar="PHOTO|DIR", help="a photo or a folder")
    parser.add_argument(
        "--model", type=Path, required=True, help="classifier: a .keras, .tflite or .onnx file"
    )
    parser.add_argument(
        "--detector",
        required=True,
        metavar="PATH|none",
        help="detector: a .pt or .onnx file; none looks at the centre of each photo",
    )
    parser.add_argument(
        "--top_k", type=int, default=3, help="how many classes to name (default: %(default)s)"
    )
    parser.add_argument(
        "--threshold",
        type=float,
        help='least probability of an answer, below it is "unknown" (default: what validation '
        f"chose, kept in the model file, else {DEFAULT_THRESHOLD})",
    )
    parser.add_argument(
        "--output_dir",
        type=Path,
        help="folder for predictions.json, predictions.csv and failed_photos.csv (default: none, "
        "answers only appear on the screen)",
    )
    parser.add_argument(
        "--annotate",
        action="store_true",
        help="also draw box and names into copies of the photos, in OUTPUT_DIR/annotated",
    )
    parser.add_argument(
        "--processes",
        type=int,
        default=_cores(),
        help="processes that read photos and find prints (default: one a core, here %(default)s)",
    )
    group = parser.add_argument_group("crops (leave them as the model was trained)")
    for setting in fields(Settings):
        if setting.name in _CROP_FLAGS:
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
    if args.top_k < 1:
        parser.error(f"--top_k must be at least 1, not {args.top_k}")
    if args.threshold is not None and not 0 <= args.threshold <= 1:
        parser.error(f"--threshold must lie between 0 and 1, not {args.threshold}")
    if args.processes < 1:
        parser.error(f"--processes must be at least 1, not {args.processes}")
    if args.annotate and args.output_dir is None:
        parser.error("--annotate needs --output_dir, the folder for the pictures")
    metadata = read_model_metadata(args.model)
    settings = _settings(args, metadata, parser)
    threshold = _threshold(args.threshold, metadata)
    detector = _detector(args.detector)
    root, photos = _photos(args.photos, args.output_dir)
    if args.output_dir is not None:
        _check_output(args.output_dir, photos)
    top_k = min(args.top_k, len(metadata["classes"]))

    answers: list[Answer] = []
    failures: list[Failure] = []
    complete = False
    mode = "centre" if detector is None else "detect"
    with_photo = "photo" in scales_of(metadata)
    pictures = Pictures(args.output_dir / PICTURES, root) if args.annotate else None
    try:
        with CropPool(detector, settings, _processes(args.processes, len(photos))) as pool:
            classifier = Classifier(args.model)  # while the detectors start
            blank = [np.zeros((classifier.image_size, classifier.image_size, 3), np.uint8)]
            classifier.predict(blank, blank)  # the first call takes long
            started = time.monotonic()
            results = pool.map(Job(photo, mode, with_photo=with_photo) for photo in photos)
            results = progress(results, len(photos), "predict")
            for found in classified(results, classifier, root, top_k, threshold):
                if isinstance(found, Failure):
                    failures.append(found)
                    continue
                answers.append(found)
                if pictures is not None:
                    pictures.add(found)
            if pictures is not None:
                failures += pictures.finish()
            seconds = time.monotonic() - started
        complete = True
    finally:
        if pictures is not None:
            pictures.close()
        if args.output_dir is not None and (complete or answers):
            header = {
                "complete": complete,
                "model": printable(args.model),
                "model_sha256": sha256_of(args.model),
                "detector": None if detector is None else printable(detector),
                "detector_sha256": None if detector is None else sha256_of(detector),
                "classes": metadata["classes"],
                "scales": scales_of(metadata),
                "temperature": metadata.get("temperature") or 1.0,
                "threshold": threshold,
                "settings": {f.name: getattr(settings, f.name) for f in fields(Settings)},
                "photos_dir": printable(root),
            }
            _write(args.output_dir, header, answers, failures, top_k)
    _report(args, answers, failures, threshold, seconds, len(photos))
    return STATUS_SOME_FAILED if failures else 0


def classified(
    results: Iterable[Result], classifier: Classifier, root: Path, top_k: int, threshold: float
) -> Iterator[Answer | Failure]:
    """Classify crops batch by batch, while the pool finds the next ones; the order is kept.

    Args:
        results: Of ``CropPool.map``, with the crop in ``rgb`` and, for a classifier of two scales,
            the whole photo in ``photo_rgb``.
        classifier: Names the animals.
        root: Folder that photos are named relative to.
        top_k: Classes in a ranking.
        threshold: Least probability of an answer.

    Yields:
        One answer or failure for each result.
    """
    batch: list[Result] = []
    for result in results:
        batch.append(result)
        if len(batch) == BATCH:
            yield from _named(batch, classifier, root, top_k, threshold)
            batch = []
    yield from _named(batch, classifier, root, top_k, threshold)


def _named(
    batch: list[Result], classifier: Classifier, root: Path, top_k: int, threshold: float
) -> Iterator[Answer | Failure]:
    good = [result for result in batch if result.reason is None]
    wholes = [result.photo_rgb for result in good] if "photo" in classifier.scales else None
    rows = iter(classifier.predict([result.rgb for result in good], wholes))
    for result in batch:
        name = _name(result.job.source, root)
        if result.reason is not None:
            yield Failure(name, result.reason)
            continue
        if result.note:
            warn(f"{name}: {result.note}")
        answer, certain, ranking = rank(next(rows), classifier.classes, top_k, threshold)
        yield Answer(
            source=result.job.source,
            name=name,
            answer=answer,
            certain=certain,
            ranking=ranking,
            box_xyxy=tuple(result.box_xyxy),
            detection_confidence=None if result.fallback else result.confidence,
            print_found=not result.fallback,
            width=result.width,
            height=result.height,
        )


class Pictures:
    """Draws answers into copies of the photos, in a thread beside the classifier.

    Args:
        folder: Where the pictures go, in the folders that the photos are in.
        root: Folder of the photos.
    """

    _AHEAD = 8  # photos that may wait to be drawn

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder = folder
        self.root = root
        self._thread = ThreadPoolExecutor(1)
        self._waiting: list[Future[Failure | None]] = []
        self._failures: list[Failure] = []

    def add(self, answer: Answer) -> None:
        """Have a photo drawn; waits if many are."""
        self._waiting.append(self._thread.submit(self._draw, answer))
        while len(self._waiting) > self._AHEAD:
            self._collect()

    def finish(self) -> list[Failure]:
        """Wait for all pictures; returns those that could not be made."""
        while self._waiting:
            self._collect()
        return self._failures

    def close(self) -> None:
        """End the thread; pictures that wait are given up."""
        self._thread.shutdown(cancel_futures=True)

    def _collect(self) -> None:
        failure = self._waiting.pop(0).result()
        if failure is not None:
            self._failures.append(failure)

    def _draw(self, answer: Answer) -> Failure | None:
        try:
            photo = load_photo(answer.source)
        except PhotoError as error:  # it was readable a moment ago
            return Failure(answer.name, f"no picture drawn: {error.reason}")
        picture = annotated(
            photo,
            answer.box_xyxy,
            answer.answer,
            answer.ranking,
            certain=answer.certain,
            print_found=answer.print_found,
            detection_confidence=answer.detection_confidence,
        )
        target = picture_path(self.folder, answer.source, self.root)
        if not target.parent.resolve().is_relative_to(self.folder.resolve()):
            raise UserError(f"{target.parent}: leads out of the output folder; remove the link")
        write_bytes(target, jpeg_bytes(picture))
        return None


def picture_path(folder: Path, source: Path, root: Path) -> Path:
    """Return where a photo's annotated copy goes: no two photos share one.

    ``day1/a.png`` becomes ``day1/a.png.jpg``: the suffix stays, since ``a.jpg`` may lie beside it.
    """
    inside = source.relative_to(root)
    name = inside.name
    if len(os.fsencode(name)) > 200:  # names end at 255 bytes
        name = f"{name[:40]}_{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}"
    return folder / inside.parent / f"{name}.jpg"


def _processes(given: int, n_photos: int) -> int:
    """Return how many processes are worth their start, which takes as long as some 50 photos."""
    return min(given, -(-n_photos // 50))


def _name(source: Path, root: Path) -> str:
    return printable(source.relative_to(root))


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1


def _settings(
    args: argparse.Namespace, metadata: dict[str, Any], parser: argparse.ArgumentParser
) -> Settings:
    """Crop as the model's training data were cropped, unless a flag says otherwise."""
    kept = metadata.get("settings") or {}
    values = {f.name: kept[f.name] for f in fields(Settings) if f.name in kept}
    values |= {name: given for name in _CROP_FLAGS if (given := getattr(args, name)) is not None}
    if metadata.get("image_size"):
        values["image_size"] = int(metadata["image_size"])
    try:
        return Settings(**values)
    except (TypeError, ValueError) as error:
        parser.error(str(error))


def _threshold(given: float | None, metadata: dict[str, Any]) -> float:
    if given is not None:
        return given
    chosen = metadata.get("threshold")
    return DEFAULT_THRESHOLD if chosen is None else float(chosen)


def _detector(given: str) -> Path | None:
    if given == "none":
        return None
    path = Path(given)
    if not path.is_file():
        raise UserError(
            f"{path}: no such detector; train one with footprints.train_detector, or look at the "
            "centre of each photo with --detector none"
        )
    return path


def _photos(given: Path, output_dir: Path | None) -> tuple[Path, list[Path]]:
    """List the photos and the folder that they are named relative to.

    Pictures that an earlier run drew into the output folder are no photos of the user's.
    """
    if given.is_dir():
        photos = find_photos(given)
        if output_dir is not None:
            drawn = (output_dir / PICTURES).resolve()
            photos = [path for path in photos if not path.resolve().is_relative_to(drawn)]
        if not photos:
            raise UserError(f"{given}: no photo is in this folder, nor in the folders in it")
        return given, photos
    if not given.exists():
        raise UserError(f"{given}: no such photo or folder")
    return given.parent, [given]


def _check_output(output_dir: Path, photos: list[Path]) -> None:
    """Refuse to write among files that are not ours."""
    if output_dir.exists() and not output_dir.is_dir():
        raise UserError(f"{output_dir}: is a file; --output_dir must be a folder")
    drawn = output_dir / PICTURES
    if drawn.is_symlink():
        raise UserError(f"{drawn}: is a link; remove it or choose another --output_dir")
    ours = (output_dir / RESULTS).is_file()
    if not ours and drawn.is_dir() and any(drawn.iterdir()):
        raise UserError(f"{drawn}: holds files of yours; choose another --output_dir")
    output_dir.mkdir(parents=True, exist_ok=True)


def _write(
    output_dir: Path,
    header: dict[str, Any],
    answers: list[Answer],
    failures: list[Failure],
    top_k: int,
) -> None:
    failed = [{"photo": failure.name, "reason": failure.reason} for failure in failures]
    records = [answer.record() for answer in answers]
    write_json(output_dir / RESULTS, header | {"photos": records, "failed": failed})
    write_text(output_dir / "predictions.csv", answers_csv(answers, top_k))
    write_text(output_dir / "failed_photos.csv", failures_csv(failures))


def _report(
    args: argparse.Namespace,
    answers: list[Answer],
    failures: list[Failure],
    threshold: float,
    seconds: float,
    count: int,
) -> None:
    if answers:
        print(screen_table(answers, None if args.output_dir is None else _SCREEN_LINES))
        print()
        print(f"answers: {summary(answers)} (unknown: less probable than {threshold:.2f})")
        missed = sum(not answer.print_found for answer in answers)
        if missed and args.detector != "none":
            print(f"no print found on {missed} photos; their centre was looked at")
        elif missed:
            print("no detector: the centre of each photo was looked at")
    print(f"{count} photos in {seconds:.1f} s, {count / max(seconds, 1e-9):.1f} photos/s")
    if failures:
        print(f"{len(failures)} photos could not be used:")
        for failure in failures[:_SCREEN_LINES]:
            print(f"  {failure.name}: {failure.reason}")
        if len(failures) > _SCREEN_LINES:
            print(f"  ... and {len(failures) - _SCREEN_LINES} more")
    if args.output_dir is not None:
        print(f"results: {printable(args.output_dir)} (predictions.csv, {RESULTS})")
        if args.annotate:
            print(f"pictures: {printable(args.output_dir / PICTURES)}")


if __name__ == "__main__":
    sys.exit(run(main))

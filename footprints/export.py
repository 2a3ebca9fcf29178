"""Write a trained classifier for phones (TFLite) and for other programs (ONNX).

Every exported file is compared with the original on photos before it is kept. What the numbers
mean travels with it: class names, temperature, threshold and crop settings are inside the file (the
properties of ONNX; a small archive at the end of TFLite, where its own metadata keep their files)
and in a JSON file beside it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from footprints.network.classifier import Classifier, read_model_metadata
from footprints.network.conversion import convert, need_onnx_packages
from footprints.network.keras_file import load_model
from footprints.network.model_facts import OTHER_OUTPUT
from footprints.pictures import crops
from footprints.pictures.finding import find_photos
from footprints.pictures.photos import PhotoError, load_photo
from footprints.scores.calibration import threshold_in_use, weakness
from footprints.scores.strangers import NONE_OF_THESE, refusal_of
from footprints.system.errors import STATUS_SOME_FAILED, UserError, run
from footprints.system.files import MARK, output_folder, sha256_of, write_bytes, write_json
from footprints.system.flags import program, some_path
from footprints.system.text import printable


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Attributes:
        ending: Of its name, after the stem of the model's.
        mean: How far probabilities may be from the original's in the mean.
        largest: The same for a single one.
    """

    ending: str
    mean: float
    largest: float

    def allows(self, result: Parity) -> bool:
        """Whether an exported model is close enough; not if it gives no numbers."""
        return result.mean <= self.mean and result.largest <= self.largest


FORMATS = {
    "tflite": Format(".tflite", 1e-4, 1e-3),
    "tflite_fp16": Format("_fp16.tflite", 5e-3, 5e-2),
    "tflite_dynamic": Format("_dynamic.tflite", 2e-2, 0.35),  # weights in 8 bits
    "onnx": Format(".onnx", 1e-4, 1e-3),
}
MOST_PHOTOS = 200  # compared; more say nothing new


@dataclass(frozen=True)
class Parity:
    """How an exported model differs from the original on the same pictures.

    Attributes:
        photos: Number of pictures.
        largest: Largest difference of a calibrated probability.
        mean: Mean difference over pictures and classes.
        same_answer: Share of pictures with the same most probable class, and refused by both or
            neither.
    """

    photos: int
    largest: float
    mean: float
    same_answer: float


def parity(
    original: np.ndarray,
    exported: np.ndarray,
    refused: tuple[np.ndarray, np.ndarray] | None = None,
) -> Parity:
    """Compare probabilities of the same pictures, both of shape ``(photos, classes)``.

    Args:
        original: Of the model.
        exported: Of the file that was made of it.
        refused: Which pictures each of them refuses as strangers, ``(photos,)``.

    Raises:
        ValueError: If the shapes differ or there is no picture.
    """
    if original.shape != exported.shape or not len(original):
        raise ValueError(f"cannot compare shapes {original.shape} and {exported.shape}")
    difference = np.abs(original - exported)
    same = original.argmax(axis=1) == exported.argmax(axis=1)
    if refused is not None:
        same &= refused[0] == refused[1]
    return Parity(
        len(original), float(difference.max()), float(difference.mean()), float(same.mean())
    )


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the step's flags."""
    parser = argparse.ArgumentParser(
        prog=program("export"),
        description="Write a trained classifier as TFLite and ONNX, and compare them.",
    )
    parser.add_argument(
        "--model", type=some_path, required=True, help="the .keras file of training"
    )
    parser.add_argument("--output_dir", type=some_path, required=True, help="folder for the files")
    parser.add_argument(
        "--formats",
        nargs="+",
        choices=list(FORMATS),
        default=list(FORMATS),
        help="what to write (default: all)",
    )
    parser.add_argument(
        "--photos",
        type=some_path,
        metavar="DIR",
        help=f"photos or crops to compare on, at most {MOST_PHOTOS} (default: drawn prints)",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the step; returns its exit status: 1 when a format differs too much."""
    args = build_parser().parse_args(argv)
    if args.model.suffix.lower() != ".keras":
        raise UserError(f"{args.model}: export needs the .keras file of training")
    metadata = read_model_metadata(args.model)
    classifier = Classifier(args.model)
    pictures, unusable = _pictures(args.photos, classifier.image_size, classifier.scales)
    expected = classifier.look(*pictures)
    if "onnx" in args.formats:
        need_onnx_packages()
    with output_folder(args.output_dir):
        failed = _write_formats(args, classifier, metadata, pictures, expected)
    for path, reason in unusable:
        print(f"not compared on {path}: {reason}", file=sys.stderr)
    if weak := weakness(metadata):
        print(f"note: {weak}")
    if failed:
        raise UserError(
            f"{', '.join(failed)}: differs too much from {args.model.name} on these photos; "
            "use another format"
        )
    print(f"written to {printable(args.output_dir)}, each with a .json that says what is inside")
    return STATUS_SOME_FAILED if unusable else 0


def _write_formats(
    args: argparse.Namespace,
    classifier: Classifier,
    metadata: dict[str, Any],
    pictures: list[list[np.ndarray]],
    said: tuple[np.ndarray, np.ndarray | None],
) -> list[str]:
    """Write each format that answers as the model does; return those that do not."""
    expected, strangeness = said
    source = "drawn prints" if args.photos is None else f"photos of {printable(args.photos)}"
    print(f"compared on {len(expected)} {source}")
    print(f"{'file':36} {'MB':>6} {'same answer':>11} {'mean diff.':>10} {'largest':>8}")
    size_mb = args.model.stat().st_size / 1e6
    print(f"{printable(args.model.name):36} {size_mb:6.2f}")
    if len(expected) > 1 and np.ptp(expected, axis=0).max() < 1e-3:
        print("note: the model says the same of every picture; this comparison shows little")
    failed: list[str] = []
    work = Path(tempfile.mkdtemp(prefix=MARK, dir=args.output_dir))
    try:
        model = load_model(args.model).model
        for name in dict.fromkeys(args.formats):
            kind = FORMATS[name]
            target = args.output_dir / f"{args.model.stem}{kind.ending}"
            trial = work / target.name
            facts = _facts(metadata, classifier, name, args.model)
            trial.write_bytes(
                convert(model, name, facts, classifier.image_size, classifier.refusal)
            )
            found, found_strangeness = Classifier(trial).look(*pictures)
            refused = None
            if classifier.refusal is not None:
                refuses = classifier.refusal.refuses
                refused = refuses(strangeness), refuses(found_strangeness)
            result = parity(expected, found, refused)
            line = (
                f"{printable(target.name):36} {trial.stat().st_size / 1e6:6.2f} "
                f"{result.same_answer:11.1%} {result.mean:10.1e} {result.largest:8.1e}"
            )
            facts_path = target.with_name(f"{target.name}.json")
            if not kind.allows(result):
                failed.append(name)
                print(f"{line}  too far off, not kept ({kind.mean:g}, {kind.largest:g} allowed)")
                for old in (target, facts_path):  # of an earlier model
                    old.unlink(missing_ok=True)
                continue
            print(line)
            write_bytes(target, trial.read_bytes())
            write_json(facts_path, facts | {"bytes": target.stat().st_size, "parity": vars(result)})
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return failed


_RULES = ("groups", "group_threshold", "class_prior")  # which not all models have


def _facts(
    metadata: dict[str, Any], classifier: Classifier, name: str, source: Path
) -> dict[str, Any]:
    """Everything that a program needs to use the file."""
    side = classifier.image_size
    means = ["the crop and the whole photo"] if len(classifier.scales) > 1 else []
    means += [f"{classifier.views} views of each picture"] if classifier.views > 1 else []
    return {
        "format": name,
        "classes": classifier.classes,
        "temperature": classifier.temperature,
        "threshold": threshold_in_use(metadata),
        **{name: metadata[name] for name in _RULES if name in metadata},
        **_refusal_facts(metadata),
        "image_size": side,
        "scales": list(classifier.scales),
        "views": classifier.views,
        "validation": metadata.get("validation"),
        "weakness": weakness(metadata),
        "settings": metadata.get("settings"),
        "backbone": metadata.get("backbone"),
        "stage": metadata.get("stage"),
        "input": f"upright RGB crop, float32, 0 to 255, shape (1, {side}, {side}, 3)"
        if name != "onnx"
        else f"upright RGB crops, float32, 0 to 255, shape (batch, {side}, {side}, 3)",
        "output": "softmax probabilities p in the order of the classes, not calibrated; "
        "calibrated: softmax(log(p) / temperature)"
        + (f", p being the mean over {' and '.join(means)}" if means else ""),
        "source": printable(source.name),
        "source_sha256": sha256_of(source),
    }


def _refusal_facts(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return when a photo is refused; what its score is made of is in the network."""
    refusal = refusal_of(metadata)
    if refusal is None:
        return {}
    facts = {key: value for key, value in refusal.facts().items() if key != "references"}
    of = "the output strangeness"
    if refusal.rule == NONE_OF_THESE:
        of = "the last probability, which is that of none of the classes,"
    facts["meaning"] = f"the answer is unknown if {of} is above the cut"
    return {"refusal": facts, OTHER_OUTPUT: bool(metadata.get(OTHER_OUTPUT))}


def _pictures(
    folder: Path | None, side: int, scales: tuple[str, ...]
) -> tuple[list[list[np.ndarray]], list[tuple[str, str]]]:
    """Load pictures to compare on, and list those that cannot be used.

    Returns:
        The arguments of ``Classifier.predict``, with pictures ``(side, side, 3)``: the photos, and
        for a model of two scales first their centres, as there is no detector here.
    """

    def views(photo: np.ndarray) -> list[np.ndarray]:
        centre = [crops.cut(photo, crops.centre_box(photo.shape), side)] if len(scales) > 1 else []
        return [*centre, crops.whole(photo, side)]

    if folder is None:
        from footprints.pictures.drawn_prints import SHAPES, draw_photo

        rng = np.random.default_rng(0)
        drawn = [draw_photo([name], (224, 224), rng)[0] for name in sorted(SHAPES) * 4]
        return [list(column) for column in zip(*map(views, drawn), strict=True)], []
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; --photos names a folder of photos or crops")
    paths = find_photos(folder)
    if len(paths) > MOST_PHOTOS:  # evenly over the folders
        at = np.linspace(0, len(paths) - 1, MOST_PHOTOS).round().astype(int)
        paths = [paths[i] for i in at]
    pictures, unusable = [], []
    for path in paths:
        try:
            pictures.append(views(load_photo(path)))
        except PhotoError as error:
            unusable.append((printable(path), error.reason))
    if not pictures:
        raise UserError(f"{folder}: holds no photo that can be read; name another --photos folder")
    return [list(column) for column in zip(*pictures, strict=True)], unusable


if __name__ == "__main__":
    sys.exit(run(main))

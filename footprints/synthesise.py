"""Make a small set of drawn footprint photos, laid out like real data sets.

Six kinds of print, one of them rare, on mud, sand and snow (``pictures.drawn_prints``). Nothing
here is a photo, so it can be shared, and every box and name is right. The new photos are drawn from
other random numbers than the training pictures; one of them shows an animal of no class, of which
there is no picture among those of other animals either.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from footprints.pictures.drawn_prints import MADE_UP, SHAPES, Box, draw_photo
from footprints.system.errors import UserError, run
from footprints.system.files import output_folder, write_bytes, write_json, write_text
from footprints.system.flags import program, some_path, whole
from footprints.system.text import csv_of, printable
from footprints.system.typed import json_object

ANIMALS = tuple(sorted(SHAPES))
RARE = "hare"  # a third of the others
STRANGER = "badger"  # among the new photos, and of no class
_STRANGERS = 5  # photos of it
_FOLDERS = ("oat", "real", "others", "detector", "photos")
REAL_ANIMALS = ("deer", "dog", "hare", "heron")  # the two sets differ
_PHOTOS_A_DAY = 5
_OTHERS_SHARE = 1.5  # of the photos of a class
RECORD = "synthesised.json"
_VERSION = 3  # of the pictures; another one asks for a new folder
_ORIENTATION = 0x0112  # EXIF tag; 6 says: turn by 90 degrees clockwise to see it upright


@dataclass(frozen=True)
class Photo:
    """One picture of the set.

    Attributes:
        path: Where it goes, relative to the folder of the set.
        animals: A print of each is in it.
        form: How it is drawn: "crop", "photo" or "detector".
        seed: Numbers that its random generator starts from.
        turned: Kept sideways, with an EXIF note to turn it, as cameras do.
    """

    path: str
    animals: tuple[str, ...]
    form: str
    seed: tuple[int, ...]
    turned: bool = False


def plan(n_per_class: int, seed: int) -> list[Photo]:
    """List the pictures of a set; those of a smaller set are among those of a larger one."""
    photos = []

    def count(animal: str, share: float) -> int:
        return max(2, round(n_per_class * share / (3 if animal == RARE else 1)))

    for part, (split, share) in enumerate((("train", 1.0), ("val", 0.3))):
        for number, animal in enumerate(ANIMALS):
            for i in range(count(animal, share)):
                path = f"oat/cropped_imgs/{split}/{animal}/{animal}_{i:04d}.jpg"
                photos.append(Photo(path, (animal,), "crop", (seed, part, number, i)))
    for number, animal in enumerate(REAL_ANIMALS):
        for i in range(count(animal, 1.0)):
            path = f"real/{animal}/{animal}{i:04d}.jpg"
            photos.append(Photo(path, (animal,), "photo", (seed, 2, number, i), i % 10 == 3))
    made_up = tuple(MADE_UP)
    for i in range(max(2, round(n_per_class * _OTHERS_SHARE))):
        animal = made_up[i % len(made_up)]
        photos.append(Photo(f"others/{animal}_{i:04d}.jpg", (animal,), "photo", (seed, 12, 0, i)))
    for part, (split, share) in enumerate((("train", 4.0), ("val", 0.5), ("test", 0.5))):
        for i in range(max(2, round(n_per_class * share))):
            path = f"detector/images/{split}/{split}_{i:04d}.jpg"
            lots = np.random.default_rng((seed, 3 + part, i))
            animals = tuple(lots.choice(ANIMALS, size=lots.choice([0, 1, 1, 1, 1, 2])).tolist())
            photos.append(Photo(path, animals, "detector", (seed, 6 + part, i)))
    for day, folder in enumerate(("monday", "tuesday")):
        for i in range(max(2, min(_PHOTOS_A_DAY, n_per_class))):
            animal = REAL_ANIMALS[(i + day) % len(REAL_ANIMALS)]
            path = f"photos/{folder}/IMG_{i + 1:04d}.jpg"
            photos.append(Photo(path, (animal,), "photo", (seed, 9, day, i), i == 1))
    for i in range(_STRANGERS):
        path = f"photos/stranger/IMG_{i + 1:04d}.jpg"
        photos.append(Photo(path, (STRANGER,), "photo", (seed, 11, 0, i)))
    return photos


def draw(photo: Photo) -> tuple[np.ndarray, list[Box]]:
    """Draw one picture of the plan; see ``drawn_prints.draw_photo`` for what comes back."""
    rng = np.random.default_rng(photo.seed)
    if photo.form == "crop":
        rgb, boxes = draw_photo(photo.animals, (256, 256), rng, radius=(0.36, 0.44))
        margin = rng.uniform(0.02, 0.14, size=4) * 200
        x1, y1 = np.maximum(0, np.floor(np.array(boxes[0][:2]) - margin[:2])).astype(int)
        x2, y2 = np.minimum(256, np.ceil(np.array(boxes[0][2:]) + margin[2:])).astype(int)
        crop = rgb[y1:y2, x1:x2]
        return crop, [(boxes[0][0] - x1, boxes[0][1] - y1, boxes[0][2] - x1, boxes[0][3] - y1)]
    size = (448, 336) if rng.random() < 0.6 else (336, 448)
    return draw_photo(photo.animals, size, rng)


def jpeg_of(rgb: np.ndarray, turned: bool = False) -> bytes:
    """Encode a picture of shape ``(height, width, 3)``; ``turned`` keeps it sideways with EXIF."""
    picture = Image.fromarray(rgb)
    exif = Image.Exif()
    if turned:
        picture = picture.transpose(Image.Transpose.ROTATE_90)  # counter-clockwise
        exif[_ORIENTATION] = 6
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=92, exif=exif)
    return content.getvalue()


def make_corpus(folder: Path, n_per_class: int = 30, seed: int = 0) -> bool:
    """Draw a whole set into a folder of its own.

    Args:
        folder: New, empty, or with an unfinished set of an earlier call.
        n_per_class: Training pictures of a class; the rare one has a third.
        seed: Equal seeds give equal files (with one version of Pillow and NumPy).

    Returns:
        False if the very same set was there already and nothing was done.

    Raises:
        UserError: If the folder holds anything else.
    """
    folder = Path(folder)
    request = {"version": _VERSION, "n_per_class": n_per_class, "seed": seed}
    record = folder / RECORD
    if record.is_file():
        try:
            found = json_object(record.read_bytes())
        except ValueError:
            found = {}
        if found == request | {"complete": True}:
            return False
        if found != request | {"complete": False}:
            raise UserError(
                f"{folder}: holds another set ({RECORD}); choose another --output_dir "
                "(of the demo: DEMO_DIR), or delete this one"
            )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: is not an empty folder; choose another --output_dir")
    with output_folder(folder, *_FOLDERS):
        write_json(record, request | {"complete": False})
        _draw_all(folder, n_per_class, seed)
        write_json(record, request | {"complete": True})
    return True


def _draw_all(folder: Path, n_per_class: int, seed: int) -> None:
    truth = []
    for photo, boxes, (height, width) in _written(folder, plan(n_per_class, seed)):
        if photo.form == "detector":
            label = Path(photo.path.replace("/images/", "/labels/")).with_suffix(".txt")
            write_text(folder / label, "".join(_yolo_line(box, width, height) for box in boxes))
        elif photo.form == "photo":
            truth.append((photo, boxes[0], width, height))
    write_text(folder / "detector" / "data.yaml", _DATA_YAML)
    boxes = [("file", "x", "y", "width", "height")]
    names = [("photo", "class", "x1", "y1", "x2", "y2")]
    for photo, box, width, height in truth:
        place, _, name = photo.path.partition("/")
        if place == "real":
            boxes.append((name, *_corner_and_size(box, width, height)))
        elif place == "photos":
            names.append((name, photo.animals[0], *(f"{edge:.1f}" for edge in box)))
    write_text(folder / "real_boxes.csv", csv_of(boxes))
    write_text(folder / "photos_truth.csv", csv_of(names))


_DATA_YAML = """\
path: .
train: images/train
val: images/val
test: images/test
names:
  0: footprint
"""


def _written(
    folder: Path, photos: list[Photo]
) -> Iterator[tuple[Photo, list[Box], tuple[int, int]]]:
    from tqdm import tqdm

    for photo in tqdm(photos, desc="draw", unit=" photos", mininterval=1):
        rgb, boxes = draw(photo)
        write_bytes(folder / photo.path, jpeg_of(rgb, photo.turned))
        yield photo, boxes, rgb.shape[:2]


def _yolo_line(box: Box, width: int, height: int) -> str:
    """One label of YOLO's format: class, then centre and size as parts of the photo's size."""
    x1, y1, x2, y2 = box
    numbers = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
    return f"0 {' '.join(f'{number:.6f}' for number in numbers)}\n"


def _corner_and_size(box: Box, width: int, height: int) -> tuple[str, ...]:
    """Upper left corner and size of a box as parts of the photo's size."""
    x1, y1, x2, y2 = box
    numbers = (x1 / width, y1 / height, (x2 - x1) / width, (y2 - y1) / height)
    return tuple(f"{number:.6f}" for number in numbers)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the step's flags."""
    parser = argparse.ArgumentParser(
        prog=program("synthesise"), description="Draw a small set of footprint photos."
    )
    parser.add_argument(
        "--output_dir", type=some_path, required=True, help="new folder for the set"
    )
    parser.add_argument(
        "--n_per_class",
        type=whole(2, 100_000),
        default=30,
        help=f"training pictures of a class; {RARE} has a third (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=whole(0, 2**63 - 1),
        default=0,
        help="other numbers, other pictures (default: %(default)s)",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the step; returns its exit status."""
    args = build_parser().parse_args(argv)
    made = make_corpus(args.output_dir, args.n_per_class, args.seed)
    print(f"{'made' if made else 'already there'}: {printable(args.output_dir)}")
    print("  oat/cropped_imgs/   crops, train and val")
    print("  real/               whole photos of other classes; real_boxes.csv: their boxes")
    print("  others/             photos of animals that there are not, of no class")
    print("  detector/           photos with boxes in YOLO's format; data.yaml")
    print("  photos/             new photos to name; photos_truth.csv: what they are")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))

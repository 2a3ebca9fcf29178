"""Copies of the photos with the answers drawn in, made in a thread beside the classifier."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from footprints.pictures.annotate import annotated, jpeg_bytes
from footprints.pictures.finding import PHOTO_SUFFIXES
from footprints.pictures.photo_exif import exif_for_copy
from footprints.pictures.photos import PhotoError, decode_photo, read_file
from footprints.scores.answers import Answer, Failure
from footprints.system.files import write_bytes


class AnswerPictures:
    """Draws answers into copies of the photos, in a thread beside the classifier.

    Args:
        folder: Where the pictures go, in the folders that the photos are in.
        root: Folder of the photos.
        warning: Of the model as a whole, for each picture.
        with_place: Copies say where the photo was taken, as it does; time and camera always go in.
    """

    _AHEAD = 8  # photos that may wait to be drawn

    def __init__(
        self, folder: Path, root: Path, *, with_place: bool = True, warning: str = ""
    ) -> None:
        self.folder = folder
        self.root = root
        self._with_place = with_place
        self._warning = warning
        self._thread = ThreadPoolExecutor(1)
        self._waiting: list[Future[Failure | None]] = []
        self._failures: list[Failure] = []

    def add(self, answer: Answer) -> None:
        """Have a photo drawn; waits if many are."""
        self._waiting.append(self._thread.submit(self._draw, answer))
        while len(self._waiting) > self._AHEAD:
            self._collect()

    def has(self, source: Path) -> bool:
        """Tell whether a photo's copy is there."""
        return picture_path(self.folder, source, self.root).is_file()

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
            data = read_file(answer.source)
            photo = decode_photo(data, answer.source.suffix)
        except PhotoError as error:  # it was readable a moment ago
            return Failure(answer.name, f"no picture drawn: {error.reason}", answer.taken)
        exif = exif_for_copy(data, with_place=self._with_place)
        picture = annotated(
            photo,
            answer.box_xyxy,
            answer.answer,
            answer.ranking,
            certain=answer.certain,
            print_found=answer.print_found,
            detection_confidence=answer.detection_confidence,
            warning=self._warning,
        )
        target = picture_path(self.folder, answer.source, self.root)
        write_bytes(target, jpeg_bytes(picture, exif=exif))
        return None


def picture_path(folder: Path, source: Path, root: Path) -> Path:
    """Return where a photo's annotated copy goes, a JPEG: no two photos share one.

    ``day1/a.jpg`` keeps its name; ``day1/a.png`` becomes ``day1/a.png.jpg``, since ``a.jpg`` may
    lie beside it, and so does a name that could be taken for one of these.
    """
    inside = source.relative_to(root)
    name = inside.name
    if len(os.fsencode(name)) > 200:  # names end at 255 bytes
        name = f"{name[:40]}_{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}.png"
    path = Path(name)
    is_jpeg = path.suffix.lower() in (".jpg", ".jpeg")
    keeps_it = is_jpeg and Path(path.stem).suffix.lower() not in PHOTO_SUFFIXES
    return folder / inside.parent / (name if keeps_it else f"{name}.jpg")

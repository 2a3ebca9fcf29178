"""What a process of the pool does: decode a photo, find the print, cut it out.

Started by ``crop_pool``; it takes jobs from its standard input and ends when that is
closed, so also when the parent is killed. It speaks pickle with its own parent only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import signal
import sys
import traceback
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from footprints.pictures.boxes import Box, Detection
from footprints.pictures.crops import (
    Crop,
    best_crop_of,
    centre_crop_of,
    crop_of,
    whole,
    whole_crop_of,
)
from footprints.pictures.photo_exif import taken_of
from footprints.pictures.photos import PhotoError, decode_photo, note_on, read_file
from footprints.pictures.png import png_of
from footprints.pictures.similarity import photo_hash
from footprints.places.taken import Taken
from footprints.system.errors import UserError
from footprints.system.files import write_bytes
from footprints.system.settings import Settings

Mode = Literal["detect", "whole", "centre"]


@dataclass(frozen=True)
class Job:
    """A photo to be turned into a crop.

    Attributes:
        source: The photo.
        mode: ``detect``: cut out the best print, or else the centre; ``whole``: resize it, as it is
            a crop already; ``centre``: cut out the centre.
        target: The crop is written here as PNG; None to have it sent back.
        with_photo: Make a picture of the whole photo too, as mode ``whole`` does.
        photo_target: That picture is written here as PNG; None to have it sent back.
        all_crops: Cut out every print, not only the best, and send them back.
    """

    source: Path
    mode: Mode = "detect"
    target: Path | None = None
    with_photo: bool = False
    photo_target: Path | None = None
    all_crops: bool = False


@dataclass(frozen=True)
class Result:
    """What became of a photo.

    Attributes:
        job: As given.
        sha256: Of the photo's bytes; None where it could not be read.
        phash: Perceptual hash, see ``pictures.similarity.photo_hash``.
        box_xyxy: The print, in pixels of the upright photo; of a fallback, the square cut out.
        crop_xyxy: The square cut out; it may stick out of the photo, see ``pictures.crops``.
        confidence: The detector's; None where it found nothing or was not asked.
        fallback: Whether the centre was taken, for want of a print or of a detector.
        found: The prints, the best first.
        width: Of the upright photo, in pixels.
        height: See ``width``.
        rgb: The crop ``(size, size, 3)`` uint8, unless it was written.
        photo_rgb: The whole photo, the same, if it was asked for.
        crops: One a print, the same, if all were asked for.
        reason: Why the photo could not be used, or None; if set, the rest is not.
        is_passing: Whether that may be another time on this computer, as with a want of memory.
        note: What a user should know of a photo that was used, or None.
        taken: When and where the photo was taken, also of one that could not be used.
    """

    job: Job
    sha256: str | None = None
    phash: str | None = None
    box_xyxy: Box | None = None
    crop_xyxy: Box | None = None
    confidence: float | None = None
    fallback: bool = False
    found: tuple[Detection, ...] = ()
    width: int | None = None
    height: int | None = None
    rgb: np.ndarray | None = field(default=None, repr=False, compare=False)
    photo_rgb: np.ndarray | None = field(default=None, repr=False, compare=False)
    crops: tuple[Crop, ...] = field(default=(), repr=False, compare=False)
    reason: str | None = None
    is_passing: bool = False
    note: str | None = None
    taken: Taken = field(default_factory=Taken)


class CropMaker:
    """Turns jobs into results.

    Args:
        detector: A ``.pt`` or ``.onnx`` file; None to take the centre of every photo.
        settings: How crops are cut.
        threads: Of the detector; None: as it chooses.

    Raises:
        UserError: If the detector cannot be used.
    """

    def __init__(self, detector: Path | None, settings: Settings, threads: int | None) -> None:
        self._settings = settings
        self._detector = None
        if detector is not None:
            from footprints.detector.yolo import YoloInference

            self._detector = YoloInference.from_settings(detector, settings, threads)
            self._detector.detect(
                np.zeros((64, 64, 3), np.uint8)
            )  # it loads more at its first call

    def __call__(self, job: Job) -> Result:
        """Make one crop, and the picture of the whole photo if it is asked for.

        Raises:
            OSError: If a picture cannot be written.
        """
        digest, taken = None, Taken()
        try:
            data = read_file(job.source)
            digest, taken = hashlib.sha256(data).hexdigest(), taken_of(data)
            suffix = job.source.suffix
            photo, note = decode_photo(data, suffix), note_on(data, suffix)
            del data
            return replace(self._make(job, digest, photo), note=note, taken=taken)
        except PhotoError as error:
            return Result(job, digest, reason=error.reason, taken=taken)
        except MemoryError:
            reason = "too large for the memory"
            return Result(job, digest, reason=reason, is_passing=True, taken=taken)

    def _make(self, job: Job, digest: str, photo: np.ndarray) -> Result:
        settings, found = self._settings, list[Detection]()
        if job.mode == "whole":
            crop = whole_crop_of(photo, settings)
        elif job.mode == "centre" or self._detector is None:
            crop = centre_crop_of(photo, settings)
        elif job.mode == "detect":
            found = self._detector.detect(photo)
            crop = best_crop_of(photo, found, settings)
        else:
            raise ValueError(f"mode must be detect, whole or centre, not {job.mode!r}")
        photo_rgb = whole(photo, settings.image_size) if job.with_photo else None
        return Result(
            job,
            digest,
            photo_hash(photo),
            crop.box_xyxy,
            crop.crop_xyxy,
            crop.confidence,
            crop.fallback,
            tuple(found),
            width=photo.shape[1],
            height=photo.shape[0],
            rgb=_delivered(crop.rgb, job.target),
            photo_rgb=_delivered(photo_rgb, job.photo_target),
            crops=tuple(crop_of(photo, one, settings) for one in found if job.all_crops),
        )


def _delivered(rgb: np.ndarray | None, target: Path | None) -> np.ndarray | None:
    """Write a picture if it has a target; else return it, to be sent back."""
    if rgb is None or target is None:
        return rgb
    write_bytes(target, png_of(rgb))
    return None


def main() -> int:
    """Answer the parent until it closes the pipe."""
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
        signal.signal(signal.SIGTERM, _leave)
    try:
        return _answer()
    finally:
        with contextlib.suppress(ValueError):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is on its way out already


def _leave(_number: int, _frame: object) -> None:
    """End in order, so that temporary files go."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(0)


def _answer() -> int:
    """Answer jobs until there are no more."""
    jobs = sys.stdin.buffer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print must not get between
    try:
        detector, settings, threads = pickle.load(jobs)
        try:
            maker = CropMaker(detector, settings, threads)
        except Exception as error:
            _send(answers, _portable(error))
            return 1
        _send(answers, "ready")
        while True:
            job = pickle.load(jobs)
            try:
                answer: Any = maker(job)
            except Exception as error:
                answer = _portable(error)
            _send(answers, answer)
    except (EOFError, BrokenPipeError):
        return 0


def _send(answers: BinaryIO, answer: Any) -> None:
    pickle.dump(answer, answers, protocol=pickle.HIGHEST_PROTOCOL)
    answers.flush()


def _portable(error: BaseException) -> BaseException:
    """Return what the parent raises: the error itself if it tells all, else its traceback."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, OSError):
        return OSError(error.errno, error.strerror, error.filename)
    return RuntimeError("".join(traceback.format_exception(error)))

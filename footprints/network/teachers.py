"""Teachers of a small network: what they answer to the photos that it learns from.

Of photos with labels and, as an answer needs no label, of photos without.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from footprints.cropping.crop_pool import CropPool, Job
from footprints.network.classifier import Classifier, read_model_metadata
from footprints.network.prepared_set import PreparedSet
from footprints.pictures.finding import find_photos
from footprints.pictures.folders import SPLITS
from footprints.pictures.scales import scales_of
from footprints.system import files
from footprints.system.errors import UserError
from footprints.system.progress import progress, say, warn
from footprints.system.settings import Settings
from footprints.system.text import printable

_BATCH = 64

Pictures = Mapping[str, Sequence[Path]]  # by scale; of each the same photos in the same order


@dataclass(frozen=True)
class Teaching:
    """Who teaches, and how.

    Attributes:
        models: Networks of ours, whose answers are averaged. Each answers as ``predict`` does: the
            mean over its scales and views, calibrated.
        temperature: Softens what teacher and student say before they are compared; 1: not at all.
        weight: Of the teacher's answer, 0 to 1; what is left is the label's.
        unlabelled: Folder of photos of which only the teacher's answer is known, or None.
        detector: Cuts the print out of these; None: their centre is taken.
    """

    models: tuple[Path, ...]
    temperature: float
    weight: float
    unlabelled: Path | None = None
    detector: Path | None = None

    def settings(self) -> dict[str, Any]:
        """Return what the result depends on, wherever the files are.

        Raises:
            UserError: If there are no photos without labels where they should be.
        """
        given: dict[str, Any] = {
            "teachers": [f"sha256 {files.sha256_of(path)}" for path in self.models],
            "teacher_temperature": self.temperature,
            "teacher_weight": self.weight,
        }
        if self.unlabelled is not None:
            names = [
                f"{path.relative_to(self.unlabelled).as_posix()}/{path.stat().st_size}\n"
                for path in self._photos()
            ]
            digest = hashlib.sha256("".join(names).encode(errors="surrogateescape"))
            given["unlabelled"] = f"{len(names)} photos, sha256 {digest.hexdigest()}"
            given["unlabelled detector"] = (
                "none" if self.detector is None else f"sha256 {files.sha256_of(self.detector)}"
            )
        return given

    def _photos(self) -> list[Path]:
        try:
            photos = find_photos(self.unlabelled)
        except NotADirectoryError:
            photos = []
        if not photos:
            raise UserError(f"{self.unlabelled}: no photos there; see --unlabelled")
        return photos

    def cut_unlabelled(self, prepared: PreparedSet, folder: Path) -> dict[str, list[Path]]:
        """Make pictures of the photos without labels, as ``prepare`` makes them of the others.

        Those that ``prepared`` has too, by the photo's bytes or by the crop's pixels, are left out:
        what validates or tests must not be learned from.

        Args:
            prepared: The crops with labels.
            folder: Where the pictures go.

        Returns:
            By scale.
        """
        photos, labelled = self._photos(), _labelled(prepared)
        folder.mkdir(parents=True, exist_ok=True)
        known = {k: v for k, v in prepared.settings.items() if k in _SETTINGS}
        settings = Settings(**known | {"image_size": prepared.image_size})
        mode = "centre" if self.detector is None else "detect"
        with_photo = "photo" in prepared.scales
        jobs = [
            Job(
                photo,
                mode,
                folder / f"{number:06}-crop.png",
                with_photo,
                folder / f"{number:06}-photo.png" if with_photo else None,
            )
            for number, photo in enumerate(photos)
        ]
        made: dict[str, list[Path]] = {scale: [] for scale in prepared.scales}
        unusable, n_labelled = [], 0
        with CropPool(self.detector, settings) as pool:
            for result in progress(pool.map(jobs), len(jobs), "photos without labels"):
                if result.reason is not None:
                    unusable.append(f"{printable(result.job.source)}: {result.reason}")
                elif {result.sha256, _digest(result.job.target)} & labelled:
                    n_labelled += 1
                else:
                    for scale in made:
                        made[scale].append(
                            result.job.target if scale == "crop" else result.job.photo_target
                        )
        if unusable:
            warn(f"{len(unusable)} photos without labels cannot be used; the first: {unusable[0]}")
        if n_labelled:
            say(f"{n_labelled} photos without labels are among those with labels: left out")
        if not made["crop"]:
            raise UserError(f"{self.unlabelled}: no photo in it can be learned from")
        return made


_SETTINGS = frozenset(Settings.__dataclass_fields__)


def check_teachers(models: Sequence[Path], prepared: PreparedSet) -> None:
    """See that teachers know the classes of a set, and have pictures to look at.

    Raises:
        UserError: Naming the first that does not.
    """
    for path in models:
        facts = read_model_metadata(path)
        if set(facts["classes"]) != set(prepared.classes):
            strange = sorted(set(facts["classes"]) ^ set(prepared.classes))
            raise UserError(
                f"{path}: teaches other classes than those of {prepared.folder}, such as "
                f"{printable(strange[0])}; a teacher is trained on the same classes"
            )
        prepared.with_scales(scales_of(facts), str(path))
        trained_on = (facts.get("training") or {}).get("photos")
        if trained_on not in (None, prepared.fingerprint()):
            warn(
                f"{path}: was trained on another division of photos; if it has learned from "
                "photos that validate here, the figures of teacher and student flatter"
            )


def teachers_answer(
    models: Sequence[Path], pictures: Pictures, classes: Sequence[str]
) -> np.ndarray:
    """Return the mean of what teachers say of photos.

    Args:
        models: The teachers.
        pictures: Files of the photos.
        classes: Names in the order that is wanted.

    Returns:
        Calibrated probabilities ``(photos, classes)``.
    """
    n_photos = len(pictures["crop"])
    said = np.zeros((n_photos, len(classes)))
    for path in models:
        teacher = Classifier(path)
        column = [teacher.classes.index(name) for name in classes]
        steps = range(0, n_photos, _BATCH)
        for at in progress(steps, len(steps), f"answers of {path.name}", "step"):
            seen = {scale: _decoded(pictures[scale][at : at + _BATCH]) for scale in teacher.scales}
            answers = teacher.predict(seen["crop"], seen.get("photo"))
            said[at : at + _BATCH] += answers[:, column] / len(models)
    return said


class Lesson(NamedTuple):
    """What teachers say.

    Attributes:
        train: Of photos with labels ``(photos, classes)``.
        val: Of those that validate; for comparison, not to learn from.
        unlabelled: Of photos without labels.
        pictures: Files of these, by scale.
    """

    train: np.ndarray
    val: np.ndarray
    unlabelled: np.ndarray
    pictures: dict[str, list[Path]]


def ask_teachers(teaching: Teaching, prepared: PreparedSet, folder: Path) -> Lesson:
    """Have the teachers answer once; a training that goes on finds the answers in ``folder``."""
    kept, cut = folder / "teacher.npz", folder / "unlabelled"
    if kept.is_file():
        try:
            with np.load(kept, allow_pickle=False) as arrays:
                pictures = {
                    scale: [cut / Path(name).name for name in arrays[f"pictures {scale}"].tolist()]
                    for scale in prepared.scales
                }
                return Lesson(arrays["train"], arrays["val"], arrays["unlabelled"], pictures)
        except Exception as error:  # NumPy and zipfile raise many kinds for damaged files
            raise UserError(f"{kept}: damaged; --no-resume trains this stage afresh") from error
    of_parts = {
        part: {scale: prepared.paths(part, scale) for scale in prepared.scales}
        for part in ("train", "val")
    }
    pictures = {scale: [] for scale in prepared.scales}
    if teaching.unlabelled is not None:
        pictures = teaching.cut_unlabelled(prepared, cut)
    said = {
        name: teachers_answer(teaching.models, of_these, prepared.classes)
        for name, of_these in (*of_parts.items(), ("unlabelled", pictures))
    }
    names = {
        f"pictures {scale}": np.array([path.name for path in paths], dtype=np.str_)
        for scale, paths in pictures.items()
    }
    content = io.BytesIO()
    np.savez(content, **said, **names)
    files.write_bytes(kept, content.getbuffer())
    return Lesson(**said, pictures=pictures)


def _decoded(paths: Sequence[Path]) -> list[np.ndarray]:
    pictures = []
    for path in paths:
        with Image.open(path) as picture:
            pictures.append(np.asarray(picture.convert("RGB")))
    return pictures


def _digest(path: Path) -> str:
    """Return what tells a picture from others, however it was written."""
    return hashlib.sha256(_decoded([path])[0].tobytes()).hexdigest()


def _labelled(prepared: PreparedSet) -> set[str]:
    """Return digests of the photos of all parts, if the manifest has them, and of their crops."""
    rows = files.read_table(prepared.folder / "manifest.csv")
    parts = [prepared.folder / part for part in SPLITS]
    crops = [path for part in parts if part.is_dir() for path in part.rglob("*.png")]
    return {row["sha256"] for row in rows if row.get("sha256")} | set(map(_digest, crops))

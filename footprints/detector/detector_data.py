"""Photos and boxes that a detector is trained on, checked and copied for Ultralytics.

The copy keeps Ultralytics away from the user's folders, where it would write caches and "restore"
damaged photos in place. The copied photos are upright and RGB, so boxes mean the upright photo.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from footprints.detector.labels import Box
from footprints.pictures.folders import SPLITS
from footprints.pictures.photos import PhotoError, decode_photo, read_file
from footprints.pictures.similarity import DEFAULT_MAX_DISTANCE, photo_hash
from footprints.system.errors import UserError
from footprints.system.files import naming, read_table, read_text, write_text
from footprints.system.progress import progress
from footprints.system.text import printable

_SHOWN = 3  # reasons in an error


@dataclass
class LabelledPhoto:
    """A photo with its boxes, not yet decoded."""

    path: Path
    boxes: list[Box]
    pseudo: bool = False
    name: str = ""  # from the folder of its data set on, with slashes


@dataclass
class DetectorData:
    """The parts of a data set, and what does not go into it."""

    names: list[str]
    parts: dict[str, list[LabelledPhoto]] = field(
        default_factory=lambda: {name: [] for name in SPLITS}
    )
    left_out: list[tuple[str, str]] = field(default_factory=list)
    n_unusable: int = 0  # of those left out, the ones that are damaged
    n_clipped: int = 0  # boxes that stuck out of their photos a little
    notes: list[str] = field(default_factory=list)  # what else is worth a line
    excluded_names: set[str] = field(default_factory=set)
    excluded_hashes: set[str] = field(default_factory=set)
    given: dict[str, str] = field(default_factory=dict)  # part -> as the data.yaml says
    _contents: list[str] = field(default_factory=list)  # what was copied, for `fingerprint`

    @property
    def n_pseudo(self) -> int:
        """Number of photos in the training part whose boxes a detector found."""
        return sum(photo.pseudo for photo in self.parts["train"])

    def unusable(self, path: Path, reason: str) -> None:
        """Note a photo that cannot be used."""
        self.left_out.append((str(path), reason))
        self.n_unusable += 1

    def check_parts(self) -> None:
        """Make sure that there is something to learn from and to score on.

        Raises:
            UserError: If a part has no usable photo; with the first reasons.
        """
        for part, given in self.given.items():
            if not self.parts[part] and part != "test":
                raise UserError(f"no usable photo in the {part} part ({given}){self._reasons()}")

    def fingerprint(self) -> str:
        """Return a digest of the photos and boxes that ``write_copy`` copied."""
        return hashlib.sha256("".join(self._contents).encode()).hexdigest()

    def _reasons(self) -> str:
        """Return the first reasons for which photos were left out, for the end of an error."""
        if not self.left_out:
            return "; no photo lies there"
        shown = "; ".join(": ".join(one) for one in self.left_out[:_SHOWN])
        more = f" and {len(self.left_out) - _SHOWN} more" if len(self.left_out) > _SHOWN else ""
        return f"; left out: {shown}{more} (left_out.csv)"

    def exclude(self, path: Path) -> None:
        """Keep the photos that a list or a manifest names out of the training part.

        Args:
            path: A table with the columns ``source`` and ``split`` (``sha256`` is used where it is
                there), of which all rows but those of the split ``train`` count; or a text with
                one file name a line: from ``--pseudo_photos`` on, or from the folder of the data
                set on, or longer.

        Raises:
            UserError: If it cannot be read.
        """
        rows = read_table(path)
        if rows and {"source", "split"} <= set(rows[0]):
            for row in rows:
                if row["split"] != "train":
                    self.excluded_names.add(plain_name(row["source"]))
                    if row.get("sha256"):
                        self.excluded_hashes.add(row["sha256"])
        else:
            lines = (line.strip() for line in read_text(path).splitlines())
            self.excluded_names |= {plain_name(line) for line in lines if line and line[0] != "#"}

    def write_copy(self, folder: Path, longest_side: int) -> Path:
        """Write upright photos no larger than needed, labels, and a data.yaml.

        Photos that cannot be read are left out, as are training photos that were excluded or that
        equal a held-back photo, by content or nearly.

        Args:
            folder: An empty folder.
            longest_side: Larger photos are shrunk to this, in pixels, as Ultralytics would do.

        Returns:
            Path of the data.yaml.

        Raises:
            UserError: If no photo or no box is left in a part that is needed.
        """
        held_back = _KnownPhotos()
        every = [
            (part, number, photo)
            for part in ("test", "val", "train")  # the last is compared with the others
            for number, photo in enumerate(self.parts[part])
        ]
        self.parts = {part: [] for part in SPLITS}
        for part, number, photo in progress(every, len(every), "copying"):
            target = folder / part / "images" / f"{number:06d}.jpg"
            if self._copy(photo, part, target, longest_side, held_back):
                self.parts[part].append(photo)
        for part in ("train", "val"):
            if not any(photo.boxes for photo in self.parts[part]):
                why = self._reasons()
                raise UserError(f"no usable photo with a box is left in the {part} part{why}")
        content: dict[str, Any] = {"path": str(folder), "names": self.names}
        content |= {part: f"{part}/images" for part in SPLITS if self.parts[part]}
        data_yaml = folder / "data.yaml"
        write_text(data_yaml, json.dumps(content))  # is YAML
        return data_yaml

    def _copy(
        self,
        photo: LabelledPhoto,
        part: str,
        target: Path,
        longest_side: int,
        held_back: _KnownPhotos,
    ) -> bool:
        if part == "train" and self._is_excluded_name(photo):
            self.left_out.append((str(photo.path), "excluded by --exclude"))
            return False
        try:
            data = read_file(photo.path)
            rgb = decode_photo(data, photo.path.suffix)
        except PhotoError as error:
            self.unusable(photo.path, error.reason)
            return False
        digest, look = hashlib.sha256(data).hexdigest(), photo_hash(rgb)
        if part == "train":
            if digest in self.excluded_hashes:
                self.left_out.append((str(photo.path), "excluded by --exclude (same content)"))
                return False
            if twin := held_back.find(digest, look):
                self.left_out.append((str(photo.path), f"is also in the held-back parts: {twin}"))
                return False
        else:
            held_back.add(digest, look, str(photo.path))
        with naming(target):
            _write_photo(target, rgb, longest_side)
        lines = "".join(f"{c} {x:.6f} {y:.6f} {w:.6f} {h:.6f}\n" for c, x, y, w, h in photo.boxes)
        if photo.boxes:
            write_text(target.parent.parent / "labels" / f"{target.stem}.txt", lines)
        self._contents.append(f"{part} {digest} {lines}\n")
        return True

    def _is_excluded_name(self, photo: LabelledPhoto) -> bool:
        """Compare names; one with a folder may also be the end of a longer one."""
        full = plain_name(str(photo.path))
        return any(
            excluded in (photo.name, full)
            or ("/" in excluded and full.endswith("/" + excluded))
            or ("/" in photo.name and excluded.endswith("/" + photo.name))
            for excluded in self.excluded_names
        )

    def summary(self) -> str:
        """Return one line with the sizes of the parts."""
        parts = ", ".join(
            f"{part} {len(photos)} ({sum(len(p.boxes) for p in photos)} boxes)"
            for part, photos in self.parts.items()
        )
        text = f"photos: {parts}; {self.n_pseudo} of the training photos are pseudo-labelled"
        if self.left_out:
            text += f"; {len(self.left_out)} left out (left_out.csv), {self.n_unusable} unusable"
        if empty := sum(not photo.boxes for photos in self.parts.values() for photo in photos):
            text += f"; {empty} without a box, taken as photos without a print"
        if self.n_clipped:
            text += f"; {self.n_clipped} of the boxes stuck out of their photos a little: clipped"
        return "\n".join([text, *map(printable, self.notes)])


class _KnownPhotos:
    """Finds photos again, by content or by what they show."""

    def __init__(self) -> None:
        self._by_digest: dict[str, str] = {}
        self._by_look: list[tuple[int, str]] = []

    def add(self, digest: str, look: str, name: str) -> None:
        self._by_digest[digest] = name
        self._by_look.append((int(look, 16), name))

    def find(self, digest: str, look: str) -> str | None:
        if digest in self._by_digest:
            return self._by_digest[digest]
        for other, name in self._by_look:
            if (int(look, 16) ^ other).bit_count() <= DEFAULT_MAX_DISTANCE:
                return name
        return None


def _write_photo(path: Path, rgb: Any, longest_side: int) -> None:
    """Write a JPEG, shrunk with the interpolation that Ultralytics uses for photos."""
    import cv2
    from PIL import Image

    height, width = rgb.shape[:2]
    if max(height, width) > longest_side:
        ratio = longest_side / max(height, width)
        size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_LINEAR)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rgb).save(path, quality=95, subsampling=0)


def plain_name(name: str) -> str:
    """Return a file's name with slashes and without ``./``, so that names can be compared."""
    return name.strip().replace("\\", "/").removeprefix("./")

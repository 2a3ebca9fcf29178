"""What the step ``detect`` writes: crops, detections.json, detections.csv, lines on the screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from footprints.pictures.boxes import Detection
from footprints.pictures.crops import Crop
from footprints.pictures.finding import UnusedFile, counted
from footprints.pictures.png import png_of
from footprints.places.taken import TAKEN_COLUMNS, Taken
from footprints.system.files import write_bytes
from footprints.system.results import Results
from footprints.system.text import csv_of, printable

CROPS = "crops"  # folder below the output folder
TABLES = ("detections.json", "detections.csv")
_COLUMNS = (
    "photo", "rank", "x1", "y1", "x2", "y2", "confidence", "area", "score", "class_name",
    "fallback", "crop", "reason", *TAKEN_COLUMNS,
)  # fmt: skip


class DetectReport:
    """Collects results of photos and writes them.

    Args:
        root: Photos are named relative to this folder.
        results: Files go here; None for lines on the screen only.
        unused: Files among the photos that are none.
    """

    def __init__(
        self, root: Path, results: Results | None, unused: Sequence[UnusedFile] = ()
    ) -> None:
        self._root = root
        self._results = results
        self._unused = unused
        self._photos: list[dict[str, Any]] = []
        self.n_failed = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing was noted yet."""
        return not self._photos

    def failed(self, path: Path, reason: str, taken: Taken) -> None:
        """Note a photo that could not be read."""
        self.n_failed += 1
        self._photos.append({"photo": self._name(path), "reason": reason, **taken.record()})

    def add(
        self,
        path: Path,
        shape: tuple[int, ...],
        found: Sequence[Detection],
        crops: Sequence[Crop],
        taken: Taken,
    ) -> None:
        """Note what was found in a photo, the best first, and write its crops."""
        entry: dict[str, Any] = {
            "photo": self._name(path),
            "width": shape[1],
            "height": shape[0],
            "detections": [asdict(one) for one in found],
            "crops": [],
            **taken.record(),
        }
        for rank, crop in enumerate(crops, start=1):
            assert self._results is not None
            relative = path.relative_to(self._root)
            target = Path(CROPS) / relative.parent / f"{relative.name}.{rank}.png"
            write_bytes(self._results.folder / target, png_of(crop.rgb))
            entry["crops"].append(
                {
                    "file": printable(target),
                    "crop_xyxy": crop.crop_xyxy,
                    "fallback": crop.fallback,
                }
            )
        self._photos.append(entry)

    def finish(self) -> None:
        """Write the tables and print the best print of each photo."""
        others = [{"file": self._name(one.path), "reason": one.reason} for one in self._unused]
        if self._results is not None:
            content = {"photos": self._photos, "unused": others}
            self._results.write_json("detections.json", content)
            self._results.write_text("detections.csv", self._table())
        for entry in self._photos:
            print(_line(entry))
        read = len(self._photos) - self.n_failed
        empty = sum(entry.get("detections") == [] for entry in self._photos)
        print(
            f"{read} photos: prints found in {read - empty}, none in {empty}; "
            f"{self.n_failed} could not be read"
        )
        if others:
            where = " (listed in detections.json)" if self._results else ""
            print(f"other files: {counted(self._unused)}{where}")
        if self._results is not None:
            print(f"results: {printable(self._results.folder)}")

    def _name(self, path: Path) -> str:
        return printable(path.relative_to(self._root))

    def _table(self) -> str:
        rows = []
        for entry in self._photos:
            crops = entry.get("crops", [])
            detections = entry.get("detections", [])
            for i in range(max(1, len(detections))):
                row: dict[str, Any] = {"photo": entry["photo"], "reason": entry.get("reason", "")}
                row |= {name: entry[name] for name in TAKEN_COLUMNS if entry[name] is not None}
                if i < len(detections):
                    one = dict(detections[i])
                    x1, y1, x2, y2 = (f"{edge:.1f}" for edge in one.pop("box_xyxy"))
                    row |= {"rank": i + 1, "x1": x1, "y1": y1, "x2": x2, "y2": y2, **one}
                if i < len(crops):
                    row |= {"crop": crops[i]["file"], "fallback": int(crops[i]["fallback"])}
                rows.append([row.get(name, "") for name in _COLUMNS])
        return csv_of([_COLUMNS, *rows])


def _line(entry: dict[str, Any]) -> str:
    if "reason" in entry:
        return f"{entry['photo']}: not read: {entry['reason']}"
    if not entry["detections"]:
        return f"{entry['photo']}: no print found"
    best = entry["detections"][0]
    edges = ", ".join(f"{edge:.0f}" for edge in best["box_xyxy"])
    others = len(entry["detections"]) - 1
    return (
        f"{entry['photo']}: {printable(best['class_name'])} {best['confidence']:.2f} at ({edges})"
        + (f", {others} more" if others else "")
    )

"""What ``train`` does before it trains, where it was not told of a prepared folder.

It looks for photos where this project keeps them, has them prepared if they are not, or are others
than those that were prepared, and finds out which stages there are data for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from footprints.pictures.folders import list_others, list_photos
from footprints.system.child import run_step
from footprints.system.errors import STATUS_SOME_FAILED, UserError
from footprints.system.files import read_table
from footprints.system.settings import Settings
from footprints.system.text import printable
from footprints.system.typed import json_object

PHOTOS = {  # of each stage, from the current folder on
    "oat": Path("data/OpenAnimalTracks_spokay/cropped_imgs"),
    "real": Path("data/dataset_no_oat_downsample_spokay"),
}
PREPARED = Path("outputs/footprints/prepared")
MODELS = Path("outputs/footprints/models")
DETECTOR = Path("outputs/detector/detector.pt")
_DIVISION = ("val_fraction", "test_fraction", "seed", "max_distance")


@dataclass(frozen=True)
class Places:
    """Where things are.

    Attributes:
        photos: Folder of photos by stage.
        prepared: Output folder of ``footprints.prepare``.
        detector: As prepare takes it: a file, or ``none``.
        others: Photos of animals of no class, for stage real; or None.
    """

    photos: Mapping[str, Path]
    prepared: Path
    detector: str
    others: Path | None = None

    def has(self, stage: str) -> bool:
        """Tell whether there is anything to train a stage on."""
        return self.is_prepared(stage) or _holds_something(self.photos[stage])

    def is_prepared(self, stage: str) -> bool:
        """Tell whether prepare went through for a stage."""
        return (self.prepared / stage / "manifest.csv").is_file()


def _holds_something(folder: Path) -> bool:
    try:
        return any(not path.name.startswith(".") for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # it may not be read, which is for the step that needs it to say
        return True


def refuse_absent(places: Places, stages: tuple[str, ...]) -> None:
    """Make sure that there are photos for some stages.

    Raises:
        UserError: If there are none; names the folders, the flags and the demo.
    """
    for stage in stages:
        if not places.has(stage):
            oat, real = printable(places.photos["oat"]), printable(places.photos["real"])
            folder = places.photos[stage]
            what = (
                "this folder is empty, no photos" if folder.is_dir() else "no such folder of photos"
            )
            raise UserError(
                f"{printable(folder)}: {what} for stage {stage}; "
                f"put your photos into {real}/<class>/ and OpenAnimalTracks into "
                f"{oat}/{{train,val}}/<class>/, or name other folders by --real_dir and "
                "--oat_dir, or try drawn prints first: bash TRAINING/footprints_demo.sh"
            )


def prepare(places: Places, stages: tuple[str, ...], say: Callable[[str], None]) -> int:
    """Have the photos of some stages prepared, unless they are.

    A set is prepared anew if photos came or went since; its division and its crop settings are
    then those of before.

    Returns:
        0; 3 if photos were left out; any other status is that of a prepare that failed.
    """
    status = 0
    for stage in stages:
        if not places.photos[stage].is_dir():
            if places.others is not None and stage == "real":
                raise UserError(
                    f"{printable(places.others)}: is prepared together with the photos of your "
                    "classes; name their folder by --real_dir, or run footprints.prepare --others"
                )
            say(f"{stage}: prepared crops of {printable(places.prepared / stage)} are used")
            continue
        if not places.is_prepared(stage):
            why = f"photos of {printable(places.photos[stage])} are prepared first"
        elif changes := _changes(places, stage):
            why = f"{changes} since they were prepared; they are prepared again"
        else:
            say(f"{stage}: the photos of {printable(places.photos[stage])} are prepared already")
            continue
        how = "whole" if stage == "oat" else "centres of the photos, as there is no detector"
        if stage == "real" and places.detector != "none":
            how = f"prints that {places.detector} finds"
        say(f"{stage}: {why} (footprints.prepare; crops: {how})")
        done = run_step("prepare", _flags(places, stage))
        if done not in (0, STATUS_SOME_FAILED):
            return done
        status = max(status, done)
    return status


def _changes(places: Places, stage: str) -> str:
    """Say how many photos came and went since a set was prepared; empty if none did."""
    folder = places.prepared / stage
    known, left_out = (
        {row.get("source", "") for row in read_table(path)} if path.is_file() else set()
        for path in (folder / "manifest.csv", folder / "left_out.csv")
    )
    photos = list_photos(places.photos[stage]).photos
    if places.others is not None and stage == "real":
        photos += list_others(places.others)
    here = {printable(photo.source) for photo in photos}
    counts = {"new": len(here - known - left_out), "gone": len(known - here)}
    return " and ".join(
        f"{n} photo{'s are' if n > 1 else ' is'} {what}" for what, n in counts.items() if n
    )


def _flags(places: Places, stage: str) -> list[object]:
    """Return the command line of prepare: what was noted last time, else its defaults."""
    before = _noted(places.prepared / stage / "prepare.json")
    flags: list[object] = [f"--{stage}_dir", places.photos[stage]]
    flags += ["--output_dir", places.prepared, "--detector", places.detector]
    if places.others is not None and stage == "real":
        flags += ["--others", places.others]
    for name in _DIVISION:
        if name in before:
            flags += [f"--{name}", before[name]]
    if isinstance(before.get("scales"), list):
        flags += ["--scales", *before["scales"]]
    if stage == "oat" and before.get("mode") == "detect" and places.detector != "none":
        flags.append("--detect_oat")
    settings = before.get("settings")
    if not isinstance(settings, dict):
        settings = _noted(places.prepared / "settings.json")
    for name in Settings.__dataclass_fields__:
        if name in settings:
            flags += [f"--{name}", settings[name]]
    return flags


def _noted(path: Path) -> dict[str, Any]:
    try:
        return json_object(path.read_bytes())
    except (OSError, ValueError):
        return {}

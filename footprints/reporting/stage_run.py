"""A stage of training as its files tell of it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from footprints.reporting.answers_file import CropAnswer, read_answers
from footprints.reporting.data_tables import PhotoCounts, counts_of_manifest
from footprints.reporting.record import Record, read_record
from footprints.reporting.sources import MANIFEST, located
from footprints.system.files import sha256_of
from footprints.system.text import printable

_START = "sha256 "


@dataclass(frozen=True)
class StageRun:
    """What is known of a stage.

    Attributes:
        name: ``oat`` or ``real``.
        history: Its file.
        model: Its model file; it need not be there.
        answers: To the validation crops; none of older releases.
        counts: Photos of each class and part; None if neither the file nor the crops tell.
    """

    name: str
    history: Record
    model: Path
    answers: list[CropAnswer]
    counts: PhotoCounts | None

    @property
    def settings(self) -> Record:
        """How it was trained."""
        return self.history.inside("settings")

    @property
    def scores(self) -> Record:
        """All figures of validation; of an older release, those few that there are."""
        if self.history.has("scores"):
            return self.history.inside("scores")
        return self.history.inside("validation")

    @property
    def classes(self) -> tuple[str, ...]:
        """In index order."""
        return self.settings.texts("classes")

    @property
    def phases(self) -> list[str]:
        """Names of the phases, in order."""
        return list(
            dict.fromkeys(row.text("phase") or "" for row in self.history.records("epochs"))
        )

    def start(self) -> str:
        """Return where its weights come from: ``imagenet``, ``none``, ``oat`` or ``file``."""
        given = self.settings.text("start") or "imagenet"
        if not given.startswith(_START):
            return given if given == "none" else "imagenet"
        oat = self.model.with_name("mobilenet_oat.keras")
        with contextlib.suppress(OSError):
            if self.name != "oat" and sha256_of(oat) == given.removeprefix(_START):
                return "oat"
        return "file"


def read_stage(path: Path) -> StageRun:
    """Return what ``history_STAGE.json`` and the files beside it say.

    Raises:
        UserError: If one of them cannot be read.
    """
    history = read_record(path)
    name = history.text("stage") or path.stem.removeprefix("history_")
    answers = read_answers(path.with_name(f"validation_{path.stem.removeprefix('history_')}.csv"))
    model = path.with_name(f"mobilenet_{printable(name)}.keras")
    return StageRun(name, history, model, answers, _counts(history, path))


def _counts(history: Record, path: Path) -> PhotoCounts | None:
    """Return the photos as training counted them; groups, and test, as prepare wrote them down."""
    noted = history.inside("photos")
    trained = {part: noted.inside(part).counts() for part in noted.names()}
    folder = located(history.text("data_dir") or "", path)
    manifest = None if folder is None else folder / MANIFEST
    if manifest is not None and manifest.is_file():
        now = counts_of_manifest(manifest)
        same = all(
            now.photos.get(label, {}).get(part, 0) == n
            for part, of_part in trained.items()
            for label, n in of_part.items()
        )
        if same:  # nobody has prepared other photos since
            return now
    if not trained:
        return None
    labels = sorted({label for of_part in trained.values() for label in of_part})
    photos = {
        label: {part: of_part.get(label, 0) for part, of_part in trained.items()}
        for label in labels
    }
    return PhotoCounts(photos, {})

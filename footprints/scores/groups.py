"""Groups of classes: an answer where the species cannot be told, as canids for dog or wolf."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from footprints.scores.calibration import DEFAULT_THRESHOLD, is_unknown
from footprints.scores.class_names import class_meant, spelling, with_nearest
from footprints.scores.thresholds import WANTED_PRECISION, choose_threshold
from footprints.system.errors import UserError
from footprints.system.files import read_table
from footprints.system.progress import warn
from footprints.system.text import printable
from footprints.system.typed import as_number, as_text

READY, NONE = "ready", "none"
_READY_FILE = Path(__file__).with_name("groups.csv")
_SHOWN = 6  # names in a message


@dataclass(frozen=True)
class Groups:
    """Which classes of a model belong together.

    Attributes:
        members: The classes of each group, two at least; no class is in two groups.
        threshold: Least probability of a group as an answer; None if validation chose none.
    """

    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    threshold: float | None = None

    def __bool__(self) -> bool:
        return bool(self.members)

    @property
    def threshold_in_use(self) -> float:
        """The chosen threshold, or else 0.5."""
        return DEFAULT_THRESHOLD if self.threshold is None else self.threshold

    def of(self, name: str) -> str:
        """Return the group of a class; of one without a group, and of a group, itself."""
        return next((group for group, names in self.members.items() if name in names), name)

    def facts(self) -> dict[str, Any]:
        """Return what a model file keeps; nothing where there are no groups."""
        if not self:
            return {}
        members = {group: list(names) for group, names in self.members.items()}
        return {"groups": members, "group_threshold": self.threshold}


def groups_named(text: str, classes: Sequence[str]) -> Groups:
    """Return the groups that a flag asks for.

    Args:
        text: ``ready`` for the table in this package, ``none``, or a table of classes and groups.
        classes: Of the model.

    Raises:
        UserError: If the table cannot be meant, or none of its groups holds two of the classes.
    """
    if text == NONE:
        return Groups()
    path = _READY_FILE if text == READY else Path(text)
    members: dict[str, list[str]] = {}
    group_of: dict[str, str] = {}
    written: dict[str, str] = {}
    for label, group in _rows_of(path):
        if written.setdefault(spelling(group), group) != group:
            raise UserError(
                f"{printable(path)}: a group is called {printable(written[spelling(group)])} and "
                f"{printable(group)}; write it one way"
            )
        if group_of.setdefault(spelling(label), group) != group:
            raise UserError(
                f"{printable(path)}: class {printable(label)} is in two groups, "
                f"{printable(group_of[spelling(label)])} and {printable(group)}"
            )
        meant = class_meant(label, classes)
        if meant is not None and meant not in members.setdefault(group, []):
            members[group].append(meant)
    found = {group: tuple(names) for group, names in members.items() if len(names) > 1}
    if not found:
        what = "the ready groups" if text == READY else printable(path)
        raise UserError(
            f"{what}: no group holds two of the model's classes ({_few(classes)}); give a table "
            "with the columns class and group"
        )
    for group in found:
        if class_meant(group, classes) is not None:
            raise UserError(f"{printable(path)}: its group {printable(group)} is a class too")
    return Groups(found)


def warn_of_other_names(text: str, classes: Sequence[str]) -> None:
    """Warn of names in a user's table that are no classes: a mistyped one is in no group.

    They are not refused, since one table may serve several models.

    Args:
        text: As for ``groups_named``.
        classes: Of the model.

    Raises:
        UserError: If the table cannot be read.
    """
    if text in (NONE, READY):
        return
    labels = dict.fromkeys(label for label, _ in _rows_of(Path(text)))
    strange = [label for label in labels if class_meant(label, classes) is None]
    if strange:
        named = ", ".join(with_nearest(label, classes) for label in strange[:_SHOWN])
        more = f" and {len(strange) - _SHOWN} more" if len(strange) > _SHOWN else ""
        warn(f"{text}: no classes of the model, and so in no group: {named}{more}")


def _rows_of(path: Path) -> list[tuple[str, str]]:
    rows = []
    for row in read_table(path):
        if not {"class", "group"} <= row.keys():
            raise UserError(
                f"{printable(path)}: needs the columns class and group, with a comma between"
            )
        label, group = row["class"].strip(), " ".join(row["group"].split())
        if is_unknown(group):
            raise UserError(f'{printable(path)}: a group cannot be called "unknown"')
        if label and group:
            rows.append((label, group))
    return rows


def groups_of(facts: Mapping[str, Any]) -> Groups:
    """Return the groups of a model from what its file says.

    Raises:
        ValueError: If they cannot be meant.
    """
    members = facts.get("groups") or {}
    if not isinstance(members, Mapping):
        raise ValueError("its groups are no JSON object")
    classes, seen = facts["classes"], set[str]()
    for group, names in members.items():
        as_text(group, r"(?s:.+)", longest=1000)
        if not isinstance(names, list) or len(names) < 2 or group in classes or is_unknown(group):
            raise ValueError(f"its group {group!r} cannot be meant")
        for name in names:
            if name not in classes or name in seen:
                raise ValueError(f"its group {group!r} holds {name!r}, which it cannot")
            seen.add(name)
    threshold = facts.get("group_threshold")
    if threshold is not None:
        threshold = as_number(threshold, 0, 1)
    return Groups({group: tuple(names) for group, names in members.items()}, threshold)


def group_probabilities(
    probabilities: np.ndarray, classes: Sequence[str], groups: Groups
) -> tuple[np.ndarray, list[str]]:
    """Add up the probabilities of the classes of each group.

    Args:
        probabilities: ``(photos, classes)``.
        classes: Names in the same order.
        groups: A class that is in none of them stands for itself.

    Returns:
        ``(photos, groups)``, rows add up to the same, and the groups' names.
    """
    names = list(dict.fromkeys(groups.of(name) for name in classes))
    belongs = np.array([[groups.of(name) == group for group in names] for name in classes])
    return np.asarray(probabilities, dtype=np.float64) @ belongs, names


def least_of_group(n_members: int, n_classes: int) -> float:
    """Return the least sensible threshold of a group, a quarter of the way from chance to 1.

    By chance a group of five among ten classes has the probability 0.5.
    """
    chance = n_members / n_classes
    return chance + (1 - chance) / 4


def choose_group_threshold(
    probabilities: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    groups: Groups,
    threshold: float,
    wanted: float = WANTED_PRECISION,
) -> float | None:
    """Choose the least probability of a group, as that of a species is chosen.

    Only photos count whose best species is too doubtful for an answer: for them the groups are.

    Args:
        probabilities: Calibrated ones of validation photos, ``(photos, classes)``.
        labels: Their true classes as numbers, ``(photos,)``.
        classes: Names in index order.
        groups: As they will be used.
        threshold: Least probability of a species.
        wanted: Precision of the answers, 0 to 1.

    Returns:
        See ``thresholds.choose_threshold``; None where it chose none.
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    doubtful = probabilities.max(axis=1) < threshold
    summed, names = group_probabilities(probabilities[doubtful], classes, groups)
    true = np.array([names.index(groups.of(classes[i])) for i in np.asarray(labels)[doubtful]], int)
    return choose_threshold(summed, true, wanted).value if len(true) else None


def _few(names: Sequence[str], most: int = 6) -> str:
    shown = ", ".join(map(printable, names[:most]))
    return f"{shown}, ..." if len(names) > most else shown

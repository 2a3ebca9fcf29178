"""What a model file says of itself, read as typed and bounded values."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from footprints.pictures.scales import DEFAULT_SCALES, are_scales
from footprints.pictures.views import COUNTS, views_of_model
from footprints.scores.calibration import is_unknown
from footprints.scores.groups import groups_of
from footprints.scores.strangers import NONE_OF_THESE, refusal_of
from footprints.system.settings import Settings
from footprints.system.text import reason_of
from footprints.system.typed import as_number, as_numbers, as_text, as_whole, json_object

_MOST_CLASSES = 10_000
_MOST_BYTES = 2**24  # of a text in an archive
_MOST_PIXELS = 2048  # a side, as of Settings


OTHER_OUTPUT = "none_of_these"  # true where the network's last output is for other animals


class NewerModelError(ValueError):
    """The file was made by a newer release than this one."""


def checked_facts(facts: Any) -> dict[str, Any]:
    """Return what a model file says, after a look at all that is relied upon.

    Args:
        facts: From JSON: ``classes``, and where known ``temperature``, ``threshold``,
            ``image_size``, ``settings``, ``scales``, ``views``, ``groups``, ``class_prior``,
            ``refusal`` and ``none_of_these``.

    Raises:
        NewerModelError: If scales or views are none of this release's.
        ValueError: If they cannot be meant; in a few words.
    """
    if not isinstance(facts, dict):
        raise ValueError("does not say what its classes are")
    classes = facts.get("classes")
    if not isinstance(classes, list) or not 1 <= len(classes) <= _MOST_CLASSES:
        raise ValueError("does not say what its classes are")
    for name in classes:
        as_text(name, r"(?s:.+)", longest=1000)
        if is_unknown(name):
            raise ValueError(
                f"has a class {name!r}, so its answers could not be told from "
                '"unknown"; rename the folder of its photos, prepare and train again'
            )
    if len({*classes}) < len(classes):
        raise ValueError("has one class twice")
    _check_number(facts, "temperature", 1e-3, 1e3)
    _check_number(facts, "threshold", 0, 1)
    groups_of(facts)
    refusal = refusal_of(facts)
    if facts.get(OTHER_OUTPUT) not in (None, True, False):
        raise ValueError(f"its {OTHER_OUTPUT} must be true or false")
    if refusal is None and facts.get(OTHER_OUTPUT):
        raise ValueError("has an output for other animals, but does not say when it counts")
    if refusal is not None and refusal.rule == NONE_OF_THESE and not facts.get(OTHER_OUTPUT):
        raise ValueError("refuses by an output for other animals that it has not")
    if facts.get("class_prior") is not None:
        _named("class_prior", as_numbers, facts["class_prior"], len(classes), 1e-9, 1)
    if facts.get("image_size") is not None:
        _named("image_size", as_whole, facts["image_size"], 32, _MOST_PIXELS)
    settings = {} if facts.get("settings") is None else facts["settings"]
    if not isinstance(settings, Mapping):
        raise ValueError("its settings are no JSON object")
    try:
        Settings(
            **{one.name: settings[one.name] for one in fields(Settings) if one.name in settings}
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"its settings cannot be meant: {error}") from None
    scales = facts.get("scales", list(DEFAULT_SCALES))
    if not are_scales(scales) or views_of_model(facts) not in COUNTS:
        raise NewerModelError("was made by a newer release of footprints; update this one")
    return facts


def n_outputs(facts: Mapping[str, Any]) -> int:
    """Return how many probabilities a model gives: one a class, and one for other animals."""
    return len(facts["classes"]) + bool(facts.get(OTHER_OUTPUT))


def has_score(facts: Mapping[str, Any]) -> bool:
    """Tell whether a model gives a score of strangeness beside its probabilities."""
    refusal = refusal_of(facts)
    return refusal is not None and refusal.rule != NONE_OF_THESE


def text_in_archive(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    """Return the JSON object of an archive's member.

    Raises:
        ValueError: If there is none, or it is damaged or too large for a text.
    """
    try:
        if archive.getinfo(name).file_size > _MOST_BYTES:
            raise ValueError(f"its {name} is too large")
        return json_object(archive.read(name))
    except KeyError:
        raise ValueError(f"has no {name}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise ValueError(f"its {name} is damaged ({reason_of(error)})") from None


def _check_number(facts: Mapping[str, Any], name: str, low: float, high: float) -> None:
    if facts.get(name) is not None:
        _named(name, as_number, facts[name], low, high)


def _named(name: str, check: Any, *args: Any) -> None:
    try:
        check(*args)
    except ValueError as error:
        raise ValueError(f"its {name} {error}") from None

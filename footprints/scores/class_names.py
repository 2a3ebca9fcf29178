"""Names of classes as people type them: which class is meant, and which one is nearest."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable

from footprints.system.text import printable


def spelling(name: str) -> str:
    """Return a name without what people write this way or that.

    Case, accents, spaces, hyphens and underscores: ``Black bear``, ``black_bear`` and ``blackbear``
    are one.
    """
    bare = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return re.sub(r"[\s_-]+", "", bare.casefold())


def class_meant(name: str, classes: Iterable[str]) -> str | None:
    """Return the class of this name, or else the only one of its spelling; None if there is none.

    Args:
        name: As somebody typed it.
        classes: Of a model.
    """
    classes = list(classes)
    if name in classes:
        return name
    alike = [one for one in classes if spelling(one) == spelling(name)]
    return alike[0] if len(alike) == 1 else None


def nearest_class(name: str, classes: Iterable[str]) -> str | None:
    """Return the class whose name is most like this one, or None if none is."""
    of_spelling = {spelling(one): one for one in classes}
    near = difflib.get_close_matches(spelling(name), of_spelling, n=1)
    return of_spelling[near[0]] if near else None


def with_nearest(name: str, classes: Iterable[str]) -> str:
    """Return a name that is no class for a message, with the nearest class if there is one."""
    near = nearest_class(name, classes)
    return printable(name) + ("" if near is None else f" (nearest: {printable(near)})")

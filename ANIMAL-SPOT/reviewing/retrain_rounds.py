"""The folders of the rounds of a retraining, and what came of them."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

from animal_spot.utils.typed import ContentError, read_json, typed

RESULT = "retrained.json"
_ROUND = re.compile(r"round_(\d{1,6})\Z")


def rounds_in(output: Path) -> dict[int, Path]:
    """Return the folders of rounds by their numbers; without the folder there are none."""
    if not output.is_dir():
        return {}
    found = ((_ROUND.match(path.name), path) for path in output.iterdir())
    return {int(match[1]): path for match, path in found if match and path.is_dir()}


def last_result(output: Path) -> dict[str, Any] | None:
    """Return what the round that ended last brought, and its number as ``round``.

    Returns:
        Content of its ``retrained.json``; None: no round ended yet.
    """
    ended = []
    for number, folder in rounds_in(output).items():
        with contextlib.suppress(OSError):
            ended.append(((folder / RESULT).stat().st_mtime_ns, number, folder / RESULT))
    for _, number, path in sorted(ended, reverse=True):
        with contextlib.suppress(ContentError, OSError):
            return typed(dict[str, Any], read_json(path), str(path)) | {"round": number}
    return None


def unfinished(output: Path) -> int | None:
    """Return the number of the newest round if it was begun and has no result; None: it has."""
    rounds = rounds_in(output)
    newest = max(rounds, default=None)
    return None if newest is None or (rounds[newest] / RESULT).is_file() else newest

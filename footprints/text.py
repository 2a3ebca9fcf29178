"""Names fit for a screen, a log and a table."""

from __future__ import annotations

import re
from pathlib import Path

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str | Path) -> str:
    r"""Return a name or a message that any screen and any UTF-8 file takes, on one line.

    Control characters (escape codes and line ends among them, and those that turn the direction of
    writing) and bytes that are not UTF-8 become escapes, as ``\x1b``, ``\n`` or ``\udcff``; all
    other texts stay as they are.
    """
    return _UNPRINTABLE.sub(lambda c: c[0].encode("unicode_escape").decode(), str(text))

"""Text of others – names of files and classes, what files hold – made fit to be shown."""

from __future__ import annotations

import re


def printable(text: str) -> str:
    r"""Return one line of text in which everything invisible is visible.

    Control characters, escape codes, line ends, marks that turn the direction of writing and bytes
    that are not UTF-8 become ``\x1b``, ``\n``, ``\u202e`` or ``\xe9``. What is visible stays.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def printable_lines(text: str) -> str:
    """Return text in which everything invisible but its line ends is visible."""
    return "\n".join(printable(line) for line in re.split(r"\r?\n", text))


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")

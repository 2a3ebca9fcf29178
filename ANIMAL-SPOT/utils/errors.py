"""What a user is told of an exception: one line."""

from __future__ import annotations

import os
import re

from utils.text import printable


def one_line(error: BaseException) -> str:
    r"""Return what to show of an error; line ends in names are shown as ``\n``.

    Of a message with a traceback, as from a loader process, and of those of PyTorch, which tell
    more than one wants to know, it is the last line.
    """
    if isinstance(error, OSError) and error.strerror:
        named = f": {os.fsdecode(error.filename)}" if _is_path(error.filename) else ""
        return printable(f"{error.strerror}{named}")
    text = str(error).strip()
    if isinstance(error, RuntimeError) or "Traceback (most recent call last)" in text:
        text = re.sub(r"^(?:\w+\.)*\w*Error: ", "", text[text.rfind("\n") + 1 :].strip())
    return printable(text) or type(error).__name__


def _is_path(filename: object) -> bool:
    return isinstance(filename, (str, bytes, os.PathLike)) and bool(os.fsdecode(filename))


def is_memory_error(error: Exception) -> bool:
    """Tell whether Python or PyTorch ran out of memory, of whatever device."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or "can't allocate memory" in str(
        error
    )

"""What a user is told of an exception: one line."""

from __future__ import annotations

import re


def one_line(error: BaseException) -> str:
    """Return the last line of a message; one from a loader process carries its traceback."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[-1] if lines else type(error).__name__
    return re.sub(r"^(?:\w+\.)*\w*Error: ", "", text)


def is_memory_error(error: Exception) -> bool:
    """Tell whether Python or PyTorch ran out of memory, of whatever device."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or "can't allocate memory" in str(
        error
    )

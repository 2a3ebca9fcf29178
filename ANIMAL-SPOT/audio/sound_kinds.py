"""Which files are sound, told by the ending of their names. Standard library only."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable

READ = frozenset(
    f".{name}"
    for name in (
        *("aif", "aifc", "aiff", "au", "bwf", "caf", "flac", "mp2", "mp3", "nist", "oga", "ogg"),
        *("opus", "rf64", "snd", "sph", "w64", "wav", "wave"),
    )
)
NOT_READ = frozenset(
    f".{name}"
    for name in (
        *(
            "3g2",
            "3ga",
            "3gp",
            "aac",
            "ac3",
            "amr",
            "ape",
            "asf",
            "avi",
            "dff",
            "dsf",
            "dts",
            "gsm",
        ),
        *(
            "gsm",
            "m4a",
            "m4b",
            "m4v",
            "mka",
            "mkv",
            "mov",
            "mp4",
            "mpc",
            "mts",
            "pcm",
            "qt",
            "ra",
            "tak",
        ),
        *("tta", "w4v", "wac", "webm", "wma", "wmv", "wv", "zc"),
    )
)
TABLES = frozenset({"", ".csv", ".json", ".log", ".lst", ".md", ".txt", ".xls", ".xlsx"})


def ending(name: str) -> str:
    """Return the ending of a file name in small letters, with its dot."""
    return os.path.splitext(name)[1].lower()


def is_read(name: str) -> bool:
    """Tell whether a file is sound that libsndfile reads."""
    return ending(name) in READ


def is_not_read(name: str) -> bool:
    """Tell whether a file holds sound that libsndfile does not read."""
    return ending(name) in NOT_READ


def why_not_read(name: str) -> str:
    """Return the reason that is given for such a file."""
    kind = ending(name).removeprefix(".")
    return f"{kind} files cannot be read: convert it to wav or flac, with ffmpeg for example"


def counted(names: Iterable[str]) -> str:
    """Return how many files there are of each ending: ``.m4a 5, .mov 1``."""
    counts = Counter(ending(name) or "none" for name in names)
    return ", ".join(f"{kind} {n}" for kind, n in counts.most_common())

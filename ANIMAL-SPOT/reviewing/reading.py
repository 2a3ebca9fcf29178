"""A review read as it is at one moment, without changing its file, also while it is open."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path
from urllib.request import pathname2url

from animal_spot.reviewing.project import APPLICATION, VERSION, Project
from animal_spot.reviewing.store import ProjectError

_BUSY_S = 10.0  # until another process has written
_NUMBER, _NUMBER_OR_NONE = ("integer", "real"), ("integer", "real", "null")
_TEXT, _TEXT_OR_NONE = ("text",), ("text", "null")
# What columns hold; SQLite itself keeps anything anywhere.
_TYPES = {
    "recordings": {
        "path": ("text", "blob"),
        "duration_s": _NUMBER,
        "site": _TEXT_OR_NONE,
        "start": _TEXT_OR_NONE,
    },
    "detections": {
        "recording_id": ("integer",),
        "begin_s": _NUMBER,
        "end_s": _NUMBER,
        "low_hz": _NUMBER_OR_NONE,
        "high_hz": _NUMBER_OR_NONE,
        "class": _TEXT_OR_NONE,
        "score": _NUMBER_OR_NONE,
        "source": _TEXT,
        "run": ("integer",),
    },
    "decisions": {
        "detection_id": ("integer",),
        "reviewer": _TEXT,
        "at": _TEXT,
        "verdict": _TEXT,
        "class": _TEXT_OR_NONE,
        "begin_s": _NUMBER_OR_NONE,
        "end_s": _NUMBER_OR_NONE,
        "low_hz": _NUMBER_OR_NONE,
        "high_hz": _NUMBER_OR_NONE,
        "note": _TEXT_OR_NONE,
    },
    "settings": {"key": _TEXT, "value": _TEXT},
}


class ReadProject(Project):
    """A copy of a review in memory; what is written into it is lost.

    Args:
        path: The file, which is only read; a page that has it open may go on.

    Raises:
        ProjectError: If it is damaged, another kind of file, or of a newer version of this program.
        OSError: If it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        with open(path, "rb"):  # an OSError says more than SQLite does
            pass
        self._memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._memory.row_factory = sqlite3.Row
        try:
            with contextlib.closing(_connected(path)) as source:
                source.backup(self._memory)
            self._require_whole()
        except sqlite3.Error as error:
            self.close()
            raise ProjectError(f"{path} cannot be read as the file of a review: {error}") from error
        except BaseException:
            self.close()
            raise

    @property
    def db(self) -> sqlite3.Connection:
        """The copy."""
        return self._memory

    def close(self) -> None:
        """Forget the copy."""
        self._memory.close()

    def _require_whole(self) -> None:
        db = self._memory
        if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
            raise ProjectError(f"{self.path} is a database of another program")
        if db.execute("PRAGMA user_version").fetchone()[0] > VERSION:
            raise ProjectError(
                f"{self.path} was written by a newer version of this program: install that"
            )
        if db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise ProjectError(f"{self.path} is damaged")
        for table, columns in _TYPES.items():
            for column, kinds in columns.items():
                known = ", ".join(f"'{kind}'" for kind in kinds)
                wrong = f'SELECT 1 FROM {table} WHERE typeof("{column}") NOT IN ({known}) LIMIT 1'
                if db.execute(wrong).fetchone():
                    raise ProjectError(f"{self.path} is damaged: {table} have a wrong {column}")


def _connected(path: Path) -> sqlite3.Connection:
    """Return a connection that only reads, and leaves no file beside that of the review.

    While a page is open there is a second file with what is not in the first yet. Without one
    nobody writes: then SQLite need not make its own files to keep in step with others.
    """
    log_file = path.with_name(f"{path.name}-wal")
    mode = "mode=ro" if log_file.exists() else "immutable=1"
    address = f"file:{pathname2url(str(path.absolute()))}?{mode}"
    return sqlite3.connect(address, uri=True, timeout=_BUSY_S)

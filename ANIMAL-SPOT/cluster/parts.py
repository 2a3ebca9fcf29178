"""Hidden folders in which workers write, before results are put into their place."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from animal_spot.utils.files import refuse_links

FOLDER = ".parts"
SECTIONS = ".sections"


@contextlib.contextmanager
def parts_of_run(folder: Path) -> Iterator[Path]:
    """Give a new folder for the parts of this run; it and what killed runs left are removed.

    A worker of a killed run that still lives finds its folder gone and can do no harm.

    Args:
        folder: The output folder, which no other process writes into.

    Raises:
        OSError: If it cannot be made.
    """
    parts = folder / FOLDER
    refuse_links(parts, folder)
    shutil.rmtree(parts, ignore_errors=True)
    own = parts / secrets.token_hex(8)
    own.mkdir(parents=True)
    try:
        yield own
    finally:
        shutil.rmtree(parts, ignore_errors=True)


@contextlib.contextmanager
def sections_of_runs(folder: Path) -> Iterator[Path]:
    """Give the folder for sections of recordings that are not complete.

    It goes when all recordings are done; when the run ends before, the next one finds them there.

    Args:
        folder: The output folder, which no other process writes into.

    Raises:
        OSError: If it is a link.
    """
    sections = folder / SECTIONS
    refuse_links(sections, folder)
    yield sections
    shutil.rmtree(sections, ignore_errors=True)

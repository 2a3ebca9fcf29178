"""``MODEL_CARD.md`` beside each model file; one that people edited stays as it is."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

from animal_spot.model_files.model_file import FILE_NAME
from animal_spot.reporting.card_text import markdown_of
from animal_spot.reporting.model_card import Model, card_sections, read_model
from animal_spot.utils.errors import one_line
from animal_spot.utils.files import sole_process
from animal_spot.utils.own_files import JsonLines, OwnFiles

CARD = "MODEL_CARD.md"
RECORD, LOCK = ".model_card.jsonl", ".model_card.lock"

log = logging.getLogger(__name__)


def card_path(model: Path) -> Path:
    """Return where the card of a model file is; other names than the usual one stand in it too."""
    if model.name == FILE_NAME:
        return model.with_name(CARD)
    return model.with_name(f"{Path(CARD).stem}_{model.stem}.md")


def model_files_of(folder: Path) -> list[Path]:
    """Return the model file of a training, or those of the folds of a cross-validation."""
    own = folder / FILE_NAME
    if own.is_file():
        return [own]
    folds = [path for path in folder.glob(f"fold_*/{FILE_NAME}") if path.is_file()]
    return sorted(folds, key=lambda path: (len(path.parent.name), path.parent.name))


def card_text(model: Model) -> str:
    """Return the text of a card."""
    return markdown_of(f"Model card: {model.path.name}", card_sections(model))


def write_card(path: Path, *, replace_edited: bool = False) -> None:
    """Write the card of a model file, unless somebody edited the one that is there.

    Args:
        path: The model file.
        replace_edited: Replace that too, and keep a copy.

    Raises:
        ValueError: If it is no model file.
        OSError: If something cannot be read or written.
    """
    card = card_path(path)
    text = card_text(read_model(path))
    lock = path.with_name(LOCK)
    with (
        sole_process(lock, f"writing {card}"),
        contextlib.closing(JsonLines(path.with_name(RECORD))) as lines,
    ):
        own = OwnFiles(card.parent, lines, replace_edited=replace_edited)
        lines.read(own.read)
        if own.has_text(card.name, text) or own.may_write(card.name):
            own.write_text(card.name, text)
            log.info("model card: %s", card)
    with contextlib.suppress(OSError):  # Windows keeps a file that is open
        lock.unlink()


def card_after(path: Path) -> None:
    """Write the card of a model file that a command has just written.

    The command is done: what goes wrong here is a warning.
    """
    try:
        write_card(path)
    except Exception as error:  # the work of hours is done, and is not to fail for its description
        log.warning("no model card of %s: %s", path, one_line(error))
        log.debug("where it came from", exc_info=True)

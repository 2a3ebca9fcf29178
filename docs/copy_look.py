"""Copy what both halves have alike from the sound half to footprints.

Run by ``make docs``. The halves do not import each other, so each has its own copy of the style of
figures, of the pages of reports and of reviews, and of how work is shared out.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMMAND = "python docs/copy_look.py"
HALVES = ("ANIMAL-SPOT", "footprints")
_TRUST = ("answers", "precision", "sampling", "score_bins", "score_curve", "summary")
_REVIEWING = (
    *("agreement", "answering", "decision_store", "guard", "ordering", "request_parts"),
    *("serving", "store", "verdicts"),
)
_PAGE = (
    *("address", "app", "cells", "chart", "dialogs", "dom", "edges", "format", "items", "judge"),
    *("kept", "list", "panel", "parts", "server", "single", "statistics"),
)
_SAME = (  # has the same name in both halves
    *("reporting/page.py", "reporting/pictures.py"),
    *(f"reporting/static/page.{kind}" for kind in ("html", "css", "js")),
    *(f"trust/{name}.py" for name in _TRUST),
    *(f"reviewing/{name}.py" for name in _REVIEWING),
    *(f"reviewing/static/{name}.js" for name in _PAGE),
    "reviewing/static/review.css",
)
COPIES = (  # from, to
    ("ANIMAL-SPOT/figures/look.mplstyle", "footprints/scores/look.mplstyle"),
    ("ANIMAL-SPOT/figures/look.py", "footprints/scores/look.py"),
    ("ANIMAL-SPOT/figures/confusion.py", "footprints/scores/confusion.py"),
    *(tuple(f"{half}/{name}" for half in HALVES) for name in _SAME),
    ("ANIMAL-SPOT/prediction/shard.py", "footprints/system/shard.py"),
    ("ANIMAL-SPOT/cluster/handing_out.py", "footprints/cluster/handing_out.py"),
)
OF_PHOTOS = ("ANIMAL-SPOT/prediction/shard.py", "ANIMAL-SPOT/cluster/handing_out.py")
IMPORTS = (  # the same helpers there
    ("animal_spot.utils.text", "footprints.system.text"),
    ("animal_spot.figures.look", "footprints.scores.look"),
    ("animal_spot.reporting.page", "footprints.reporting.page"),
    *((f"animal_spot.trust.{name}", f"footprints.trust.{name}") for name in _TRUST),
    *((f"animal_spot.reviewing.{name}", f"footprints.reviewing.{name}") for name in _REVIEWING),
)


def copied(source: str) -> str:
    """Return the text that the copy of a file has.

    Raises:
        ValueError: If the file imports what footprints does not have.
    """
    text = (ROOT / source).read_text(encoding="utf-8")
    for ours, theirs in IMPORTS:
        text = text.replace(f"from {ours} import", f"from {theirs} import")
    if source in OF_PHOTOS:
        text = text.replace("recording", "photo")
    if "animal_spot" in text:
        raise ValueError(f"{source}: names animal_spot, so footprints cannot have a copy of it")
    return text


def main() -> None:
    """Write the copies that differ."""
    for source, copy in COPIES:
        text, path = copied(source), ROOT / copy
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

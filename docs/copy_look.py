"""Copy what both halves look alike by from the sound half to footprints.

Run by ``make docs``. The halves do not import each other, so each has its own copy of the style of
figures and of the page of reports.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMMAND = "python docs/copy_look.py"
COPIES = (  # from, to
    ("ANIMAL-SPOT/figures/look.mplstyle", "footprints/scores/look.mplstyle"),
    ("ANIMAL-SPOT/figures/look.py", "footprints/scores/look.py"),
    ("ANIMAL-SPOT/figures/confusion.py", "footprints/scores/confusion.py"),
    ("ANIMAL-SPOT/reporting/page.py", "footprints/reporting/page.py"),
    ("ANIMAL-SPOT/reporting/pictures.py", "footprints/reporting/pictures.py"),
    ("ANIMAL-SPOT/reporting/static/page.html", "footprints/reporting/static/page.html"),
    ("ANIMAL-SPOT/reporting/static/page.css", "footprints/reporting/static/page.css"),
    ("ANIMAL-SPOT/reporting/static/page.js", "footprints/reporting/static/page.js"),
)
IMPORTS = (  # the same helpers there
    ("animal_spot.utils.text", "footprints.system.text"),
    ("animal_spot.figures.look", "footprints.scores.look"),
    ("animal_spot.reporting.page", "footprints.reporting.page"),
)


def copied(source: str) -> str:
    """Return the text that the copy of a file has.

    Raises:
        ValueError: If the file imports what footprints does not have.
    """
    text = (ROOT / source).read_text(encoding="utf-8")
    for ours, theirs in IMPORTS:
        text = text.replace(f"from {ours} import", f"from {theirs} import")
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

"""Where things are in the project."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
SOUND = ROOT / "ANIMAL-SPOT"
GOLDEN = TESTS / "golden"  # numbers measured on the original program
SHARED = ROOT.parent / "shared"  # real data and cases, not part of the repository


def as_installed(root: Path) -> str:
    """Return a ``PYTHONPATH`` with which Python finds the package in a copy of the project."""
    place = root / "installed"
    place.mkdir()
    (place / "animal_spot").symlink_to(root / "ANIMAL-SPOT")
    return str(place)

"""Which release of this program, and of what it computes with, is installed."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("animal-spot", "tensorflow", "keras", "numpy")


def versions() -> dict[str, str]:
    """Return the releases by name; of what is not installed there is none."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        if number := version_of(name):
            found[name] = number
    return found


def version_of(package: str) -> str | None:
    """Return the release of a package, or None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None

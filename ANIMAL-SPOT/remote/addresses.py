"""Addresses of files elsewhere, such as ``s3://bucket/2024/a.wav``, and the paths they go by.

Recordings are paths everywhere. One that lies elsewhere goes by the path ``s3:/bucket/2024/a.wav``,
which is in no folder, and from which its address follows: in any process, without a list.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

SCHEMES = ("s3", "gs", "az", "https", "http", "memory", "file")
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")  # of two letters and more: C:// is a drive
_PATH = re.compile(rf"({'|'.join(SCHEMES)}):[/\\]")
_KEPT = "%~"  # before parts of a key that a path would lose
_LOST = ("", ".", "..")
_ROOTED = ("memory", "file")  # whose paths begin with a slash
_SECRET_NAMES = re.compile("SECRET|TOKEN|PASSWORD|PASSWD|KEY|CREDENTIAL", re.IGNORECASE)
_SHORTEST_SECRET = 8  # characters: shorter values stand in words that hide nothing


def is_address(text: str) -> bool:
    """Tell whether a text is an address, of whatever scheme."""
    return _ADDRESS.match(text) is not None


def path_of(address: str) -> Path:
    """Return the path that an address goes by.

    Raises:
        ValueError: If it is of a scheme that is not read, or holds credentials; the message shows
            none of them.
    """
    scheme, _, rest = address.partition("://")
    scheme = scheme.lower()
    if scheme not in SCHEMES:
        raise ValueError(
            f"{without_secrets(address)}: addresses of {scheme}:// are not read, but those of "
            f"{', '.join(f'{known}://' for known in SCHEMES)}"
        )
    if "@" in rest.partition("/")[0]:
        raise ValueError(
            f"{without_secrets(address)}: user and password do not belong into an address; they "
            f"are taken from where the library for {scheme}:// looks for them"
        )
    if scheme in ("http", "https") and re.search("[?#]", rest):
        raise ValueError(
            f"{without_secrets(address)}: addresses with ? or # are not read, since what follows "
            "may be a signature, and all tables show addresses"
        )
    rest = rest.lstrip("/") if scheme in _ROOTED else rest
    parts = rest.rstrip("/").split("/")
    if not parts[0]:
        raise ValueError(f"{address} names neither a place nor a file")
    return Path(
        f"{scheme}:", *(_KEPT + p if p in _LOST or p.startswith(_KEPT) else p for p in parts)
    )


def path_in(text: str) -> Path:
    """Return the path that a text of a user or a table stands for, wherever that lies.

    Raises:
        ValueError: As ``path_of``.
    """
    return path_of(text) if is_address(text) else Path(text)


def is_remote(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path stands for an address."""
    text = os.fspath(path)
    return isinstance(text, str) and _PATH.match(text) is not None


def scheme_of(path: Path) -> str:
    """Return the scheme of a path that stands for an address."""
    return path.parts[0].removesuffix(":")


def shown(path: Path) -> str:
    """Return what people see of a path: the address that it stands for, or itself."""
    if not is_remote(path):
        return str(path)
    scheme = scheme_of(path)
    root = "/" if scheme == "file" else ""
    return f"{scheme}://{root}" + "/".join(part.removeprefix(_KEPT) for part in path.parts[1:])


def full_name(path: str | os.PathLike[str]) -> str:
    """Return what a recording is known by wherever one works: its address or absolute path."""
    return shown(Path(path)) if is_remote(path) else os.path.abspath(path)


def without_secrets(text: str) -> str:
    """Return a text without what may be a credential.

    That is the user of an address, what follows its ``?``, and what stands in environment variables
    that are named like a secret.
    """
    text = re.sub(r"(?<=://)[^/\s]*@", "", text)
    text = re.sub(r"((?:https?|s3|gs|az)://[^\s?#'\"]*)[?#][^\s'\"]*", r"\1", text)
    for value in _secrets(os.environ.items()):
        text = text.replace(value, "***")
    return text


def _secrets(variables: Iterable[tuple[str, str]]) -> list[str]:
    return [
        value
        for name, value in variables
        if _SECRET_NAMES.search(name) and len(value) >= _SHORTEST_SECRET
    ]

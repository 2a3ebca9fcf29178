"""The folder of crops: each is kept once, and linked into the folders that training reads."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from footprints.system.errors import UserError
from footprints.system.files import refuse_links, write_bytes
from footprints.system.text import printable

_OUR_NAME = re.compile(r"[A-Za-z0-9._-]{1,40}_[0-9a-f]{16}\.png|\.unfinished-.*")
INCOMING = "incoming"
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9-]+")


class CropStore:
    """Crops in ``<folder>/<ab>/<key>.png``; new ones arrive in a folder beside these.

    Args:
        folder: Of all crops.
        incoming: Name of the folder in it where new ones arrive, of this process alone.

    Raises:
        UserError: If one of these folders is a link, as writing would leave the output folder.
    """

    def __init__(self, folder: Path, incoming: str = INCOMING) -> None:
        self.folder = folder
        self.incoming = folder / incoming
        refuse_links(self.incoming, folder.parent)
        self.incoming.mkdir(parents=True, exist_ok=True)
        with os.scandir(folder) as entries:
            for entry in entries:
                refuse_links(folder / entry.name, folder)
        self._run = secrets.token_hex(4)
        self.clear_incoming()

    def clear_incoming(self) -> None:
        """Delete what a killed run left half done."""
        for path in self.incoming.iterdir():
            path.unlink()

    def new_incoming(self, number: int) -> Path:
        """Name a file that no other run uses: a process of a killed run may write one more."""
        return self.incoming / f"{self._run}-{number}.png"

    def path_of(self, key: str) -> Path:
        """Return where the crop of a key is kept."""
        return self.folder / key[:2] / f"{key}.png"

    def has(self, key: str, n_bytes: int) -> bool:
        """Tell whether a crop is there in its full size."""
        try:
            return os.stat(self.path_of(key)).st_size == n_bytes
        except OSError:
            return False

    def take(self, arrived: Path, key: str) -> int:
        """Move a finished crop to its place and return its size in bytes."""
        target = self.path_of(key)
        target.parent.mkdir(exist_ok=True)
        n_bytes = arrived.stat().st_size
        os.replace(arrived, target)
        return n_bytes


def crop_key(sha256: str, recipe: str) -> str:
    """Name a crop after the photo's bytes and the settings that it was made with."""
    return hashlib.sha256(f"{sha256} {recipe}".encode()).hexdigest()[:32]


def crop_name(source: str, key: str) -> str:
    """Return the file name of a crop in the folders for training.

    It begins like the photo's name, for people, and ends in a digest of the photo's path and the
    crop's key: two photos never share a name, and a name never stands for two different crops.
    """
    stem = _NOT_PLAIN.sub("-", source.rsplit("/", 1)[-1].rsplit(".", 1)[0]).strip("-")[:40]
    digest = hashlib.sha256(source.encode(errors="surrogateescape") + b"\0" + key.encode())
    return f"{stem or 'photo'}_{digest.hexdigest()[:16]}.png"


def pending_changes(folder: Path, wanted: Mapping[str, Path], folders: list[str]) -> bool:
    """Tell whether ``lay_out`` would change anything; same arguments and errors."""
    if set(present(folder)) != set(wanted) or any(not (folder / name).is_dir() for name in folders):
        return True
    return any(not _is_copy(folder / name, crop) for name, crop in wanted.items())


def lay_out(folder: Path, wanted: Mapping[str, Path], folders: list[str]) -> None:
    """Make a folder hold exactly the wanted crops, by hard links, or copies where links fail.

    Only crops of ours are removed, and folders that are empty then.

    Args:
        folder: Of one data set.
        wanted: Path below ``folder``, as ``train/<class>/<name>.png`` -> crop in the store.
        folders: Folders below ``folder`` that are to be there, also if empty.

    Raises:
        UserError: If there are files of others, or links to folders, where crops belong.
    """
    for name in present(folder):
        if name not in wanted or not _is_copy(folder / name, wanted[name]):
            (folder / name).unlink()
    for name in folders:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, crop in wanted.items():
        target = folder / name
        if target.exists():
            continue
        try:
            os.link(crop, target)
        except OSError:  # no hard links here, as on memory cards, or too many of them
            write_bytes(target, crop.read_bytes())
            shutil.copystat(crop, target)
    for part in _subfolders(folder):
        for place in [*_subfolders(part), part]:
            if place.relative_to(folder).as_posix() not in folders:
                with contextlib.suppress(OSError):  # something is in it: `folders` names it below
                    place.rmdir()


def present(folder: Path) -> list[str]:
    """List the crops that lie in ``<part>/<class>/`` of a set's folder."""
    refuse_links(folder, folder.parent)
    found = []
    for part in _subfolders(folder):
        for place in _subfolders(part):
            with os.scandir(place) as entries:
                for entry in entries:
                    if not _OUR_NAME.fullmatch(entry.name) or entry.is_dir(follow_symlinks=False):
                        raise UserError(
                            f"{printable(entry.path)}: is not from prepare; move it elsewhere"
                        )
                    found.append(f"{part.name}/{place.name}/{entry.name}")
    return found


def _subfolders(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        refuse_links(path, folder)
        if path.is_dir():
            yield path


def _is_copy(path: Path, crop: Path) -> bool:
    """Tell whether a path is a link to a crop, or a copy of it. Names never change their crop."""
    try:
        here, there = os.lstat(path), os.stat(crop)
    except OSError:
        return False
    return here.st_ino == there.st_ino or (
        here.st_size == there.st_size and here.st_mtime_ns == there.st_mtime_ns
    )

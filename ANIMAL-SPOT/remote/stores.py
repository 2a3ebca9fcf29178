"""Files of buckets and web servers, by fsspec: looked up, listed, read, with patience.

Credentials are found by the libraries themselves, as s3fs, gcsfs and aiohttp document. What is said
of a failure holds none of them.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import itertools
import logging
import os
import random
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from animal_spot.remote.addresses import path_of, scheme_of, shown, without_secrets
from animal_spot.remote.side_by_side import side_by_side
from animal_spot.utils.files import digest_of

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

RETRIES = 3
_FIRST_WAIT_S = 0.5  # then three times as long each time, and by chance half more or less
_LISTERS = 8  # folders that are listed at the same time
_CONNECT_S, _SILENT_S = 30, 60  # after which a web server is given up
_VERSIONS = ("ETag", "etag", "md5Hash", "content_md5")  # what says that content has changed
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")
_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs", "http": "aiohttp", "https": "aiohttp"}
_MISSING = ("not there", "not there, HTTP status 404")
_PASSING = {408, 425, 429}  # statuses of web servers that ask for patience
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
_NO_CREDENTIALS = {
    *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"),
    *("ProfileNotFound", "DefaultCredentialsError", "ParamValidationError"),
}

State = list[int]  # size, hash of what says its version, 0: as ``file_state``, three numbers
_states: dict[Path, State] = {}  # what listings have said, so that each file is not asked for again
_given_up: dict[Path, str] = {}  # files that patience was in vain for, and why


class RemoteError(OSError):
    """A file elsewhere that cannot be had.

    Args:
        path: Which one.
        reason: Why, without credentials.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{shown(path)}: {reason}")
        self.reason = reason


class MissingError(RemoteError, FileNotFoundError):
    """There is no such file."""


def state_of(path: Path) -> State:
    """Return what changes whenever a file is written, as a listing or the file's server says.

    Raises:
        RemoteError: If it is not there, or cannot be asked for.
    """
    if path not in _states:
        _states[path] = _state(_info(path))
    return list(_states[path])


def size_of(path: Path) -> int:
    """Return the bytes of a file; 0 if its server does not say."""
    return state_of(path)[0]


def files_at(address: str, *, hidden: bool = False) -> tuple[list[Path], bool]:
    """Return the file at an address, or those below it, sorted; and whether it is such a folder.

    Args:
        address: Of a file or folder.
        hidden: Return hidden ones and those of hidden folders too.

    Raises:
        ValueError: If the address cannot be used.
        MissingError: If nothing is there.
        RemoteError: If it cannot be listed.
    """
    path = path_of(address)
    info = _info(path)
    if scheme_of(path) in ("http", "https"):
        if address.endswith("/") or "html" in str(info.get("mimetype")):
            raise ValueError(
                f"{shown(path)}: a web server does not list its files; give their addresses, or a "
                ".txt file with one a line"
            )
        info["type"] = "file"
    if info["type"] != "directory":
        _states[path] = _state(info)
        return [path], False
    return sorted(_below(path, hidden)), True


def _below(folder: Path, hidden: bool) -> Iterator[Path]:
    """Yield the files below a folder: of a bucket, a thousand with each question."""
    store = _store(scheme_of(folder))
    inside = _asked(folder, lambda: store.ls(_name(folder), detail=True))
    own = _name(folder).strip("/")
    entries = [entry for entry in inside if entry["name"].strip("/") != own]
    folders = [entry["name"] for entry in entries if entry["type"] == "directory"]

    def found_in(name: str) -> dict[str, dict[str, Any]]:
        return _asked(folder, lambda: store.find(name, detail=True))

    entries = [entry for entry in entries if entry["type"] != "directory"]
    yield from _noted(folder, entries, hidden)
    for found in side_by_side(found_in, folders, _LISTERS):
        store.invalidate_cache()  # it would keep a kilobyte for each file
        yield from _noted(folder, found.values(), hidden)


def _noted(folder: Path, entries: Any, hidden: bool) -> Iterator[Path]:
    """Yield the path of each file, and note what is known of it."""
    scheme, depth = scheme_of(folder), len(_name(folder).strip("/").split("/"))
    for entry in entries:
        name = entry["name"].lstrip("/")
        if name.endswith("/") or entry["type"] == "directory":
            continue  # an object that stands for a folder
        if not hidden and any(part.startswith(".") for part in name.split("/")[depth:]):
            continue
        path = path_of(f"{scheme}://{name}")
        _states[path] = _state(entry)
        yield path


def text_at(path: Path) -> bytes:
    """Return the content of a small file, such as a list.

    Raises:
        RemoteError: If it cannot be read.
    """
    return _asked(path, lambda: _store(scheme_of(path)).cat_file(_name(path)))


def range_of(path: Path, first: int, last: int, size: int) -> bytes:
    """Return the bytes of a file from ``first`` to before ``last``.

    Raises:
        RemoteError: If they cannot be read.
    """

    def read() -> bytes:
        content = _store(scheme_of(path)).cat_file(_name(path), start=first, end=last)
        if len(content) == size != last - first:
            content = content[first:last]  # of a server that knows no ranges
        if len(content) != last - first:
            raise ConnectionError(f"{len(content)} bytes came instead of {last - first}")
        return content

    return _asked(path, read)


def fetch(path: Path, to: Path) -> State:
    """Copy a file whole to a place of this computer; return what its state was.

    Raises:
        RemoteError: If it cannot be had; nothing is at the place then.
    """

    def get() -> State:
        state = _states[path] = _state(_store(scheme_of(path)).info(_name(path)))
        _store(scheme_of(path)).get_file(_name(path), str(to))
        n_bytes = to.stat().st_size
        if state[0] and n_bytes != state[0]:
            raise ConnectionError(f"{n_bytes} bytes came instead of {state[0]}")
        return state

    try:
        return _asked(path, get, once_more=True)
    except BaseException:
        with contextlib.suppress(OSError):
            to.unlink(missing_ok=True)
        raise


def state_now(path: Path) -> State | None:
    """Return the state of a file, asked for now; None if there is none.

    Raises:
        RemoteError: If it cannot be asked for.
    """
    try:
        return _state(_asked(path, lambda: _known_now(path), once_more=True))
    except MissingError:
        return None


def put(source: Path, path: Path) -> State:
    """Copy a file of this computer to an address, where it is whole or not at all.

    Raises:
        RemoteError: If it cannot be written.
    """

    def send() -> State:
        store = _store(scheme_of(path))
        store.put_file(str(source), _name(path))
        state = _state(_known_now(path))
        if state[0] != source.stat().st_size:
            raise ConnectionError(f"{state[0]} bytes arrived of {source.stat().st_size}")
        return state

    return _asked(path, send, once_more=True)


def keep_copy(path: Path) -> None:
    """Copy a file beside itself, as ``.bak``, ``.bak2`` and so on.

    Raises:
        RemoteError: If it cannot be copied.
    """
    for number in itertools.count(1):
        copy = path.with_name(f"{path.name}.bak{number if number > 1 else ''}")
        if state_now(copy) is None:
            names = _name(path), _name(copy)
            _asked(path, lambda: _store(scheme_of(path)).cp_file(*names), once_more=True)  # noqa: B023
            return


def probe(folder: Path) -> None:
    """Prove that a file can be written below an address.

    Raises:
        RemoteError: If not.
    """
    path = folder / f".writable.{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory() as here:
        source = Path(here, "probe")
        source.write_bytes(b"\0")
        put(source, path)
    _asked(path, lambda: _store(scheme_of(path)).rm_file(_name(path)))


def _known_now(path: Path) -> dict[str, Any]:
    store = _store(scheme_of(path))
    store.invalidate_cache()
    return dict(store.info(_name(path)))


def _info(path: Path) -> dict[str, Any]:
    return dict(_asked(path, lambda: _store(scheme_of(path)).info(_name(path))))


def _state(info: dict[str, Any]) -> State:
    said = [str(info[key]) for key in _VERSIONS if info.get(key)]
    said = said or [str(info[key]) for key in _TIMES if info.get(key)]
    version = int(digest_of(said[0].encode())[:12], 16) if said else 0
    return [int(info.get("size") or 0), version, 0]


def _name(path: Path) -> str:
    """Return what the library calls a file."""
    address = shown(path)
    if scheme_of(path) in ("http", "https"):
        return address
    root = "/" if scheme_of(path) in ("memory", "file") else ""
    return root + address.partition("://")[2].lstrip("/")


@functools.cache
def _store(scheme: str) -> Any:
    """Return fsspec's file system for a scheme; it is safe in threads.

    Raises:
        ImportError: If a package is missing; the message says which.
    """
    options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
    try:
        import fsspec

        kind = fsspec.get_filesystem_class(scheme)
        if scheme in ("http", "https"):
            import aiohttp

            waits = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_SILENT_S)
            options["client_kwargs"] = {"timeout": waits, "trust_env": True}
    except ImportError as error:
        package = _PACKAGES.get(scheme, "fsspec")
        raise ImportError(
            f"addresses of {scheme}:// need the package {package}: python -m pip install "
            f"fsspec {package}"
        ) from error
    return kind(**options)


def _asked(path: Path, ask: Callable[[], Answer], *, once_more: bool = False) -> Answer:
    """Ask until there is an answer, with longer and longer waits; give up after ``RETRIES``.

    Args:
        path: What is asked about. What was given up is not asked for again,
        once_more: but for this.
        ask: Raises what the library does.

    Raises:
        RemoteError: If there is no answer.
    """
    if path in _given_up and not once_more:
        raise RemoteError(path, _given_up[path])
    for attempt in range(RETRIES + 1):
        try:
            return ask()
        except ImportError:
            raise
        except Exception as error:
            reason, is_final = _reason(error)
            if is_final:
                raise (MissingError if reason in _MISSING else RemoteError)(path, reason) from None
            if attempt == RETRIES:
                _given_up[path] = f"{reason} ({RETRIES + 1} tries)"
                raise RemoteError(path, _given_up[path]) from None
            log.debug("%s: %s; trying again", shown(path), reason)
            time.sleep(_FIRST_WAIT_S * 3**attempt * random.uniform(0.5, 1.5))
    raise AssertionError


def _reason(error: BaseException) -> tuple[str, bool]:
    """Say why something failed, and whether another try is of no use."""
    names = {kind.__name__ for kind in type(error).__mro__}
    text = " ".join(without_secrets(str(error)).split())
    status = getattr(error, "status", None)
    cause = error.__cause__
    if isinstance(error, FileNotFoundError) and _is_of_web(cause):
        return _reason(cause)  # fsspec says so of all that a web server refuses
    if isinstance(status, int):
        if status == 404:
            return _MISSING[1], True
        meaning = {401: "no permission, ", 403: "no permission, "}
        is_final = 400 <= status < 500 and status not in _PASSING
        return f"{meaning.get(status, '')}HTTP status {status}", is_final
    if isinstance(error, FileNotFoundError):
        return _MISSING[0], True
    if isinstance(error, PermissionError):
        return f"no permission ({text})", True
    if names & _NO_CREDENTIALS:
        return f"no credentials ({text})", True
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        return f"{os.strerror(error.errno)} while it was copied here (--cache_dir)", True
    is_final = isinstance(error, (ValueError, NotImplementedError, IsADirectoryError))
    return text or type(error).__name__, is_final


def _is_of_web(error: BaseException | None) -> bool:
    return error is not None and type(error).__module__.partition(".")[0] in ("aiohttp", "asyncio")

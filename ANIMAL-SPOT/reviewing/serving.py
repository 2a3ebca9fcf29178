"""A page served on this computer until the program is asked to stop."""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from animal_spot.reviewing.guard import TOKEN, Guard, digest_of
from animal_spot.reviewing.store import Store

HOME = "127.0.0.1"
_TOKEN_BYTES = 24
_MOST_TOKENS = 5  # of runs whose pages may go on
_GRACE_S = 3  # for answers that are under way at the end
_LOCAL = ("127.0.0.1", "localhost")
_SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")
_EVERYWHERE = ("0.0.0.0", "::")
# What asks a program to end, where the system has it; SIGHUP and SIGBREAK: its window was closed.
_STOPS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
)


@dataclass(frozen=True)
class Place:
    """Where a page can be opened.

    Attributes:
        host: Address to listen at; another one than ``HOME`` lets other computers in.
        port: 0: that of last time if it is free, else any.
        browser: Whether a browser is opened.
    """

    host: str = HOME
    port: int = 0
    browser: bool = True


def user() -> str:
    """Return the name of this computer's user, or one that stands for it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "reviewer"


def serve(app: ASGIApp, store: Store, place: Place, started: Callable[[], None]) -> None:
    """Serve a page, and print its address, until the program is asked to stop.

    Args:
        app: What answers, unguarded.
        store: Keeps port and digests of tokens, so that a page that is open finds the server again.
        place: Where.
        started: Called before the address is printed.

    Raises:
        ValueError: If the port is taken, or there is no such address.
    """
    with contextlib.closing(_listening_again(place, store.setting("port"))) as listening:
        port = listening.getsockname()[1]
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        earlier = store.setting("tokens", [])
        store.keep_setting("port", port)
        store.keep_setting("tokens", [*earlier, digest_of(token)][-_MOST_TOKENS:])
        called = _LOCAL if _is_local(place.host) else (*_LOCAL, *_names(place.host))
        hosts = frozenset(f"{_bracketed(name)}:{port}".lower() for name in called)
        guarded = Guard(app, token, hosts, port, still_good(earlier, place.host))
        shown = HOME if place.host in _EVERYWHERE else place.host
        address = f"http://{_bracketed(shown)}:{port}/?{TOKEN}={token}"
        server = _Server(
            uvicorn.Config(
                guarded,
                log_config=None,
                access_log=False,
                lifespan="on",
                timeout_graceful_shutdown=_GRACE_S,
                server_header=False,
            )
        )

        def show() -> None:
            started()
            print(address, flush=True)
            if place.browser:
                threading.Thread(target=_open, args=(address,), daemon=True).start()

        server.when_started = show
        server.run([listening])


def _is_local(host: str) -> bool:
    return host in (HOME, "localhost")


def still_good(earlier: Iterable[str], host: str) -> frozenset[str]:
    """Return the tokens of earlier runs that count; none where other computers could use them."""
    return frozenset(earlier) if _is_local(host) else frozenset()


def _open(address: str) -> None:
    """Open a browser, if there is a screen: one of text would take this terminal."""
    if sys.platform.startswith("linux") and not any(map(os.environ.get, _SCREENS)):
        return
    with contextlib.suppress(webbrowser.Error, OSError):
        webbrowser.open(address)


def _listening_again(place: Place, last_port: int | None) -> socket.socket:
    """Return a socket that listens; unless a port is named at that of last time, if it is free.

    A page that is open finds the server again, and what it kept meanwhile.
    """
    if not place.port and last_port:
        with contextlib.suppress(ValueError):
            return _listening(place.host, last_port)
    return _listening(place.host, place.port)


def _listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        ValueError: If the port is taken, or there is no such address.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            if sys.platform != "win32":  # there it would let two programs have one port
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, port))
            listening.listen(128)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        advice = "name another --port, or none" if port else "name another --host"
        reason = error.strerror or error
        raise ValueError(f"cannot listen at {host} port {port}: {reason}; {advice}") from error
    return listening


def _names(host: str) -> tuple[str, ...]:
    """Return what other computers may call this one."""
    if host not in _EVERYWHERE:
        return (host,)
    names = [socket.gethostname(), socket.getfqdn()]
    with contextlib.suppress(OSError):
        found = socket.getaddrinfo(socket.gethostname(), None)
        names += [address[4][0] for address in found]
    return tuple(dict.fromkeys(names))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


class _Server(uvicorn.Server):
    """A server that ends without a word when it is asked to."""

    def when_started(self) -> None:
        """Replaced by what is done once the page can be opened."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        if self.started:
            self.when_started()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End at the first signal in order, and at the second at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {}
        for number in _STOPS:
            if signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, self.handle_exit)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

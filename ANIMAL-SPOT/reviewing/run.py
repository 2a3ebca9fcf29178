"""A run of ``review.py``: the project opened, the server started, until Ctrl-C."""

from __future__ import annotations

import contextlib
import getpass
import logging
import os
import secrets
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Iterable, Iterator
from pathlib import Path

import uvicorn

from animal_spot.data.noise_class import NOISE
from animal_spot.reviewing.answers import Review
from animal_spot.reviewing.config import HOME, ReviewConfig
from animal_spot.reviewing.guard import TOKEN, Guard, digest_of
from animal_spot.reviewing.importing import bring_in
from animal_spot.reviewing.project import Project
from animal_spot.reviewing.retrain_job import RetrainJob
from animal_spot.reviewing.server import make_app
from animal_spot.reviewing.similar import build_index
from animal_spot.utils.files import require_writable_folder
from animal_spot.utils.interrupt import STOPS
from animal_spot.utils.names import composed
from animal_spot.utils.status import OK

_TOKEN_BYTES = 24
_MOST_TOKENS = 5  # of runs whose pages may go on
_GRACE_S = 3  # for answers that are under way at the end
_LOCAL = ("127.0.0.1", "localhost")
_SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")
_EVERYWHERE = ("0.0.0.0", "::")

log = logging.getLogger("REVIEW")


def run(config: ReviewConfig) -> int:
    """Serve the page until the program is asked to stop; return the exit status.

    Raises:
        ValueError: If something given cannot be used.
        OSError: If something cannot be read or written, or the port is taken.
    """
    path = Path(config.project).absolute()
    _require_outside(path, config)
    require_writable_folder(path.parent, "the folder of --project")
    is_new = not path.exists()
    with contextlib.closing(Project(path)) as project:
        with _removed_if_empty(project) if is_new else contextlib.nullcontext():
            if config.predictions is not None or config.recordings:
                bring_in(project, config)
        _look_for_recordings(project)
        review = Review(
            project,
            composed(config.reviewer or _user()).strip(),
            tuple(composed(name).strip() for name in config.classes),
            composed(config.noise_class or NOISE),
            config.model is not None,
            config.window,
            _job(path, config),
        )
        if config.index is not None:
            model = config.index or config.model
            return build_index(project, model, config.embedding_model, config.predictions)
        if config.statistics:
            print("\n".join(_statistics(review, config)))
        else:
            _serve(review, config)
    return OK


@contextlib.contextmanager
def _removed_if_empty(project: Project) -> Iterator[None]:
    """Leave no file of a review behind that could not begin."""
    try:
        yield
    except BaseException:
        if not project.recordings():
            project.close()
            project.path.unlink()
        raise


def _look_for_recordings(project: Project) -> None:
    """Say which recordings are not there any more.

    Raises:
        ValueError: If the project has none at all.
    """
    gone = project.look_for_recordings()
    every = len(project.recordings())
    if not every:
        raise ValueError(
            f"there is nothing to review in {project.path}: give --predictions or --recordings"
        )
    if gone:
        log.warning(
            "%d of %d recordings of %s are not there, such as %s: put them back where they were; "
            "till then they can be neither seen nor heard, and no clips are cut of them",
            *(len(gone), every, project.path, gone[0].path),
        )


def _job(project: Path, config: ReviewConfig) -> RetrainJob | None:
    if config.model is None:
        return None
    return RetrainJob(
        project,
        Path(config.model).absolute(),
        None if config.data_dir is None else Path(config.data_dir).absolute(),
        config.noise_class,
        next(iter(config.embedding_model), None),
    )


def _statistics(review: Review, config: ReviewConfig) -> list[str]:
    from animal_spot.trust.summary import summary, summary_lines  # takes a second

    rows = review.queue.answers()
    if not rows:
        return ["the project has no detection of a model"]
    found = summary(
        rows,
        wanted=(config.precision,),
        thresholds=review.thresholds({row[0] for row in rows}),
        seed=review.project.setting("seed", 0),
    )
    return summary_lines(found)


def _require_outside(path: Path, config: ReviewConfig) -> None:
    """Make sure that the project does not lie in the predictions, where nothing is changed."""
    if config.predictions is not None:
        folder = Path(config.predictions).resolve()
        if path.resolve().is_relative_to(folder):
            raise ValueError(
                f"--project {path} lies in {folder}, in which nothing is changed: name a file "
                "elsewhere"
            )


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "reviewer"


def _serve(review: Review, config: ReviewConfig) -> None:
    project = review.project
    with contextlib.closing(_listening_again(config, project.setting("port"))) as listening:
        port = listening.getsockname()[1]
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        earlier = project.setting("tokens", [])
        project.keep_setting("port", port)
        project.keep_setting("tokens", [*earlier, digest_of(token)][-_MOST_TOKENS:])
        called = _LOCAL if _is_local(config.host) else (*_LOCAL, *_names(config.host))
        hosts = frozenset(f"{_bracketed(name)}:{port}".lower() for name in called)
        app = Guard(make_app(review), token, hosts, port, _still_good(earlier, config.host))
        shown = HOME if config.host in _EVERYWHERE else config.host
        address = f"http://{_bracketed(shown)}:{port}/?{TOKEN}={token}"
        server = _Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="on",
                timeout_graceful_shutdown=_GRACE_S,
                server_header=False,
            )
        )
        server.when_started = lambda: _show(address, config)
        server.run([listening])


def _is_local(host: str) -> bool:
    return host in (HOME, "localhost")


def _still_good(earlier: Iterable[str], host: str) -> frozenset[str]:
    """Return the tokens of earlier runs that count; none where other computers could use them."""
    return frozenset(earlier) if _is_local(host) else frozenset()


def _show(address: str, config: ReviewConfig) -> None:
    log.info("the page is open until Ctrl-C; decisions are kept in %s", config.project)
    print(address, flush=True)
    if not config.no_browser:
        threading.Thread(target=_open, args=(address,), daemon=True).start()


def _open(address: str) -> None:
    """Open a browser, if there is a screen: one of text would take this terminal."""
    if sys.platform.startswith("linux") and not any(map(os.environ.get, _SCREENS)):
        return
    with contextlib.suppress(webbrowser.Error, OSError):
        webbrowser.open(address)


def _listening_again(config: ReviewConfig, last_port: int | None) -> socket.socket:
    """Return a socket that listens; unless a port is named at that of last time, if it is free.

    A page that is open finds the server again, and what it kept meanwhile.
    """
    if not config.port and last_port:
        with contextlib.suppress(ValueError):
            return _listening(config.host, last_port)
    return _listening(config.host, config.port)


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
        for number in STOPS:
            if signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, self.handle_exit)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

"""Ray, met in this module alone: connecting, starting workers, and what their end looks like.

Ray (Apache-2.0, https://docs.ray.io) starts processes on the nodes of a cluster and carries calls.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from animal_spot.utils.environment import pip_install
from animal_spot.utils.errors import RunError, one_line
from animal_spot.utils.hardware import n_cores

LOCAL = "local"
_STORE_BYTES = 80 * 2**20  # for calls and answers, which are small
_ANSWER_S = 10.0  # that an address is given to answer
_CORES_EACH = 4  # of a worker, unless told otherwise

log = logging.getLogger("PREDICT")


class WorkerDied(RuntimeError):  # noqa: N818 - an event, not a fault
    """A worker's process, or its node, is gone."""


def import_ray() -> Any:
    """Import Ray, without its reports to its makers.

    Raises:
        ValueError: If it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Else workers yield to whatever else runs on this machine.
    os.environ.setdefault("RAY_worker_niceness", "0")
    try:
        import ray
    except ImportError as error:
        raise ValueError(f"--ray needs the package ray: {pip_install('ray')}") from error
    return ray


@contextlib.contextmanager
def connected(address: str) -> Iterator[Any]:
    """Start a cluster on this machine, or connect to one, while the block runs.

    Args:
        address: ``local``, ``auto``, ``host:port`` or ``ray://host:port``.

    Raises:
        ValueError: If Ray is not installed.
        RunError: If there is no cluster at that address.
    """
    ray = import_ray()
    _refuse_silent(address)
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    own = {}
    if address == LOCAL:
        own = {
            "num_cpus": n_cores(),
            "include_dashboard": False,
            "object_store_memory": _STORE_BYTES,
        }
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, **own, **quiet)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise RunError(
            f"--ray {address}: no cluster that lets this program in ({one_line(error)}); is Ray of "
            "the same version there, and RAY_AUTH_TOKEN that of the cluster?"
        ) from error
    finally:
        signal.signal(signal.SIGTERM, handler)  # Ray takes it, and a stop would not be noticed
    try:
        yield ray
    finally:
        ray.shutdown()


def _refuse_silent(address: str) -> None:
    """Make sure that something answers as Ray does, which Ray itself tries for minutes.

    Raises:
        RunError: If nothing does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return  # local or auto
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _ANSWER_S) as connection:
            if os.environ.get("RAY_USE_TLS", "0") in ("", "0"):
                _refuse_other_speech(connection)
    except (OSError, OverflowError) as error:
        raise RunError(f"--ray {address}: no cluster there ({one_line(error)})") from error


def _refuse_other_speech(connection: socket.socket) -> None:
    """Make sure that HTTP/2 is spoken, as by all gRPC, see RFC 9113, 3.4 and 4.1.

    Raises:
        OSError: If it is not.
    """
    no_settings = b"\0\0\0\4\0\0\0\0\0"
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + no_settings)
    with connection.makefile("rb") as answers:
        head = answers.read(len(no_settings))
    if len(head) < len(no_settings) or head[3] != no_settings[3]:
        raise OSError("another program answers; the port is 6379, or 10001 after ray://")


@dataclass(frozen=True)
class Shares:
    """How a cluster is shared out.

    Attributes:
        n_workers: Workers.
        n_cores: Of each.
        n_gpus: Of each; a fraction shares a GPU.
    """

    n_workers: int
    n_cores: int
    n_gpus: float


def shared_out(
    nodes: list[dict[str, float]], n_workers: int | None, n_gpus: float | None
) -> Shares:
    """Choose workers for the nodes of a cluster.

    Args:
        nodes: What each has, ``CPU`` and ``GPU``.
        n_workers: How many are wanted; None: all that find room.
        n_gpus: Of each; None: none.

    Raises:
        ValueError: If there is no room for one.
    """
    gpus = n_gpus or 0.0

    def room(cores: int) -> int:
        by_node = [
            min(node.get("CPU", 0) // cores, node.get("GPU", 0) / gpus if gpus else 1e9)
            for node in nodes
        ]
        return sum(int(n + 1e-9) for n in by_node)

    if room(1) < (n_workers or 1):
        raise ValueError(
            f"--ray: the cluster has room for {room(1)} workers, with a core each"
            + (f" and {gpus:g} GPUs" if gpus else "")
            + "; lower --ray_workers or --gpus_per_worker"
        )
    most = int(max(node.get("CPU", 0) for node in nodes))
    if n_workers is not None:
        cores = max(c for c in range(1, most + 1) if room(c) >= n_workers)
        return Shares(n_workers, cores, gpus)
    least = int(min(node["CPU"] for node in nodes if node.get("CPU", 0) >= 1))
    cores = min(_CORES_EACH, least)
    while gpus and room(cores) < room(1):
        cores -= 1
    return Shares(room(cores), cores, gpus)


class RayWorker:
    """A worker on some node.

    Args:
        ray: The module, connected.
        kind: The class whose methods are called.
        shares: What it has of its node.
        arguments: Of the class.
    """

    def __init__(self, ray: Any, kind: type, shares: Shares, *arguments: object) -> None:
        self._ray = ray
        remote = ray.remote(kind).options(
            num_cpus=shares.n_cores, num_gpus=shares.n_gpus, max_restarts=0, max_task_retries=0
        )
        self._actor = remote.remote(*arguments)

    def call(self, method: str, *arguments: object) -> Any:
        """Call a method; return what ``answer`` and ``first_ready`` take."""
        return getattr(self._actor, method).remote(*arguments)

    def end(self) -> None:
        """End its process."""
        with contextlib.suppress(Exception):  # it is gone already
            self._ray.kill(self._actor)


class Messages:
    """Carries what workers say to the driver; workers are given it as an argument."""

    def __init__(self, ray: Any) -> None:
        self._actor = ray.remote(_MessageBox).options(num_cpus=0).remote()
        self._last: Any = None
        self._asked: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_actor": self._actor, "_last": None, "_asked": None}

    def send(self, message: Any) -> None:
        """Send a message; those of one worker keep their order."""
        self._last = self._actor.add.remote(message)

    def flush(self) -> None:
        """Wait until all that this process sent has arrived."""
        ray = import_ray()
        if self._last is not None:
            with contextlib.suppress(ray.exceptions.RayError):  # what carries them is gone
                ray.get(self._last)

    def take(self, seconds: float = 0.0) -> list[Any]:
        """Return what has come since the last time, and wait for that so long at most."""
        ray = import_ray()
        if self._asked is None:
            self._asked = self._actor.take.remote()
        ready, _ = ray.wait([self._asked], timeout=seconds)
        if not ready:
            return []
        asked, self._asked = self._asked, None
        try:
            return ray.get(asked)
        except ray.exceptions.RayError:  # what carries them is gone; the work goes on
            return []

    def end(self) -> None:
        """End its process."""
        with contextlib.suppress(Exception):  # it is gone already
            import_ray().kill(self._actor)


class _MessageBox:
    """The process that keeps messages until they are taken."""

    def __init__(self) -> None:
        self._messages: list[Any] = []

    def add(self, message: Any) -> None:
        self._messages.append(message)

    def take(self) -> list[Any]:
        taken, self._messages = self._messages, []
        return taken


def first_ready(ray: Any, calls: list[Any], seconds: float) -> list[Any]:
    """Return the calls that have an answer, after at most so long."""
    ready, _ = ray.wait(calls, num_returns=len(calls), timeout=0)
    if not ready and calls:
        ready, _ = ray.wait(calls, num_returns=1, timeout=seconds)
    return ready


def answer(ray: Any, call: Any) -> Any:
    """Return the answer of a call.

    Raises:
        WorkerDied: If the worker ended before, whatever ended it.
        Exception: What the method raised.
    """
    exceptions = ray.exceptions
    try:
        return ray.get(call)
    except exceptions.RayTaskError as error:
        cause = error.cause if isinstance(error.cause, Exception) else None
        if isinstance(cause, MemoryError):
            raise WorkerDied("out of memory") from error
        raise (cause or RunError(one_line(error))) from error
    except exceptions.RayError as error:
        raise WorkerDied(_why(exceptions, error)) from error


NODE_GONE = "its node is gone"


def _why(exceptions: Any, error: Exception) -> str:
    text = str(error)
    if isinstance(error, exceptions.OutOfMemoryError) or "memory pressure" in text:
        return "out of memory"
    if isinstance(error, exceptions.NodeDiedError) or "node has died" in text.lower():
        return NODE_GONE
    return ""

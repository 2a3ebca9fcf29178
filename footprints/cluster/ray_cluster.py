"""Ray, met in this module alone: connecting, starting workers, and what their end looks like.

Ray (Apache-2.0, https://docs.ray.io) starts processes on the nodes of a cluster and carries calls.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from footprints.cluster.flags import LOCAL
from footprints.system.environment import pip_install
from footprints.system.errors import UserError
from footprints.system.progress import available_cores
from footprints.system.text import reason_of

_STORE_BYTES = 80 * 2**20  # for calls and answers, which are small
_ANSWER_S = 10.0  # that an address is given to answer
_CORES_EACH = 2  # of a worker, unless told otherwise: the detector's and the classifier's
_SIGNALS = ("SIGTERM", "SIGINT")
NODE_GONE = "its node is gone"


class WorkerDied(RuntimeError):  # noqa: N818 - an event, not a fault
    """A worker's process, or its node, is gone."""


def import_ray() -> Any:
    """Import Ray, without its reports to its makers.

    Raises:
        UserError: If it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Else workers yield to whatever else runs on this machine.
    os.environ.setdefault("RAY_worker_niceness", "0")
    try:
        import ray
    except ImportError as error:
        raise UserError(f"--ray needs the package ray: {pip_install('ray')}") from error
    return ray


@contextlib.contextmanager
def connected(address: str) -> Iterator[Any]:
    """Start a cluster on this machine, or connect to one, while the block runs.

    Args:
        address: ``local``, ``auto``, ``host:port`` or ``ray://host:port``.

    Raises:
        UserError: If Ray is not installed, or there is no cluster at that address.
    """
    ray = import_ray()
    _refuse_silent(address)
    own: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == LOCAL:
        own |= {"num_cpus": available_cores(), "include_dashboard": False}
        own["object_store_memory"] = _STORE_BYTES
    handlers = {name: signal.getsignal(getattr(signal, name)) for name in _SIGNALS}
    try:
        ray.init(address=address, **own)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise UserError(
            f"--ray {address}: no cluster that lets this program in ({reason_of(error, 200)}); is "
            "Ray of the same version there, and RAY_AUTH_TOKEN that of the cluster?"
        ) from error
    finally:
        for name, handler in handlers.items():  # Ray takes them, and a stop would not be noticed
            signal.signal(getattr(signal, name), handler)
    try:
        yield ray
    finally:
        ray.shutdown()


def _refuse_silent(address: str) -> None:
    """Make sure that something answers, which Ray itself tries for minutes.

    Raises:
        UserError: If nothing does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return  # local or auto
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _ANSWER_S):
            pass
    except (OSError, OverflowError) as error:
        raise UserError(f"--ray {address}: no cluster there ({reason_of(error, 200)})") from error


@dataclass(frozen=True)
class Shares:
    """How a cluster is shared out: the workers, and the cores of each."""

    n_workers: int
    n_cores: int


def shared_out(nodes: Sequence[Mapping[str, float]], n_workers: int | None) -> Shares:
    """Choose workers for the nodes of a cluster.

    Args:
        nodes: What each has, ``CPU``.
        n_workers: How many are wanted; None: all that find room, with two cores each.

    Raises:
        UserError: If there is no room for them.
    """
    each = [int(node.get("CPU", 0)) for node in nodes]

    def room(cores: int) -> int:
        return sum(n // cores for n in each)

    if room(1) < (n_workers or 1):
        raise UserError(
            f"--ray: the cluster has room for {room(1)} workers, with a core each; lower "
            "--ray_workers"
        )
    if n_workers is None:
        cores = min(_CORES_EACH, min(n for n in each if n))
        return Shares(room(cores), cores)
    return Shares(n_workers, max(c for c in range(1, max(each) + 1) if room(c) >= n_workers))


class RayWorker:
    """A worker on some node.

    Args:
        ray: The module, connected.
        kind: The class that works there.
        shares: What each worker has.
        *arguments: Of the class.
    """

    def __init__(self, ray: Any, kind: type, shares: Shares, *arguments: object) -> None:
        self._ray = ray
        remote = ray.remote(kind).options(
            num_cpus=shares.n_cores, max_restarts=0, max_task_retries=0
        )
        self._actor = remote.remote(*arguments)

    def call(self, method: str, *arguments: object) -> Any:
        """Call a method; return what ``answer`` and ``first_ready`` take."""
        return getattr(self._actor, method).remote(*arguments)

    def end(self) -> None:
        """End its process."""
        with contextlib.suppress(Exception):  # it is gone already
            self._ray.kill(self._actor)


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
        raise (cause or RuntimeError(str(error))) from error
    except exceptions.RayError as error:
        raise WorkerDied(_why(exceptions, error)) from error


def _why(exceptions: Any, error: Exception) -> str:
    text = str(error)
    if isinstance(error, exceptions.OutOfMemoryError) or "memory pressure" in text:
        return "out of memory"
    if isinstance(error, exceptions.NodeDiedError) or "node has died" in text.lower():
        return NODE_GONE
    return ""

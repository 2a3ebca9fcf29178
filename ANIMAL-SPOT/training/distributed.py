"""Several processes that train one network together, one a GPU or a few a CPU.

Each computes its rows of each batch, so that the batch, its loss and its gradient are those of one
process, but for the order in which sums are rounded. The first process leads: it alone reads the
settings and the clips' folders, and writes files.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous

from animal_spot.data.clip_dataset import share
from animal_spot.training.training_error import TrainingError
from animal_spot.training.whole_batch import WholeBatch
from animal_spot.utils.errors import is_memory_error
from animal_spot.utils.interrupt import STOPS, Interrupted, StopRequest
from animal_spot.utils.processes import Place, place

T = TypeVar("T")

_PATIENCE = timedelta(days=7)  # for what the first process does alone, such as asking a teacher
_ANSWER = timedelta(seconds=15)  # until the first process has said why it ends, if it lives
_LOST = (
    "another process of this training was ended or lost; the last checkpoint is kept: start again "
    "to go on, with as many processes as you like"
)


class LostProcessError(TrainingError):
    """Another process does not answer any more."""


class World:
    """The processes of a training where there is one: nothing is divided, nobody is asked.

    Attributes:
        rank: Number of this process, from 0.
        size: How many there are.
    """

    rank, size = 0, 1

    @property
    def is_first(self) -> bool:
        """Whether this process leads."""
        return self.rank == 0

    def share(self, n: int) -> slice:
        """Return the rows of a batch of ``n`` that are of this process."""
        return share(n, self.rank, self.size)

    def whole(self, own: Tensor, n: int) -> Tensor:
        """Return all ``n`` rows of a batch in their order; the gradient is that of the own ones.

        Args:
            own: This process's rows; further ones after them do not count.
            n: Rows of the whole batch.
        """
        return own

    def one_batch(self, n: int) -> contextlib.AbstractContextManager:
        """Return the context of a forward pass in which ``n`` rows in all are one batch."""
        return contextlib.nullcontext()

    def sum_gradients(self, network: nn.Module) -> None:
        """Add up the gradients that the processes have of one loss."""

    def from_first(self, make: Callable[[], T]) -> T:
        """Return what the first process makes, for as long as that takes."""
        return make()

    def agreed(self, value: float) -> float:
        """Return the first process's value, so that all decide alike."""
        return value

    def check(self, stop: StopRequest) -> None:
        """Raise ``Interrupted`` if any process was asked to stop."""
        stop.check()

    def wait(self) -> None:
        """Go on when all processes are here."""

    def device(self, kind: str) -> torch.device:
        """Return the device of this process, of the kind that the first one has."""
        return torch.device(kind)


ALONE = World()


class Team(World):
    """Several processes; see ``World``.

    Attributes:
        place: Which of them this is.
        is_whole: Whether all answered so far.

    Args:
        here: Which of them this is.
        store: Where they leave words for each other.
    """

    def __init__(self, here: Place, store: dist.Store) -> None:
        self.rank, self.size = here.rank, here.size
        self.place = here
        self.is_whole = True
        self._store = store
        has_gpu = torch.cuda.is_available()
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if has_gpu else "gloo",
            store=dist.PrefixStore("sums", store),
            rank=self.rank,
            world_size=self.size,
        )
        self._patient = dist.new_group(backend="gloo", timeout=_PATIENCE)

    def whole(self, own: Tensor, n: int) -> Tensor:
        """Return all ``n`` rows of a batch in their order; the gradient is that of the own ones."""
        rows = self.share(n)
        own = own[: rows.stop - rows.start]
        found = own.new_zeros((n, *own.shape[1:]))
        found[rows] = own.detach()
        self.add_up(found)
        if own.requires_grad:
            found = torch.cat([found[: rows.start], own, found[rows.stop :]])
        return found

    def one_batch(self, n: int) -> contextlib.AbstractContextManager:
        """Return the context of a forward pass in which ``n`` rows in all are one batch."""
        return WholeBatch(self, self.share(n), n)

    def sum_gradients(self, network: nn.Module) -> None:
        """Add up the gradients that the processes have of one loss."""
        found = [p.grad for p in network.parameters() if p.grad is not None]
        flat = self.add_up(torch.cat([gradient.reshape(-1) for gradient in found]))
        parts = flat.split([gradient.numel() for gradient in found])
        shaped = [part.view(g.shape) for part, g in zip(parts, found, strict=True)]
        torch._foreach_copy_(found, shaped)

    def add_up(self, values: Tensor) -> Tensor:
        """Put into a tensor the sum of those that the processes have, and return it."""
        with self._together():
            dist.all_reduce(values)
        return values

    def of_all(self, values: Tensor) -> Tensor:
        """Return what each process has, shape ``(processes, ...)``; all are of one shape."""
        found = [torch.empty_like(values) for _ in range(self.size)]
        with self._together():
            dist.all_gather(found, values)
        return torch.stack(found)

    def from_first(self, make: Callable[[], T]) -> T:
        """Return what the first process makes, for as long as that takes.

        Raises:
            TrainingError: If it cannot be sent.
        """
        value = make() if self.is_first else None
        sent = [pickled(value)] if self.is_first else [None]
        with self._together():
            dist.broadcast_object_list(sent, group=self._patient)
        return value if self.is_first else pickle.loads(sent[0])

    def agreed(self, value: float) -> float:
        """Return the first process's value, so that all decide alike."""
        said = torch.tensor(value, dtype=torch.float64)
        with self._together():
            dist.broadcast(said, 0)
        return float(said)

    def check(self, stop: StopRequest) -> None:
        """Raise ``Interrupted`` if any process was asked to stop."""
        number = torch.tensor(stop.number or 0)
        with self._together():
            dist.all_reduce(number, dist.ReduceOp.MAX)
        if number:
            raise Interrupted(int(number))

    def wait(self) -> None:
        """Go on when all processes are here."""
        with self._together():
            dist.barrier(group=self._patient)

    def device(self, kind: str) -> torch.device:
        """Return the device of this process, which is then the current one.

        Args:
            kind: ``cpu``, ``cuda`` or ``mps``, as the first process has it.

        Raises:
            TrainingError: If there is none for it.
        """
        if kind == "cuda":
            n, here = torch.cuda.device_count(), self.place
            if here.local_rank >= n:
                raise TrainingError(
                    f"{here.local_size} processes on a machine with {n} GPUs: start torchrun with "
                    "--nproc_per_node of at most that, or train with --no_cuda"
                )
            torch.cuda.set_device(here.local_rank)
        if kind == "mps":
            raise TrainingError(
                "several processes cannot train on --device mps: start one, or leave it out"
            )
        return torch.device(kind)

    # -- the end ------------------------------------------------------------------------------

    def leave_word(self, fault: str) -> None:
        """Let the first process say why this one ends."""
        with contextlib.suppress(RuntimeError):
            self._store.set("fault", f"process {self.rank} of {self.size}: {fault}")

    def word(self) -> str | None:
        """Return what another process left of why it ended, if it did."""
        with contextlib.suppress(RuntimeError):
            if self._store.check(["fault"]):
                return self._store.get("fault").decode()
        return None

    def told(self) -> None:
        """Note that the first process says itself why the training ends."""
        with contextlib.suppress(RuntimeError):
            self._store.set("told", "yes")

    def must_tell(self) -> bool:
        """Tell whether this process must say that the training is over: the first one cannot."""
        try:
            self._store.wait(["told"], _ANSWER)
            return False
        except RuntimeError:
            pass
        try:
            return self._store.add("tellers", 1) == 1
        except RuntimeError:  # torchrun itself is gone
            return True

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        """Turn what gloo and NCCL say when a process is lost into one line."""
        try:
            yield
        except RuntimeError as error:
            if is_memory_error(error):
                raise
            self.is_whole = False
            raise LostProcessError(self.word() or _LOST) from error


def pickled(value: Any) -> bytes:
    """Return a value as it is sent to another process.

    Raises:
        TrainingError: If it cannot be sent.
    """
    try:
        return pickle.dumps(value)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TrainingError(
            f"this network cannot be sent to other processes ({error}); train it in one, without "
            "torchrun"
        ) from error


@contextlib.contextmanager
def joined() -> Iterator[World]:
    """Let the processes that ``torchrun`` started find each other; without it nothing is done.

    When the block of the first process ends well, the others get None ``from_first``.
    """
    here = place()
    if here.size == 1:
        yield ALONE
        return
    store, _, _ = next(rendezvous("env://"))
    team = Team(here, store)
    try:
        with _signals(team):
            yield team
            if team.is_first:
                team.from_first(lambda: None)
    except BaseException:
        if team.is_first:
            team.told()
        raise
    if team.is_whole:  # else it might wait for what is lost
        dist.destroy_process_group()


@contextlib.contextmanager
def _signals(team: Team) -> Iterator[None]:
    """Arrange what ``STOPS`` do outside of the loops, which look at them themselves.

    ``torchrun`` sends SIGTERM to all when one process has ended. The first one says so; the others
    notice when it has gone.
    """
    owner = os.getpid()

    def end(number: int, _frame: Any) -> None:
        if os.getpid() != owner:  # a process that loads clips
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        raise LostProcessError(team.word() or f"{_LOST} (SIGTERM)")

    def go_on(_number: int, _frame: Any) -> None:
        pass

    if team.is_first:
        signal.signal(signal.SIGTERM, end)
    else:
        for number in STOPS:
            signal.signal(number, go_on)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, go_on)  # the last line is still to be written

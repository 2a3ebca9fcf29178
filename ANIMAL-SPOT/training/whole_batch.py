"""Layers that look at a whole batch, where several processes have a share of its rows each.

Batch normalisation takes mean and variance over all rows, on CPUs and GPUs alike (PyTorch's own
``SyncBatchNorm`` works on GPUs only). What layers draw for each row, such as stochastic depth and
dropout, is drawn for all rows by each process, whose generators are in the same state, and its own
rows are used: so it is what one process draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


class Sums(Protocol):
    """What processes exchange; see ``Team``."""

    def add_up(self, values: Tensor) -> Tensor:
        """Put into a tensor the sum over the processes, and return it."""

    def of_all(self, values: Tensor) -> Tensor:
        """Return what each process has, shape ``(processes, ...)``."""


class WholeBatch(TorchFunctionMode):
    """Context of a forward pass over this process's rows of a batch, of whatever layers.

    Args:
        team: The processes.
        rows: Those of this process.
        n: Rows of the whole batch.
    """

    def __init__(self, team: Sums, rows: slice, n: int) -> None:
        super().__init__()
        self._team, self._rows, self._n = team, rows, n

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call ``func``, or what stands for it over all processes."""
        kwargs = kwargs or {}
        if func is F.batch_norm:
            return self._batch_norm(*args, **kwargs)
        if func is F.dropout:
            return self._dropout(*args, **kwargs)
        if func is Tensor.bernoulli_ and self._is_batch(args[0]):
            drawn = args[0].new_empty((self._n, *args[0].shape[1:]))
            func(drawn, *args[1:], **kwargs)
            return args[0].copy_(drawn[self._rows])
        return func(*args, **kwargs)

    def _is_batch(self, values: Tensor) -> bool:
        return values.ndim > 0 and len(values) == self._rows.stop - self._rows.start

    def _dropout(
        self, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Tensor:
        if not (training and p and self._is_batch(input)):
            return F.dropout(input, p, training, inplace)
        kept = F.dropout(input.new_ones((self._n, *input.shape[1:])), p)
        return input * kept[self._rows]

    def _batch_norm(
        self,
        input: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        """Normalise with the statistics of all rows; these go into the running ones."""
        if not training:
            return F.batch_norm(
                input, running_mean, running_var, weight, bias, training, momentum, eps
            )
        channels = input.shape[1]
        weight = torch.ones(channels, device=input.device) if weight is None else weight
        bias = torch.zeros(channels, device=input.device) if bias is None else bias
        output, mean, variance, count = _BatchNorm.apply(input, weight, bias, eps, self._team)
        with torch.no_grad():
            if running_mean is not None:
                running_mean.lerp_(mean, momentum)
            if running_var is not None:
                running_var.lerp_((variance * count / (count - 1)).to(running_var.dtype), momentum)
        return output


class _BatchNorm(torch.autograd.Function):
    """``(x - m) / sqrt(v + eps) * weight + bias`` with the mean and variance of all processes.

    With ``h`` for what stands before the weight, ``N`` values of a channel in all processes and
    ``g`` for the gradient of the output, that of the input is
    ``weight / sqrt(v + eps) * (g - sum(g) / N - h sum(g h) / N)`` (Ioffe & Szegedy, Batch
    Normalization, ICML 2015); the sums are over all processes. Those of weight and bias are over
    this process's rows, since the gradients of all weights are added up later.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, team: Sums
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the output, mean, variance (of the sample, not unbiased) and count."""
        mean, variance, count = _statistics(x, team)
        ctx.save_for_backward(x, weight, mean, variance, count)
        ctx.eps, ctx.team = eps, team
        ctx.mark_non_differentiable(mean, variance, count)
        output = F.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps)
        return output, mean, variance, count

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_out: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        """Return the gradients of input, weight and bias."""
        x, weight, mean, variance, count = ctx.saved_tensors
        scale = (variance + ctx.eps).rsqrt()
        # With the statistics as constants, PyTorch's own kernel gives all sums in one pass.
        grad_x, grad_weight, grad_bias = torch.ops.aten.native_batch_norm_backward(
            *(grad_out, x, weight, mean, variance, mean, scale),
            *(False, ctx.eps, [True, True, True]),
        )
        sums = ctx.team.add_up(torch.stack([grad_weight, grad_bias])) / count.to(scale.dtype)
        shape = (1, -1, *(1 for _ in x.shape[2:]))
        of_weight, of_bias = (-weight * scale * sums).view(2, *shape)
        through_statistics = torch.addcmul(
            of_bias, x - mean.view(shape), of_weight * scale.view(shape)
        )
        return (grad_x + through_statistics).to(x.dtype), grad_weight, grad_bias, None, None


def _statistics(x: Tensor, team: Sums) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean and variance of each channel, and the number of values, over all processes.

    Each process's own are put together by the rule of Chan, Golub & LeVeque (Updating formulae
    and a pairwise algorithm for computing sample variances, 1979).
    """
    exact = torch.promote_types(x.dtype, torch.float32)
    own_mean, own_variance = torch.batch_norm_update_stats(x.to(exact), None, None, 0.0)
    own_count = torch.full_like(own_mean, x.numel() // x.shape[1], dtype=torch.float64)
    found = team.of_all(torch.stack([own_count, own_mean.double(), own_variance.double()]))
    counts, means, variances = found.unbind(1)
    count = counts.sum(0)
    mean = (counts * means).sum(0) / count
    variance = (counts * (variances + (means - mean) ** 2)).sum(0) / count
    return mean.to(exact), variance.to(exact), count

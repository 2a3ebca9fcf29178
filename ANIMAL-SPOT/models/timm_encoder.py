"""Image networks of the library timm over spectrograms.

Source: https://github.com/huggingface/pytorch-image-models (Apache-2.0). timm is slow to import,
so this module is imported only where such a network is wanted.
"""

from __future__ import annotations

import contextlib
import difflib
import logging
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from animal_spot.models.image_encoder import HalvingConv2d, ImageEncoder
from animal_spot.models.names import TIMM_PREFIX
from animal_spot.models.pretrained import PretrainedWeightsError, read_state
from animal_spot.utils.environment import pip_install

try:
    import timm
    from timm.layers import Conv2dSame
except ImportError as error:
    raise ImportError(
        f"this network needs the package timm ({error}): {pip_install('timm')}"
    ) from error

_PROBE_S = 10.0


def _halves(module: nn.Module) -> bool:
    return (
        type(module) is Conv2dSame
        and module.stride == (2, 2)
        and module.dilation == (1, 1)
        and module.kernel_size[0] == module.kernel_size[1]
        and module.kernel_size[0] % 2 == 1
        and module.kernel_size[0] >= 3
    )


def timm_name(backbone: str) -> str:
    """Return timm's name of ``timm:<name>``.

    Raises:
        ValueError: If timm has no such network; those with the nearest names are listed.
    """
    name = backbone.removeprefix(TIMM_PREFIX)
    if ":" not in name and timm.is_model(name):
        try:
            timm.get_pretrained_cfg(name)
        except RuntimeError as error:
            raise ValueError(f"--backbone {backbone}: {str(error).splitlines()[0]}") from error
        return name
    nearest = difflib.get_close_matches(name, timm.list_models(), n=5, cutoff=0.0)
    raise ValueError(
        f"--backbone {backbone}: timm {timm.__version__} has no network {name}; the nearest names "
        f"are {', '.join(nearest)}"
    )


def encoder_options(
    backbone: str, *, pretrained: bool, input_size: tuple[int, int]
) -> dict[str, Any]:
    """Return ``encoderOpts`` of the model file: all that building needs, without a network.

    Args:
        backbone: ``timm:<name>``.
        pretrained: Whether training starts from pretrained weights.
        input_size: ``(time, freq)`` of the spectrograms, kept for networks that take one size only.

    Raises:
        ValueError: If timm has no such network.
    """
    config = timm.get_pretrained_cfg(name := timm_name(backbone))
    mean, std = (0.5, 0.5) if config is None else (_mean(config.mean), _mean(config.std))
    fixed = config is not None and config.fixed_input_size
    return {
        "input_channels": 1,
        "pretrained": pretrained,
        "timm": name.split(".")[0],  # without the name of the weights
        "input_mean": mean,  # of grey photos: the average over red, green and blue
        "input_std": std,
        "input_size": list(input_size) if fixed else None,
    }


def build_timm_encoder(
    backbone: str,
    encoder_opts: Mapping[str, Any],
    *,
    pretrained: bool = False,
    pretrained_weights: str | Path | None = None,
) -> ImageEncoder:
    """Build the network that ``encoder_options`` describes.

    The first layer of pretrained weights looks at red, green and blue; here its weights are the
    sum over the three, which gives a grey photo the same features.

    Args:
        backbone: ``timm:<name>``; its name of weights counts only with ``pretrained``.
        encoder_opts: As stored.
        pretrained: Load pretrained weights.
        pretrained_weights: A local file of them; None: timm's download, or what it kept of an
            earlier one.

    Raises:
        ValueError: If there is no such network, or the weights are of another one.
        PretrainedWeightsError: If the weights cannot be had.
    """
    size = encoder_opts.get("input_size")
    name = encoder_opts["timm"]
    if not pretrained:
        network = _create(name, size)
    elif pretrained_weights is not None:
        network = _create_from(name, size, read_state(pretrained_weights), pretrained_weights)
    else:
        network = _download(timm_name(backbone), size)
    for module in network.modules():
        if _halves(module):
            module.__class__ = HalvingConv2d
    return ImageEncoder(
        network, encoder_opts.get("input_mean", 0.0), encoder_opts.get("input_std", 1.0), size
    )


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 4)


def _create(name: str, input_size: Sequence[int] | None, **weights: Any) -> nn.Module:
    """Build timm's network for one channel, without classes.

    Raises:
        ValueError: If it does not exist, or does not take inputs of that size.
    """
    if ":" in name or not timm.is_model(name):
        raise ValueError(f"timm {timm.__version__} has no network {name}")
    size = {} if input_size is None else {"img_size": tuple(input_size)}
    try:
        with _quiet():
            return timm.create_model(name, in_chans=1, num_classes=0, **size, **weights)
    except (TypeError, AssertionError) as error:
        what = f"inputs of {' x '.join(map(str, input_size))}" if size else "one channel"
        raise ValueError(
            f"timm's {name} cannot be built for {what}: {str(error).splitlines()[0]}; choose "
            "another network"
        ) from error


def _create_from(
    name: str,
    input_size: Sequence[int] | None,
    state: Mapping[str, Tensor],
    file: str | Path,
) -> nn.Module:
    """Build a network with the weights of a state dict; all of them must be there.

    timm itself leaves weights that it does not find as they are, and they would be random.

    Args:
        name: timm's.
        input_size: See ``ImageEncoder``.
        state: The weights, by timm's names or names that timm knows how to change.
        file: Where they are from.
    """
    overlay = {"state_dict": dict(state), "custom_load": False}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        start = _create(name, input_size)
        torch.manual_seed(0)
        try:
            network = _create(name, input_size, pretrained=True, pretrained_cfg_overlay=overlay)
        except (RuntimeError, LookupError) as error:
            raise ValueError(
                f"the weights in {file} are not those of timm's {name}: "
                f"{' '.join(str(error).split())[:200]}"
            ) from error
    own = dict(network.named_parameters())
    untouched = [
        key
        for key, value in start.named_parameters()
        if value.ndim > 1 and value.min() < value.max() and torch.equal(value, own[key])
    ]
    if untouched:
        raise ValueError(
            f"the weights in {file} are not those of timm's {name}: {len(untouched)} tensors are "
            f"missing, such as {untouched[0]}"
        )
    return network


def _download(name: str, input_size: Sequence[int] | None) -> nn.Module:
    """Build a network with timm's pretrained weights, downloaded or kept from before."""
    cfg = timm.get_pretrained_cfg(name)
    if cfg is None or not cfg.has_weights:
        raise PretrainedWeightsError(
            f"timm has no pretrained weights of {name}: leave --pretrained out, or name a file of "
            "them with --pretrained_weights"
        )
    try:
        with _no_retries():
            return _create(name, input_size, pretrained=True)
    except (OSError, RuntimeError) as error:
        source = cfg.hf_hub_id or cfg.url
        raise PretrainedWeightsError(
            f"the pretrained weights of timm's {name} could not be downloaded "
            f"({' '.join(str(error).split())[:160]}); fetch those called {source} "
            "(model.safetensors or .pth) on a machine with a network and name the file with "
            "--pretrained_weights"
        ) from error


@contextlib.contextmanager
def _no_retries() -> Iterator[None]:
    """Take what was kept of earlier downloads if the host of the weights cannot be reached.

    Otherwise its library tries for most of a minute, and says so each time.
    """
    try:
        from huggingface_hub import constants
    except ImportError:
        yield
        return
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not _is_reachable(constants.ENDPOINT)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _is_reachable(url: str) -> bool:
    try:
        request = urllib.request.Request(url, method="HEAD")
        urllib.request.urlopen(request, timeout=_PROBE_S).close()
    except urllib.error.HTTPError:
        return True  # an answer, if not a friendly one
    except (OSError, ValueError):
        return False
    return True


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep timm and the download from talking of what this module checks and says itself."""
    loggers = [logging.getLogger(name) for name in ("timm", "huggingface_hub", "httpx")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

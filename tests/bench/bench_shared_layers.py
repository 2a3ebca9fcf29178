"""How much of EfficientNet-Lite0 overlapping windows could share, layer by layer.

    python -m tests.bench.bench_shared_layers

Two windows of 192 frames, 32 frames apart, of one spectrogram: 32 is the stride of the network, so
its columns fall on each other. A column of a layer can be shared if it is the same in both; near
the ends of a window padding makes it another one. Counted in multiplications and additions, of
which sharing would save ``1 - 1 / overlap`` of what is the same, without the cost of computing the
ends on their own.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor, nn

from animal_spot.models.factory import build_encoder
from animal_spot.models.lite_encoder import lite_options

FRAMES, BINS, APART = 192, 96, 32
TOLERANCE = 1e-5  # of the largest value of a layer


def outputs(encoder: nn.Module, window: Tensor) -> list[tuple[nn.Conv2d, Tensor]]:
    """Return every convolution with what it gives for a window ``(1, 1, frames, bins)``."""
    found: list[tuple[nn.Conv2d, Tensor]] = []
    handles = [
        module.register_forward_hook(lambda layer, _, y: found.append((layer, y[0].clone())))
        for module in encoder.modules()
        if isinstance(module, nn.Conv2d)
    ]
    encoder(window)
    for handle in handles:
        handle.remove()
    return found


@torch.no_grad()
def main() -> None:
    """Print the shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--overlap", type=int, default=6, help="windows that hear one frame")
    overlap = parser.parse_args().overlap
    torch.manual_seed(0)
    options = lite_options("efficientnet_lite0", pretrained=True)
    encoder = build_encoder("efficientnet_lite0", options, pretrained=True).eval()
    sound = torch.rand(1, 1, FRAMES + APART, BINS)
    windows = (sound[:, :, :FRAMES], sound[:, :, APART:])
    done = same = 0.0
    print("column stride | work up to here | of it the same in both windows")
    for (layer, one), (_, other) in zip(*(outputs(encoder, w) for w in windows), strict=True):
        columns = one.shape[1]
        shift = APART * columns // FRAMES
        equal = (one[:, shift:] - other[:, : columns - shift]).abs().amax((0, 2))
        n_same = int((equal <= TOLERANCE * one.abs().max()).sum())
        work = layer.weight[0].numel() * one.numel()
        done += work
        same += work * n_same / (columns - shift)
        print(f"{FRAMES // columns:>13} | {done / 1e6:>11.1f} M | {same / done:.0%}")
    saved = same / done * (1 - 1 / overlap)
    print(f"at {overlap} windows to a frame at most {saved:.0%} of the work could be saved")


if __name__ == "__main__":
    main()

"""What helps a trained network in recordings of another hydrophone, without training? By hand.

    python -m tests.bench.bench_test_time --data_dir CLIPS RUN [RUN ...]

RUN is a folder of ``ablation.py`` (``NAME/seed_0``), or any folder that holds the ``model`` folder
of a ``main.py --folds`` run. Each clip is judged by the network that never heard its tape, as it
is and altered as by another hydrophone (see ablation.py), in several ways:

* plain: as prediction does;
* shifts: mean of the probabilities at five positions, -0.2 to 0.2 s;
* no low bands: the lowest four bands of the network input are set to its minimum;
* adapted: statistics of batch normalisation (for networks on embeddings: mean and spread of the
  embeddings) are taken half from training, half from the clips that are judged, without labels.

Prints the mean accuracy of the classes, and the mean over the draws for altered clips.
"""

from __future__ import annotations

import argparse
import copy
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from animal_spot.audio.clip_files import read_waveform
from animal_spot.model_files.model_file import FILE_NAME, calibrated_network, load_model
from animal_spot.model_files.signal_path import pipeline_of_model
from animal_spot.models.embedding_encoder import EmbeddingEncoder
from animal_spot.models.factory import batch_norms
from animal_spot.utils.tape_bootstrap import accuracies
from tests.bench.ablation import NOISE_CLASS, RATE, network_input
from tests.bench.bench_shift import alter

SHIFTS_S = (-0.2, -0.1, 0.0, 0.1, 0.2)
N_LOW_BANDS = 4
ADAPTED_SHARE = 0.5

# All inputs of the clips (shifts, clips, 1, time, features) and a network to probabilities
Way = Callable[[torch.Tensor, nn.Sequential], torch.Tensor]


@torch.inference_mode()
def answer(features: torch.Tensor, network: nn.Sequential) -> torch.Tensor:
    """Return probabilities ``(clips, classes)``."""
    return torch.cat([network(part).softmax(1) for part in features.split(32)])


def plain(inputs: torch.Tensor, network: nn.Sequential) -> torch.Tensor:
    """Judge the clips where they are."""
    return answer(inputs[SHIFTS_S.index(0.0)], network)


def shifts(inputs: torch.Tensor, network: nn.Sequential) -> torch.Tensor:
    """Average over positions."""
    return torch.stack([answer(features, network) for features in inputs]).mean(0)


def no_low_bands(inputs: torch.Tensor, network: nn.Sequential) -> torch.Tensor:
    """Silence the lowest bands; embeddings have none."""
    features = inputs[SHIFTS_S.index(0.0)].clone()
    if not isinstance(network.encoder, EmbeddingEncoder):
        features[..., :N_LOW_BANDS] = features.amin((-1, -2), keepdim=True)
    return answer(features, network)


def adapted(inputs: torch.Tensor, network: nn.Sequential) -> torch.Tensor:
    """Mix statistics of these clips into those of training, then judge."""
    features, network = inputs[SHIFTS_S.index(0.0)], copy.deepcopy(network)
    if isinstance(network.encoder, EmbeddingEncoder):
        values = features.mean((1, 2))
        network.encoder.mean.lerp_(values.mean(0), ADAPTED_SHARE)
        network.encoder.std.lerp_(values.std(0, unbiased=False).clamp(min=1e-6), ADAPTED_SHARE)
    else:
        for module in batch_norms(network):
            module.momentum = ADAPTED_SHARE
            module.train()
        with torch.no_grad():
            network(features)  # all at once: one update of each layer
        network.eval()
    return answer(features, network)


WAYS: dict[str, Way] = {
    "plain": plain,
    "shifts": shifts,
    "no low bands": no_low_bands,
    "adapted": adapted,
}


def judge_fold(
    data_dir: Path, model_dir: Path, fold: int, draws: int
) -> tuple[list[int], dict[str, list[np.ndarray]]]:
    """Judge the clips of a fold in all ways, as they are and altered.

    Returns:
        Labels, and for each way the predicted classes of the clips as they are and of each draw.
    """
    results = json.loads((model_dir / "results.json").read_text())
    names = sorted(results["classes"], key=results["classes"].__getitem__)
    clips = [clip for clip in results["clips"] if clip["fold"] == fold]
    content = load_model(model_dir / f"fold_{fold}" / FILE_NAME)
    network, pipeline = calibrated_network(content).eval(), pipeline_of_model(content)
    waves = {c["file"]: read_waveform(data_dir / c["file"], RATE)[0].numpy() for c in clips}
    backgrounds = [waves[c["file"]] for c in clips if c["true"] == NOISE_CLASS]
    found: dict[str, list[np.ndarray]] = {way: [] for way in WAYS}
    for draw in [None, *range(draws)]:
        versions = []
        for clip in clips:
            wave = waves[clip["file"]]
            if draw is not None:
                rng = np.random.default_rng([draw, zlib.crc32(clip["file"].encode())])
                background = None
                if clip["true"] != NOISE_CLASS and backgrounds:
                    background = backgrounds[rng.integers(len(backgrounds))]
                wave = alter(wave, background, rng).numpy()
            versions.append(wave)
        inputs = torch.stack(
            [
                torch.stack(
                    [
                        network_input(np.roll(wave, round(shift * RATE)), content, pipeline)
                        for wave in versions
                    ]
                )
                for shift in SHIFTS_S
            ]
        )
        for way, judge in WAYS.items():
            found[way].append(judge(inputs, network).argmax(1).numpy())
    return [names.index(c["true"]) for c in clips], found


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=3)
    args = parser.parse_args()
    print("| run | way | as they are | altered |\n| --- | --- | --- | --- |")
    for run in args.runs:
        model_dir = run / "model"
        n_folds = len(json.loads((model_dir / "results.json").read_text())["folds"])
        folds = [judge_fold(args.data_dir, model_dir, k + 1, args.draws) for k in range(n_folds)]
        labels = [label for fold, _ in folds for label in fold]
        for way in WAYS:
            macros = [
                accuracies(labels, np.concatenate([f[way][i] for _, f in folds]), max(labels) + 1)[
                    1
                ]
                for i in range(args.draws + 1)
            ]
            print(f"| {run} | {way} | {macros[0]:.1%} | {np.mean(macros[1:]):.1%} |", flush=True)


if __name__ == "__main__":
    main()

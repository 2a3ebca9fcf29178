"""How fast is training? Run by hand on a quiet machine; prints ratios.

    python -m tests.bench.bench_training [--data_dir CLIPS] [--only precision|epoch] [--device cpu]

precision: an optimiser step in bf16 against one in fp32.
epoch: an epoch with augmentation, warm cache, metrics, log and TensorBoard against the same number
of optimiser steps on one fixed random batch; and the share of metrics, log and TensorBoard in it.
Both sides are measured in turn, and medians compared, since other programs may run.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from animal_spot.audio.signal_config import SignalConfig
from animal_spot.audio.spectrograms import SpectrogramPipeline
from animal_spot.data.augmentation_limits import Augmentation
from animal_spot.data.clip_dataset import ClipDataset, EpochSampler, make_loader
from animal_spot.data.corpus import load_corpus
from animal_spot.data.labels import names_by_index
from animal_spot.demo import corpus as demo_corpus
from animal_spot.models.classifier import Classifier
from animal_spot.models.factory import build_encoder, build_model, encoder_options
from animal_spot.models.precision import choose_precision, device_of
from animal_spot.trainer import Trainer
from animal_spot.training.tensorboard import Summary
from animal_spot.training.trainer_recipe import TrainerRecipe

N_FRAMES, N_BINS = 128, 256
NETWORKS = {
    "ResNet-18, max_pool 2": (
        "resnet",
        {"input_channels": 1, "conv_kernel_size": 7, "max_pool": 2, "resnet_size": 18},
    ),
    "ConvNeXt-Tiny": ("convnext", {"input_channels": 1}),
    "EfficientNet-Lite0": (
        "efficientnet_lite0",
        encoder_options("efficientnet_lite0", {"pretrained": False}, (N_FRAMES, N_BINS)),
    ),
}


def make_trainer(
    network: str,
    precision: str,
    names: list[str],
    batch_size: int,
    device: torch.device,
    summary: Summary | None = None,
) -> Trainer:
    """Build a trainer as main.py does."""
    torch.manual_seed(0)
    encoder = build_encoder(*NETWORKS[network])
    model = build_model(encoder, Classifier(encoder.out_channels, "avg", len(names))).to(device)
    arithmetic = choose_precision(precision, device)
    recipe = TrainerRecipe(
        classes={name: i for i, name in enumerate(names)},
        precision=arithmetic,
        optimizer=lambda model: torch.optim.Adam(
            model.parameters(), lr=1e-5 * batch_size, betas=(0.5, 0.999), fused=arithmetic.is_mixed
        ),
        scheduler=lambda optimizer: torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "max"),
        patience=10,
    )
    return Trainer(model, recipe, summary=summary)


def random_batch(batch_size: int, n_classes: int) -> tuple[torch.Tensor, ...]:
    """Return one batch of noise."""
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(batch_size, 1, N_FRAMES, N_BINS, generator=generator)
    labels = torch.randint(n_classes, (batch_size,), generator=generator)
    return features, labels, torch.arange(batch_size)


def steps(trainer: Trainer, batch: tuple[torch.Tensor, ...], n: int) -> float:
    """Return the seconds of ``n`` optimiser steps on a batch."""
    trainer.model.train()
    sums = trainer._new_sums()
    started = time.perf_counter()
    for _ in range(n):
        trainer._step(batch, len(batch[0]), sums, 0, 0)
    float(sums.loss_sum)  # waits for the device
    return time.perf_counter() - started


def in_turn(rounds: int, *measures: Callable[[], float]) -> list[list[float]]:
    """Measure A B A B ..., after one round that does not count."""
    times: list[list[float]] = [[] for _ in measures]
    for turn in range(rounds + 1):
        for measure, kept in zip(measures, times, strict=True):
            seconds = measure()
            if turn:
                kept.append(seconds)
    return times


def bench_precision(batch_size: int, rounds: int, device: torch.device) -> None:
    """Print how much faster a step in bf16 is."""
    names = [str(i) for i in range(8)]
    batch = random_batch(batch_size, len(names))
    for network in NETWORKS:
        trainers = [make_trainer(network, p, names, batch_size, device) for p in ("fp32", "bf16")]
        fp32, bf16 = in_turn(rounds, *(lambda t=t: steps(t, batch, 2) / 2 for t in trainers))
        ratio = statistics.median(a / b for a, b in zip(fp32, bf16, strict=True))
        print(
            f"{network}, batch {batch_size}: step fp32 {statistics.median(fp32):.3f} s, "
            f"bf16 {statistics.median(bf16):.3f} s; bf16 is {ratio:.2f} x faster"
        )


def bench_epoch(
    data_dir: Path,
    batch_size: int,
    rounds: int,
    network_names: list[str],
    device: torch.device,
    n_workers: int,
) -> None:
    """Print the epoch against the compute floor."""
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary)
        shutil.copytree(data_dir, base / "data", ignore=shutil.ignore_patterns("*.csv"))
        corpus = load_corpus(base / "data", noise_from_class="noise")
        names = names_by_index(corpus.classes)
        signal = SignalConfig(n_fft=1024, hop_length=172, n_freq_bins=N_BINS, min_max_norm=True)
        pipeline = SpectrogramPipeline(signal)
        for network in network_names:
            for mixing in (False, True):
                dataset = ClipDataset(
                    corpus.samples["train"],
                    pipeline,
                    N_FRAMES,
                    cache_dir=base / "cache",
                    augmentation=Augmentation(),
                    noise=corpus.noise if mixing else (),
                )
                sampler = EpochSampler(
                    len(dataset), batch_size, shuffle=True, drop_last=True, seed=0
                )
                loader = make_loader(
                    dataset, sampler, n_workers=n_workers, pin_memory=device.type == "cuda"
                )
                summary = Summary(base / "tb", f"{network}{mixing}", names)
                trainer = make_trainer(network, "auto", names, batch_size, device, summary)
                batch = random_batch(batch_size, len(names))
                _print_epoch(trainer, loader, batch, network, mixing, rounds)
                summary.close()
                del loader


def _print_epoch(trainer, loader, batch, network, mixing, rounds) -> None:
    spent = [0.0]

    def timed(function):
        def wrapper(*args, **kwargs):
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                spent[0] += time.perf_counter() - started

        return wrapper

    trainer._report = timed(trainer._report)
    new_sums = trainer._new_sums

    def new_timed_sums():
        sums = new_sums()
        sums.add = timed(sums.add)
        return sums

    epoch = [0]

    def run_epoch() -> float:
        started = time.perf_counter()
        result, _ = trainer._train_epoch(loader, epoch[0])
        trainer._report(result, epoch[0], with_figures=True)
        epoch[0] += 1
        return time.perf_counter() - started

    n_batches = len(loader.batch_sampler)
    trainer._new_sums = new_timed_sums
    run_epoch()  # fills the cache, draws the first figures
    spent[0] = 0.0
    epochs, floors = [], []
    for turn in range(rounds + 1):
        trainer._new_sums = new_timed_sums
        before = spent[0]
        seconds = run_epoch()
        overhead = spent[0] - before
        trainer._new_sums = new_sums
        floor = steps(trainer, batch, n_batches)
        if turn:
            epochs.append((seconds, overhead))
            floors.append(floor)
    ratio = statistics.median(e / f for (e, _), f in zip(epochs, floors, strict=True))
    share = statistics.median(o / e for e, o in epochs)
    mixed = " with noise" if mixing else ""
    seconds = statistics.median(e for e, _ in epochs)
    print(
        f"{network}, {trainer.recipe.precision.name}, augmentation{mixed}: epoch {seconds:.2f} s, "
        f"floor {statistics.median(floors):.2f} s: {ratio:.3f} x; "
        f"metrics, log and TensorBoard {share:.2%}",
        flush=True,
    )


def main() -> None:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data_dir", type=Path, help="clips; none: synthetic ones")
    parser.add_argument("--only", choices=("precision", "epoch"))
    parser.add_argument("--network", choices=list(NETWORKS))
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clips", type=int, default=40, help="of a class, synthetic")
    parser.add_argument("--num_workers", type=int, default=2)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    if args.only != "epoch":
        bench_precision(args.batch_size, args.rounds, device_of(args.device))
    if args.only != "precision":
        with tempfile.TemporaryDirectory() as temporary:
            data_dir = args.data_dir
            if data_dir is None:
                data_dir = Path(temporary)
                demo_corpus.synthesise(data_dir, args.clips, 12, 0)
            networks = [args.network] if args.network else list(NETWORKS)
            bench_epoch(
                data_dir,
                args.batch_size,
                args.rounds,
                networks,
                device_of(args.device),
                args.num_workers,
            )


if __name__ == "__main__":
    main()

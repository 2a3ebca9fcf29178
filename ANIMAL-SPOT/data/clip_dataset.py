"""Clips as training samples, and the loaders that batch them."""

from __future__ import annotations

import contextlib
import os
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from animal_spot.audio.clip_files import ClipError, read_waveform
from animal_spot.audio.signal_config import SignalConfig
from animal_spot.audio.spectrograms import PowerBand, SpectrogramPipeline
from animal_spot.data.augment import augment, clip_generator
from animal_spot.data.augmentation_limits import Augmentation
from animal_spot.data.call_finder import Calls, find_calls
from animal_spot.data.feature_cache import FeatureCache
from animal_spot.data.scene_limits import SceneLimits
from animal_spot.data.scene_shares import SceneWeights, class_weights
from animal_spot.data.scenes import Clip, SceneMaker
from animal_spot.utils.interrupt import leave_to_main_process

_NOISE_MEMORY_BYTES = 256 * 2**20  # spectrograms of noise clips that each worker keeps

_EXTRA_STREAM = 2  # tells the generator of an epoch's further samples from that of its order


@dataclass(frozen=True)
class Sample:
    """One clip of a partition: where it is, what it holds, and its class index."""

    path: Path
    name: str  # ``Clip.path``; names the clip in reports and seeds its augmentation
    digest: str
    label: int
    span: tuple[int, int] | None = None  # first sample and number, where only a part of a file
    duration_s: float = 0.0  # 0: not known
    tape: str | None = None  # the recording that it comes from; None: not known


class BandReader:
    """Reads the power band of a clip, from the cache where there is one."""

    def __init__(
        self, pipeline: SpectrogramPipeline, cache_dir: Path | None, *, for_pitch_shift: bool
    ) -> None:
        self._pipeline = pipeline
        self._for_pitch_shift = for_pitch_shift
        self._cache = (
            FeatureCache(cache_dir, pipeline, for_pitch_shift=for_pitch_shift)
            if cache_dir is not None
            else None
        )

    def read(self, path: Path, digest: str, span: tuple[int, int] | None = None) -> PowerBand:
        """Return the band of the clip at ``path`` with content ``digest``; see ``Sample``.

        Raises:
            ClipError: If the clip cannot be read.
        """
        band = self._cache.get(digest) if self._cache else None
        if band is None:
            try:
                config = self._pipeline.config
                waveform = read_waveform(path, config.sr, span, config.channel)
            except (ClipError, OSError) as error:
                raise ClipError(f"{path} could be read before, but not now: {error}") from error
            power = self._pipeline.power(waveform)
            band = self._pipeline.band(power, for_pitch_shift=self._for_pitch_shift)
            if self._cache:
                band = band.encode()
                self._cache.put(digest, band)
        return band


class ClipDataset(Dataset):
    """Network inputs of one partition.

    An item is asked for as ``(epoch, index)``, or ``(epoch, index, n)`` if it came ``n`` times
    before in the epoch, and is ``(features, label, index)`` with features of
    shape ``(1, n_frames, n_features)``, float32 in 0..1 (``mfcc``: any number; ``pcen``: 0 or
    more). With ``scenes`` the item goes on: with the weights of the clip's class, of that of a
    second clip and of the noise class in the target, shape ``(3,)``, and with the index of that
    second clip; the label is then what has the largest weight.

    Args:
        samples: Clips of the partition.
        pipeline: Signal path.
        n_frames: Length of a network input.
        cache_dir: Folder of kept spectrograms, or None.
        augmentation: How to distort clips, and to mix in noise if there are noise clips; None: not.
        noise: Clips to mix in.
        seed: Of everything random.
        scenes: How often windows are made as recordings hold calls, which needs ``augmentation``;
            None: never.
        noise_label: Index of the noise class; None: all classes are of calls.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        pipeline: SpectrogramPipeline,
        n_frames: int,
        *,
        cache_dir: Path | None = None,
        augmentation: Augmentation | None = None,
        noise: Sequence[Sample] = (),
        seed: int = 0,
        scenes: SceneLimits | None = None,
        noise_label: int | None = None,
    ) -> None:
        self.samples = list(samples)
        self._pipeline = pipeline
        self._n_frames = n_frames
        self._augmentation = augmentation
        self._noise = list(noise)
        self._seed = seed
        self._reader = BandReader(pipeline, cache_dir, for_pitch_shift=augmentation is not None)
        self._noise_memory: OrderedDict[str, PowerBand] = OrderedDict()
        self._noise_label = noise_label
        self._scenes = None
        self._calls: dict[str, Calls] = {}
        if scenes is not None and augmentation is not None:
            self._scenes = SceneMaker(pipeline, n_frames, augmentation, scenes)
            self._with_calls = [i for i, sample in enumerate(samples) if self._holds_call(sample)]

    @property
    def signal(self) -> SignalConfig:
        """Return the signal path."""
        return self._pipeline.config

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: tuple[int, ...]) -> tuple[Tensor | int, ...]:
        epoch, index, *n_before = key
        sample = self.samples[index]
        with one_thread():
            if self._scenes is not None:
                return self._scene(index, clip_generator(self._seed, epoch, sample.name, *n_before))
            band = self._reader.read(sample.path, sample.digest, sample.span)
            if self._augmentation is not None:
                rng = clip_generator(self._seed, epoch, sample.name, *n_before)
                draw_noise = (lambda: self._noise_band(rng)) if self._noise else None
                features = augment(
                    band, self._pipeline, self._n_frames, self._augmentation, rng, draw_noise
                )
            else:
                features = self._pipeline.clip_features(band, self._n_frames)
        return features, sample.label, index

    def _holds_call(self, sample: Sample) -> bool:
        return sample.label >= 0 and sample.label != self._noise_label

    def _scene(self, index: int, rng: np.random.Generator) -> tuple[Tensor, int, int, Tensor, int]:
        """Make a window as recordings hold calls; see the class for what is returned."""
        second = index

        def draw_second() -> Clip:
            nonlocal second
            second = self._with_calls[rng.integers(len(self._with_calls))]
            return self._clip(second)

        features, shares = self._scenes.make(
            self._clip(index),
            rng,
            (lambda: self._noise_band(rng)) if self._noise else None,
            draw_second,
        )
        label, weights = self.samples[index].label, SceneWeights()
        if self._holds_call(self.samples[index]):
            has_noise = self._noise_label is not None
            weights = class_weights(shares, self._scenes.limits, has_noise=has_noise)
            if weights.noise > max(weights.own, weights.second):
                label = self._noise_label
            elif weights.second > weights.own:
                label = self.samples[second].label
        target = torch.tensor([weights.own, weights.second, weights.noise])
        return features, label, index, target, second

    def _clip(self, index: int) -> Clip:
        """Read a clip, and find its calls if that was not done before."""
        sample = self.samples[index]
        band = self._reader.read(sample.path, sample.digest, sample.span)
        if not self._holds_call(sample):
            return Clip(band, None)
        if sample.digest not in self._calls:
            pipeline = self._scenes.pipeline
            power = pipeline.compress(band.to_power(band.gather(None, pipeline.bins)))
            frame_s = pipeline.config.hop_length / pipeline.config.sr
            self._calls[sample.digest] = find_calls(power.numpy(), frame_s)
        return Clip(band, self._calls[sample.digest])

    def _noise_band(self, rng: np.random.Generator) -> PowerBand:
        """Draw a noise clip; those drawn before are kept in memory."""
        sample = self._noise[rng.integers(len(self._noise))]
        memory = self._noise_memory
        if sample.digest not in memory:
            memory[sample.digest] = self._reader.read(sample.path, sample.digest, sample.span)
            while len(memory) > 1 and (
                sum(band.values.nbytes for band in memory.values()) > _NOISE_MEMORY_BYTES
            ):
                memory.popitem(last=False)
        memory.move_to_end(sample.digest)
        return memory[sample.digest]


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread, so that a sum has the same rounding in every worker and in none."""
    before = torch.get_num_threads()
    if before != 1:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if before != 1:
            torch.set_num_threads(before)


def share(n: int, part: int, n_parts: int) -> slice:
    """Return which of ``n`` rows are of a part, where parts differ by one row at most."""
    return slice(n * part // n_parts, n * (part + 1) // n_parts)


class EpochSampler(Sampler):
    """Batches of keys of a ``ClipDataset``, whose order depends on seed and epoch alone.

    Args:
        n_samples: Size of the partition.
        batch_size: Larger than the partition: one batch of everything.
        shuffle: Draw a new order each epoch.
        drop_last: Leave out a last batch that is not full.
        seed: Of the order.
        probabilities: Of each sample in a draw, shape ``(n_samples,)``. An epoch is then
            ``n_samples`` draws with replacement, and a key ``(epoch, index, times drawn before)``.
            None: each sample comes once, as ``(epoch, index)``.
        n_extra: Further samples, numbered from ``n_samples``. In each epoch as many of them as
            there are others are drawn, or all if they are fewer, and shuffled among the others.
        part: Yield of each batch one part of its rows only, this one of ``n_parts``; see ``share``.
            Where that is none, the batch's first row, so that all parts have as many batches.
        n_parts: Number of parts.
    """

    def __init__(
        self,
        n_samples: int,
        batch_size: int,
        *,
        shuffle: bool,
        drop_last: bool,
        seed: int,
        probabilities: np.ndarray | None = None,
        n_extra: int = 0,
        part: int = 0,
        n_parts: int = 1,
    ) -> None:
        self._n_samples = n_samples
        self._n_extra = n_extra
        self._epoch_size = n_samples + min(n_extra, n_samples)
        self._batch_size = min(batch_size, self._epoch_size)
        self._shuffle = shuffle
        self._drop_last = drop_last
        self._seed = seed
        self._probabilities = probabilities
        self._part, self._n_parts = part, n_parts
        self.epoch = 0
        self.first_batch = 0

    def start_at(self, epoch: int, first_batch: int = 0) -> None:
        """Choose the epoch of the next iteration, and how many of its batches to leave out."""
        self.epoch, self.first_batch = epoch, first_batch

    def undivided(self) -> None:
        """Yield whole batches from now on."""
        self._part, self._n_parts = 0, 1

    def size_of(self, batch: int) -> int:
        """Return the rows of a whole batch, by its number in the epoch."""
        return min(self._batch_size, self._epoch_size - batch * self._batch_size)

    def __len__(self) -> int:
        full, rest = divmod(self._epoch_size, self._batch_size)
        return full + (rest > 0 and not self._drop_last)

    def __iter__(self) -> Iterator[list[tuple[int, ...]]]:
        keys = self._keys()
        for batch in range(self.first_batch, len(self)):
            whole = keys[batch * self._batch_size : (batch + 1) * self._batch_size]
            yield whole[share(len(whole), self._part, self._n_parts)] or whole[:1]

    def _keys(self) -> list[tuple[int, ...]]:
        keys = self._own_keys()
        if self._n_extra:
            rng = np.random.default_rng([self._seed, self.epoch, _EXTRA_STREAM])
            drawn = rng.permutation(self._n_extra)[: self._epoch_size - self._n_samples]
            keys += [(self.epoch, self._n_samples + i) for i in drawn.tolist()]
            keys = [keys[i] for i in rng.permutation(len(keys)).tolist()]
        return keys

    def _own_keys(self) -> list[tuple[int, ...]]:
        rng = np.random.default_rng([self._seed, self.epoch])
        if self._probabilities is None:
            order = np.arange(self._n_samples)
            if self._shuffle:
                rng.shuffle(order)
            return [(self.epoch, i) for i in order.tolist()]
        drawn: Counter[int] = Counter()
        keys = []
        for i in rng.choice(self._n_samples, self._n_samples, p=self._probabilities).tolist():
            keys.append((self.epoch, i, drawn[i]))
            drawn[i] += 1
        return keys


def make_loader(
    dataset: ClipDataset, sampler: EpochSampler, *, n_workers: int, pin_memory: bool
) -> DataLoader:
    """Batch a data set; workers live as long as the loader and leave Ctrl-C to the main process."""
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=n_workers,
        pin_memory=pin_memory,
        persistent_workers=n_workers > 0,
        prefetch_factor=4 if n_workers > 0 else None,
        worker_init_fn=_start_worker if n_workers > 0 else None,
        generator=torch.Generator(),  # its own, so that the network's chance does not depend on it
    )


def end_workers(loader: DataLoader) -> None:
    """End the processes of a loader.

    Left to chance they may live until the end of the program, which then waits for them for ever,
    since they leave SIGTERM to it.
    """
    iterator = getattr(loader, "_iterator", None)  # kept by persistent workers only
    if iterator is not None:
        iterator._shutdown_workers()


def _start_worker(_worker: int) -> None:
    leave_to_main_process()
    torch.set_num_threads(1)
    if hasattr(os, "nice"):
        # On a CPU the network's threads wait for each other, so a loader that takes the place of
        # one holds up all; batches are made ahead, in the gaps.
        os.nice(19)

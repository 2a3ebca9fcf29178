"""Clips as embeddings: computed once, kept in memory, and on disk where that is wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from animal_spot.audio.clip_files import ClipError, read_waveform
from animal_spot.data.augment import clip_generator
from animal_spot.data.augmentation_limits import Augmentation
from animal_spot.data.clip_dataset import Sample
from animal_spot.data.feature_cache import EmbeddingCache
from animal_spot.embeddings.embedding_pipeline import EmbeddingPipeline, view_of
from animal_spot.utils.files import digest_of
from animal_spot.utils.hardware import n_cores

_NOISE_CLIPS = 64  # whose waveforms are kept for mixing


class ClipEmbedder:
    """Embeds clips; what was embedded before is not computed again.

    Args:
        pipeline: Signal path; it keeps the embeddings of this process.
        sequence_len_ms: How much of a clip is heard.
        cache_dir: Folder of kept embeddings, or None.
    """

    def __init__(
        self, pipeline: EmbeddingPipeline, sequence_len_ms: float, cache_dir: Path | None = None
    ) -> None:
        self._pipeline = pipeline
        self._sequence_len_ms = sequence_len_ms
        settings = pipeline.settings(sequence_len_ms)
        self._memory = pipeline.memory.setdefault(settings["n_samples"], {})
        self._cache = EmbeddingCache(cache_dir, settings) if cache_dir is not None else None

    def embed(self, samples: Sequence[Sample]) -> np.ndarray:
        """Return the embedding of each clip, shape ``(clips, dim)``, float32.

        Raises:
            ClipError: If a clip cannot be read.
        """
        with ThreadPoolExecutor(n_cores()) as pool:
            rows = list(pool.map(self._embed_one, samples))
        return np.stack(rows) if rows else np.empty((0, self._pipeline.model.info.dim), np.float32)

    def views(
        self,
        samples: Sequence[Sample],
        number: int,
        augmentation: Augmentation,
        noise: Sequence[Sample],
        seed: int,
        noise_pool: Sequence[Sample] = (),
    ) -> np.ndarray:
        """Embed one altered view of each clip; see ``view_of``.

        A view that was embedded before is not embedded again, whatever the run.

        Args:
            samples: The clips.
            number: Of the view; each has its own chance.
            augmentation: How far chance may go.
            noise: Clips to mix in.
            seed: Of the run.
            noise_pool: What the clips to mix in were chosen from, if there are runs with other
                choices: what all of them may use is drawn alike, so that views come again.

        Returns:
            Shape ``(clips, dim)``, float32.

        Raises:
            ClipError: If a clip cannot be read.
        """
        chosen = _drawn_noise(noise, noise_pool or noise, seed)
        n_samples = self._pipeline.n_clip_samples(self._sequence_len_ms)

        def embed_view(sample: Sample) -> np.ndarray:
            rng = clip_generator(seed, number, sample.name)
            waveform = view_of(self._read(sample), n_samples, augmentation, rng, waveforms)
            digest = digest_of(waveform.tobytes())
            return self._once(f"view {digest}", lambda: self._pipeline.embed(waveform))

        def noise_stretch(sample: Sample) -> np.ndarray:
            """Keep as much of a recording as a view has, from a random place."""
            waveform = self._read(sample)
            excess = len(waveform) - n_samples
            if excess <= 0:
                return waveform
            start = int(clip_generator(seed, number, sample.name).integers(excess + 1))
            return waveform[start : start + n_samples].copy()

        with ThreadPoolExecutor(n_cores()) as pool:
            unlike = list(dict.fromkeys(chosen))
            stretches = dict(zip(unlike, pool.map(noise_stretch, unlike), strict=True))
            waveforms = [stretches[sample] for sample in chosen]
            return np.stack(list(pool.map(embed_view, samples)))

    def _embed_one(self, sample: Sample) -> np.ndarray:
        return self._once(
            sample.digest,
            lambda: self._pipeline.embed_clip(self._read(sample), self._sequence_len_ms),
        )

    def _once(self, digest: str, embed: Callable[[], np.ndarray]) -> np.ndarray:
        """Return what is kept under a name, in memory or on disk, or compute and keep it."""
        found = self._memory.get(digest)
        if found is None and self._cache is not None:
            found = self._cache.get(digest)
            if found is not None and found.shape != (self._pipeline.model.info.dim,):
                found = None  # made by something else
        if found is None:
            found = embed()
            if self._cache is not None:
                self._cache.put(digest, found)
        self._memory[digest] = found
        return found

    def _read(self, sample: Sample) -> np.ndarray:
        try:
            config = self._pipeline.config
            return read_waveform(sample.path, config.sr, sample.span, config.channel)[0].numpy()
        except (ClipError, OSError) as error:
            raise ClipError(f"{sample.path} could be read before, but not now: {error}") from error


def _drawn_noise(noise: Sequence[Sample], pool: Sequence[Sample], seed: int) -> list[Sample]:
    """Choose clips of a pool to mix in; in the place of one that may not be used the next stands.

    Args:
        noise: What may be used.
        pool: What ``noise`` was chosen from.
        seed: Of the choice.
    """
    chosen = [pool[i] for i in np.random.default_rng(seed).permutation(len(pool))[:_NOISE_CLIPS]]
    usable = set(noise)
    if not usable.intersection(chosen):
        return list(noise)[:_NOISE_CLIPS]
    for i in reversed(range(-len(chosen), len(chosen))):
        if chosen[i] not in usable:
            chosen[i] = chosen[(i + 1) % len(chosen)]
    return chosen


class EmbeddingDataset(Dataset):
    """Network inputs of one partition, all in memory; items are as those of ``ClipDataset``.

    An item is ``(features, label, index)`` with features of shape ``(1, 1, dim)``.

    Args:
        samples: Clips of the partition.
        embeddings: Shape ``(clips, dim)``, float32.
    """

    def __init__(self, samples: Sequence[Sample], embeddings: np.ndarray) -> None:
        self.samples = list(samples)
        self._features = torch.from_numpy(embeddings)[:, None, None, :]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: tuple[int, ...]) -> tuple[Tensor, int, int]:
        index = key[1]
        return self._features[index], self.samples[index].label, index

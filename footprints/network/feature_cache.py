"""Features of a frozen network part, computed once for several augmented views of each crop.

A frozen part gives the same output for the same crop in every epoch, so only the augmentation
makes epochs differ. With K views of each crop stored, an epoch draws one of them for each crop.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from footprints.system import files

if TYPE_CHECKING:
    import keras

    from footprints.network.loader import CropLoader

_BATCH = 32


def random_numbers(seed: int, *what: str | int) -> np.random.Generator:
    """Return a generator for one purpose, the same in every run with this seed.

    Args:
        seed: Of the whole training.
        what: The purpose, such as ``("real", "head", "order", 7)``.
    """
    return np.random.default_rng([seed, *(zlib.crc32(str(part).encode()) for part in what)])


def reseed(model: keras.Model, rng: np.random.Generator) -> None:
    """Set the random state of every layer of a model (augmentation, dropout)."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            reseed(layer, rng)
        for name in ("generator", "seed_generator"):
            generator = getattr(layer, name, None)
            if generator is not None:
                generator.state.assign(np.array([rng.integers(2**31), 0]))


class FeatureCache:
    """Outputs of a frozen front for each crop of a part, in the loader's order.

    Views are files of their own, so that a stopped run computes only those that are missing.

    Args:
        front: The frozen part, without augmentation; ``(n, size, size, 3)`` to ``(n, ...)``.
        augment: The augmentation layers, or None for one view without changes.
        loader: The crops.
        folder: Where views are kept; made if absent. It must hold views of this front only.
        n_views: How many.
        seed: View ``k`` depends on this and ``k`` alone.
        name: Of the part, in file names.
    """

    def __init__(
        self,
        front: keras.Model,
        augment: keras.Model | None,
        loader: CropLoader,
        folder: Path,
        *,
        n_views: int,
        seed: int,
        name: str,
    ) -> None:
        from footprints.system.progress import progress

        self._shape = (len(loader), *front.output_shape[1:])
        paths = [Path(folder) / f"{name}-{k:03}.npy" for k in range(n_views)]
        missing = [(k, path) for k, path in enumerate(paths) if not _holds(path, self._shape)]
        n_batches = -(-len(loader) // _BATCH)
        if missing:
            folder.mkdir(parents=True, exist_ok=True)
            run = _runner(front, augment)
            steps = progress(
                ((k, path, batch) for k, path in missing for batch in loader.batches(_BATCH)),
                total=len(missing) * n_batches,
                label=f"features of {name}",
                unit="step",
            )
            self._compute(run, augment, steps, seed)
        self._views = [np.load(path, mmap_mode="r") for path in paths]

    def __len__(self) -> int:
        return self._shape[0]

    def _compute(self, run, augment, steps, seed: int) -> None:
        """Write the missing views; each file appears when it is complete."""
        file, done, temporary = None, 0, None
        try:
            for k, path, (photos, _) in steps:
                with files.naming(path):
                    if file is None:
                        temporary = path.with_name(f"{files.MARK}{path.name}")
                        file = open(temporary, "wb")  # noqa: SIM115 - of several steps
                        head = {"descr": "<f4", "fortran_order": False, "shape": self._shape}
                        np.lib.format.write_array_header_1_0(file, head)
                        done = 0
                        if augment is not None:
                            reseed(augment, random_numbers(seed, "view", k))
                    features = run(photos).numpy()
                    # Not into a memory map: a full disk would kill the process there.
                    file.write(np.ascontiguousarray(features, dtype="<f4").data)
                    done += len(features)
                    if done == len(self):
                        file.close()
                        file = None
                        os.replace(temporary, path)
                        temporary = None
        finally:
            if file is not None:
                with contextlib.suppress(OSError):
                    file.close()
            if temporary is not None:
                temporary.unlink(missing_ok=True)

    def view(self, k: int) -> np.ndarray:
        """Return the features of view ``k``, float32 ``(n, ...)``, read from the file as needed."""
        return self._views[k]

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return one epoch: features in random order, a random view of each crop, and the order.

        Returns:
            Features float32 ``(n, ...)`` and the crop numbers ``(n,)`` that they belong to.
        """
        order = rng.permutation(len(self))
        which = rng.integers(len(self._views), size=len(self))
        features = np.empty(self._shape, np.float32)
        for k, view in enumerate(self._views):
            mine = which == k
            features[mine] = view[order[mine]]
        return features, order


def _holds(path: Path, shape: tuple[int, ...]) -> bool:
    """Tell whether a file holds features of this shape, whole."""
    try:
        kept = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    return kept.shape == shape and kept.dtype == np.float32 and kept.flags.c_contiguous


def bytes_needed(front: keras.Model, n_photos: int, n_views: int) -> int:
    """Return how much room ``n_views`` of ``n_photos`` take, in bytes."""
    return int(np.prod(front.output_shape[1:])) * 4 * n_photos * n_views


def _runner(front: keras.Model, augment: keras.Model | None):
    """Return ``photos uint8 -> features`` as one TensorFlow function."""
    import tensorflow as tf

    @tf.function(reduce_retracing=True)
    def run(photos):
        photos = tf.cast(photos, tf.float32)
        if augment is not None:
            photos = augment(photos, training=True)
        return front(photos, training=False)

    return run

"""Crops as Keras reads them: decoded once, kept in memory if they fit."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from footprints.network.backbones import import_keras
from footprints.network.prepared_set import PreparedSet
from footprints.pictures.scales import folder_of, mean_over_scales
from footprints.system.errors import UserError

if TYPE_CHECKING:
    import tensorflow as tf

_MEMORY_SHARE = 3  # decoded crops may take one part in so many of the memory that is free


class CropLoader:
    """The pictures of one split, through ``keras.utils.image_dataset_from_directory``.

    The files are taken in a fixed order (class, then name): all crops and then, in a set of two
    scales, all whole photos. ``paths`` and ``labels`` are in that order, and so are unshuffled
    batches.

    Args:
        prepared: The data set.
        split: ``train``, ``val`` or ``test``.
        in_memory: Whether decoded pictures are kept; None: if they fit.

    Attributes:
        paths: Files ``(n,)``; ``n`` is photos times scales.
        labels: Class index of each file, ``(n,)``, as Keras gives it.
        n_photos: Number of photos; the crops of all are the first files.
    """

    def __init__(self, prepared: PreparedSet, split: str, in_memory: bool | None = None) -> None:
        import_keras()
        self._part = prepared.parts[split]
        self._outputs = prepared.outputs
        self._size = prepared.image_size
        self._folders = [prepared.folder / folder_of(split, scale) for scale in prepared.scales]
        self.n_photos = len(self._part.paths)
        wanted = [path for scale in prepared.scales for path in prepared.paths(split, scale)]
        n_bytes = len(wanted) * self._size**2 * 3
        if in_memory is None:
            in_memory = n_bytes < _free_memory() / _MEMORY_SHARE
        self.in_memory = in_memory
        self._ordered = self._read(None)
        self.paths = tuple(Path(path) for path in self._ordered.file_paths)
        self.labels = np.tile(self._part.labels, len(self._folders))
        if self.paths != tuple(wanted):
            strange = sorted(set(self.paths) - set(wanted))
            raise UserError(
                f"{strange[0] if strange else self._folders[0]}: not a file of "
                "footprints.prepare; take it out of that folder"
            )
        self._photos = self._ordered.cache() if in_memory else self._ordered

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def photo_labels(self) -> np.ndarray:
        """Class index of each photo, ``(n_photos,)``."""
        return self._part.labels

    def per_photo(self, probabilities: np.ndarray) -> np.ndarray:
        """Return one row a photo, the mean over its pictures.

        Args:
            probabilities: ``(n, classes)`` in the order of ``paths``.

        Returns:
            ``(n_photos, classes)``.
        """
        return mean_over_scales(probabilities, len(self._folders))

    def batches(self, batch_size: int, shuffle_seed: int | None = None) -> tf.data.Dataset:
        """Return batches ``(photos uint8 (b, size, size, 3), labels int32 (b,))`` of one pass.

        Args:
            batch_size: Pictures per batch; the last one may be smaller.
            shuffle_seed: Each number is another fixed order over the whole part; None: the order
                of ``paths``.
        """
        import tensorflow as tf

        photos = self._photos
        if shuffle_seed is not None and self.in_memory:
            photos = photos.shuffle(len(self), seed=shuffle_seed, reshuffle_each_iteration=False)
        elif shuffle_seed is not None:
            photos = self._read(shuffle_seed)
        return photos.batch(batch_size).prefetch(tf.data.AUTOTUNE)

    def check(self) -> None:
        """Decode everything once, so that a damaged file is named now.

        Raises:
            UserError: Naming the first file that cannot be decoded.
        """
        import tensorflow as tf

        try:
            for _ in self.batches(64):
                pass
        except tf.errors.OpError as error:
            for path in self.paths:
                try:
                    tf.io.decode_png(path.read_bytes(), channels=3)
                except tf.errors.OpError:
                    raise UserError(f"{path}: damaged; delete it and run prepare again") from error
            raise

    def _read(self, shuffle_seed: int | None) -> tf.data.Dataset:
        """Return single ``(photo uint8, label)``; file names are shuffled by the seed."""
        import tensorflow as tf

        # Seeds of their own, or crop and photo of one print would come together.
        read = [
            self._read_folder(folder, None if shuffle_seed is None else shuffle_seed + (i << 20))
            for i, folder in enumerate(self._folders)
        ]
        photos = read[0]
        if len(read) > 1 and shuffle_seed is None:
            photos = photos.concatenate(read[1])
        elif len(read) > 1:  # the next picture is of either scale
            photos = tf.data.Dataset.sample_from_datasets(
                read, seed=shuffle_seed, rerandomize_each_iteration=False
            )
        photos.file_paths = [path for one in read for path in one.file_paths]
        return photos

    def _read_folder(self, folder: Path, shuffle_seed: int | None) -> tf.data.Dataset:
        keras = import_keras()
        import tensorflow as tf

        present = [self._outputs[index] for index in np.unique(self._part.labels)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read = keras.utils.image_dataset_from_directory(
                str(folder),
                labels="inferred",
                label_mode="int",
                class_names=present,
                batch_size=None,
                image_size=(self._size, self._size),
                shuffle=shuffle_seed is not None,
                seed=shuffle_seed or 0,
                verbose=False,
            )
        # A class without photos in this part keeps its number in the list of all classes.
        number = tf.constant([self._outputs.index(name) for name in present], tf.int32)
        photos = read.map(
            lambda photo, label: (
                tf.cast(tf.round(photo), tf.uint8),
                tf.gather(number, tf.cast(label, tf.int32)),
            ),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        photos.file_paths = read.file_paths
        return photos


def _free_memory() -> float:
    """Return the bytes of memory that can be had without swapping."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) * 1024
    except OSError:
        pass
    import os

    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2
    except (AttributeError, ValueError, OSError):
        return 4e9

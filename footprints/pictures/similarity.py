"""Photos that look alike: perceptual hashes, and groups of near duplicates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

HASH_BITS = 64
# Of 64 bits. Among OpenAnimalTracks' crops most pairs up to 10 show one print or neighbours of one
# track; at 12 chance pairs begin to prevail.
DEFAULT_MAX_DISTANCE = 10
_THIN_SIDE = 256  # pixels; large photos are thinned out to this before they are hashed
_BLOCK = 512  # photos compared with all others at a time


def photo_hash(rgb: np.ndarray) -> str:
    """Return the perceptual hash (pHash) of a photo.

    The photo is shrunk to 32 x 32 grey values, of whose cosine transform the 8 x 8 lowest
    frequencies are compared with their median: http://www.hackerfactor.com/blog/ (entry 432),
    as implemented by ImageHash. It hardly changes with size, compression, brightness.

    Args:
        rgb: Upright photo, uint8 ``(height, width, 3)``.

    Returns:
        64 bits in 16 hexadecimal digits.
    """
    import imagehash

    step = max(1, min(rgb.shape[:2]) // _THIN_SIDE)
    return str(imagehash.phash(Image.fromarray(np.ascontiguousarray(rgb[::step, ::step]))))


def close_pairs(hashes: Sequence[str], max_distance: int) -> np.ndarray:
    """Return the pairs of hashes that differ in few bits.

    Args:
        hashes: Of 16 hexadecimal digits each.
        max_distance: Largest number of differing bits, 0 to 64.

    Returns:
        Rows ``(first, second, distance)``, ``first < second``, shape ``(pairs, 3)``, ordered.
        All pairs are compared, block by block: 30,000 photos take a few seconds.

    Raises:
        ValueError: If ``max_distance`` is out of range.
    """
    if not 0 <= max_distance <= HASH_BITS:
        raise ValueError(f"max_distance must lie between 0 and {HASH_BITS}, not {max_distance}")
    numbers = np.array([int(text, 16) for text in hashes], dtype=np.uint64)
    found = [np.empty((0, 3), dtype=np.int64)]
    for start in range(0, len(numbers), _BLOCK):
        block = numbers[start : start + _BLOCK]
        distance = _count_bits(block[:, None] ^ numbers[None, start:])
        rows, columns = np.nonzero(distance <= max_distance)
        later = columns > rows
        rows, columns = rows[later], columns[later]
        found.append(np.stack([rows + start, columns + start, distance[rows, columns]], axis=1))
    return np.concatenate(found)


def near_duplicate_groups(hashes: Sequence[str], max_distance: int) -> list[int]:
    """Number the groups of photos that look alike.

    Two photos are in one group if a chain of photos joins them of which each neighbours differ in
    ``max_distance`` bits at most.

    Returns:
        A group number for each hash, counted from 0 in order of appearance.

    Raises:
        ValueError: If ``max_distance`` is out of range.
    """
    if not len(hashes):
        return []
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    different, where = np.unique(np.array(hashes), return_inverse=True)
    pairs = close_pairs(list(different), max_distance)
    n = len(different)
    links = coo_matrix((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), (n, n))
    _, component = connected_components(links, directed=False)
    number: dict[int, int] = {}
    return [number.setdefault(int(c), len(number)) for c in component[where.ravel()]]


def _count_bits(numbers: np.ndarray) -> np.ndarray:
    """Count the ones of each uint64; result uint8, same shape."""
    if hasattr(np, "bitwise_count"):  # NumPy 2
        return np.bitwise_count(numbers)
    ones = np.array([bin(value).count("1") for value in range(2**16)], dtype=np.uint8)
    parts = np.ascontiguousarray(numbers).view(np.uint16).reshape(*numbers.shape, 4)
    return ones[parts].sum(axis=-1, dtype=np.uint8)

"""Perceptual hashes and groups of look-alikes, against ImageHash and SciPy."""

from __future__ import annotations

import io

import imagehash
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.distance import cdist

from footprints.pictures import similarity
from footprints.pictures.similarity import close_pairs, near_duplicate_groups, photo_hash


def blotches(seed: int, side: int = 320) -> np.ndarray:
    """Return a picture of large soft shapes, as photos are."""
    small = np.random.default_rng(seed).integers(0, 256, (7, 7, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC))


def distance(first: str, second: str) -> int:
    return imagehash.hex_to_hash(first) - imagehash.hex_to_hash(second)


def test_hash_is_that_of_imagehash() -> None:
    photo = blotches(1)
    assert photo_hash(photo) == str(imagehash.phash(Image.fromarray(photo)))
    assert len(photo_hash(photo)) == 16


@pytest.mark.parametrize("change", ["smaller", "larger", "jpeg", "darker", "few pixels cut"])
def test_hash_hardly_changes_with(change: str) -> None:
    photo = blotches(2, 1200)
    image = Image.fromarray(photo)
    if change == "smaller":
        image = image.resize((300, 300))
    elif change == "larger":
        image = image.resize((2600, 2600))
    elif change == "jpeg":
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=30)
        image = Image.open(buffer)
    elif change == "darker":
        image = image.point(lambda value: value * 0.8)
    else:
        image = image.crop((8, 8, 1195, 1195))
    assert distance(photo_hash(photo), photo_hash(np.asarray(image))) <= 6


def test_different_photos_are_far_apart() -> None:
    hashes = [photo_hash(blotches(seed)) for seed in range(30)]
    distances = [distance(a, b) for n, a in enumerate(hashes) for b in hashes[:n]]
    assert min(distances) > similarity.DEFAULT_MAX_DISTANCE


@pytest.mark.parametrize("block", [3, 512])
@pytest.mark.parametrize("with_numpy_2", [True, False])
def test_pairs_agree_with_scipy(block: int, with_numpy_2: bool, monkeypatch) -> None:
    if not with_numpy_2:
        monkeypatch.delattr(np, "bitwise_count", raising=False)
    monkeypatch.setattr(similarity, "_BLOCK", block)
    bits = np.random.default_rng(0).integers(0, 2, (40, 64))
    bits[20:] = bits[:20] ^ (np.random.default_rng(1).random((20, 64)) < 0.08)
    hashes = [f"{int(''.join(map(str, row)), 2):016x}" for row in bits]
    reference = np.rint(cdist(bits, bits, "hamming") * 64)
    wanted = [
        (i, j, reference[i, j]) for i in range(40) for j in range(i + 1, 40) if reference[i, j] <= 9
    ]
    assert wanted
    assert [tuple(row) for row in close_pairs(hashes, 9)] == wanted


def test_groups_are_chains_numbered_by_appearance() -> None:
    hashes = ["ffffffffffffffff", "0000000000000000", "0000000000000003", "000000000000000f"]
    assert near_duplicate_groups(hashes, 2) == [0, 1, 1, 1]
    assert near_duplicate_groups(hashes, 1) == [0, 1, 2, 3]
    assert near_duplicate_groups([*hashes, hashes[0]], 0) == [0, 1, 2, 3, 0]
    assert near_duplicate_groups([], 4) == []


def test_distance_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 64"):
        close_pairs(["0" * 16], 65)


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=12), st.integers(0, 64))
def test_close_photos_are_in_one_group(numbers: list[int], limit: int) -> None:
    groups = near_duplicate_groups([f"{number:016x}" for number in numbers], limit)
    for i, first in enumerate(numbers):
        for j, second in enumerate(numbers):
            if bin(first ^ second).count("1") <= limit:
                assert groups[i] == groups[j]


def test_many_photos_take_seconds() -> None:
    numbers = np.random.default_rng(3).integers(0, 2**63, 8000)
    assert len(set(near_duplicate_groups([f"{n:016x}" for n in numbers], 4))) == 8000

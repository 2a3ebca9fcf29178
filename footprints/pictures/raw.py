"""RAW photos, what the sensors of cameras saw: LibRaw develops them where rawpy is installed."""

from __future__ import annotations

import functools
import importlib.util
import io

import numpy as np

from footprints.pictures.finding import RAW_SUFFIXES
from footprints.pictures.opening import MAX_PIXELS, TIFF_STARTS, open_exif

ADVICE = "RAW photo; save it as JPEG with the camera's program, or install the package rawpy"
_STARTS = (  # of those that are no kind of TIFF: Fujifilm, Olympus, Panasonic, Minolta, Sigma
    b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"\0MRM", b"FOVb",
)  # fmt: skip
_OTHER_STARTS = (b"\xff\xd8\xff", b"\x89PNG")  # a RAW photo's name given to a picture


@functools.lru_cache(maxsize=1)
def can_develop() -> bool:
    """Tell whether RAW photos can be used here."""
    return importlib.util.find_spec("rawpy") is not None


def is_raw(data: bytes, suffix: str = "") -> bool:
    """Tell a camera's own format, most of which are kinds of TIFF, by its content.

    Args:
        data: The photo's bytes.
        suffix: Of its name, which decides where the content does not.
    """
    if data.startswith(_STARTS) or data[4:12] == b"ftypcrx " or data[6:14] == b"HEAPCCDR":
        return True
    if suffix.lower() in RAW_SUFFIXES:
        return not data.startswith(_OTHER_STARTS)
    return data.startswith(TIFF_STARTS) and _is_raw_tiff(data)


def develop(data: bytes) -> np.ndarray:
    """Return a RAW photo as the camera would show it: its white balance, upright.

    Returns:
        RGB, uint8, shape ``(height, width, 3)``.

    Raises:
        ValueError: If it is too large, damaged, or of a kind that LibRaw does not know.
    """
    import rawpy

    try:
        with rawpy.imread(io.BytesIO(data)) as photo:
            if photo.sizes.width * photo.sizes.height > MAX_PIXELS:
                raise ValueError(f"more than {MAX_PIXELS // 10**6} million pixels")
            return photo.postprocess(use_camera_wb=True, output_bps=8)
    except (rawpy.LibRawError, rawpy.NotSupportedError) as error:
        said = error.args[0] if error.args else ""
        said = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        raise ValueError(
            f"RAW photo, damaged, cut short or of an unknown kind ({said}); save it as JPEG with "
            "the camera's program"
        ) from None


def _is_raw_tiff(data: bytes) -> bool:
    try:
        with open_exif(data) as tags:
            is_preview = bool(tags.get(254, 0) & 1)  # NewSubfileType: reduced resolution
            return data[8:10] == b"CR" or 50706 in tags or (is_preview and 330 in tags)
    except Exception:  # decoders of foreign bytes raise almost anything
        return False

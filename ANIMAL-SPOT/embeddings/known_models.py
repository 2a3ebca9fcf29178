"""Embedding models of others that come as ONNX files: how each is fed, and under what licence.

Perch 2.0: van Merriënboer et al., Perch 2.0: The Bittern Lesson for Bioacoustics,
https://arxiv.org/abs/2508.04665; names and shapes from the ONNX file
https://huggingface.co/justinchuby/Perch-onnx, scaling from Google's library perch-hoplite. AVES:
Hagiwara, AVES: Animal Vocalization Encoder based on Self-Supervision, ICASSP 2023,
https://github.com/earthspecies/aves, whose files get the sound as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

AUTO, NONE = "auto", "none"
Shape = Sequence[int | str | None]


@dataclass(frozen=True)
class KnownModel:
    """How one family of files is fed.

    Attributes:
        name: For people.
        licence: One line for people.
        sample_rate: Of a window, Hz.
        n_samples: Length of a window; None: the file leaves it open.
        dims: Numbers that an embedding of it may have.
        framewise: Whether the file gives one embedding for each stretch of a window.
        input: Name of its input; None: any.
        output: Name of the tensor that is the embedding; None: that of the only output.
        peak: What each window is scaled to, see ``EmbeddingInfo``; None: not at all.
        file_prefix: How its file names begin, where shapes alone are no proof; None: they are.
    """

    name: str
    licence: str
    sample_rate: int
    n_samples: int | None
    dims: tuple[int, ...]
    framewise: bool = False
    input: str | None = None
    output: str | None = None
    peak: float | None = None
    file_prefix: str | None = None


KNOWN = {
    "perch2": KnownModel(
        name="Perch 2.0",
        licence="Perch 2.0 is licensed Apache-2.0",
        sample_rate=32_000,
        n_samples=160_000,
        dims=(1536,),
        input="inputs",
        output="embedding",
        peak=0.25,
    ),
    "aves": KnownModel(
        name="AVES",
        licence="AVES is published under the MIT licence",
        sample_rate=16_000,
        n_samples=None,
        dims=(768,),
        framewise=True,
        file_prefix="aves",
    ),
    "birdaves": KnownModel(
        name="BirdAVES",
        licence="BirdAVES is published under the MIT licence",
        sample_rate=16_000,
        n_samples=None,
        dims=(768, 1024),
        framewise=True,
        file_prefix="birdaves",
    ),
}
PRESETS = (AUTO, *KNOWN, NONE)


@dataclass(frozen=True)
class FileShape:
    """What an ONNX file says of itself.

    Attributes:
        input: Name of its only input.
        input_shape: Numbers, and names or None where a length is open.
        outputs: Shape of each output, by name; empty where the file does not say it.
    """

    input: str
    input_shape: Shape
    outputs: Mapping[str, Shape]


def recognise(file: FileShape, path: Path) -> str:
    """Return the preset that a file fits, by names and shapes, and AVES by the file's name too."""
    for preset, known in KNOWN.items():
        prefix = known.file_prefix
        if (prefix is None or path.name.lower().startswith(prefix)) and not misfit(file, known):
            return preset
    return NONE


def misfit(file: FileShape, known: KnownModel) -> str | None:
    """Say in what a file differs from a known model; None: in nothing."""
    shape = list(file.input_shape)
    takes = f"{known.input or 'an input of any name'} (batch, {known.n_samples or 'samples'})"
    fits = len(shape) == 2 and (
        not isinstance(shape[1], int) if known.n_samples is None else shape[1] == known.n_samples
    )
    if not fits or known.input not in (None, file.input):
        return f"{known.name} takes {takes}, and this file {shown(file.input, shape)}"
    axes = ("batch", "frames") if known.framewise else ("batch",)
    dims = " or ".join(map(str, known.dims))
    wanted = f"({', '.join((*axes, dims))})"
    given = ", ".join(shown(*entry) for entry in file.outputs.items())
    if known.output is None and len(file.outputs) == 1:
        (found,) = file.outputs.values()
    else:
        found = file.outputs.get(known.output)
    # An exporter need not say the shape; what is computed is looked at in any case.
    if found is None or (
        len(found) and (len(found) != len(axes) + 1 or not _may_be(found[-1], known.dims))
    ):
        gives = f"{known.output or 'one output'} {wanted}"
        return f"{known.name} gives {gives}, and this file {given or 'nothing'}"
    return None


def shown(name: str, shape: Shape) -> str:
    """Write a tensor for people: its name and its axes."""
    return f"{name} ({', '.join('?' if axis is None else str(axis) for axis in shape)})"


def _may_be(axis: int | str | None, dims: Sequence[int]) -> bool:
    return not isinstance(axis, int) or axis in dims

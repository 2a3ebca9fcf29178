"""Ensembles: several networks in one file, whose probabilities are averaged.

The file holds the dictionary form of each member whole, so it needs no other file. Like model files
it holds plain containers and tensors only.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

from animal_spot.data.noise_class import noise_class_of
from animal_spot.detections.calibration import Calibration
from animal_spot.model_files.model_file import ModelFile, dictionary_of, load_torchscript, model_of
from animal_spot.utils.tensor_files import UnreadableFileError, load_tensors, save_tensors

log = logging.getLogger(__name__)

MEMBERS = "members"  # the key that tells an ensemble from a single model


@dataclass
class Ensemble(Sequence[ModelFile]):
    """Networks with the same classes, whose probabilities are averaged; it may be one alone.

    Attributes:
        members: The networks. The temperature of each is applied before averaging.
        names: Name of each, unique.
        calibration: Of the average. That of a single network has its thresholds and no temperature,
            since that is applied already.
        called: What messages call each: file, and member of it; none: its name.
    """

    members: list[ModelFile]
    names: list[str]
    calibration: Calibration = field(default_factory=Calibration)
    called: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.called = self.called or list(self.names)

    def __len__(self) -> int:
        return len(self.members)

    @overload
    def __getitem__(self, index: int) -> ModelFile: ...

    @overload
    def __getitem__(self, index: slice) -> list[ModelFile]: ...

    def __getitem__(self, index: int | slice) -> ModelFile | list[ModelFile]:
        return self.members[index]

    def __iter__(self) -> Iterator[ModelFile]:
        return iter(self.members)

    def hear_channel(self, channel: str | None) -> None:
        """Let all networks hear another channel than in training; None changes nothing."""
        for member in self.members if channel is not None else ():
            member.signal = dataclasses.replace(member.signal, channel=channel)

    @property
    def classes(self) -> dict[str, int]:
        """Class name to index."""
        return self.members[0].classes

    @property
    def noise_class(self) -> str | None:
        """The class that is no call; None: all are calls."""
        return self.members[0].noise_class


def save_ensemble(ensemble: Ensemble, path: Path) -> None:
    """Write all members into one file.

    Raises:
        OSError: If the file cannot be written.
    """
    save_tensors(
        {
            MEMBERS: [dictionary_of(member) for member in ensemble],
            "names": list(ensemble.names),
            "classes": ensemble.classes,
            "noise_class": ensemble.noise_class,
            **ensemble.calibration.entries(),
        },
        path,
    )


def load_ensemble(path: Path, *, torchscript: bool = False) -> Ensemble:
    """Read the file of an ensemble, or of a single network as an ensemble of one.

    Args:
        path: The file.
        torchscript: It is a TorchScript archive, of a single network.

    Raises:
        FileNotFoundError: If there is no such file.
        UnreadableFileError: If it is no such file, or its parts do not fit together.
    """
    content: Any = None if torchscript else load_tensors(path)
    if not isinstance(content, Mapping) or MEMBERS not in content:
        single = load_torchscript(path) if torchscript else model_of(content, path)
        return ensemble_of_one(single, path.name)
    try:
        parts, names = list(content[MEMBERS]), [str(name) for name in content["names"]]
        if not parts or len(parts) != len(names):
            raise ValueError(f"it has {len(parts)} members and {len(names)} names")
        members = [
            model_of(part, f"member {name} of {path}")
            for part, name in zip(parts, names, strict=True)
        ]
        require_same_classes(members, names)
        calibration = Calibration.from_entries(content, list(members[0].classes))
    except UnreadableFileError:
        raise
    except (LookupError, TypeError, ValueError) as error:
        raise UnreadableFileError(f"the parts of {path} do not fit together: {error}") from error
    return Ensemble(members, names, calibration)


def ensemble_of_one(content: ModelFile, name: str = "network") -> Ensemble:
    """Return a single network as an ensemble."""
    kept = dataclasses.replace(content.calibration, temperature=None)
    return Ensemble([content], [name], kept, called=[name])


def load_members(
    paths: Sequence[Path], *, torchscript: bool = False, noise_class: str | None = None
) -> Ensemble:
    """Read several files into one ensemble; ensembles among them are taken apart.

    Several files have no calibration of their average, whatever theirs is.

    Args:
        paths: The files.
        torchscript: They are TorchScript archives.
        noise_class: The class that is no call; None: what the files say.

    Raises:
        ValueError: If one cannot be read, or their classes differ, or the noise class is none.
        OSError: If one does not exist.
    """
    loaded = [load_ensemble(path, torchscript=torchscript) for path in paths]
    members, called, names = [], [], []
    for path, short, ensemble in zip(paths, distinct_names(paths), loaded, strict=True):
        members += ensemble
        several = len(ensemble) > 1
        called += [f"{path} ({name})" if several else str(path) for name in ensemble.names]
        names += [f"{short}: {name}" if several else short for name in ensemble.names]
    if noise_class is not None:
        _set_noise_class(members, called, noise_class)
    require_same_classes(members, called)
    require_same_noise_class(members, called)
    if len(loaded) == 1:
        return dataclasses.replace(loaded[0], called=called)
    for path, ensemble in zip(paths, loaded, strict=True):
        _say_what_is_left_out(ensemble, path)
    return Ensemble(members, names, called=called)


def _set_noise_class(members: Sequence[ModelFile], names: Sequence[str], wanted: str) -> None:
    for member, name in zip(members, names, strict=True):
        before, member.noise_class = member.noise_class, noise_class_of(wanted, member.names)
        if before not in (None, member.noise_class):
            log.warning("--noise_class %s: for %s it was %s", wanted, name, before)


def _say_what_is_left_out(ensemble: Ensemble, path: Path) -> None:
    kept = ensemble.calibration
    parts = [
        *(["the temperature of its average"] if kept.temperature not in (None, 1) else []),
        *(["its thresholds"] if kept.thresholds else []),
    ]
    if parts:
        log.warning(
            "%s: %s not used: found for this model alone; calibrate.py calibrates an ensemble file",
            path,
            " and ".join(parts) + (" are" if kept.thresholds else " is"),
        )


def require_same_classes(members: Sequence[ModelFile], names: Sequence[str]) -> None:
    """Check that probabilities can be averaged.

    Raises:
        ValueError: If classes differ, or are not as many as the outputs.
    """
    for member, name in zip(members, names, strict=True):
        if member.classes != members[0].classes:
            raise ValueError(
                f"the classes of {name} ({_numbered(member.classes)}) are not those of "
                f"{names[0]} ({_numbered(members[0].classes)}); models that are averaged must "
                "have the same classes"
            )
        n_outputs = member.classifier_opts["num_classes"]
        if n_outputs < 2 or n_outputs != len(member.classes):
            raise ValueError(
                f"{name} has {n_outputs} outputs and {len(member.classes)} class names; "
                "2 or more are needed, as many of both"
            )


def require_same_noise_class(members: Sequence[ModelFile], names: Sequence[str]) -> None:
    """Check that the networks mean the same by a detection.

    Raises:
        ValueError: If their noise classes differ.
    """
    for member, name in zip(members, names, strict=True):
        if member.noise_class != members[0].noise_class:
            raise ValueError(
                f"the noise class of {name} is {member.noise_class or 'none'}, that of {names[0]} "
                f"{members[0].noise_class or 'none'}; settle it with --noise_class"
            )


def _numbered(classes: Mapping[str, int]) -> str:
    return ", ".join(f"{name}={index}" for name, index in classes.items())


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """Return short names of files that tell them apart, without the folders that all share.

    Training calls every model file the same; then the folders in which they differ name them.
    """
    names = [path.name for path in paths]
    if len(set(names)) == len(names):
        return names
    parts = [list(path.absolute().parts) for path in paths]
    while len({p[0] for p in parts}) == 1 and min(map(len, parts)) > 1:
        parts = [p[1:] for p in parts]
    while len({p[-1] for p in parts}) == 1 and min(map(len, parts)) > 1:
        parts = [p[:-1] for p in parts]
    return ["/".join(p) for p in parts]

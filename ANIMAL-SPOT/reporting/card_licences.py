"""Under what licences a model file stands: of the program, of its start weights, of its clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from animal_spot.embeddings.embedding_model import BIRDNET, BIRDNET_LICENCE
from animal_spot.embeddings.known_models import KNOWN
from animal_spot.model_files.model_file import ModelFile

PROGRAM = (
    "The program that trained and reads this file, animal-spot, is under the GNU General Public "
    "License version 3 (GPL-3.0)."
)
_OWN_LICENCE = (
    "The recordings that it was trained on have owners, whose terms count; this file does not know "
    "them."
)
_LITES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")


def licences_of(members: Sequence[ModelFile], settings: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each licence that counts.

    Args:
        members: The networks of the file.
        settings: Of its training, as far as they are known.
    """
    said = [PROGRAM]
    for member in members:
        said += _of_start(member, settings)
    if isinstance(settings.get("distill"), str):
        said.append("It learned from the answers of another model, whose licences count too.")
    return list(dict.fromkeys([*said, _OWN_LICENCE]))


def is_not_commercial(members: Sequence[ModelFile]) -> bool:
    """Tell whether a licence forbids commercial use, as far as this program knows."""
    return any(member.encoder_opts.get("embedding_model") == BIRDNET for member in members)


def _of_start(member: ModelFile, settings: Mapping[str, Any]) -> list[str]:
    options = member.encoder_opts
    if member.kind.hears == "embeddings":
        name = str(options.get("embedding_model"))
        if name == BIRDNET:
            return [f"{BIRDNET_LICENCE}."]
        preset = options.get("preset")
        if preset in KNOWN:
            return [f"{KNOWN[preset].licence}."]
        return [
            f"The embedding model {name} has a licence of its own, which this file does not know."
        ]
    if "init_from" in (member.extra or {}):
        return ["Its training began from another model file, whose licences count too."]
    if not options.get("pretrained") and settings.get("pretrained") is not True:
        return []
    if member.backbone in _LITES:
        return ["Its start weights, learned on ImageNet, are under the Apache License 2.0."]
    if "timm" in options:
        return [
            "Its start weights are of the library timm; they have licences of their own, some not "
            f"for commercial use: look up {options['timm']}."
        ]
    return [
        "Its start weights, learned on ImageNet, are of torchvision (BSD-3-Clause); the photos of "
        "ImageNet were given for research that is not commercial."
    ]

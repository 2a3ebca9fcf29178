"""What a model folder holds already: the same run, another one, or nothing; none is overwritten."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from animal_spot.data.clip_dataset import Sample
from animal_spot.data.corpus import Corpus
from animal_spot.model_files.model_file import FILE_NAME
from animal_spot.settings.flags import marked
from animal_spot.training.config import TrainConfig
from animal_spot.training.recipe import WAYS_OUT, changes, settled_recipe
from animal_spot.utils.files import digest_of, refuse_links, write_text_atomic

RESULTS = "results.json"
LOCK = ".training.lock"  # of a folder that a run writes to


def data_fingerprint(corpus: Corpus) -> str:
    """Return a hash of all clips with partition and label, wherever they lie."""
    parts = {**corpus.samples, "noise": corpus.noise, "unlabelled": corpus.unlabelled}
    content = {name: _sorted(samples) for name, samples in sorted(parts.items())}
    return digest_of(json.dumps(content).encode())


def is_finished(config: TrainConfig, corpus: Corpus, model_dir: Path, *, goes_on: bool) -> bool:
    """Look whether a run is done already, before anything is written.

    Args:
        config: Settings.
        corpus: Clips.
        model_dir: Where its files would go.
        goes_on: There are checkpoints that it will go on from, which are compared then.

    Returns:
        True if model and results there are of the same settings and clips.

    Raises:
        ValueError: If they are of others, or nobody knows of what, and would be overwritten.
    """
    if config.start_scratch:
        return False
    model, before = model_dir / FILE_NAME, _results_of(model_dir)
    if before is not None and "folds" in before:
        raise ValueError(f"{model_dir} holds the results of --folds; name another --model_dir")
    if not model.is_file():
        return False
    if before is None:
        if goes_on:
            return False
        raise ValueError(
            f"{model} is there already, and no {RESULTS} says how it was trained: {WAYS_OUT}"
        )
    changed = _changes_since(before, config, corpus)
    if not changed:
        as_written = marked(config, "files")
        same_files = all(before["settings"].get(k) == getattr(config, k) for k in as_written)
        digest = before.get("model_digest")
        return same_files and digest in (None, digest_of(model.read_bytes()))
    if goes_on:
        return False
    raise ValueError(
        f"{model} is a finished model of another run: {'; '.join(changed)}. It stays as it is; "
        f"{WAYS_OUT}"
    )


def require_no_model(model_dir: Path) -> None:
    """Make sure that results of a cross-validation take the place of none of a single run.

    Raises:
        ValueError: If the folder holds a model.
    """
    if (model_dir / FILE_NAME).exists():
        raise ValueError(
            f"{model_dir} holds the model of a run without --folds; name another --model_dir"
        )


def write_if_changed(path: Path, text: str) -> None:
    """Write UTF-8 text to a file, unless the file holds it already.

    Raises:
        OSError: If it cannot be written, or is a link.
    """
    refuse_links(path, path.parent)
    if not holds(path, text):
        write_text_atomic(path, text)


def holds(path: Path, text: str) -> bool:
    """Tell whether a file holds a text and nothing else."""
    return path.is_file() and path.read_bytes() == text.encode("utf-8", errors="surrogateescape")


def _changes_since(before: Mapping[str, Any], config: TrainConfig, corpus: Corpus) -> list[str]:
    settings = dict(before["settings"])
    if isinstance(before.get("classes"), dict):
        settings["num_classes"] = len(before["classes"])
    if "noise_class" in before:
        settings["noise_class"] = before["noise_class"]
    else:
        settings.pop("noise_class", None)
    changed = list(changes(settings, settled_recipe(config, corpus.classes)).values())
    classes = before.get("classes", corpus.classes)
    if classes != corpus.classes:
        was = ", ".join(map(str, classes)) if isinstance(classes, dict) else classes
        changed.append(f"the classes were {was}, now {', '.join(corpus.classes)}")
    elif before.get("data", fingerprint := data_fingerprint(corpus)) != fingerprint:
        was = before.get("clips") or {}
        counts = {name: len(samples) for name, samples in corpus.samples.items()}
        changed.append(f"the clips or their split are others (were {was}, now {counts})")
    return changed


def _results_of(model_dir: Path) -> dict[str, Any] | None:
    """Read the results of a run; None if there are none that can be read."""
    try:
        content = json.loads((model_dir / RESULTS).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    usable = isinstance(content, dict) and isinstance(content.get("settings"), dict)
    return content if usable else None


def _sorted(samples: Sequence[Sample]) -> list[list[Any]]:
    return sorted([s.digest, s.label, list(s.span or ())] for s in samples)

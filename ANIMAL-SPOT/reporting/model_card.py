"""What there is to know of a model file: what it is for, what of, how good, how to use it.

The same blocks become the file ``MODEL_CARD.md`` (``card_files``) and a part of a report.
"""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from animal_spot.audio.channel_choice import MIX
from animal_spot.embeddings.known_models import KNOWN
from animal_spot.model_files.ensemble_file import Ensemble, load_ensemble
from animal_spot.model_files.model_file import ModelFile
from animal_spot.model_files.torchscript_reader import is_torchscript
from animal_spot.reporting.card_licences import is_not_commercial, licences_of
from animal_spot.reporting.methods import CITATION, intervals_in_words
from animal_spot.reporting.page import (
    Block,
    Cell,
    Copied,
    Facts,
    Note,
    Section,
    Table,
    Text,
    count,
    decimal,
    interval,
    share,
)
from animal_spot.reporting.sources import RESULTS, read_json
from animal_spot.reporting.training_data import in_words
from animal_spot.reporting.training_results import PARTS, Results, Scores, read_results_file
from animal_spot.reporting.training_words import config_of, frequency, groups_of
from animal_spot.utils.files import digest_of
from animal_spot.utils.text import printable

_MOST_CLASSES = 60  # that are named in a sentence


@dataclass(frozen=True)
class Model:
    """A model file, and what is known of it.

    Attributes:
        path: The file.
        networks: One, or those of an ensemble.
        sha256: Checksum of the file.
        n_bytes: Its size.
        results: Of its training; None if they are not beside it, or are of another file.
        why_no_results: Why not.
    """

    path: Path
    networks: Ensemble
    sha256: str
    n_bytes: int
    results: Results | None
    why_no_results: str = ""

    @property
    def settings(self) -> dict[str, Any]:
        """Of its training, as far as they are known."""
        return dict(self.results.settings) if self.results is not None else {}


def read_model(path: Path) -> Model:
    """Read a model file and the ``results.json`` beside it.

    Raises:
        ValueError: If it is no model file.
        OSError: If it cannot be read.
    """
    content = path.read_bytes()
    networks = load_ensemble(path, torchscript=is_torchscript(path))
    results, why = _results_of(path, digest_of(content))
    return Model(path, networks, hashlib.sha256(content).hexdigest(), len(content), results, why)


def _results_of(path: Path, digest: str) -> tuple[Results | None, str]:
    """Return the figures of the run that wrote a file, or why there are none.

    Those of a training stand in ``results.json``, of an ensemble in a file of its own name.
    """
    beside = [path.parent / RESULTS, path.with_suffix(".json")]
    found = [file for file in beside if file.is_file()]
    for file in found:
        content = read_json(file)
        is_of_it = content.get("model") == path.name
        is_of_it &= content.get("model_digest") in (None, digest)
        if is_of_it and "classes" in content:  # else of calibrate
            return read_results_file(file), ""
    if not found:
        return None, f"There is no {RESULTS} beside the file."
    return None, f"The {found[0].name} beside the file is of another model."


def card_sections(model: Model) -> list[Section]:
    """Return all that there is to say of a model file."""
    found = [
        Section("What it is for", _purpose(model)),
        Section("How to use it", _use(model)),
        Section("How good it is", _scores(model)),
        Section("What it was trained on", _data(model)),
        Section("How it was trained", _training(model)),
        Section("The file", [Facts(tuple(_file_facts(model)))]),
        Section("Licences", _licences(model)),
        Section("What to cite", [Text((CITATION,))]),
    ]
    return [section for section in found if section.blocks]


def _purpose(model: Model) -> list[Block]:
    names, noise = model.networks[0].names, model.networks.noise_class
    calls = [name for name in names if name != noise]
    listed = ", ".join(calls[:_MOST_CLASSES])
    if len(calls) > _MOST_CLASSES:
        listed += f" and {len(calls) - _MOST_CLASSES} more"
    kinds = "class" if len(calls) == 1 else "classes"
    text = f"It tells {len(calls)} {kinds} of sound apart: {listed}."
    if noise is not None:
        text += f" The class {noise} is background, that is no call."
    else:
        text += " It knows no background: each window is one of these classes to it."
    limits = (
        "It names everything by these classes, also what it has never heard. Other places, "
        "recorders and seasons than those of its clips make it worse: have some of its detections "
        "reviewed before you rely on numbers."
    )
    blocks: list[Block] = [Text((text, limits))]
    if is_not_commercial(model.networks.members):
        blocks.append(Note("Not for commercial use: see the licences.", is_warning=True))
    return blocks


def _use(model: Model) -> list[Block]:
    name = model.path.name
    blocks: list[Block] = []
    if model.networks[0].sequence_len_ms is None:
        blocks.append(
            Note(
                "The file does not say how long the clips were that it was trained on. If that was "
                "not 2 s, add --sequence_len and the seconds."
            )
        )
    command = (
        f"animal-spot predict --model_path {shlex.quote(name)} --input_file my_recordings "
        f"--output_dir found"
    )
    python = (
        "from animal_spot.notebook import CallClassifier\n\n"
        f"classifier = CallClassifier.load({name!r})\n"
        'rows = classifier.detect("recording.wav")'
    )
    return [
        *blocks,
        Copied("On the command line", command),
        Copied("In Python", python),
    ]


def _scores(model: Model) -> list[Block]:
    if model.results is None:
        blocks: list[Block] = [Note(f"{model.why_no_results} {_own_metrics(model)}".strip())]
        return blocks
    results = model.results
    blocks = []
    for part in ("test", "val"):
        if part in results.scores:
            blocks += _score_blocks(results.scores[part], results, part)
            break
    return blocks


def _own_metrics(model: Model) -> str:
    """Say what the file itself says of its validation."""
    said = []
    for member, name in zip(model.networks, model.networks.names, strict=True):
        metrics = (member.extra or {}).get("metrics") or {}
        accuracy = metrics.get("val_accuracy")
        if isinstance(accuracy, float):
            of = f" of {printable(name)}" if len(model.networks) > 1 else ""
            said.append(f"accuracy{of} on validation clips {share(accuracy).text}")
    return f"The file says: {', '.join(said)}." if said else ""


def _score_blocks(scores: Scores, results: Results, part: str) -> list[Block]:
    word = PARTS[part]
    text = (
        f"{scores.correct} of {scores.clips} {word} clips are named right: "
        f"{share(scores.accuracy).text}; mean of the classes {share(scores.macro).text}."
    )
    if part == "val":
        text += " Validation clips chose the network that was kept, so this flatters."
    rows: list[list[Cell]] = [
        [
            row.name,
            count(row.clips),
            count(row.correct),
            share(row.accuracy),
            interval(*(row.interval or (None, None))),
        ]
        for row in scores.classes
    ]
    return [
        Text((text,)),
        Table(
            "card_scores",
            f"Accuracy per class on {word} clips",
            ("class", "clips", "right", "accuracy", "95 % interval"),
            rows,
            note=intervals_in_words(results),
        ),
    ]


def _data(model: Model) -> list[Block]:
    splits = [
        (name, (member.extra or {}).get("split"))
        for name, member in zip(model.networks.names, model.networks, strict=True)
    ]
    facts: list[tuple[str, Cell]] = []
    for name, split in splits:
        of = f" of {printable(name)}" if len(splits) > 1 else ""
        if isinstance(split, str):
            facts.append((f"Split{of} (hash of the clips for validation and test)", split))
    results = model.results
    if results is None:
        text = f"{model.why_no_results} What it was trained on is not known."
        return [Note(text), *([Facts(tuple(facts))] if facts else [])]
    if results.excluded:
        facts.append(("Files left out", count(results.excluded)))
    blocks: list[Block] = [Text((in_words(results),))]
    if facts:
        blocks.append(Facts(tuple(facts)))
    if results.counts:
        blocks.append(_counts(results))
    else:
        blocks.append(Note("How many clips of each class it learned from is not known."))
    return blocks


def _counts(results: Results) -> Table:
    parts = list(results.counts)
    columns = ["class"]
    for part in parts:
        columns += [f"{PARTS.get(part, part)}: clips", "recordings"]
    by_name = {part: {row.name: row for row in results.counts[part]} for part in parts}
    rows: list[list[Cell]] = []
    for label in results.classes:
        row: list[Cell] = [label]
        for part in parts:
            found = by_name[part].get(label)
            row += [count(found.clips), count(found.tapes)] if found else [count(None)] * 2
        rows.append(row)
    return Table("card_clips", "Clips of each class, and recordings they are from", columns, rows)


def _training(model: Model) -> list[Block]:
    results = model.results
    blocks: list[Block] = []
    if len(model.networks) > 1:
        blocks.append(
            Text((f"An ensemble: the mean of the answers of {len(model.networks)} networks.",))
        )
        blocks.append(_members(model.networks))
    if results is None or len(model.networks) > 1:
        return blocks
    try:
        groups = groups_of(config_of(results.settings), results.part("head"))
    except (ValueError, TypeError, LookupError):
        return [*blocks, Note("The settings of its training cannot be put into words.")]
    return [*blocks, Text(tuple(groups.values()))]


def _members(networks: Ensemble) -> Table:
    return Table(
        "card_members",
        "Networks",
        ("file", "kind", "band", "accuracy on validation clips"),
        [
            [
                printable(name),
                member.backbone,
                _band(member),
                share(_metric(member, "val_accuracy")),
            ]
            for name, member in zip(networks.names, networks, strict=True)
        ],
    )


def _metric(member: ModelFile, name: str) -> float | None:
    value = ((member.extra or {}).get("metrics") or {}).get(name)
    return value if isinstance(value, float) and 0 <= value <= 1 else None


def _band(member: ModelFile) -> str:
    return f"{frequency(member.signal.fmin)} to {frequency(member.signal.fmax)}"


def _file_facts(model: Model) -> list[tuple[str, Cell]]:
    first = model.networks[0]
    hears = first.kind.hears == "embeddings"
    length = first.sequence_len_ms
    rows: list[tuple[str, Cell]] = [
        ("File", printable(model.path.name)),
        ("SHA-256", model.sha256),
        ("Size", f"{model.n_bytes:,} bytes"),
        ("Network", _kind(first) if len(model.networks) == 1 else "ensemble"),
        ("Sampling rate", f"{first.signal.sr / 1000:g} kHz"),
        ("Band", _band(first)),
        (
            "Length of a window",
            decimal(length / 1000, 2, " s") if length is not None else "not said",
        ),
        ("Channel", "mean of all" if first.signal.channel == MIX else first.signal.channel),
        ("Background class", printable(model.networks.noise_class or "none")),
    ]
    if hears:
        rows.append(("Embeddings of", str(first.encoder_opts.get("embedding_model"))))
    calibration = model.networks.calibration
    temperature = first.calibration.temperature if len(model.networks) == 1 else None
    temperature = temperature if temperature is not None else calibration.temperature
    is_calibrated = temperature is not None
    rows.append(("Calibrated", f"temperature {temperature:.3f}" if is_calibrated else "no"))
    rows.append(
        ("Events", "tuned for recordings" if calibration.decoder else "by the original rule")
    )
    versions = model.results.versions if model.results is not None else {}
    rows += [(f"Version of {key}", text) for key, text in sorted(versions.items())]
    return [(title.replace("animal_spot", "animal-spot"), cell) for title, cell in rows]


def _kind(member: ModelFile) -> str:
    if member.kind.hears == "embeddings":
        preset = member.encoder_opts.get("preset")
        base = KNOWN[preset].name if preset in KNOWN else member.encoder_opts["embedding_model"]
        return f"layers on embeddings of {base}"
    values = {"convnext": member.encoder_opts.get("convnext", "")} | member.encoder_opts
    try:
        return member.kind.label.format(**values)
    except LookupError:
        return member.backbone


def _licences(model: Model) -> list[Block]:
    return [Text(tuple(licences_of(model.networks.members, model.settings)))]

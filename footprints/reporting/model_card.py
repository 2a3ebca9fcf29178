"""``MODEL_CARD.md``: what a reader must know of the models in a folder, as text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from footprints.network.keras_file import read_metadata
from footprints.reporting import works
from footprints.reporting.data_tables import PARTS, PhotoCounts
from footprints.reporting.methods import detector_methods, program, stage_methods
from footprints.reporting.record import Record, read_record
from footprints.reporting.sources import Source
from footprints.reporting.stage_run import StageRun, read_stage
from footprints.reporting.strangers_part import refusal_rows
from footprints.scores.calibration import threshold_in_use
from footprints.system.files import sha256_of

CARD = "MODEL_CARD.md"
_NOT_MEANT = (
    "Not meant for: animals that are not among the classes (a track of one gets a wrong name or "
    '"unknown"), decisions that rest on one photo, proof that an animal is absent.'
)


def card_of(sources: Sequence[Source]) -> str | None:
    """Return the card of the models in one folder, a section for each; None if there is none.

    Args:
        sources: What lies in the folder.

    Raises:
        UserError: If a file cannot be read.
    """
    parts: list[str] = []
    for source in sources:
        if source.kind == "stage":
            run = read_stage(source.path)
            if run.model.is_file():
                parts.append(_classifier(run))
        elif source.kind == "detector" and source.path.name == "scores.json":
            detector = source.path.with_name("detector.pt")
            if detector.is_file():
                parts.append(_detector(detector, read_record(source.path)))
    if not parts:
        return None
    head = f"# Model card\n\nWritten by {program()}; what you edit here stays.\n"
    return "\n".join([head, *parts])


def _classifier(run: StageRun) -> str:
    facts = read_metadata(run.model)
    model = run.model
    threshold = threshold_in_use(facts)
    scales = " and ".join(facts.get("scales") or ["crop"])
    lines = [
        f"## {model.name}",
        "",
        f"**Purpose**: names the animal of one footprint on a photo, among {len(facts['classes'])} "
        f"classes. {_NOT_MEANT}",
        "",
        f"**Classes**: {', '.join(_plain(name) for name in facts['classes'])}",
        "",
        "### Scores on validation photos",
        "",
        *_scores(run),
        "",
        *_photos(run.counts),
        "### Use",
        "",
        f"* Input: {scales} of a photo, {facts['image_size']} x {facts['image_size']} pixels, RGB "
        f"0 to 255, cut out as `footprints prepare` does; views of each: {facts.get('views', 1)}",
        f"* Output: softmax over the classes, to be calibrated as softmax(log(p) / "
        f"{facts['temperature']:.4f})",
        f"* Threshold: answers below {threshold:.4f} are `unknown`{_how(run)}",
        *_refusal(run),
        f"* Network: {facts['backbone']}",
        "",
        "```sh",
        f"footprints predict PHOTOS --model {model.name} --detector none --output_dir answers",
        "```",
        "",
        "```python",
        "from footprints.network.classifier import Classifier",
        "",
        f'classifier = Classifier("{model.name}")  # classes, temperature and threshold within',
        "```",
        "",
        "### How it was trained",
        "",
        _as_text(stage_methods(run)),
        "",
        *_licence(run),
        *_file(model, run.history.inside("versions"), facts.get("keras_version")),
    ]
    return "\n".join(line for line in lines if line is not None) + "\n"


def _how(run: StageRun) -> str:
    """Say how the threshold was found, where the file tells."""
    choice = run.history.inside("threshold_choice")
    if not choice.has("rule"):
        return ""
    if not choice.has("precision"):
        return "; too few validation photos to choose one"
    return (
        f"; {_percent(choice.share('precision'))} of {choice.count('answered') or 0} validation "
        f"answers above it are right, wanted were {_percent(choice.share('wanted_precision'))}"
    )


def _refusal(run: StageRun) -> list[str]:
    """Return a line for each thing known of the refusal of other animals."""
    refusal = run.history.inside("refusal")
    rows = refusal_rows(refusal, refusal.inside("validation"))
    return [f"* {name[:1].upper()}{name[1:]}: {value}" for name, value in rows]


def _scores(run: StageRun) -> list[str]:
    """Return the scores with their intervals, and those of each class, as tables."""
    scores = run.scores
    lines = ["| figure | value | 95 % interval |", "| --- | --- | --- |"]
    for key, name in (
        ("accuracy", "accuracy"),
        ("macro_recall", "macro recall"),
        ("macro_f1", "macro F1"),
        ("expected_calibration_error", "calibration error"),
    ):
        if scores.has(key):
            ends = _ends(*scores.interval(f"{key}_interval"))
            lines.append(f"| {name} | {_percent(scores.share(key))} | {ends} |")
    lines += [
        "",
        f"{scores.count('photos') or 0} photos, which also chose the epoch, the temperature and "
        "the threshold: these figures flatter.",
    ]
    if weak := run.history.text("weakness"):
        lines += ["", f"**Warning**: {weak}."]
    rows = scores.records("per_class")
    if rows:
        lines += ["", "| class | photos | recall | 95 % interval | precision |"]
        lines.append("| --- | --- | --- | --- | --- |")
        lines += [
            f"| {_plain(one.text('class') or '')} | {one.count('support') or 0} | "
            f"{_percent(one.share('recall'))} | {_ends(*one.interval('recall_interval'))} | "
            f"{_percent(one.share('precision'))} |"
            for one in rows
        ]
    return lines


def _photos(counts: PhotoCounts | None) -> list[str]:
    """Return the photos of each class and part, with groups where known."""
    if counts is None:
        return []
    parts = counts.parts
    head = ["class", *(f"{PARTS[part]} photos" for part in parts)]
    head += [f"{PARTS[part]} groups" for part in parts] if counts.groups else []
    lines = ["### Photos", "", f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for label, of_class in counts.photos.items():
        cells = [str(of_class.get(part, 0)) for part in parts]
        if counts.groups:
            cells += [str(counts.groups.get(label, {}).get(part, 0)) for part in parts]
        lines.append(f"| {_plain(label)} | {' | '.join(cells)} |")
    if counts.groups:
        lines += ["", "Photos that look alike are one group."]
    return [*lines, ""]


def _licence(run: StageRun) -> list[str]:
    start = run.start()
    chain = [works.LICENCE_PROGRAM]
    if start != "none":
        chain.append(works.LICENCE_IMAGENET)
    if run.name == "oat" or start in ("oat", "file"):
        chain.append(works.LICENCE_TRACKS)
    chain += [works.LICENCE_PHOTOS, works.LICENCE_YOLO]
    return ["### Licences", "", *(f"* {one}" for one in chain), ""]


def _detector(detector: Path, scores: Record) -> str:
    rows = [("mAP50", "mAP50"), ("mAP50-95", "mAP50-95")]
    rows += [("precision", "precision"), ("recall", "recall")]
    n_photos, side = scores.count("photos") or 0, scores.inside("training").count("imgsz") or 0
    photos = scores.inside("training").inside("photos")
    lines = [
        f"## {detector.name}",
        "",
        "**Purpose**: finds footprints on photos and gives a box for each. Not meant for naming "
        "the animal, or for telling that there is no print.",
        "",
        f"### Scores on {n_photos} photos of the {scores.text('part') or ''} part",
        "",
        "| figure | value |",
        "| --- | --- |",
        *(f"| {name} | {_decimal(scores.share(key))} |" for key, name in rows),
        "",
        f"{scores.count('boxes') or 0} prints. Photos for training "
        f"{photos.count('train') or 0}, validation {photos.count('val') or 0}, test "
        f"{photos.count('test') or 0}.",
        "",
        "### Use",
        "",
        f"Input: photos, {side} pixels on the longer side.",
        "",
        "```sh",
        f"footprints detect PHOTOS --detector {detector.name} --output_dir found",
        "```",
        "",
        "### How it was trained",
        "",
        _as_text(detector_methods(scores)),
        "",
        "### Licences",
        "",
        *(f"* {one}" for one in (works.LICENCE_PROGRAM, works.LICENCE_PHOTOS, works.LICENCE_YOLO)),
        "",
        *_file(detector, Record(scores.path, {}), None),
    ]
    return "\n".join(lines) + "\n"


def _file(model: Path, versions: Record, keras_version: str | None) -> list[str]:
    known = [f"{name} {versions.text(name)}" for name in versions.names()]
    if not known and keras_version:
        known = [f"keras {keras_version}"]
    lines = ["### File", "", f"* {model.name}, {model.stat().st_size:,} bytes"]
    lines.append(f"* SHA-256: `{sha256_of(model)}`")
    if known:
        lines.append(f"* Made with: {', '.join(known)}")
    return lines


def _as_text(methods: str) -> str:
    """Return a paragraph and its works, each work in a line of its own."""
    text, _, cited = methods.partition("\n\n")
    return f"{text}\n\n" + "\n".join(f"* {_plain(line)}" for line in cited.splitlines())


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _decimal(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _ends(low: float | None, high: float | None) -> str:
    """Return an interval; that all draws of a bootstrap are alike is no certainty."""
    return (
        "–"
        if low is None or high is None or low == high
        else f"{100 * low:.1f} to {100 * high:.1f} %"
    )


def _plain(name: str) -> str:
    """Return a name that Markdown shows as it is."""
    return "".join(f"\\{one}" if one in "\\`*_{}[]<>#|!~&" else one for one in name)

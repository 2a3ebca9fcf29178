"""How something was made, in words that fit into a paper."""

from __future__ import annotations

from footprints.reporting import works
from footprints.reporting.record import Record
from footprints.reporting.stage_run import StageRun
from footprints.system.versions import version_of

_OPTIMIZERS = {"adam": "Adam", "adamax": "Adamax"}
_WATCHED = {"val_loss": "a lower validation loss", "val_macro_f1": "a higher validation macro F1"}


class _Cited:
    """Numbers works in the order in which a text names them."""

    def __init__(self) -> None:
        self.works: list[str] = []

    def __call__(self, work: str) -> str:
        if work not in self.works:
            self.works.append(work)
        return f"[{self.works.index(work) + 1}]"


def stage_methods(run: StageRun) -> str:
    """Return a paragraph on a stage of training, and the works it cites."""
    cite = _Cited()
    settings, scores = run.settings, run.scores
    backbone = settings.text("backbone") or "network"
    size = settings.count("image_size")
    network = f"{backbone} {cite(works.BACKBONES[backbone])}" if backbone in works.BACKBONES else ""
    n_train = None if run.counts is None else run.counts.total("train")
    n_val = scores.count("photos")
    crops = "photos of footprints" if n_train is None else f"{n_train:,} photos of footprints"
    sentences = [
        f"We trained a {network or backbone} network to tell {len(run.classes)} animals apart on "
        f"{crops}"
        + (f", cut to squares of {size} pixels." if size else ".")
        + (f" {n_val:,} other photos served for validation." if n_val is not None else "")
    ]
    if run.counts is not None and run.counts.groups and run.name != "oat":
        sentences.append("Photos that look alike were kept in one part.")
    sentences.append(_start_in_words(run, cite))
    sentences += [_phase_in_words(settings, phase) for phase in run.phases]
    if settings.flag("class_weights"):
        sentences.append("Rare classes counted as much as frequent ones.")
    if n_teachers := len(settings.texts("teachers")):
        who = "a larger network" if n_teachers == 1 else f"{n_teachers} larger networks"
        extra = run.history.inside("teacher").count("photos_without_labels")
        sentences.append(
            f"Beside the labels it learned the answers of {who} {cite(works.DISTILLATION)}"
            + (f", also those to {extra:,} photos without labels." if extra else ".")
        )
    if (temperature := run.history.number("temperature")) is not None:
        sentences.append(
            f"Probabilities were calibrated on validation by a temperature of {temperature:.2f} "
            f"{cite(works.TEMPERATURE)}."
        )
    sentences += [_accuracy_in_words(scores, cite), f"Program: {program()} {cite(works.PROGRAM)}."]
    return " ".join(filter(None, sentences)) + "\n\n" + works.numbered(cite.works)


def detector_methods(scores: Record) -> str:
    """Return a paragraph on the training of a detector, and the works it cites."""
    cite = _Cited()
    training = scores.inside("training")
    photos = training.inside("photos")
    release = training.text("ultralytics")
    numbers = [f"{photos.count('train') or 0:,} photos"]
    if photos.has("val"):
        numbers.append(f"{photos.count('val') or 0:,} more chose the epoch")
    part = {"test": "test photos", "val": "validation photos"}.get(scores.text("part") or "")
    text = (
        f"A detector of footprints (Ultralytics YOLO{f' {release}' if release else ''} "
        f"{cite(works.YOLO)}, started from {training.text('weights') or 'unknown weights'}) was "
        f"trained on {'; '.join(numbers)}, at {training.count('imgsz') or 0} pixels on the longer "
        f"side, in batches of {training.count('batch') or 0}, for "
        f"{training.count('epochs_run') or 0} of at most {training.count('epochs') or 0} epochs "
        f"(patience {training.count('patience') or 0})."
    )
    mean = scores.share("mAP50")
    if mean is not None and part:
        text += (
            f" On {scores.count('photos') or 0} {part} with {scores.count('boxes') or 0} prints "
            f"its mean average precision at an overlap of 0.5 (mAP50) was {mean:.3f}."
        )
    text += f" Program: {program()} {cite(works.PROGRAM)}."
    return f"{text}\n\n{works.numbered(cite.works)}"


def prediction_methods(run: Record) -> str:
    """Return a paragraph on how photos were named, and the works it cites."""
    cite = _Cited()
    settings = run.inside("settings")
    if run.has("detector"):
        how = (
            f"Footprints were found by a YOLO detector {cite(works.YOLO)} (least confidence "
            f"{settings.number('conf_threshold') or 0:g}), cut out with a margin of "
            f"{100 * (settings.number('margin') or 0):.0f} %"
        )
    else:
        how = "The centre of each photo was cut out"
    threshold = run.share("threshold")
    text = (
        f"{how} and named by a classifier of {len(run.texts('classes'))} animals, whose "
        f"probabilities were calibrated by a temperature {cite(works.TEMPERATURE)}."
    )
    if threshold:
        text += f" Answers with a probability below {threshold:.3f} count as unknown."
    text += f" Program: {program()} {cite(works.PROGRAM)}."
    return f"{text}\n\n{works.numbered(cite.works)}"


def program() -> str:
    """Return what this program is called, with its release."""
    release = version_of("animal-spot")
    return f"footprints (animal-spot{f' {release}' if release else ''})"


def _start_in_words(run: StageRun, cite: _Cited) -> str:
    start = run.start()
    if start == "none":
        return "Weights were random at the start."
    if start == "oat":
        return (
            "The network had been trained before on the photos of stage oat (OpenAnimalTracks "
            f"{cite(works.OPEN_ANIMAL_TRACKS)} where it is used as intended)."
        )
    if start == "file":
        return "It started from weights of a file."
    text = f"It started from weights that were trained on ImageNet {cite(works.IMAGENET)}."
    if run.name == "oat":
        text += (
            f" The photos are those of OpenAnimalTracks {cite(works.OPEN_ANIMAL_TRACKS)}, where "
            "stage oat is used as intended."
        )
    return text


def _phase_in_words(settings: Record, phase: str) -> str:
    """Return a sentence on a phase of training."""
    optimizer = settings.text(f"{phase} optimizer")
    if optimizer is None:
        return ""
    n_last = settings.count(f"{phase} n_last") or 0
    learned = f"a new head and the last {n_last} layers" if n_last else "a new head alone"
    watched = _WATCHED.get(settings.text(f"{phase} monitor") or "val_loss", "a gain")
    views = settings.count(f"{phase} cached_views") or 0
    seen = f" on {views} altered views of each photo" if views else ""
    optimizer = _OPTIMIZERS.get(optimizer, optimizer)
    return (
        f"In the phase {phase}, {learned} learned{seen} ({optimizer}, "
        f"learning rate {settings.number(f'{phase} learning_rate') or 0:g}, batches of "
        f"{settings.count(f'{phase} batch_size') or 0}, at most "
        f"{settings.count(f'{phase} epochs') or 0} epochs, stopped after "
        f"{settings.count(f'{phase} patience') or 0} without {watched})."
    )


def _accuracy_in_words(scores: Record, cite: _Cited) -> str:
    accuracy = scores.share("accuracy")
    if accuracy is None:
        return ""
    text = f"Of the validation photos {100 * accuracy:.1f} % were named rightly"
    low, high = scores.interval("accuracy_interval")
    if low is not None and high is not None:
        text += f" (95 % interval {100 * low:.1f} to {100 * high:.1f} % {cite(works.WILSON)})"
    return text + "; since validation chose the epoch and the temperature, this figure flatters."

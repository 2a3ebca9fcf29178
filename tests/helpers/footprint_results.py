"""Made-up results of footprint steps, written by the functions that the steps write with."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np

from footprints.scores.answers import Answer, Failure, answers_csv, failures_csv, rank
from footprints.scores.report import answers_to_crops, score
from footprints.system.text import csv_of
from tests.helpers.photo_sets import write_photo

CLASSES = ("bear", "<b>fox</b>", "wolf")  # a name that would be HTML
FOLDERS = ("bear", "fox", "wolf")  # a drive may not take such a name
TEMPERATURE, THRESHOLD = 1.25, 0.55
PHOTOS = {"train": (12, 8, 10), "val": (6, 4, 5)}
WEAK = "weak model: 60% of 15 validation photos were right, by chance 33% would be"


def said_of(n_of_class: tuple[int, ...], seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities ``(photos, classes)`` that are often right, and the true classes."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(n_of_class)), n_of_class)
    logits = rng.normal(0, 1, (len(labels), len(n_of_class)))
    logits[np.arange(len(labels)), labels] += 1.2
    odds = np.exp(logits)
    return odds / odds.sum(1, keepdims=True), labels


def write_prepared(folder: Path) -> Path:
    """Write a prepared set, of whose crops those of validation are there."""
    rows = []
    for split, numbers in PHOTOS.items():
        for label, place, n in zip(CLASSES, FOLDERS, numbers, strict=True):
            for i in range(n):
                crop = f"{split}/{place}/{place}{i}.png"
                if split == "val":
                    write_photo(folder / crop, len(rows), format_name="PNG")
                group = f"{label}{i // 2}"  # two photos of one print
                rows.append((crop, f"{place}/{i}.jpg", label, split, group, int(i == 0)))
    folder.mkdir(parents=True, exist_ok=True)
    head = ("crop", "source", "class", "split", "group", "fallback")
    (folder / "manifest.csv").write_text(csv_of([head, *rows]))
    (folder / "left_out.csv").write_text(csv_of([("source", "reason"), ("a.jpg", "damaged")]))
    (folder / "prepare.json").write_text('{"mode": "detect"}')
    return folder


def write_stage(folder: Path, data: Path | None = None, name: str = "real", **changes) -> Path:
    """Write a finished stage with its model; returns its history.

    Args:
        folder: Of the models.
        data: Of the prepared crops.
        name: Of the stage.
        changes: Values of the history in place of those made up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    raw, labels = said_of(PHOTOS["val"])
    scores = score(raw, labels, CLASSES, TEMPERATURE)
    epochs = [
        {
            **{"stage": name, "phase": phase, "epoch": i + 1, "loss": 1 - i / 9},
            **{"accuracy": 0.5, "val_loss": 1.1 - i / 9, "val_accuracy": 0.5 + i / 9},
            **{"val_macro_f1": 0.4, "seconds": 1.0, "is_best": i == 2},
        }
        for phase in ("head", "fine")
        for i in range(3)
    ]
    settings = {"stage": name, "backbone": "MobileNetV3Small", "start": "imagenet"}
    settings |= {"classes": list(CLASSES), "image_size": 64, "seed": 0, "class_weights": False}
    for phase, n_last in (("head", 0), ("fine", 20)):
        settings |= {f"{phase} n_last": n_last, f"{phase} optimizer": "adam"}
        settings |= {f"{phase} learning_rate": 1e-5, f"{phase} epochs": 30}
        settings |= {f"{phase} patience": 5, f"{phase} batch_size": 32}
        settings |= {f"{phase} cached_views": 8, f"{phase} monitor": "val_loss"}
    keys = ("photos", "accuracy", "macro_f1")
    history = {
        "stage": name,
        "settings": settings,
        "data_dir": str(data or "nowhere"),
        "photos": {part: dict(zip(CLASSES, n, strict=True)) for part, n in PHOTOS.items()},
        "validation": {key: scores[key] for key in keys},
        "temperature": TEMPERATURE,
        "threshold": THRESHOLD,
        "weakness": WEAK,
        "scores": scores,
        "versions": {"keras": "3.99.0"},
        "epochs": epochs,
    }
    history = {key: value for key, value in (history | changes).items() if value is not None}
    path = folder / f"history_{name}.json"
    path.write_text(json.dumps(history))
    crops = [
        f"val/{place}/{place}{i}.png"
        for place, n in zip(FOLDERS, PHOTOS["val"], strict=True)
        for i in range(n)
    ]
    rows = answers_to_crops(crops, labels, raw, CLASSES)
    (folder / f"validation_{name}.csv").write_text(csv_of(rows))
    write_model(folder / f"mobilenet_{name}.keras", name)
    return path


def write_model(path: Path, stage: str) -> None:
    """Write a model file without weights."""
    facts = {"format": 1, "classes": list(CLASSES), "stage": stage, "image_size": 64}
    facts |= {"backbone": "MobileNetV3Small", "temperature": TEMPERATURE, "threshold": THRESHOLD}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"footprints": facts}))
        for name in ("config.json", "model.weights.h5"):
            archive.writestr(name, "{}")


def write_detector(folder: Path) -> Path:
    """Write a finished detector; returns its scores."""
    folder.mkdir(parents=True, exist_ok=True)
    scores = {"part": "test", "photos": 24, "boxes": 31, "mAP50": 0.4961, "mAP50-95": 0.2071}
    scores |= {"precision": 0.61, "recall": 0.47}
    photos = {"train": 118, "val": 20, "test": 24}
    scores["training"] = {"photos": photos, "left_out": 1, "weights": "yolo11n.pt"}
    scores["training"] |= {"epochs_run": 3, "epochs": 100, "patience": 30, "imgsz": 640}
    scores["training"] |= {"batch": 16, "ultralytics": "8.4.999"}
    path = folder / "scores.json"
    path.write_text(json.dumps(scores))
    table = "epoch,  metrics/mAP50(B),  metrics/recall(B)\n1, 0.1, 0.2\n2, 0.3, 0.3\n3, 0.4, 0.4\n"
    (folder / "training.csv").write_text(table)
    (folder / "detector.pt").write_bytes(b"weights")
    return path


def write_evaluation(folder: Path, data: Path) -> Path:
    """Write scores on a test part; returns them."""
    folder.mkdir(parents=True, exist_ok=True)
    raw, labels = said_of((4, 3, 5), seed=4)
    scores = score(raw, labels, CLASSES, TEMPERATURE)
    head = {"model": "models/mobilenet_real.keras", "stage": "real", "split": "test"}
    head |= {"data_dir": str(data), "threshold": THRESHOLD, "weakness": None}
    head["note"] = "these crops had no part in training"
    path = folder / "scores.json"
    path.write_text(json.dumps(head | scores))
    crops = [f"test/{i}.png" for i in range(len(labels))]
    (folder / "predictions.csv").write_text(csv_of(answers_to_crops(crops, labels, raw, CLASSES)))
    return path


def write_prediction(folder: Path, photos: Path, n: int = 9) -> Path:
    """Write answers to photos in two folders, one of which is damaged; returns them."""
    folder.mkdir(parents=True, exist_ok=True)
    raw, _ = said_of((n, 0, 0), seed=5)
    answers = []
    for i, row in enumerate(raw):
        name = f"{('monday', 'tuesday')[i % 2]}/{i}.jpg"
        path = write_photo(photos / name, i)
        answer, certain, ranking = rank(row, CLASSES, 3, THRESHOLD)
        found = i > 0
        confidence = 0.5 + i / 100 if found else None
        box = (20.0, 10.0, 60.0, 50.0)
        answers.append(
            Answer(path, name, answer, certain, ranking, box, confidence, found, 120, 90)
        )
    failures = [Failure("monday/broken.jpg", "damaged: <script>alert(1)</script>")]
    content = {
        "complete": True,
        "model": "models/mobilenet_real.keras",
        "model_sha256": "ab" * 32,
        "detector": "detector.pt",
        "detector_sha256": "cd" * 32,
        "classes": list(CLASSES),
        "temperature": TEMPERATURE,
        "threshold": THRESHOLD,
        "note": WEAK,
        "settings": {"conf_threshold": 0.25, "margin": 0.1},
        "photos_dir": str(photos),
        "photos": [answer.record() for answer in answers],
        "failed": [{"photo": one.name, "reason": one.reason} for one in failures],
        "unused": [],
    }
    path = folder / "predictions.json"
    path.write_text(json.dumps(content))
    (folder / "predictions.csv").write_text(answers_csv(answers, 3))
    (folder / "failed_photos.csv").write_text(failures_csv(failures))
    return path

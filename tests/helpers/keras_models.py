"""Small models and photos for the tests of the classifier, prediction and export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import sklearn.metrics
from PIL import Image

CLASSES = ["cerf", "chien", "écureuil", "loup"]
SIDE = 32
TEMPERATURE = 1.6
THRESHOLD = 0.45  # above the least one of four classes


def pictures(n: int, side: int = SIDE, seed: int = 0) -> list[np.ndarray]:
    """Return patches of one colour with noise, ``(side, side, 3)`` uint8."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(-30, 30, (n, side, side, 3))
    return list(np.clip(rng.integers(30, 225, (n, 1, 1, 3)) + noise, 0, 255).astype(np.uint8))


def write_model(path: Path, **facts) -> Path:
    """Write a network with random weights that answers differently to different pictures."""
    from footprints.network import backbones, build, keras_file
    from footprints.network.freezing import measure_batch_norm

    net = build.build_model(len(CLASSES), seed=4, image_size=SIDE)
    measure_batch_norm(net, [np.stack(pictures(64, seed=9))])
    inner = backbones.import_keras().Model(net.input, net.get_layer("hidden").output)
    features = np.asarray(inner(np.stack(pictures(64, seed=8)).astype("float32"), training=False))
    head = net.get_layer("probabilities")
    kernel = head.get_weights()[0]
    logits = (features - features.mean(axis=0)) @ kernel
    kernel = kernel * (1.5 / logits.std(axis=0))
    head.set_weights([kernel, -(features.mean(axis=0) @ kernel)])
    known = {
        "classes": CLASSES,
        "stage": "real",
        "temperature": TEMPERATURE,
        "threshold": THRESHOLD,
        "settings": {"margin": 0.0, "min_crop_side": 8, "conf_threshold": 0.5},
    }
    keras_file.save_model(net, path, **known | facts)
    return path


def save(path: Path, rgb: np.ndarray) -> Path:
    """Write a picture; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rgb).save(path)
    return path


def softened(raw: np.ndarray, temperature: float) -> np.ndarray:
    """Calibrate by hand."""
    powers = np.asarray(raw, float) ** (1 / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


def is_best_temperature(temperature: float, mean: np.ndarray, labels: list[str]) -> bool:
    """Tell whether a fifth more or less softens the answers worse, or it is one of its bounds."""
    losses = {
        t: sklearn.metrics.log_loss(labels, softened(mean, t))
        for t in (temperature, 0.8 * temperature, 1.2 * temperature)
    }
    return min(losses, key=losses.get) == temperature or temperature in (0.2, 10.0)

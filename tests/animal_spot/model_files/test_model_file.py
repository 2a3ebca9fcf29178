from __future__ import annotations

import ast
import re
import unicodedata
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from animal_spot.audio.signal_config import SignalConfig
from animal_spot.model_files.model_file import (
    FILE_NAME,
    ModelFile,
    bytes_of,
    dictionary_of,
    load_model,
    model_of,
    save_model,
)
from animal_spot.models.classifier import Classifier
from animal_spot.models.convnext_encoder import ConvNextEncoder
from animal_spot.models.factory import build_encoder, build_model
from animal_spot.utils.tensor_files import UnreadableFileError

RESNET = {"input_channels": 1, "conv_kernel_size": 7, "max_pool": 1, "resnet_size": 18}
CLASSES = {"ape": 0, "bat": 1, "cat": 2}
INPUT = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))


def make_content(backbone="resnet", **signal) -> ModelFile:
    torch.manual_seed(1)
    options = RESNET if backbone == "resnet" else {"input_channels": 1, "pretrained": False}
    encoder = build_encoder(backbone, options)
    classifier_opts = {
        "input_channels": encoder.out_channels,
        "pooling": "avg",
        "num_classes": len(CLASSES),
    }
    model = build_model(encoder, Classifier(**classifier_opts))
    with torch.no_grad():  # a batch in training mode gives BatchNorm something to remember
        model.train()(INPUT)
    return ModelFile(
        model=model.eval(),
        encoder_opts=dict(options),
        classifier_opts=classifier_opts,
        signal=SignalConfig(**signal),
        classes=dict(CLASSES),
        backbone=backbone,
        sequence_len_ms=500,
        normalization="min_max" if signal.get("min_max_norm") else "db_range",
        extra={"seed": 3, "metrics": {"val_accuracy": 0.5}},
    )


@pytest.fixture(scope="module")
def content() -> ModelFile:
    return make_content(n_fft=1024, min_max_norm=True)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / FILE_NAME


def original_file(content: ModelFile, **changes) -> dict:
    """Return what the original program stores, with changes; None removes a key."""
    stored = {
        "encoderOpts": dict(content.encoder_opts),
        "classifierOpts": dict(content.classifier_opts),
        "dataOpts": content.signal.data_opts(),
        "encoderState": content.model.encoder.state_dict(),
        "classifierState": content.model.classifier.state_dict(),
        "classes": dict(CLASSES),
    } | changes
    return {key: value for key, value in stored.items() if value is not None}


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(INPUT)


# -- dictionary form ----------------------------------------------------------------------------


def test_keys_and_order_are_those_of_the_original_then_ours(content, path):
    save_model(content, path)
    assert path.name == "ANIMAL-SPOT.pk"
    stored = torch.load(path, weights_only=True)
    assert list(stored) == [
        "encoderOpts",
        "classifierOpts",
        "dataOpts",
        "encoderState",
        "classifierState",
        "classes",
        "backbone",
        "normalization",
        "sequence_len_ms",
        "noise_class",
        "seed",
        "metrics",
    ]
    assert list(stored["encoderOpts"].items()) == list(RESNET.items())
    assert list(stored["classifierOpts"]) == ["input_channels", "pooling", "num_classes"]
    assert stored["dataOpts"] == content.signal.data_opts()
    assert "min_max_norm" not in stored["dataOpts"]
    assert list(stored["classes"].items()) == list(CLASSES.items())
    assert list(stored["encoderState"]) == list(content.model.encoder.state_dict())
    assert list(stored["classifierState"]) == ["linear.weight", "linear.bias"]
    tensors = [*stored["encoderState"].values(), *stored["classifierState"].values()]
    assert all(t.device.type == "cpu" and t.is_contiguous() for t in tensors)


def test_saved_and_loaded_model_gives_equal_logits_and_settings(content, path):
    save_model(content, path)
    loaded = load_model(path)
    assert torch.equal(logits(loaded.model), logits(content.model))
    for name in (
        "encoder_opts",
        "classifier_opts",
        "signal",
        "classes",
        "backbone",
        "sequence_len_ms",
        "normalization",
        "extra",
    ):
        assert getattr(loaded, name) == getattr(content, name), name


def test_channels_last_model_is_stored_like_any_other(content, path):
    other = make_content(n_fft=1024, min_max_norm=True)
    other.model = other.model.to(memory_format=torch.channels_last)
    save_model(other, path)
    assert all(v.is_contiguous() for v in torch.load(path)["encoderState"].values())


def test_file_of_the_original_loads(content, path):
    torch.save(original_file(content), path)
    loaded = load_model(path)
    assert torch.equal(logits(loaded.model), logits(content.model))
    assert (loaded.backbone, loaded.sequence_len_ms, loaded.normalization) == ("resnet", None, None)
    assert loaded.signal == SignalConfig(n_fft=1024)
    assert loaded.classes == CLASSES


@pytest.mark.parametrize("kernel", [[7], [7, 3], (7,)], ids=str)
def test_kernel_size_as_a_list_loads(content, path, kernel):
    torch.save(original_file(content, encoderOpts=RESNET | {"conv_kernel_size": kernel}), path)
    assert torch.equal(logits(load_model(path).model), logits(content.model))


def test_older_name_of_the_bins_takes_precedence(content, path):
    options = content.signal.data_opts() | {"num_mels": 64, "unknown": 1}
    torch.save(original_file(content, dataOpts=options, unknown="key"), path)
    assert load_model(path).signal.n_freq_bins == 64


def test_missing_classes_are_noise_and_target(content, path):
    torch.save(original_file(content, classes=None), path)
    assert load_model(path).classes == {"noise": 0, "target": 1}


def test_names_of_a_file_come_in_the_unicode_form_of_clips(content, path):
    nfc, nfd = (unicodedata.normalize(form, "Käuzchen") for form in ("NFC", "NFD"))
    stored = {"classes": {"ape": 0, "bat": 1, nfd: 2}, "thresholds": {nfd: 0.25}}
    torch.save(original_file(content, **stored, noise_class=nfd), path)
    loaded = load_model(path)
    assert loaded.classes == {"ape": 0, "bat": 1, nfc: 2}
    assert loaded.calibration.thresholds == {nfc: 0.25}
    assert loaded.noise_class == nfc


def test_max_pooling_of_a_hand_made_file_is_kept(content, path):
    options = content.classifier_opts | {"pooling": "max"}
    torch.save(original_file(content, classifierOpts=options), path)
    loaded = load_model(path).model
    expected = content.model.encoder(INPUT).amax((2, 3)) @ content.model.classifier.linear.weight.T
    expected = expected + content.model.classifier.linear.bias
    torch.testing.assert_close(logits(loaded), expected.detach(), rtol=1e-4, atol=1e-4)


def test_convnext_of_the_fork_with_its_double_keys_loads(path):
    torch.manual_seed(2)
    encoder = ConvNextEncoder(pretrained=False).eval()
    classifier = Classifier(768, num_classes=3)
    own = encoder.state_dict()
    state = OrderedDict((f"backbone.{key}", value) for key, value in own.items())
    state["backbone.classifier.0.weight"] = torch.ones(768)
    state["backbone.classifier.0.bias"] = torch.zeros(768)
    state["backbone.classifier.2.weight"] = torch.zeros(1000, 768)
    state["backbone.classifier.2.bias"] = torch.zeros(1000)
    state.update(own)
    assert len(state) == 360
    torch.save(
        {
            "encoderOpts": {"input_channels": 1, "pretrained": True},
            "classifierOpts": {"input_channels": 768, "pooling": "avg", "num_classes": 3},
            "dataOpts": SignalConfig().data_opts(),
            "encoderState": state,
            "classifierState": classifier.state_dict(),
            "classes": CLASSES,
            "backbone": "convnext",
        },
        path,
    )
    loaded = load_model(path)
    path.unlink()
    assert loaded.backbone == "convnext"
    assert torch.equal(logits(loaded.model), logits(build_model(encoder, classifier)))


def test_convnext_is_saved_once_and_loads(path):
    content = make_content("convnext")
    save_model(content, path)
    assert all(k.startswith("features.") for k in torch.load(path)["encoderState"])
    loaded = load_model(path)
    path.unlink()
    assert torch.equal(logits(loaded.model), logits(content.model))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        pytest.param({"dataOpts": None}, "has no dataOpts", id="key-missing"),
        pytest.param({"encoderOpts": RESNET | {"resnet_size": 34}}, "do not fit", id="size"),
        pytest.param({"encoderOpts": RESNET | {"resnet_size": 20}}, "do not fit", id="no-size"),
        pytest.param({"encoderOpts": 5}, "do not fit", id="options-no-dict"),
        pytest.param(
            {"encoderOpts": RESNET | {"conv_kernel_size": []}}, "do not fit", id="kernel-empty"
        ),
        pytest.param({"dataOpts": {"n_fft": 0}}, "do not fit", id="signal"),
        pytest.param({"classifierState": {}}, "do not fit", id="no-weights"),
        pytest.param({"backbone": "vgg"}, "do not fit", id="backbone"),
    ],
)
def test_file_whose_parts_do_not_fit_is_refused(content, path, change, match):
    torch.save(original_file(content, **change), path)
    with pytest.raises(UnreadableFileError, match=match):
        load_model(path)


def test_file_that_is_no_model_is_refused(content, path):
    torch.save([1, 2], path)
    with pytest.raises(UnreadableFileError, match="not a model file"):
        load_model(path)
    path.write_bytes(b"text")
    with pytest.raises(UnreadableFileError, match="cannot be read"):
        load_model(path)
    with pytest.raises(FileNotFoundError):
        load_model(path.with_name("gone.pk"))


def test_torchscript_file_is_refused_as_a_dictionary(archive):
    with pytest.raises(UnreadableFileError):
        load_model(archive)


# -- TorchScript form ---------------------------------------------------------------------------

EXTRA = (
    "dataOpts",
    "encoderOpts",
    "classifierOpts",
    "encoderState",
    "classifierState",
    "transforms",
    "classes",
)


@pytest.fixture(scope="module")
def archive(content, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("torchscript") / FILE_NAME
    path.write_bytes(bytes_of(content, torchscript=True))
    return path


def load_torchscript(path: Path) -> tuple[torch.jit.ScriptModule, dict[str, str]]:
    extra = dict.fromkeys([*EXTRA, "absent"], "")
    model = torch.jit.load(path, _extra_files=extra)
    return model, {k: v.decode() if isinstance(v, bytes) else v for k, v in extra.items()}


def test_traced_logits_equal_the_networks_for_other_sizes_too(content, archive):
    traced, _ = load_torchscript(archive)
    for shape in ((1, 1, 128, 256), (3, 1, 50, 256), (2, 1, 64, 64)):
        x = torch.rand(shape, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            torch.testing.assert_close(traced(x), content.model(x), rtol=1e-4, atol=1e-5)
    assert not traced.training


def test_extra_files_hold_the_options_as_text(content, archive):
    _, extra = load_torchscript(archive)
    assert ast.literal_eval(extra["dataOpts"]) == content.signal.data_opts()
    assert list(ast.literal_eval(extra["dataOpts"])) == list(content.signal.data_opts())
    assert ast.literal_eval(extra["encoderOpts"]) == RESNET
    assert ast.literal_eval(extra["classifierOpts"]) == content.classifier_opts
    assert ast.literal_eval(extra["classes"]) == CLASSES
    assert extra["encoderState"].startswith("OrderedDict(")
    assert "conv1.weight" in extra["encoderState"]
    assert "linear.bias" in extra["classifierState"]
    assert extra["absent"] in ("", b"")


@pytest.mark.parametrize(
    ("min_max", "normalize"),
    [
        pytest.param(True, "{min_max : True, min_db : None, ref_db : None}", id="min-max"),
        pytest.param(False, "{min_max : False, min_db : -100, ref_db : 20}", id="fixed"),
    ],
)
def test_transforms_are_in_the_words_that_other_programs_parse(path, min_max, normalize):
    encoder = torch.nn.Conv2d(1, 4, 3)  # the network plays no part here
    content = ModelFile(
        model=build_model(encoder, Classifier(4, num_classes=3)),
        encoder_opts=RESNET,
        classifier_opts={"input_channels": 4, "pooling": "avg", "num_classes": 3},
        signal=SignalConfig(n_fft=1024, hop_length=172, min_max_norm=min_max),
        classes=CLASSES,
        sequence_len_ms=500,
    )
    path.write_bytes(bytes_of(content, torchscript=True))
    transforms = ast.literal_eval(load_torchscript(path)[1]["transforms"])
    assert list(transforms.items()) == [
        ("load_audio", "{sr: 44100, mono : True}"),
        ("pre_emph", "{pre_empf_factor : 0.98}"),
        ("spectrogram", "{fft : 1024, hop : 172, center : False}"),
        ("freq_compression", "{type : linear, bins : 256, fmin : 500, fmax : 10000}"),
        ("amplitude_to_decibel", "{min_db : -100}"),
        ("normalize", normalize),
        ("class_info", "{num_class : 3, name_class : {'ape': 0, 'bat': 1, 'cat': 2}}"),
        ("seg_size", "{size_ms : 500}"),
    ]


def test_archive_holds_exactly_these_extra_files(archive):
    names = {
        match[1]
        for name in torch._C.PyTorchFileReader(str(archive)).get_all_records()
        if (match := re.fullmatch(r"extra/(.+)", name))
    }
    assert names == set(EXTRA)


def test_failing_write_leaves_the_old_model(content, path, monkeypatch):
    save_model(content, path)
    before = path.read_bytes()

    def fail_half_way(_content, target):
        Path(target).write_bytes(b"half a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fail_half_way)
    with pytest.raises(OSError, match=r"ANIMAL-SPOT\.pk"):
        save_model(content, path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [FILE_NAME]


# -- values that are none -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        pytest.param("dataOpts", "sr", float("nan"), id="nan"),
        pytest.param("dataOpts", "n_fft", 10**12, id="huge"),
        pytest.param("dataOpts", "fmin", "500", id="text"),
        pytest.param("dataOpts", "hop_length", 1.5, id="half-a-sample"),
        pytest.param("encoderOpts", "conv_kernel_size", 10**6, id="huge-kernel"),
        pytest.param("encoderOpts", "resnet_size", [18], id="list"),
        pytest.param("classifierOpts", "num_classes", 10**9, id="classes-without-weights"),
        pytest.param("classes", "noise", 7, id="class-number"),
        pytest.param("classes", 3, 1, id="class-is-a-number"),
        pytest.param(None, "sequence_len_ms", float("inf"), id="endless"),
        pytest.param(None, "sequence_len_ms", "long", id="length-is-a-text"),
        pytest.param(None, "temperature", float("nan"), id="temperature"),
        pytest.param(None, "threshold_clips", {"noise": -1}, id="clips"),
        pytest.param(None, "calibration_precision", "high", id="precision"),
        pytest.param(None, "classes", ["noise", "target"], id="classes-are-a-list"),
        pytest.param(None, "encoderOpts", 3, id="options-are-a-number"),
        pytest.param(None, "encoderState", [1], id="weights-are-a-list"),
        pytest.param(None, "backbone", 5, id="backbone-is-a-number"),
    ],
)
def test_values_that_cannot_be_are_refused_in_one_line(content, part, name, value):
    stored = dictionary_of(content)
    if part is None:
        stored[name] = value
    else:
        stored[part] = {**stored[part], name: value}
    with pytest.raises(UnreadableFileError, match=r"the parts of m\.pk do not fit") as caught:
        model_of(stored, "m.pk")
    assert "\n" not in str(caught.value)


def test_weights_that_are_no_numbers_are_refused(content):
    stored = dictionary_of(content)
    state = {k: v.clone() for k, v in stored["encoderState"].items()}
    state["conv1.weight"][0] = float("nan")
    with pytest.raises(
        UnreadableFileError, match=r"conv1\.weight holds values that are no numbers"
    ):
        model_of(stored | {"encoderState": state}, "m.pk")

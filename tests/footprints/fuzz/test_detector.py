"""Whatever a file or a flag holds: a status from 0 to 3, one line, no traceback."""

from __future__ import annotations

import importlib
import io
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from footprints import detect, train_detector
from footprints.detector.detector_resume import TrainingState
from footprints.detector.onnx_detector import OnnxDetector
from footprints.preparation.journal import record_of
from footprints.system.errors import UserError
from tests.helpers.detector import fixed_detector, photo_with_square, write_detector_data
from tests.helpers.step_fuzz import NASTY, VALUES, ends_well

pytestmark = pytest.mark.slow

FEW = settings(max_examples=25)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("fuzz")
    write_detector_data(place / "data", {"train": 2, "val": 2})
    Image.fromarray(photo_with_square((64, 64), (20, 20, 40, 40))).save(place / "photo.jpg")
    fixed_detector(place / "fixed.onnx", [[10, 10, 30, 30, 0.9]], image_size=64)
    return place


@pytest.fixture
def no_training(monkeypatch):
    """Train nothing, but do all before it: PyTorch is not even imported."""
    monkeypatch.setattr(train_detector, "load_start", lambda training: (None, training))
    monkeypatch.setattr(train_detector, "_train_and_score", lambda *args: None)
    monkeypatch.setattr(train_detector, "score", lambda *args: {"part": "val"})
    monkeypatch.setattr(train_detector, "_report", lambda *args: None)


def _train(folder: Path, *argv: object) -> int:
    return ends_well(train_detector.main, *argv, "--output_dir", folder / "out", "--imgsz", 32)


@FEW
@given(content=VALUES, keys=st.dictionaries(st.sampled_from(["train", "names", "nc"]), VALUES))
@example(content=None, keys={"nc": 10**9, "names": None})
@example(content="names", keys={})
@example(content=None, keys={"train": {"a": "b"}, "names": ["a", "a"]})
@example(content=None, keys={"names": {0: None}})
@example(content=None, keys={"path": 7})
@pytest.mark.usefixtures("no_training")
def test_any_data_yaml(folder, content, keys) -> None:
    base = {"train": "images/train", "val": "images/val", "names": ["a"]}
    path = folder / "data" / "any.yaml"
    path.write_text(yaml.safe_dump(content if not keys else {**base, **keys}), errors="replace")
    _train(folder, "--data", path)


@FEW
@given(content=st.binary(max_size=60) | st.text(max_size=60).map(lambda t: t.encode()))
@example(content=b"[" * 5000)
@example(content=b"a: &a [x]\nb: &b [*a, *a]\nnames: [*b, *b]\ntrain: *b\nval: x")
@example(content=b"train: 2001-99-99")
@example(content=b"? [a]\n: b")
@example(content=b"!!python/object/apply:os.system [id]")
@pytest.mark.usefixtures("no_training")
def test_any_bytes_as_data_yaml(folder, content) -> None:
    path = folder / "data" / "bytes.yaml"
    path.write_bytes(content)
    assert _train(folder, "--data", path) == 1


WORDS = st.sampled_from(["0", "1", "0.5", "0.2", "nan", "-1", "1e400", "1.5", "x", "9" * 400, "\0"])


@FEW
@given(
    content=st.lists(st.lists(WORDS, max_size=8).map(" ".join), max_size=3)
    .map("\n".join)
    .map(str.encode)
    | st.binary(max_size=40)
)
@pytest.mark.usefixtures("no_training")
def test_any_label_file(folder, content) -> None:
    path = folder / "data" / "labels" / "train" / "0.txt"
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        assert _train(folder, "--data", folder / "data" / "data.yaml") in (0, 3)
    finally:
        path.write_bytes(before)


@FEW
@given(
    rows=st.lists(st.lists(st.sampled_from(NASTY) | st.text(max_size=8), max_size=6), max_size=4),
    head=st.sampled_from(["file,x,y,width,height", "source,sha256,split", "", "a,a,a"]),
)
@pytest.mark.usefixtures("no_training")
def test_any_table(folder, rows, head) -> None:
    path = folder / "table.csv"
    text = "\n".join([head, *(",".join(row) for row in rows)])
    path.write_bytes(text.encode(errors="surrogateescape"))
    given_data = ["--data", folder / "data" / "data.yaml"]
    _train(folder, *given_data, "--exclude", path)
    _train(folder, *given_data, "--pseudo_labels", path, "--pseudo_photos", folder)


def _flags(parser) -> list[str]:
    return sorted(
        action.option_strings[0]
        for action in parser._actions
        if action.option_strings and action.nargs != 0 and action.dest != "output_dir"
    )


@settings(max_examples=60)
@given(flag=st.sampled_from(_flags(train_detector.build_parser())), value=st.sampled_from(NASTY))
@pytest.mark.usefixtures("no_training")
def test_any_value_of_a_flag_of_train_detector(folder, flag, value) -> None:
    status = _train(folder, "--data", folder / "data" / "data.yaml", f"{flag}={value}")
    if flag in ("--lr", "--mosaic", "--seed", "--epochs") and value not in ("0", "-0"):
        assert status == 2 or value in ("1_0", "٣")


@settings(max_examples=60)
@given(flag=st.sampled_from(_flags(detect.build_parser())), value=st.sampled_from(NASTY))
def test_any_value_of_a_flag_of_detect(folder, flag, value) -> None:
    argv = ["--detector", folder / "fixed.onnx", "--output_dir", folder / "found"]
    ends_well(detect.main, folder / "photo.jpg", *argv, f"{flag}={value}")


OTHERS = {  # as much as goes without TensorFlow
    "audit": ["data"],
    "evaluate": ["--model", "none.keras", "--data_dir", "none", "--output_dir", "none"],
    "export": ["--model", "none.keras", "--output_dir", "none"],
    "predict": ["photo.jpg", "--model", "none.keras", "--detector", "none"],
    "prepare": [
        *("--real_dir", "data/images", "--detector", "none", "--output_dir", "prepared"),
        *("--processes", "0"),
    ],
    "train": ["--stage", "real", "--data_dir", "none", "--output_dir", "none"],
}


@pytest.mark.parametrize("step", sorted(OTHERS))
@settings(max_examples=40)
@given(data=st.data())
def test_any_value_of_a_flag_of_the_other_steps(folder, step, data, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    module = importlib.import_module(f"footprints.{step}")
    flag = data.draw(st.sampled_from(_flags(module.build_parser())))
    value = data.draw(st.sampled_from(NASTY))
    if flag == "--output":  # audit's file, with nothing but the folder made anew
        value = f"audited/{value}"
    ends_well(module.main, *OTHERS[step], f"{flag}={value}")
    assert "tensorflow" not in sys.modules


@pytest.mark.parametrize("value", NASTY, ids=range(len(NASTY)))
def test_any_name_of_a_folder(folder, value, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    argv = [folder / "photo.jpg", "--detector", folder / "fixed.onnx"]
    status = ends_well(detect.main, *argv, f"--output_dir={value}")
    assert (status == 2) == (value.strip() == "" or "\0" in value)
    ends_well(detect.main, value, "--detector", folder / "fixed.onnx")


META = st.sampled_from(
    [
        *("", "0", "-1", "1e9", "nan", "[0, 0]", "[1]", "{", "[" * 300, "{1: {}}", "{'a': 'b'}"),
        *("None", "[640, '640']", "10**9", "{0: 'a', -1: 'b'}", "['x']", "[9999999999, 64]"),
        "(" * 9999,
    ]
)


@FEW
@given(
    facts=st.dictionaries(st.sampled_from(["stride", "imgsz", "names", "task"]), META),
    shape=st.lists(st.sampled_from([0, 1, 3, 64, -1, 2**31, "h", ""]), max_size=5),
    kind=st.sampled_from([onnx.TensorProto.FLOAT, onnx.TensorProto.INT64]),
)
@example(facts={"stride": "x"}, shape=[1, 3, "h", "w"], kind=onnx.TensorProto.FLOAT)
@example(facts={"imgsz": "[0, 0]"}, shape=[1, 3, "h", "w"], kind=onnx.TensorProto.FLOAT)
def test_any_facts_of_an_onnx_detector(folder, facts, shape, kind) -> None:
    model = onnx.load(folder / "fixed.onnx")
    for prop in model.metadata_props:
        prop.value = facts.get(prop.key, prop.value)
    value = onnx.helper.make_tensor_value_info("images", kind, shape)
    model.graph.input[0].CopyFrom(value)
    onnx.save(model, folder / "odd.onnx")
    ends_well(detect.main, folder / "photo.jpg", "--detector", folder / "odd.onnx")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e38])
def test_boxes_that_are_no_numbers_are_no_boxes(folder, value, tmp_path) -> None:
    rows = [[value, 10, 30, 30, 0.9], [10, 10, 30, 30, value], [10, 10, 30, 30, 0.8]]
    detector = OnnxDetector(fixed_detector(tmp_path / "nan.onnx", rows, image_size=64))
    boxes, confidences, _ = detector(np.zeros((64, 64, 3), np.uint8), 0.25, 0.45)
    assert np.isfinite(boxes).all()
    assert np.isfinite(confidences).all()
    assert 0.8 in confidences.round(3)


def test_names_are_shown_and_not_obeyed(folder, tmp_path, capsys) -> None:
    """Of classes, photos and folders: no escape code and no line end of theirs reaches a screen."""
    name = "a\x1b[31m\nb"
    rows = [[10, 10, 30, 30, 0.9]]
    detector = fixed_detector(tmp_path / "named.onnx", rows, image_size=64, names=(name,))
    photos = tmp_path / name
    photos.mkdir()
    (photos / f"=1{name}.jpg").write_bytes((folder / "photo.jpg").read_bytes())
    (photos / f"{name}.doc").write_bytes(b"")
    out = tmp_path / f"out{name}"
    argv = [photos, "--detector", detector, "--output_dir", out]
    assert detect.main([str(word) for word in argv]) == 0
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert r"=1a\x1b[31m\nb.jpg: a\x1b[31m\nb 0.90" in said.out
    assert (out / "detections.csv").read_text().splitlines()[1].startswith(r"'=1a\x1b[31m\nb.jpg,")


def _zip_of_nothing() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        archive.writestr("archive/version", b"3")
    return content.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04", b"\x80\x02N.", b"\x80\x02}.", b"\0" * 99, _zip_of_nothing()],
    ids=["empty", "zip", "none", "dictionary", "zeros", "archive"],
)
@pytest.mark.parametrize("suffix", [".pt", ".onnx", ".tflite"])
def test_detectors_that_are_none(folder, content, suffix, tmp_path) -> None:
    path = tmp_path / f"none{suffix}"
    path.write_bytes(content)
    assert ends_well(detect.main, folder / "photo.jpg", "--detector", path) == 1


@FEW
@given(st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_line_of_a_journal(line) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - also those of JSON
        record_of(line)


@FEW
@given(st.binary(max_size=60) | VALUES.map(lambda v: json.dumps({"epochs": v}).encode()))
def test_any_state_of_a_training(folder, content) -> None:
    state = TrainingState(folder / "state", {"seed": 0})
    state.folder.mkdir(parents=True, exist_ok=True)
    (state.folder / "state.json").write_bytes(content)
    with pytest.raises(UserError):
        state.read()

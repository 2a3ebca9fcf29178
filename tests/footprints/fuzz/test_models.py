"""Whatever a model file or a flag says: predict, evaluate and export end well."""

from __future__ import annotations

import contextlib
import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from footprints import evaluate, export, predict, prepare
from footprints.network.classifier import read_model_metadata
from footprints.system.errors import UserError
from tests.helpers.photo_sets import make_real
from tests.helpers.step_fuzz import NASTY, VALUES, ends_well, flags_of

pytestmark = pytest.mark.slow

FACTS = {
    "format": 1,
    "classes": ["fox", "hare"],
    "stage": "real",
    "backbone": "MobileNetV3Small",
    "image_size": 32,
    "temperature": 1.5,
    "threshold": 0.7,
    "settings": {"margin": 0.1},
    "scales": ["crop"],
    "views": 1,
    "validation": {"photos": 80, "accuracy": 0.9},
}
STEPS = (predict, evaluate, export)


def write_model(path: Path, content: bytes) -> Path:
    """Write what looks like a model without its network."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", content)
        archive.writestr("config.json", b"{}")
        archive.writestr("model.weights.h5", b"")
    return path


def as_bytes(facts: object) -> bytes:
    return json.dumps({"footprints": facts}).encode()


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    photos = make_real(folder / "photos", {"fox": 4, "hare": 4})
    given_data = ["--real_dir", photos, "--detector", "none", "--processes", 0, "--image_size", 32]
    assert ends_well(prepare.main, *given_data, "--output_dir", folder / "prepared") == 0
    write_model(folder / "good.keras", as_bytes(FACTS))
    return folder


@pytest.fixture
def no_network(monkeypatch):
    """All checks, but no network is loaded."""
    monkeypatch.setattr("footprints.prediction.run.predict_photos", lambda *args: 0)
    monkeypatch.setattr(evaluate, "_evaluate", lambda *args: 0)

    def no_classifier(*_):
        raise UserError("as if the network were damaged")

    monkeypatch.setattr(export, "Classifier", no_classifier)


def command_of(step, place: Path, model: Path, output: Path) -> list[object]:
    given_model = ["--model", model]
    if step is predict:
        given_model = [place / "photos", *given_model, "--detector", "none"]
    elif step is evaluate:
        given_model += ["--data_dir", place / "prepared" / "real"]
    return [*given_model, "--output_dir", output / "out"]


@pytest.mark.usefixtures("no_network")
def test_the_model_is_good(place, tmp_path) -> None:
    found = [
        ends_well(s.main, *command_of(s, place, place / "good.keras", tmp_path)) for s in STEPS
    ]
    assert found == [0, 0, 1]


EVERY = [(step, flag) for step in STEPS for flag in flags_of(step)]


@settings(max_examples=100)
@given(step_and_flag=st.sampled_from(EVERY), value=st.sampled_from(NASTY))
@pytest.mark.usefixtures("no_network")
def test_any_value_of_any_flag(place, step_and_flag, value, tmp_path_factory) -> None:
    step, flag = step_and_flag
    output = tmp_path_factory.mktemp("out")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(output)
        command = command_of(step, place, place / "good.keras", output)
        ends_well(step.main, *command, f"{flag}={value}")


@pytest.mark.parametrize(("step", "flag"), EVERY, ids=lambda x: getattr(x, "__name__", x))
@pytest.mark.usefixtures("no_network")
def test_an_empty_value_is_a_wrong_flag(step, flag, place, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = command_of(step, place, place / "good.keras", tmp_path)
    assert ends_well(step.main, *command, f"{flag}=") == 2
    assert not list(tmp_path.iterdir())


@settings(max_examples=80)
@given(changes=st.dictionaries(st.sampled_from(sorted(FACTS)), VALUES, min_size=1, max_size=3))
@example(changes={"threshold": "x"})
@example(changes={"threshold": float("nan")})
@example(changes={"temperature": 10**400})
@example(changes={"image_size": 10**12})
@example(changes={"settings": {"margin": "wide"}})
@example(changes={"classes": ["a", "a"]})
@example(changes={"classes": ["fox", "Unknown"]})
@example(changes={"classes": ["fox", "\x1b[31mred\n"]})
@example(changes={"validation": {"photos": 10**400, "accuracy": 0.5}})
@example(changes={"backbone": ["x"]})
@example(changes={"views": [[]]})
@example(changes={"refusal": {"rule": "distance", "cut": 0.2, "references": 7}})
@example(changes={"refusal": {"rule": "none of these", "cut": 10**400}})
@example(changes={"refusal": [], "none_of_these": "yes"})
@pytest.mark.usefixtures("no_network")
def test_any_facts_of_a_model(place, changes, tmp_path_factory) -> None:
    output = tmp_path_factory.mktemp("facts")
    model = write_model(output / "odd.keras", as_bytes(FACTS | changes))
    for step in STEPS:
        ends_well(step.main, *command_of(step, place, model, output))


@settings(max_examples=60)
@given(
    content=st.binary(max_size=60) | VALUES.map(as_bytes) | VALUES.map(json.dumps).map(str.encode)
)
@example(content=b"[" * 100_000)
@pytest.mark.parametrize("suffix", [".keras", ".tflite", ".onnx"])
def test_any_bytes_of_a_model(content, suffix, tmp_path_factory) -> None:
    output = tmp_path_factory.mktemp("bytes")
    write_model(output / f"zip{suffix}", content)
    (output / f"bare{suffix}").write_bytes(content)
    for name in ("zip", "bare"):
        with contextlib.suppress(UserError):  # nothing else is raised
            read_model_metadata(output / f"{name}{suffix}")


def test_a_text_that_swells_is_not_read(tmp_path) -> None:
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", b" " * 2**25)
    with pytest.raises(UserError, match="too large"):
        read_model_metadata(path)

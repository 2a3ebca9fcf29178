"""Whatever a flag, a photo or a table holds: audit, prepare, synthesise and train end well."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from footprints import audit, prepare, synthesise, train
from footprints.pictures.photo_exif import taken_of
from footprints.pictures.photos import PhotoError, decode_photo
from footprints.preparation import missing_steps
from footprints.system.errors import UserError
from footprints.system.results import RECORD, Results
from tests.helpers.photo_sets import make_real, state_of
from tests.helpers.photos import encoded, marker
from tests.helpers.step_fuzz import NASTY, VALUES, ends_well, flags_of

pytestmark = pytest.mark.slow

FEW = settings(max_examples=25)


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    return make_real(tmp_path_factory.mktemp("photos"), {"fox": 4, "hare": 4})


def no_prepare(*_: object) -> int:
    raise UserError("as if prepare had failed")


@pytest.fixture
def nothing_made(monkeypatch):
    """Neither train nor draw, nor start processes: only what comes before."""
    monkeypatch.setattr(train, "train_stage", lambda *args: None)
    monkeypatch.setattr(synthesise, "_draw_all", lambda *args: None)
    monkeypatch.setattr(missing_steps, "run_step", no_prepare)


def command_of(step, photos: Path, output: Path) -> list[object]:
    if step is audit:
        return [photos, "--output", output / "audit.json"]
    if step is prepare:
        given = ["--real_dir", photos, "--detector", "none", "--processes", 0, "--image_size", 32]
        return [*given, "--output_dir", output / "prepared"]
    if step is synthesise:
        return ["--output_dir", output / "drawn"]
    return ["--stage", "real", "--real_dir", photos, "--output_dir", output / "models"]


EVERY = [(step, flag) for step in (audit, prepare, synthesise, train) for flag in flags_of(step)]


@settings(max_examples=100)
@given(step_and_flag=st.sampled_from(EVERY), value=st.sampled_from(NASTY))
@pytest.mark.usefixtures("nothing_made")
def test_any_value_of_any_flag(photos, step_and_flag, value, tmp_path_factory) -> None:
    step, flag = step_and_flag
    place = tmp_path_factory.mktemp("out")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(place)  # a relative name must not end up in the project
        ends_well(step.main, *command_of(step, photos, place), f"{flag}={value}")


@pytest.mark.parametrize(("step", "flag"), EVERY, ids=lambda x: getattr(x, "__name__", x))
@pytest.mark.usefixtures("nothing_made")
def test_an_empty_value_is_a_wrong_flag(step, flag, photos, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for value in ("", "  "):
        assert ends_well(step.main, *command_of(step, photos, tmp_path), f"{flag}={value}") == 2
    assert not list(tmp_path.iterdir())


HEADS = [
    encoded(marker(40, 40), name)[:60] for name in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
]
HEADS += [encoded(marker(40, 40), "HEIF")[:60], encoded(marker(40, 40), "HEIF")[:600]]
HEADS += [b"\0\0\0\x18ftypavif", b"II*\0\x08\0\0\0\x01\0", b"", b"%PDF-1.4"]


@settings(max_examples=200)
@given(head=st.sampled_from(HEADS), tail=st.binary(max_size=200))
def test_any_bytes_as_a_photo(head, tail) -> None:
    taken_of(head + tail)
    with contextlib.suppress(PhotoError):  # nothing else is raised
        decode_photo(head + tail)


@settings(max_examples=100)
@given(
    name=st.sampled_from(["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "HEIF", "AVIF"]),
    at=st.floats(0, 1),
    junk=st.binary(min_size=1, max_size=12),
)
def test_any_damage_to_a_photo(name, at, junk) -> None:
    data = encoded(marker(40, 40), name)
    start = int(at * len(data))
    with contextlib.suppress(PhotoError):  # nothing else is raised
        decode_photo(data[:start] + junk + data[start + len(junk) :])


@pytest.mark.parametrize("name", ["prepare.json", "classes.json", "manifest.csv", RECORD])
@settings(max_examples=6)
@given(content=st.binary(max_size=60) | VALUES.map(lambda v: json.dumps(v).encode()))
@example(content=b"[" * 5000)
@example(content=b'{"settings": 3, "scales": [3], "seed": "x", "mode": 1}')
@example(content=b"crop,source\n'=1,\n\xff\xfe")
def test_any_table_of_prepare(photos, tmp_path_factory, name, content) -> None:
    place = tmp_path_factory.mktemp("prepared")
    command = command_of(prepare, photos, place)
    assert ends_well(prepare.main, *command) == 0
    (place / "prepared" / "real" / name).write_bytes(content)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(missing_steps, "run_step", no_prepare)
        patched.setattr(train, "train_stage", lambda *args: None)
        patched.chdir(place)
        given = ["--stage", "real", "--real_dir", photos, "--data_dir", place / "prepared"]
        ends_well(train.main, *given, "--weights", "none")
    ends_well(prepare.main, *command)
    ends_well(prepare.main, *command, "--replace_edited")


@FEW
@given(content=st.binary(max_size=60) | VALUES.map(lambda v: json.dumps(v).encode()))
def test_audit_writes_over_nothing_but_an_audit(photos, tmp_path_factory, content) -> None:
    place = tmp_path_factory.mktemp("audit")
    (place / "audit.json").write_bytes(content)
    before = state_of(place)
    assert ends_well(audit.main, *command_of(audit, photos, place)) == 1
    assert state_of(place) == before


def test_an_audit_is_written_over_an_audit(photos, tmp_path) -> None:
    command = command_of(audit, photos, tmp_path)
    assert ends_well(audit.main, *command) == 0
    assert ends_well(audit.main, *command) == 0
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "audit.json")
    assert ends_well(audit.main, photos, "--output", link) == 1


@FEW
@given(content=st.binary(max_size=60) | VALUES.map(lambda v: json.dumps({"a.csv": v}).encode()))
def test_any_record_of_results(tmp_path_factory, content) -> None:
    """None of them makes a file ours."""
    place = tmp_path_factory.mktemp("results")
    (place / RECORD).write_bytes(content)
    (place / "a.csv").write_text("mine")
    Results(place, ["a.csv"]).write_text("a.csv", "ours")
    assert (place / "a.csv").read_text() == "mine"

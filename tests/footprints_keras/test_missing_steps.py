"""``python -m footprints.train --stage real`` as typed: what is missing before it is done."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import h5py
import pytest

from footprints import prepare, train
from footprints.preparation import missing_steps
from footprints.preparation.missing_steps import MODELS, PHOTOS, PREPARED, Places
from footprints.prepare import build_parser
from footprints.system.errors import UserError
from tests.helpers.photo_sets import make_oat, make_real, rows_of, write_photo
from tests.helpers.places import ROOT
from tests.helpers.programs import call, run_python

SMALL = {"image_size": 32}
ONE_EPOCH = ["--epochs_oat", 1, "--head_epochs", 1, "--epochs_real", 1, "--cached_views", 1]


def make_project(folder: Path, *, oat: bool = True, real: bool = True) -> Path:
    """Put photos where the project keeps them; crops are to be small, as if noted before."""
    if real:
        make_real(folder / PHOTOS["real"], {"blackbear": 5, "castor": 5, "american_mink": 4})
    if oat:
        parts = {"train": {"bear": 3, "otter": 3}, "val": {"bear": 2, "otter": 2}}
        make_oat((folder / PHOTOS["oat"]).parent, parts)
    (folder / PREPARED).mkdir(parents=True)
    (folder / PREPARED / "settings.json").write_text(json.dumps(SMALL))
    return folder


def run_train(folder: Path, *flags: object, **variables: str) -> subprocess.CompletedProcess:
    """Run the command in a project's folder."""
    return run_python("-m", "footprints.train", *flags, cwd=folder, env=os.environ | variables)


def test_photos_of_other_animals_are_prepared_with_the_real_ones(tmp_path, monkeypatch):
    real = make_real(tmp_path / "real", {"fox": 2})
    strange = make_real(tmp_path / "strange", {"toad": 2}, start=50)
    steps, said = [], []
    monkeypatch.setattr(missing_steps, "run_step", lambda step, flags: steps.append(flags) or 0)
    photos = {"oat": tmp_path / "none", "real": real}
    with_others = Places(photos, tmp_path / "out", "none", strange)
    without = Places(photos, tmp_path / "out", "none")
    missing_steps.prepare(with_others, ("real",), said.append)
    args = build_parser().parse_args([str(flag) for flag in steps[0]])
    assert (args.real_dir, args.others) == (real, strange)
    done = call(
        prepare.main, *steps[0], "--image_size", 32, "--processes", 0, "--val_fraction", 0.5
    )
    assert done.returncode == 0, done.stderr
    missing_steps.prepare(with_others, ("real",), said.append)
    assert "are prepared already" in said[-1]
    missing_steps.prepare(without, ("real",), said.append)
    assert "2 photos are gone since they were prepared" in said[-1]
    assert "--others" not in steps[1]


@pytest.mark.slow
def test_stage_real_prepares_and_trains_oat_first(tmp_path, monkeypatch, capsys):
    project = make_project(tmp_path)
    command = ["--stage", "real", "--weights", "none", *ONE_EPOCH]
    monkeypatch.chdir(project)
    done = call(train.main, *command)
    assert done.returncode == 0, done.stderr
    said = done.stdout
    steps = [
        "real: starts from stage oat, which is trained first",
        "oat: photos of",
        "real: photos",
    ]
    steps += ["oat: MobileNetV3Small from none", "real: MobileNetV3Small from outputs"]
    assert [said.index(step) for step in steps] == sorted(said.index(step) for step in steps)
    assert "centres of the photos, as there is no detector" in said
    facts = json.loads((project / MODELS / "history_real.json").read_text())
    assert facts["settings"]["classes"] == ["american_mink", "blackbear", "castor"]
    assert facts["settings"]["image_size"] == 32
    assert (project / MODELS / "mobilenet_oat.keras").is_file()

    before = {p: p.stat().st_mtime_ns for p in project.rglob("*") if p.is_file()}
    assert train.main(list(map(str, command))) == 0
    assert "real: finished already" in capsys.readouterr().out
    assert before == {p: p.stat().st_mtime_ns for p in project.rglob("*") if p.is_file()}

    write_photo(project / PHOTOS["real"] / "castor" / "new.jpg", 777)
    with pytest.raises(UserError, match=r"photos was.*--no-resume"):
        train.main(list(map(str, command)))
    assert "1 photo is new since they were prepared" in capsys.readouterr().out
    sources = {row["source"] for row in rows_of(project / PREPARED / "real" / "manifest.csv")}
    assert "castor/new.jpg" in sources


@pytest.mark.slow
def test_without_oat_stage_real_starts_from_imagenet_alone(tmp_path, keras):
    """The command as typed, with no other flag; Keras finds the weights in its cache."""
    project = make_project(tmp_path / "project", oat=False)
    bare = keras.applications.MobileNetV3Small(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    cached = tmp_path / "keras" / "models" / "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5"
    cached.parent.mkdir(parents=True)
    from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

    with h5py.File(cached, "w") as file:  # as the files of Keras' server are
        save_weights_to_hdf5_group(file, bare)
    done = run_train(project, "--stage", "real", KERAS_HOME=str(tmp_path / "keras"))
    assert done.returncode == 0, done.stderr
    assert "no OpenAnimalTracks photos" in done.stdout
    assert "starts from imagenet alone" in done.stdout
    assert (project / MODELS / "mobilenet_real.keras").is_file()


@pytest.mark.parametrize("stage", ["real", "oat", "all"])
def test_without_photos_one_line_names_folders_flags_and_demo(stage, tmp_path):
    done = run_train(tmp_path, "--stage", stage)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    for named in (*map(str, PHOTOS.values()), "--real_dir", "--oat_dir", "footprints_demo.sh"):
        assert named in line
    assert not list(tmp_path.iterdir())
    assert (ROOT / "TRAINING" / "footprints_demo.sh").is_file()


def test_empty_folders_are_no_photos(tmp_path, monkeypatch):
    """An empty folder of OpenAnimalTracks is not in the way of stage real either."""
    for folder in PHOTOS.values():
        (tmp_path / folder).mkdir(parents=True)
    done = run_train(tmp_path, "--stage", "real")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    for named in (*map(str, PHOTOS.values()), "empty", "--real_dir", "--oat_dir", "demo.sh"):
        assert named in line
    make_real(tmp_path / PHOTOS["real"], {"blackbear": 2, "castor": 2})
    monkeypatch.chdir(tmp_path)
    places = Places(PHOTOS, PREPARED, "none")
    assert (places.has("real"), places.has("oat")) == (True, False)


def test_a_start_without_weights_leaves_nothing_to_go_on_with(tmp_path, keras):
    """OpenAnimalTracks photos that come after it are trained on first, flags may be others."""
    project = make_project(tmp_path / "project", oat=False)
    fetching = {"KERAS_HOME": str(tmp_path / "keras"), "https_proxy": "http://127.0.0.1:9"}
    done = run_train(project, "--stage", "real", **fetching)
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    weights = "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5"
    for way in (str(tmp_path / "keras" / "models"), f"--weights {weights}", "--weights none"):
        assert way in line
    assert not [path for path in (project / MODELS).rglob("*") if path.is_file()]
    assert not train.stage_folder(project / MODELS, "real").is_begun()
    assert not (project / MODELS / "resume" / "real").exists()


def test_a_killed_start_is_not_begun(tmp_path, monkeypatch, capsys):
    """``stage.json`` alone says nothing: no weights, so stage oat still comes first."""
    monkeypatch.chdir(make_project(tmp_path))
    left = tmp_path / MODELS / "resume" / "real" / "stage.json"
    left.parent.mkdir(parents=True)
    left.write_text("{}")
    trained = []
    monkeypatch.setattr(missing_steps, "prepare", lambda *_: 0)
    monkeypatch.setattr(train, "open_set", lambda *_: SimpleNamespace(classes=["fox", "hare"]))
    monkeypatch.setattr(train, "train_stage", lambda stage, *_: trained.append(stage.name))
    with pytest.raises(UserError, match="train --stage oat"):
        train.main(["--stage", "real", "--no_report"])
    assert trained == ["oat"]
    assert "real: starts from stage oat, which is trained first" in capsys.readouterr().out


def test_a_failed_prepare_ends_the_training_with_its_status_and_its_line(tmp_path, capfd):
    (tmp_path / "real" / "fox").mkdir(parents=True)
    (tmp_path / "real" / "fox" / "a.jpg").write_bytes(b"no photo")
    given = ["--stage", "real", "--weights", "none", "--real_dir", str(tmp_path / "real")]
    given += ["--data_dir", str(tmp_path / "prepared"), "--output_dir", str(tmp_path / "models")]
    given += ["--oat_dir", str(tmp_path / "absent")]
    assert train.main(given) == 1
    assert "a.jpg: text, not a photo" in capfd.readouterr().err
    assert not (tmp_path / "models").exists()


def test_prepare_is_repeated_as_it_was_noted(tmp_path, monkeypatch):
    folder = tmp_path / "prepared" / "real"
    folder.mkdir(parents=True)
    noted = {"mode": "centre", "settings": {"margin": 0.3}, "scales": ["crop", "photo"]}
    noted |= {"val_fraction": 0.3, "test_fraction": 0.15, "seed": 4, "max_distance": 8}
    (folder / "prepare.json").write_text(json.dumps(noted))
    (tmp_path / "photos").mkdir()
    typed = []
    monkeypatch.setattr(missing_steps, "run_step", lambda _, flags: typed.extend(flags) or 0)
    places = Places({"real": tmp_path / "photos"}, tmp_path / "prepared", "none")
    assert missing_steps.prepare(places, ("real",), print) == 0
    args = build_parser().parse_args(list(map(str, typed)))
    assert (args.val_fraction, args.test_fraction, args.seed) == (0.3, 0.15, 4)
    assert (args.max_distance, args.margin, args.scales) == (8, 0.3, ["crop", "photo"])
    assert (args.real_dir, args.oat_dir, args.detector) == (tmp_path / "photos", None, "none")


def test_a_begun_stage_real_keeps_its_start(tmp_path, monkeypatch, capsys):
    """Photos of OpenAnimalTracks that arrive later do not change what real started from."""
    monkeypatch.chdir(tmp_path)
    make_project(tmp_path)
    (tmp_path / MODELS).mkdir(parents=True)
    (tmp_path / MODELS / "mobilenet_real.keras").write_bytes(b"x")
    trained = []
    monkeypatch.setattr(missing_steps, "prepare", lambda *_: 0)
    monkeypatch.setattr(train, "open_set", lambda *_: SimpleNamespace(classes=["fox", "hare"]))
    monkeypatch.setattr(train, "train_stage", lambda *given: trained.append(given))
    assert train.main(["--stage", "real"]) == 0
    ((stage, *_),) = trained
    assert (stage.name, stage.start, capsys.readouterr().out) == ("real", "imagenet", "")


def test_two_explicit_folders_prepare_nothing(tmp_path):
    make_real(tmp_path / PHOTOS["real"], {"a": 2, "b": 2})
    with pytest.raises(UserError, match=r"there is no such folder; make it by footprints\.prepare"):
        train.main(["--stage", "real", "--data_dir", str(tmp_path / "x"), "--output_dir", "y"])

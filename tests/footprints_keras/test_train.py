from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.utils.class_weight import compute_class_weight

from footprints import train
from footprints.network.keras_file import read_metadata
from footprints.network.prepared_set import open_set
from footprints.network.train_state import EarlyStopping, PhaseState, StageFolder
from footprints.system.errors import UserError
from tests.helpers.keras_steps import OAT, REAL, even, list_in_manifest, make_prepared
from tests.helpers.programs import call, run_python, run_step
from tests.helpers.report_page import ReportPage

FAST = ["--weights", "none", "--cached_views", 3, "--epochs_oat", 3, "--head_epochs", 2]
FAST += ["--epochs_real", 3, "--patience_oat", 3, "--lr_real", 1e-3, "--seed", 5, "--no_report"]


def flags(data: Path, output: Path, *more: object, stage: str = "all") -> list[str]:
    given = ["--stage", stage, "--data_dir", data, "--output_dir", output, *FAST, *more]
    return [str(value) for value in given]


def weights_of(path: Path) -> list[np.ndarray]:
    from footprints.network.keras_file import load_model

    net = load_model(path).model
    return [v.numpy() for v in net.variables if "seed_generator" not in v.path]


@pytest.fixture(scope="module")
def whole(prepared, tmp_path_factory):
    """Both stages, trained in one process without a stop; not to be changed."""
    output = tmp_path_factory.mktemp("whole") / "out"
    code = (
        "import sys; from footprints import train; status = train.main(sys.argv[1:])\n"
        "assert not {'torch', 'ultralytics'} & set(sys.modules), 'two worlds in one process'\n"
        "sys.exit(status)\n"
    )
    given = [flag for flag in flags(prepared, output) if flag != "--no_report"]
    done = run_python("-c", code, *given)
    assert done.returncode == 0, done.stderr
    return output, done


# --- a whole training --------------------------------------------------------------------------


@pytest.mark.slow
def test_both_stages_leave_models_histories_logs_and_curves(whole, prepared, keras):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from footprints.network.keras_file import load_model

    output, done = whole
    assert not (output / "resume" / "oat").exists()
    assert not (output / "resume" / "real").exists()
    for stage, classes, phases in (("oat", OAT, ["head"]), ("real", REAL, ["head", "fine"])):
        path = output / f"mobilenet_{stage}.keras"
        saved = load_model(path)
        assert path.stat().st_size < 5e6
        assert saved.classes == tuple(sorted(classes))  # defect 4: a head for its own classes
        assert saved.stage == stage
        assert saved.settings == {"margin": 0.25}
        assert saved.scales == ("crop",)
        assert "scales" not in saved.metadata["training"]  # nor in trainings of older releases
        assert saved.model.output_shape == (None, len(classes))
        assert 0.2 <= saved.temperature <= 10
        history = json.loads((output / f"history_{stage}.json").read_text())
        rows = history["epochs"]
        assert list(dict.fromkeys(row["phase"] for row in rows)) == phases
        with open(output / f"history_{stage}.csv", newline="") as file:
            table = list(csv.DictReader(file))
        assert [float(row["val_loss"]) for row in table] == [row["val_loss"] for row in rows]
        with Image.open(output / f"curves_{stage}.png") as picture:
            assert picture.format == "PNG"
        scores = history["scores"]
        assert scores["accuracy"] == history["validation"]["accuracy"]
        with open(output / f"validation_{stage}.csv", newline="") as file:
            answers = list(csv.DictReader(file))
        assert len(answers) == scores["photos"] == sum(history["photos"]["val"].values())
        n_right = sum(row["right"] == "1" for row in answers)
        assert n_right / len(answers) == pytest.approx(scores["accuracy"])
        assert all((prepared / stage / row["crop"]).is_file() for row in answers)
        for phase in phases:
            events = EventAccumulator(str(output / "logs" / stage / phase))
            events.Reload()
            logged = [row for row in rows if row["phase"] == phase]
            assert set(events.Tags()["tensors"]) == {
                "loss",
                "accuracy",
                "val_loss",
                "val_accuracy",
                "val_macro_f1",
            }
            assert len(events.Tensors("val_loss")) == len(logged)
        assert f"{stage}: {path}" in done.stdout
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert digest in (output / "MODEL_CARD.md").read_text(encoding="utf-8")
    shown = ReportPage(output / "report.html")
    for stage in ("oat", "real"):
        scores = json.loads((output / f"history_{stage}.json").read_text())["scores"]
        expected = [row["recall"] for row in scores["per_class"]]
        assert shown.column(f"stage_{stage}_classes", 2) == expected
        assert (output / "report_figures" / f"stage_{stage}_curves.svg").is_file()
    assert shown.images


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["oat", "real"])
def test_the_saved_model_is_the_best_epoch_of_the_trained_one(whole, prepared, keras, stage):
    """Defects 4 and 7: another model was saved, and the last epoch instead of the best."""
    from footprints.network.keras_file import load_model
    from footprints.network.loader import CropLoader
    from footprints.network.phase import predict_batches, validation_scores

    output, _ = whole
    history = json.loads((output / f"history_{stage}.json").read_text())
    loader = CropLoader(open_set(prepared / stage, ("train", "val")), "val")
    raw = predict_batches(load_model(output / f"mobilenet_{stage}.keras").model, loader)
    scores = validation_scores(raw, loader.labels)
    losses = [row["val_loss"] for row in history["epochs"]]
    # Head phases see cached features, fine ones the photos: the assembled model says the same.
    assert scores["val_loss"] == pytest.approx(min(losses), rel=1e-4)
    assert scores["val_loss"] == pytest.approx(history["validation"]["loss"])
    best = [row for row in history["epochs"] if row["is_best"]]
    assert best[-1]["val_loss"] == min(losses)


@pytest.mark.slow
def test_real_starts_from_oat_and_moves_the_last_layers_only(whole, keras):
    from footprints.network.backbones import backbone_of
    from footprints.network.keras_file import load_model

    output, _ = whole
    oat, real = (load_model(output / f"mobilenet_{s}.keras").model for s in ("oat", "real"))
    pairs = list(zip(backbone_of(oat).layers, backbone_of(real).layers, strict=True))
    moved = [
        i
        for i, (a, b) in enumerate(pairs)
        if any((x != y).any() for x, y in zip(a.get_weights(), b.get_weights(), strict=True))
    ]
    assert moved
    assert min(moved) >= len(pairs) - 20
    norms = [i for i, (a, _) in enumerate(pairs) if isinstance(a, keras.layers.BatchNormalization)]
    assert not set(moved) & set(norms)


@pytest.mark.slow
def test_a_finished_training_is_not_done_again(whole, prepared, capsys):
    output, _ = whole
    before = {p: p.stat().st_mtime_ns for p in output.rglob("*") if p.is_file()}
    assert train.main(flags(prepared, output)) == 0
    assert before == {p: p.stat().st_mtime_ns for p in output.rglob("*") if p.is_file()}
    assert "finished already" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"head learning_rate was 0.001, is now 0.5.*--no-resume"):
        train.main(flags(prepared, output, "--lr_oat", 0.5))


@pytest.mark.slow
def test_a_stopped_and_a_killed_training_go_on_as_if_nothing_had_been(whole, prepared, tmp_path):
    output = tmp_path / "out"
    ends = [("oat head epoch 2/", signal.SIGINT, 130), ("real fine epoch 1/", signal.SIGKILL, -9)]
    for line, number, status in ends:
        command = [sys.executable, "-m", "footprints.train", *flags(prepared, output)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            for said in process.stdout:
                if line in said:
                    os.kill(process.pid, number)
                    break
            _, errors = process.communicate(timeout=120)
        assert process.returncode == status, errors
        if status == 130:
            assert errors.strip().endswith("start again with the same command to go on")
            assert "Traceback" not in errors
            assert (output / "resume" / "oat" / "phase-0.npz").is_file()
        (output / "resume" / ".unfinished-x").write_text("left by the kill")
    done = call(train.main, *flags(prepared, output))
    assert done.returncode == 0, done.stderr
    assert "real fine: going on after epoch 1" in done.stdout
    assert not [*output.glob("*report*"), *output.glob("MODEL_CARD*")]  # --no_report
    for stage in ("oat", "real"):
        name = f"mobilenet_{stage}.keras"
        found, wanted = weights_of(output / name), weights_of(whole[0] / name)
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
        rows, wanted = (
            json.loads((folder / f"history_{stage}.json").read_text())["epochs"]
            for folder in (output, whole[0])
        )
        assert [r["val_loss"] for r in rows] == pytest.approx([r["val_loss"] for r in wanted])


def one_epoch() -> PhaseState:
    row = dict.fromkeys(("loss", "accuracy", "val_loss", "val_accuracy", "val_macro_f1"), 0.5)
    stopping = EarlyStopping(3, "min", best=0.5, best_epoch=1)
    return PhaseState(1, stopping, [{"epoch": 1, **row}], [np.zeros(3)], [np.zeros(3)], [])


def test_an_unfinished_stage_is_not_mixed_with_other_settings(tmp_path):
    folder = StageFolder(tmp_path / "oat")
    assert folder.open({"seed": 1, "classes": ["a"]}) is False
    assert folder.open({"seed": 1, "classes": ["a"]}) is False  # there is nothing to go on with
    folder.save_weights(0, [np.zeros(3)])
    assert folder.open({"seed": 1, "classes": ["a"]}) is True
    assert folder.open({"seed": 2, "classes": ["a"]}) is False  # no epoch would be lost
    assert folder.latest_weights() is None
    folder.save_weights(0, [np.zeros(3)])
    folder.save_phase(0, one_epoch())
    with pytest.raises(UserError, match="seed was 2, is now 3"):
        folder.open({"seed": 3, "classes": ["a"]})
    assert folder.rows(0)[0]["is_best"] is True
    with pytest.raises(UserError, match=r"phase-1.npz: damaged; --no-resume"):
        folder.rows(1)
    (tmp_path / "oat" / "weights-0.npz").write_bytes(b"cut off")
    (tmp_path / "oat" / "weights-x.npz").write_bytes(b"no phase")
    with pytest.raises(UserError, match=r"weights-0.npz: damaged; --no-resume"):
        folder.latest_weights()
    for damaged in ("{", "[]", "[" * 10**5, "7"):
        (tmp_path / "oat" / "stage.json").write_text(damaged)
        with pytest.raises(UserError, match="no-resume begins afresh"):
            folder.open({"seed": 1})


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("epoch",), 7),
        (("epoch",), "1"),
        (("rows",), {}),
        (("rows",), [{"epoch": 1}]),
        (("stopping",), []),
        (("stopping", "best_epoch"), 2),
        (("stopping", "mode"), "none"),
        (("stopping", "patience"), 0.5),
    ],
)
def test_a_state_that_cannot_be_is_damaged(place, value, tmp_path):
    folder = StageFolder(tmp_path / "oat")
    folder.save_phase(0, one_epoch())
    path = tmp_path / "oat" / "phase-0.npz"
    with np.load(path) as stored:
        arrays = dict(stored)
    facts = json.loads(arrays["facts"].tobytes())
    inner = facts["facts"]
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    np.savez(path, **arrays)
    with pytest.raises(UserError, match=r"phase-0.npz: damaged"):
        folder.load_phase(0)


def test_links_in_the_output_folder_are_not_followed(prepared, tmp_path):
    outside, output = tmp_path / "outside", tmp_path / "out"
    (outside / "oat").mkdir(parents=True)
    (outside / "oat" / "precious").write_text("")
    output.mkdir()
    for name in ("resume", "logs"):
        (output / name).symlink_to(outside)
        with pytest.raises(UserError, match=f"{name}: is a link"):
            train.main(flags(prepared, output, "--no-resume"))
        (output / name).unlink()
    assert [path.name for path in outside.rglob("*")] == ["oat", "precious"]


# --- data --------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_memory", [True, False], ids=["in-memory", "from-disk"])
def test_crops_come_with_their_own_labels(prepared, keras, in_memory):
    """Defects 5 and 11: swapped colours, and labels of another order."""
    from footprints.network.loader import CropLoader

    whole_set = open_set(prepared / "oat", ("train", "val"))
    loader = CropLoader(whole_set, "train", in_memory)
    assert whole_set.classes == tuple(sorted(OAT))
    assert [whole_set.classes[i] for i in loader.labels] == [p.parent.name for p in loader.paths]

    def read(seed):
        batches = [(x.numpy(), y.numpy()) for x, y in loader.batches(5, seed)]
        return tuple(np.concatenate(part) for part in zip(*batches, strict=True))

    photos, labels = read(None)
    expected = np.stack([np.asarray(Image.open(path)) for path in loader.paths])
    np.testing.assert_array_equal(photos, expected)
    np.testing.assert_array_equal(labels, loader.labels)
    assert photos.dtype == np.uint8
    orders = []
    for seed in (1, 1, 2):
        drawn, own = read(seed)
        where = [int(np.flatnonzero((expected == crop).all((1, 2, 3)))[0]) for crop in drawn]
        assert sorted(where) == list(range(len(expected)))  # each crop once
        np.testing.assert_array_equal(own, loader.labels[where])
        orders.append(where)
    assert orders[0] == orders[1] != orders[2]
    assert orders[0] != sorted(orders[0])


def test_a_class_without_validation_photos_keeps_its_number(tmp_path, keras):
    from footprints.network.loader import CropLoader

    sets = {"real": {"train": dict.fromkeys("abc", 3), "val": {"a": 2, "c": 2}}}
    found = open_set(make_prepared(tmp_path, sets) / "real", ("train", "val"))
    loader = CropLoader(found, "val")
    assert [int(y) for _, labels in loader.batches(3) for y in labels] == [0, 0, 2, 2]
    np.testing.assert_array_equal(found.counts("val"), [2, 0, 2])


def break_set(kind: str, folder: Path) -> None:
    photo = next((folder / "oat" / "train" / "bear").iterdir())
    if kind == "no-manifest":
        (folder / "oat" / "manifest.csv").unlink()
    elif kind == "no-validation":
        shutil.rmtree(folder / "oat" / "val")
        list_in_manifest(folder / "oat")
    elif kind == "removed":
        photo.unlink()
    elif kind == "put-there":
        shutil.copy(photo, photo.with_name("mine.png"))
    elif kind == "moved":
        photo.rename(folder / "oat" / "val" / "bear" / photo.name)
    elif kind == "truncated":
        photo.write_bytes(photo.read_bytes()[:-900])
    elif kind == "not-a-picture":
        photo.write_text("oops")
    elif kind == "another-size":
        Image.new("RGB", (40, 40)).save(photo)
    elif kind == "a-jpeg-by-hand":
        Image.new("RGB", (32, 32)).save(photo.with_suffix(".jpg"))
    elif kind == "hidden-as-of-a-mac":
        shutil.copy(photo, photo.with_name(f"._{photo.name}"))
    elif kind == "a-class-to-guess":
        shutil.copytree(folder / "oat" / "val" / "bear", folder / "oat" / "val" / "wolf")
        list_in_manifest(folder / "oat")
    elif kind == "no-set":
        shutil.rmtree(folder / "oat")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("no-manifest", "oat: has no manifest.csv"),
        ("no-validation", "oat: no photos in its part val; it has train"),
        ("truncated", "bear-train-.*png: damaged"),
        ("not-a-picture", "bear-train-.*png: not a readable picture"),
        ("another-size", "pixels, other crops are"),
        ("removed", r"bear/bear-train-\d+.png: this crop was removed by hand"),
        ("put-there", "train/bear/mine.png: this crop was put here by hand"),
        ("moved", r"val/bear/bear-train-\d+.png: this crop was put here by hand"),
        ("a-jpeg-by-hand", "jpg: this crop was put here by hand"),
        ("hidden-as-of-a-mac", "png: not a file of footprints.prepare"),
        ("a-class-to-guess", "class wolf has photos here, but none in train"),
        ("no-set", "oat: there is no such folder"),
    ],
)
def test_unusable_data_is_one_line(tmp_path, prepared, keras, kind, said):
    data = tmp_path / "data"
    shutil.copytree(prepared, data)
    break_set(kind, data)
    with pytest.raises(UserError, match=said):
        train.main(flags(data, tmp_path / "out", stage="oat"))


# --- cached features ---------------------------------------------------------------------------


def test_views_are_what_the_augmentation_layers_make(prepared, keras, tmp_path):
    from footprints.network.build import build_model
    from footprints.network.feature_cache import FeatureCache, random_numbers, reseed
    from footprints.network.freezing import measure_batch_norm, split_model
    from footprints.network.loader import CropLoader

    loader = CropLoader(open_set(prepared / "oat", ("train", "val")), "train")
    net = build_model(3, image_size=32)
    measure_batch_norm(net, [x for x, _ in loader.batches(24)])
    front, _ = split_model(net, 0)
    augment = net.get_layer("augmentation")

    def cache(n_views):
        return FeatureCache(
            front, augment, loader, tmp_path / "f", n_views=n_views, seed=3, name="train"
        )

    two = cache(2)
    reseed(augment, random_numbers(3, "view", 1))
    photos = next(iter(loader.batches(32)))[0]
    expected = front(augment(np.float32(photos), training=True), training=False)
    np.testing.assert_allclose(two.view(1), expected, rtol=1e-3, atol=1e-4)
    assert np.abs(two.view(0) - two.view(1)).max() > 0.01
    kept = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "f").iterdir()}
    three = cache(3)  # goes on with what is there
    now = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "f").iterdir()}
    assert {name: now[name] for name in kept} == kept
    assert len(now) == 3

    features, order = three.draw(np.random.default_rng(0))
    assert sorted(order) == list(range(len(loader)))
    views = np.stack([three.view(k) for k in range(3)])
    from_view = [
        [k for k in range(3) if (views[k, i] == row).all()]
        for row, i in zip(features, order, strict=True)
    ]
    assert all(from_view)
    assert {k for ks in from_view for k in ks} == {0, 1, 2}


def test_an_interrupted_view_leaves_nothing_behind(prepared, keras, tmp_path):
    from footprints.network.feature_cache import FeatureCache
    from footprints.network.loader import CropLoader

    loader = CropLoader(open_set(prepared / "oat", ("train", "val")), "train")
    net = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.GlobalAveragePooling2D()])

    def broken(*_):
        raise KeyboardInterrupt

    loader.batches = broken
    with pytest.raises(KeyboardInterrupt):
        FeatureCache(net, None, loader, tmp_path / "f", n_views=1, seed=0, name="val")
    assert not list((tmp_path / "f").iterdir())


def test_views_that_are_damaged_are_computed_again(prepared, keras, tmp_path):
    from footprints.network.feature_cache import FeatureCache
    from footprints.network.loader import CropLoader

    loader = CropLoader(open_set(prepared / "oat", ("train", "val")), "train")
    net = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.GlobalAveragePooling2D()])

    def cache():
        return FeatureCache(net, None, loader, tmp_path / "f", n_views=1, seed=0, name="val")

    wanted = np.array(cache().view(0))
    path = tmp_path / "f" / "val-000.npy"
    for bad in (np.zeros((7, 3), np.float32), np.float64(wanted), np.array([{}], object)):
        np.save(path, bad)
        np.testing.assert_array_equal(cache().view(0), wanted)
    path.write_bytes(path.read_bytes()[:-1])
    np.testing.assert_array_equal(cache().view(0), wanted)


# --- small parts -------------------------------------------------------------------------------


def test_early_stopping_by_hand():
    stopping = EarlyStopping(patience=2, mode="min")
    seen = [stopping.step(v, e) for e, v in enumerate([3.0, 2.0, 2.0, float("nan")], start=1)]
    assert seen == [True, True, False, False]
    assert (stopping.best, stopping.best_epoch, stopping.should_stop) == (2.0, 2, True)
    upwards = EarlyStopping(patience=1, mode="max")
    assert [upwards.step(v, 0) for v in (0.1, 0.3, 0.2)] == [True, True, False]


def test_class_weights_are_those_of_scikit_learn():
    from footprints.network.phase import class_weights

    labels = np.repeat(range(3), [10, 30, 5])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert list(class_weights(np.bincount(labels)).values()) == pytest.approx(expected)


def test_random_numbers_depend_on_the_purpose_alone():
    from footprints.network.feature_cache import random_numbers

    first = random_numbers(1, "real", "head", 3).integers(2**31)
    assert first == random_numbers(1, "real", "head", 3).integers(2**31)
    others = [random_numbers(*key).integers(2**31) for key in ((2, "real", "head", 3), (1, "oat"))]
    assert first not in others


# --- flags, weights ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [["--epochs_oat", "0"], ["--lr_real", "-1"], ["--lr_real", "nan"], ["--backbone", "VGG16"]],
    ids=" ".join,
)
def test_wrong_flags_end_with_status_2(tmp_path, wrong, capsys):
    with pytest.raises(SystemExit) as caught:
        train.main(flags(tmp_path, tmp_path, *wrong))
    assert caught.value.code == 2
    assert wrong[0] in capsys.readouterr().err


def test_real_without_oat_says_what_to_do(prepared, tmp_path):
    given = ["--stage", "real", "--data_dir", str(prepared), "--output_dir", str(tmp_path)]
    with pytest.raises(UserError, match=r"mobilenet_oat.keras: not there; train --stage oat"):
        train.main(given)


@pytest.mark.slow
def test_a_failed_download_is_one_line_at_once(prepared, tmp_path):
    closed = "http://127.0.0.1:9"  # the discard port: nobody listens
    started = time.monotonic()
    done = run_step(
        "train",
        *["--stage", "oat", "--data_dir", prepared, "--output_dir", tmp_path / "out"],
        **{"KERAS_HOME": str(tmp_path), "https_proxy": closed, "http_proxy": closed},
    )
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    assert "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5" in lines[0]
    assert "--weights" in lines[0]
    assert time.monotonic() - started < 60


def test_weights_that_are_not_there_are_one_line(prepared, tmp_path):
    with pytest.raises(UserError, match=r"x.weights.h5: no such file"):
        train.main(flags(prepared, tmp_path, "--weights", tmp_path / "x.weights.h5", stage="oat"))


@pytest.mark.slow
def test_end_to_end_without_cached_views_with_class_weights(tmp_path, keras, capsys):
    data = make_prepared(tmp_path / "data", {"oat": even(("a", "b"), train=4, val=2)})
    more = ["--cached_views", 0, "--unfreeze_oat", 5, "--epochs_oat", 1, "--class_weights"]
    output = tmp_path / "out"
    (output / "logs" / "oat").mkdir(parents=True)
    (output / "logs" / "oat" / "head").write_text("no curves can be written here")
    assert train.main(flags(data, output, *more, "--monitor", "val_macro_f1", stage="oat")) == 0
    rows = json.loads((output / "history_oat.json").read_text())["epochs"]
    assert [row["phase"] for row in rows] == ["head", "fine"]
    said = capsys.readouterr().err
    assert "features" not in said
    assert said.count("no curves for TensorBoard") == 1


def test_photos_are_changed_as_asked(prepared, tmp_path):
    """Said in the settings, so that a training goes on only as it began."""
    given = flags(prepared, tmp_path / "out", "--epochs_oat", 1, "--cached_views", 1, stage="oat")
    done = run_step("train", *given, "--augmentation", "strong")
    assert done.returncode == 0, done.stderr
    path = tmp_path / "out" / "mobilenet_oat.keras"
    assert read_metadata(path)["training"]["augmentation"] == "strong"
    with pytest.raises(UserError, match="augmentation"):
        train.main(given)

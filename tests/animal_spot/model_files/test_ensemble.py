"""ensemble.py: several models judged, averaged and kept in one file."""

import dataclasses
import hashlib
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import soundfile as sf
import torch
from scipy.special import softmax
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, log_loss

from animal_spot.audio.clip_files import read_waveform
from animal_spot.audio.dsp import fit_length
from animal_spot.audio.spectrograms import SpectrogramPipeline
from animal_spot.data.corpus import load_corpus
from animal_spot.detections.calibration import Calibration
from animal_spot.detections.event_settings import EventSettings
from animal_spot.model_files.ensemble_file import (
    Ensemble,
    distinct_names,
    load_ensemble,
    load_members,
    save_ensemble,
)
from animal_spot.model_files.model_file import load_model, save_model
from animal_spot.training.clip_scores import split_fingerprint
from animal_spot.utils.tensor_files import save_tensors
from tests.helpers.clips import make_corpus
from tests.helpers.prediction import (
    MULTI,
    body,
    make_content,
    messages,
    only_error,
    predict_here,
    predict_into,
    read_log,
    reference,
    save_original,
    write_sound,
)
from tests.helpers.programs import run_here
from tests.helpers.training import TAPES

TOLERANCE = 2e-4  # float32 sums in another order, through 20 layers and a softmax
SMALL = "timm:test_resnet"
CLASSES = {"A": 0, "B": 1, "noise": 2}
HOP_S = 0.25
WINDOWS = ("--hop", HOP_S)  # of 0.5 s, as the clips of the first model


def run_ensemble(*arguments) -> subprocess.CompletedProcess:
    return run_here("ensemble", *arguments, "--num_workers", "0", "--no_cuda")


@dataclasses.dataclass
class Made:
    """A data set with a stored split, and models for its classes."""

    base: Path
    data: Path
    resnet: Path
    small: Path
    other_rate: Path
    result: subprocess.CompletedProcess

    @property
    def ensemble(self) -> Path:
        return self.base / "ensemble.pk"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A ResNet, a calibrated network of another kind, clip length and band, and their ensemble."""
    base = tmp_path_factory.mktemp("made")
    data = make_corpus(base / "data", {name: TAPES for name in CLASSES}, rate=16_000)
    corpus = load_corpus(data)
    split = {"split": split_fingerprint(corpus.samples)}
    contents = {
        "resnet.pk": make_content(CLASSES, seed=1, stored_ms=500),
        "small.pk": make_content(
            CLASSES, seed=2, backbone="timm:test_resnet", stored_ms=400, fmax=6000
        ),
        "other_rate.pk": make_content(CLASSES, seed=3, stored_ms=500, sr=24_000),
    }
    contents["resnet.pk"].extra = split
    contents["small.pk"].extra = split
    contents["small.pk"].calibration = Calibration(1.7)
    for name, content in contents.items():
        save_model(content, base / name)
    paths = [base / name for name in contents]
    result = run_ensemble(*paths[:2], "--data_dir", data, "--output", base / "ensemble.pk")
    assert result.returncode == 0, result.stderr
    return Made(base, data, *paths, result)


def test_an_ensemble_has_a_card(made):
    text = (made.base / "MODEL_CARD_ensemble.md").read_text(encoding="utf-8")
    assert hashlib.sha256(made.ensemble.read_bytes()).hexdigest() in text
    assert "the mean of the answers of 2 networks" in text


def test_card_and_figures_tell_how_good_the_average_is(made):
    """As scikit-learn judges the mean of the members' probabilities."""
    said = [clip_probabilities(path, made, "test") for path in (made.resnet, made.small)]
    labels = said[0][1]
    mean = (said[0][0] + said[1][0]) / 2
    content = json.loads(made.ensemble.with_suffix(".json").read_text(encoding="utf-8"))
    entry = content["partitions"]["test"]
    assert entry["loss"] == pytest.approx(log_loss(labels, mean, labels=[0, 1, 2]), abs=TOLERANCE)
    answers = mean.argmax(1)
    assert entry["accuracy"] == accuracy_score(labels, answers)
    assert entry["macro_accuracy"] == pytest.approx(balanced_accuracy_score(labels, answers))
    assert entry["confusion_matrix"] == confusion_matrix(labels, answers).tolist()
    wrong = {clip["file"] for clip in entry["wrong_clips"]}
    assert len(wrong) == (answers != labels).sum()
    assert content["noise_class"] == "noise"
    card = (made.base / "MODEL_CARD_ensemble.md").read_text(encoding="utf-8")
    assert f"{(answers == labels).sum()} of {len(labels)} test clips are named right" in card


def test_members_with_a_decoder_give_the_average_one(made, tmp_path):
    """It ended in an error of this program."""
    decoded = []
    for path in (made.resnet, made.small):
        content = load_model(path)
        content.calibration = dataclasses.replace(content.calibration, decoder=EventSettings())
        decoded.append(tmp_path / path.name)
        save_model(content, decoded[-1])
    data = make_corpus(tmp_path / "data", {name: TAPES * 3 for name in CLASSES}, rate=16_000)
    load_corpus(data)  # stores the split
    output = tmp_path / "ensemble.pk"
    result = run_ensemble(*decoded, "--data_dir", data, "--output", output, "--no_report")
    assert result.returncode == 0, result.stderr
    assert load_ensemble(output).calibration.decoder is not None
    assert not (tmp_path / "MODEL_CARD_ensemble.md").exists()


def test_name_of_the_figures_is_none_for_the_ensemble(made, tmp_path):
    models = (made.resnet, made.small)
    output = tmp_path / "e.json"
    result = run_ensemble(*models, "--data_dir", made.data, "--output", output)
    assert result.returncode == 1
    assert "call it e.pk" in only_error(result.stderr)
    assert not output.exists()


def table(text: str) -> dict[str, list[float]]:
    """Read the rows of the printed table: shares and losses, by model."""
    rows = {}
    for line in text.splitlines():
        match = re.match(r"(\S.*?) {2,}([\d.%\s]+)$", line)
        if match:
            rows[match[1]] = [
                float(v.rstrip("%")) / (100 if v.endswith("%") else 1) for v in match[2].split()
            ]
    return rows


def clip_probabilities(path: Path, made: Made, partition: str) -> tuple[np.ndarray, np.ndarray]:
    """Classify the centre of each clip by itself; return probabilities and labels."""
    content = load_model(path)
    pipeline = SpectrogramPipeline(content.signal)
    n_frames = int(content.sequence_len_ms / 1000 * content.signal.sr / content.signal.hop_length)
    logits, labels = [], []
    for csv_name in (made.data / partition).read_text().split():
        for row in (made.data / csv_name).read_text().split():
            waveform = read_waveform(made.data / row, content.signal.sr)
            features = fit_length(pipeline.features(waveform), n_frames)
            with torch.no_grad():
                logits.append(content.model.eval()(features[None])[0].numpy())
            labels.append(content.classes[Path(row).name.split("-")[0]])
    return softmax(np.array(logits) / (content.calibration.temperature or 1), axis=1), labels


# -- judging --------------------------------------------------------------------------------------


def test_table_holds_the_figures_of_scikit_learn(made):
    rows = table(made.result.stdout)
    wanted = {name: [] for name in ("resnet.pk", "small.pk", "average")}
    for partition in ("val", "test"):
        one, labels = clip_probabilities(made.resnet, made, partition)
        other, _ = clip_probabilities(made.small, made, partition)
        for name, p in zip(wanted, (one, other, (one + other) / 2), strict=True):
            right = float(np.mean(p.argmax(1) == labels))
            macro = balanced_accuracy_score(labels, p.argmax(1))
            wanted[name] += [right, macro, log_loss(labels, p, labels=range(3))]
    assert set(wanted) <= set(rows)
    for name, values in wanted.items():
        assert rows[name] == pytest.approx(values, abs=1.1e-3), name  # printed to three decimals
    assert rows["resnet.pk"] != rows["small.pk"]
    assert not messages(made.result.stderr, "W")


def test_model_of_another_split_is_named(made, tmp_path):
    content = load_model(made.resnet)
    content.extra = {"split": "0" * 32}
    save_model(content, tmp_path / "fold.pk")
    models = (tmp_path / "fold.pk", made.resnet)
    options = ("--data_dir", made.data, "--output", tmp_path / "e.pk")
    result = run_ensemble(*models, *options)
    assert result.returncode == 0, result.stderr
    (warning,) = messages(result.stderr, "W")
    assert "fold.pk was trained on another split" in warning
    assert "may include its own training clips" in warning


def test_embedding_model_without_use_is_mentioned(made, tmp_path):
    models = (made.resnet, made.small, "--embedding_model", tmp_path / "some.tflite")
    result = run_ensemble(*models, "--data_dir", made.data, "--output", tmp_path / "e.pk")
    assert result.returncode == 0, result.stderr
    (warning,) = messages(result.stderr, "W")
    assert "--embedding_model is not used" in warning


def test_fingerprint_is_of_names_alone(tmp_path):
    classes = {name: TAPES for name in CLASSES}
    one, other = (load_corpus(make_corpus(tmp_path / n, classes)).samples for n in ("a", "b"))
    assert split_fingerprint(one) == split_fingerprint(other)
    swapped = {"val": one["test"], "test": one["val"]}
    assert split_fingerprint(swapped) != split_fingerprint(one)
    assert split_fingerprint({**one, "val": one["val"][::-1]}) == split_fingerprint(one)
    assert split_fingerprint({**one, "val": one["val"][1:]}) != split_fingerprint(one)


# -- the file, and prediction with it -------------------------------------------------------------


def test_prediction_is_that_of_the_members(made, tmp_path):
    """The file alone, its members deleted, says what several --model_path say: their mean."""
    wav = write_sound(tmp_path / "a.wav", 2)
    models = (made.resnet, made.small)
    several = ("--input_file", wav, "--output_dir", tmp_path / "several", *WINDOWS)
    assert predict_here("--model_path", *models, *several) == 0
    alone = tmp_path / "alone.pk"
    alone.write_bytes(made.ensemble.read_bytes())
    hidden = [path.rename(path.with_suffix(".hidden")) for path in models]
    try:
        predict_into(alone, wav, tmp_path / "one", *WINDOWS)
    finally:
        for path in hidden:
            path.rename(path.with_suffix(".pk"))
    logs = [tmp_path / name / "a_predict_output.log" for name in ("several", "one")]
    told = [body(log).split(b"\n")[2:] for log in logs]  # but for the recording and the model
    assert told[0] == told[1]
    total = 0
    for path in models:
        content = load_model(path)
        _, p = reference(wav, content, 0.5, HOP_S)
        t = content.calibration.temperature or 1
        total = total + softmax(np.log(p.astype(np.float64)) / t, axis=1)
    np.testing.assert_allclose(read_log(logs[1]).probabilities, total / 2, rtol=0, atol=TOLERANCE)


def test_file_holds_plain_containers_and_tensors(made):
    content = torch.load(made.ensemble, weights_only=True)
    assert content["names"] == ["resnet.pk", "small.pk"]
    assert content["classes"] == CLASSES
    assert [part["backbone"] for part in content["members"]] == ["resnet", "timm:test_resnet"]
    assert content["members"][1]["temperature"] == 1.7
    loaded = load_ensemble(made.ensemble)
    for part, path in zip(loaded, (made.resnet, made.small), strict=True):
        original = load_model(path)
        assert part.signal == original.signal
        assert part.sequence_len_ms == original.sequence_len_ms
        assert part.calibration == original.calibration
        for key, value in original.model.state_dict().items():
            assert torch.equal(part.model.state_dict()[key], value), key


def test_an_ensemble_of_ensembles_is_flat(made, tmp_path):
    output = tmp_path / "e.pk"
    models = (made.ensemble, made.other_rate)
    result = run_ensemble(*models, "--data_dir", made.data, "--output", output)
    assert result.returncode == 0, result.stderr
    loaded = load_ensemble(output)
    wanted = ["ensemble.pk: resnet.pk", "ensemble.pk: small.pk", "other_rate.pk"]
    assert loaded.names == wanted
    direct = load_members([made.resnet, made.small, made.other_rate])
    for one, other in zip(loaded, direct, strict=True):
        for key, value in other.model.state_dict().items():
            assert torch.equal(one.model.state_dict()[key], value), key

    rows, of_two = table(result.stdout), table(made.result.stdout)
    assert rows[wanted[1]] == pytest.approx(of_two["small.pk"], abs=1.1e-3)
    assert rows["without other_rate.pk"] == pytest.approx(of_two["average"][:3], abs=1.1e-3)
    without = rows[f"without {wanted[0]}"]
    assert len(without) == 3, "test figures would tempt to choose by them"
    (warning,) = messages(result.stderr, "W")
    assert "other_rate.pk does not say which split" in warning


@pytest.mark.slow
def test_ensemble_is_calibrated_as_a_whole(made, tmp_path):
    from animal_spot import calibrate

    output = tmp_path / "calibrated.pk"
    before = made.ensemble.read_bytes()
    options = ("--data_dir", made.data, "--output", output, "--num_workers", 0)
    arguments = (made.ensemble, *options, "--no_cuda", "--calibration_precision", 0.4)
    assert calibrate.main([str(argument) for argument in arguments]) == 0
    assert made.ensemble.read_bytes() == before
    loaded = load_ensemble(output)
    assert loaded[1].calibration.temperature == 1.7
    t = loaded.calibration.temperature
    assert t != 1
    one, labels = clip_probabilities(made.resnet, made, "val")
    other, _ = clip_probabilities(made.small, made, "val")
    mean = np.log((one + other) / 2)
    losses = [log_loss(labels, softmax(mean / x, axis=1)) for x in (0.97 * t, t, 1.03 * t)]
    assert losses[1] == min(losses), "a temperature beside it would be better"

    wav = write_sound(tmp_path / "a.wav", 2)
    common = ("--input_file", wav, *WINDOWS, "--threshold", "0.5")
    for name, model in (("plain", made.ensemble), ("hot", output)):
        status = predict_here(
            "--model_path", model, *common, "--output_dir", tmp_path / name, plain=name == "plain"
        )
        assert status == 0
    plain, hot = (
        read_log(tmp_path / name / "a_predict_output.log").probabilities
        for name in ("plain", "hot")
    )
    np.testing.assert_allclose(hot, softmax(np.log(plain) / t, axis=1), rtol=0, atol=TOLERANCE)


def test_calibration_of_an_average_goes_with_it_alone(made, tmp_path, capsys):
    loaded = load_ensemble(made.ensemble)
    hot = dataclasses.replace(loaded, calibration=Calibration(3.0, {"A": 0.1}, 0.9))
    save_ensemble(hot, tmp_path / "hot.pk")
    assert load_ensemble(tmp_path / "hot.pk").calibration == hot.calibration
    wav = write_sound(tmp_path / "a.wav", 2)
    common = ("--input_file", wav, *WINDOWS, "--output_dir")
    other = ("--model_path", made.other_rate, "--model_path")
    assert predict_here(*other, made.ensemble, *common, tmp_path / "cold") == 0
    capsys.readouterr()
    assert predict_here(*other, tmp_path / "hot.pk", *common, tmp_path / "hot") == 0
    said = "hot.pk: the temperature of its average and its thresholds are not used"
    assert any(said in line for line in messages(capsys.readouterr().err, "W"))
    logs = [tmp_path / name / "a_predict_output.log" for name in ("cold", "hot")]
    assert body(logs[0]).split(b"\n")[2:] == body(logs[1]).split(b"\n")[2:]


def test_names_of_files_that_training_calls_alike():
    paths = [Path("out/one/model/ANIMAL-SPOT.pk"), Path("out/two/model/ANIMAL-SPOT.pk")]
    assert distinct_names(paths) == ["one", "two"]
    assert distinct_names([Path("x/a.pk"), Path("y/b.pk")]) == ["a.pk", "b.pk"]
    nested = [Path("a/m.pk"), Path("a/b/m.pk"), Path("m.pk")]
    assert len(set(distinct_names(nested))) == 3


# -- export ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["torchscript", pytest.param("onnx", marks=pytest.mark.slow)])
def test_ensemble_is_exported_whole(kind, made, tmp_path):
    members = [load_model(made.resnet), make_content(CLASSES, seed=7, fmax=6000, stored_ms=500)]
    members[1].calibration = Calibration(1.7)
    loaded = Ensemble(members, ["one", "two"], Calibration(0.6))
    save_ensemble(loaded, tmp_path / "hot.pk")
    path = tmp_path / "exported"
    assert predict_here("--model_path", tmp_path / "hot.pk", "--export", kind, path) == 0
    wav = write_sound(tmp_path / "a.wav", 1)
    samples = torch.from_numpy(sf.read(wav, dtype="float32")[0][:16_000].reshape(2, 8000))
    if kind == "torchscript":
        with torch.no_grad():
            found = torch.jit.load(path)(samples).numpy()
    else:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (found,) = session.run(["probabilities"], {"waveform": samples.numpy()})
    total = 0
    for member in loaded:
        features = torch.stack(
            [SpectrogramPipeline(member.signal).features(x[None]) for x in samples]
        )
        with torch.no_grad():
            logits = member.model.eval()(features).numpy()
        total = total + softmax(logits / (member.calibration.temperature or 1), axis=1)
    wanted = softmax(np.log(total / 2) / 0.6, axis=1)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-3)  # a DFT as a convolution


def test_several_sampling_rates_are_not_exported(made, tmp_path, capsys):
    ensemble = load_members([made.resnet, made.other_rate])
    save_ensemble(ensemble, tmp_path / "two.pk")
    path = tmp_path / "exported.pt"
    assert predict_here("--model_path", tmp_path / "two.pk", "--export", "torchscript", path) == 1
    assert "sampling rates of 16000 and 24000 Hz" in only_error(capsys.readouterr().err)
    assert not path.exists()


# -- what cannot be done --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wrong(made, tmp_path_factory):
    """Files that are no members, by name."""
    tmp_path = tmp_path_factory.mktemp("wrong")
    other_classes = make_content(MULTI, seed=1)
    save_model(other_classes, tmp_path / "classes.pk")
    (tmp_path / "cut.pk").write_bytes(made.resnet.read_bytes()[:50_000])
    (tmp_path / "cut_ensemble.pk").write_bytes(made.ensemble.read_bytes()[:50_000])
    save_original(make_content(CLASSES), tmp_path / "original.pk")
    content = torch.load(made.ensemble, weights_only=True)
    del content["members"][1]["encoderState"]
    save_tensors(content, tmp_path / "part.pk")
    save_tensors({**content, "names": ["one"]}, tmp_path / "names.pk")
    save_tensors({**content, "members": []}, tmp_path / "none.pk")
    save_tensors({**content, "members": 3}, tmp_path / "number.pk")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("classes.pk", "the classes of", id="classes"),
        pytest.param("cut.pk", "cut.pk cannot be read", id="cut"),
        pytest.param("cut_ensemble.pk", "cut_ensemble.pk cannot be read", id="cut-ensemble"),
        pytest.param("gone.pk", "gone.pk", id="gone"),
        pytest.param("part.pk", "member small.pk of", id="member-without-weights"),
        pytest.param("names.pk", "2 members and 1 names", id="names"),
        pytest.param("none.pk", "0 members and 2 names", id="empty"),
        pytest.param("number.pk", "number.pk do not fit together", id="no-list"),
        pytest.param("original.pk", "does not say how long its clips were", id="of-the-original"),
    ],
)
def test_bad_member_is_one_line(name, words, made, wrong):
    output = wrong / "e.pk"
    models = (made.resnet, wrong / name)
    result = run_ensemble(*models, "--data_dir", made.data, "--output", output)
    assert result.returncode == 1, result.stderr
    line = only_error(result.stderr)
    assert words in line
    assert name in line
    assert not output.exists()


def test_predict_names_a_broken_ensemble(made, wrong, capsys):
    wav = write_sound(wrong / "a.wav", 1)
    for name in ("part.pk", "cut_ensemble.pk", "none.pk"):
        assert predict_here("--model_path", wrong / name, "--input_file", wav) == 1
        assert name in only_error(capsys.readouterr().err)


def test_no_file_is_overwritten(made):
    for target in (made.resnet, made.ensemble):
        before = target.read_bytes()
        models = (made.resnet, made.small)
        result = run_ensemble(*models, "--data_dir", made.data, "--output", target)
        assert result.returncode == 1, result.stderr
        assert f"{target} is there already" in only_error(result.stderr)
        assert target.read_bytes() == before


def test_one_model_is_no_ensemble(made, tmp_path):
    result = run_ensemble(made.resnet, "--data_dir", made.data, "--output", tmp_path / "e.pk")
    assert result.returncode == 1
    assert "name two models or more" in only_error(result.stderr)
    twice = run_ensemble(made.resnet, made.resnet, "--data_dir", made.data)
    assert twice.returncode == 2
    assert "named twice" in twice.stderr


def test_data_of_other_classes(made, tmp_path):
    data = make_corpus(tmp_path / "data", {"X": TAPES, "Y": TAPES, "noise": TAPES})
    load_corpus(data)
    options = ("--data_dir", data, "--output", tmp_path / "e.pk")
    result = run_ensemble(made.resnet, made.small, *options)
    assert result.returncode == 1, result.stderr
    assert "are not those of the model" in only_error(result.stderr)


def test_checkpoint_goes_with_one_network(made, tmp_path, capsys):
    save_tensors({"modelState": {}}, tmp_path / "c.checkpoint")
    wav = write_sound(tmp_path / "a.wav", 1)
    arguments = ("--model_path", made.ensemble, "--input_file", wav)
    assert predict_here(*arguments, "--checkpoint_path", tmp_path / "c.checkpoint") == 1
    assert "--checkpoint_path holds one network" in only_error(capsys.readouterr().err)


def test_single_file_is_an_ensemble_of_one(made):
    loaded = load_ensemble(made.small)
    assert len(loaded) == 1
    assert loaded.calibration.temperature is None, "it would be applied twice"
    assert isinstance(loaded, Ensemble)
    assert loaded[0].calibration.temperature == 1.7

"""The background class: found, named, offered; kept with models, results and ensembles."""

from __future__ import annotations

import dataclasses
import json
import logging
import unicodedata
from collections import Counter

import numpy as np
import pytest
import torch

from animal_spot import evaluate, predict
from animal_spot.data.noise_class import names_like_noise, no_noise_warning, noise_class_of
from animal_spot.detections.decisions import DecisionRule
from animal_spot.detections.result_readers import read_result
from animal_spot.model_files.ensemble_file import (
    Ensemble,
    load_ensemble,
    load_members,
    save_ensemble,
)
from animal_spot.model_files.model_file import dictionary_of, load_model, model_of, save_model
from tests.helpers.clips import make_corpus
from tests.helpers.prediction import PLAIN, make_content, write_sound
from tests.helpers.training import main_here

NAMES = ["K1", "Rauschen"]


@pytest.mark.parametrize(
    ("wanted", "names", "expected"),
    [
        pytest.param(None, ["K1", "Noise"], "Noise", id="called-noise"),
        pytest.param(None, ["K1", "background"], None, id="usual-word-is-not-taken"),
        pytest.param("background", ["K1", "background"], "background", id="said"),
        pytest.param("K1", ["K1", "noise"], "K1", id="said-against-the-name"),
        pytest.param(
            unicodedata.normalize("NFD", "støj é"),
            ["K1", "støj é"],
            "støj é",
            id="other-unicode-form",
        ),
    ],
)
def test_noise_class_of(wanted, names, expected):
    assert noise_class_of(wanted, names) == expected


def test_a_name_that_is_no_class_is_an_error():
    with pytest.raises(ValueError, match="--noise_class hum: there is no such class, only K1, K2"):
        noise_class_of("hum", ["K1", "K2"])


def test_usual_words_of_several_languages_are_offered():
    background = ["Background", "ambient", "Rauschen", "HINTERGRUND", "bruit", "ruido", "rumore"]
    background += ["ruis", "støj", "buller", "шум", "no_call", "background-noise"]
    assert names_like_noise(["K1", *background, "noisy", "background_whistle"]) == background
    assert "say so: --noise_class 'bruit'" in no_noise_warning(["K1", "bruit"])
    assert "--noise_class 'K1'" not in no_noise_warning(["K1", "K2"])


def test_windows_of_the_noise_class_are_no_annotations_whatever_it_is_called():
    names, score = ("K1", "K2", "Rauschen"), np.full(3, 0.9)
    decided = DecisionRule(names, noise="Rauschen").decide_scores(np.arange(3), score)
    assert decided.is_noise.tolist() == [False, False, True]
    assert not DecisionRule(names).decide_scores(np.arange(3), score).is_noise.any()


@pytest.fixture(scope="module")
def content():
    """A network whose second class wins about half of the windows."""
    return make_content({"K1": 0, "Rauschen": 1, "K2": 2})


def test_the_model_file_keeps_it_and_old_files_find_it(content, tmp_path):
    said = dataclasses.replace(content, noise_class="Rauschen")
    save_model(said, tmp_path / "m.pk")
    assert load_model(tmp_path / "m.pk").noise_class == "Rauschen"
    save_model(content, tmp_path / "none.pk")
    assert torch.load(tmp_path / "none.pk", weights_only=True)["noise_class"] is None
    old = dictionary_of(content) | {"classes": {"K1": 0, "NOISE": 1, "K2": 2}}
    assert model_of(old, "old").noise_class is None, "none stored means none"
    del old["noise_class"]
    assert model_of(old, "old").noise_class == "NOISE"
    with pytest.raises(ValueError, match="its noise class 'hum' is none of its classes"):
        model_of(old | {"noise_class": "hum"}, "old")


def test_members_must_agree(content, tmp_path, caplog):
    for name, noise in (("a.pk", "Rauschen"), ("b.pk", None)):
        save_model(dataclasses.replace(content, noise_class=noise), tmp_path / name)
    paths = [tmp_path / "a.pk", tmp_path / "b.pk"]
    with pytest.raises(ValueError, match=r"b\.pk is none, that of .*Rauschen; settle it"):
        load_members(paths)
    settled = load_members(paths, noise_class="Rauschen")
    assert [member.noise_class for member in settled] == ["Rauschen", "Rauschen"]
    with caplog.at_level(logging.WARNING):
        assert load_members(paths[:1], noise_class="K1").noise_class == "K1"
    assert "it was Rauschen" in caplog.text
    save_ensemble(Ensemble(settled.members, ["a", "b"]), tmp_path / "e.pk")
    assert load_ensemble(tmp_path / "e.pk").noise_class == "Rauschen"


def run_predict(model, sound, out, *flags):
    return predict.main(
        [
            *("--model_path", str(model), "--input_file", str(sound), "--output_dir", str(out)),
            *("--format", "log", "csv", "parquet", "raven", "--num_workers", "0", *PLAIN, *flags),
        ]
    )


def classes_in(table) -> Counter:
    lines = table.read_text(encoding="utf-8").splitlines()
    place = lines[0].split("\t").index("Annotation")
    return Counter(line.split("\t")[place] for line in lines[1:])


def test_prediction_and_evaluation_use_it(content, tmp_path, capfd):
    sound = write_sound(tmp_path / "rec.wav", 6, seed=3)
    said = dataclasses.replace(content, noise_class="Rauschen")
    save_model(said, tmp_path / "said.pk")
    save_model(content, tmp_path / "none.pk")
    assert run_predict(tmp_path / "said.pk", sound, tmp_path / "said", "--threshold", "0") == 0
    table = tmp_path / "said" / "rec.Table.1.selections.txt"
    assert set(classes_in(table)) == {"K1", "K2"}
    assert "BACKGROUND" not in capfd.readouterr().err

    assert run_predict(tmp_path / "none.pk", sound, tmp_path / "none", "--threshold", "0") == 0
    assert "NO BACKGROUND CLASS" in (warned := capfd.readouterr().err)
    assert "--noise_class 'Rauschen'" in warned
    assert set(classes_in(tmp_path / "none" / "rec.Table.1.selections.txt")) == {
        *("K1", "K2", "Rauschen")
    }
    flag = ("--noise_class", "Rauschen", "--threshold", "0")
    assert run_predict(tmp_path / "none.pk", sound, tmp_path / "flag", *flag) == 0
    assert (tmp_path / "flag" / table.name).read_bytes() == table.read_bytes()
    assert run_predict(tmp_path / "none.pk", sound, tmp_path / "x", "--noise_class", "hum") == 1
    assert "--noise_class hum: there is no such class" in capfd.readouterr().err

    for suffix in (".log", ".csv", ".parquet"):
        result = read_result(tmp_path / "said" / f"rec_predict_output{suffix}")
        assert result.noise_class == "Rauschen", suffix
        assert read_result(tmp_path / "none" / f"rec_predict_output{suffix}").noise_class is None

    def evaluated(folder, *flags):
        out = tmp_path / f"evaluated_{folder}_{len(flags)}"
        given = ("--prediction_dir", str(tmp_path / folder), "--output_dir", str(out))
        assert evaluate.main([*given, "--threshold", "0", *flags]) == 0
        (found,) = out.glob("*.txt")
        return set(classes_in(found))

    assert evaluated("said") == {"K1", "K2"}
    assert evaluated("none") == {"K1", "K2", "Rauschen"}
    assert evaluated("none", "--noise_class", "Rauschen") == {"K1", "K2"}


@pytest.mark.slow
def test_training_warns_stores_and_says_it(tmp_path):
    make_corpus(tmp_path / "data", {"target": list("abcdef"), "bruit": list("ghijkl")}, rate=16000)
    common = (
        *("--data_dir", str(tmp_path / "data"), "--sr", "16000", "--fmin", "500", "--fmax", "7000"),
        *("--n_fft", "256", "--hop_length", "160", "--n_freq_bins", "16", "--sequence_len", "600"),
        *("--max_train_epochs", "1", "--batch_size", "2", "--summary_dir", str(tmp_path / "runs")),
    )
    ran = main_here(*common, "--model_dir", str(tmp_path / "none"))
    assert ran.returncode == 0, ran.stderr
    assert "NO BACKGROUND CLASS" in ran.stderr
    assert "--noise_class 'bruit'" in ran.stderr
    results = json.loads((tmp_path / "none" / "results.json").read_text(encoding="utf-8"))
    assert results["noise_class"] is None
    few, unnamed = results["warnings"]
    assert few.startswith("classes with under 10 clips")
    assert "NO BACKGROUND CLASS" in unnamed

    ran = main_here(*common, "--model_dir", str(tmp_path / "said"), "--noise_class", "bruit")
    assert ran.returncode == 0, ran.stderr
    assert "BACKGROUND" not in ran.stderr
    assert "noise class: bruit" in ran.stderr
    assert load_model(tmp_path / "said" / "ANIMAL-SPOT.pk").noise_class == "bruit"
    results = json.loads((tmp_path / "said" / "results.json").read_text(encoding="utf-8"))
    assert (results["noise_class"], results["warnings"]) == ("bruit", [few])

    ran = main_here(*common, "--model_dir", str(tmp_path / "no"), "--noise_class", "hum")
    assert ran.returncode == 1
    assert "--noise_class hum: there is no such class, only bruit, target" in ran.stderr

"""Every file that the programs read, tampered with: no traceback, a bounded time, no stray write.

``helpers.fuzz`` says how to try many more examples.
"""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile as sf
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.clips import make_corpus, tone
from tests.helpers.fuzz import HOSTILE_TEXTS, examples, run, tampered, tampered_bytes, tampered_text
from tests.helpers.prediction import PLAIN, sound, write_sound
from tests.helpers.results import log_text, write_csv, write_parquet
from tests.helpers.training import SMALL

RATE = 16_000
FORMATS = [("wav", "PCM_16"), ("wav", "FLOAT"), ("aiff", "PCM_16"), ("flac", "PCM_16")]
FORMATS += [("ogg", "VORBIS"), ("mp3", "MPEG_LAYER_III"), ("au", "PCM_16"), ("caf", "PCM_16")]
NAMES = ["A", "B", "noise"]
ROWS = [[0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.05, 0.05, 0.9]]
RAVEN = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\t"
    "Annotation\n1\tSpectrogram 1\t1\t0.5\t1.25\t500\t9000\tA\n"
    "2\tSpectrogram 1\t1\t2.0\t2.5\t500\t9000\tB\n"
)
AUDACITY = "0.5\t1.25\tA\n\\\t500\t9000\n2.0\t2.5\tB\n"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="time limits by signals of Unix"),
]


def recording(suffix: str, subtype: str) -> bytes:
    content = io.BytesIO()
    kind = {"mp3": "MP3"}.get(suffix, suffix.upper())
    rate = 44_100 if suffix == "mp3" else RATE
    sf.write(content, sound(0.4, rate=rate), rate, format=kind, subtype=subtype)
    return content.getvalue()


GOOD = {f"{suffix}-{subtype}": recording(suffix, subtype) for suffix, subtype in FORMATS}


def predict(place, output: Path, *arguments: object) -> tuple[int, str]:
    return run("predict", [*arguments, "--output_dir", output, *PLAIN], place.elsewhere)


@examples(3)
@given(data=st.data())
def test_recordings(data, models, place):
    folder, output = place.fresh()
    write_sound(folder / "good.wav", 0.3)
    for kind, good in GOOD.items():
        (folder / f"{kind}.{kind.split('-')[0]}").write_bytes(data.draw(tampered_bytes(good)))
    status, text = predict(place, output, "--model_path", models("multi"), "--input_file", folder)
    assert status in (0, 3), text
    assert (output / "good_predict_output.log").is_file(), text
    for path in output.glob("*_predict_output.log"):
        assert "nan" not in path.read_text().lower()


@examples(3)
@given(data=st.data())
def test_lists_of_recordings(data, models, place):
    folder, output = place.fresh()
    lines = "".join(f"{write_sound(folder / f'{i}.wav', 0.3)}\n" for i in range(2))
    (folder / "list.txt").write_bytes(data.draw(tampered_text(lines)))
    arguments = ("--model_path", models("multi"), "--input_file", folder / "list.txt")
    predict(place, output, *arguments)


@examples(3)
@given(data=st.data())
def test_journals(data, models, place):
    folder, output = place.fresh()
    write_sound(folder / "a.wav", 0.3)
    arguments = ("--model_path", models("multi"), "--input_file", folder)
    assert predict(place, output, *arguments)[0] == 0
    journal = output / ".completed.jsonl"
    entries = [json.loads(line) for line in journal.read_text().split("\n") if line]
    changed = data.draw(tampered(entries))
    if isinstance(changed, list):
        stem = data.draw(st.sampled_from((None, "../../elsewhere/kept", "/tmp/x")))
        for entry in changed:
            if stem is not None and isinstance(entry, dict) and "files" in entry:
                entry |= {"stem": stem, "files": {f"{stem}.txt": 4, "../x": 1}, "run": "other"}
        lines = [json.dumps(entry, default=repr) for entry in changed]
        journal.write_text("\n".join(lines) + "\n", errors="surrogatepass")
    predict(place, output, *arguments)


def model_content(models, name: str) -> dict:
    return torch.load(models(name), weights_only=True)


@examples(6)
@given(data=st.data())
def test_model_files(data, models, place):
    folder, output = place.fresh()
    write_sound(folder / "a.wav", 0.3)
    name = data.draw(st.sampled_from(("multi", "original")))
    torch.save(data.draw(tampered(model_content(models, name))), folder / "model.pk")
    arguments = ("--model_path", folder / "model.pk", "--input_file", folder / "a.wav")
    predict(place, output, *arguments)


@examples(3)
@given(data=st.data())
def test_ensembles(data, models, place):
    folder, output = place.fresh()
    write_sound(folder / "a.wav", 0.3)
    members = [model_content(models, name) for name in ("multi", "multi-2")]
    good = {"members": members, "names": ["a", "b"], "classes": members[0]["classes"]}
    good |= {"noise_class": "noise", "temperature": 1.5, "thresholds": {"K1": 0.5}}
    torch.save(data.draw(tampered(good)), folder / "model.pk")
    arguments = ("--model_path", folder / "model.pk", "--input_file", folder / "a.wav")
    predict(place, output, *arguments)


@examples(4)
@given(data=st.data())
def test_damaged_model_files(data, models, place):
    folder, output = place.fresh()
    write_sound(folder / "a.wav", 0.3)
    good = models("multi").read_bytes()[:60_000]
    (folder / "model.pk").write_bytes(data.draw(tampered_bytes(good)))
    jit = data.draw(st.sampled_from(((), ("--jit_load",))))
    arguments = ("--model_path", folder / "model.pk", "--input_file", folder / "a.wav", *jit)
    assert predict(place, output, *arguments)[0] == 1


@examples(10)
@given(data=st.data())
def test_results_and_tables_of_the_truth(data, place):
    folder, output = place.fresh()
    write_csv(folder / "a.csv", NAMES, ROWS)
    write_parquet(folder / "a.parquet", NAMES, ROWS)
    (folder / "csv_predict_output.csv").write_bytes(
        data.draw(tampered_text((folder / "a.csv").read_text()))
    )
    (folder / "parquet_predict_output.parquet").write_bytes(
        data.draw(tampered_bytes((folder / "a.parquet").read_bytes()))
    )
    (folder / "log_predict_output.log").write_bytes(
        data.draw(tampered_text(log_text(NAMES, ROWS, "log.wav")))
    )
    (folder / "good_predict_output.log").write_text(log_text(NAMES, ROWS, "good.wav"))
    truth = folder / "truth"
    truth.mkdir()
    for name in ("csv", "parquet", "log"):
        (truth / f"{name}.txt").write_text(RAVEN)
    table = data.draw(st.sampled_from((RAVEN, AUDACITY)))
    (truth / "good.txt").write_bytes(data.draw(tampered_text(table)))
    status, text = run(
        "evaluate",
        ["--prediction_dir", folder, "--output_dir", output, "--truth_dir", truth, "--no_report"],
        place.elsewhere,
    )
    assert status in (0, 3), text


PRESET = "lr=1e-4\nbatch_size=4\nbackbone=resnet\nsr=16000\nfmin=200\naugmentation=true\n"


@examples(25)
@given(data=st.data())
def test_presets(data, place):
    folder, output = place.fresh()
    (folder / "preset").write_bytes(data.draw(tampered_text(PRESET)))
    arguments = ["--preset", folder / "preset", "--data_dir", folder / "none"]
    status, text = run("main", [*arguments, "--model_dir", output], place.elsewhere)
    assert status in (1, 2), text


TAPES = [f"T{i}" for i in range(4)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(
        tmp_path_factory.mktemp("corpus") / "data", {"A": TAPES, "B": TAPES, "noise": TAPES}
    )


def train(place, data_dir: Path, output: Path, *further: object) -> tuple[int, str]:
    folders = [
        part
        for name in ("model", "checkpoint", "cache", "log")
        for part in (f"--{name}_dir", output / name)
    ]
    arguments = ["--data_dir", data_dir, *folders, "--summary_dir", output / "runs", *SMALL]
    arguments += ["--num_workers", 0, "--max_train_epochs", 1, *further]
    return run("main", arguments, place.elsewhere)


@examples(1)
@given(data=st.data())
def test_clips(data, corpus, place):
    folder, output = place.fresh()
    shutil.copytree(corpus, folder / "data")
    for kind, good in GOOD.items():
        path = folder / "data" / "A" / f"A-x_{kind}_2020_T9_0_1.{kind.split('-')[0]}"
        path.write_bytes(data.draw(tampered_bytes(good)))
    status, text = train(place, folder / "data", output, "--max_train_epochs", 0)
    assert status in (0, 1), text


@examples(3)
@given(data=st.data())
def test_splits(data, corpus, place):
    folder, output = place.fresh()
    shutil.copytree(corpus, folder / "data")
    clips = sorted(path.name for path in (folder / "data" / "A").glob("*.wav"))
    for name, part in (("train", clips[:2]), ("val", clips[2:3]), ("test", clips[3:])):
        text = "".join(f"{clip}\r\n" for clip in part)
        (folder / "data" / "A" / f"{name}.csv").write_bytes(data.draw(tampered_text(text)))
    train(place, folder / "data", output, "--max_train_epochs", 0)


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    """A run of one epoch, to be gone on with."""
    base = tmp_path_factory.mktemp("trained")
    shutil.copytree(corpus, base / "data")
    (base / "elsewhere").mkdir()
    place = SimpleNamespace(elsewhere=base / "elsewhere")
    status, text = train(place, base / "data", base / "out")
    assert status == 0, text
    return base


@examples(2)
@given(data=st.data())
def test_checkpoints(data, trained, place):
    _, output = place.fresh()
    shutil.copytree(trained / "out", output, dirs_exist_ok=True)
    (checkpoint,) = (output / "checkpoint").glob("*.checkpoint")
    content = torch.load(checkpoint, weights_only=True)
    torch.save(data.draw(tampered(content)), checkpoint)
    train(place, trained / "data", output, "--max_train_epochs", 2)


@examples(2)
@given(data=st.data())
def test_cached_features(data, trained, place):
    _, output = place.fresh()
    shutil.copytree(trained / "out" / "cache", output / "cache")
    for path in (output / "cache").iterdir():
        path.write_bytes(data.draw(tampered_bytes(path.read_bytes()[:3000])))
        break
    status, text = train(place, trained / "data", output, "--max_train_epochs", 0)
    assert status == 0, text


@examples(3)
@given(data=st.data())
def test_folds(data, trained, place):
    _, output = place.fresh()
    (output / "model" / "fold_0").mkdir(parents=True)
    good = {"settings": {"lr": 1e-4, "seed": 3}, "clips": {"A/a.wav": ["0123", 0]}}
    (output / "model" / "folds.json").write_text(
        json.dumps(data.draw(tampered(good)), default=repr), errors="surrogatepass"
    )
    status, text = train(place, trained / "data", output, "--folds", 2)
    assert status in (1, 2), text


@examples(3)
@given(data=st.data())
def test_studies(data, trained, place):
    pytest.importorskip("optuna")
    _, output = place.fresh()
    arguments = ["--data_dir", trained / "data", "--output_dir", output, *SMALL]
    arguments += ["--num_workers", 0, "--timeout", 1e-9]
    assert run("tune", arguments, place.elsewhere)[0] == 1
    journal = output / "study.journal"
    journal.write_bytes(data.draw(tampered_text(journal.read_text())))
    run("tune", arguments, place.elsewhere)


@examples(2)
@given(name=st.sampled_from([text for text in HOSTILE_TEXTS if text not in ("", "/")]))
def test_names_of_classes(name, place):
    folder, output = place.fresh()
    name = name.replace("/", "_")[:100]
    rng = np.random.default_rng(0)
    for kind in (name, "B", "noise"):
        (folder / kind).mkdir(exist_ok=True)
        for tape in range(3):
            path = folder / kind / f"{kind}-c_{tape}_2020_T{tape}_0_300.wav"
            samples = tone(900, 0.3, RATE) + 0.01 * rng.standard_normal(4800)
            sf.write(os.fsencode(path), samples, RATE)
    train(place, folder, output, "--max_train_epochs", 1)

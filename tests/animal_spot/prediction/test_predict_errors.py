"""predict.py: bad recordings, what cannot start, stops, kills, and starting again."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch

from animal_spot.model_files.model_file import bytes_of, save_model
from animal_spot.prediction import result_folder
from animal_spot.utils.tensor_files import save_tensors
from tests.helpers.prediction import (
    PLAIN,
    PREDICT,
    RATE,
    make_content,
    messages,
    only_error,
    predict_here,
    predict_into,
    read_log,
    reference,
    run_predict,
    sound,
    visible,
    write_sound,
)
from tests.helpers.programs import run_python

KILL = getattr(signal, "SIGKILL", None)  # Windows has none


def table(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def temporary_files(folder):
    return [name for name in os.listdir(folder) if name.endswith(".tmp")]


def logs(folder):
    return [name for name in visible(folder) if name.endswith("_predict_output.log")]


# -- bad recordings -------------------------------------------------------------------------------


def write_bad_recordings(folder):
    """Write one of each kind; return what its reason must speak of."""
    folder.mkdir()
    whole = write_sound(folder / "whole.wav", 2, subtype="PCM_16").read_bytes()
    (folder / "whole.wav").unlink()
    (folder / "empty.wav").write_bytes(b"")
    sf.write(folder / "no_samples.wav", np.empty(0, np.float32), RATE)
    (folder / "text.wav").write_text("no sound at all\n" * 100)
    (folder / "text.flac").write_text("no sound at all\n" * 100)
    (folder / "cut.wav").write_bytes(whole[: len(whole) // 2])
    (folder / "cut_in_header.wav").write_bytes(whole[:20])
    flac = write_sound(folder / "cut.flac", 5).read_bytes()
    (folder / "cut.flac").write_bytes(flac[: int(0.6 * len(flac))])
    samples = sound(1)
    samples[12000] = np.nan
    sf.write(folder / "nan.wav", samples, RATE, subtype="FLOAT")
    samples[12000] = np.inf
    sf.write(folder / "inf.wav", samples, RATE, subtype="FLOAT")
    (folder / "x.wav").mkdir()
    (folder / "gone.wav").symlink_to(folder / "nothing")
    write_sound(folder / "slow.wav", 1, rate=900)
    return {
        "empty.wav": "empty",
        "no_samples.wav": "empty",
        "text.wav": "unreadable",
        "text.flac": "unreadable",
        "cut.wav": "truncated",
        "cut_in_header.wav": "",
        "cut.flac": "",
        "nan.wav": "not a number",
        "inf.wav": "not a number",
        "x.wav": "folder",
        "gone.wav": "unreadable",
        "slow.wav": "rate",
    }


def test_bad_recordings_next_to_good_ones(models, tmp_path):
    reasons = write_bad_recordings(tmp_path / "in")
    good = [write_sound(tmp_path / "in" / f"good{i}.wav", 0.6 + 0.3 * i, i) for i in range(3)]
    output = tmp_path / "out"
    result = run_predict(
        *("--model_path", models("binary"), "--input_file", tmp_path / "in"),
        *("--output_dir", output, "--format", "log", "csv", "raven", "parquet", "audacity"),
        *("--latent_extract", *PLAIN),
    )
    assert result.returncode == 3, result.stderr
    assert "Traceback" not in result.stderr
    assert "Exception" not in result.stderr
    failed = {os.path.basename(r["file"]): r["reason"] for r in table(output / "failed_files.csv")}
    assert failed.keys() == reasons.keys()
    errors = "\n".join(messages(result.stderr, "E"))
    for name, reason in reasons.items():
        assert reason in failed[name], name
        assert failed[name]
        assert name in errors
    summary = {os.path.basename(row["file"]): row for row in table(output / "summary.csv")}
    assert {name for name, row in summary.items() if row["status"] == "failed"} == set(reasons)
    for path in good:
        assert summary[path.name]["status"] == "complete"
        log = read_log(output / f"{path.stem}_predict_output.log")
        times, probabilities = reference(path, models.content("binary"))
        assert log.times == times
        np.testing.assert_allclose(log.probabilities[:, 0], probabilities[:, 1], atol=2e-4)
    common = {"all_recordings.Table.1.selections.txt", "all_recordings.list.txt"}
    rest = set(visible(output)) - common - {"summary.csv", "failed_files.csv"}
    assert all(name.startswith("good") for name in rest), rest
    assert len(rest) == 3 * 6
    assert temporary_files(output) == []


def test_a_recording_of_which_nobody_may_read(models, tmp_path, monkeypatch):
    """Rights do not bind root, which tests may run as: opening it fails here as it would."""
    path = write_sound(tmp_path / "in" / "locked.wav", 0.5)
    write_sound(tmp_path / "in" / "open.wav", 0.5)
    import builtins

    real = builtins.open

    def refusing(file, *args, **kwargs):
        if isinstance(file, (str, os.PathLike)) and os.fspath(file) == str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return real(file, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", refusing)
    status = predict_here(
        *("--model_path", models("binary"), "--input_file", tmp_path / "in"),
        *("--output_dir", tmp_path / "out"),
    )
    assert status == 3
    (row,) = table(tmp_path / "out" / "failed_files.csv")
    assert row == {"file": str(path), "reason": "unreadable: Permission denied"}
    assert logs(tmp_path / "out") == ["open_predict_output.log"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_bad_recording_whose_name_is_not_utf8(models, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / os.fsdecode(b"b\xe9d.wav")).write_bytes(b"")
    status = predict_here(
        *("--model_path", models("binary"), "--input_file", tmp_path / "in"),
        *("--output_dir", tmp_path / "out", "--log_dir", tmp_path),
    )
    assert status == 3
    assert b"b\xe9d.wav" in (tmp_path / "out" / "failed_files.csv").read_bytes()
    # However the log spells it, the failure must not be missing there.
    assert b"d.wav: empty" in (tmp_path / "PREDICT.log").read_bytes()


def test_of_a_failed_recording_no_picture_stays(models, tmp_path):
    """Its end is found to be damaged when windows at its start have been classified."""
    samples = np.tile(sound(2), 65)  # 130 s: more than is read before windows are cut
    samples[-1] = np.nan
    sf.write(tmp_path / "late.wav", samples, RATE, subtype="FLOAT")
    status = predict_here(
        *("--model_path", models("binary"), "--input_file", tmp_path / "late.wav"),
        *("--output_dir", tmp_path / "out", "--hop", "20", "--visualize", "--batch_size", "1"),
        *("--num_workers", "0", "--latent_extract"),
    )
    assert status == 3
    assert set(visible(tmp_path / "out")) == {
        *("summary.csv", "failed_files.csv"),
        *("all_recordings.Table.1.selections.txt", "all_recordings.list.txt"),
    }


def test_all_recordings_failed(models, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.wav").write_bytes(b"")
    status = predict_here(
        *("--model_path", models("binary"), "--input_file", tmp_path / "in"),
        *("--output_dir", tmp_path / "out"),
    )
    assert status == 3
    assert len(table(tmp_path / "out" / "failed_files.csv")) == 1


def test_bad_recordings_without_an_output_folder(models, tmp_path, capsys):
    (tmp_path / "a.wav").write_bytes(b"")
    write_sound(tmp_path / "b.wav", 0.3)
    status = predict_here("--model_path", models("binary"), "--input_file", tmp_path)
    assert status == 3
    shown = capsys.readouterr().err
    assert any("a.wav" in line and "empty" in line for line in messages(shown, "E"))
    assert "time=0.0-0.25" in shown


@pytest.mark.parametrize("rate", [1000, 2000], ids=["just-too-low", "above-the-lowest"])
def test_a_rate_below_the_highest_frequency_is_only_mentioned(rate, models, tmp_path, capsys):
    path = write_sound(tmp_path / "a.wav", 1, rate=rate)
    status = predict_here(
        *("--model_path", models("binary"), "--input_file", path, "--output_dir", tmp_path / "out")
    )
    if rate == 1000:  # fmin is 500 Hz: nothing of the band is there
        assert status == 3
    else:
        assert status == 0
        (warning,) = messages(capsys.readouterr().err, "W")
        assert "2000 Hz" in warning


def test_embedding_model_without_use_is_mentioned(models, tmp_path, capsys):
    path = write_sound(tmp_path / "a.wav", 1)
    arguments = ("--input_file", path, "--output_dir", tmp_path / "out")
    options = ("--embedding_model", tmp_path / "some.tflite")
    assert predict_here("--model_path", models("binary"), *arguments, *options) == 0
    (warning,) = messages(capsys.readouterr().err, "W")
    assert "--embedding_model is not used" in warning


# -- what cannot start ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory, models):
    """A recording, an empty folder, and model files of other kinds."""
    folder = tmp_path_factory.mktemp("place")
    write_sound(folder / "a.wav", 0.5)
    (folder / "empty").mkdir()
    (folder / "file").write_text("in the way")
    (folder / "text.pk").write_text("no model")
    (folder / "cut.pk").write_bytes(models("binary").read_bytes()[:100_000])
    save_tensors({"weights": torch.zeros(3)}, folder / "tensors.pk")
    (folder / "jit.pt").write_bytes(bytes_of(models.content("binary"), torchscript=True))
    other = make_content({"noise": 0, "whale": 1})
    save_model(other, folder / "whale.pk")
    save_tensors({"modelState": {"x": torch.zeros(1)}}, folder / "x.checkpoint")
    save_tensors({"other": 1}, folder / "y.checkpoint")
    shutil.copy(models("binary"), folder / "binary.pk")
    return folder


MODEL, INPUT, OUTPUT = "--model_path", "--input_file", "--output_dir"
CANNOT_START = [
    pytest.param([INPUT, "a.wav"], "--model_path", id="no-model"),
    pytest.param([MODEL, "none.pk", INPUT, "a.wav"], "none.pk", id="missing-model"),
    pytest.param([MODEL, "empty", INPUT, "a.wav"], "empty", id="model-is-a-folder"),
    pytest.param([MODEL, "text.pk", INPUT, "a.wav"], "text.pk", id="model-is-text"),
    pytest.param([MODEL, "cut.pk", INPUT, "a.wav"], "cut.pk", id="model-is-cut"),
    pytest.param([MODEL, "tensors.pk", INPUT, "a.wav"], "tensors.pk", id="other-content"),
    pytest.param([MODEL, "jit.pt", INPUT, "a.wav"], "jit.pt", id="torchscript-without-the-flag"),
    pytest.param(
        [MODEL, "binary.pk", INPUT, "a.wav", "--jit_load"], "--jit_load", id="no-torchscript"
    ),
    pytest.param([MODEL, "binary.pk"], "--input_file", id="no-input"),
    pytest.param([MODEL, "binary.pk", INPUT, "empty"], "no sound file", id="empty-folder"),
    pytest.param([MODEL, "binary.pk", INPUT, "b.wav"], "b.wav", id="wrong-path"),
    pytest.param([MODEL, "binary.pk", INPUT, "b.txt"], "b.txt", id="wrong-list"),
    pytest.param(
        [MODEL, "binary.pk", INPUT, "a.wav", OUTPUT, "file/below"], "file", id="output-in-a-file"
    ),
    pytest.param(
        [MODEL, "binary.pk", INPUT, "a.wav", "--log_dir", "file"], "log folder", id="log-is-a-file"
    ),
    pytest.param(
        [MODEL, "binary.pk", "whale.pk", INPUT, "a.wav"], "whale", id="ensemble-of-other-classes"
    ),
    pytest.param(
        [MODEL, "binary.pk", INPUT, "a.wav", "--checkpoint_path", "x.checkpoint"],
        "x.checkpoint",
        id="checkpoint-of-another-network",
    ),
    pytest.param(
        [MODEL, "binary.pk", INPUT, "a.wav", "--checkpoint_path", "y.checkpoint"],
        "y.checkpoint",
        id="no-checkpoint",
    ),
    pytest.param(
        [MODEL, "binary.pk", INPUT, "a.wav", "--checkpoint_path", "none"], "none", id="gone"
    ),
    pytest.param(
        [MODEL, "binary.pk", INPUT, "a.wav", "--sequence_len", "0.01", "--override_model"],
        "--sequence_len",
        id="window-shorter-than-a-spectrum",
    ),
    pytest.param(
        [MODEL, "binary.pk", INPUT, "a.wav", "--engine", "onnxruntime", "--precision", "bf16"],
        "fp32 only",
        id="onnxruntime-bf16",
    ),
    pytest.param(
        [MODEL, "binary.pk", INPUT, "a.wav", "--precision", "fp16"], "fp16", id="fp16-on-the-cpu"
    ),
    pytest.param(
        [MODEL, "binary.pk", INPUT, "a.wav", "--engine", "openvino", "--precision", "fp16"],
        "fp16",
        id="openvino-fp16",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), CANNOT_START)
def test_what_cannot_start_is_one_line(arguments, message, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    before = sorted(os.listdir(place))
    if OUTPUT not in arguments:
        arguments = [*arguments, OUTPUT, "results"]
    assert predict_here(*arguments, plain=False) == 1
    assert message in only_error(capsys.readouterr().err)
    results = place / "results"
    # The folder is made, to see that it can be, but a run that does not start leaves no tables
    # there: they would replace those of a run before it.
    left = visible(results) if results.exists() else []
    shutil.rmtree(results, ignore_errors=True)
    assert left == []
    assert sorted(os.listdir(place)) == before


@pytest.mark.parametrize("model", ["none.pk", "jit.pt"], ids=["missing", "torchscript"])
def test_a_process_that_cannot_start_says_so_in_one_line(model, place):
    result = run_predict(MODEL, model, INPUT, "a.wav", cwd=place)
    assert result.returncode == 1
    assert model in only_error(result.stderr)
    assert result.stdout == ""


@pytest.mark.skipif(os.name == "nt", reason="file-size limits are a Unix thing")
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(models, tmp_path):
    """A file-size limit stands for the full disk: writing past it fails as there."""
    write_sound(tmp_path / "in" / "a.wav", 0.5)
    write_sound(tmp_path / "in" / "b.wav", 40)  # its log is longer than the limit
    script = (
        "import resource, signal, runpy, sys;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2**13, 2**13));"
        "sys.argv = sys.argv[1:];"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    result = run_python(
        *("-c", script, PREDICT, MODEL, models("binary"), INPUT, tmp_path / "in"),
        *(OUTPUT, tmp_path / "out", *PLAIN),
    )
    assert result.returncode == 1, result.stderr
    assert only_error(result.stderr).endswith(f": {tmp_path / 'out' / 'b_predict_output.log'}")
    assert logs(tmp_path / "out") == ["a_predict_output.log"]
    assert temporary_files(tmp_path / "out") == []


# -- starting again -------------------------------------------------------------------------------


@pytest.fixture
def finished(models, tmp_path):
    """A finished run over three recordings; return its folder and a way to start again."""
    for i in range(3):
        write_sound(tmp_path / "in" / f"r{i}.wav", 0.5 + 0.1 * i, i)

    def again(*options, model="binary", status=0):
        found = predict_here(
            *("--model_path", models(model), "--input_file", tmp_path / "in"),
            *("--output_dir", tmp_path / "out", "--format", "log", "csv", *options),
        )
        assert found == status
        return {row["file"].rsplit("/")[-1]: row for row in table(tmp_path / "out/summary.csv")}

    assert {row["status"] for row in again().values()} == {"complete"}
    return tmp_path, again


def states(folder):
    """Return when each result of a recording was written."""
    return {
        name: os.stat(folder / name).st_mtime_ns
        for name in visible(folder)
        if "_predict_output" in name
    }


def rewritten(before, folder):
    now = states(folder)
    return sorted({name.split("_")[0] for name in now if before.get(name) != now[name]})


def test_a_second_start_does_no_work(finished, capsys):
    folder, again = finished
    before, rows = states(folder / "out"), table(folder / "out" / "summary.csv")
    combined = (folder / "out" / "all_recordings.Table.1.selections.txt").read_bytes()
    found = again()
    assert rewritten(before, folder / "out") == []
    assert "3 recordings are complete" in capsys.readouterr().err
    for old in rows:
        new = found[old["file"].rsplit("/")[-1]]
        assert "complete" in new.pop("status")
        old.pop("status")
        assert new == old, "the summary of a skipped recording differs"
    assert (folder / "out" / "all_recordings.Table.1.selections.txt").read_bytes() == combined


def test_a_touched_recording_is_left_and_a_changed_one_predicted(finished):
    folder, again = finished
    before = states(folder / "out")
    os.utime(folder / "in" / "r0.wav", (10**9, 10**9))
    size = os.path.getsize(folder / "in" / "r1.wav")
    write_sound(folder / "in" / "r1.wav", 0.6, 9)
    assert os.path.getsize(folder / "in" / "r1.wav") == size
    again()
    assert rewritten(before, folder / "out") == ["r1"]


def test_a_deleted_result_is_made_again(finished):
    folder, again = finished
    before = states(folder / "out")
    (folder / "out" / "r2_predict_output.csv").unlink()
    again()
    assert rewritten(before, folder / "out") == ["r2"]
    assert (folder / "out" / "r2_predict_output.csv").exists()


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["--no_resume"], id="no_resume"),
        pytest.param(["--threshold", "0.7"], id="threshold"),
        pytest.param(["--hop", "0.1"], id="hop"),
        pytest.param(["--format", "raven"], id="format"),
        pytest.param(["--last_window"], id="last_window"),
        pytest.param(["--min_max_norm", "--override_model"], id="normalisation"),
        pytest.param(["-d"], id="debug"),
    ],
)
def test_other_settings_are_another_run(options, finished):
    folder, again = finished
    before = states(folder / "out")
    assert {row["status"] for row in again(*options).values()} == {"complete"}
    assert rewritten(before, folder / "out") == ["r0", "r1", "r2"]


def test_what_cannot_begin_leaves_the_tables_of_an_earlier_run(finished, capsys):
    folder, again = finished
    names = [n for n in visible(folder / "out") if n.startswith(("all_", "summary", "failed"))]
    before = {name: (folder / "out" / name).read_bytes() for name in names}
    again("--threshold", "0.7", "--ray", "127.0.0.1:9", status=1)  # nobody listens there
    assert "--ray" in capsys.readouterr().err
    assert {name: (folder / "out" / name).read_bytes() for name in names} == before


def test_another_model_is_another_run(finished):
    folder, again = finished
    before = states(folder / "out")
    again(model="min-max")
    assert rewritten(before, folder / "out") == ["r0", "r1", "r2"]


@pytest.mark.parametrize("options", [["--num_workers", "1"], ["--batch_size", "2"]])
def test_settings_without_effect_on_results_are_the_same_run(options, finished):
    folder, again = finished
    before = states(folder / "out")
    again(*options)
    assert rewritten(before, folder / "out") == []


def test_a_torn_journal_costs_one_recording(finished):
    folder, again = finished
    before = states(folder / "out")
    journals = [p for p in (folder / "out").iterdir() if p.suffix == ".jsonl"]
    (journal,) = journals
    content = journal.read_bytes()
    journal.write_bytes(content[: content.rindex(b'"n_windows"')])
    again()
    assert len(rewritten(before, folder / "out")) == 1


def test_a_recording_that_fails_now_and_is_repaired_later(finished):
    folder, again = finished
    good = (folder / "in" / "r1.wav").read_bytes()
    (folder / "in" / "r1.wav").write_bytes(good[:100])
    rows = again(status=3)
    assert rows["r1.wav"]["status"] == "failed"
    assert "complete" in rows["r0.wav"]["status"]
    (folder / "in" / "r1.wav").write_bytes(good)
    again()
    assert table(folder / "out" / "failed_files.csv") == []


def test_a_recording_that_grows_while_it_is_predicted_is_predicted_again(
    finished, monkeypatch, models
):
    """A recorder may still write to it: complete is what was read, not what is there later."""
    folder, again = finished
    path = folder / "in" / "r1.wav"
    real = result_folder.ResultFolder.write

    def write(self, outcome, stem):
        if outcome.path == path:
            write_sound(path, 1.5, 1)
        return real(self, outcome, stem)

    monkeypatch.setattr(result_folder.ResultFolder, "write", write)
    again("--no_resume")
    monkeypatch.undo()
    again()
    log = read_log(folder / "out" / "r1_predict_output.log")
    times, _ = reference(path, models.content("binary"))
    assert log.times == times, "the results are of what the file was before"


# -- stops and kills ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many(tmp_path_factory, models):
    """Recordings that take some tenths of a second each, and their results without a break."""
    folder = tmp_path_factory.mktemp("many")
    for i in range(24):
        write_sound(folder / "in" / f"r{i:02d}.wav", 2, i)
    arguments = [
        *("--model_path", str(models("binary")), "--input_file", str(folder / "in")),
        *("--hop", "0.04", "--num_workers", "1", *PLAIN),  # 44 windows each
    ]
    from animal_spot import predict

    assert predict.main([*arguments, "--output_dir", str(folder / "whole")]) == 0
    return folder, arguments


def start_and_wait(arguments, output, n_logs=1):
    """Start a process and wait for its first results."""
    process = subprocess.Popen(
        [sys.executable, str(PREDICT), *arguments, "--output_dir", str(output)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    deadline = time.monotonic() + 90
    while not (output.is_dir() and len(logs(output)) >= n_logs):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


def assert_only_whole_results(output, whole):
    """Every log that can be seen is that of an unbroken run.

    A batch may hold windows of two recordings, and others after a break: last digits differ.
    """
    found = logs(output)
    for name in found:
        log, wanted = read_log(output / name), read_log(whole / name)
        assert log.header == wanted.header
        assert log.times == wanted.times, f"{name} is not whole"
        np.testing.assert_allclose(log.probabilities, wanted.probabilities, rtol=0, atol=1e-5)
    return found


def finish_and_compare(arguments, output, whole, kept):
    from animal_spot import predict

    assert predict.main([*arguments, "--output_dir", str(output)]) == 0
    assert logs(output) == logs(whole)
    assert_only_whole_results(output, whole)
    for name, state in kept.items():
        assert os.stat(output / name).st_mtime_ns == state, f"{name} was made again"
    for name in ("all_recordings.list.txt", "failed_files.csv"):
        assert (output / name).read_bytes() == (whole / name).read_bytes()
    name = "all_recordings.Table.1.selections.txt"
    found, wanted = (pd.read_csv(folder / name, sep="\t") for folder in (output, whole))
    pd.testing.assert_frame_equal(found, wanted, rtol=0, atol=1.1e-4)  # the score has 4 decimals
    assert temporary_files(output) == []
    assert {row["status"].split()[0] for row in table(output / "summary.csv")} == {"complete"}


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals are a Unix thing")
@pytest.mark.parametrize(
    ("number", "status"),
    [
        pytest.param(KILL, -9, id="kill-9"),
        pytest.param(signal.SIGINT, 130, id="ctrl-c"),
        pytest.param(signal.SIGTERM, 143, id="sigterm"),
    ],
)
def test_a_stopped_run_goes_on_where_it_was(number, status, many, tmp_path, capsys):
    folder, arguments = many
    output = tmp_path / "out"
    process = start_and_wait(arguments, output, 3)
    try:
        if number == signal.SIGTERM:  # a second process finds the folder taken
            from animal_spot import predict

            process.send_signal(signal.SIGSTOP)
            capsys.readouterr()
            assert predict.main([*arguments, "--output_dir", str(output)]) == 1
            assert "another process" in only_error(capsys.readouterr().err)
            process.send_signal(signal.SIGCONT)
        process.send_signal(number)
        _, shown = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == status, shown
    assert "Traceback" not in shown
    found = assert_only_whole_results(output, folder / "whole")
    assert 3 <= len(found) < 24, "it was stopped too late to show anything"
    if number != KILL:
        assert any("stopped by" in line for line in messages(shown, "W"))
        assert temporary_files(output) == []
        rows = table(output / "summary.csv")
        done = [row for row in rows if row["status"] == "complete"]
        assert len(done) == len(found)
        assert len(rows) == 24
    # The log of the recording in hand may be there without its note in the journal.
    kept = {name: os.stat(output / name).st_mtime_ns for name in found}
    if number == KILL:
        kept.pop(max(kept, key=kept.get))
    if number != signal.SIGTERM:  # handled as Ctrl-C is
        finish_and_compare(arguments, output, folder / "whole", kept)


def test_what_a_kill_may_leave_is_removed(models, tmp_path):
    output = tmp_path / "out"
    output.mkdir()
    (output / ".a_predict_output.log.99999999.0123abcd.tmp").write_text("half")
    (output / "mine.tmp").write_text("not ours")
    path = write_sound(tmp_path / "a.wav", 0.3)
    predict_into(models("binary"), path, output)
    assert temporary_files(output) == ["mine.tmp"]

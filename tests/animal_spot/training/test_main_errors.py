"""main.py: one clear line and a non-zero status for what cannot work."""

import os
import re
import shlex
import shutil
import subprocess

import pytest
import torch

from tests.helpers.clips import make_corpus
from tests.helpers.programs import run_python
from tests.helpers.training import MAIN, RESNET, SMALL, TAPES, folders, main_here, run_main, train


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(
        tmp_path_factory.mktemp("corpus") / "data", {"A": TAPES, "B": TAPES, "C": TAPES[:3]}
    )


def one_error(result) -> str:
    """Return the only error line of a failed run."""
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    (line,) = re.findall(r"^\d\d:\d\d:\d\d\|E\|(.*)$", result.stderr, re.MULTILINE)
    assert result.stderr.rstrip().endswith(line)
    return line


def test_missing_data_folder(tmp_path):
    line = one_error(main_here("--data_dir", str(tmp_path / "none"), *folders(tmp_path)))
    assert str(tmp_path / "none") in line
    assert "does not exist" in line


def test_data_folder_not_given(tmp_path):
    assert "--data_dir is needed" in one_error(main_here(*folders(tmp_path)))


def test_with_nothing_but_the_network_all_that_is_missing_is_said_and_a_corpus_offered(
    tmp_path, monkeypatch
):
    """What is offered is typed, and then the command runs as far as the first epoch."""
    monkeypatch.chdir(tmp_path)
    line = one_error(main_here("--backbone", "resnet"))
    assert "--data_dir is needed" in line
    assert "--model_dir is needed" in line
    command = re.search(r"type (.* --output_dir demo/data) and then", line)[1]
    flags = re.search(r"again with (.*)$", line)[1].split()
    subprocess.run(
        [*shlex.split(command), "--clips", "8"], check=True, timeout=120, capture_output=True
    )
    result = main_here("--backbone", "resnet", *flags, "--max_train_epochs", "0", *SMALL)
    assert result.returncode == 0, result.stderr


def test_model_folder_not_given(corpus):
    assert "--model_dir is needed" in one_error(main_here("--data_dir", str(corpus)))


def test_no_clip(tmp_path):
    (tmp_path / "data").mkdir()
    line = one_error(main_here("--data_dir", str(tmp_path / "data"), *folders(tmp_path / "r")))
    assert "no sound file was found" in line


def test_no_usable_clip(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "A-x_1_2020_T_0_1.wav").write_text("text")
    line = one_error(main_here("--data_dir", str(tmp_path / "data"), *folders(tmp_path / "r")))
    assert "no clip is usable" in line
    assert "A-x_1_2020_T_0_1.wav (unreadable" in line


def test_class_count_mismatch(corpus, tmp_path):
    line = one_error(
        main_here("--data_dir", str(corpus), *folders(tmp_path), "--num_classes", "13")
    )
    assert "13" in line
    assert "3 classes were found: A, B, C" in line


def test_two_classes_without_target(tmp_path):
    data = make_corpus(tmp_path / "data", {"Target": TAPES, "noise": TAPES})
    line = one_error(main_here("--data_dir", str(data), *folders(tmp_path)))
    assert "'target'" in line


def test_class_without_training_clip(tmp_path):
    data = make_corpus(tmp_path / "data", {"A": TAPES, "B": TAPES, "C": TAPES})
    train(data, tmp_path / "first", *SMALL, "--max_train_epochs", "0")
    (data / "C" / "train.csv").write_text("")
    line = one_error(main_here("--data_dir", str(data), *folders(tmp_path / "second"), *SMALL))
    assert "no usable training clip of class C" in line


def test_strict_split_names_the_leaking_tape(tmp_path):
    data = make_corpus(tmp_path / "data", {"A": TAPES, "B": TAPES, "C": TAPES})
    arguments = ("--data_dir", str(data), *SMALL, "--max_train_epochs", "0")
    assert main_here(*arguments, *folders(tmp_path / "first")).returncode == 0
    moved = (data / "A" / "train.csv").read_text().splitlines()[0]
    with open(data / "A" / "test.csv", "a", newline="") as file:
        file.write(f"{moved}\r\n")
    tape = re.search(r"_(\d{4}_T\d+)_", moved)[1]
    warned = main_here(*arguments, *folders(tmp_path / "second"))
    assert warned.returncode == 0
    assert re.search(rf"\|W\|.*leaks.*{tape} \(train, test\)", warned.stderr)
    line = one_error(main_here(*arguments, *folders(tmp_path / "third"), "--strict_split"))
    assert tape in line


@pytest.mark.parametrize("kind", ["model", "checkpoint", "log", "summary", "cache"])
def test_unusable_output_folder_is_found_before_training(corpus, tmp_path, kind):
    (tmp_path / "file").write_text("in the way")
    arguments = folders(tmp_path)
    arguments[arguments.index(f"--{kind}_dir") + 1] = str(tmp_path / "file" / "below")
    line = one_error(main_here("--data_dir", str(corpus), *arguments, *SMALL))
    assert f"the {kind} folder" in line
    assert str(tmp_path / "file") in line


def test_not_a_number_is_named_and_the_last_checkpoint_kept(corpus, tmp_path):
    data = shutil.copytree(corpus, tmp_path / "data")
    arguments = ("--data_dir", str(data), *folders(tmp_path), *SMALL)
    first = main_here(*arguments, "--max_train_epochs", "1")
    assert first.returncode == 0, first.stderr
    (checkpoint,) = (tmp_path / "checkpoint").iterdir()
    content = torch.load(checkpoint, weights_only=True)
    for group in content["trainState"]["optState"]["param_groups"]:
        group["lr"] = 1e30
    torch.save(content, checkpoint)
    kept = checkpoint.read_bytes()
    line = one_error(main_here(*arguments, "--max_train_epochs", "9"))
    assert "not a number" in line
    assert "--lr" in line
    assert checkpoint.read_bytes() == kept
    assert [p.name for p in (tmp_path / "checkpoint").iterdir()] == [checkpoint.name]


def test_pretrained_weights_that_are_missing(corpus, tmp_path):
    line = one_error(
        main_here(
            *("--data_dir", str(corpus), *folders(tmp_path), *SMALL, "--backbone", "convnext"),
            *("--pretrained", "--pretrained_weights", str(tmp_path / "none.pth")),
        )
    )
    assert "--pretrained_weights" in line
    assert "none.pth" in line


@pytest.mark.parametrize("backbone", ["convnext", "resnet"])
def test_failed_download_says_what_to_fetch(corpus, tmp_path, backbone, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    flags = (*folders(tmp_path), *SMALL, "--backbone", backbone, "--pretrained")
    result = main_here("--data_dir", str(corpus), *flags)
    line = one_error(result)
    assert "https://download.pytorch.org/models/" in line
    assert "--pretrained_weights" in line
    assert not (tmp_path / "model" / "ANIMAL-SPOT.pk").exists()


def test_checkpoint_of_another_network(corpus, tmp_path):
    data = shutil.copytree(corpus, tmp_path / "data")
    arguments = (
        "--data_dir",
        str(data),
        *folders(tmp_path),
        *SMALL,
        *RESNET,
        "--max_train_epochs",
        "1",
    )
    assert main_here(*arguments).returncode == 0
    line = one_error(main_here(*arguments, "--resnet", "34"))
    assert "--resnet was 18, now 34" in line
    assert "--start_from_scratch" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--epochs_per_eval", "0"], "--epochs_per_eval", id="no-validation"),
        pytest.param(["--max_pool", "3"], "--max_pool", id="unknown-pooling"),
        pytest.param(["--resnet", "20"], "--resnet", id="unknown-depth"),
        pytest.param(["--conv_kernel_size"], "--conv_kernel_size", id="no-kernel-size"),
        pytest.param(["--freq_compression", "bark"], "freq_compression", id="unknown-scale"),
        pytest.param(["--fmin", "9000", "--fmax", "800"], "fmin", id="empty-band"),
        pytest.param(["--precision", "fp8"], "--precision", id="unknown-precision"),
        pytest.param(["--nonsense"], "--nonsense", id="unknown-flag"),
    ],
)
def test_bad_setting_is_a_usage_error(arguments, message):
    result = main_here("--data_dir", "x", "--model_dir", "y", *arguments)
    assert result.returncode == 2
    assert message in result.stderr.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="file-size limits are a Unix thing")
def test_full_disk_is_named_and_nothing_half_written_stays(corpus, tmp_path):
    """A file-size limit stands for the full disk: writing past it fails as there."""
    data = shutil.copytree(corpus, tmp_path / "data")
    command = [MAIN, "--data_dir", str(data), *folders(tmp_path), *SMALL]
    script = (
        "import resource, signal, runpy, sys;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20));"
        "sys.argv = sys.argv[1:];"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    result = run_python("-c", script, *command, "--max_train_epochs", "1")
    line = one_error(result)
    assert "cannot write" in line
    assert "epoch_00000.checkpoint" in line
    assert not list((tmp_path / "checkpoint").iterdir())


def test_a_log_that_is_a_link_is_one_line(corpus, tmp_path):
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "TRAIN.log").symlink_to("/dev/full")
    arguments = ("--data_dir", str(corpus), *folders(tmp_path), "--num_classes", "13")
    assert "TRAIN.log is a symbolic link" in one_error(main_here(*arguments))


@pytest.mark.slow
def test_names_that_are_not_utf8_are_trained_on(tmp_path):
    data = make_corpus(tmp_path / "data", {"A": TAPES, "B": TAPES, "C": TAPES})
    for path in (data / "A").iterdir():
        os.rename(path, os.fsencode(path).replace(b"A-call", b"A-r\xe9union"))
    options = (*SMALL, "--max_train_epochs", "1", "--augmentation")
    result = run_main("--data_dir", str(data), *folders(tmp_path), *options)
    assert result.returncode == 0, result.stderr
    assert "are left out" not in train(data, tmp_path, *options)


def test_leftover_of_a_killed_write_is_removed(corpus, tmp_path):
    (tmp_path / "checkpoint").mkdir()
    name = ".multi_class_3_classifier_epoch_00004.checkpoint.123.abcd.tmp"
    (tmp_path / "checkpoint" / name).write_bytes(b"half")
    data = shutil.copytree(corpus, tmp_path / "data")
    arguments = ("--data_dir", str(data), *folders(tmp_path), *SMALL, "--max_train_epochs", "0")
    assert main_here(*arguments).returncode == 0
    assert not (tmp_path / "checkpoint" / name).exists()

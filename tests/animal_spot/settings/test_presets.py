import json
from pathlib import Path

import pytest

from animal_spot.settings.presets import FOLDER, PresetError, preset_text, read_preset
from animal_spot.training.config import (
    TrainConfig,
    as_dict,
    build_parser,
    parse_config,
    preset_line,
)
from tests.helpers.clips import make_corpus
from tests.helpers.places import ROOT
from tests.helpers.programs import run_python
from tests.helpers.training import SMALL, TAPES, train

# What the training scripts said before there were presets.
SIGNAL = (
    "--sr 44100 --sequence_len 500 --n_fft 1024 --hop_length 172 --n_freq_bins 256 "
    "--freq_compression linear --fmin 500 --fmax 10000 --min_max_norm --filter_broken_audio"
)
BEFORE = {
    "published_resnet18": "--max_train_epochs 150 --augmentation --backbone resnet --resnet 18 "
    "--batch_size 8 --lr 5e-6 --beta1 0.5 --lr_patience_epochs 8 --lr_decay_factor 0.5 "
    f"--epochs_per_eval 2 --early_stopping_patience_epochs 20 {SIGNAL}",
    "published_convnext": "--max_train_epochs 150 --augmentation --backbone convnext "
    "--batch_size 8 --lr 1e-6 --beta1 0.9 --lr_patience_epochs 10 --lr_decay_factor 0.5 "
    f"--epochs_per_eval 2 --early_stopping_patience_epochs 20 {SIGNAL}",
}


@pytest.fixture
def preset(tmp_path):
    def write(text: str) -> str:
        path = tmp_path / "my preset"
        path.write_text(text)
        return str(path)

    return write


def settings(*argv: str) -> dict:
    return {k: v for k, v in as_dict(parse_config(list(argv))).items() if k != "preset"}


def test_shipped_presets_are_all_understood():
    names = sorted(p.name for p in FOLDER.iterdir())
    assert names == [
        *("demo", "few_clips", "from_scratch", "published_convnext", "published_resnet18"),
        "recommended",
    ]
    for name in names:
        assert settings("--preset", name) != settings()


@pytest.mark.parametrize("name", BEFORE)
def test_published_presets_are_the_published_settings(name):
    assert settings("--preset", name) == settings(*BEFORE[name].split())


def test_flags_win_over_a_preset_wherever_they_stand(preset):
    file = preset("lr=1e-3\n# a comment\nbatch_size=32\naugmentation=true\npitch_range=0.9 1.1\n")
    assert settings("--preset", file) == settings(
        *("--lr", "1e-3", "--batch_size", "32", "--augmentation", "--pitch_range", "0.9", "1.1")
    )
    for argv in (["--lr", "1", "--preset", file], ["--preset", file, "--learning_rate", "1"]):
        config = parse_config(argv)
        assert (config.lr, config.batch_size) == (1.0, 32)
    # A flag that says what the default is wins too.
    assert parse_config(["--preset", file, "--batch_size", "1"]).batch_size == 1


def test_switch_of_a_preset_can_be_taken_away(preset):
    file = preset("augmentation=true\nmin_max_norm=true\nno_cuda=true\ntime_shift=false\n")
    config = parse_config(["--preset", file, "--no_augmentation"])
    assert (config.augmentation, config.min_max_norm) == (False, True)
    assert (config.cuda, config.time_shift) == (False, False)


def test_former_name_of_a_preset_is_understood_and_not_listed(preset):
    wanted = settings("--preset", "recommended")
    assert settings("--preset", "transfer") == settings("--preset", preset("preset=transfer"))
    assert settings("--preset", "transfer") == wanted
    said = preset_line(parse_config(["--preset", "transfer"]))
    assert said == f"preset {FOLDER / 'recommended'}, as transfer is called now"
    with pytest.raises(PresetError) as error:
        read_preset("none", build_parser())
    assert "transfer" not in str(error.value)


def test_negative_switches_neither_show_nor_take_part_in_abbreviations():
    assert "--no_augmentation" not in build_parser().format_help()
    assert parse_config(["--no_c"]).cuda is False
    with pytest.raises(SystemExit):
        parse_config(["--no_augm"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "lr=1e-3\nlabel_smothing=0.1\n",
            r"my preset, line 2: there is no setting label_smothing; did you mean label_smoothing",
            id="unknown-key",
        ),
        pytest.param("xyzzy=1", r"line 1: there is no setting xyzzy$", id="nothing-like-it"),
        pytest.param("\n\nlr=fast\n", r"line 3: .*--lr.*invalid float value: 'fast'", id="number"),
        pytest.param("optimizer=sgd", r"line 1: .*invalid choice: 'sgd'", id="choice"),
        pytest.param("augmentation=1", r"line 1: unrecognized arguments: 1", id="switch"),
        pytest.param("pitch_range=1", r"line 1: .*expected 2 arguments", id="too-few"),
        pytest.param("lr 1e-3", r"line 1: 'lr 1e-3' is not of the form key=value", id="no-equals"),
        pytest.param(
            "preset=recomended",
            r"my preset, line 1: there is no preset .* recomended; .*; did you mean recommended",
            id="no-base",
        ),
        pytest.param("preset=", r"line 1: preset= names none", id="empty-base"),
        pytest.param(
            "preset=recommended\npreset=few_clips", r"line 2: .* build on one other", id="two-bases"
        ),
        pytest.param("data_dir=/*USER-SPECIFIC*/", r"line 1: put your own", id="placeholder"),
    ],
)
def test_bad_line_is_named_with_file_and_number(preset, text, message):
    with pytest.raises(PresetError, match=message):
        read_preset(preset(text), build_parser())


def test_preset_builds_on_another(preset):
    own = preset(
        "lr=1e-3\npretrained=false\nno_freeze_batch_norm=true\nfreeze_epochs=false\n"
        "preset=recommended\nno_augmentation=false\n"
    )
    wanted = settings(
        *("--preset", "recommended", "--lr", "1e-3", "--freeze_epochs", "0"),
        *("--no_pretrained", "--no_freeze_batch_norm"),
    )
    assert settings("--preset", own) == wanted
    assert wanted["augmentation"]
    assert wanted["pitch_range"] == settings("--preset", "recommended")["pitch_range"]
    # A preset that builds on that one, named as in a shell, from the folder of the file.
    again = Path(own).with_name("again")
    again.write_text('batch_size=2\npreset="my preset"\n')
    assert settings("--preset", str(again)) == wanted | {"batch_size": 2}


def test_preset_that_builds_on_itself(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text(f"lr=1\npreset={two}\n")
    two.write_text(f"preset={tmp_path}/../{tmp_path.name}/one\n")
    with pytest.raises(PresetError, match=r"two, line 1: the preset .*one builds on this one"):
        read_preset(str(one), build_parser())


def test_preset_that_is_not_there(capsys, tmp_path):
    with pytest.raises(SystemExit) as end:
        parse_config(["--preset", "recomended"])
    assert end.value.code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "there is no preset and no file recomended" in said
    assert "did you mean recommended?" in said


def test_values_that_do_not_go_together_are_refused_as_flags_are(preset, capsys):
    with pytest.raises(SystemExit):
        parse_config(["--preset", preset("weight_decay=0.1\n")])
    assert "--weight_decay needs --optimizer adamw" in capsys.readouterr().err


def test_written_preset_is_read_back(preset):
    config = parse_config(
        [
            *("--lr", "3e-4", "--augmentation", "--pitch_range", "0.8", "1.2"),
            *("--ema_decay", "0.99", "--resnet", "34"),
        ]
    )
    text = preset_text(as_dict(config), build_parser(), "Two\nlines")
    assert text.startswith("# Two\n# lines\n")
    expected = {k: v for k, v in as_dict(config).items() if k != "preset"}
    assert json.dumps(settings("--preset", preset(text))) == json.dumps(expected)


def test_line_of_the_log_names_what_flags_changed():
    config = parse_config(["--preset", "recommended", "--lr", "1e-3", "--no_filter_broken_audio"])
    line = preset_line(config)
    assert line.startswith(f"preset {FOLDER / 'recommended'}; changed by flags: ")
    assert "lr 0.001 instead of 0.0002" in line
    assert "filter_broken_audio False instead of True" in line
    assert "batch_size" not in line
    assert preset_line(parse_config(["--preset", "recommended"])) == (
        f"preset {FOLDER / 'recommended'}"
    )
    assert preset_line(TrainConfig()) is None


@pytest.mark.slow
def test_run_says_its_preset_and_keeps_the_settings(tmp_path, preset):
    data = make_corpus(tmp_path / "data", {"A": TAPES[:6], "B": TAPES[:6], "C": TAPES[:6]})
    file = preset("label_smoothing=0.1\nmax_train_epochs=7\nlr=1e-2\n")
    said = train(data, tmp_path / "run", *SMALL, "--preset", file, "--max_train_epochs", "1")
    assert f"preset {file}; changed by flags: max_train_epochs 1 instead of 7" in said
    kept = json.loads((tmp_path / "run" / "model" / "results.json").read_text())["settings"]
    assert kept["preset"] == file
    assert (kept["label_smoothing"], kept["max_train_epochs"], kept["lr"]) == (0.1, 1, 1e-4)


def test_config_file_takes_a_preset(tmp_path):
    config = tmp_path / "config"
    config.write_text(
        f"preset=published_resnet18\nno_augmentation=true\ndata_dir={tmp_path}/none\n"
        f"model_dir={tmp_path}/model\n"
    )
    result = run_python(ROOT / "TRAINING" / "start_training.py", config)
    assert result.returncode == 1
    assert "the data folder" in result.stderr.splitlines()[-1]
    assert "--preset published_resnet18 --no_augmentation" in result.stderr

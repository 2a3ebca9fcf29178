"""What people edited stays, and no planted journal or link is obeyed."""

import contextlib
import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from animal_spot import evaluate
from animal_spot.detections.journal import FILE_NAME, Journal
from animal_spot.detections.result_writers import SUFFIXES
from animal_spot.evaluation import run as evaluation_run
from tests.helpers.prediction import predict_here, visible, write_sound
from tests.helpers.results import log_text

TABLE = "r1.Table.1.selections.txt"
COMBINED = "all_recordings.Table.1.selections.txt"


# -- prediction -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(models, tmp_path_factory):
    """Two recordings and the results of a run over them."""
    folder = tmp_path_factory.mktemp("finished")
    for i in range(2):
        write_sound(folder / "in" / f"r{i}.wav", 1, i)
    assert predict_into(folder / "out", models, folder / "in") == 0
    return folder


def predict_into(out, models, recordings, *options) -> int:
    return predict_here(
        *("--model_path", models("binary"), "--input_file", recordings, "--output_dir", out),
        *("--format", "log", "raven", *options),
    )


@pytest.fixture
def predicted(finished, models, tmp_path):
    """The results of a finished run, copied, and a way to start again."""
    out = tmp_path / "results of prediction"
    shutil.copytree(finished / "out", out)

    def again(*options):
        assert predict_into(out, models, finished / "in", *options) == 0

    return out, again


def edit(path) -> str:
    """Delete the last row of a table, as in Raven; return what is left."""
    lines = path.read_text().splitlines(keepends=True)
    assert len(lines) > 1, "no row to delete"
    path.write_text("".join(lines[:-1]))
    return path.read_text()


OTHERS = [
    pytest.param([], id="the-same-command"),
    pytest.param(["--no_resume"], id="no_resume"),
    pytest.param(["--threshold", "0.9"], id="threshold"),
    pytest.param(["--hop", "0.1"], id="hop"),
]


@pytest.mark.parametrize("options", OTHERS)
def test_edited_results_of_prediction_stay(predicted, options, capsys):
    out, again = predicted
    edited = {name: edit(out / name) for name in (TABLE, COMBINED, "r1_predict_output.log")}
    before = (out / "r0_predict_output.log").read_bytes()
    capsys.readouterr()
    again(*options)
    lines = [line for line in capsys.readouterr().err.splitlines() if "was edited" in line]
    assert len(lines) == len(edited)
    for name, text in edited.items():
        assert (out / name).read_text() == text
        assert sum(str(out / name) in line for line in lines) == 1
    assert not [name for name in visible(out) if ".bak" in name]
    if "--hop" in options:
        assert (out / "r0_predict_output.log").read_bytes() != before


def test_edited_results_are_replaced_on_demand(predicted):
    out, again = predicted
    other = (out / "r0.Table.1.selections.txt").read_bytes()
    texts = []
    for options in ([], ["--no_resume"], ["--threshold", "0.4"]):
        texts.append(edit(out / TABLE))
        again("--replace_edited", *options)
        assert len((out / TABLE).read_text().splitlines()) > len(texts[0].splitlines())
    assert [(out / f"{TABLE}.bak{n}").read_text() for n in ("", 2, 3)] == texts
    assert len([n for n in visible(out) if ".bak" in n]) == 3
    again("--threshold", "0.5")
    assert (out / "r0.Table.1.selections.txt").read_bytes() == other


def test_a_table_of_somebody_else_stays(models, tmp_path, capsys):
    """Recordings, their truth, and predictions in one folder."""
    write_sound(tmp_path / "r1.wav", 1.5, 1)
    (tmp_path / TABLE).write_text("truth")
    for _ in range(2):
        status = predict_here(
            *("--model_path", models("binary"), "--input_file", tmp_path / "r1.wav"),
            *("--output_dir", tmp_path, "--format", "log", "raven"),
        )
        assert status == 0
        assert (tmp_path / TABLE).read_text() == "truth"
        assert f"{TABLE} was not written by this program" in capsys.readouterr().err
    assert (tmp_path / "r1_predict_output.log").is_file()


def test_an_edited_result_of_a_format_that_is_not_wanted_any_more_stays(
    predicted, models, finished
):
    out, _ = predicted
    edited = edit(out / TABLE)
    arguments = ("--model_path", models("binary"), "--input_file", finished / "in")
    assert predict_here(*arguments, "--output_dir", out, "--format", "csv") == 0
    assert (out / TABLE).read_text() == edited
    assert [name for name in visible(out) if name[0] == "r"] == [
        *("r0_predict_output.csv", TABLE, "r1_predict_output.csv"),
    ]


def test_a_journal_without_hashes_knows_sizes(predicted, capsys):
    """As an earlier version wrote it."""
    out, again = predicted
    lines = (out / FILE_NAME).read_text().splitlines()
    old = [line for line in lines if line and "wrote" not in json.loads(line)]
    (out / FILE_NAME).write_text("\n".join(old) + "\n")
    edited = edit(out / TABLE)
    names = [name for name in visible(out) if name[0] == "r"]
    before = {name: os.stat(out / name).st_mtime_ns for name in names}
    again()
    assert {name: os.stat(out / name).st_mtime_ns for name in names} == before
    again("--threshold", "0.9")
    now = {name: os.stat(out / name).st_mtime_ns for name in names}
    assert [name for name in names if now[name] == before[name]] == [TABLE]
    assert (out / TABLE).read_text() == edited
    assert f"{TABLE} was edited" in capsys.readouterr().err


# -- planted journals and links -------------------------------------------------------------------


def planted(out, **changes) -> str:
    entry = {
        **{"path": "/in/evil.wav", "stem": "evil", "run": "x", "state": [1, 2, 3], "digest": "0"},
        **{"duration_s": 1.0, "n_windows": 1, "detections": {}, "seconds": 0.1, "files": {}},
        "annotations": [],
    }
    with open(out / FILE_NAME, "a") as file:
        file.write("\n" + json.dumps(entry | changes) + "\n")


@pytest.mark.parametrize(
    "name",
    [
        "../victim.txt",
        "{}/victim.txt",
        "mine.txt",
        "summary.csv",
        "sub/r1_predict_output.log",
        "r1.wav",
    ],
)
def test_files_of_a_planted_entry_are_not_removed(predicted, finished, name, tmp_path, caplog):
    out, _ = predicted
    victims = [tmp_path / "victim.txt", out / "mine.txt"]
    for victim in victims:
        victim.write_text("nine char")
    recording = finished / "in" / "r1.wav"
    planted(out, path=str(recording), stem="r1", files={name.format(tmp_path): 9})
    with contextlib.closing(Journal(out, SUFFIXES.values())) as journal:
        journal.begin(recording, "r1", [])
    assert [victim.read_text() for victim in victims] == ["nine char"] * 2
    assert (out / "summary.csv").is_file()
    assert recording.is_file()
    assert f"{FILE_NAME}: line " in caplog.text


@pytest.mark.parametrize("stem", ["../evil", "/tmp/evil", "a/b", "..", "", "\0", 7, None])
@pytest.mark.parametrize("begun", [False, True])
def test_a_planted_stem_names_nothing(predicted, stem, begun):
    out, _ = predicted
    planted(out, stem=stem, **({"begun": True} if begun else {}))
    with contextlib.closing(Journal(out)) as journal:
        assert set(journal.stems) == {"r0", "r1"}


def test_results_of_a_planted_stem_stay_inside(predicted, finished, tmp_path):
    out, again = predicted
    planted(out, path=str(finished / "in" / "r1.wav"), stem="../evil")
    before = sorted(tmp_path.iterdir())
    again("--no_resume")
    assert sorted(tmp_path.iterdir()) == before
    assert (out / "r1_predict_output.log").is_file()


@pytest.mark.parametrize(
    "change",
    [
        {"duration_s": "long"},
        {"duration_s": float("nan")},
        {"duration_s": 1e300},
        {"n_windows": -1},
        {"n_windows": True},
        {"state": [1, 2]},
        {"state": "abc"},
        {"detections": [1]},
        {"detections": {"x": "y"}},
        {"files": ["a"]},
        {"files": {"r1.Table.1.selections.txt": -1}},
        {"annotations": [[0, 1, "x"]]},
        {"annotations": [[0, 1, 2, 3]]},
        {"annotations": [[2, 1, "x", 0.5]]},
        {"annotations": [[0, 1, "x", float("inf")]]},
        {"annotations": 7},
        {"channel": "left"},
        {"digest": 7},
        {"extra": 1},
    ],
    ids=str,
)
def test_fields_of_a_planted_entry_are_of_their_type(predicted, change, caplog):
    out, _ = predicted
    entries = [json.loads(line) for line in (out / FILE_NAME).read_text().splitlines() if line]
    entry = [e for e in entries if e.get("stem") == "r1" and "n_windows" in e][-1]
    with open(out / FILE_NAME, "a") as file:
        file.write("\n" + json.dumps(entry | change) + "\n")
    with contextlib.closing(Journal(out)) as journal:
        found = journal.find(Path(entry["path"]), entry["run"])
    assert asdict(found) == entry, "the entry before it counts"
    assert f"{FILE_NAME}: line " in caplog.text


@pytest.mark.parametrize(
    "name",
    ["PREDICT.log", FILE_NAME, ".prediction.lock", "r1_predict_output.log", TABLE, "summary.csv"],
)
def test_links_in_the_output_folder_are_not_followed(models, name, tmp_path):
    target = tmp_path / "target"
    target.write_text("precious")
    out = tmp_path / "out"
    out.mkdir()
    (out / name).symlink_to(target)
    write_sound(tmp_path / "r1.wav", 0.5, 1)
    status = predict_here(
        *("--model_path", models("binary"), "--input_file", tmp_path / "r1.wav"),
        *("--output_dir", out, "--log_dir", out, "--format", "log", "raven"),
    )
    assert target.read_text() == "precious"
    refused = name in ("PREDICT.log", FILE_NAME, ".prediction.lock")
    assert status == (1 if refused else 0)


def test_a_link_for_the_log_folder_inside_is_refused(models, tmp_path, capsys):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "logs").symlink_to(tmp_path / "elsewhere")
    write_sound(tmp_path / "r1.wav", 0.5, 1)
    status = predict_here(
        *("--model_path", models("binary"), "--input_file", tmp_path / "r1.wav"),
        *("--output_dir", tmp_path / "out", "--log_dir", tmp_path / "out" / "logs"),
    )
    assert status == 1
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert "is a symbolic link" in capsys.readouterr().err


# -- evaluation -----------------------------------------------------------------------------------

NAMES = ["A", "B", "noise"]
A, NOISE = [0.9, 0.05, 0.05], [0.05, 0.05, 0.9]


@pytest.fixture
def results(tmp_path):
    """Two logs, and tables of the truth beside them."""
    for name in ("r1", "r2"):
        text = log_text(NAMES, [A, *[NOISE] * 9, A], f"in/{name}.wav")
        (tmp_path / "results").mkdir(exist_ok=True)
        (tmp_path / "results" / f"{name}_predict_output.log").write_text(text)
        (tmp_path / "truth").mkdir(exist_ok=True)
        (tmp_path / "truth" / f"{name}.txt").write_text("0\t0.4\tA\n")
    return tmp_path


def run_evaluate(folder, *options, status=0, truth=False):
    found = evaluate.main(
        [
            *("--prediction_dir", str(folder / "results"), "--output_dir", str(folder / "out")),
            *(["--truth_dir", str(folder / "truth")] if truth else []),
            *("--no_report", *options),
        ]
    )
    assert found == status
    return folder / "out"


@pytest.mark.parametrize("options", [[], ["--threshold", "0.95"]], ids=["same", "threshold"])
@pytest.mark.parametrize("header", [[], ["--legacy_header"]], ids=["raven", "legacy"])
def test_an_edited_table_of_evaluation_stays(results, options, header, capsys):
    out = run_evaluate(results, *header)
    name = "r1_predict_output.log.annotation.result.txt" if header else TABLE
    edited = edit(out / name)
    other = (out / name.replace("r1", "r2")).read_text()
    for _ in range(2):
        run_evaluate(results, *header, *options)
        assert (out / name).read_text() == edited
        assert f"{name} was edited after it was written" in capsys.readouterr().err
    assert ((out / name.replace("r1", "r2")).read_text() == other) == (not options)
    run_evaluate(results, *header, *options, "--replace_edited")
    assert (out / f"{name}.bak").read_text() == edited
    assert (out / name).read_text() != edited
    assert sorted(p.name for p in out.glob("*.bak*")) == [f"{name}.bak"]


def test_a_file_of_the_name_that_people_give_stays_and_one_of_the_program_is_kept(results):
    out = results / "out"
    out.mkdir()
    legacy = "r1_predict_output.log.annotation.result.txt"
    for name in (TABLE, legacy):
        (out / name).write_text("of somebody")
    run_evaluate(results)
    run_evaluate(results, "--legacy_names")
    assert (out / TABLE).read_text() == "of somebody"
    assert (out / f"{legacy}.bak").read_text() == "of somebody"
    assert "Spectrogram" in (out / legacy).read_text()


def test_tables_of_prediction_in_the_same_folder_stay(predicted, capsys):
    out, _ = predicted
    before = (out / TABLE).read_bytes()
    arguments = ["--prediction_dir", str(out), "--output_dir", str(out), "--threshold", "0.9"]
    assert evaluate.main(arguments) == 0
    assert (out / TABLE).read_bytes() == before
    assert "give evaluation another folder" in capsys.readouterr().err
    assert evaluate.main([*arguments, "--format", "audacity"]) == 0
    assert (out / "r1.audacity.txt").is_file()


PICTURES = ("pr_curves", "confusion", "confusion_windows")
SCORES = {
    *("scores.json", "scores.csv", "scored_events.csv"),
    *(f"{name}.{kind}" for name in PICTURES for kind in ("png", "svg")),
}


def scores_in(out) -> set[str]:
    return SCORES & set(visible(out))


def test_scores_of_an_earlier_run_do_not_lie_beside_new_tables(results):
    out = run_evaluate(results, truth=True)
    assert scores_in(out) == SCORES
    run_evaluate(results)  # the same tables
    assert scores_in(out) == SCORES
    run_evaluate(results, "--threshold", "0.95")
    assert scores_in(out) == set()
    run_evaluate(results, truth=True)
    for table in (results / "truth").iterdir():
        table.write_text("0\t0\tA\n")
    run_evaluate(results, truth=True, status=3)
    assert scores_in(out) == set()


def test_an_evaluation_that_is_stopped_leaves_no_scores_of_an_earlier_run(results, monkeypatch):
    out = run_evaluate(results, truth=True)
    whole = evaluation_run.evaluate_file

    def stopped(path, *options):
        if path.name.startswith("r2"):
            raise KeyboardInterrupt
        return whole(path, *options)

    monkeypatch.setattr(evaluation_run, "evaluate_file", stopped)
    run_evaluate(results, "--threshold", "0.95", truth=True, status=130)
    assert scores_in(out) == set()


def test_edited_scores_are_kept(results, capsys):
    out = run_evaluate(results, truth=True)
    (out / "scores.csv").write_text("mine")
    run_evaluate(results, "--threshold", "0.95")
    assert scores_in(out) == {"scores.csv"}
    assert "scores.csv was edited" in capsys.readouterr().err
    run_evaluate(results, "--threshold", "0.9", truth=True)
    assert (out / "scores.csv").read_text() == "mine"
    assert scores_in(out) == SCORES


def test_scores_without_a_record_are_renamed(results):
    out = results / "out"
    out.mkdir()
    (out / "scores.json").write_text("of an earlier version")
    run_evaluate(results)
    assert not (out / "scores.json").exists()
    assert (out / "scores.json.bak").read_text() == "of an earlier version"


def test_tables_of_a_format_that_is_not_wanted_any_more_are_removed(results):
    out = run_evaluate(results, "--format", "both")
    edited = edit(out / "r2.audacity.txt")
    run_evaluate(results, "--threshold", "0.8")
    assert visible(out) == [
        "r1.Table.1.selections.txt",
        "r2.Table.1.selections.txt",
        "r2.audacity.txt",
    ]
    assert (out / "r2.audacity.txt").read_text() == edited


def test_what_was_found_is_no_truth_until_it_is_edited(results, capsys):
    """Results, tables and truth in one folder or in one tree."""
    for table in (results / "truth").iterdir():
        table.unlink()
    out = run_evaluate(results)
    status = evaluate.main(
        [
            *("--prediction_dir", str(results / "results"), "--output_dir", str(out)),
            *("--truth_dir", str(out), "--no_report"),
        ]
    )
    assert status == 3
    assert "no truth until they are edited" in capsys.readouterr().err
    edit(out / TABLE)
    status = evaluate.main(
        [
            *("--prediction_dir", str(results / "results"), "--output_dir", str(out)),
            *("--truth_dir", str(out), "--no_report"),
        ]
    )
    assert status == 0
    assert set(json.loads((out / "scores.json").read_text())["recordings"]) == {"r1"}
    edit(out / "r2.Table.1.selections.txt")
    (results / "r1.txt").write_text("0\t0.4\tA\n")
    whole = [
        *("--prediction_dir", str(results / "results"), "--output_dir", str(out)),
        *("--truth_dir", str(results), "--no_report"),
    ]
    assert evaluate.main(whole) == 0
    assert set(json.loads((out / "scores.json").read_text())["recordings"]) == {"r1"}


@pytest.mark.parametrize("name", [TABLE, "scores.json", "confusion.png", "confusion.svg"])
def test_links_in_the_folder_of_tables_are_not_followed(results, name):
    target = results / "target"
    target.write_text("precious")
    (results / "out").mkdir()
    (results / "out" / name).symlink_to(target)
    run_evaluate(results, truth=True)
    assert target.read_text() == "precious"
    assert not (results / "out" / name).is_symlink()


@pytest.mark.parametrize("name", [".evaluation.jsonl", ".evaluation.lock"])
def test_a_link_for_the_record_is_refused(results, name):
    target = results / "target"
    target.write_text("precious")
    (results / "out").mkdir()
    (results / "out" / name).symlink_to(target)
    run_evaluate(results, status=1)
    assert target.read_text() == "precious"

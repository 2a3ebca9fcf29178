"""evaluate.py: tables of the original's results, bad files, scores."""

import csv
import json
import re
import shutil
import subprocess
import unicodedata
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from animal_spot.evaluation.found_results import find_results
from tests.helpers.places import ROOT
from tests.helpers.prediction import visible
from tests.helpers.programs import run_here, run_python
from tests.helpers.results import log_text, write_csv, write_parquet

NAMES = ["A", "B", "noise"]
A, B, NOISE = [0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.05, 0.05, 0.9]


def run(*arguments) -> subprocess.CompletedProcess:
    result = run_here("evaluate", *arguments)
    assert "Traceback" not in result.stderr
    return result


def evaluate(folder: Path, *arguments, status: int = 0) -> subprocess.CompletedProcess:
    """Evaluate a folder into its sub-folder out."""
    folders = ("--prediction_dir", folder, "--output_dir", folder / "out")
    result = run(*folders, "--no_report", *arguments)
    assert result.returncode == status, result.stderr
    return result


def messages(result, level: str) -> list[str]:
    return re.findall(rf"^\d\d:\d\d:\d\d\|{level}\|(.*)$", result.stderr, re.MULTILINE)


def table(path: Path) -> list[list[str]]:
    with open(path, encoding="utf-8", newline="") as text:
        return list(csv.reader(text, delimiter="\t"))


def write_log(path: Path, rows: list[list[float]], names=NAMES, file: str = "a/rec.wav") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(log_text(names, rows, file))
    return path


GOLDEN = [
    ("binary_recording44", "binary", 0.93, False),
    ("binary_recording44", "binary", 0.93, True),
    ("multi_recording44", "multi", 0.5, False),
    ("multi_recording44", "multi", 0.75, True),
    *(("crafted_multi", "crafted_multi", t, n) for t in (0.6, 0.75) for n in (False, True)),
]


def test_every_golden_table_has_its_case(golden):
    files = {p.name for p in (golden / "prediction").glob("*.annotation.result.txt")}
    assert files == {
        f"{short}_threshold{t}_noise{str(n).lower()}.annotation.result.txt"
        for _, short, t, n in GOLDEN
    }


@pytest.mark.parametrize(("log", "short", "threshold", "noise"), GOLDEN)
def test_golden_rows(log, short, threshold, noise, golden, tmp_path):
    name = f"{log}_predict_output.log"
    shutil.copy(golden / "prediction" / name, tmp_path)
    wanted = f"{short}_threshold{threshold}_noise{str(noise).lower()}.annotation.result.txt"
    expected = golden / "prediction" / wanted
    flags = ["--threshold", threshold, *(["--noise_in_anno"] if noise else [])]
    evaluate(tmp_path, *flags, "--legacy_header")
    assert visible(tmp_path / "out") == [f"{name}.annotation.result.txt"]
    written = (tmp_path / "out" / f"{name}.annotation.result.txt").read_bytes()
    assert written == expected.read_bytes()

    evaluate(tmp_path, *flags)
    assert visible(tmp_path / "out") == [f"{log}.Table.1.selections.txt"]
    rows = table(tmp_path / "out" / f"{log}.Table.1.selections.txt")
    golden_rows = table(expected)
    assert rows[0] == [
        *("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)"),
        *("Low Freq (Hz)", "High Freq (Hz)", "Annotation", "Score"),
    ]
    assert len(rows) == len(golden_rows)
    for row, golden_row in zip(rows[1:], golden_rows[1:], strict=True):
        assert [row[0], *map(float, row[3:7]), row[7]] == [
            *(golden_row[0], *map(float, golden_row[3:7]), golden_row[7])
        ]
        assert row[1:3] == ["Spectrogram 1", "1"]


def test_all_files_are_evaluated_quietly_and_own_tables_are_not_read(tmp_path):
    for name in ("x", "y"):
        write_log(tmp_path / f"{name}_predict_output.log", [A, A, NOISE])
    write_log(tmp_path / "z_predict_output.log.old", [A])
    write_log(tmp_path / "unrelated.log", [A])
    (tmp_path / "x_predict_output.pdf").write_bytes(b"%PDF")
    flags = ("--prediction_dir", tmp_path, "--output_dir", tmp_path, "--format", "both")
    for _ in range(2):
        result = run(*flags)
        assert result.returncode == 0, result.stderr
        assert messages(result, "I") == [f"3 rows of 3 recordings in {tmp_path}"]
        assert result.stdout == ""
        assert sorted(p.name for p in tmp_path.glob("*.txt")) == [
            f"{name}.{kind}.txt"
            for name in ("x", "y", "z")
            for kind in ("Table.1.selections", "audacity")
        ]
    labels = (tmp_path / "x.audacity.txt").read_text()
    assert labels == "0.000000\t0.500000\tA\n"


def test_results_in_several_forms_give_one_table(tmp_path):
    p = [[0.05, 0.95], [0.5, 0.5]]
    write_parquet(tmp_path / "a_predict_output.parquet", ["noise", "target"], p)
    write_csv(tmp_path / "a_predict_output.csv", ["noise", "target"], p)
    result = evaluate(tmp_path, "--threshold", "0.9")
    assert visible(tmp_path / "out") == ["a.Table.1.selections.txt"]
    assert "a_predict_output.csv is used, not a_predict_output.parquet" in result.stderr
    write_log(tmp_path / "a_predict_output.log", [A])
    write_log(tmp_path / "a_predict_output", [A])
    write_log(tmp_path / "a_predict_output.log.bak", [A])  # as --replace_edited keeps it
    write_log(tmp_path / "a_predict_output.log.bak2", [A])
    write_parquet(tmp_path / "b_predict_output.parquet", ["noise", "target"], p)
    assert [path.name for path in find_results(tmp_path)] == [
        *("a_predict_output", "a_predict_output.log", "b_predict_output.parquet")
    ]


def test_bad_files_are_reported_and_the_others_are_evaluated(tmp_path):
    write_log(tmp_path / "1_predict_output.log", [A])
    (tmp_path / "2_predict_output.log").write_text("")
    (tmp_path / "3_predict_output.log").write_text(log_text(NAMES, [A])[:-9])
    (tmp_path / "4_predict_output.csv").write_text("a,b\n1\n")
    (tmp_path / "5_predict_output.parquet").write_bytes(b"PAR1")
    headless = log_text(NAMES, [A]).replace("|dataOpts", "|x")
    (tmp_path / "6_predict_output.log").write_text(headless)
    write_log(tmp_path / "7_predict_output.log", [B])
    result = evaluate(tmp_path, status=3)
    *bad, last = messages(result, "E")
    assert [Path(line.split(":")[0]).name[0] for line in bad] == ["2", "3", "4", "5", "6"]
    assert last == "5 failed; see above"
    tables = ["1.Table.1.selections.txt", "7.Table.1.selections.txt"]
    assert visible(tmp_path / "out") == tables


def test_a_table_that_cannot_be_written_is_reported(tmp_path):
    write_log(tmp_path / "1_predict_output.log", [A])
    write_log(tmp_path / "2_predict_output.log", [B])
    (tmp_path / "out" / "1.Table.1.selections.txt").mkdir(parents=True)
    result = evaluate(tmp_path, status=3)
    assert "1.Table.1.selections.txt" in messages(result, "E")[0]
    assert (tmp_path / "out" / "2.Table.1.selections.txt").is_file()
    assert not list((tmp_path / "out").glob("*.tmp"))


def test_classes_without_noise(tmp_path):
    rows = [[0.9, 0.05, 0.05], [0.4, 0.3, 0.3], [0.1, 0.1, 0.8]]
    write_log(tmp_path / "a_predict_output.log", rows, ["A", "b-c", "d,e"])
    write_log(tmp_path / "b_predict_output.log", [rows[1]], ["A", "b-c", "d,e"])
    result = evaluate(tmp_path, "--noise_in_anno")
    assert messages(result, "E") == []
    rows = table(tmp_path / "out" / "a.Table.1.selections.txt")[1:]
    assert [row[3:5] + row[7:] for row in rows] == [
        ["0.000", "0.400", "A", "0.9000"],
        ["0.400", "0.600", "d,e", "0.8000"],
    ]
    assert len(table(tmp_path / "out" / "b.Table.1.selections.txt")) == 1


def test_noise_in_capitals_is_noise(tmp_path):
    write_log(tmp_path / "a_predict_output.log", [A, *[NOISE] * 4], ["A", "B", "Noise"])
    evaluate(tmp_path)
    path = tmp_path / "out" / "a.Table.1.selections.txt"
    assert [row[7] for row in table(path)[1:]] == ["A"]
    evaluate(tmp_path, "--noise_in_anno", "true")
    assert [row[7] for row in table(path)[1:]] == ["A", "Noise"]


def test_thresholds_of_classes_and_probability_priority(tmp_path):
    write_log(tmp_path / "a_predict_output.log", [A, B, [0.95, 0.03, 0.02]])
    path = tmp_path / "out" / "a.Table.1.selections.txt"

    def rows() -> list[list[str]]:
        return [[row[3], row[4], row[7]] for row in table(path)[1:]]

    evaluate(tmp_path)
    assert rows() == [["0.000", "0.400", "A"], ["0.400", "0.500", "B"], ["0.500", "0.600", "A"]]
    result = evaluate(tmp_path, "--class_threshold", "B=0.81 whale=0.5")
    assert rows() == [["0.000", "0.600", "A"]]
    assert messages(result, "W") == ["--class_threshold: no result has a class whale"]
    evaluate(tmp_path, "--use_probability_priority", "true")
    assert rows() == [["0.000", "0.600", "A"]]
    evaluate(tmp_path, "--use_probability_priority", "false")
    assert len(rows()) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param([], "--prediction_dir and --output_dir are needed", id="no-folders"),
        pytest.param(
            ["--prediction_dir", "/no/such", "--output_dir", "{}"],
            "--prediction_dir /no/such does not exist",
            id="absent",
        ),
        pytest.param(
            ["--prediction_dir", "{}", "--output_dir", "{}"], "no result of a", id="empty"
        ),
        pytest.param(
            ["--prediction_dir", "{}", "--output_dir", "{}", "--truth_dir", "/no/such"],
            "--truth_dir /no/such does not exist",
            id="no-truth",
        ),
    ],
)
def test_what_cannot_start(arguments, message, tmp_path):
    result = run(*(argument.format(tmp_path) for argument in arguments))
    assert result.returncode == 1
    (line,) = messages(result, "E")
    assert message in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threshold", "high"], "invalid float"),
        (["--threshold", "nan"], "must be a finite number"),
        (["--merge_gap", "-1"], "--merge_gap must be at least 0"),
        (["--class_threshold", "K1"], "NAME=VALUE"),
        (["--class_threshold", "K1=0.5 K2=x"], "NAME=VALUE, such as K1=0.8, got 'K2=x'"),
        (["--use_probability_priority", "maybe"], "true or false"),
        (["--iou_threshold", "2"], "in 0..1"),
        (["--format", "xls"], "invalid choice"),
    ],
)
def test_bad_settings(arguments, message):
    result = run(*arguments)
    assert result.returncode == 2
    assert message in result.stderr.splitlines()[-1]


@pytest.fixture
def scored(tmp_path) -> Path:
    """Three recordings of 1.3 s: two with a table, one of which has no event; one without.

    rec1: A at 0 to 0.4 (found), B at 0.8 to 1.2 (found as A, which is false), noise, and an
    event after the last window of a class that the model does not know.
    rec2: nothing, but A is found.
    """
    write_log(
        tmp_path / "rec1_predict_output.log",
        [A, *[NOISE] * 7, [0.6, 0.3, 0.1], NOISE],
        file="/x y/rec1.wav",
    )
    write_log(tmp_path / "other_predict_output.log", [A, *[NOISE] * 9], file="C:\\r\\rec2.wav")
    write_log(tmp_path / "rec3_predict_output.log", [A], file="rec3.wav")
    truth = tmp_path / "truth"
    (truth / "sub").mkdir(parents=True)
    (truth / "rec1.Table.1.selections.txt").write_text(
        "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tAnnotation\n"
        "1\tSpectrogram 1\t1\t0.0\t0.4\tA\n2\tSpectrogram 1\t1\t0.8\t1.2\tB\n"
        "3\tSpectrogram 1\t1\t0.5\t0.7\tnoise\n4\tSpectrogram 1\t1\t1.31\t1.39\tZ\n"
    )
    (truth / "sub" / "rec2.txt").write_text("")
    (truth / "rec1_predict_output.log.annotation.result.txt").write_text("not truth")
    return tmp_path


def test_scores(scored):
    result = evaluate(scored, "--truth_dir", scored / "truth")
    assert messages(result, "W") == [
        f"1 recordings have no table in {scored / 'truth'}: rec3",
        "classes of the truth that the model does not know: Z",
    ]
    scores = json.loads((scored / "out" / "scores.json").read_text())
    assert scores["not_scored"] == ["rec3"]
    assert set(scores["recordings"]) == {"rec1", "other"}
    events = scores["all_recordings"]["events"]
    hour = 3600 / 2.6
    assert events["classes"]["A"] == {
        **{"events": 1, "tp": 1, "fp": 2, "fn": 0, "precision": 1 / 3, "recall": 1.0, "f1": 0.5},
        **{"false_alarms_per_hour": pytest.approx(2 * hour), "best_threshold": 0.9},
        "best_f1": pytest.approx(2 / 3),
    }
    assert events["classes"]["B"] == {
        **{"events": 1, "tp": 0, "fp": 0, "fn": 1, "precision": None, "recall": 0.0, "f1": 0.0},
        **{"false_alarms_per_hour": 0.0, "best_threshold": None, "best_f1": None},
    }
    assert events["macro"] == {
        "precision": 1 / 3,
        "recall": pytest.approx(1 / 3),
        "f1": pytest.approx(1 / 6),
    }
    assert events["whatever_class"]["tp"] == 2
    assert events["whatever_class"]["fp"] == 1
    assert events["confusion"] == {
        "names": ["A", "B", "Z", "background"],
        "counts": [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0]],
    }
    assert scores["recordings"]["other"]["events"]["classes"]["A"]["recall"] is None
    # Windows of 0.4 s every 0.1 s; at least half of one in an event: 0, 0.1, 0.2 and 0.6 ... 0.9
    windows = scores["all_recordings"]["windows"]["confusion"]["counts"]
    assert windows == [[1, 0, 0, 2], [1, 0, 0, 3], [0, 0, 0, 0], [1, 0, 0, 12]]
    curve = {p["threshold"]: p for p in scores["all_recordings"]["precision_recall"]["A"]}
    assert curve[0.7] == {"threshold": 0.7, "precision": 0.5, "recall": 1, "f1": 2 / 3}
    assert curve[0.95]["precision"] is None

    rows = list(csv.reader((scored / "out" / "scores.csv").open()))
    assert [row[0] for row in rows] == ["class", "A", "B", "Z", "mean of classes", "whatever class"]
    assert rows[1][1:5] == ["1", "1", "2", "0"]
    printed = [re.split(r"\s{2,}", line) for line in result.stdout.splitlines()]
    assert printed[1][:7] == ["A", "1", "1", "2", "0", "0.333", "1.000"]
    for name in ("pr_curves.png", "confusion.png", "confusion_windows.png"):
        with Image.open(scored / "out" / name) as picture:
            assert min(picture.size) > 300
    drawn = ElementTree.parse(scored / "out" / "confusion_windows.svg")
    words = ["".join(e.itertext()) for e in drawn.iter() if e.tag.endswith("}text")]
    totals = [f"{name} ({sum(row)})" for name, row in zip("ABZ", windows[:3], strict=True)]
    assert set(totals) <= set(words), "as in scores.json"


def test_truth_that_cannot_be_used(scored):
    truth = scored / "truth"
    (truth / "rec1.txt").write_text("0\t1\tA\n")  # a second one
    (truth / "sub" / "rec2.txt").write_text("text")
    result = evaluate(scored, "--truth_dir", truth, status=3)
    first, second, third, last = messages(result, "E")
    assert "rec2.txt is neither a Raven table" in first
    assert "several tables of the truth: rec1.Table.1.selections.txt, rec1.txt" in second
    assert "nothing to score" in third
    assert last == "2 failed; see above"
    assert not (scored / "out" / "scores.json").exists()
    assert len(list((scored / "out").glob("*.Table.1.selections.txt"))) == 3


def test_tables_of_one_name_belong_to_the_recording_in_the_folder_of_that_name(tmp_path):
    """Two stations, each with a recording of the same name; the tables lie in folders alike."""
    for number, station in enumerate(("north", "south")):
        path = tmp_path / f"rec{'-8f' * number}_predict_output.log"
        write_log(path, [A, *[NOISE] * 9], file=f"/x/{station}/rec.wav")
        (tmp_path / "truth" / station).mkdir(parents=True)
        (tmp_path / "truth" / station / "rec.txt").write_text(f"{number}\t{number + 0.4}\tA\n")
    evaluate(tmp_path, "--truth_dir", tmp_path / "truth")
    recordings = json.loads((tmp_path / "out" / "scores.json").read_text())["recordings"]
    hits = {name: scores["events"]["classes"]["A"]["tp"] for name, scores in recordings.items()}
    assert hits == {"rec": 1, "rec-8f": 0}
    (tmp_path / "truth" / "north").rename(tmp_path / "truth" / "N")
    (tmp_path / "truth" / "south").rename(tmp_path / "truth" / "S")
    result = evaluate(tmp_path, "--truth_dir", tmp_path / "truth", status=3)
    assert "several tables of the truth: N/rec.txt, S/rec.txt; leave one, or put" in result.stderr
    assert "of the recording, /x/north/rec.wav" in result.stderr


def test_names_of_truth_and_thresholds_are_compared_as_they_are_read(tmp_path):
    nfc, nfd = (unicodedata.normalize(form, "Käuzchen") for form in ("NFC", "NFD"))
    names = [nfd, "B", "noise"]  # a result of a model of before
    write_log(tmp_path / "rec_predict_output.log", [A, B, *[NOISE] * 8], names, file="rec.wav")
    (tmp_path / "truth").mkdir()
    truth = tmp_path / "truth" / "rec.txt"
    truth.write_text(f"0\t0.4\t{nfc}\n0.4\t0.5\tB\n", encoding="utf-8")
    arguments = ("--truth_dir", truth.parent, "--class_threshold", f"{nfd}=0.8 {nfc}=0.7")
    assert messages(evaluate(tmp_path, *arguments), "W") == []
    events = json.loads((tmp_path / "out" / "scores.json").read_text())["all_recordings"]["events"]
    assert events["classes"][nfc]["tp"] == 1
    truth.write_text("0\t0.4\tb\n", encoding="utf-8")
    result = evaluate(tmp_path, *arguments, status=3)
    assert "'B' and 'b' differ only in case or blanks; give the calls in the table" in result.stderr


def test_a_two_class_model_is_scored_on_whatever_sounds(tmp_path):
    p = [[0.05, 0.95], [0.95, 0.05], [0.95, 0.05]]
    write_csv(tmp_path / "r_predict_output.csv", ["noise", "target"], p, file="r.wav")
    (tmp_path / "r.txt").write_text("0.1\t0.3\tK1\n0.9\t1.0\tK5\n")
    result = evaluate(tmp_path, "--truth_dir", tmp_path)
    assert messages(result, "W") == []
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    classes = scores["all_recordings"]["events"]["classes"]
    assert list(classes) == ["target"]
    assert [classes["target"][key] for key in ("tp", "fp", "fn")] == [1, 0, 1]


@pytest.mark.parametrize("says", ["result", "flag"])
def test_a_background_class_of_another_name_is_no_call(tmp_path, says):
    """Half of the annotations are of it; nothing of it is an event, a miss or a false alarm."""
    names = ["A", "B", "Rauschen"]
    text = log_text(names, [A, *[NOISE] * 9], "r.wav")
    if says == "result":
        text = text.replace(
            "|some normalization\n", "|some normalization\n23:36:16|I|noise class: Rauschen\n"
        )
    (tmp_path / "r_predict_output.log").write_text(text)
    (tmp_path / "r.txt").write_text(
        "0\t0.4\tA\n0.5\t0.9\tRauschen\n0.9\t1.2\tRAUSCHEN\n1\t1.3\tnoise\n"
    )
    flags = ["--noise_class", "Rauschen"] if says == "flag" else []
    evaluate(tmp_path, "--truth_dir", tmp_path, *flags)
    events = json.loads((tmp_path / "out" / "scores.json").read_text())["all_recordings"]["events"]
    assert list(events["classes"]) == ["A", "B"]
    assert [events["whatever_class"][key] for key in ("events", "tp", "fp", "fn")] == [1, 1, 0, 0]
    assert [row[7] for row in table(tmp_path / "out" / "r.Table.1.selections.txt")[1:]] == ["A"]


@pytest.mark.parametrize(
    ("extra", "written"),
    [
        pytest.param(
            "", "multi_recording44_predict_output.log.annotation.result.txt", id="original"
        ),
        pytest.param(
            "use_probability_priority=false\nmin_annotation_duration=0.1\nmerge_gap=0.15\n",
            "multi_recording44_predict_output.log.annotation.result.txt",
            id="fork",
        ),
        pytest.param("format=raven\n", "multi_recording44.Table.1.selections.txt", id="ours"),
    ],
)
def test_config_files_of_the_original_give_its_names(extra, written, golden, tmp_path):
    shutil.copy(golden / "prediction" / "multi_recording44_predict_output.log", tmp_path)
    config = tmp_path / "config"
    config.write_text(
        f"prediction_dir={tmp_path}\noutput_dir={tmp_path / 'out'}\nthreshold=0.5\n"
        f"noise_in_anno=false\n{extra}"
    )
    starter = ROOT / "EVALUATION" / "start_evaluation.py"
    result = run_python(starter, config)
    assert result.returncode == 0, result.stderr
    assert visible(tmp_path / "out") == [written]


@pytest.mark.parametrize(
    ("rows", "status", "message", "events"),
    [
        pytest.param(["50\t50.4\tA"], 0, "W.*1 of 3 rows lie past the end", 2, id="one-slip"),
        pytest.param(
            [f"{t}\t{t + 0.4}\tA" for t in (20, 21, 22)],
            *(3, "E.*3 of 5 rows lie past the end .* opened as one", None),
            id="sequence",
        ),
    ],
)
def test_rows_past_the_end_are_no_missed_calls(tmp_path, rows, status, message, events):
    for name in ("r", "other"):
        write_log(tmp_path / f"{name}_predict_output.log", [A, *[NOISE] * 6, A], file=f"{name}.wav")
        (tmp_path / f"{name}.txt").write_text("0\t0.4\tA\n0.8\t1\tA\n")
    (tmp_path / "r.txt").write_text("\n".join(["0\t0.4\tA", "0.8\t1\tA", *rows]) + "\n")
    result = evaluate(tmp_path, "--truth_dir", tmp_path, status=status)
    assert re.search(message, result.stderr)
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert scores["all_recordings"]["events"]["classes"]["A"]["fn"] == 0
    assert scores["recordings"]["other"]["events"]["classes"]["A"]["events"] == 2
    found = scores["recordings"].get("r")
    assert (found and found["events"]["classes"]["A"]["events"]) == events


def test_swapped_tables_are_told(tmp_path):
    """Recordings of one length, so that every row lies in its recording."""
    calls = {"one": {0, 4, 8, 12, 16}, "two": {2, 6, 10, 14, 18}}
    for name, at in calls.items():
        rows = [A if i // 10 in at and i % 10 == 0 else NOISE for i in range(200)]
        write_log(tmp_path / f"{name}_predict_output.log", rows, file=f"{name}.wav")
    for name, other in (("one", "two"), ("two", "one")):
        lines = [f"{t}\t{t + 0.4}\tA\n" for t in sorted(calls[other])]
        (tmp_path / f"{name}.txt").write_text("".join(lines))
    result = evaluate(tmp_path, "--truth_dir", tmp_path)
    told = [line for line in messages(result, "W") if "are two tables swapped?" in line]
    assert len(told) == 2
    assert "one.txt: 5 of its 5 rows are found in two, and 0 in one" in told[0]

"""The report of an evaluation, held against its scores."""

import json
import shutil

import pytest
from scipy.stats import binomtest

from animal_spot.reporting.evaluation_examples import example_blocks
from animal_spot.reporting.evaluation_part import sections
from animal_spot.reporting.evaluation_tables import settings_facts
from animal_spot.reporting.page import Note
from animal_spot.reporting.scored import read_evaluation, read_scored_events
from animal_spot.reporting.sources import SourceError
from animal_spot.reporting.wanted import Wanted
from tests.helpers.evaluated import evaluate_it, write_prediction
from tests.helpers.programs import run_program
from tests.helpers.report_contents import facts_in, table_in
from tests.helpers.report_page import ReportPage


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = write_prediction(tmp_path_factory.mktemp("evaluated") / "pond")
    result = run_program(
        *("evaluate", "--prediction_dir", folder / "found", "--output_dir", folder / "scores"),
        *("--truth_dir", folder / "truth"),
    )
    assert result.returncode == 0, result.stderr
    assert f"report: {folder / 'scores' / 'report.html'}" in result.stderr
    return folder


@pytest.fixture(scope="module")
def scores(project):
    return json.loads((project / "scores" / "scores.json").read_text())


@pytest.fixture(scope="module")
def made(project):
    return sections(project / "scores", Wanted(examples=0))


def shown(value, text="{:.1f} %", factor=100):
    return "–" if value is None else text.format(factor * value)


def test_numbers_of_the_page_are_those_of_the_scores(project, scores):
    tables = {
        name: {row[0][0]: row[1:] for row in rows if row}
        for name, rows in ReportPage(project / "scores" / "report.html").tables.items()
    }
    whole = scores["all_recordings"]
    for name, entry in whole["events"]["classes"].items():
        row = tables["classes"][name]
        assert [cell[1] for cell in row[:4]] == [entry[key] for key in ("events", "tp", "fp", "fn")]
        for place, key in ((4, "precision"), (6, "recall"), (8, "f1")):
            assert row[place] == (shown(entry[key]), entry[key])
        assert tables["false_alarms"][name][1][1] == entry["false_alarms_per_hour"]
        threshold, f1, _ = tables["best_thresholds"][name]
        assert (threshold[1], f1[1]) == (entry["best_threshold"], entry["best_f1"])
        windows = whole["windows"]["classes"][name]
        assert tables["windows"][name][0][1] == windows["events"]
        assert tables["windows"][name][6][1] == windows["f1"]
    assert tables["classes"]["Mean"][4][0] == shown(whole["events"]["macro"]["precision"])
    assert tables["classes"]["Any class"][1][1] == whole["events"]["whatever_class"]["tp"]
    for name, entry in scores["recordings"].items():
        row, of_all = tables["recordings"][name], entry["events"]["all"]
        assert (row[4][1], row[7][0]) == (of_all["fn"], shown(of_all["f1"]))


def test_intervals_are_those_of_the_counts(made, scores):
    entry = scores["all_recordings"]["events"]["classes"]["A"]
    row = table_in(made, "classes").rows[0]
    expected = binomtest(entry["tp"], entry["events"]).proportion_ci(0.95, "wilson")
    assert row[8].text == f"{100 * expected.low:.1f} to {100 * expected.high:.1f} %"
    # Of one event the mean lies within 0.0253 to 5.5716 (tables of Garwood, 1936).
    assert entry["fp"] == 1
    hours = scores["all_recordings"]["duration_s"] / 3600
    low, high = map(float, table_in(made, "false_alarms").rows[0][3].text.split(" to "))
    assert (low * hours, high * hours) == pytest.approx((0.0253, 5.5716), abs=1e-4)
    # Five of the recordings have a call of A, three one of B.
    drawn = {row[0]: row for row in table_in(made, "over_recordings").rows}
    assert drawn["B"][1].value == 3
    assert drawn["A"][5].text != "–"
    assert drawn["B"][5].text == "–"


def test_what_was_scored_is_said(project, made):
    out = evaluate_it(project, "--iou_threshold", 0.3, "--no_report", out="stricter")
    stricter = dict(settings_facts(read_evaluation(out)).rows)
    assert "30 % in common" in stricter["A call is found"]
    facts = facts_in(made[0])
    assert facts["Recordings"] == "6"
    assert facts["Events in the tables of the truth"] == "11"
    assert facts["A call is found"] == "if an annotation of its class overlaps it in time"
    assert facts["Least score"] == "0.5"
    (note,) = (block for block in made[0].blocks if isinstance(block, Note))
    assert note.is_warning
    assert "1 recordings have no table of the truth and are not scored: odd" in note.text
    assert any("odd" in text for text in ReportPage(project / "scores" / "report.html").warnings)


def test_the_worst_recording_comes_first(made):
    table = table_in(made, "recordings")
    names = [row[0] for row in table.rows]
    assert names[0] == "missed"
    assert names[-2:] == ["good", "empty"]


def examples(folder, **wanted):
    return example_blocks(folder, read_scored_events(folder), Wanted(**wanted))


def test_mistakes_and_hits_can_be_heard(project):
    groups = {block.title.partition(":")[0]: block.items for block in examples(project / "scores")}
    assert list(groups) == [
        *("False alarms", "Missed calls", "Calls found under another name", "Calls found rightly")
    ]
    assert [item.title for item in groups["False alarms"]] == (
        ["A: nothing is there", "B: nothing is there"]
    )
    assert {item.title for item in groups["Missed calls"]} == {"A, missed", "B, missed"}
    assert [item.title for item in groups["Calls found under another name"]] == ["A, found as B"]
    for items in groups.values():
        assert all(item.audio and item.png for item in items)


def test_examples_are_drawn_by_the_seed(project):
    def hits(seed):
        (right,) = examples(project / "scores", seed=seed, examples=4)[-1:]
        assert len(right.items) == 2  # one of each class
        return [item.lines[0] for item in right.items]

    assert hits(0) == hits(0)
    assert len({tuple(hits(seed)) for seed in range(5)}) > 1


def test_moved_recordings_are_found(project, tmp_path):
    shutil.move(project / "recordings", tmp_path / "elsewhere")
    try:
        (note,) = examples(project / "scores")
        assert "the recordings are not where they were" in note.text
        groups = examples(project / "scores", recordings=tmp_path / "elsewhere")
        assert all(item.audio for one in groups for item in one.items)
    finally:
        shutil.move(tmp_path / "elsewhere", project / "recordings")


def test_scores_of_an_earlier_version_have_no_examples(project, tmp_path):
    shutil.copy(project / "scores" / "scores.json", tmp_path)
    (note,) = sections(tmp_path, Wanted())[-1].blocks
    assert "an earlier version wrote the scores" in note.text
    (tmp_path / "scored_events.csv").write_text("recording,kind\n")
    with pytest.raises(SourceError, match=r"scored_events.csv is damaged: line 1: a column is not"):
        read_scored_events(tmp_path)


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        pytest.param(("events", "all"), None, "all is None, not an object", id="null"),
        pytest.param(("events", "all", "tp"), -1, "all.tp is -1", id="negative"),
        pytest.param(("events", "macro"), {}, "'precision' is not there", id="key"),
        pytest.param(("duration_s",), "long", "duration_s is 'long', not a number", id="text"),
        pytest.param(("windows", "confusion", "counts"), [[1]], "no table of 3", id="shape"),
        pytest.param(("precision_recall", "A"), [{}], "'threshold' is not there", id="curve"),
    ],
)
def test_damaged_scores_are_named(scores, tmp_path, keys, value, message):
    content = json.loads(json.dumps(scores))
    inside = content["all_recordings"]
    for key in keys[:-1]:
        inside = inside[key]
    inside[keys[-1]] = value
    (tmp_path / "scores.json").write_text(json.dumps(content))
    with pytest.raises(SourceError, match=message) as caught:
        read_evaluation(tmp_path)
    assert f"{tmp_path / 'scores.json'} is damaged" in str(caught.value)

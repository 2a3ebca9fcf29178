"""Results of predictions: the original's logs, csv and parquet, whole ones and broken ones."""

import time

import numpy as np
import pytest

from animal_spot.detections.result_readers import ResultError, looks_like_log, read_result
from tests.helpers.results import HEADER, log_text, window, write_csv, write_parquet


@pytest.fixture
def write(tmp_path):
    def write(text: str | bytes, name: str = "rec_predict_output.log"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_log_of_several_classes(golden):
    result = read_result(golden / "prediction" / "multi_recording44_predict_output.log")
    assert result.file == "audio/recording44.wav"
    assert result.classes == {"K1": 0, "K5": 1, "K7": 2, "noise": 3}
    assert (result.f_min, result.f_max) == (500, 10000)
    assert (result.sequence_len, result.hop) == (0.4, 0.1)
    assert len(result.start_s) == 58
    assert (result.start_s[1], result.end_s[1]) == (0.1, 0.5)
    assert result.duration_s == 6.1
    assert set(result.winner.tolist()) == {1}
    assert result.score[0] == 0.728365957736969
    assert result.probabilities[0].tolist() == [
        *(0.12339023500680923, 0.728365957736969, 0.08306863903999329, 0.06517521291971207)
    ]


def test_log_of_two_classes(golden):
    result = read_result(golden / "prediction" / "binary_recording44_predict_output.log")
    assert result.names == ["noise", "target"]
    assert len(result.start_s) == 23
    assert result.score[:2].tolist() == [0.9225874543190002, 0.8903689980506897]
    np.testing.assert_allclose(result.probabilities.sum(axis=1), 1)
    assert set(result.winner.tolist()) == {1}


NASTY = ["a-b", "c,d", "e=f", "g, prob=1", "x-1", "noise"]


@pytest.mark.parametrize("file", ["a|I|b.wav", "pred=1, prob=0.5.wav", "time=0.0-1.0, x.wav", "ü"])
def test_names_that_look_like_the_grammar(file, write):
    rows = np.random.default_rng(1).dirichlet(np.ones(6), 20).tolist()
    result = read_result(write(log_text(NASTY, rows, file)))
    assert result.file == file
    assert result.names == NASTY
    assert result.probabilities.tolist() == rows
    assert result.winner.tolist() == [int(np.argmax(p)) for p in rows]


def test_other_levels_older_form_and_line_ends(write):
    text = log_text(["A", "B", "C"], [[0.2, 0.7, 0.1], [1e-05, 0.99998, 1e-05]])
    plain = read_result(write(text))
    assert plain.probabilities[1].tolist() == [1e-05, 0.99998, 1e-05]
    debug = text.replace(
        "23:36:17|I|time", "23:36:17|D|start extract=0\n23:36:17|D|end extract=9\n23:36:17|I|time"
    )
    variants = [debug, text.replace("|I|", "|INFO|"), text.replace("\n", "\r\n"), text[:-1]]
    variants.append(text + "23:36:18|D|done time=1-2, pred=1\nof it\n")
    variants.append(text.replace("some norm", "some\nlonger norm"))
    for variant in variants:
        result = read_result(write(variant))
        assert result.start_s.tolist() == [0.0, 0.1]
        assert result.probabilities.tolist() == plain.probabilities.tolist()


def test_file_names_that_are_not_utf_8(write):
    text = log_text(["A", "B", "C"], [[0.2, 0.7, 0.1]], "rec@.wav").encode()
    assert read_result(write(text.replace(b"@", b"\xff"))).file == "rec\udcff.wav"


GOOD = log_text(["A", "B", "C"], [[0.2, 0.7, 0.1], [0.2, 0.7, 0.1]])

TWO = HEADER.format(file="a", classes={"noise": 0, "target": 1}) + (
    "23:36:17|I|time=0.0-0.4, pred=1, prob=0.725\n"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "no window", id="empty"),
        pytest.param("hello\n", "line 1 is not a log record: 'hello", id="text"),
        pytest.param(b"\x89PNG\r\n\x00\xff", "line 1 is not a log record", id="binary"),
        pytest.param(HEADER.format(file="a", classes={"A": 0, "B": 1}), "no window", id="header"),
        pytest.param(GOOD[:-12], "at 0.1 s are cut off", id="cut-in-probabilities"),
        pytest.param(GOOD[: GOOD.rindex("prob=") + 3], "cut off or broken", id="cut-in-window"),
        pytest.param(GOOD[: GOOD.rindex("time=") + 2], "cut off or broken", id="cut-before-it"),
        pytest.param(GOOD[: GOOD.rindex("23:36") + 4], "not expected: '23:3'", id="cut-in-clock"),
        pytest.param(TWO[:-2], "cut off or broken", id="cut-in-probability"),
        pytest.param(GOOD.replace("class dist", "x"), "no line 'class dist", id="no-classes"),
        pytest.param(GOOD.replace("dataOpts", "x"), "no line 'dataOpts'", id="no-options"),
        pytest.param(GOOD.replace("prediction length", "x"), "no line 'pred", id="no-lengths"),
        pytest.param(GOOD.replace("'fmin': 500,", ""), "no 'fmin'", id="no-band"),
        pytest.param(GOOD.replace("{'A'", "{A"), "line 5 holds no dictionary", id="bad-classes"),
        pytest.param(GOOD.replace("'B': 1", "'B': 0"), "not numbered", id="same-index"),
        pytest.param(GOOD.replace("B-1", "B-2"), "class B-2 at 0.0 s", id="wrong-class"),
        pytest.param(GOOD.replace("prob=0.7", "prob=nan"), "broken", id="nan"),
        pytest.param(GOOD.replace("=0.1-0.5", "=0.1-0.05"), "order of time", id="backwards"),
        pytest.param(GOOD.replace("=0.0-0.4", "=0.2-0.4"), "order of time", id="disorder"),
        pytest.param(GOOD + "garbage\n", "not expected: 'garbage'", id="garbage"),
    ],
)
def test_bad_logs_are_explained(text, message, write):
    path = write(text)
    with pytest.raises(ResultError, match=message) as error:
        read_result(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_a_class_name_is_not_run_as_code(write, tmp_path):
    mark = tmp_path / "mark"
    with pytest.raises(ResultError, match="holds no dictionary"):
        read_result(write(GOOD.replace("{'A': 0", f"open({str(mark)!r}, 'w') or {{'A': 0")))
    assert not mark.exists()


@pytest.mark.parametrize("writer", [write_csv, write_parquet])
@pytest.mark.parametrize("names", [NASTY, ["noise", "target"]], ids=["several", "two"])
def test_csv_and_parquet(writer, names, tmp_path):
    p = np.random.default_rng(2).dirichlet(np.ones(len(names)), 9).astype(np.float32).tolist()
    suffix = writer.__name__.removeprefix("write_")
    result = read_result(writer(tmp_path / f"rec_predict_output.{suffix}", names, p))
    assert result.file == "a/rec.wav"
    assert result.names == names
    assert result.start_s[:2].tolist() == [0, 0.25]
    assert result.winner.tolist() == np.argmax(p, axis=1).tolist()
    expected = np.array(p)[:, 1] if len(names) == 2 else np.max(p, axis=1)
    assert result.score.tolist() == expected.tolist()
    assert result.probabilities.tolist() == p
    assert (result.f_min, result.f_max, result.sequence_len, result.hop) == (500, 10000, 0.5, 0.25)
    assert str(result.f_min) == "500"


@pytest.mark.parametrize("writer", [write_csv, write_parquet])
def test_csv_and_parquet_without_windows(writer, tmp_path):
    path = tmp_path / f"a.{writer.__name__.removeprefix('write_')}"
    if writer is write_csv:
        writer(path, ["A", "B"], [])
    else:
        writer(path, ["A", "B"], np.zeros((0, 2)))
    with pytest.raises(ResultError, match="holds no window"):
        read_result(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda t: "", "no column file", id="empty"),
        pytest.param(lambda t: t.replace("p_A", "q"), "no column p_<class>", id="one-class"),
        pytest.param(lambda t: t.replace("fmin_hz", "x"), "no column fmin_hz", id="no-band"),
        pytest.param(lambda t: t[: t.rindex(",")], "line 4 is cut off", id="cut-off"),
        pytest.param(
            lambda t: t.replace("0.25,0.75", "0.25,x"),
            "line 2: could not convert .* 'x'",
            id="text",
        ),
        pytest.param(lambda t: t.replace("0.25,0.75", "0.25,nan"), "not finite", id="nan"),
        pytest.param(lambda t: t.replace("p_A", "p_B"), "two columns of one", id="twice"),
        pytest.param(lambda t: t.replace("rec.wav,0.25", "b.wav,0.25"), "2 recordings", id="two"),
    ],
)
def test_bad_csv_is_explained(change, message, tmp_path):
    path = write_csv(tmp_path / "a.csv", ["A", "B"], [[0.25, 0.75], [0.5, 0.5], [0.5, 0.5]])
    path.write_text(change(path.read_text()))
    with pytest.raises(ResultError, match=message):
        read_result(path)


def test_bad_parquet_is_explained(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", ["A", "B"], [[0.25, 0.75]])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ResultError, match="not a complete parquet file") as error:
        read_result(path)
    assert "\n" not in str(error.value)


def test_what_looks_like_a_log(write):
    assert looks_like_log(write(GOOD))
    assert looks_like_log(write(GOOD.replace("|I|", "|INFO|")))
    assert not looks_like_log(write("Selection\tView\n"))
    assert not looks_like_log(write(b"PK\x03\x04\xff"))
    assert not looks_like_log(write(""))


def test_a_day_is_read_in_seconds(write):
    names = ["A", "B", "C", "noise"]
    rows = np.random.default_rng(3).dirichlet(np.ones(4), 60).tolist()
    records = [window("{0}", "{1}", names, p) for p in rows]
    n = 34_560  # a tenth of a day at four windows a second
    text = log_text(names, []) + "".join(
        records[i % 60].format(i / 4, i / 4 + 0.5) for i in range(n)
    )
    path = write(text)
    begin = time.process_time()
    assert len(read_result(path).start_s) == n
    assert time.process_time() - begin < 3  # about 0.5 s

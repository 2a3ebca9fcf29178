"""utils/text.py: names of others on the screen and in logs."""

import logging

import pytest
import torch

from animal_spot.utils.errors import one_line
from animal_spot.utils.logging import Formatter
from animal_spot.utils.text import printable, printable_lines
from tests.helpers.prediction import PLAIN, write_sound

ESCAPES = [
    pytest.param("N04 Größe – 3 %, 鯨", "N04 Größe – 3 %, 鯨", id="visible-stays"),
    pytest.param("\x1b[2J", r"\x1b[2J", id="clears-the-screen"),
    pytest.param("\x9b2J", r"\x9b2J", id="the-same-in-one-byte"),
    pytest.param("a\r\nb\tc", r"a\r\nb\tc", id="line-ends"),
    pytest.param("a\u2028b\x85", r"a\u2028b\x85", id="line-ends-of-unicode"),
    pytest.param("abc\u202efdp", r"abc\u202efdp", id="turns-the-direction"),
    pytest.param("r\udce9union", r"r\xe9union", id="a-byte-that-is-not-utf-8"),
    pytest.param("\ud800", r"\ud800", id="half-a-character"),
    pytest.param("\0", r"\x00", id="nul"),
]


@pytest.mark.parametrize(("text", "shown"), ESCAPES)
def test_what_is_invisible_is_shown(text, shown):
    assert printable(text) == shown
    assert one_line(ValueError(f"class {text}!\n")) == f"class {shown}!"
    assert one_line(FileNotFoundError(2, "No such file", text)) == f"No such file: {shown}"


@pytest.mark.parametrize(("text", "shown"), ESCAPES)
def test_the_log_shows_names_and_does_not_obey_them(text, shown):
    record = logging.LogRecord("x", logging.INFO, "x", 1, "class %s\n", (text,), None)
    line = Formatter().format(record)
    assert line.endswith(f"|I|class {shown}\\n")


def test_messages_of_several_lines_are_marked():
    record = logging.LogRecord("x", logging.INFO, "x", 1, "a\n\x1bb", (), None)
    record.lines = True
    assert Formatter().format(record).endswith("|I|a\n\\x1bb")
    assert printable_lines("a\r\n\x1b\nc\n") == "a\n\\x1b\nc\n"


def test_tracebacks_in_the_log_show_names_too():
    try:
        raise ValueError("\x1b[2J")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("x", logging.ERROR, "x", 1, "failed", (), info)
    text = Formatter().format(record)
    assert "\x1b" not in text
    assert text.endswith(r"ValueError: \x1b[2J")


def test_of_a_traceback_the_last_line_is_shown():
    error = ValueError(
        "Caught ValueError in DataLoader worker process 0.\nOriginal Traceback (most recent call "
        'last):\n  File "x.py", line 1, in f\nutils.x.ClipError: clip \x1b[2J is too short\n'
    )
    assert one_line(error) == r"clip \x1b[2J is too short"
    assert one_line(RuntimeError("Error(s) in loading:\n\tsize mismatch\n")) == "size mismatch"
    assert one_line(KeyError()) == "KeyError"


def test_results_on_the_screen_show_names(models, tmp_path, capsys):
    from animal_spot import predict

    content = torch.load(models("multi"), weights_only=True)
    content["classes"] = {"\x1b[2J": 0, "b": 1, "noise": 2, "d": 3}
    torch.save(content, tmp_path / "model.pk")
    path = write_sound(tmp_path / "a.wav", 0.5)
    argv = ["--model_path", tmp_path / "model.pk", "--input_file", path, "--threshold", 0, *PLAIN]
    assert predict.main(list(map(str, argv))) == 0
    shown = capsys.readouterr()
    assert "\x1b" not in shown.err + shown.out
    assert r"\x1b[2J" in shown.err

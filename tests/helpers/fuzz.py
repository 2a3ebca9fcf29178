"""What the fuzz tests share: a run that must end well, and content that was tampered with.

``FUZZ=100 pytest tests/animal_spot/fuzz`` tries 100 times as many
examples, other ones each time.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import io
import math
import os
import re
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from hypothesis import Phase, settings
from hypothesis import strategies as st

FACTOR = int(os.environ.get("FUZZ", "1"))
LIMIT_S = 30  # of computing for one run; what waits is given ten times that
HOSTILE_TEXTS = (
    *("", " ", "\x1b[2J", "a\nb", r"$\frac{$", "../../elsewhere/x", "/", "=1+1", "r\udce9union"),
    *("nan", "inf", "-inf", "1e20", "-1", "0", "1e-320", "9" * 400, "a" * 5000, "\u202eabc", "é"),
)
HOSTILE_VALUES = (
    *(None, True, False, -1, 0, 1, 0.5, 1e20, -1e20, math.nan, math.inf, 10**30, 2**31, 1e-320),
    *HOSTILE_TEXTS,
    *([], {}, [[]], (), [None], {"a": 1}, [1e20] * 3, b"x"),
)


def examples(n: int) -> Callable:
    """Return Hypothesis' settings for ``n`` examples, or ``FACTOR`` times as many."""
    return settings(
        max_examples=n * FACTOR,
        derandomize=FACTOR == 1,
        deadline=None,
        phases=[Phase.generate],  # runs take too long to look for the simplest that fails
        report_multiple_bugs=False,
        database=None,
    )


class TooSlow(BaseException):
    """A run that does not end."""


@contextlib.contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise ``TooSlow`` in the block after so many seconds."""

    def stop(*_: object) -> None:
        raise TooSlow(f"over {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def snapshot(folder: Path) -> dict[str, tuple]:
    """Return what is in a folder: size and time of each file."""
    return {
        str(path): (state.st_size, state.st_mtime_ns, state.st_mode)
        for path in sorted(folder.rglob("*"))
        if (state := path.lstat()) is not None and not path.is_dir()
    }


def run(program: str, argv: Sequence[object], elsewhere: Path) -> tuple[int, str]:
    """Run a program in this process and check how it ends.

    Args:
        program: Its module.
        argv: Its arguments.
        elsewhere: A folder that it has no business with, and that becomes the current one.

    Returns:
        The exit status and what was shown.
    """
    module = importlib.import_module(f"animal_spot.{program}")
    shown = io.StringIO()
    before, here = snapshot(elsewhere), Path.cwd()
    started = time.process_time()
    os.chdir(elsewhere)
    try:
        with (
            time_limit(10 * LIMIT_S),
            contextlib.redirect_stderr(shown),
            contextlib.redirect_stdout(shown),
            warnings.catch_warnings(),
        ):
            try:
                status = module.main([str(argument) for argument in argv])
            except SystemExit as end:
                status = end.code
    finally:
        os.chdir(here)
    text = shown.getvalue()
    assert status in (0, 1, 2, 3), text
    for said in ("Traceback", "fault of this program", "weights_only", "\x1b", "Error:"):
        assert said not in text, text
    if status == 1:
        assert len(re.findall(r"^\d\d:\d\d:\d\d\|E\|", text, re.MULTILINE)) >= 1, text
    assert time.process_time() - started < LIMIT_S, text
    assert snapshot(elsewhere) == before, "it wrote outside of its folders"
    return status, text


@st.composite
def tampered_bytes(draw: st.DrawFn, good: bytes) -> bytes:
    """Draw a file that was cut, overwritten or is something else."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=300))
    content = bytearray(good)
    for _ in range(draw(st.integers(1, 3))):
        # Headers decide most, so half of the edits are there.
        end = min(len(content), 120) if draw(st.booleans()) else len(content)
        place = draw(st.integers(0, max(0, end - 1)))
        kind = draw(st.sampled_from(("number", "byte", "cut", "delete", "insert")))
        if kind == "number":
            size = draw(st.sampled_from((1, 2, 4, 8)))
            value = draw(st.sampled_from((0, 1, 2**7, 2**15, 2**31 - 1, 2**31, 2**63)))
            top = 256**size - 1
            number = draw(st.sampled_from((min(value, top), top)))
            content[place : place + size] = number.to_bytes(size, "little")
        elif kind == "byte":
            content[place : place + 1] = draw(st.binary(min_size=1, max_size=1))
        elif kind == "cut":
            del content[place:]
        elif kind == "delete":
            del content[place : place + draw(st.integers(1, 50))]
        else:
            content[place:place] = draw(st.binary(min_size=1, max_size=50))
    return bytes(content)


@st.composite
def tampered_text(draw: st.DrawFn, good: str) -> bytes:
    """Draw a text file in which fields and lines were changed."""
    lines = good.split("\n")
    for _ in range(draw(st.integers(1, 3))):
        number = draw(st.integers(0, len(lines) - 1))
        kind = draw(st.sampled_from(("field", "field", "field", "line", "delete", "repeat")))
        if kind == "field":
            fields = re.split(r"([\t,;=|: ])", lines[number])
            place = 2 * draw(st.integers(0, len(fields) // 2))
            fields[place] = draw(st.sampled_from(HOSTILE_TEXTS))
            lines[number] = "".join(fields)
        elif kind == "line":
            lines[number] = draw(st.one_of(st.sampled_from(HOSTILE_TEXTS), st.text(max_size=50)))
        elif kind == "delete":
            lines[number : number + 1] = [] if len(lines) > 1 else [""]
        else:
            lines.insert(number, lines[number])
    errors = "surrogateescape" if draw(st.booleans()) else "replace"
    content = "\n".join(lines).encode("utf-8", errors)
    if draw(st.integers(0, 4)) == 0:
        return draw(tampered_bytes(content))
    return content


@st.composite
def tampered(draw: st.DrawFn, good: Any) -> Any:
    """Draw content in which one or two values were changed, added or taken away."""
    content = copy.deepcopy(good)
    for _ in range(draw(st.integers(1, 2))):
        if not isinstance(content, (dict, list)) or not content:
            break
        if draw(st.integers(0, 19)) == 0:
            return draw(hostile_values())
        _tamper(draw, content)
    return content


def _tamper(draw: st.DrawFn, node: Any) -> None:
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = draw(st.sampled_from(keys))
        below = node[key]
        if isinstance(below, (dict, list)) and below and draw(st.integers(0, 4)):
            node = below
            continue
        kind = draw(st.sampled_from(("change", "change", "change", "delete", "add")))
        if kind == "change":
            node[key] = draw(hostile_values(below))
        elif kind == "delete":
            del node[key]
        elif isinstance(node, dict):
            node[draw(st.sampled_from(HOSTILE_TEXTS))] = draw(hostile_values())
        else:
            node.append(draw(hostile_values()))
        return


def hostile_values(before: Any = None) -> st.SearchStrategy:
    """Return a strategy for values that should not be there, for tensors also other tensors."""
    if isinstance(before, torch.Tensor):
        return st.sampled_from(
            (
                *(torch.zeros(0), torch.full_like(before, math.nan), before[..., :0]),
                *(torch.full_like(before, 1e30), before.flatten(), before.to(torch.float64)),
                *(torch.zeros(2, 3, dtype=torch.int8), None, "x", 3),
            )
            if before.is_floating_point()
            else (before - 5, torch.zeros(3), None, "x")
        )
    return st.sampled_from(HOSTILE_VALUES)

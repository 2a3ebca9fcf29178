"""utils/typed.py: what files hold, as values of known types."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from animal_spot.utils.typed import ContentError, integer, number, parse_json, read_json, typed


@dataclass
class Entry:
    name: str
    count: int
    sizes: dict[str, int]
    share: float = 0.5
    rows: list[list[float]] = field(default_factory=list)
    note: str | None = None


GOOD = {"name": "a", "count": 3, "sizes": {"x": 1}, "share": 1, "rows": [[1, 2.5]], "note": None}


def test_content_of_the_right_types_is_taken():
    entry = typed(Entry, GOOD, "the line")
    assert entry == Entry("a", 3, {"x": 1}, 1.0, [[1.0, 2.5]], None)
    assert isinstance(entry.share, float)
    assert typed(Entry, {"name": "a", "count": 0, "sizes": {}}, "the line").rows == []
    assert typed(tuple[int, ...], [1, 2], "x") == (1, 2)
    assert typed(Literal["mix", 1], "mix", "x") == "mix"
    assert typed(Any, [object], "x") == [object]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        pytest.param({"name": 3}, r"the line\.name is 3, not a text", id="number-for-text"),
        pytest.param({"name": None}, r"name is None, not a text", id="null-for-text"),
        pytest.param({"count": True}, r"count is True, not a whole number", id="true-for-1"),
        pytest.param({"count": 1.0}, r"count is 1\.0, not a whole", id="fraction"),
        pytest.param({"count": 10**400}, "count is .*not a whole", id="huge"),
        pytest.param({"count": 10**9999}, "count is a huge number, not", id="too-huge-to-show"),
        pytest.param({"share": 10**400}, "share is .*not a number", id="huge-for-a-fraction"),
        pytest.param({"share": float("nan")}, "share is nan, not a finite", id="nan"),
        pytest.param({"share": float("inf")}, "share is inf, not a finite", id="infinite"),
        pytest.param({"share": "0.5"}, "share is '0.5', not a number", id="text"),
        pytest.param({"sizes": [1]}, "sizes is of type list, not an object", id="list"),
        pytest.param({"sizes": {"x": "1"}}, r"sizes\.x is '1'", id="nested"),
        pytest.param({"sizes": {3: 1}}, "key of the line.sizes is 3", id="key"),
        pytest.param({"rows": [[1], [None]]}, r"rows\[1\]\[0\] is None", id="nested-list"),
        pytest.param({"rows": "ab"}, "rows is 'ab', not a list", id="text-for-list"),
        pytest.param({"other": 1}, "has other, which is not known", id="unknown-key"),
        pytest.param({"name": "\x1b" * 99, "note": 5}, "note is 5", id="second-of-a-union"),
    ],
)
def test_all_else_is_named(change, match):
    with pytest.raises(ContentError, match=match):
        typed(Entry, GOOD | change, "the line")


@pytest.mark.parametrize("content", [None, [], "x", 3, [GOOD]], ids=repr)
def test_what_is_no_object_is_named(content):
    with pytest.raises(ContentError, match=r"the line is .*, not an object"):
        typed(Entry, content, "the line")


def test_what_lacks_is_named():
    with pytest.raises(ContentError, match="the line has no count"):
        typed(Entry, {"name": "a", "sizes": {}}, "the line")


def test_ranges():
    assert number(3, "x", least=1, most=3) == 3
    assert integer(3, "x", least=3, most=3) == 3
    with pytest.raises(ContentError, match=r"x is 4, which is not in 1\.\.3"):
        number(4, "x", least=1, most=3)
    with pytest.raises(ContentError, match=r"x is -1, which is not in 0\.\.3"):
        integer(-1, "x", least=0, most=3)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": NaN}', b"[Infinity]", b"1" * 5000, b"\0"],
    ids=["empty", "half", "no-text", "nested", "nan", "infinite", "long", "nul"],
)
def test_what_is_no_json_is_named(content, tmp_path):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ContentError, match=r"a\.json holds no JSON"):
        read_json(tmp_path / "a.json")


def test_what_is_no_file_is_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(ContentError, match="is not a file"):
            read_json(path)
    with (tmp_path / "long").open("wb") as file:
        file.truncate(2**30 + 1)  # takes no room
    with pytest.raises(ContentError, match=f"too large: {2**30 + 1} bytes"):
        read_json(tmp_path / "long")
    assert parse_json(b"[1]", "x") == [1]

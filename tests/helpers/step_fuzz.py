"""What the fuzz tests of the footprint steps share: values, and an end that is good."""

from __future__ import annotations

import contextlib
import io

from hypothesis import strategies as st

from footprints.system.errors import run

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["images/train", "images/val", "../x", "/", "a\0b", "x" * 5000, "2001-99-99"])
)


VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.integers(-2, 3), inner, max_size=3)
    ),
    max_leaves=6,
)


NASTY = [
    *("", " ", "-1", "0", "-0", "nan", "inf", "-inf", "1e20", "1e400", "1_0", "٣", "9" * 5000),
    *("x" * 5000, "a\0b", "a\nb", "\x1b[31m", "\udcff", "/dev/null", "/dev/zero", "true", "[1]"),
]


def ends_well(main, *argv: object) -> int:
    """Run a step as the program does; return its status after a look at what it said."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            status = run(lambda: main([str(word) for word in argv]))
        except SystemExit as error:
            status = error.code
    text = said.getvalue()
    assert status in (0, 1, 2, 3), text
    assert "Traceback" not in text
    assert "not foreseen" not in text, text
    if status == 1:
        assert len([line for line in text.splitlines() if line.startswith("error: ")]) == 1, text
        assert "\x1b" not in text
    return status


def flags_of(step) -> list[str]:
    return sorted(
        action.option_strings[0]
        for action in step.build_parser()._actions
        if action.option_strings and action.nargs != 0
    )

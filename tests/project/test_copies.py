"""Both halves look alike, without an import between them."""

import pytest

from docs.copy_look import COMMAND, COPIES, copied
from tests.helpers.places import ROOT


@pytest.mark.parametrize(("source", "copy"), COPIES)
def test_a_copy_is_what_it_is_a_copy_of(source, copy):
    there = (ROOT / copy).read_text(encoding="utf-8")
    assert there == copied(source), f"type: {COMMAND} (changes go into {source})"

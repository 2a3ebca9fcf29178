"""Values of flags."""

from __future__ import annotations

import argparse

import pytest

from footprints.system.flags import some_path


def test_addresses_are_refused_with_what_to_do():
    with pytest.raises(argparse.ArgumentTypeError, match=r"s3://bucket/photos is an address.*copy"):
        some_path("s3://bucket/photos")
    assert some_path("a:/b").parts, "a drive of Windows is none"

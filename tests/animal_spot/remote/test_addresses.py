"""Addresses go by paths and come back whole; credentials are never shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animal_spot.remote.addresses import (
    full_name,
    is_address,
    is_remote,
    path_in,
    path_of,
    shown,
    without_secrets,
)

# S3 allows any text as a key; a backslash would part names on Windows.
KEYS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\\\r\n"), min_size=1, max_size=30
).filter(lambda key: not key.endswith("/"))


@settings(max_examples=50)
@given(key=KEYS)
def test_address_comes_back_whole(key):
    address = f"s3://bucket/{key}"
    path = path_of(address)
    assert is_remote(path)
    assert shown(path) == full_name(path) == address
    assert path_in(shown(path)) == path


@pytest.mark.parametrize(
    "address",
    [
        "s3://b/a//b.wav",
        "s3://b/./x/../y.wav",
        "s3://b/%~/x.wav",
        "https://host:8080/a%20b.wav",
        "memory://a/b.wav",
        "file:///data/x y/z.wav",
        "gs://b/ü.wav",
    ],
)
def test_what_a_path_would_lose_stays(address):
    assert shown(path_of(address)) == address


def test_name_and_ending_are_those_of_a_file():
    path = path_of("s3://bucket/2024/R_20240331_003000.wav")
    assert (path.name, path.suffix, path.parent.name) == ("R_20240331_003000.wav", ".wav", "2024")


@pytest.mark.parametrize("text", ["a.wav", "/data/s3/x.wav", "C:/x.wav", "C:\\x.wav", "c://x"])
def test_files_of_this_computer_are_no_addresses(text):
    assert not is_address(text)
    assert not is_remote(Path(text))
    assert shown(Path("x") / "a.wav") == str(Path("x/a.wav"))
    assert full_name(Path("x.wav")) == os.path.abspath("x.wav")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("s3://KEY:hush@bucket/x.wav", "user and password"),
        ("https://me:hush@host/x.wav", "user and password"),
        ("https://host/x.wav?X-Amz-Signature=hush", r"with \? or #"),
        ("dropbox://hush@x/y", "dropbox:// are not read, but those of s3://"),
        ("s3://", "neither a place nor a file"),
    ],
)
def test_others_are_refused_without_showing_a_credential(address, said):
    with pytest.raises(ValueError, match=said) as refused:
        path_of(address)
    assert "hush" not in str(refused.value)


def test_texts_of_libraries_lose_their_secrets(monkeypatch):
    monkeypatch.setenv("SOME_SECRET_KEY", "abcdefgh1")
    text = "GET https://me:pw@host/a?sig=1&x=2 failed for abcdefgh1, see 'https://h/b?sig=3'"
    assert without_secrets(text) == "GET https://host/a failed for ***, see 'https://h/b'"

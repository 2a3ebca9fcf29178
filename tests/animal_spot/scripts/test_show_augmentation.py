"""TRAINING/show_augmentation.py: what it draws and what it refuses."""

import runpy

import numpy as np
import pytest
from PIL import Image

from tests.helpers.clips import make_corpus
from tests.helpers.places import ROOT
from tests.helpers.programs import call, run_python

SCRIPT = ROOT / "TRAINING" / "show_augmentation.py"


@pytest.fixture(scope="module")
def draw():
    """Return a function that runs the script in this process."""
    main = runpy.run_path(str(SCRIPT))["main"]
    return lambda *arguments: call(main, *arguments)


@pytest.mark.parametrize("source", ["synthetic", "folder", "clip"])
def test_it_draws_twelve_pictures_into_one(draw, tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    clips = make_corpus(tmp_path / "clips", {"A": ["T1"], "noise": ["T2"]}, seconds=1.0)
    arguments = {
        "synthetic": (),
        "folder": ("--data_dir", clips),
        "clip": ("--clip", next((clips / "A").glob("*.wav"))),
    }[source]
    result = draw("--output", "picture.png", *arguments)
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "picture.png") as image:
        picture = np.asarray(image.convert("RGB"))
    assert picture.shape[0] > 600
    assert picture.shape[1] > 900
    # Three by four spectrograms: the middle of each is coloured, not white.
    for row in range(3):
        for column in range(4):
            y = int((row + 0.6) / 3 * picture.shape[0])
            x = int((column + 0.55) / 4 * picture.shape[1])
            assert (picture[y - 20 : y + 20, x - 20 : x + 20].min(2) < 200).mean() > 0.9
    assert (tmp_path / "picture.png").stat().st_size < 300_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(
            ("--data_dir", "empty"), "empty holds no sound that can be read", id="no-clips"
        ),
        pytest.param(("--clip", "none.wav"), "none.wav", id="no-such-clip"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_one_line(draw, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "other.wav").write_bytes(b"")
    result = draw("--output", "picture.png", *arguments)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert message in line
    assert not (tmp_path / "picture.png").exists()


def test_a_file_that_is_no_picture_is_not_replaced(tmp_path):
    (tmp_path / "mine.png").write_text("my table")
    result = run_python(SCRIPT, "--output", "mine.png", cwd=tmp_path)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "mine.png is there already and is no PNG picture" in line
    assert [path.name for path in tmp_path.iterdir()] == ["mine.png"]
    assert (tmp_path / "mine.png").read_text() == "my table"

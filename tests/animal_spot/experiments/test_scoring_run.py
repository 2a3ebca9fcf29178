"""What calibrate.py and ensemble.py do before they write: nothing is replaced, nothing is mixed."""

from __future__ import annotations

import pytest

from animal_spot.experiments.scoring_run import new_files
from animal_spot.utils.files import locked


@pytest.mark.parametrize("name", ["m.pk", "m.json", "m.png"])
def test_no_file_of_the_results_is_replaced(tmp_path, name):
    (tmp_path / name).write_text("kept")
    with (
        pytest.raises(ValueError, match=rf"{name} is there already; name another .* --output"),
        new_files(tmp_path / "m.pk", "--output", beside=(".json", ".png")),
    ):
        pytest.fail("it began")
    assert (tmp_path / name).read_text() == "kept"


def test_a_link_to_nothing_is_there_too(tmp_path):
    (tmp_path / "m.pk").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="is there already"), new_files(tmp_path / "m.pk", "-o"):
        pytest.fail("it began")


def test_two_processes_never_write_one_file(tmp_path):
    path = tmp_path / "m.pk"
    with (
        locked(tmp_path / ".m.pk.lock"),
        pytest.raises(OSError, match=r"another process is writing .*m\.pk; wait"),
        new_files(path, "--output"),
    ):
        pytest.fail("it began")
    (tmp_path / ".m.pk.9999999.0123abcd.tmp").write_text("left by a killed process")
    with new_files(path, "--output"):
        pass
    assert list(tmp_path.iterdir()) == []

from __future__ import annotations

import io
import logging
import os
import pickle
from pathlib import Path

import pytest
import torch

from animal_spot.training.checkpoints import KEPT, CheckpointFolder
from animal_spot.utils.tensor_files import UnreadableFileError, load_tensors, save_tensors


def content(epoch: int) -> dict:
    return {"modelState": {"w": torch.full((3,), float(epoch))}, "trainState": {"epoch": epoch}}


@pytest.fixture
def folder(tmp_path) -> CheckpointFolder:
    return CheckpointFolder(tmp_path, "binary_classifier")


def names(folder: CheckpointFolder) -> list[str]:
    return sorted(p.name for p in folder.folder.iterdir())


def test_name_is_that_of_the_original(folder):
    path = folder.save(content(7), 7)
    assert path.name == "binary_classifier_epoch_00007.checkpoint"
    assert names(folder) == [path.name]


def test_newest_five_are_kept(folder):
    for epoch in range(0, 16, 2):
        folder.save(content(epoch), epoch)
    assert KEPT == 5
    assert names(folder) == [
        f"binary_classifier_epoch_{epoch:05d}.checkpoint" for epoch in (6, 8, 10, 12, 14)
    ]
    loaded, path = folder.load_newest()
    assert path == folder.path_of(14)
    assert loaded["trainState"]["epoch"] == 14
    assert torch.equal(loaded["modelState"]["w"], torch.full((3,), 14.0))


def test_files_of_other_tasks_are_neither_read_nor_removed(folder):
    other = CheckpointFolder(folder.folder, "multi_class_3_classifier")
    other.save(content(99), 99)
    (folder.folder / "binary_classifier_epoch_x.checkpoint").touch()
    for epoch in range(7):
        folder.save(content(epoch), epoch)
    assert other.path_of(99).exists()
    assert (folder.folder / "binary_classifier_epoch_x.checkpoint").exists()
    assert folder.load_newest()[1] == folder.path_of(6)


def test_what_was_just_saved_is_never_what_is_removed(folder):
    for epoch in range(6, 11):
        folder.save(content(epoch), epoch)
    assert folder.save(content(1), 1).exists()


def test_without_checkpoints_there_is_none(folder):
    assert folder.load_newest() is None
    assert folder.set_aside() is None


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda b: b"", id="empty"),
        pytest.param(lambda b: b[: len(b) // 2], id="half"),
        pytest.param(lambda b: b[:-30], id="end-missing"),
        pytest.param(lambda b: b[:3], id="three-bytes"),
        pytest.param(lambda b: bytes(len(b)), id="zeros"),
        pytest.param(lambda b: b"not a checkpoint\n" * 9, id="text"),
        pytest.param(lambda b: b'{"a": 1}', id="json"),
        pytest.param(lambda b: b"0" * 100, id="digits"),
        pytest.param(lambda b: b"\xff" * 100, id="ones"),
        pytest.param(lambda b: b"\x80\x02" + b[:200], id="pickle-start"),
        pytest.param(lambda b: b"RIFF" + b, id="shifted"),
    ],
)
def test_damaged_newest_gives_way_to_the_one_before(folder, caplog, damage):
    for epoch in (2, 4):
        folder.save(content(epoch), epoch)
    newest = folder.path_of(4)
    newest.write_bytes(damage(newest.read_bytes()))
    with caplog.at_level(logging.WARNING):
        loaded, path = folder.load_newest()
    assert path == folder.path_of(2)
    assert loaded["trainState"]["epoch"] == 2
    assert newest.name in caplog.text
    assert newest.exists(), "the damaged file is left where it is"


def test_truncation_anywhere_is_recognised(tmp_path):
    path = tmp_path / "x"
    save_tensors(content(1), path)
    whole = path.read_bytes()
    for n in range(0, len(whole), 7):
        path.write_bytes(whole[:n])
        with pytest.raises(UnreadableFileError, match="cannot be read"):
            load_tensors(path)


def test_changed_byte_anywhere_is_either_harmless_or_recognised(tmp_path):
    path = tmp_path / "x"
    save_tensors(content(1), path)
    whole = path.read_bytes()
    escaped = {}
    for position in range(0, len(whole), 3):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        try:
            load_tensors(path)
        except UnreadableFileError:
            pass
        except Exception as error:
            escaped[type(error).__name__] = position
    assert escaped == {}


@pytest.mark.parametrize("value", [[1, 2], {"other": 1}, 5], ids=["list", "dict", "number"])
def test_file_that_is_no_checkpoint_gives_way(folder, value):
    folder.save(content(1), 1)
    torch.save(value, folder.path_of(3))
    assert folder.load_newest()[1] == folder.path_of(1)


def test_if_none_can_be_read_that_is_said(folder):
    for epoch in (1, 2):
        folder.path_of(epoch).write_bytes(b"")
    with pytest.raises(UnreadableFileError, match="--start_from_scratch"):
        folder.load_newest()


class Malicious:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self):
        return os.mkdir, (str(self.victim),)


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_code_in_a_file_is_not_run(tmp_path, writer):
    path, victim = tmp_path / "x.checkpoint", tmp_path / "made by the file"
    if writer == "torch":
        torch.save({"modelState": Malicious(victim)}, path)
    else:
        path.write_bytes(pickle.dumps({"modelState": Malicious(victim)}))
    with pytest.raises(UnreadableFileError, match="cannot be read"):
        load_tensors(path)
    assert not victim.exists()
    pickle.loads(pickle.dumps(Malicious(victim)))
    assert victim.exists(), "this test would not have noticed"


@pytest.mark.parametrize("error", [OSError(28, "No space left"), RuntimeError("write failed")])
def test_failing_write_leaves_the_old_file(folder, monkeypatch, error):
    folder.save(content(1), 1)
    before = folder.path_of(1).read_bytes()

    def fail_half_way(_content, path):
        Path(path).write_bytes(b"half a file")
        raise error

    monkeypatch.setattr("torch.save", fail_half_way)
    with pytest.raises(OSError, match=r"cannot write .*epoch_00001"):
        folder.save(content(1), 1)
    assert folder.path_of(1).read_bytes() == before
    assert names(folder) == [folder.path_of(1).name], "no half a file is left"


def test_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(OSError, match=r"cannot write .*gone"):
        CheckpointFolder(tmp_path / "gone", "p").save(content(0), 0)


def test_earlier_run_is_set_aside_whole(folder):
    for epoch in (1, 2):
        folder.save(content(epoch), epoch)
    (folder.folder / "notes.txt").touch()
    aside = folder.set_aside()
    assert sorted(p.name for p in aside.iterdir()) == [folder.path_of(e).name for e in (1, 2)]
    assert folder.files() == []
    assert folder.load_newest() is None
    assert (folder.folder / "notes.txt").exists()


def test_plain_torch_reads_what_is_written(folder):
    path = folder.save(content(3), 3)
    loaded = torch.load(io.BytesIO(path.read_bytes()), weights_only=True)
    assert loaded["trainState"] == {"epoch": 3}

"""prepare --shard and merge: the data set of one process, whatever was killed between."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from footprints import merge, prepare
from footprints.preparation import sets
from footprints.system.errors import UserError
from tests.helpers.photo_sets import make_real, write_photo
from tests.helpers.programs import run_code, run_process

CODE = """
import os, signal, sys
from footprints import prepare
from footprints.preparation import journal
real, left = journal.Journal.add, [4]
def add(self, record):
    real(self, record)
    left[0] -= 1
    if not left[0]:
        self._file.write(b'{"set_name": "real", "sou')
        self._file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
journal.Journal.add = add
prepare.main(sys.argv[1:])
"""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three classes; one photo twice, one that looks like another, one broken, one out of place."""
    folder = make_real(tmp_path / "photos", {"chat": 9, "loup": 9, "ours": 6})
    shutil.copy(folder / "chat" / "chat0.jpg", folder / "chat" / "twin.jpg")
    write_photo(folder / "loup" / "alike.jpg", 9, quality=60)
    (folder / "ours" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no photo")
    write_photo(folder / "nowhere.jpg", 99)
    return folder


def flags(photos: Path, *more: object) -> list[str]:
    fixed = ["--detector", "none", "--image_size", "32", "--processes", "0", "--output_dir", "out"]
    return ["--real_dir", str(photos), *fixed, "--test_fraction", "0.2", *map(str, more)]


def shard(photos: Path, number: int, of: int = 3) -> int:
    return prepare.main(flags(photos, "--shard", f"{number}/{of}"))


def contents(folder: Path) -> dict[str, object]:
    """Return all files that are not hidden; the journal's lines in any order."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not path.name.startswith("."):
            data = path.read_bytes()
            found[name] = sorted(data.splitlines()) if path.suffix == ".jsonl" else data
    return found


@pytest.fixture
def whole(tmp_path: Path, photos: Path, monkeypatch) -> dict[str, object]:
    """What one process makes; the current folder is another one then."""
    for name in ("one", "shards"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "one")
    assert prepare.main(flags(photos)) == 3
    monkeypatch.chdir(tmp_path / "shards")
    return contents(tmp_path / "one" / "out")


def test_shards_give_what_one_process_gives(tmp_path, photos, whole, monkeypatch):
    assert {shard(photos, n) for n in (3, 1)} <= {0, 3}
    with pytest.raises(UserError, match=r"1 of 3 shards are missing: 2/3 not begun"):
        merge.main(["out"])
    assert not (tmp_path / "shards" / "out" / "real").exists(), "no tables of a part"
    shard(photos, 2)
    monkeypatch.chdir("/")
    assert merge.main([str(tmp_path / "shards" / "out")]) == 3
    assert contents(tmp_path / "shards" / "out") == whole
    with open(tmp_path / "shards" / "out" / "real" / "manifest.csv", encoding="utf-8") as file:
        rows = {row["source"]: row for row in csv.DictReader(file)}
    assert rows["chat/chat0.jpg"]["split"] == rows["chat/twin.jpg"]["split"]
    assert rows["chat/chat0.jpg"]["group"] == rows["chat/twin.jpg"]["group"]


@pytest.mark.skipif(os.name == "nt", reason="signals are a Unix thing")
def test_a_shard_that_is_killed_goes_on(tmp_path, photos, whole, monkeypatch):
    done = run_process(sys.executable, "-c", CODE, *flags(photos, "--shard", "1/2"))
    assert done.returncode == -signal.SIGKILL, done.stderr
    with pytest.raises(UserError, match=r"1/2 not finished; 2/2 not begun"):
        merge.main(["out"])
    made = []
    real_job = sets.job_of
    monkeypatch.setattr(prepare, "job_of", lambda *one: made.append(one[1]) or real_job(*one))
    shard(photos, 1, 2)
    n_first = len(made)
    shard(photos, 2, 2)
    assert n_first > 0
    assert len(made) == 26 - 4, "what was noted down is not made again"
    assert merge.main(["out"]) == 3
    found = contents(tmp_path / "shards" / "out")
    cut_off = b'{"set_name": "real", "sou'
    assert found["crops/journal.jsonl"] == sorted([cut_off, *whole["crops/journal.jsonl"]])
    assert found | {"crops/journal.jsonl": None} == whole | {"crops/journal.jsonl": None}


def test_what_does_not_belong_together_is_refused(tmp_path, photos, whole):
    with pytest.raises(UserError, match="no shard wrote here"):
        merge.main([str(photos)])
    shard(photos, 1, 2)
    prepare.main(flags(photos, "--shard", "2/2", "--seed", 1))
    with pytest.raises(UserError, match=r"with another --seed \(0 and 1\)"):
        merge.main(["out"])
    shard(photos, 2, 2)
    write_photo(photos / "ours" / "new.jpg", 500)
    with pytest.raises(UserError, match=r"holds other photos now \(29\).*\(28\)"):
        merge.main(["out"])
    (photos / "ours" / "new.jpg").unlink()
    write_photo(photos / "ours" / "ours0.jpg", 501)
    with pytest.raises(UserError, match=r"ours0.jpg: has changed.* --shard ./2"):
        merge.main(["out"])
    (tmp_path / "shards" / "out" / ".shard.1-of-2.json").write_text('{"version": 1}')
    with pytest.raises(UserError, match=r"1-of-2.json: .*run that shard again"):
        merge.main(["out"])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--shard", "1/2", "--ray"], "give one of them"),
        (["--ray_workers", "2"], "--ray_workers needs --ray"),
        (["--shard", "3/2"], "counted from 1/N to N/N"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(photos, capsys, more, said):
    with pytest.raises(SystemExit):
        prepare.main(flags(photos, *more))
    assert said in capsys.readouterr().err


def test_a_process_for_all_waits_for_shards_at_work(photos, whole):
    shard(photos, 1, 2)
    hold = (
        "import sys; from pathlib import Path\n"
        "from footprints.system.shard import Shard\n"
        "from footprints.system.shard_folder import shard_writer\n"
        "from footprints import merge, prepare\n"
        "from footprints.system.errors import UserError\n"
        "with shard_writer(Path('out'), Shard(2, 2)):\n"
        "    try:\n"
        "        prepare.main(sys.argv[1:])\n"
        "    except UserError as error:\n"
        "        print(error)\n"
    )
    assert "at work on shard 2/2" in run_code(hold, *flags(photos))
    assert json.loads(Path("out/.shard.1-of-2.json").read_text())["step"] == "prepare"

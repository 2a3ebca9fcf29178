"""predict --shard and merge: the files of one process, whatever was killed between."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from footprints import merge, predict
from footprints.network.classifier import Classifier
from footprints.prediction import sources
from footprints.system.errors import UserError
from tests.helpers.detector import red_square_detector
from tests.helpers.field_photos import field_exif, write_field_photo
from tests.helpers.keras_models import pictures, save
from tests.helpers.programs import run_process

N_PHOTOS = 70  # more than two batches, so that shards divide them otherwise

KILLED = """
import os, signal, sys
from footprints import predict
from footprints.cluster import answer_journal
real, left = answer_journal.AnswerJournal._add, [9]
def add(self, photo, found):
    real(self, photo, found)
    left[0] -= 1
    if not left[0]:
        self._file.write(b'{"photo": "b')
        self._file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
answer_journal.AnswerJournal._add = add
predict.main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def detector(tmp_path_factory) -> Path:
    return red_square_detector(tmp_path_factory.mktemp("detector") / "red.onnx")


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Photos in two folders, some with a place, one that cannot be used."""
    folder = tmp_path_factory.mktemp("photos") / "photos"
    for i, rgb in enumerate(pictures(N_PHOTOS - 2, side=48, seed=5)):
        rgb[8:24, 8:24] = (255, 0, 0)
        save(folder / "ab"[i % 2] / f"{i}.png", rgb)
    (folder / "a" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no photo")
    (folder / "notes.txt").write_text("not a photo")
    write_field_photo(folder / "b" / "den.jpg", pictures(1, side=48)[0], field_exif())
    return folder


@pytest.fixture(scope="module")
def flags(photos, model_file, detector) -> list[str]:
    known = ["--model", str(model_file), "--detector", str(detector), "--processes", "1"]
    return [str(photos), *known, "--output_dir", "out", "--annotate", "--contact_sheet"]


@pytest.fixture(scope="module")
def classifier(model_file) -> Classifier:
    return Classifier(model_file)


@pytest.fixture(scope="module")
def whole(flags, classifier, tmp_path_factory) -> dict[str, bytes]:
    """What one process writes."""
    folder = tmp_path_factory.mktemp("one")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "Classifier", lambda path: classifier)
        patch.chdir(folder)
        assert predict.main(flags) == 3
    return contents(folder / "out")


@pytest.fixture(autouse=True)
def here(classifier, tmp_path, monkeypatch) -> Path:
    """Let runs in this process use a model that is loaded already; return the current folder."""
    monkeypatch.setattr(sources, "Classifier", lambda path: classifier)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files that are not hidden."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def test_shards_give_what_one_process_gives(flags, whole, here, monkeypatch):
    assert {"report.html", "answers.kml", "annotated/b/den.jpg", "contact_sheet.jpg"} <= {*whole}
    out = here / "out"
    for number in (2, 3):
        assert predict.main([*flags, "--shard", f"{number}/3"]) in (0, 3)
    with pytest.raises(UserError, match=r"1 of 3 shards are missing: 1/3 not begun"):
        merge.main(["out"])
    assert not (out / "predictions.json").exists()
    predict.main([*flags, "--shard", "1/3"])
    monkeypatch.chdir("/")
    assert merge.main([str(out)]) == 3
    assert contents(out) == whole


@pytest.mark.skipif(os.name == "nt", reason="signals are a Unix thing")
def test_a_shard_that_is_killed_goes_on_with_what_is_missing(flags, whole, here):
    progress = here / "progress.jsonl"
    first = [*flags, "--shard", "1/2", "--progress_file", str(progress)]
    done = run_process(sys.executable, "-c", KILLED, *first)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with pytest.raises(UserError, match=r"1/2 not finished; 2/2 not begun"):
        merge.main(["out"])
    predict.main([*flags, "--shard", "2/2"])
    predict.main(first)
    last = json.loads(progress.read_text().splitlines()[-1])
    lines = [json.loads(line) for line in _whole_lines(Path("out/.completed.1-of-2.jsonl"))]
    n_mine = len({line["photo"] for line in lines})
    n_kept = n_mine - last["photos_total"]
    assert 9 - 1 <= n_kept <= 9, "one of the nine may be the broken one"
    assert (last["state"], last["seconds_left"]) == ("done", 0)
    predict.main([*flags, "--shard", "2/2", "--progress_file", str(progress)])
    last = json.loads(progress.read_text().splitlines()[-1])
    assert (last["state"], last["photos_total"]) in {("done", 0), ("done", 1)}, "the broken one"
    done = run_process(sys.executable, "-m", "footprints.cli", "merge", "out")
    assert done.returncode == 3, done.stderr
    assert contents(Path("out")) == whole


def test_the_newest_answer_counts_whichever_shard_gave_it(model_file, here):
    some = here / "some"
    for i, rgb in enumerate(pictures(2, side=48, seed=11)):
        save(some / f"{i}.png", rgb)
    few = [str(some), "--model", str(model_file), "--detector", "none", "--no_report"]
    few += ["--processes", "1"]
    predict.main([*few, "--output_dir", "out", "--shard", "1/1"])
    for i, rgb in enumerate(pictures(2, side=48, seed=12)):
        save(some / f"{i}.png", rgb)
    for shard in ("1/2", "2/2", "1/1"):  # the last has nothing to do
        predict.main([*few, "--output_dir", "out", "--shard", shard])
    merge.main(["out"])
    predict.main([*few, "--output_dir", "one"])
    for name in ("predictions.json", "predictions.csv"):
        assert Path("out", name).read_bytes() == Path("one", name).read_bytes()


def _whole_lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line.endswith("}")]


def test_what_no_longer_belongs_together_is_refused(flags, photos):
    predict.main([*flags, "--shard", "1/2"])
    predict.main([*flags, "--shard", "2/2", "--top_k", "2"])
    with pytest.raises(UserError, match=r"with another --top_k \(3 and 2\)"):
        merge.main(["out"])
    predict.main([*flags, "--shard", "2/2", "--strip_location"])
    text = Path("out/.completed.2-of-2.jsonl").read_text()
    assert '"latitude": 4' not in text, "the journal of a stripped run tells no place"
    predict.main([*flags, "--shard", "2/2"])
    journal = Path("out/.completed.1-of-2.jsonl")
    lines = journal.read_bytes().splitlines()
    journal.write_bytes(b"\n".join(lines[:-1]))
    with pytest.raises(UserError, match=r"shard 1/2 has no answer to it any more"):
        merge.main(["out"])
    assert not Path("out/predictions.json").exists()
    new = save(photos / "new.png", pictures(1, side=48)[0])
    with pytest.raises(UserError, match=r"holds other photos now \(71\).*\(70\)"):
        merge.main(["out"])
    new.unlink()

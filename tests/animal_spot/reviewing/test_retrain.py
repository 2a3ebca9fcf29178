"""Retraining on what was decided: as a command, by the page, and which clips it takes."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from animal_spot.data.clip_dataset import Sample
from animal_spot.data.corpus import Corpus
from animal_spot.data.splits import load_split
from animal_spot.reviewing.answers import Review
from animal_spot.reviewing.comparison import Detection, change, held_against
from animal_spot.reviewing.judged import judged
from animal_spot.reviewing.project import Project
from animal_spot.reviewing.retrain_clips import KnownTapes, ReviewedClip, join
from animal_spot.reviewing.retrain_job import JobError, RetrainJob
from animal_spot.reviewing.retrain_process import sole_retraining
from animal_spot.reviewing.retrain_settings import further_options
from animal_spot.reviewing.server import make_app
from tests.helpers.programs import run_here, run_program
from tests.helpers.retraining import make_review, tape_of_part
from tests.helpers.reviewing import state_of, wait_until
from tests.helpers.training import SMALL, main_here, start, wait_for


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("retrain")
    make_review(folder)
    return folder


@pytest.fixture
def place(made, tmp_path) -> Path:
    """A copy whose results say where its own clips are."""
    folder = tmp_path / "place"
    shutil.copytree(made, folder)
    results = folder / "model" / "results.json"
    results.write_text(results.read_text().replace(str(made), str(folder)))
    with sqlite3.connect(folder / "review.sqlite") as db:
        db.execute("UPDATE recordings SET path = replace(path, ?, ?)", (str(made), str(folder)))
    return folder


def arguments(folder: Path, *more: object) -> list[object]:
    model = folder / "model" / "ANIMAL-SPOT.pk"
    return ["--project", folder / "review.sqlite", "--model", model, "--no_cuda", *more]


def figures(content: dict, name: str) -> dict[str, tuple[float, float]]:
    (rows,) = [one["rows"] for one in content["sets"] if one["name"] == name]
    return {row["measure"]: (row["before"]["value"], row["after"]["value"]) for row in rows}


def wrong_ids(folder: Path) -> set[int]:
    with sqlite3.connect(folder / "review.sqlite") as db:
        return {
            r[0] for r in db.execute("SELECT detection_id FROM decisions WHERE verdict='wrong'")
        }


def test_mistakes_are_gone_and_test_clips_untouched(place):
    before = {name: state_of(place / name) for name in ("clips", "model", "found", "recordings")}
    done = run_program("retrain", *arguments(place))
    assert done.returncode == 0, done.stderr
    for name, files in before.items():
        assert state_of(place / name) == files, name
    folder = place / "review_retrained" / "round_1"
    content = json.loads((folder / "retrained.json").read_text())
    # Each rattle was taken for a chirp, and there were as many hums, all of which are still found.
    reviewed = figures(content, "reviewed sample")
    assert reviewed["precision"] == (0.5, 1.0)
    assert reviewed["recall"] == (1.0, 1.0)
    assert reviewed["false alarms per hour"] == pytest.approx((12 / 50 * 3600, 0))
    assert figures(content, "reviewed, but not learned from")["precision"] == (0.5, 1.0)
    assert figures(content, "untouched test clips")["accuracy"] == (1.0, 1.0)
    assert {row["id"] for row in content["gone"]} == wrong_ids(place)
    assert content["still"] == content["lost"] == []
    assert "flatter" in content["notes"][-1]
    assert "12 of 12 reviewed mistakes are gone" in done.stdout
    # The clips that were trained on: the test part is as it was, and its tape taught nothing.
    with open(folder / "clips.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    split, _ = load_split(place / "clips")
    assert {Path(row["file"]).name for row in rows if row["split"] == "test"} == {
        Path(clip.path).name for clip in split.test
    }
    tape = tape_of_part(place / "clips", "test")
    ours = [row for row in rows if row["file"].startswith("corpus")]
    assert {row["split"] for row in ours} == {"train"}
    assert len(ours) == 12
    assert not any(tape in row["file"] for row in ours)
    assert f"{tape}.wav" in " ".join(content["notes"])
    digest = hashlib.sha256((folder / "model" / "ANIMAL-SPOT.pk").read_bytes()).hexdigest()
    assert digest in (folder / "model" / "MODEL_CARD.md").read_text(encoding="utf-8")
    # A second time there is nothing to do; a decision more is a new round.
    files = state_of(place / "review_retrained")
    again = run_here("retrain", *arguments(place))
    assert again.returncode == 0
    assert "finished already" in again.stderr
    assert state_of(place / "review_retrained") == files
    with sqlite3.connect(place / "review.sqlite") as db:
        db.execute("UPDATE decisions SET undone = 1 WHERE id = 1")
        db.execute("UPDATE decisions SET verdict = 'unsure' WHERE id = 3")
        # A rattle is where the hum before it is: no clean clip of noise.
        (hum,) = db.execute(
            "SELECT a.id FROM detections AS a, detections AS b WHERE b.id = (SELECT detection_id "
            "FROM decisions WHERE id = 6) AND a.recording_id = b.recording_id AND "
            "a.begin_s < b.begin_s ORDER BY a.begin_s DESC"
        ).fetchone()
        db.execute(
            "UPDATE detections SET (begin_s, end_s) = (SELECT begin_s, end_s FROM detections "
            "WHERE id = ?) WHERE id = (SELECT detection_id FROM decisions WHERE id = 6)",
            (hum,),
        )
    assert run_here("retrain", *arguments(place)).returncode == 0
    content = json.loads((place / "review_retrained" / "round_2" / "retrained.json").read_text())
    said = "\n".join(content["notes"])
    assert "teach nothing, since they are unsure or reviewers differ: 1" in said
    assert re.search(r"21 of 22 decided events .*left_out\.csv", said), said
    assert {k: v for k, v in state_of(folder.parent).items() if "round_1/" in k} == {
        k: v for k, v in files.items() if "round_1/" in k
    }


def test_a_network_goes_on_after_kill(place):
    network = place / "network"
    done = main_here(
        *("--data_dir", str(place / "clips"), "--model_dir", str(network), *SMALL),
        *("--max_train_epochs", "1", "--summary_dir", str(place / "summaries"), "--no_cuda"),
    )
    assert done.returncode == 0, done.stderr
    old = (network / "ANIMAL-SPOT.pk").read_bytes()
    given = arguments(place, "--model", network / "ANIMAL-SPOT.pk", "--epochs", 3)
    given += ["--", "--epochs_per_eval", "1", "--num_workers", "0"]
    assert further_options(["--no_tune_decoder"]) == {"tune_decoder": False}
    process = start(*map(str, given), program="retrain")
    wait_for(process, "epoch 1 of 3")
    job = RetrainJob(place / "review.sqlite", network / "ANIMAL-SPOT.pk")  # of a page begun now
    now = job.state()
    assert now["state"] == "running"
    assert f"process {process.pid}," in now["step"]
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    wait_until(lambda: job.state()["state"] != "running", 30)
    assert job.state()["step"].startswith("Round 1 is unfinished. Retrain goes on with it")
    done = run_here("retrain", *given)
    assert done.returncode == 0, done.stderr
    assert "epoch 1 of 3" not in done.stderr
    assert "epoch 3 of 3" in done.stderr
    folder = place / "review_retrained"
    assert [path.name for path in folder.glob("round_*")] == ["round_1"]
    results = json.loads((folder / "round_1" / "model" / "results.json").read_text())
    settings = results["settings"]
    assert settings["init_from"] == str(network / "ANIMAL-SPOT.pk")
    assert (settings["batch_size"], settings["epochs_per_eval"]) == (4, 1)
    assert settings["val_metric"] == "last"
    assert settings["init_share"] == 0.25
    assert settings["tune_decoder"], "although the old model had none"
    assert (network / "ANIMAL-SPOT.pk").read_bytes() == old
    (folder / "round_2").mkdir()
    later = job.state()
    assert later["step"].startswith("Round 2 is unfinished")
    assert later["state"] == "idle"
    assert later["result"]["round"] == 1
    assert later["result"]["model"]["after"] == str(folder / "round_1/model/ANIMAL-SPOT.pk")


def test_retraining_of_an_earlier_page_is_known(tmp_path):
    output = tmp_path / "b_retrained"
    output.mkdir()
    log = output / "retrain.log"
    job = RetrainJob(tmp_path / "b.sqlite", tmp_path / "model.pk")
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        lines = ["step 4 of 4: comparison", f"retraining is process {sleeper.pid}"]
        lines += ["step 2 of 4: training", "epoch 1 of 2"]
        text = "".join(f"10:00:00|I|{line}\n" for line in lines)
        log.write_text(text)
        with sole_retraining(output):
            (output / ".retrain.pid").write_text(str(sleeper.pid))
            now = job.state()
            assert (now["state"], now["done"]) == ("running", 0.375)
            assert now["lines"][0] == lines[1]
            assert f"process {sleeper.pid}," in now["step"]
            with pytest.raises(JobError, match="runs already"):
                job.start()
            assert log.read_text() == text
            job.stop()
            assert sleeper.wait(10)
    finally:
        sleeper.kill()
        sleeper.wait()
    assert job.state()["state"] == "idle"
    job.start()  # in vain, without a project
    job._process.wait(60)
    assert log.read_text().startswith(text)
    assert "does not exist" in job.state()["error"]


def test_the_page_starts_it(place):
    project = Project(place / "review.sqlite")
    job = RetrainJob(project.path, place / "model" / "ANIMAL-SPOT.pk")
    review = Review(project, "Ann", has_model=True, job=job)
    with TestClient(make_app(review)) as client:
        assert client.get("/api/retrain").json()["state"] == "idle"
        first = client.post("/api/retrain", json={}).json()
        assert first["state"] == "running"
        twice = client.post("/api/retrain", json={})
        assert twice.status_code == 400
        assert "runs already" in twice.json()["error"]
        wait_until(lambda: client.get("/api/retrain").json()["state"] != "running", 300)
        found = client.get("/api/retrain").json()
        assert found["state"] == "done", found
        assert {row["id"] for row in found["result"]["gone"]} == wrong_ids(place)
        assert {row["state"] for row in found["result"]["gone"]} == {"wrong"}
        assert found["result"]["round"] == 1
        assert Path(found["result"]["model"]).is_file()
        assert "flatter" in found["result"]["notes"][-1]
        assert "untouched test clips" in [one["name"] for one in found["result"]["sets"]]
        # A new decision, and stopped at once.
        client.post("/api/undo", json={"reviewer": "Ann"})
        client.post("/api/decide", json={"ids": [1, 2, 3], "verdict": "wrong", "reviewer": "Ann"})
        client.post("/api/retrain", json={})
        client.post("/api/retrain", json={"stop": True})
        wait_until(lambda: client.get("/api/retrain").json()["state"] != "running", 300)
        stopped = client.get("/api/retrain").json()
        assert stopped["state"] in ("idle", "done"), stopped
    project.close()
    with TestClient(make_app(Review(Project(place / "review.sqlite")))) as client:
        answer = client.post("/api/retrain", json={})
        assert answer.status_code == 400
        assert "--model" in answer.json()["error"]
        assert client.get("/api/retrain").json()["result"]["gone"], "of the earlier process"


def refused(*given: object) -> str:
    done = run_here("retrain", *given)
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_wrong_use_is_one_line(place, tmp_path):
    assert "--model is needed" in refused("--project", place / "review.sqlite")
    assert "nowhere" in refused(*arguments(place, "--model", "nowhere"))
    assert "--data_dir behind --" in refused(*arguments(place, "--", "--data_dir", "x"))
    assert "--lr" in refused(*arguments(place, "--", "--lr", "-1"))
    with sqlite3.connect(place / "review.sqlite") as db:
        db.execute("UPDATE decisions SET undone = 1")
    assert "nothing was decided" in refused(*arguments(place))
    assert not list((place / "review_retrained").glob("round_*"))
    damaged = place / "damaged.pk"
    damaged.write_bytes(b"PK\3\4 no model")
    line = refused(*arguments(place, "--model", damaged, "--output_dir", place / "new"))
    assert "damaged.pk" in line
    assert not (place / "new").exists()


@pytest.mark.parametrize("program", ["review", "retrain"])
def test_a_damaged_file_is_said_in_a_line(place, program):
    """It was an error that was not foreseen."""
    path = place / "review.sqlite"
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(b"\xaa" * (path.stat().st_size - 4096))
    given = arguments(place) if program == "retrain" else ("--project", path, "--no_browser")
    done = run_here(program, *given)
    assert done.returncode == 1
    line = done.stderr.strip().splitlines()[-1]
    assert f"{path} is damaged" in line
    assert "put back a copy" in line


def test_reviewed_clips_alone_must_suffice(place):
    alone = place / "alone"
    alone.mkdir()
    shutil.copy(place / "model" / "ANIMAL-SPOT.pk", alone)
    given = ("--model", alone / "ANIMAL-SPOT.pk", "--embedding_model", place / "embedding.onnx")
    line = refused(*arguments(place, *given))
    assert "chirp 0" in line
    assert "--data_dir" in line
    with sqlite3.connect(place / "review.sqlite") as db:
        rows = db.execute("SELECT id FROM decisions WHERE verdict = 'wrong' ORDER BY id").fetchall()
        for (number,) in rows[::2]:  # some rattles are said to be chirps
            db.execute("UPDATE decisions SET verdict = 'right' WHERE id = ?", (number,))
    done = run_here("retrain", *arguments(place, *given))
    assert done.returncode == 0, done.stderr
    assert "reviewed clips alone" in done.stderr


# --- which clips go where -------------------------------------------------------------------------


def corpus_of(**tapes: str) -> Corpus:
    samples: dict[str, list[Sample]] = {"train": [], "val": [], "test": []}
    for tape, part in tapes.items():
        for label in range(2):
            samples[part].append(Sample(Path("x"), f"{tape}{label}", "", label, tape=tape))
    return Corpus({"hum": 0, "noise": 1}, samples)


def clips_of(recording: str, n: int = 6, label: str = "hum") -> list[ReviewedClip]:
    stem = Path(recording).stem
    return [
        ReviewedClip(Path(f"{stem}_{label}_{i}.wav"), label, f"1950_{stem.upper()}", recording)
        for i in range(n)
    ]


@pytest.mark.parametrize(
    ("recording", "part"),
    [
        ("/a/081A.wav", "test"),  # the tape without its year
        ("/a/2016_081A.flac", "test"),
        ("/a/deck_2016_081a_left.wav", "test"),
        ("/a/1081A.wav", None),  # another one
        ("/a/77.wav", "val"),
        ("/a/hydro_77.wav", None),  # too little to tell
    ],
)
def test_recordings_are_known_again(recording, part):
    corpus = corpus_of(**{"2016_081A": "test", "2016_77": "val", "2016_90B": "train"})
    known = KnownTapes.of(corpus, Path("nowhere"), None)
    joined = join([*clips_of(recording), *clips_of("/a/new.wav", 40)], corpus, known, {})
    parts = {where for clip, _, where in joined.rows if clip.source == recording}
    assert len(joined.held_back) == (6 if part == "test" else 0)
    assert parts == {"test": set(), "val": {"val"}}.get(part, parts)
    assert "test" not in parts
    assert {where for clip, _, where in joined.rows if clip.source == "/a/new.wav"} == {"train"}


def test_a_recording_stays_where_it_was_dealt_and_rare_new_classes_are_left_out():
    corpus = corpus_of(**{"2016_81A": "train", "2016_77B": "val", "2016_90B": "test"})
    known = KnownTapes.of(corpus, Path("nowhere"), None)
    clips = [*clips_of("a.wav", 30), *clips_of("b.wav", 3), *clips_of("a.wav", 4, "fox")]
    joined = join(clips, corpus, known, {"1950_A": "val"})
    assert joined.dealt["1950_A"] == "val"
    assert joined.dealt["1950_B"] == "train"
    assert joined.few == {"fox": 0}
    assert "fox" not in {clip.label for clip, _, _ in joined.rows}


def test_detections_are_held_against_decisions(project, decide):
    """Rows of the fixture: owl at 1, owl at 4, fox at 7 s in the first recording."""
    decide([1], "right")
    decide([2], "wrong")
    decide([3], "other", **{"class": "newt"})
    rows = judged(project)
    number = rows[0].recording.id
    found = [
        Detection(number, 0.8, 2.5, "owl", 0.9),  # the call, longer
        Detection(number, 1.0, 2.0, "fox", 0.9),  # a call of another class is there
        Detection(number, 4.6, 5.6, "owl", 0.9),  # less than half of the mistake
        Detection(number, 7.5, 8.0, "newt", 0.9),
        Detection(number, 9.0, 9.5, "owl", 0.9),
        Detection(number + 1, 1.0, 2.0, "owl", 0.9),
    ]
    held = held_against(found, rows)
    assert held.answers == ["right", "wrong", None, "right", None, None]
    by_id = {row.id: row for row in rows}
    assert held.has_call(by_id[1])
    assert held.has_call(by_id[3])
    assert not held.has_mistake(by_id[2])
    assert not held.has_mistake(by_id[3])
    again = held_against([Detection(number, 4.2, 5.0, "owl", 0.9)], rows)
    assert again.has_mistake(by_id[2])
    assert not again.has_call(by_id[1])


def test_only_mistakes_that_were_made_can_be_gone(project, decide):
    """Rows of the fixture: owl at 1, owl at 4, fox at 7 s; the first was found by hand, say."""
    decide([1, 2, 3], "wrong")
    rows = judged(project)
    number = rows[0].recording.id
    old = held_against([Detection(number, *at, 0.9) for at in ((4, 5, "owl"), (7, 8, "fox"))], rows)
    new = held_against([Detection(number, 7, 8, "fox", 0.9)], rows)

    def ids(found: list) -> list[int]:
        return [row.id for row in found]

    there = change(old, new, rows)
    assert (ids(there.gone), ids(there.still), ids(there.newly)) == ([2], [3], [])
    back = change(new, old, rows)
    assert (ids(back.gone), ids(back.still), ids(back.newly)) == ([], [3], [2])

"""``footprints retrain``: a review of drawn photos, through the command."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from footprints import evaluate, prepare, retrain
from footprints.places.taken import Taken
from footprints.retraining import run
from footprints.reviewing.importing import bring_in
from footprints.reviewing.project import NO_PRINT, Decision, Project
from footprints.scores.answers import Answer
from footprints.system.errors import UserError
from tests.helpers.keras_models import CLASSES
from tests.helpers.keras_steps import REAL, even, make_prepared
from tests.helpers.photo_sets import make_real, state_of, write_photo
from tests.helpers.programs import call, run_step

SIZE = (120, 90)  # of photos, in pixels
FAST = ("--", "--cached_views", "1", "--head_epochs", "1", "--unfreeze", "0", "--no_report")


@dataclass(frozen=True)
class Reviewed:
    """A folder with all that a retraining needs."""

    folder: Path
    photos: Path

    @property
    def flags(self) -> list[str]:
        given = {"project": "review.sqlite", "model": "model.keras", "prepared": "prepared"}
        flags = [text for k, v in given.items() for text in (f"--{k}", str(self.folder / v))]
        return [*flags, "--output_dir", str(self.folder / "out")]

    def decide(self, **decisions: Decision) -> None:
        """Decide on the photos of these names."""
        with closing(Project(self.folder / "review.sqlite")) as project:
            rows = project.db.execute(
                "SELECT d.id, p.name FROM detections d JOIN photos p ON p.id = d.photo_id"
            )
            number_of = {row["name"].removesuffix(".jpg"): row["id"] for row in rows}
            project.decide([(number_of[name], one) for name, one in decisions.items()], "Ann")

    def inputs(self) -> dict:
        places = [self.folder / name for name in ("prepared", "answers")]
        states = {place.name: state_of(place) for place in (*places, self.photos)}
        states["model"] = (self.folder / "model.keras").read_bytes()
        with closing(sqlite3.connect(self.folder / "review.sqlite")) as db:
            return states | {"project": list(db.iterdump())}


def answered(path: Path, answer: str) -> dict:
    ranking = ((answer, 0.8), (next(name for name in CLASSES if name != answer), 0.2))
    box = (30.0, 20.0, 90.0, 80.0)
    about = (path.name, answer, True, ranking, box, 0.6, True)
    return Answer(path, *about, *SIZE, Taken()).record()


@pytest.fixture(scope="module")
def source(tmp_path_factory, model_file) -> Path:
    """Prepared photos, a model of their classes, a review on which nobody decided."""
    folder = tmp_path_factory.mktemp("review")
    make_real(folder / "real", dict.fromkeys(CLASSES, 8))
    flags = ["--real_dir", folder / "real", "--detector", "none", "--image_size", 32]
    make_real(folder, {"strangers": 8}, start=300)
    flags += [
        "--others",
        folder / "strangers",
        "--output_dir",
        folder / "prepared",
        "--test_fraction",
        0.25,
        "--processes",
        0,
    ]
    assert call(prepare.main, *flags).returncode == 0
    photos = folder / "photos"
    names = [write_photo(photos / f"new{i:02}.jpg", 500 + i) for i in range(20)]
    for part in ("train", "val", "test"):
        path = folder / "real" / source_of(folder, part)
        target = photos / f"like_{part}.jpg"
        if part == "train":
            shutil.copy(path, target)
        else:
            with Image.open(path) as photo:
                photo.save(target, quality=70)
        names.append(target)
    records = [answered(path, ("loup", "cerf")[i % 2]) for i, path in enumerate(names)]
    content = {
        **{"complete": True, "model": "m.keras", "classes": list(CLASSES), "threshold": 0.5},
        **{"photos_dir": str(photos), "photos": records, "failed": [], "unused": []},
        **{"settings": {"margin": 0.1}},
    }
    (folder / "answers").mkdir()
    (folder / "answers" / "predictions.json").write_text(json.dumps(content))
    shutil.copy(model_file, folder / "model.keras")
    with closing(Project(folder / "review.sqlite")) as project:
        bring_in(project, folder / "answers", None)
    return folder


def source_of(folder: Path, part: str) -> str:
    """Return the name of a wolf's photo."""
    rows = [r for r in manifest(folder) if r["split"] == part and r["class"] == "loup"]
    return rows[0]["source"]


def manifest(folder: Path, prepared: str = "prepared") -> list[dict[str, str]]:
    with open(folder / prepared / "real" / "manifest.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def reviewed(source, tmp_path) -> Reviewed:
    shutil.copytree(source, tmp_path / "review", copy_function=shutil.copy2)
    return Reviewed(tmp_path / "review", source / "photos")


@pytest.mark.slow
def test_reviewed_photos_are_learned_and_the_rest_is_untouched(reviewed, monkeypatch):
    right = Decision("right")
    reviewed.decide(
        **{f"new{i:02}": right for i in range(10)},
        **{f"new{i:02}": Decision("other", "cerf") for i in range(10, 15)},
        new15=Decision("other", "mink"),
        new16=Decision("other", "unknown"),
        new17=Decision("other", NO_PRINT),
        new18=Decision("unsure"),
        new19=Decision("other", "cerf", (0.1, 0.2, 0.5, 0.8)),
        like_train=Decision("other", "cerf"),
        like_val=right,
        like_test=right,
    )
    before = reviewed.inputs()

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "run_step", stopped)
    with pytest.raises(KeyboardInterrupt):
        retrain.main([*reviewed.flags, *FAST])
    done = run_step("retrain", *reviewed.flags, *FAST)
    assert done.returncode == 0, done.stderr
    assert reviewed.inputs() == before
    (folder,) = (reviewed.folder / "out").glob("round_*")
    content = json.loads((folder / "results.json").read_text())

    # The split: only the training part grew, and nothing that looks like val or test is in it.
    old, new = manifest(reviewed.folder), manifest(folder)
    for part in ("val", "test"):
        kept, now = ([r for r in rows if r["split"] == part] for rows in (old, new))
        assert [r["crop"] for r in kept] == [r["crop"] for r in now]
        for row in kept:
            places = [at / "prepared" / "real" / row["crop"] for at in (reviewed.folder, folder)]
            assert places[0].read_bytes() == places[1].read_bytes()
    added = {r["source"].removeprefix("review: "): r for r in new if "review" in r["source"]}
    assert {r["split"] for r in added.values()} == {"train"}
    assert not {"like_val.jpg", "like_test.jpg"} & added.keys()
    assert added["like_train.jpg"]["class"] == "cerf"
    assert added["new16.jpg"]["class"] == "other"
    again = [r for r in new if r["sha256"] == added["like_train.jpg"]["sha256"]]
    assert len(again) == 1  # it was a wolf in the prepared set
    counts = Counter(content["reviewed"])
    assert counts["learned"] == len(added)
    # Groups that can be held out: the new photos with a class but for mink and the stranger, if
    # those are not held out themselves; a fifth of all 18.
    assert counts["held out"] == 3
    assert counts["like test"] == counts["like validation"] == 1
    assert sum(counts.values()) == 21

    # Figures are those of evaluate.
    model = folder / "model" / "mobilenet_real.keras"
    for when, one, data in (
        ("before", reviewed.folder / "model.keras", reviewed.folder),
        ("after", model, folder),
    ):
        output = reviewed.folder / f"scores_{when}"
        flags = ["--model", one, "--data_dir", data / "prepared" / "real", "--split", "test"]
        assert not call(evaluate.main, *flags, "--output_dir", output, "--no_report").returncode
        scores = json.loads((output / "scores.json").read_text())
        test = content["sets"][0]
        assert test["name"] == "untouched test photos"
        for figure in ("photos", "accuracy", "accuracy_interval", "macro_f1", "macro_f1_interval"):
            assert test[when][figure] == pytest.approx(scores[figure])
        threshold = scores["threshold"]
        with open(output / "predictions.csv", newline="") as file:
            below = [float(row["p_1"]) < threshold for row in csv.DictReader(file)]
        n_below, n_refused = sum(below), scores.get("strangers", {}).get("known_lost", 0)
        n_unknown = test[when]["unknown_share"] * len(below)
        assert max(n_below, n_refused) <= round(n_unknown, 6) <= n_below + n_refused
        strangers = content["strangers"][0]
        assert strangers["name"] == "untouched test photos of other animals"
        assert strangers["photos"] == 2  # a quarter

    # Each corrected answer has its place.
    changes = content["changes"]
    rows = [(kind, row) for kind, some in changes.items() for row in some]
    corrected = [row for _, row in rows if row["is"] != row["reviewed_answer"]]
    assert len(corrected) == 6  # four wolves, mink, the stranger
    kinds = {(True, True): {"already"}, (True, False): {"new"}, (False, True): {"gone"}}
    for kind, row in rows:
        was_is_right = tuple(row[when] == row["is"] for when in ("before", "after"))
        named = "unknown_now" if row["after"] == "unknown" else "still"
        assert kind in kinds.get(was_is_right, {named})
    n_mistakes = sum(len(changes[kind]) for kind in ("gone", "unknown_now", "still"))
    said = f"{len(changes['gone'])} of {n_mistakes} answers that the review corrected are right now"
    assert said in done.stdout
    assert "footprints train_detector" in done.stderr
    assert "look like test photos" in done.stderr

    # Once more: nothing is done twice. After another decision it is another round.
    written = state_of(folder)
    more = call(retrain.main, *reviewed.flags, *FAST)
    assert more.returncode == 0, more.stderr
    assert "learned already" in more.stdout
    assert state_of(folder) == written
    reviewed.decide(new18=right)
    with pytest.raises(KeyboardInterrupt):
        retrain.main([*reviewed.flags, *FAST])
    assert (reviewed.folder / "out" / "round_2" / "prepared" / "real" / "manifest.csv").is_file()
    assert state_of(folder) == written


def test_nothing_to_learn_from_is_one_clear_line(reviewed, tmp_path):
    with pytest.raises(UserError, match="nothing was decided yet"):
        retrain.main(reviewed.flags)
    reviewed.decide(new00=Decision("unsure"), new01=Decision("other", NO_PRINT))
    with pytest.raises(UserError, match="none of the 2 decisions says whose print it is"):
        retrain.main(reviewed.flags)
    reviewed.decide(like_test=Decision("right"))
    with pytest.raises(UserError, match=r"none can be learned from \(1 like test\)"):
        retrain.main(reviewed.flags)
    reviewed.decide(new02=Decision("right"))
    with pytest.raises(UserError, match="prepare"):
        retrain.main([*reviewed.flags, "--prepared", str(reviewed.photos)])
    with pytest.raises(UserError, match=r"a \.keras file"):
        retrain.main([*reviewed.flags, "--model", "model.tflite"])
    other = make_prepared(tmp_path / "other", {"real": even(REAL, train=1, val=1)})
    with pytest.raises(UserError, match="only in the folder: ours; only in the model: cerf, chien"):
        retrain.main([*reviewed.flags, "--prepared", str(other)])
    inside = str(reviewed.folder / "prepared" / "again")
    with pytest.raises(UserError, match="nothing is changed"):
        retrain.main([*reviewed.flags, "--output_dir", inside])


def test_a_damaged_file_is_said_in_a_line(reviewed):
    (path,) = reviewed.folder.rglob("*.sqlite")
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(b"\xaa" * (path.stat().st_size - 4096))
    with pytest.raises(UserError, match=r"is damaged .* put back a copy"):
        retrain.main(reviewed.flags)

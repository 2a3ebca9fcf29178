"""A corpus of tones, a head on a small embedding model, recordings that deceive it, a review."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import soundfile as sf

from animal_spot.data.splits import load_split
from animal_spot.reviewing.config import ReviewConfig
from animal_spot.reviewing.importing import bring_in
from animal_spot.reviewing.project import Decision, Project
from tests.helpers.clips import clip_name
from tests.helpers.embeddings import RATE, write_model
from tests.helpers.programs import run_here
from tests.helpers.training import main_here

HERTZ = {"hum": 1150, "chirp": 3700, "noise": None}
RATTLE = 4300  # no call, but the model takes it for a chirp
TAPES = [f"T{i}" for i in range(12)]
N_EVENTS = 12  # in a recording


def samples_of(hertz: float | None, seconds: float, rng: np.random.Generator) -> np.ndarray:
    samples = 0.02 * rng.standard_normal(round(seconds * RATE))
    if hertz is not None:
        samples += 0.3 * np.sin(2 * np.pi * hertz * np.arange(len(samples)) / RATE)
    return samples


def write_clips(folder: Path) -> Path:
    rng = np.random.default_rng(1)
    for name, hertz in HERTZ.items():
        (folder / name).mkdir(parents=True)
        for number, tape in enumerate(TAPES):
            path = folder / name / clip_name(name, number, tape, 0, 500)
            sf.write(path, samples_of(hertz, 0.5, rng), RATE)
    return folder


def tape_of_part(clips: Path, part: str) -> str:
    """Return a tape of a part of the stored split, such as T3."""
    return sorted(clip.tape for clip in load_split(clips)[0][part])[0].partition("_")[2]


def write_recording(path: Path, seed: int) -> list[tuple[float, str | None]]:
    """Write hums and rattles by turns, one every 2 s; return their begins and the call."""
    rng = np.random.default_rng(seed)
    samples = samples_of(None, 2.0 * N_EVENTS + 1, rng)
    truth = []
    for number in range(N_EVENTS):
        begin_s = 1.0 + 2.0 * number
        at = round(begin_s * RATE)
        hertz = (HERTZ["hum"], RATTLE)[number % 2]
        samples[at : at + RATE // 2] += samples_of(hertz, 0.5, rng)
        truth.append((begin_s, ("hum", None)[number % 2]))
    sf.write(path, samples, RATE)
    return truth


def make_review(folder: Path) -> None:
    """Make ``clips``, ``embedding.onnx``, ``model``, ``recordings``, ``found``, ``review.sqlite``.

    One recording is new, one is of a tape of the test part. Everything found is decided on.
    """
    clips = write_clips(folder / "clips")
    embedding = write_model(folder / "embedding.onnx")
    done = main_here(
        *("--backbone", "birdnet", "--embedding_model", str(embedding), "--sequence_len", "500"),
        *("--data_dir", str(clips), "--model_dir", str(folder / "model")),
        *("--summary_dir", str(folder / "summaries"), "--embedding_head", "linear"),
    )
    assert done.returncode == 0, done.stderr
    (folder / "recordings").mkdir()
    stems = "meadow", tape_of_part(clips, "test")
    truth = {
        stem: write_recording(folder / "recordings" / f"{stem}.wav", seed)
        for seed, stem in enumerate(stems)
    }
    done = run_here(
        *("predict", "--model_path", folder / "model" / "ANIMAL-SPOT.pk", "--embedding_model"),
        *(embedding, "--input_file", folder / "recordings", "--output_dir", folder / "found"),
        *("--format", "raven", "--no_cuda", "--no_report"),
    )
    assert done.returncode == 0, done.stderr
    with contextlib.closing(Project(folder / "review.sqlite")) as project:
        bring_in(project, ReviewConfig(predictions=str(folder / "found")))
        decide(project, truth)


def decide(project: Project, truth: dict[str, list[tuple[float, str | None]]]) -> None:
    """Decide on all that was found as somebody does who knows what is there."""
    ids = [row[0] for row in project.db.execute("SELECT id FROM detections")]
    decisions = []
    for row in project.detections(ids):
        stem = project.recording(row["recording_id"]).path.stem
        middle = (row["begin_s"] + row["end_s"]) / 2
        begin_s, call = min(truth[stem], key=lambda one: abs(one[0] + 0.25 - middle))
        is_there = abs(begin_s + 0.25 - middle) < 0.6 and call == row["class"]
        decisions.append((row["id"], Decision("right" if is_there else "wrong")))
    project.decide(decisions, "Ann")

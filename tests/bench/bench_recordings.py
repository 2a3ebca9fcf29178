"""What is found in recordings, by networks that never heard their calls and noise? Run by hand.

    python -m tests.bench.bench_recordings --data_dir CLIPS --output DIR --rows 'recommended'
        [--models 'NAME=FOLDER OF FOLDS'] [--decode 'NAME: flags of evaluate.py'] [--jobs 2]

Rows are networks: settings as in ``ablation.py``, trained on all folds but one with ``main.py
--folds``, or folders of such a run (``--models``). Of the clips of the fifth fold three recordings
are mixed: calls at 3 to 15 dB (loud), at -3 to 3 dB (faint), and none (empty). ``predict.py`` lets
networks say what they hear, once; ``evaluate.py`` makes events of it with each ``--decode``.
What is complete is not done again; ``--again`` does all anew where the program has changed.

Prints a Markdown table, and writes it to ``DIR/table.md``, its figures to ``DIR/table.json``. Rows
are scored as by ``evaluate.py``: matched one to one by any overlap in time, within the class for
the mean of the classes, else whatever the class. Means of the folds, with 95 % intervals over folds
(Student's t), seeds averaged first. ``pooled`` is the mean of the classes over the rows of all
folds together, in which a rare class weighs less by chance. Errors of begin and end are medians
over all rows that are matched.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import re
import shlex
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")


import numpy as np
from scipy.stats import t as student

from animal_spot.demo.mixed_recording import write_mixture
from animal_spot.detections.annotation_tables import RAVEN_ENDING, read_table
from animal_spot.detections.annotations import Annotation
from animal_spot.evaluation.event_scores import (
    Counts,
    count_detection,
    count_events,
    macro,
    match_events,
)
from animal_spot.mixing.backgrounds import NoiseClips
from animal_spot.mixing.clips import MixClip
from animal_spot.mixing.mixture import mix
from animal_spot.model_files.model_file import FILE_NAME
from tests.bench.ablation import ROWS, plan, read_rows, train_all
from tests.bench.bench_shift import NOISE_CLASS
from tests.helpers.places import ROOT

KINDS = {"loud": (3.0, 15.0), "faint": (-3.0, 3.0), "empty": None}  # SNR in dB; None: no calls
TODAY = "as it is"  # decoded without further flags


@dataclass(frozen=True)
class Trained:
    """The networks of one row and seed, one for each fold.

    Attributes:
        row: Name of the row.
        seed: Of the training.
        folder: Holds ``fold_K`` with a model file each.
        clips: Class and fold, from 1, of each clip by its path in the data folder.
    """

    row: str
    seed: int
    folder: Path
    clips: Mapping[str, tuple[str, int]]

    def model(self, fold: int) -> Path:
        """Return the model file that never heard a fold."""
        return self.folder / f"fold_{fold}" / FILE_NAME


@dataclass(frozen=True)
class Task:
    """One prediction: what to find in the recordings of a fold, with what, and how.

    Attributes:
        row: Name of the row.
        decode: Name of the flags.
        seed: Of the training; None: all are averaged.
        fold: Number of the fold.
        models: Model files, which are averaged.
        flags: Further flags of ``evaluate.py``.
        hop: Seconds between windows.
        mixtures: Recordings and tables of all folds.
        windows: Folder of what the network said.
        folder: Of the tables.
    """

    row: str
    decode: str
    seed: int | None
    fold: int
    models: tuple[Path, ...]
    flags: tuple[str, ...]
    hop: float
    mixtures: Path
    windows: Path
    folder: Path

    def recording(self, kind: str) -> Path:
        """Return the recording of a kind."""
        return self.mixtures / f"fold_{self.fold}_{kind}.wav"

    def heard(self) -> dict:
        """Return what the windows depend on, but for the program."""
        files = [*self.models, *map(self.recording, KINDS)]
        return {
            "hop": self.hop,
            "files": {str(path): [path.stat().st_size, path.stat().st_mtime_ns] for path in files},
        }

    def state(self) -> dict:
        """Return what the tables depend on, but for the program."""
        return self.heard() | {"flags": list(self.flags)}


# -- networks and mixtures -------------------------------------------------------------------------


def trained_in(row: str, seed: int, folder: Path) -> Trained:
    """Read which clip is in which fold of a run with ``--folds``.

    Raises:
        ValueError: If the run is not complete.
    """
    results = folder / "results.json"
    if not results.is_file():
        raise ValueError(f"{row}: {folder} holds no results.json of main.py --folds")
    found = {clip["file"]: (clip["true"], clip["fold"]) for clip in _read(results)["clips"]}
    trained = Trained(row, seed, folder, found)
    for fold in {fold for _, fold in found.values()}:
        if not trained.model(fold).is_file():
            raise ValueError(f"{row}: {trained.model(fold)} is not there")
    return trained


def mixtures_of(trained: Trained, args: argparse.Namespace) -> Path:
    """Return the folder of the mixtures of a run's folds; make those that are not there."""
    recipe = [sorted(trained.clips.items()), args.minutes, args.calls_per_hour, args.rate]
    digest = hashlib.sha256(json.dumps([*recipe, args.noise_class]).encode()).hexdigest()[:10]
    folder = args.output / "mixtures" / digest
    for fold in sorted({fold for _, fold in trained.clips.values()}):
        clips = [
            MixClip(args.data_dir / file, label)
            for file, (label, of_fold) in sorted(trained.clips.items())
            if of_fold == fold
        ]
        calls = [clip for clip in clips if clip.label != args.noise_class]
        noise = NoiseClips([clip for clip in clips if clip.label == args.noise_class])
        for number, (kind, snr_db) in enumerate(KINDS.items()):
            stem = f"fold_{fold}_{kind}"
            if (folder / f"{stem}{RAVEN_ENDING}").is_file():  # written last
                continue
            mixture = mix(
                *(calls, noise),
                minutes=args.minutes,
                calls_per_hour=args.calls_per_hour if snr_db else 0,
                snr_db=snr_db or (0, 0),
                rate=args.rate,
                rng=np.random.default_rng([0, fold, number]),
            )
            write_mixture(mixture, folder, stem)
    return folder


# -- prediction ------------------------------------------------------------------------------------


def find_events(task: Task, *, again: bool) -> str | None:
    """Make the tables of a fold's recordings, out of the windows of the network.

    Returns:
        What went wrong; None: nothing.
    """
    found = (
        *("evaluate.py", "--prediction_dir", task.windows, "--output_dir", task.folder),
        *("--format", "raven", *task.flags),
    )
    return _run_once(task.folder, found, task.state(), again=again)


def hear_windows(task: Task, *, again: bool) -> str | None:
    """Let the network hear a fold's recordings once, for all decoders.

    Returns:
        What went wrong; None: nothing.
    """
    heard = (
        *("predict.py", "--model_path", *task.models),
        *("--input_file", *map(task.recording, KINDS), "--hop", task.hop),
        *("--format", "parquet", "--output_dir", task.windows, "--log_dir", task.windows),
    )
    return _run_once(task.windows, heard, task.heard(), again=again)


def _run_once(folder: Path, command: Sequence[object], state: dict, *, again: bool) -> str | None:
    """Run a program whose results go into a folder, unless they are complete."""
    done, state = folder / "done.json", json.loads(json.dumps(state))
    if done.is_file() and _read(done) == state and not again:
        return None
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    program, *arguments = map(str, command)
    with open(folder / "output.txt", "wb") as output:
        status = subprocess.run(
            [
                *(sys.executable, "-W", "ignore::UserWarning"),
                *(str(ROOT / "ANIMAL-SPOT" / program), *arguments),
            ],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        ).returncode
    if status:
        return f"FAILED ({status}), see {folder / 'output.txt'}"
    done.write_text(json.dumps(state))
    return None


def find_all(tasks: Sequence[Task], jobs: int, *, again: bool) -> bool:
    """Predict what is not complete, some at a time; tell whether all went well."""
    all_well = True
    with ThreadPoolExecutor(jobs) as pool:
        once = {task.windows: task for task in tasks}
        heard = pool.map(lambda task: hear_windows(task, again=again), once.values())
        for number, (task, problem) in enumerate(zip(once.values(), heard, strict=True), 1):
            all_well &= problem is None
            print(
                f"heard {number} of {len(once)}: {task.row}, fold {task.fold}: {problem or 'done'}",
                flush=True,
            )
        results = pool.map(lambda task: find_events(task, again=again), tasks)
        for number, (task, problem) in enumerate(zip(tasks, results, strict=True), 1):
            all_well &= problem is None
            print(
                f"{number} of {len(tasks)}: {task.row}, {task.decode}, fold {task.fold}: "
                f"{problem or 'done'}",
                flush=True,
            )
    return all_well


# -- scores ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scored:
    """What was found in one recording.

    Attributes:
        classes: Counts of each class, matched within the class.
        detection: Counts whatever the class.
        begin_errors_s: Of each row that is matched whatever the class, its begin minus the true.
        end_errors_s: The same of its end.
        hours: Length of the recording.
    """

    classes: dict[str, Counts]
    detection: Counts
    begin_errors_s: list[float]
    end_errors_s: list[float]
    hours: float


def score(truth: Sequence[Annotation], found: Sequence[Annotation], hours: float) -> Scored:
    """Score the rows of one recording."""
    pairs = match_events(truth, found)
    return Scored(
        count_events(truth, found, sorted({row.name for row in (*truth, *found)})),
        count_detection(truth, found),
        [found[j].begin_s - truth[i].begin_s for i, j in pairs],
        [found[j].end_s - truth[i].end_s for i, j in pairs],
        hours,
    )


def score_task(task: Task, minutes: float) -> dict[str, Scored]:
    """Score the recordings of a fold, by kind."""
    scores = {}
    for kind in KINDS:
        stem = task.recording(kind).stem
        truth = read_table(task.mixtures / f"{stem}{RAVEN_ENDING}")
        found = read_table(task.folder / f"{stem}{RAVEN_ENDING}")
        scores[kind] = score(truth, found, minutes / 60)
    return scores


def figures(of_fold: Mapping[int, Sequence[Scored]]) -> dict[str, dict]:
    """Return the figures of a row for one kind of recordings.

    Args:
        of_fold: Scores of each fold, one for each seed.

    Returns:
        Mean and interval of each figure, None where nothing says it.
    """
    ratios: dict[str, Callable[[Scored], float | None]] = {
        "f1_mean_of_classes": lambda s: macro(s.classes.values(), "f1"),
        "f1": lambda s: s.detection.f1,
        "precision": lambda s: s.detection.precision,
        "recall": lambda s: s.detection.recall,
        "false_alarms_per_hour": lambda s: s.detection.fp / s.hours,
    }
    result: dict[str, dict] = {}
    for name, ratio in ratios.items():
        folds = [_mean(map(ratio, scores)) for scores in of_fold.values()]
        result[name] = mean_of_folds([value for value in folds if value is not None])
    every = [s for scores in of_fold.values() for s in scores]
    result["f1_mean_of_classes_pooled"] = {"mean": pooled_f1(of_fold)}
    for edge in ("begin", "end"):
        errors = np.abs([x for s in every for x in getattr(s, f"{edge}_errors_s")])
        result[f"{edge}_error_s"] = {"mean": float(np.median(errors)) if len(errors) else None}
    return result


def pooled_f1(of_fold: Mapping[int, Sequence[Scored]]) -> float | None:
    """Return the mean F1 of the classes over the rows of all folds, mean of the seeds."""
    values = []
    for scores in zip(*of_fold.values(), strict=True):
        classes: dict[str, Counts] = {}
        for scored in scores:
            for name, counts in scored.classes.items():
                classes[name] = classes.get(name, Counts()) + counts
        values.append(macro(classes.values(), "f1"))
    return _mean(values)


def mean_of_folds(values: Sequence[float]) -> dict:
    """Return mean and 95 % interval over folds."""
    if not values:
        return {"mean": None}
    result = {"mean": statistics.fmean(values), "folds": list(values)}
    if len(values) > 1:
        reach = student.ppf(0.975, len(values) - 1) * statistics.stdev(values)
        reach /= math.sqrt(len(values))
        result["interval_95"] = [result["mean"] - reach, result["mean"] + reach]
    return result


def table_rows(tasks: Sequence[Task], minutes: float) -> list[dict]:
    """Return the figures of each row and way of decoding."""
    table = []
    for row, decode in dict.fromkeys((task.row, task.decode) for task in tasks):
        own = [task for task in tasks if (task.row, task.decode) == (row, decode)]
        by_fold: dict[int, list[dict[str, Scored]]] = {}
        for task in own:
            by_fold.setdefault(task.fold, []).append(score_task(task, minutes))
        entry = {"row": row, "decode": decode, "seeds": sorted({str(t.seed) for t in own})}
        for kind in KINDS:
            entry[kind] = figures({k: [s[kind] for s in each] for k, each in by_fold.items()})
        table.append(entry)
    return table


def markdown(table: Sequence[dict]) -> list[str]:
    """Return the lines of the table."""
    lines = [
        "| row | decoded | recordings | F1 mean of classes (95 %) | pooled | F1 whatever class "
        "(95 %) | precision | recall | false alarms per hour | "
        "without calls | error of begin, end |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for entry in table:
        without = _shown(entry["empty"]["false_alarms_per_hour"], ".0f")
        for kind in (kind for kind, snr_db in KINDS.items() if snr_db):
            e = entry[kind]
            lines.append(
                f"| {entry['row']} | {entry['decode']} | {kind} | "
                f"{_shown(e['f1_mean_of_classes'])} | "
                f"{_shown(e['f1_mean_of_classes_pooled'])} | {_shown(e['f1'])} | "
                f"{_shown(_mean_alone(e['precision']))} | {_shown(_mean_alone(e['recall']))} | "
                f"{_shown(e['false_alarms_per_hour'], '.0f')} | {without} | "
                f"{_shown(e['begin_error_s'])}, {_shown(e['end_error_s'])} s |"
            )
    return lines


def _shown(figure: dict, form: str = ".2f") -> str:
    if figure["mean"] is None:
        return "–"
    text = f"{figure['mean']:{form}}"
    if "interval_95" in figure:
        low, high = figure["interval_95"]
        text += f" ({max(0.0, low):{form}} to {high:{form}})"
    return text


def _mean_alone(figure: dict) -> dict:
    return {"mean": figure["mean"]}


def _mean(values: Iterable[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return statistics.fmean(there) if there else None


def _read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def _slug(text: str) -> str:
    return re.sub(r"\W+", "_", text).strip("_")


# -- the command -----------------------------------------------------------------------------------


def build_parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], epilog="further flags go to main.py", allow_abbrev=False
    )
    parser.add_argument("--data_dir", type=Path, required=True, help="folder of the clips")
    parser.add_argument("--output", type=Path, required=True, help="folder of all runs")
    parser.add_argument(
        "--rows", help="file of NAME: FLAGS lines, or names of rows of ablation.py with ';' between"
    )
    parser.add_argument(
        "--models", nargs="+", default=[], metavar="NAME=DIR", help="complete runs of --folds"
    )
    parser.add_argument("--ensemble", nargs="+", default=[], metavar="'NAME; NAME'")
    parser.add_argument(
        "--decode", nargs="+", default=[f"{TODAY}:"], metavar="'NAME: FLAGS'", help="of evaluate.py"
    )
    parser.add_argument("--hop", type=float, default=0.5, help="of predict.py, seconds")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--epochs_scale", type=float, default=1.0, help="factor of all epochs")
    parser.add_argument("--noise_class", default=NOISE_CLASS)
    parser.add_argument("--minutes", type=float, default=20, help="length of a recording")
    parser.add_argument("--calls_per_hour", type=float, default=240)
    parser.add_argument("--rate", type=int, default=32000, help="of the recordings, Hz")
    parser.add_argument("--again", action="store_true", help="predict what is complete too")
    return parser


def train_rows(args: argparse.Namespace, further: Sequence[str]) -> tuple[list[Trained], bool]:
    """Train the rows; return what is complete, and whether that is all.

    Raises:
        ValueError: If a row is not what it should be.
    """
    trained = []
    for text in args.models:
        name, equals, folder = text.partition("=")
        if not equals:
            raise ValueError(f"--models: {text!r} is not of the form NAME=DIR")
        trained.append(trained_in(name, args.seeds[0], Path(folder).resolve()))
    if not args.rows:
        return trained, True
    is_file = Path(args.rows).is_file()
    text = Path(args.rows).read_text(encoding="utf-8") if is_file else ROWS
    rows = read_rows(text, args.noise_class)
    if not is_file:
        wanted = [name.strip() for name in args.rows.split(";")]
        if unknown := [name for name in wanted if name not in rows]:
            raise ValueError(f"--rows: there is no row {unknown[0]}; there are: {list(rows)}")
        rows = {name: rows[name] for name in wanted}
    if twice := sorted(rows.keys() & {one.row for one in trained}):
        raise ValueError(f"--models and --rows both have a row {twice[0]}")
    runs = plan(args, rows, list(further))
    complete = train_all(runs, args.jobs)
    trained += [trained_in(run.row, run.seed, run.folder / "model") for run in complete]
    return trained, len(complete) == len(runs)


def tasks_of(trained: Sequence[Trained], args: argparse.Namespace) -> list[Task]:
    """Return all predictions: of each row and seed, then of the ensembles.

    Raises:
        ValueError: If an ensemble has a row that is not there, or networks that heard other clips.
    """
    groups: list[tuple[str, int | None, list[Trained]]] = [
        (one.row, one.seed, [one]) for one in trained
    ]
    for text in args.ensemble:
        names = [name.strip() for name in text.split(";")]
        members = [one for one in trained if one.row in names]
        if unknown := [name for name in names if name not in {one.row for one in members}]:
            raise ValueError(f"--ensemble: there is no row {unknown[0]}")
        if any(one.clips != members[0].clips for one in members):
            raise ValueError(
                f"--ensemble {text}: the folds of its members are not the same; choose one seed"
            )
        groups.append((f"ensemble of {' and '.join(names)}", None, members))
    tasks = []
    for row, seed, members in groups:
        mixtures = mixtures_of(members[0], args)
        for text in args.decode:
            name, colon, flags = text.partition(":")
            if not colon:
                raise ValueError(f"--decode: {text!r} is not of the form NAME: FLAGS")
            for fold in sorted({fold for _, fold in members[0].clips.values()}):
                folder = args.output / "predictions" / _slug(row) / f"seed_{seed}"
                tasks.append(
                    Task(
                        *(row, name.strip(), seed, fold),
                        tuple(one.model(fold) for one in members),
                        *(tuple(shlex.split(flags)), args.hop, mixtures),
                        *(
                            folder / "windows" / f"fold_{fold}",
                            folder / _slug(name) / f"fold_{fold}",
                        ),
                    )
                )
    if len({task.folder for task in tasks}) < len(tasks):
        raise ValueError("two rows or decoders would share a folder; give them other names")
    return tasks


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 1 if anything failed."""
    parser = build_parser()
    args, further = parser.parse_known_args(argv)
    args.data_dir, args.output = args.data_dir.resolve(), args.output.resolve()
    try:
        if not args.data_dir.is_dir():
            raise ValueError(f"--data_dir {args.data_dir} does not exist or is not a folder")
        trained, all_trained = train_rows(args, further)
        tasks = tasks_of(trained, args)
        all_found = find_all(tasks, args.jobs, again=args.again)
    except ValueError as error:
        parser.error(str(error))
    # A row of which a fold is missing would be compared with others on other recordings.
    whole = {
        (task.row, task.decode)
        for task in tasks
        if all(
            (other.folder / "done.json").is_file()
            for other in tasks
            if (other.row, other.decode) == (task.row, task.decode)
        )
    }
    table = table_rows([t for t in tasks if (t.row, t.decode) in whole], args.minutes)
    lines = markdown(table)
    print("", *lines, sep="\n")
    (args.output / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (args.output / "table.json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    return 0 if all_trained and all_found and len(whole) * args.folds else 1


if __name__ == "__main__":
    sys.exit(main())

"""What does each part of the recipe bring? Cross-validates a list of settings; run by hand.

    python -m tests.bench.ablation --data_dir CLIPS --output DIR --jobs 4 [--rows FILE_OR_NAMES]

Each row is one command ``main.py --folds``, which is printed; rows and seeds run side by side, one
thread each. What is complete is left as it is, so the same command goes on after an interruption.
Further flags are handed on to every row, such as ``--num_workers 1 --precision bf16``.

Prints a Markdown table and writes it to ``DIR/table.md``, its figures to ``DIR/table.json``:
accuracy is the mean of the classes over all clips, each judged by a network that never heard its
tape, averaged over the seeds; intervals are 95 % bootstrap intervals over tapes, those of
differences with the same tapes drawn for both. ``--shifted`` also judges every clip altered as by
another hydrophone (see bench_shift.py). ``--ensemble`` adds rows: ``NAME; NAME`` averages the
probabilities of these rows and all seeds.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shlex
import subprocess
import sys
import time
import zlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")


import numpy as np
import torch

from animal_spot.audio.clip_files import read_waveform, resample
from animal_spot.embeddings.embedding_pipeline import EmbeddingPipeline
from animal_spot.model_files.model_file import FILE_NAME, ModelFile, calibrated_network, load_model
from animal_spot.model_files.signal_path import Pipeline, pipeline_of_model
from animal_spot.training.config import FREE_TO_CHANGE, as_dict, parse_config
from animal_spot.utils.tape_bootstrap import accuracies, draw_tapes, middle
from tests.bench.bench_shift import NOISE_CLASS, RATE, alter
from tests.helpers.places import ROOT

# NAME: flags of main.py. "+ NAME" adds its flags to those of the row before it. A line that starts
# with a blank goes on with the one before. from_scratch adds logit adjustment to the row before it,
# recommended a milder pitch and stretch.
ROWS = """
published: --preset published_resnet18
+ 32 kHz, mel, 3 s: --sr 32000 --sequence_len 3000 --n_fft 1024 --hop_length 500
    --n_freq_bins 96 --freq_compression mel --fmin 300 --fmax 12000
+ onecycle, AdamW: --batch_size 16 --optimizer adamw --weight_decay 0.05 --beta1 0.9
    --scheduler onecycle --lr 2e-4 --max_train_epochs 60 --early_stopping_patience_epochs 120
    --val_metric loss
+ label smoothing: --label_smoothing 0.1
+ milder pitch and stretch: --pitch_range 0.8 1.25 --stretch_range 0.8 1.25
+ random filter: --random_filter 3
+ noise from class: --noise_from_class {noise} --noise_probability 0.75
+ 120 epochs: --max_train_epochs 120
from_scratch: --preset from_scratch --noise_from_class {noise}
+ EfficientNet-Lite0 from ImageNet weights: --backbone efficientnet_lite0 --pretrained
    --freeze_epochs 3 --backbone_lr_factor 0.3 --freeze_batch_norm --logit_adjustment 0
    --max_train_epochs 40 --early_stopping_patience_epochs 40
recommended: --preset recommended --noise_from_class {noise}
recommended, no noise mixing: --preset recommended
recommended, no random filter: --preset recommended --noise_from_class {noise} --random_filter 0
recommended, logit adjustment: --preset recommended --noise_from_class {noise} --logit_adjustment 1
recommended, 80 epochs: --preset recommended --noise_from_class {noise} --max_train_epochs 80
recommended, mixup: --preset recommended --noise_from_class {noise} --mixup_alpha 0.2
recommended, time shift: --preset recommended --noise_from_class {noise} --time_shift
recommended, SpecAugment: --preset recommended --noise_from_class {noise} --spec_augment
recommended, weight average: --preset recommended --noise_from_class {noise} --ema_decay 0.99
recommended, weighted sampling: --preset recommended --noise_from_class {noise} --weighted_sampling
recommended, balanced tapes: --preset recommended --noise_from_class {noise} --weighted_sampling
    --balance_tapes
recommended, class weights: --preset recommended --noise_from_class {noise}
    --class_weighting sqrt_inverse
recommended, effective class weights: --preset recommended --noise_from_class {noise}
    --class_weighting effective
recommended, focal loss: --preset recommended --noise_from_class {noise} --loss focal
recommended, PCEN: --preset recommended --noise_from_class {noise} --no_min_max_norm
    --per_channel_normalization
few_clips: --preset few_clips --noise_from_class {noise}
few_clips, no altered copies: --preset few_clips --embedding_views 0
"""


@dataclass(frozen=True)
class Run:
    """One row with one seed."""

    row: str
    seed: int
    folder: Path
    command: list[str]

    @property
    def results(self) -> Path:
        """``results.json``, which is there when the run is complete."""
        return self.folder / "model" / "results.json"


def read_rows(text: str, noise_class: str) -> dict[str, list[str]]:
    """Read ``NAME: flags`` lines.

    Raises:
        ValueError: If a line has no name or no flags, or ``+`` has nothing before it.
    """
    rows: dict[str, list[str]] = {}
    flags: list[str] | None = None
    for line in re.sub(r"\n[ \t]+(?=\S)", " ", text).splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, rest = line.partition(":")
        name = name.strip()
        added = shlex.split(rest.replace("{noise}", noise_class))
        if not colon or not name or not added:
            raise ValueError(f"{line!r} is not of the form NAME: FLAGS")
        if name.startswith("+"):
            if flags is None:
                raise ValueError(f"{line!r}: there is no row before it")
            flags = [*flags, *added]
        else:
            flags = added
        if name in rows:
            raise ValueError(f"there are two rows {name}")
        rows[name] = flags
    return rows


def plan(args: argparse.Namespace, rows: dict[str, list[str]], further: list[str]) -> list[Run]:
    """Return what is to be run, the seeds of the first row first.

    Without checkpoints, which would be hundreds of gigabytes: an interrupted run goes on with the
    fold that it was in.
    """
    runs = []
    for name, flags in rows.items():
        slug = re.sub(r"\W+", "_", name).strip("_")
        for seed in args.seeds:
            folder = args.output / slug / f"seed_{seed}"
            flags_of_row = [*flags, *further]
            epochs = parse_config(flags_of_row).max_train_epochs
            command = [
                *(sys.executable, "-W", "ignore::UserWarning"),
                *(str(ROOT / "ANIMAL-SPOT" / "main.py"), *flags_of_row),
                *("--folds", str(args.folds), "--seed", str(seed)),
                *("--max_train_epochs", str(max(1, round(epochs * args.epochs_scale)))),
                *("--data_dir", str(args.data_dir), "--cache_dir", str(args.output / "cache")),
                *("--model_dir", str(folder / "model")),
                *("--summary_dir", str(folder / "summaries"), "--log_dir", str(folder / "logs")),
            ]
            runs.append(Run(name, seed, folder, command))
    if len({run.folder for run in runs}) < len(runs):
        raise ValueError("two rows or seeds would share a folder; give the rows other names")
    return runs


def train(run: Run) -> tuple[Run, float, int]:
    """Run a command; return it, its seconds and its exit status."""
    run.folder.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    with open(run.folder / "output.txt", "ab") as output:
        status = subprocess.run(
            run.command,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        ).returncode
    seconds = time.perf_counter() - started
    return run, seconds, status


def is_complete(run: Run) -> bool:
    """Tell whether a run is complete.

    Raises:
        ValueError: If its folder holds the results of other settings.
    """
    if not run.results.is_file():
        return False
    wanted = json.loads(json.dumps(as_dict(parse_config(run.command[4:]))))
    found = json.loads(run.results.read_text())["settings"]
    changed = sorted(k for k in wanted.keys() - FREE_TO_CHANGE if found.get(k) != wanted[k])
    if changed:
        raise ValueError(
            f"{run.folder} holds results of other settings ({', '.join(changed)}); move it away"
        )
    return True


def train_all(runs: Sequence[Run], jobs: int) -> list[Run]:
    """Train what is not complete, some at a time; return what is complete in the end."""
    waiting = [run for run in runs if not is_complete(run)]
    print(f"{len(runs) - len(waiting)} runs are complete, {len(waiting)} to do", flush=True)
    with ThreadPoolExecutor(jobs) as pool:
        for i, done in enumerate(as_completed([pool.submit(train, run) for run in waiting]), 1):
            run, seconds, status = done.result()
            said = "done" if status == 0 else f"FAILED ({status}), see {run.folder / 'output.txt'}"
            print(
                f"{i} of {len(waiting)}: {run.row}, seed {run.seed}: {said}, {seconds:.0f} s",
                flush=True,
            )
    return [run for run in runs if is_complete(run)]


# -- another hydrophone ----------------------------------------------------------------------------


def judge_altered(data_dir: Path, model_dir: Path, fold: int, draws: int) -> dict[str, list]:
    """Judge the clips of a fold, altered, by the network that never heard their tapes.

    The alterations depend on the clip alone, so that they are the same for every row. Background is
    from clips of the class noise in the same fold, which the network never heard either.

    Returns:
        For each clip name the probabilities of each draw, shape ``(draws, classes)``.
    """
    torch.set_num_threads(1)
    results = json.loads((model_dir / "results.json").read_text())
    clips = [clip for clip in results["clips"] if clip["fold"] == fold]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    content = load_model(model_dir / f"fold_{fold}" / FILE_NAME)
    model, pipeline = calibrated_network(content), pipeline_of_model(content)
    model = model.to(device).eval()
    waves = {c["file"]: read_waveform(data_dir / c["file"], RATE)[0].numpy() for c in clips}
    backgrounds = [waves[c["file"]] for c in clips if c["true"] == NOISE_CLASS]
    answers: dict[str, list] = {}
    for clip in clips:
        name = clip["file"]
        inputs = []
        for draw in range(draws):
            rng = np.random.default_rng([draw, zlib.crc32(name.encode())])
            background = None
            if clip["true"] != NOISE_CLASS and backgrounds:
                background = backgrounds[rng.integers(len(backgrounds))]
            waveform = alter(waves[name], background, rng).numpy()
            inputs.append(network_input(waveform, content, pipeline))
        with torch.inference_mode():
            logits = model(torch.stack(inputs).to(device)).float().cpu()
        answers[name] = logits.softmax(1).double().numpy().round(6).tolist()
    return answers


def network_input(waveform: np.ndarray, content: ModelFile, pipeline: Pipeline) -> torch.Tensor:
    """Return what a network gets of a clip ``(samples,)`` at ``RATE``: ``(1, time, features)``."""
    if pipeline.config.sr != RATE:
        waveform = resample(waveform, RATE, pipeline.config.sr)
    if isinstance(pipeline, EmbeddingPipeline):
        embedding = pipeline.embed_clip(waveform, content.sequence_len_ms)
        return torch.from_numpy(embedding)[None, None]
    power = pipeline.power(torch.from_numpy(waveform)[None])
    band = pipeline.band(power, for_pitch_shift=False)
    return pipeline.clip_features(band, content.signal.n_clip_frames(content.sequence_len_ms))


def shift_all(runs: Sequence[Run], data_dir: Path, folds: int, draws: int, jobs: int) -> None:
    """Write ``shifted.json`` for each run that lacks it: name to ``(draws, classes)``."""
    waiting = [run for run in runs if not (run.folder / "shifted.json").is_file()]
    if not waiting:
        return
    print(f"judging altered clips: {len(waiting)} runs", flush=True)
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        futures = [
            [
                pool.submit(judge_altered, data_dir, run.folder / "model", fold, draws)
                for fold in range(1, folds + 1)
            ]
            for run in waiting
        ]
        for run, parts in zip(waiting, futures, strict=True):
            answers = {name: p for part in parts for name, p in part.result().items()}
            (run.folder / "shifted.json").write_text(json.dumps(answers))


# -- the table -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judged:
    """Probabilities of all clips in some variants (seeds, or draws of alterations).

    Attributes:
        names: Classes in index order.
        tapes: Tape of each clip, in the order of the clip names.
        labels: Class index of each clip.
        probabilities: Of each variant, shape ``(clips, classes)``.
    """

    names: list[str]
    tapes: list[str]
    labels: list[int]
    probabilities: list[np.ndarray]

    def draws(self) -> np.ndarray:
        """Macro accuracy of bootstrap draws of tapes, mean of the variants, shape ``(draws,)``."""
        return np.mean(
            [
                draw_tapes(self.labels, p.argmax(1), self.tapes, len(self.names)).macro
                for p in self.probabilities
            ],
            axis=0,
        )

    def figures(self) -> tuple[float, dict[str, float]]:
        """Return macro accuracy and the accuracy of each class, means of the variants."""
        each = [accuracies(self.labels, p.argmax(1), len(self.names)) for p in self.probabilities]
        classes = {
            name: float(np.mean([per_class[i] for per_class, _ in each]))
            for i, name in enumerate(self.names)
            if each[0][0][i] is not None
        }
        return float(np.mean([macro for _, macro in each])), classes


def judged_of(runs: Sequence[Run], *, shifted: bool) -> Judged:
    """Read the probabilities of runs of one row, one variant each, or one for each alteration."""
    probabilities = []
    for run in runs:
        results = json.loads(run.results.read_text())
        clips = results["clips"]
        names = sorted(results["classes"], key=results["classes"].__getitem__)
        if shifted:
            answers = json.loads((run.folder / "shifted.json").read_text())
            each = np.array([answers[c["file"]] for c in clips])  # (clips, draws, classes)
            probabilities += list(each.transpose(1, 0, 2))
        else:
            probabilities.append(np.array([c["probabilities"] for c in clips]))
    return Judged(
        names,
        [c["tape"] for c in clips],
        [names.index(c["true"]) for c in clips],
        probabilities,
    )


def averaged(members: Sequence[Judged], n_variants: int) -> Judged:
    """Average probabilities: over members and seeds, for each alteration by itself.

    Args:
        members: Of the same clips, each with ``seeds * n_variants`` variants.
        n_variants: Variants that are not averaged with each other: 1, or the draws of alterations.
    """
    first = members[0]
    for member in members:
        if (member.labels, member.tapes) != (first.labels, first.tapes):
            raise ValueError("the rows of an ensemble were judged on different clips")
    stacked = [p for member in members for p in member.probabilities]
    return Judged(
        first.names,
        first.tapes,
        first.labels,
        [np.mean(stacked[i::n_variants], axis=0) for i in range(n_variants)],
    )


def table_rows(
    complete: Sequence[Run],
    rows: Sequence[str],
    ensembles: Sequence[str],
    *,
    shifted: bool,
    draws: int,
) -> list[dict]:
    """Return the figures of each row; rows without a complete run are left out."""
    runs_of = {name: [run for run in complete if run.row == name] for name in rows}
    groups = {name: [name] for name in rows if runs_of[name]}
    for text in ensembles:
        members = [name.strip() for name in text.split(";")]
        unknown = [m for m in members if m not in runs_of]
        if unknown:
            raise ValueError(f"--ensemble: there is no row {unknown[0]}")
        if all(runs_of[m] for m in members):
            groups[f"ensemble of {' and '.join(members)}"] = members
    table, reference = [], {}
    for title, members in groups.items():
        entry: dict = {"row": title, "seeds": [run.seed for run in runs_of[members[0]]]}
        for kind in ("as it is", "altered") if shifted else ("as it is",):
            parts = [judged_of(runs_of[m], shifted=kind == "altered") for m in members]
            judged = parts[0]
            if title not in rows:
                judged = averaged(parts, draws if kind == "altered" else 1)
            macro, classes = judged.figures()
            values = judged.draws()
            base_macro, base_values = reference.setdefault(kind, (macro, values))
            worst = min(classes, key=classes.__getitem__)
            entry[kind] = {
                "macro_accuracy": macro,
                "interval_95": middle(values),
                "difference": macro - base_macro,
                "difference_interval_95": middle(values - base_values),
                "relative_error": (1 - macro) / (1 - base_macro) if base_macro < 1 else math.nan,
                "worst_class": worst,
                "worst_accuracy": classes[worst],
                "classes": classes,
            }
        table.append(entry)
    return table


def markdown(table: Sequence[dict]) -> list[str]:
    """Return the lines of the table."""
    kinds = [kind for kind in ("as it is", "altered") if table and kind in table[0]]
    head, rule = "| row | seeds |", "| --- | --- |"
    for kind in kinds:
        about = "" if kind == "as it is" else f"{kind}: "
        head += f" {about}mean of classes (95 %) | worst class | difference (95 %) | error |"
        rule += " --- | --- | --- | --- |"
    lines = [head, rule]
    for entry in table:
        line = f"| {entry['row']} | {len(entry['seeds'])} |"
        for kind in kinds:
            e = entry[kind]
            (low, high), (d_low, d_high) = e["interval_95"], e["difference_interval_95"]
            line += (
                f" {e['macro_accuracy']:.1%} ({low:.1%} to {high:.1%}) | {e['worst_class']} "
                f"{e['worst_accuracy']:.0%} | {100 * e['difference']:+.1f} ({100 * d_low:+.1f} to "
                f"{100 * d_high:+.1f}) | x {e['relative_error']:.2f} |"
            )
        lines.append(line)
    return lines


def build_parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], epilog="further flags go to main.py", allow_abbrev=False
    )
    parser.add_argument("--data_dir", type=Path, required=True, help="folder of the clips")
    parser.add_argument("--output", type=Path, required=True, help="folder of all runs")
    parser.add_argument(
        "--rows", help="file of NAME: FLAGS lines, or names of the rows here with ';' between"
    )
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--epochs_scale", type=float, default=1.0, help="factor of all epochs")
    parser.add_argument("--noise_class", default=NOISE_CLASS, help="for --noise_from_class")
    parser.add_argument("--shifted", action="store_true", help="judge altered clips too")
    parser.add_argument("--draws", type=int, default=3, help="alterations of each clip")
    parser.add_argument("--ensemble", nargs="+", default=[], metavar="'NAME; NAME'")
    parser.add_argument("--list", action="store_true", help="print the commands and end")
    return parser


def main() -> int:
    """Run the ablation; return 1 if a run failed."""
    parser = build_parser()
    args, further = parser.parse_known_args()
    try:
        text = ROWS
        if args.rows and Path(args.rows).is_file():
            text = Path(args.rows).read_text(encoding="utf-8")
        rows = read_rows(text, args.noise_class)
        if args.rows and not Path(args.rows).is_file():
            wanted = [name.strip() for name in args.rows.split(";")]
            unknown = [name for name in wanted if name not in rows]
            if unknown:
                raise ValueError(f"--rows: there is no row {unknown[0]}; there are: {list(rows)}")
            rows = {name: rows[name] for name in wanted}
        args.data_dir, args.output = args.data_dir.resolve(), args.output.resolve()
        if not args.data_dir.is_dir():
            raise ValueError(f"--data_dir {args.data_dir} does not exist or is not a folder")
        runs = plan(args, rows, further)
        for run in runs:
            print(f"{run.row}, seed {run.seed}:\n    {shlex.join(run.command)}")
        if args.list:
            return 0
        args.output.mkdir(parents=True, exist_ok=True)
        complete = train_all(runs, args.jobs)
        if args.shifted:
            shift_all(complete, args.data_dir, args.folds, args.draws, args.jobs)
        table = table_rows(
            complete, list(rows), args.ensemble, shifted=args.shifted, draws=args.draws
        )
    except ValueError as error:
        parser.error(str(error))
    lines = markdown(table)
    print("", *lines, sep="\n")
    (args.output / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (args.output / "table.json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    return 0 if len(complete) == len(runs) else 1


if __name__ == "__main__":
    sys.exit(main())

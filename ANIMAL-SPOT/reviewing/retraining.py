"""A run of ``retrain.py``: clips of the review, training, prediction, comparison.

Each round has a folder of its own. One that was ended in any way is gone on with, as long as model,
clips, decisions and settings are the same.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from animal_spot.data.corpus import SPLIT_FOLDER, Corpus, load_corpus
from animal_spot.data.labels import names_by_index
from animal_spot.data.noise_class import NOISE, noise_name
from animal_spot.data.splits import PARTITIONS, split_exists
from animal_spot.experiments.training_run import run as train
from animal_spot.model_files.ensemble_file import Ensemble, load_ensemble
from animal_spot.model_files.model_file import FILE_NAME, ModelFile
from animal_spot.model_files.torchscript_reader import is_torchscript
from animal_spot.models.precision import device_of
from animal_spot.prediction.config import PredictConfig
from animal_spot.prediction.run import run as predict
from animal_spot.reviewing import comparison, retrain_clips, retrain_settings
from animal_spot.reviewing.comparison import Detection
from animal_spot.reviewing.config import ReviewConfig
from animal_spot.reviewing.export import export_clips
from animal_spot.reviewing.found_rows import read_predictions
from animal_spot.reviewing.judged import Judged, judged
from animal_spot.reviewing.project import Project, Recording
from animal_spot.reviewing.retrain_config import RetrainConfig
from animal_spot.reviewing.retrain_process import PROCESS, sole_retraining
from animal_spot.reviewing.retrain_rounds import RESULT, rounds_in
from animal_spot.training.clip_scores import score_clips, split_fingerprint
from animal_spot.utils.errors import RunError, one_line
from animal_spot.utils.files import require_writable_folder, write_text_atomic
from animal_spot.utils.hardware import n_processes
from animal_spot.utils.names import composed

N_STEPS = 4
_TEXT = "retrained.txt"
_STATE = "round.json"
_DEALT = "recordings.json"  # where new recordings went, in this round and earlier ones
_TABLE = "clips.csv"
_CHANGES = {
    **{"gone": "gone", "still": "still there", "newly": "made only by the new model"},
    "lost": "no longer found",
}
_N_WORKERS = 4
UNTOUCHED, REVIEWED = "untouched test clips", "reviewed sample"
HELD_BACK = "reviewed, but not learned from"
LEARNED = (
    "the new model learned from the reviewed sample, so figures on it flatter: what it does on "
    "recordings that nobody reviewed only the test clips tell, or another review"
)

log = logging.getLogger("RETRAIN")


@dataclasses.dataclass(frozen=True)
class _Source:
    """Where the clips of the model lie, and what says their labels and split."""

    data_dir: Path
    labels: Path | None
    tape_pattern: str | None
    split_dir: Path


def retrain(config: RetrainConfig) -> Path:
    """Train a model further with what was decided, and write what it brought.

    Returns:
        The new model file.

    Raises:
        RunError: If training cannot go on.
        ValueError: If something given cannot be used, or too little was decided.
        OSError: If something cannot be read or written.
    """
    given = retrain_settings.further_options(config.training)
    output, model = config.output, Path(config.model).absolute()
    with Project(Path(config.project)) as project:
        run = _Run(config, given, project, model, output)  # a bad model leaves no folder behind
        require_writable_folder(output, "the folder of --output_dir")
        with sole_retraining(output):
            log.info(PROCESS, os.getpid())
            return run.run()


class _Run:
    """One run, of one round."""

    def __init__(
        self,
        config: RetrainConfig,
        given: Mapping[str, Any],
        project: Project,
        model: Path,
        output: Path,
    ) -> None:
        self._config, self._given, self._project = config, given, project
        self._model, self._output = model, output
        self._old = load_ensemble(model, torchscript=is_torchscript(model))
        if len(self._old) > 1:
            raise ValueError(
                f"--model {model} is an ensemble of {len(self._old)} networks; name the model file "
                "of one of them"
            )
        self._before = retrain_settings.settings_beside(model)
        embedding = config.embedding_model or self._before.get("embedding_model")
        self._embedding = (embedding,) if self._on_embeddings and embedding else ()
        self._notes: list[str] = []
        self._held_back: set[str] = set()  # recordings

    @property
    def _content(self) -> ModelFile:
        return self._old[0]

    @property
    def _on_embeddings(self) -> bool:
        return self._content.kind.hears == "embeddings"

    def run(self) -> Path:
        """Run, and return the new model file."""
        decided = judged(self._project)
        rows = [row for row in decided if row.verdict != "unsure"]
        usable = [row for row in rows if not row.recording.missing]
        if not usable:
            why = "its recordings are not there" if rows else "nothing was decided yet"
            raise ValueError(f"--project {self._config.project}: {why}")
        if n := len(decided) - len(rows):
            self._note(f"rows that teach nothing, since they are unsure or reviewers differ: {n}")
        if n := len(rows) - len(usable):
            self._note(f"rows that teach nothing, since their recordings are not there: {n}")
        # What cannot be used is refused before anything is cut.
        settings = self._settings(self._content.names, None)
        retrain_settings.train_config(self._model, self._content, settings)
        _step(1, "clips")
        source = self._source()
        corpus = None if source is None else self._corpus(source)
        noise = self._noise_class(corpus)
        folder, is_done = self._round(usable, corpus, noise)
        if is_done:
            log.info("finished already: %s is of this model and these decisions", folder / RESULT)
        else:
            self._go(folder, usable, source, corpus, noise)
        print((folder / _TEXT).read_text(encoding="utf-8"), end="")
        new_model = folder / "model" / FILE_NAME
        log.info("new model: %s", new_model)
        return new_model

    def _go(
        self,
        folder: Path,
        rows: Sequence[Judged],
        source: _Source | None,
        corpus: Corpus | None,
        noise: str,
    ) -> None:
        clips = folder / "corpus"
        # Not as long as a window, if it was not asked for: a clip that reaches over its event would
        # be left out if another call is beside it, and of a long event not every part holds it.
        exported = export_clips(self._project, rows, clips, noise, self._config.clip_length)
        for text in exported["notes"]:
            self._note(text)
        reviewed = retrain_clips.reviewed_clips(clips)
        if corpus is None:
            data = self._reviewed_alone(clips, reviewed, noise)
            classes = sorted({clip.label for clip in reviewed})
        else:
            data, classes = self._joined(folder, source, corpus, reviewed)
        _step(2, "training")
        self._train(folder, data, classes, noise if noise in classes else None)
        new = load_ensemble(folder / "model" / FILE_NAME)
        _step(3, "prediction of the reviewed recordings")
        recordings = {row.recording.id: row.recording for row in rows}
        before = self._detected_before(folder, recordings)
        after = self._predicted(folder / "found", folder / "model" / FILE_NAME, recordings)
        _step(4, "comparison")
        if corpus is None:
            corpus = load_corpus(clips, channel=self._content.signal.channel, no_split="")
        self._write(folder, rows, corpus, new, before, after)

    # --- the clips ---

    def _source(self) -> _Source | None:
        """Find the clips of the model; None: there are none at hand."""
        config, before = self._config, self._before
        given = config.data_dir is not None or config.labels is not None
        known = {} if given else before
        data_dir = config.data_dir or known.get("data_dir")
        labels = config.labels or known.get("labels")
        if data_dir is None and labels is not None:
            data_dir = str(Path(labels).parent)
        if data_dir is None or not Path(data_dir).is_dir():
            self._note(
                "the clips that the model was trained on are not at hand (--data_dir): it is "
                "trained on reviewed clips alone, and may forget what it knew"
            )
            return None
        if labels is not None and not Path(labels).is_file():
            raise ValueError(f"the table {labels} of the clips is not there: name it by --labels")
        wanted = config.split_dir or known.get("split_dir")
        places = [Path(wanted)] if wanted else [Path(data_dir), self._model.parent / SPLIT_FOLDER]
        stored = next((place for place in places if split_exists(place)), None)
        return _Source(
            Path(data_dir).resolve(),
            Path(labels).resolve() if labels else None,
            config.tape_pattern or known.get("tape_pattern"),
            (stored or self._output / SPLIT_FOLDER).resolve(),
        )

    def _corpus(self, source: _Source) -> Corpus:
        """Read the clips of the model by their stored split, in which nothing is changed."""
        corpus = load_corpus(
            source.data_dir,
            exclude_silent=bool(self._before.get("filter_broken_audio")),
            split_dir=source.split_dir,
            seed=int(self._before.get("seed") or 0),
            n_processes=n_processes(_N_WORKERS),
            channel=self._content.signal.channel,
            labels=source.labels,
            tape_pattern=source.tape_pattern,
        )
        heard = (self._content.extra or {}).get("split")
        if heard != split_fingerprint(corpus.samples):
            self._note(
                "the model was trained on another split, or does not say on which: it may have "
                "heard the test clips, and what is said of it on them flatters"
            )
        return corpus

    def _noise_class(self, corpus: Corpus | None) -> str:
        names = self._content.names if corpus is None else names_by_index(corpus.classes)
        wanted = self._config.noise_class or self._content.noise_class or noise_name(names)
        return composed(wanted or NOISE)

    def _reviewed_alone(
        self, clips: Path, reviewed: Sequence[retrain_clips.ReviewedClip], noise: str
    ) -> dict[str, Any]:
        """Make sure that reviewed clips suffice to train on.

        Raises:
            ValueError: If there are too few of a class.
        """
        least = retrain_clips.LEAST_OF_CLASS
        n = dict.fromkeys(self._content.names, 0)
        for clip in reviewed:
            n[clip.label] = n.get(clip.label, 0) + 1
        few = [f"{name} {count}" for name, count in n.items() if count < least]
        if few:
            raise ValueError(
                f"too few reviewed clips to train on them alone, {least} of each class are needed "
                f"({', '.join(few)}): review more, or name the clips of the model with --data_dir"
            )
        return {"data_dir": str(clips), "labels": None, "split_by_time": True}

    def _joined(
        self,
        folder: Path,
        source: _Source,
        corpus: Corpus,
        reviewed: Sequence[retrain_clips.ReviewedClip],
    ) -> tuple[dict[str, Any], list[str]]:
        """Write the table of all clips; return what training is told of it, and its classes."""
        known = retrain_clips.KnownTapes.of(corpus, source.data_dir, source.labels)
        noted = self._output / _DEALT
        earlier = retrain_clips.read_dealt(noted)
        joined = retrain_clips.join(reviewed, corpus, known, earlier)
        if joined.held_back:
            self._held_back = {clip.source for clip in joined.held_back}
            named = sorted(Path(source).name for source in self._held_back)
            self._note(
                f"{len(joined.held_back)} reviewed clips are not learned from, since their "
                f"recordings are in the test part: {', '.join(named[:5])}"
            )
        for name, n in joined.few.items():
            self._note(
                f"class {name} is new and has {n} training clips, fewer than "
                f"{retrain_clips.LEAST_OF_CLASS}: left out"
            )
        if not joined.counts("train"):
            raise ValueError(
                "no reviewed clip is left to train on: their recordings are in the validation or "
                "test part of the corpus, or their classes have too few clips"
            )
        write_text_atomic(noted, json.dumps(earlier | joined.dealt, indent=1) + "\n")
        table = folder / _TABLE
        retrain_clips.write_table(table, corpus, joined.rows)
        for part in ("train", "val"):
            counts = joined.counts(part)
            said = ", ".join(f"{name} {n}" for name, n in sorted(counts.items()))
            log.info(
                "%d reviewed clips join %s%s", sum(counts.values()), part, said and f": {said}"
            )
        classes = sorted({*corpus.classes, *(clip.label for clip, _, _ in joined.rows)})
        return {"data_dir": str(folder / "corpus"), "labels": str(table)}, classes

    # --- the round ---

    def _round(
        self, rows: Sequence[Judged], corpus: Corpus | None, noise: str
    ) -> tuple[Path, bool]:
        """Return the folder of the round, and whether it is finished."""
        config = self._config
        said = {
            "model": hashlib.sha256(self._model.read_bytes()).hexdigest(),
            "decisions": _digest([_key(row) for row in rows]),
            "clips": None
            if corpus is None
            else _digest(
                {p: [(s.name, s.digest, s.label) for s in corpus.samples[p]] for p in PARTITIONS}
            ),
            "settings": _digest(
                [self._given, config.epochs, config.clip_length, noise, self._before]
            ),
        }
        rounds = rounds_in(self._output)
        for number in sorted(rounds, reverse=True):
            with contextlib.suppress(OSError, ValueError):
                if json.loads((rounds[number] / _STATE).read_text(encoding="utf-8")) == said:
                    log.info("goes on with %s", rounds[number])
                    return rounds[number], (rounds[number] / RESULT).is_file()
        folder = self._output / f"round_{max(rounds, default=0) + 1}"
        folder.mkdir()
        write_text_atomic(folder / _STATE, json.dumps(said, indent=1) + "\n")
        return folder, False

    def _settings(self, classes: Sequence[str], noise: str | None) -> dict[str, Any]:
        return retrain_settings.training_settings(
            self._content,
            self._before,
            self._given,
            classes=classes,
            noise_class=noise,
            epochs=self._config.epochs,
        )

    def _train(
        self, folder: Path, data: Mapping[str, Any], classes: Sequence[str], noise: str | None
    ) -> None:
        settings = self._settings(classes, noise)
        settings |= data | {
            "model_dir": str(folder / "model"),
            "checkpoint_dir": str(folder / "checkpoints"),
            "log_dir": str(folder / "logs"),
            "summary_dir": str(folder / "summaries"),
            "cuda": self._config.cuda,
            "debug": self._config.debug,
        }
        if self._config.device != "auto":  # else what stands behind -- counts
            settings["device"] = self._config.device
        if self._embedding:
            settings["embedding_model"] = self._embedding[0]
        train(retrain_settings.train_config(self._model, self._content, settings))

    # --- what is found ---

    def _detected_before(
        self, folder: Path, recordings: Mapping[int, Recording]
    ) -> list[Detection]:
        """Return what the old model found: what was reviewed, else what it finds now."""
        found = self._project.db.execute(
            "SELECT id, recording_id, begin_s, end_s, class, score FROM detections WHERE "
            "source = 'prediction' AND class IS NOT NULL AND run = (SELECT max(run) FROM "
            "detections WHERE source = 'prediction') ORDER BY id"
        ).fetchall()
        if found:
            return [
                Detection(*(row[1], row[2], row[3], row[4], row[5]), id=row[0])
                for row in found
                if row[1] in recordings
            ]
        return self._predicted(folder / "found_before", self._model, recordings)

    def _predicted(
        self, output: Path, model: Path, recordings: Mapping[int, Recording]
    ) -> list[Detection]:
        """Predict recordings; return what is found in them."""
        paths = tuple(str(one.path) for one in recordings.values())
        threshold = self._project.setting("threshold")
        status = predict(
            PredictConfig(
                model_path=(str(model),),
                input_file=paths,
                output_dir=str(output),
                format=("raven", "csv"),
                cuda=self._config.cuda,
                device=self._config.device,
                embedding_model=self._embedding,
                jit_load=is_torchscript(model),
                **({} if threshold is None else {"threshold": threshold, "threshold_given": True}),
            )
        )
        if status:
            self._note("not all reviewed recordings could be predicted")
        by_path = {Path(one.path): number for number, one in recordings.items()}
        try:
            found = read_predictions(ReviewConfig(predictions=str(output), recordings=paths))
        except ValueError as error:
            raise RunError(one_line(error)) from error
        return [
            Detection(by_path[one.path], row.begin_s, row.end_s, row.class_name, row.score)
            for one in found
            if one.path in by_path
            for row in one.rows
        ]

    # --- what it brought ---

    def _write(
        self,
        folder: Path,
        rows: Sequence[Judged],
        corpus: Corpus,
        new: Ensemble,
        before: Sequence[Detection],
        after: Sequence[Detection],
    ) -> None:
        hours = _hours(rows)
        old_found = comparison.held_against(before, rows)
        new_found = comparison.held_against(after, rows)
        change = comparison.change(old_found, new_found, rows)
        content = {
            "model": {"before": str(self._model), "after": str(folder / "model" / FILE_NAME)},
            "sets": [
                {"name": UNTOUCHED, "rows": self._on_test(corpus, new)},
                {
                    "name": REVIEWED,
                    "rows": comparison.on_reviewed(old_found, new_found, rows, hours),
                },
                *self._on_held_back(rows, before, after),
            ],
            "reviewed_hours": hours,
            **{kind: [_shown(row) for row in getattr(change, kind)] for kind in _CHANGES},
            "notes": [*self._notes, LEARNED],
        }
        write_text_atomic(folder / _TEXT, "\n".join(_text(content)) + "\n")
        write_text_atomic(folder / RESULT, json.dumps(content, indent=1) + "\n")

    def _on_held_back(
        self, rows: Sequence[Judged], before: Sequence[Detection], after: Sequence[Detection]
    ) -> list[dict[str, Any]]:
        """Compare on the recordings that are in the test part, which tell the truth."""
        own = [row for row in rows if str(row.recording.path) in self._held_back]
        if not own:
            return []
        numbers = {row.recording.id for row in own}
        found = [
            comparison.held_against([one for one in every if one.recording in numbers], own)
            for every in (before, after)
        ]
        return [{"name": HELD_BACK, "rows": comparison.on_reviewed(*found, own, _hours(own))}]

    def _on_test(self, corpus: Corpus, new: Ensemble) -> list[dict[str, Any]]:
        samples = corpus.samples["test"]
        if not samples:
            self._note("there are no test clips")
            return []
        names = names_by_index(corpus.classes)
        said = []
        for models in (self._old, new):
            try:
                scores = score_clips(
                    models,
                    samples,
                    device_of(self._config.wanted_device),
                    _N_WORKERS,
                    [Path(path) for path in self._embedding],
                )
            except ValueError as error:
                self._note(one_line(error))
                said.append(None)
                continue
            own = models[0].names
            said.append([own[i] for i in scores.logits_of(models).argmax(1)])
        truth = [names[sample.label] for sample in samples]
        return [] if said[1] is None else comparison.on_clips(truth, said[0], said[1])

    def _note(self, text: str) -> None:
        log.warning("%s", text)
        self._notes.append(text)


def _hours(rows: Sequence[Judged]) -> float:
    return max(sum(one.duration_s for one in {row.recording for row in rows}) / 3600, 1e-9)


def _step(number: int, what: str) -> None:
    log.info("step %d of %d: %s", number, N_STEPS, what)


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _key(row: Judged) -> tuple:
    return (
        *(str(row.recording.path), row.begin_s, row.end_s, row.low_hz, row.high_hz),
        *(row.predicted, row.verdict, row.class_name),
    )


def _shown(row: Judged) -> dict[str, Any]:
    return {
        "id": row.id,
        "recording": str(row.recording.path),
        "begin_s": row.begin_s,
        "end_s": row.end_s,
        "class": row.predicted,
        "label": row.class_name,
        "score": row.score,
    }


def _text(content: Mapping[str, Any]) -> list[str]:
    lines = []
    for one in content["sets"]:
        lines += [one["name"], *comparison.table_lines(one["rows"]), ""]
    n_gone, n_still = len(content["gone"]), len(content["still"])
    lines.append(f"{n_gone} of {n_gone + n_still} reviewed mistakes are gone")
    for key, what in _CHANGES.items():
        lines += [f"  {what}: {_place(row)}" for row in content[key]]
    return [*lines, "", *(f"note: {text}" for text in content["notes"])]


def _place(row: Mapping[str, Any]) -> str:
    heard = row["label"] or "no call"
    return (
        f"{Path(row['recording']).name} {row['begin_s']:.2f} to {row['end_s']:.2f} s, "
        f"{row['class'] or 'missed'}, heard: {heard}"
    )

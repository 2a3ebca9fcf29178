"""A run of ``predict.py``: model files and recordings in, results out."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import math
import shlex
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from animal_spot.audio.recordings import FoundSounds, find_sounds, output_stems
from animal_spot.audio.sound_kinds import counted, why_not_read
from animal_spot.audio.windows import WindowGrid
from animal_spot.data.noise_class import no_noise_warning, noise_name
from animal_spot.detections.calibration import Calibration
from animal_spot.detections.journal import Completed, Journal
from animal_spot.detections.result_writers import SUFFIXES, RunHeader, log_lines
from animal_spot.model_files.ensemble_file import Ensemble, load_members
from animal_spot.model_files.model_file import ModelFile
from animal_spot.model_files.signal_path import warn_of_unused_embedding_model
from animal_spot.prediction.config import PredictConfig
from animal_spot.prediction.detectors import build_detectors
from animal_spot.prediction.predictor import Predictor
from animal_spot.prediction.result_folder import (
    FAILED,
    SUMMARY,
    ResultFolder,
    window_batches,
    write_run_tables,
)
from animal_spot.prediction.sound_progress import SoundProgress
from animal_spot.utils.errors import run_to_status
from animal_spot.utils.files import file_digest, refuse_links, require_writable_folder, sole_process
from animal_spot.utils.interrupt import StopRequest
from animal_spot.utils.logging import log_to_file
from animal_spot.utils.tensor_files import load_tensors
from animal_spot.utils.text import printable_lines

log = logging.getLogger("PREDICT")

SOME_FAILED = 3  # exit status
LOCK = ".prediction.lock"
RUN_LOG = "PREDICT.log"


def predict(config: PredictConfig) -> int:
    """Run with these settings; return the exit status."""
    return run_to_status(
        log,
        lambda: _run_until_stopped(config),
        debug=config.debug,
        stopped="recordings that are complete are kept, start again to go on",
        at_once="recordings that are complete are kept",
    )


def _run_until_stopped(config: PredictConfig) -> int:
    with StopRequest() as stop:
        return _run(config, stop)


def _run(config: PredictConfig, stop: StopRequest) -> int:
    if not config.model_path:
        raise ValueError("--model_path is needed: the model file, such as ANIMAL-SPOT.pk")
    if config.log_dir is not None:
        log_file = Path(config.log_dir) / RUN_LOG
        _refuse_links_inside(log_file, config)
        require_writable_folder(log_file.parent, "the log folder")
        log_to_file(log_file, append=config.resume)
    log.info("start on %s: %s", time.strftime("%Y-%m-%d"), " ".join(sys.argv))
    if config.export is not None:
        return _export(config)
    if not config.input_file:
        raise ValueError("--input_file is needed: a sound file, a folder or a list")
    found = find_sounds(config.input_file)
    paths, not_read = found.recordings, {p: why_not_read(p.name) for p in found.not_read}
    output_dir = Path(config.output_dir) if config.output_dir is not None else None
    if output_dir is not None:
        require_writable_folder(output_dir, "the output folder")
    models = load_models(config)
    if config.visualize and models[0].kind.hears == "embeddings":
        raise ValueError(
            f"--visualize draws spectrograms, and {models.called[0]} hears embeddings; leave it out"
        )
    run = settled(config, models, stop.check)
    names = run.settings.names
    log.info("%d recordings; classes: %s", len(paths), ", ".join(names))
    _say_what_is_left_out(found, output_dir)
    if models.noise_class is None:
        log.warning("%s", no_noise_warning(names, of=models.called[0]))
    elif models.noise_class != noise_name(names):
        log.info("noise class: %s", models.noise_class)
    log.debug("settings: %s", config)
    for path in paths:
        log.debug("input: %s", path)
    if output_dir is None:
        return _predict_to_screen(run, paths) or (SOME_FAILED if not_read else 0)
    with sole_process(output_dir / LOCK, f"writing into {output_dir}"):
        return _predict_to_folder(run, paths, not_read, output_dir)


def _refuse_links_inside(log_file: Path, config: PredictConfig) -> None:
    """Make sure that a log below the output folder is not written to another place by a link."""
    folder = Path(config.output_dir).absolute() if config.output_dir else log_file.parent
    inside = log_file.absolute().is_relative_to(folder)
    refuse_links(log_file.absolute(), folder if inside else log_file.parent.absolute())


# --- what the model files and the flags say -------------------------------------------------


@dataclass(frozen=True)
class Settings:
    """What flags and model files agree on; seconds."""

    sequence_len: float
    hop: float
    names: tuple[str, ...]
    class_thresholds: dict[str, float]


def load_models(config: PredictConfig) -> Ensemble:
    """Read the model files.

    Raises:
        ValueError: If one cannot be read, or their classes differ.
        OSError: If one does not exist.
    """
    models = load_members(
        [Path(p) for p in config.model_path],
        torchscript=config.jit_load,
        noise_class=config.noise_class,
    )
    warn_of_unused_embedding_model(config.embedding_model, models)
    if config.checkpoint_path is not None and len(models) > 1:
        raise ValueError(
            f"--checkpoint_path holds one network, and {config.model_path[0]} {len(models)}"
        )
    if config.checkpoint_path is not None:
        content = load_tensors(Path(config.checkpoint_path))
        try:
            models[0].model.load_state_dict(content["modelState"])
        except (LookupError, TypeError, RuntimeError) as error:
            raise ValueError(
                f"{config.checkpoint_path} is not a checkpoint of the network in "
                f"{config.model_path[0]}"
            ) from error
        if models[0].calibration.entries():
            log.warning(
                "the weights are the checkpoint's: the model file's calibration is not used"
            )
            models = Ensemble(
                [dataclasses.replace(models[0], calibration=Calibration())],
                models.names,
                called=models.called,
            )
    return models


def _data_opts(model: ModelFile) -> dict[str, Any]:
    """Return the signal path as results show it."""
    options = model.signal.data_opts()
    if model.kind.hears == "embeddings":
        options["embedding_model"] = model.encoder_opts["embedding_model"]
    return options


def choose_settings(config: PredictConfig, models: Ensemble) -> Settings:
    """Settle what model files and flags both say; see to each model's normalisation.

    Where they contradict each other the model file wins, and a warning says so.

    Raises:
        ValueError: If the window is too short for a model.
    """
    winner = "the flag wins (--override_model)" if config.override_model else "the model file wins"
    for path, model in zip(models.called, models, strict=True):
        if model.signal.pcen is not None:
            if config.min_max_norm and config.override_model:
                raise ValueError(
                    f"{path} was trained with per-channel normalisation, which --min_max_norm "
                    "cannot take the place of; leave it out"
                )
            if config.min_max_norm:
                log.warning("--min_max_norm, but %s was trained without: %s", path, winner)
            continue
        wanted = config.min_max_norm
        if model.normalization is not None and not config.override_model:
            wanted = model.normalization == "min_max"
        if config.min_max_norm and model.normalization == "db_range":
            log.warning("--min_max_norm, but %s was trained without: %s", path, winner)
        model.signal = dataclasses.replace(model.signal, min_max_norm=wanted)
    stored = [m.sequence_len_ms / 1000 for m in models if m.sequence_len_ms is not None]
    if len(set(stored)) > 1:
        log.warning(
            "the models were trained on clips of %s s; windows of %s s are used",
            " and ".join(str(s) for s in sorted(set(stored))),
            config.sequence_len if config.override_model and config.sequence_len else stored[0],
        )
    sequence_len = config.sequence_len
    if stored and sequence_len not in (None, stored[0]):
        log.warning(
            "--sequence_len %s s, but the model was trained on clips of %s s: %s",
            sequence_len,
            stored[0],
            winner,
        )
    if stored and not (config.override_model and sequence_len is not None):
        sequence_len = stored[0]
    if sequence_len is None:
        sequence_len = 2
    hop = config.hop
    if hop is None:
        hop = sequence_len / 2 if stored else 1
    if hop > sequence_len:
        log.warning(
            "--hop %s s is longer than a window of %s s: the sound between windows is not looked "
            "at",
            hop,
            sequence_len,
        )
    for path, model in zip(models.called, models, strict=True):
        grid = WindowGrid.of_seconds(sequence_len, hop, model.signal.sr)
        if grid.length < model.signal.n_fft:
            raise ValueError(
                f"windows of {sequence_len} s are shorter than one spectrum of {path} "
                f"({model.signal.n_fft / model.signal.sr:.3f} s); choose a longer --sequence_len"
            )
    rates = {model.signal.sr for model in models}
    common = math.gcd(*rates)
    if len(rates) > 1 and not float(hop * common).is_integer():
        raise ValueError(
            f"models with sampling rates of {' and '.join(map(str, sorted(rates)))} Hz need a "
            f"--hop that is a multiple of 1/{common} s, or their windows would drift apart: "
            f"{max(1, round(hop * common)) / common:g} instead of {hop:g}"
        )
    names = tuple(sorted(models[0].classes, key=models[0].classes.get))
    return Settings(sequence_len, hop, names, _class_thresholds(config, models))


def _choose_channel(config: PredictConfig, models: Ensemble) -> None:
    """Let all networks hear the wanted channel, else the one that they were trained on.

    Raises:
        ValueError: If that is not the same for all of them.
    """
    trained_on = sorted({model.signal.channel for model in models})
    if config.channel is None and len(trained_on) > 1:
        raise ValueError(
            f"the models were trained on channel {' and '.join(trained_on)}; choose with --channel"
        )
    if config.channel is not None and trained_on != [config.channel]:
        log.info(
            "--channel %s is heard; the model was trained on %s",
            config.channel,
            " and ".join(trained_on),
        )
    models.hear_channel(config.channel)


def _class_thresholds(config: PredictConfig, models: Ensemble) -> dict[str, float]:
    """Return the thresholds of a calibrated model file that no flag takes the place of."""
    thresholds = dict(models.calibration.thresholds)
    if not thresholds:
        return {}
    if config.threshold_given:
        log.info(
            "--threshold %s is used, not the thresholds that the model file has for its classes",
            config.threshold,
        )
        return {}
    values = {name: np.format_float_positional(value) for name, value in thresholds.items()}
    log.info(
        "thresholds of the model file: %s; all others %s",
        ", ".join(f"{name} {value} ({_clips_of(models, name)})" for name, value in values.items()),
        config.threshold,
    )
    log.info(
        "evaluate.py decides by them with: --threshold %s --class_threshold %s",
        config.threshold,
        shlex.quote(" ".join(f"{name}={value}" for name, value in values.items())),
    )
    return thresholds


def _clips_of(models: Ensemble, name: str) -> str:
    n = models.calibration.clips.get(name)
    return "found on an unknown number of clips" if n is None else f"found on {n} clips"


# --- the run --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """What is the same for all recordings of a run."""

    config: PredictConfig
    models: Ensemble
    settings: Settings
    header: RunHeader
    check: Callable[[], None]  # called often; may raise to stop

    def _config_of_engines(self) -> PredictConfig:
        """Return the settings, with fp32 for ``auto`` where rounding could grow.

        A faster arithmetic is good to ``MARGIN`` in a probability, but not in one that the
        temperature of an average stretches afterwards.
        """
        if self.models.calibration.temperature in (None, 1) or self.config.precision != "auto":
            return self.config
        log.info("an ensemble with a temperature of its own is computed in fp32")
        return dataclasses.replace(self.config, precision="fp32")

    def grid_of(self, model: ModelFile) -> WindowGrid:
        """Return the windows at the rate of a model."""
        return WindowGrid.of_seconds(
            self.settings.sequence_len,
            self.settings.hop,
            model.signal.sr,
            last_window=self.config.last_window,
        )

    def predictor(self, paths: Sequence[Path], **options: object) -> Predictor:
        """Make the networks ready for these recordings."""
        return Predictor(
            build_detectors(
                self._config_of_engines(),
                self.models,
                [self.grid_of(model) for model in self.models],
                paths,
            ),
            n_readers=self.config.num_workers,
            threshold=self.header.limits,
            temperature=self.models.calibration.temperature,
            channel=self.models[0].signal.channel,
            check=self.check,
            **options,
        )


def settled(
    config: PredictConfig, models: Ensemble, check: Callable[[], None] = lambda: None
) -> Run:
    """Settle what flags and models both say, and let the models know.

    Args:
        config: The flags.
        models: Networks with the same classes; their normalisation and channel are set.
        check: Called often while recordings are predicted; may raise to stop.

    Raises:
        ValueError: If flags and models cannot go together.
    """
    settings = choose_settings(config, models)
    _choose_channel(config, models)
    header = RunHeader(
        model_path=", ".join(config.model_path),
        data_opts=_data_opts(models[0]),
        min_max_norm=models[0].signal.min_max_norm,
        sequence_len=settings.sequence_len,
        hop=settings.hop,
        threshold=config.threshold,
        names=settings.names,
        noise_class=models.noise_class,
        class_thresholds=settings.class_thresholds,
        debug=config.debug,
    )
    return Run(config, models, settings, header, check)


def _predict_to_screen(run: Run, paths: Sequence[Path]) -> int:
    failed = 0
    grid = run.grid_of(run.models[0])
    for outcome in run.predictor(paths).run(paths):
        for warning in outcome.warnings:
            log.warning("%s: %s", outcome.path, warning)
        if outcome.reason:
            failed += 1
            log.error("%s: %s", outcome.path, outcome.reason)
        else:
            batches = window_batches(outcome, grid)
            lines = log_lines(batches, run.header, outcome.path, outcome.n_samples, grid.hop)
            sys.stderr.writelines(map(printable_lines, lines))
        outcome.close()
    return SOME_FAILED if failed else 0


def _say_what_is_left_out(found: FoundSounds, output_dir: Path | None) -> None:
    """Say in a line each how many files are of kinds that cannot be read, and are no sound."""
    if found.not_read:
        log.error(
            "%d files are of kinds that cannot be read, so they are not used (%s)%s; convert them "
            "to wav or flac, with ffmpeg for example",
            len(found.not_read),
            counted(path.name for path in found.not_read),
            f": see {output_dir / FAILED}" if output_dir is not None else "",
        )
    if found.others:
        names = counted(path.name for path in found.others)
        log.info("%d other files are no sound (%s)", len(found.others), names)


def _predict_to_folder(
    run: Run, paths: Sequence[Path], not_read: Mapping[Path, str], output_dir: Path
) -> int:
    """Write the results of recordings into a folder; return the exit status.

    Args:
        run: The run.
        paths: Recordings.
        not_read: Files that cannot be used, and the reason of each.
        output_dir: The folder.
    """
    config, header = run.config, run.header
    started = time.perf_counter()
    grid = run.grid_of(run.models[0])
    key = _run_key(config, header)
    pickled = config.latent_extract and config.latent_format == "pickle"
    with contextlib.closing(
        Journal(output_dir, SUFFIXES.values(), replace_edited=config.replace_edited)
    ) as journal:
        stems = dict(zip(paths, output_stems(paths, journal.stems), strict=True))
        extras = None
        if pickled or config.visualize:
            from animal_spot.prediction.window_extras import WindowExtras  # draws with matplotlib

            extras = WindowExtras(
                output_dir, header, grid, stems, visualize=config.visualize, collect=pickled
            )
        results = ResultFolder(
            output_dir,
            header,
            grid,
            config.formats,
            latent=config.latent_extract and not pickled,
            run=key,
            journal=journal,
        )
        entries, failed = {}, {}
        for path in paths if config.resume and not pickled else ():
            names = results.names_of(stems[path]).values()
            entry = journal.find(path, key, names)
            if entry is not None:
                entries[path] = entry
                journal.say_edited(names, entry)
        skipped = set(entries)
        todo = [path for path in paths if path not in entries]
        if skipped:
            log.info("%d recordings are complete already and left as they are", len(skipped))
        progress = SoundProgress()
        slow_rates = set()
        predictor = None
        if todo:
            predictor = run.predictor(
                todo,
                temporary_folder=output_dir,
                keep_embeddings=config.latent_extract,
                on_windows=extras.add if extras else None,
                on_progress=progress.add,
            )
            progress.start(todo)
        try:
            for outcome in predictor.run(todo) if predictor else ():
                for warning in outcome.warnings:
                    log.warning("%s: %s", outcome.path, warning)
                if not outcome.reason:
                    entries[outcome.path] = results.write(outcome, stems[outcome.path])
                else:
                    failed[outcome.path] = outcome.reason
                    log.error("%s: %s", outcome.path, outcome.reason)
                if outcome.rate and outcome.rate < 2 * header.data_opts["fmax"]:
                    slow_rates.add(outcome.rate)
                if extras is not None:
                    extras.end(outcome)
                outcome.close()
        finally:
            progress.close()
            everything = [*paths, *not_read]
            write_run_tables(journal.own, header, everything, entries, skipped, failed | not_read)
        if extras is not None:
            extras.write()
    done = [entries[path] for path in todo if path in entries]
    _say_what_was_done(done, failed, slow_rates, output_dir, header, time.perf_counter() - started)
    return SOME_FAILED if failed or not_read else 0


def _say_what_was_done(
    done: Sequence[Completed],
    failed: Collection[Path],
    slow_rates: Collection[int],
    output_dir: Path,
    header: RunHeader,
    seconds: float,
) -> None:
    for rate in sorted(slow_rates):
        log.warning(
            "recordings at %d Hz hold nothing above %g Hz, and the model listens up to %g Hz",
            rate,
            rate / 2,
            header.data_opts["fmax"],
        )
    duration_s = sum(entry.duration_s for entry in done)
    log.info(
        "%d recordings, %.2f h of sound, %d windows, %d annotations in %.1f s: %.0f x real time",
        len(done),
        duration_s / 3600,
        sum(entry.n_windows for entry in done),
        sum(len(entry.annotations) for entry in done),
        seconds,
        duration_s / max(seconds, 1e-9),
    )
    log.info("results: %s, summary in %s", output_dir, output_dir / SUMMARY)
    if failed:
        log.error("%d recordings failed; see %s", len(failed), output_dir / FAILED)


def _run_key(config: PredictConfig, header: RunHeader) -> str:
    """Return a hash of everything that the results depend on, but for the recordings."""
    files = [*config.model_path, *([config.checkpoint_path] if config.checkpoint_path else [])]
    of_header = dataclasses.asdict(dataclasses.replace(header, model_path=""))
    if not header.class_thresholds:
        del of_header["class_thresholds"]  # as before there were any: results stay complete
    if header.noise_class == noise_name(header.names):
        del of_header["noise_class"]
    content = {
        "version": 1,
        "models": [file_digest(Path(path)) for path in files],
        "header": of_header,
        "formats": config.formats,
        "last_window": config.last_window,
        "latent": config.latent_format if config.latent_extract else None,
        "visualize": config.visualize,
        "engine": config.engine,
        "precision": config.precision,
    }
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=16).hexdigest()


def _export(config: PredictConfig) -> int:
    from animal_spot.prediction.export import export_model

    model = load_models(config)
    choose_settings(config, model)
    kind, path = config.export
    require_writable_folder(Path(path).absolute().parent, "the folder of the export")
    export_model(model, kind, Path(path))
    log.info("written: %s", path)
    return 0

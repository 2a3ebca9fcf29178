"""A run of ``predict.py``: model files and recordings in, results out."""

from __future__ import annotations

import contextlib
import itertools
import logging
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from animal_spot.audio.recordings import FoundSounds, find_sounds, listed_names, output_stems
from animal_spot.audio.sound_kinds import counted, why_not_read
from animal_spot.data.noise_class import no_noise_warning
from animal_spot.detections.journal import Journal
from animal_spot.detections.result_writers import SUFFIXES, log_head, log_lines
from animal_spot.metadata.recording_time import RecordingTime, TimeFinder, lines_about
from animal_spot.metadata.time_flags import time_finder_of
from animal_spot.metadata.time_list import TimeList
from animal_spot.models.precision import device_of
from animal_spot.prediction.config import PredictConfig
from animal_spot.prediction.outcome import Outcome
from animal_spot.prediction.result_folder import (
    ResultFolder,
    run_key,
    source_of,
    window_batches,
    writer_of,
)
from animal_spot.prediction.run_tables import (
    FAILED,
    SUMMARY,
    NotedEntries,
    Tally,
    say_what_was_done,
    write_run_tables,
)
from animal_spot.prediction.settled import Run, choose_settings, load_models, settled
from animal_spot.prediction.shard_folder import journals_of_others, shard_writer, sole_writer
from animal_spot.prediction.shard_note import WholeList, write_note
from animal_spot.prediction.sound_progress import SoundProgress, refuse_other_file
from animal_spot.prediction.work import Done, Hands, Work, work_here
from animal_spot.remote.addresses import is_remote, shown
from animal_spot.remote.side_by_side import each
from animal_spot.utils.compact import TextList
from animal_spot.utils.files import refuse_links, require_writable_folder
from animal_spot.utils.interrupt import StopRequest
from animal_spot.utils.logging import log_to_file
from animal_spot.utils.many_paths import PathList, PathMap, PathSet
from animal_spot.utils.status import OK, SOME_FAILED
from animal_spot.utils.text import printable_lines

log = logging.getLogger("PREDICT")

RUN_LOG = "PREDICT.log"


def run(config: PredictConfig, hands: Hands = work_here) -> int:
    """Predict as wanted; return the exit status.

    Args:
        config: The flags.
        hands: What does the recordings whose results go into a folder.

    Raises:
        ValueError: If something given cannot be used.
        OSError: If something cannot be read or written.
        Interrupted: If the program was asked to stop.
    """
    with StopRequest() as stop:
        return _run(config, stop, hands)


def _run(config: PredictConfig, stop: StopRequest, hands: Hands) -> int:
    if not config.model_path:
        raise ValueError("--model_path is needed: the model file, such as ANIMAL-SPOT.pk")
    if config.log_dir is not None:
        _log_into(Path(config.log_dir) / RUN_LOG, config)
    log.info("start on %s: %s", time.strftime("%Y-%m-%d"), " ".join(sys.argv))
    if config.export is not None:
        return _export(config)
    if not config.input_file:
        raise ValueError("--input_file is needed: a sound file, a folder or a list")
    found = find_sounds(config.input_file)
    output_dir = Path(config.output_dir) if config.output_dir is not None else None
    finder = time_finder_of(config)
    if output_dir is not None:
        require_writable_folder(output_dir, "the output folder")
        _progress_file(config, output_dir)  # refuses before anything is begun
    models = load_models(config)
    if config.visualize and models[0].kind.hears == "embeddings":
        raise ValueError(
            f"--visualize draws spectrograms, and {models.called[0]} hears embeddings; leave it out"
        )
    if config.ray is None:
        device_of(config.wanted_device)  # refuses one that is not here before anything is written
    run = settled(config, models, stop.check)
    _say_what_is_there(found, output_dir, run)
    log.debug("settings: %s", config)
    if log.isEnabledFor(logging.DEBUG):
        for path in found.recordings:
            log.debug("input: %s", shown(path))
    if output_dir is None:
        all_done = _predict_to_screen(run, found.recordings)
    else:
        all_done = _predict_to_folder(run, found, output_dir, finder, hands)
    return OK if all_done and not found.not_read else SOME_FAILED


def _log_into(log_file: Path, config: PredictConfig) -> None:
    """Log into a file too; one below the output folder is not written elsewhere by a link."""
    folder = Path(config.output_dir).absolute() if config.output_dir else log_file.parent
    inside = log_file.absolute().is_relative_to(folder)
    refuse_links(log_file.absolute(), folder if inside else log_file.parent.absolute())
    require_writable_folder(log_file.parent, "the log folder")
    log_to_file(log_file, append=config.resume)


def _export(config: PredictConfig) -> int:
    from animal_spot.prediction.export import export_model

    model = load_models(config)
    choose_settings(config, model)
    kind, path = config.export
    require_writable_folder(Path(path).absolute().parent, "the folder of the export")
    export_model(model, kind, Path(path))
    log.info("written: %s", path)
    return OK


def _say_what_is_there(found: FoundSounds, output_dir: Path | None, run: Run) -> None:
    """Say how many recordings there are, what of the files is left out, and what is no call."""
    names = run.header.names
    log.info("%d recordings; classes: %s", len(found.recordings), ", ".join(names))
    if found.not_read:
        log.error(
            "%d files are of kinds that cannot be read, so they are not used (%s)%s; convert them "
            "to wav or flac, with ffmpeg for example",
            len(found.not_read),
            counted(path.name for path in found.not_read),
            f": see {output_dir / FAILED}" if output_dir is not None else "",
        )
    if found.others:
        kinds = counted(path.name for path in found.others)
        log.info("%d other files are no sound (%s)", len(found.others), kinds)
    if run.header.noise_class is None:
        log.warning("%s", no_noise_warning(names, of=run.models.called[0]))
    elif run.header.unusual_noise_class:
        log.info("noise class: %s", run.header.noise_class)


def _is_usable(outcome: Outcome | Done) -> bool:
    """Tell whether a recording could be used, and say what is odd about it, or why not."""
    for warning in outcome.warnings:
        log.warning("%s: %s", shown(outcome.path), warning)
    if outcome.reason:
        log.error("%s: %s", shown(outcome.path), outcome.reason)
    return not outcome.reason


def _predict_to_screen(run: Run, paths: Sequence[Path]) -> bool:
    """Write logs to the screen; return whether all recordings could be used."""
    all_done = True
    grid, header = run.grid_of(run.models[0]), run.header
    for outcome in run.predictor(paths).run(paths):
        if _is_usable(outcome):
            _to_screen(log_head(header, source_of(outcome, grid)))
            for batch in window_batches(outcome, grid, header):
                _to_screen(log_lines(batch, header))
        else:
            all_done = False
        outcome.close()
    return all_done


def _to_screen(lines: Iterable[str]) -> None:
    sys.stderr.writelines(map(printable_lines, lines))


def _times_of(
    paths: PathList, finder: TimeFinder, check: Callable[[], None]
) -> Mapping[Path, RecordingTime]:
    """Find when and where recordings were made, and say what is known of it."""
    n_remote = sum(map(is_remote, paths.texts))
    if n_remote:
        log.info("the heads of %d recordings at addresses are read", n_remote)
    found = TimeList()
    for time_of_one in each(finder.of, paths, about=paths):
        check()
        found.append(time_of_one)
    times = PathMap(paths, found)
    for is_warning, line in lines_about(times.items()):
        log.log(logging.WARNING if is_warning else logging.INFO, "%s", line)
    return times


def _predict_to_folder(
    run: Run, found: FoundSounds, output_dir: Path, finder: TimeFinder, hands: Hands
) -> bool:
    """Write the results of recordings into a folder; return whether all could be used."""
    started = time.perf_counter()
    shard = run.config.part
    alone = sole_writer(output_dir) if shard is None else shard_writer(output_dir, shard)
    with alone, contextlib.closing(_journal_of(run.config, output_dir)) as journal:
        share = _share_of(found, run.config)
        times = _times_of(share.recordings, finder, run.check)
        tally = _write_results(run, found, share, output_dir, journal, times, hands)
        if shard is not None:
            _note_shard(run, found, output_dir, tally)
    say_what_was_done(tally, run.header, output_dir, time.perf_counter() - started, shard)
    return not tally.failed


def _journal_of(config: PredictConfig, folder: Path) -> Journal:
    options = {"replace_edited": config.replace_edited}
    if config.part is not None:
        name = config.part.journal
        options |= {"name": name, "others": journals_of_others(folder, name)}
        (folder / config.part.note).unlink(missing_ok=True)  # it is not done any more
    return Journal(folder, SUFFIXES.values(), **options)


def _share_of(found: FoundSounds, config: PredictConfig) -> FoundSounds:
    """Return what this process works on."""
    shard = config.part
    if shard is None:
        return found

    def held(paths: PathList) -> PathList:
        names = listed_names(config.input_file, paths)
        both = zip(paths.texts, names, strict=True)
        return PathList(path for path, name in both if shard.holds(name))

    share = FoundSounds(held(found.recordings), held(found.not_read), PathList())
    log.info("shard %s: %d of the recordings", shard, len(share.recordings))
    return share


def _note_shard(run: Run, found: FoundSounds, output_dir: Path, tally: Tally) -> None:
    paths = _joined(found.recordings, found.not_read)
    write_note(
        output_dir,
        run.config.part,
        WholeList.of(paths, listed_names(run.config.input_file, paths)),
        run=run_key(run.config, run.header),
        names=run.header.names,
        band_hz=run.header.band_hz,
        tally=tally,
        inputs=run.config.input_file,
    )


def _joined(first: PathList, second: PathList) -> PathList:
    return PathList(itertools.chain(first.texts, second.texts)) if second else first


def _progress_file(config: PredictConfig, output_dir: Path) -> Path | None:
    """Return where lines for programs go; one below the output folder is not written elsewhere.

    Raises:
        OSError: If it is a link, or its folder cannot be written.
        ValueError: If there is something else already.
    """
    if config.progress_file is None:
        return None
    path = Path(config.progress_file)
    inside = path.absolute().is_relative_to(output_dir.absolute())
    refuse_links(path.absolute(), (output_dir if inside else path.parent).absolute())
    require_writable_folder(path.parent, "the folder of --progress_file")
    refuse_other_file(path)
    return path


def _write_results(
    run: Run,
    found: FoundSounds,
    share: FoundSounds,
    output_dir: Path,
    journal: Journal,
    times: Mapping[Path, RecordingTime],
    hands: Hands,
) -> Tally:
    """Write the results of a share of what was found, and unless it is a shard the tables."""
    config, header = run.config, run.header
    pickled = config.latent_extract and config.latent_format == "pickle"
    stem_of = PathMap(found.recordings, output_stems(found.recordings, journal.stems))
    if share is not found:
        stem_of = PathMap(share.recordings, TextList(stem_of[path] for path in share.recordings))
    extras = None
    if pickled or config.visualize:
        from animal_spot.prediction.window_extras import WindowExtras  # draws with matplotlib

        grid = run.grid_of(run.models[0])
        extras = WindowExtras(
            *(output_dir, header, grid, run.models[0].signal, stem_of),
            visualize=config.visualize,
            collect=pickled,
        )
    results = ResultFolder(journal, writer_of(run), run_key(config, header), times)
    before, complete = PathSet(share.recordings), PathSet(share.recordings)
    if config.resume and not pickled:
        for path in results.complete(stem_of):
            before.add(path)
            complete.add(path)
    todo = share.recordings
    if before:
        log.info("%d recordings are complete already and left as they are", len(before))
        todo = PathList(path for path in share.recordings if path not in before)
    not_read = {path: why_not_read(path.name) for path in share.not_read}
    tally = Tally(
        _joined(share.recordings, share.not_read),
        not_read,
        before,
        NotedEntries(journal, complete),
        times=times,
    )
    progress = SoundProgress(_progress_file(config, output_dir))
    done: Iterable[Done] = ()
    if todo:
        progress.start(todo)
        done = hands(
            Work(run, found.recordings, todo, stem_of, results, output_dir, progress.add, extras)
        )
    try:
        for one in done:
            if _is_usable(one):
                complete.add(one.path)
                tally.sums.add(one.entry)
            else:
                tally.failed[one.path] = one.reason
            progress.recording(failed=bool(one.reason))
            if one.rate and one.rate < 2 * header.data_opts["fmax"]:
                tally.slow_rates.add(one.rate)
    finally:
        progress.close()
        is_news = not todo or tally.failed or len(tally.entries) > len(tally.skipped)
        # What ended before its first recording leaves the tables of an earlier run as they are.
        if config.part is None and (is_news or not (output_dir / SUMMARY).exists()):
            write_run_tables(journal.own, header.names, header.band_hz, tally)
    if extras is not None:
        extras.write()
    return tally

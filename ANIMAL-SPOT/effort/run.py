"""From tables of detections to activity by hour and day, as configured."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from animal_spot.effort.config import ActivityConfig
from animal_spot.utils.status import OK, SOME_FAILED

if TYPE_CHECKING:
    from animal_spot.effort.counting import Activity, Recorded
    from animal_spot.utils.own_files import OwnFiles

log = logging.getLogger("ACTIVITY")

RECORD, LOCK = ".activity.jsonl", ".activity.lock"
_OF = "activity"  # what the files of this program are about, in its record


def run(config: ActivityConfig) -> int:
    """Count, write tables and draw pictures; return the exit status.

    Raises:
        ValueError: If something given cannot be used, or no recording has a time.
        OSError: If something cannot be read or written.
    """
    from animal_spot.utils.files import require_writable_folder, sole_process

    output_dir = Path(config.output_dir)
    require_writable_folder(output_dir, "the output folder")
    with sole_process(output_dir / LOCK, f"writing into {output_dir}"):
        return _run(config, output_dir)


def _run(config: ActivityConfig, output_dir: Path) -> int:
    from animal_spot.effort.counting import count
    from animal_spot.utils.own_files import JsonLines, OwnFiles

    recorded, classes, n_failed = _read(config)
    if not recorded:
        raise ValueError("no recording with a time and a table: nothing to count")
    activity, notes = count(recorded, classes)
    for note in (*notes, *_about_clocks(recorded)):
        log.warning("%s", note)
    with contextlib.closing(JsonLines(output_dir / RECORD)) as lines:
        own = OwnFiles(output_dir, lines, replace_edited=config.replace_edited)
        lines.read(own.read)
        _write(own, activity)
    log.info(
        "%d detections in %.1f recorded hours at %d sites from %s to %s: %s",
        *(activity.found.total(), sum(activity.effort_s.values()) / 3600, len(activity.sites)),
        *(activity.days[0], activity.days[-1], output_dir),
    )
    if n_failed:
        log.error("%d failed; see above", n_failed)
    return SOME_FAILED if n_failed else OK


def _read(config: ActivityConfig) -> tuple[list[Recorded], list[str], int]:
    """Return recordings, classes, and how many files could not be used."""
    from animal_spot.data.noise_class import is_background
    from animal_spot.effort import sources
    from animal_spot.metadata.recording_time import TimeFinder, lines_about
    from animal_spot.metadata.time_flags import time_finder_of

    finder = time_finder_of(config)
    n_failed, classes = 0, []
    if config.recordings:
        heard, n_failed = sources.read_lengths(config.recordings)
    if config.prediction_dir is not None:
        in_summary, classes = sources.read_summary(Path(config.prediction_dir))
        heard = heard if config.recordings else in_summary
    if not config.tables:
        sources.say_edited(Path(config.prediction_dir))
    of_prediction = [str(Path(config.prediction_dir or "", sources.ALL_RECORDINGS))]
    tables, n_bad = sources.read_tables(
        config.tables or of_prediction, config.label_column, Path(config.output_dir)
    )
    silent = config.silent_without_table or not config.tables
    found, n_refused = sources.found_in(heard, tables, silent_without_table=silent)
    times = sources.times_of(heard, finder, anew=finder != TimeFinder())
    for is_warning, line in lines_about(times):
        log.log(logging.WARNING if is_warning else logging.INFO, "%s", line)
    recorded = sources.recorded_of(heard, times, found, config.noise_class)
    calls = [name for name in classes if not is_background(name, config.noise_class)]
    return recorded, calls, n_failed + n_bad + n_refused


def _about_clocks(recorded: Sequence[Recorded]) -> list[str]:
    """Say of sites that their recordings are of different clocks, or that they are not known."""
    offsets: dict[str, set[str]] = {}
    for one in recorded:
        zone = one.start.tzinfo
        offsets.setdefault(one.site, set()).add("unknown" if zone is None else str(zone))
    return [
        f"site {site}: recordings are of several clocks ({', '.join(sorted(zones))}), and hours "
        "are those of each; name the zone of the place with --timezone or --deployments"
        for site, zones in offsets.items()
        if len(zones) > 1
    ]


def _write(own: OwnFiles, activity: Activity) -> None:
    """Write all tables and pictures; remove those of an earlier run that are not among them."""
    from animal_spot.effort.activity_tables import file_names, tables_of
    from animal_spot.effort.heat_map import heat_maps
    from animal_spot.figures.look import save

    written = set()
    for name, text in tables_of(activity).items():
        written.add(name)
        if own.has_text(name, text) or own.may_write(name):
            own.write_text(name, text, of=_OF)
    for class_name, stem in file_names(activity.classes, "activity_of_", "").items():
        for number, figure in enumerate(heat_maps(activity, class_name), 1):
            for ending in ("png", "svg"):
                name = f"{stem}{f'_page{number}' if number > 1 else ''}.{ending}"
                written.add(name)
                if own.may_write(name):
                    with own.writing(name, of=_OF) as temporary:
                        save(figure, temporary, ending)
    for name in set(own.names_of(_OF)) - written:
        own.remove(name)

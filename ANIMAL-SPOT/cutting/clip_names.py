"""Names of clips by the convention that ``data.labels`` reads, see there.

``<CLASS>-<LABELINFO>_<ID>_<YEAR>_<TAPE>_<STARTMS>_<ENDMS>``: CLASS ends at the first ``-``, and the
others are parted by ``_``, so a ``-`` of a class becomes ``_``, and a ``_`` of anything else
becomes something else; ``labels.csv`` has the class as it is. LABELINFO is the label where it is
not the class. ID is the first sample, with the channel if one was chosen. YEAR is
``UNKNOWN_YEAR`` where no recording time is known: the time of a file changes when it is copied.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from animal_spot.audio.channel_choice import MIX
from animal_spot.cutting.plan import ClipPlan, milliseconds
from animal_spot.data.labels import FIRST_YEAR, LAST_YEAR
from animal_spot.metadata.recording_time import RecordingTime
from animal_spot.utils.names import composed, look_alikes

UNKNOWN_YEAR = FIRST_YEAR
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f\ud800-\udfff<>:"/\\|?*]')  # in names of some system
_LONGEST_CLASS, _LONGEST_INFO, _LONGEST_TAPE = 80, 40, 80  # bytes of the 255 of a name


def class_part(class_name: str) -> str:
    """Return what stands for a class in names."""
    plain = _FORBIDDEN.sub("_", composed(class_name)).replace("-", "_").strip()
    return _shortened(re.sub(r"\A[.=+@']", "_", plain), _LONGEST_CLASS, "_") or "_"


def label_part(label: str, class_name: str) -> str:
    """Return what stands for a label in names: ``call`` if it is the class."""
    plain = re.sub(r"[-_.\s]+", ".", _FORBIDDEN.sub(".", composed(label))).strip(".")
    if composed(label) == composed(class_name) or not plain:
        return "call"
    return _shortened(plain, _LONGEST_INFO, ".")


def tape_part(stem: str) -> str:
    """Return what stands for a recording in names."""
    plain = re.sub(r"[-_\s]+", "-", _FORBIDDEN.sub("-", composed(stem))).strip("-. ")
    return _shortened(plain, _LONGEST_TAPE, "-") or "recording"


def year_of(time: RecordingTime) -> int:
    """Return the year of a recording, or ``UNKNOWN_YEAR``; other years no name can hold."""
    year = UNKNOWN_YEAR if time.start is None else time.start.year
    return year if FIRST_YEAR <= year <= LAST_YEAR else UNKNOWN_YEAR


def clip_stem(plan: ClipPlan, rate: int, year: int, tape: str) -> str:
    """Return the name of a clip without its ending.

    Args:
        plan: The clip.
        rate: Samples a second of its recording.
        year: As ``year_of`` says.
        tape: As ``tape_part`` says, and of no other recording.
    """
    label = "background" if plan.event is None else plan.event.label
    info = label_part(label, plan.class_name)
    number = str(plan.start) if plan.channel == MIX else f"{plan.start}c{plan.channel}"
    start_ms, end_ms = milliseconds(plan.start, rate), milliseconds(plan.end, rate)
    return f"{class_part(plan.class_name)}-{info}_{number}_{year}_{tape}_{start_ms}_{end_ms}"


def refuse_confusable(class_names: Iterable[str]) -> None:
    """Make sure that classes can be told apart, also by the names of their clips.

    Raises:
        ValueError: If two cannot.
    """
    parts: dict[str, str] = {}
    names = sorted(set(class_names))
    groups = look_alikes(names)
    for name in names:
        other = parts.setdefault(class_part(name).casefold(), name)
        if other != name and not groups:
            groups.append([other, name])
    if groups:
        raise ValueError(
            f"the classes {' and '.join(map(repr, groups[0]))} cannot be told apart by the names "
            "of their clips, in which - is _ and case does not count: give them other names, or "
            "make them one, with --label_map (--list_labels writes one to edit)"
        )


def _shortened(text: str, n_bytes: int, mark: str) -> str:
    """Return a text of at most so many bytes of UTF-8; what was longer ends in a hash."""
    encoded = text.encode()
    if len(encoded) <= n_bytes:
        return text
    digest = hashlib.blake2b(encoded, digest_size=4).hexdigest()
    return f"{encoded[: n_bytes - 9].decode(errors='ignore')}{mark}{digest}"

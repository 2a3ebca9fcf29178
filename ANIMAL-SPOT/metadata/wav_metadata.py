"""What recorders write into sound files about time, place and device.

Chunks of WAVE files: ``guan`` (GUANO, https://guano-md.org, many recorders of bats and others),
``wamd`` (Wildlife Acoustics), ``bext`` (EBU Tech 3285) and ``LIST INFO``, whose comment AudioMoths
write; of FLAC, Ogg and AIFF the comment too, which survives a conversion. The chunks are read here,
since ``guano`` and ``aru-metadata-parser`` refuse or misread unfinished, long and unusual files.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from animal_spot.audio.sound_file import open_regular
from animal_spot.metadata.moments import MomentError, offset_of, parse_moment
from animal_spot.remote.addresses import is_remote

GUANO, AUDIOMOTH, WAMD = "GUANO", "AudioMoth comment", "Wildlife Acoustics metadata"
BEXT, INFO = "broadcast-wave metadata", "WAVE metadata"
_ORDER = (GUANO, AUDIOMOTH, WAMD, BEXT, INFO)  # what wins where several say a time

_MOST = 2**20  # bytes of a chunk that are read: what is longer is a programme or a picture
_MOST_CHUNKS = 1000
_TEXTS = (".flac", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".aifc")
_YEARS = range(1990, 2100)  # others come from clocks that were never set

# https://github.com/OpenAcousticDevices/AudioMoth-Firmware-Basic: versions 1.0 to 1.11
_RECORDED = re.compile(
    r"Recorded at (\d\d:\d\d:\d\d(?:\.\d+)?) (\d\d)/(\d\d)/(\d{4})(?: \((UTC[^)]{0,6})\))?"
)
_AUDIOMOTH_ID = re.compile(r"(?:AudioMoth|HydroMoth) ([0-9A-Fa-f]{8,16})")


@dataclass(frozen=True)
class FileMetadata:
    """What a sound file says of itself.

    Attributes:
        times: Begin of the recording by each source that says one, the most trusted first; those
            without a zone have no ``tzinfo``.
        device: Serial number of the recorder.
        latitude: Degrees, north is positive.
        longitude: Degrees, east is positive.
    """

    times: tuple[tuple[str, datetime], ...] = ()
    device: str | None = None
    latitude: float | None = None
    longitude: float | None = None


def read_metadata(path: Path) -> FileMetadata:
    """Read what a sound file says of itself; nothing, if it is damaged or cannot be read."""
    found: list[FileMetadata] = []
    with contextlib.suppress(OSError, ValueError), open_regular(path) as file:
        if path.suffix.lower() in _TEXTS:
            found = [_of_comment(_texts_of(file if is_remote(path) else path))]
        else:
            found = [_READERS[name](content) for name, content in _chunks(file)]
    return _joined(found)


def _joined(found: list[FileMetadata]) -> FileMetadata:
    times = {source: moment for one in reversed(found) for source, moment in one.times}
    ranked = sorted(times.items(), key=lambda item: _ORDER.index(item[0]))
    placed = next((one for one in found if one.latitude is not None), FileMetadata())
    device = next((one.device for one in found if one.device), None)
    return replace(placed, times=tuple(ranked), device=device)


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and content of the chunks that say something."""
    n_file = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if head[:4] not in (b"RIFF", b"RF64") or head[8:] != b"WAVE":
        return
    position, long_size = 12, 0
    for _ in range(_MOST_CHUNKS):
        file.seek(position)
        chunk = file.read(8)
        if len(chunk) < 8:
            return
        name, size = chunk[:4], int.from_bytes(chunk[4:], "little")
        if name == b"ds64":
            long_size = int.from_bytes(file.read(16)[8:], "little")
        elif name in _READERS:
            yield name, file.read(min(size, _MOST))
        elif name == b"data" and size == 0xFFFFFFFF:
            size = long_size or n_file
        position += 8 + size + size % 2


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _moment(text: str) -> datetime | None:
    """Read a time as recorders write it; None: there is none, or the clock was never set."""
    try:
        moment = parse_moment(text)
    except MomentError:
        return None
    return moment if moment.year in _YEARS else None


def _said(source: str, moment: datetime | None) -> tuple[tuple[str, datetime], ...]:
    return () if moment is None else ((source, moment),)


def _position(latitude: str, longitude: str) -> dict[str, float]:
    """Return a place in degrees; nothing where it is none, or the 0, 0 of a receiver without."""
    place = float(latitude), float(longitude)
    is_one = abs(place[0]) <= 90 and abs(place[1]) <= 180 and place != (0, 0)
    return dict(zip(("latitude", "longitude"), place, strict=True)) if is_one else {}


def _of_guano(content: bytes) -> FileMetadata:
    pairs = (line.partition(":") for line in re.split(r"[\r\n]+", _text(content)))
    fields = {key.strip(" \t\0"): value.strip(" \t\0") for key, _, value in pairs}
    place: dict[str, float] = {}
    position = fields.get("Loc Position", "").replace(",", " ").split()
    if len(position) == 2:
        with contextlib.suppress(ValueError):
            place = _position(*position)
    device = fields.get("Serial") or next(
        (value for key, value in fields.items() if key.endswith("|Serial") and value), None
    )
    times = _said(GUANO, _moment(fields.get("Timestamp", "")))
    return FileMetadata(times, device, **place)


def _of_wamd(content: bytes) -> FileMetadata:
    fields: dict[int, str] = {}
    position = 0
    while position + 6 <= len(content):
        number = int.from_bytes(content[position : position + 2], "little")
        size = int.from_bytes(content[position + 2 : position + 6], "little")
        fields[number] = _text(content[position + 6 : position + 6 + size]).strip(" \t\r\n\0")
        position += 6 + size
    place: dict[str, float] = {}
    parts = [part.strip() for part in fields.get(6, "").split(",")][1:]  # without the datum
    with contextlib.suppress(ValueError):
        if len(parts) >= 4 and parts[1] in ("N", "S"):
            signs = ("-" if parts[1] == "S" else "", "-" if parts[3] == "W" else "")
            place = _position(signs[0] + parts[0], signs[1] + parts[2].lstrip("-"))
        elif len(parts) >= 2:
            place = _position(*parts[:2])
    return FileMetadata(_said(WAMD, _moment(fields.get(5, ""))), fields.get(2) or None, **place)


def _of_bext(content: bytes) -> FileMetadata:
    """Read the comment, date and time of a broadcast-wave file; it has no zone."""
    description = _text(content[:256].rstrip(b"\0"))
    date, clock = (re.findall(r"\d+", _text(content[a:b])) for a, b in ((320, 330), (330, 338)))
    moment = None
    if len(date) == 3 and len(clock) == 3:
        moment = _moment(f"{'-'.join(date)} {':'.join(clock)}")
    comment = _of_comment({"comment": description})
    return replace(comment, times=(*comment.times, *_said(BEXT, moment)))


def _of_list(content: bytes) -> FileMetadata:
    if content[:4] != b"INFO":
        return FileMetadata()
    keys = {b"ICMT": "comment", b"IART": "artist", b"ICRD": "date"}
    texts: dict[str, str] = {}
    position = 4
    while position + 8 <= len(content):
        name = content[position : position + 4]
        size = int.from_bytes(content[position + 4 : position + 8], "little")
        if name in keys:
            texts[keys[name]] = _text(content[position + 8 : position + 8 + size].split(b"\0")[0])
        position += 8 + size + size % 2
    return _of_comment(texts)


def _of_comment(texts: dict[str, str]) -> FileMetadata:
    """Understand a comment as AudioMoths write it, or a creation date that has a time."""
    comment = texts.get("comment", "")
    device = _AUDIOMOTH_ID.search(f"{texts.get('artist', '')} {comment}")
    recorded = _RECORDED.search(comment)
    if recorded is not None and (device or "Moth" in comment):
        clock, day, month, year, zone = recorded.groups()
        moment = _moment(f"{year}-{month}-{day} {clock}")
        if moment is not None and zone is not None:
            moment = moment.replace(tzinfo=offset_of(zone))
        return FileMetadata(_said(AUDIOMOTH, moment), device and device[1])
    date = texts.get("date", "").strip()
    moment = _moment(date) if ":" in date else None
    return FileMetadata(_said(INFO, moment), device and device[1])


def _texts_of(path: Path | BinaryIO) -> dict[str, str]:
    """Return the comments of a file that libsndfile reads."""
    import soundfile as sf

    try:
        with sf.SoundFile(path) as file:
            return file.copy_metadata()
    except (RuntimeError, TypeError) as error:
        raise ValueError(str(error)) from error


_READERS = {b"guan": _of_guano, b"wamd": _of_wamd, b"bext": _of_bext, b"LIST": _of_list}

"""Which recordings of an output folder are complete, and what was found in them."""

from __future__ import annotations

import os
from collections.abc import Collection, ItemsView, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from animal_spot.remote.addresses import full_name, is_remote
from animal_spot.remote.stores import state_of
from animal_spot.utils.compact import TextIndex
from animal_spot.utils.files import file_digest, file_state
from animal_spot.utils.own_files import JsonLines, LineError, OwnFiles, file_name, is_count

FILE_NAME = ".completed.jsonl"
_LONGEST_S = 1e9  # of anything in a journal: thirty years


@dataclass(slots=True)  # of an archive there are a million
class Completed:
    """A recording whose results are all written.

    Attributes:
        path: Absolute path of the recording, or its address.
        stem: What its results are called after.
        run: Hash of model and settings.
        state: Size and times of the recording, or size and version of one at an address; equal
            ones mean equal content.
        digest: Hash of its bytes, which decides when the times differ.
        duration_s: Length of the recording.
        n_windows: Windows classified.
        detections: Annotations of each class.
        seconds: Time it took.
        files: Name and size of each result, as it was written.
        annotations: ``[begin_s, end_s, class, score]`` of each joined detection.
        channel: Number of the channel that was heard; 1 for the mix.
        warnings: What is probably not as it was meant.
        bands: ``[low_hz, high_hz]`` of each annotation; empty: that of the model for all.
    """

    path: str
    stem: str
    run: str
    state: list[int]
    digest: str
    duration_s: float
    n_windows: int
    detections: dict[str, int]
    seconds: float
    files: dict[str, int]
    annotations: list[list[Any]] = field(default_factory=list)
    channel: int = 1
    warnings: list[str] = field(default_factory=list)
    bands: list[list[float]] = field(default_factory=list)


_FIELDS = tuple(declared.name for declared in fields(Completed))
_NEEDED = {
    declared.name
    for declared in fields(Completed)
    if declared.default is MISSING and declared.default_factory is MISSING
}


class Journal:
    """Lines of JSON, appended: when writing results begins, when all are written, and each file.

    Of one recording the last line counts. What is read is shown to be of its type, and a name in
    it to be that of a result in the folder, or else the line is passed over. In memory is only
    where the lines are, since an archive has millions.

    Args:
        folder: The output folder.
        suffixes: What names of results end in after their stem; None: anything.
        replace_edited: Replace results that were edited too, and keep a copy.
        name: Of its file, to which is appended.
        others: Names of further such files, which are read first: of other processes that write
            into the folder.

    Attributes:
        own: The files that were written.

    Raises:
        OSError: If the journal is there and cannot be read.
    """

    def __init__(
        self,
        folder: Path,
        suffixes: Collection[str] | None = None,
        *,
        replace_edited: bool = False,
        name: str = FILE_NAME,
        others: Iterable[str] = (),
    ) -> None:
        self._folder = folder
        self._suffixes = suffixes
        self._replace_edited = replace_edited
        # Of each recording the place of its last line, doubled, and 1 more if it is complete.
        self._last = TextIndex()
        self._lines = JsonLines(folder / name, [folder / other for other in others])
        self.own = OwnFiles(folder, self._lines, replace_edited=replace_edited, many=True)
        self._lines.read_places(self._read)

    def _read(self, content: dict[str, Any], place: int) -> None:
        if "wrote" in content:
            self.own.read(content, place)
            return
        path, stem = content.get("path"), content.get("stem")
        if not isinstance(path, str) or not path or "\0" in path:
            raise LineError("the path of a recording is none")
        file_name(stem, self._folder)
        if "begun" not in content:
            self._completed(content, stem)
        self._note(path, place, is_complete="begun" not in content)

    def _note(self, path: str, place: int, *, is_complete: bool) -> None:
        self._last[path] = 2 * place + is_complete

    def _completed(self, content: dict[str, Any], stem: str) -> Completed:
        if not content.keys() >= _NEEDED:
            raise LineError("not all that is to be known of a complete recording")
        try:
            entry = Completed(**content)
        except TypeError as error:
            raise LineError("more than is to be known of a complete recording") from error
        texts = all(isinstance(text, str) for text in (entry.run, entry.digest))
        state = isinstance(entry.state, list) and all(map(is_count, entry.state))
        if not texts or not state or len(entry.state) != 3:
            raise LineError("run, digest or state are none")
        numbers = entry.duration_s, entry.seconds
        if not all(map(_is_time, numbers)) or not all(
            map(is_count, (entry.n_windows, entry.channel))
        ):
            raise LineError("lengths or counts are none")
        if not _is_counts(entry.detections) or not _is_counts(entry.files):
            raise LineError("detections or files are no counts")
        for name in entry.files:
            file_name(name, self._folder)
            ending = name.removeprefix(stem)
            if ending == name or (self._suffixes is not None and ending not in self._suffixes):
                raise LineError(f"{name} is no result of {stem}")
        if not isinstance(entry.annotations, list) or not all(map(_is_row, entry.annotations)):
            raise LineError("annotations are none")
        if not _are_bands(entry.bands) or len(entry.bands) not in (0, len(entry.annotations)):
            raise LineError("bands of annotations are none")
        return entry

    @property
    def stems(self) -> Mapping[str, str]:
        """Stem to absolute path of the recordings that have results here."""
        return _Stems(self._lines, self._last.numbers())

    @property
    def completed(self) -> list[Completed]:
        """What is known of each recording that is complete."""
        numbers = self._last.numbers()
        return [Completed(**self._lines.line(n // 2)) for n in numbers if n % 2]

    def entry_of(self, full: str) -> Completed | None:
        """Return what is known of a recording, by its ``full_name``; None: it is not complete.

        Raises:
            OSError: If the journal cannot be read.
        """
        number = self._last.get(full)
        return Completed(**self._lines.line(number // 2)) if number and number % 2 else None

    def find(self, path: Path, run: str, names: Collection[str] | None = None) -> Completed | None:
        """Return the entry of a recording if it is complete for its content and this run.

        Results that were edited are complete, unless they are to be replaced.

        Args:
            path: The recording.
            run: Hash of model and settings.
            names: Results that must be there; None: those that were written.
        """
        entry = self.entry_of(full_name(path))
        if entry is None or entry.run != run:
            return None
        try:
            for name in entry.files if names is None else names:
                if not os.path.lexists(os.path.join(self._folder, name)):
                    return None
                if self._replace_edited and self.own.is_edited(name, entry.files.get(name)):
                    return None
            if is_remote(path):
                return entry if state_of(path) == entry.state else None
            state = file_state(path)
            if state != entry.state and (
                state[0] != entry.state[0] or file_digest(path) != entry.digest
            ):
                return None
        except OSError:
            return None
        return entry

    def say_edited(self, names: Iterable[str], entry: Completed) -> None:
        """Say of each of these results that was edited, or is not ours, that it is left."""
        for name in names:
            size = entry.files.get(name)
            if self.own.is_edited(name, size):
                self.own.say_left(name, size)

    def may_write(self, path: Path, name: str, *, ours_by_name: bool) -> bool:
        """Make way for a result of a recording; False if what is there is left alone.

        Raises:
            OSError: If a folder is there, or it cannot be renamed.
        """
        entry = self.entry_of(full_name(path))
        size = entry.files.get(name) if entry else None
        return self.own.may_write(name, size=size, ours_by_name=ours_by_name)

    def begin(self, path: Path, stem: str, files: Collection[str]) -> None:
        """Note that results of a recording are about to be replaced by ``files``.

        Results of an earlier run that are not replaced are removed, unless they were edited: they
        would be taken for those of this one.

        Raises:
            OSError: If it cannot be noted.
        """
        full = full_name(path)
        earlier = self.entry_of(full)
        place = self._lines.append({"path": full, "stem": stem, "begun": True})
        self._note(full, place, is_complete=False)
        for name, size in earlier.files.items() if earlier else ():
            if name not in files:
                self.own.remove(name, size=size)

    def add(self, entry: Completed) -> None:
        """Note that all results of a recording are written.

        Raises:
            OSError: If it cannot be noted.
        """
        place = self._lines.append({name: getattr(entry, name) for name in _FIELDS})
        self._note(entry.path, place, is_complete=True)

    def close(self) -> None:
        """Close the file."""
        self._lines.close()


class _Stems(Mapping[str, str]):
    """Stem to path of each recording of a journal, read from there; to be gone through once."""

    def __init__(self, lines: JsonLines, numbers: Sequence[int]) -> None:
        self._lines, self._numbers = lines, numbers

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Yield each stem and its path."""
        for number in self._numbers:
            line = self._lines.line(number // 2)
            yield line["stem"], line["path"]

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[str]:
        return (stem for stem, _ in self.pairs())

    def __getitem__(self, stem: str) -> str:
        for other, path in self.pairs():
            if other == stem:
                return path
        raise KeyError(stem)

    def items(self) -> ItemsView[str, str]:
        """Return stems and paths."""
        return _Pairs(self)


class _Pairs(ItemsView):
    def __iter__(self) -> Iterator[tuple[str, str]]:
        return self._mapping.pairs()


def _is_time(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value <= _LONGEST_S  # also no NaN


def _is_counts(value: object) -> bool:
    return isinstance(value, dict) and all(map(is_count, value.values()))


def _are_bands(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(band, list) and len(band) == 2 and all(map(_is_time, band)) for band in value
    )


def _is_row(value: object) -> bool:
    if not isinstance(value, list) or len(value) != 4:
        return False
    begin_s, end_s, name, score = value
    times = _is_time(begin_s) and _is_time(end_s) and begin_s <= end_s
    return times and isinstance(name, str) and _is_time(score) and score <= 1

"""What the requests of the page are answered."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.datastructures import QueryParams
from starlette.responses import Response

from animal_spot.data.noise_class import NOISE, is_background
from animal_spot.metadata.moments import iso_text, later
from animal_spot.reviewing import request_parts as requests
from animal_spot.reviewing.agreement import agreement
from animal_spot.reviewing.ordering import seconds_each
from animal_spot.reviewing.project import Decision, Project, Recording
from animal_spot.reviewing.queue import Queue
from animal_spot.reviewing.request_parts import NotThereError, RequestError
from animal_spot.reviewing.request_values import decision_of, filter_of, frequency
from animal_spot.reviewing.retrain_job import RetrainJob
from animal_spot.reviewing.similar import SimilarSounds
from animal_spot.reviewing.sounds import LARGEST_PIXELS, OpenSounds, SoundError
from animal_spot.reviewing.store import ProjectError
from animal_spot.reviewing.verdicts import LETTERS

if TYPE_CHECKING:
    from animal_spot.similarity.search import Hit

_NEAR_S = 60.0  # neighbours of a detection that are sent with it
_KEYS = "123456789abcdefhijklopqrtvwx"  # of classes; other letters are commands
_TO_DO = ("open", "skip")  # states of what may be decided on
_SHORTEST_S = 0.0001  # of a call: clicks of porpoises are not shorter
_ABOVE = 1.25  # what is shown above the highest box, as a factor
_EXPORT_FOLDER = "export"
_KEPT = "private, max-age=3600"  # pictures and sounds stay as they are
_ADDED_AS = ("missed", "window", "similar")  # sources of what people add
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})\Z")


@dataclass
class Review:
    """What the server works with.

    Attributes:
        project: The file.
        reviewer: Who decides unless the page says another name.
        class_names: Classes to choose from besides those that were found.
        noise_class: The one that is no call.
        has_model: Whether there is a model that can be trained on.
        window_s: Length of a window that is gone through.
        job: Retraining that the page starts; None: there is no model.
    """

    project: Project
    reviewer: str = "reviewer"
    class_names: tuple[str, ...] = ()
    noise_class: str = NOISE
    has_model: bool = False
    window_s: float = 3.0
    job: RetrainJob | None = None
    sounds: OpenSounds = field(default_factory=OpenSounds)

    def __post_init__(self) -> None:
        self.queue = Queue(self.project)
        self.alike = SimilarSounds(self.project)
        self._root: Path | None = None
        self._highest: float | None = None

    # --- what the requests are answered ---

    def show_project(self, _: QueryParams) -> dict[str, Any]:
        """Return what the page must know of the whole review."""
        totals = self.queue.totals()
        recordings = self.project.recordings()
        classes = self._classes(totals["classes"])
        starts = sorted(one.start for one in recordings if one.start)
        return {
            "id": self._identity(),
            "name": self.project.path.stem,
            "max_hz": self._highest_hz(),
            "classes": [
                {"name": name, "key": key, "n": totals["classes"].get(name, 0)}
                for name, key in zip(classes, [*_KEYS, *[""] * len(classes)], strict=False)
            ],
            "noise_class": self.noise_class,
            "recordings": len(recordings),
            "missing": sum(one.missing for one in recordings),
            "hours": sum(one.duration_s for one in recordings) / 3600,
            "sites": sorted({one.site for one in recordings if one.site}),
            "starts": [starts[0], starts[-1]] if starts else None,
            "totals": totals,
            "reviewer": self.reviewer,
            "reviewers": self.project.reviewers(),
            "settings": {
                "seed": self.project.setting("seed", 0),
                "window_s": self.window_s,
                "threshold": self.project.setting("threshold"),
            },
            "has_model": self.has_model,
            "has_index": self.alike.is_there,
        }

    def show_recordings(self, _: QueryParams) -> list[dict[str, Any]]:
        """Return all recordings."""
        return [self._shown(one) for one in self.project.recordings()]

    def show_queue(self, query: QueryParams) -> dict[str, Any]:
        """Return rows of the queue, and how many are left."""
        several = {key: query.getlist(key) for key in query}
        wanted = filter_of(query, several)
        order = query.get("order") or "-score"
        seed = requests.whole(query, "seed", self.project.setting("seed", 0), 0, 2**31)
        offset = requests.whole(query, "offset", 0, 0, 2**40)
        limit = requests.whole(query, "limit", 100, 0, requests.MOST_ROWS)
        ids, total, n_open = self.queue.find(wanted, order, seed)
        answer: dict[str, Any] = {
            "total": len(ids),
            "of": total,
            "left": n_open,
            "seconds_each": seconds_each(self.project.decided_at(wanted.reviewer)),
            "offset": offset,
            "rows": self._rows(ids[offset : offset + limit].tolist(), wanted.reviewer),
        }
        if query.get("ids"):
            # The page keeps the list, which decisions would otherwise change under its eyes.
            answer["ids"] = ids.tolist()
            states = self.queue.state_of(answer["ids"], wanted.reviewer)
            answer["states"] = "".join(map(LETTERS.__getitem__, states))
        if query.get("around"):
            number = requests.whole(query, "around", None, 1, 2**62)
            places = (ids == number).nonzero()[0]
            answer["at"] = int(places[0]) if len(places) else None
        return answer

    def show_rows(self, query: QueryParams) -> dict[str, Any]:
        """Return rows by their numbers; what is not there is left out."""
        reviewer = requests.name(query, "reviewer", needed=False)
        ids = requests.numbers_of(query.get("ids", ""))
        known = [row["id"] for row in self.project.detections(ids)]
        return {"rows": self._rows(known, reviewer)}

    def show_detection(self, number: int, query: QueryParams) -> dict[str, Any]:
        """Return all that is known of a detection."""
        reviewer = requests.name(query, "reviewer", needed=False)
        found = self.project.detections([number])
        if not found:
            raise NotThereError(f"there is no detection {number}")
        row = found[0]
        recording = self.project.recording(row["recording_id"])
        near = self.project.near(
            recording.id, max(0.0, row["begin_s"] - _NEAR_S), row["end_s"] + _NEAR_S
        )
        decisions = self.project.decisions_of(number)
        return {
            **self._rows([number], reviewer)[0],
            "recording": self._shown(recording),
            "time": {key: _at(recording, row[key]) for key in ("begin_s", "end_s")},
            "decisions": decisions,
            "neighbours": [one for one in self._shown_rows(near, reviewer) if one["id"] != number],
        }

    def show_near(self, query: QueryParams) -> dict[str, Any]:
        """Return what lies in a stretch of a recording."""
        recording = self._recording(query)
        begin_s = requests.needed_number(query, "from")
        end_s = requests.needed_number(query, "to")
        near = self.project.near(recording.id, begin_s, end_s)
        return {"rows": self._shown_rows(near, requests.name(query, "reviewer", needed=False))}

    def decide(self, values: dict[str, Any]) -> dict[str, Any]:
        """Keep a decision; return the new states."""
        ids = requests.ids_of(values)
        decision = decision_of(values)
        reviewer = requests.name(values, "reviewer")
        rows = self.project.detections(ids)
        if len(rows) < len(ids):
            raise RequestError("there is no such detection")
        decisions = []
        for row in rows:
            decisions.append((row["id"], self._plain(decision, row["class"])))
            begin_s = row["begin_s"] if decision.begin_s is None else decision.begin_s
            end_s = row["end_s"] if decision.end_s is None else decision.end_s
            if begin_s >= end_s:
                raise RequestError("end_s must be after begin_s")
            if not (decision.begin_s is None and decision.end_s is None):
                _require_length(end_s - begin_s)
        self._require_extent(rows, decision.end_s, (decision.low_hz, decision.high_hz))
        batch = self.project.decide(decisions, reviewer, requests.key_of(values))
        return {
            "batch": batch,
            "states": self._states(ids, reviewer),
            "rows": self._rows(ids, reviewer),
        }

    def _plain(self, decision: Decision, predicted: str | None) -> Decision:
        """Say right or wrong where another class is the same as that.

        Raises:
            RequestError: If a stretch without class is called right.
        """
        if decision.verdict == "right" and not predicted:
            raise RequestError("this stretch has no class yet: choose one, or wrong for none")
        if decision.verdict != "other":
            return decision
        if decision.class_name == predicted:
            return replace(decision, verdict="right", class_name=None)
        if is_background(decision.class_name, self.noise_class):
            return replace(decision, verdict="wrong", class_name=None)
        return decision

    def undo(self, values: dict[str, Any]) -> dict[str, Any]:
        """Take back the last decision of a reviewer; return what it was."""
        reviewer = requests.name(values, "reviewer")
        undone = self.project.undo(reviewer, requests.key_of(values))
        ids = [one["detection_id"] for one in undone]
        return {
            "undone": undone,
            "states": self._states(ids, reviewer),
            "rows": self._rows(ids, reviewer),
        }

    def add(self, values: dict[str, Any]) -> dict[str, Any]:
        """Keep a stretch that a person found, such as a missed call; return its number."""
        recording = self.project.recording(requests.whole(values, "recording", None, 1, 2**62))
        begin_s = requests.needed_number(values, "begin_s")
        end_s = requests.needed_number(values, "end_s")
        band = frequency(values, "low_hz"), frequency(values, "high_hz")
        if not 0 <= begin_s < end_s <= recording.duration_s + 1:
            raise RequestError(
                f"begin_s and end_s must be within the recording, 0 to {recording.duration_s:.3f}"
            )
        _require_length(end_s - begin_s)
        _require_band(band)
        source = values.get("source", "missed")
        if source not in _ADDED_AS:
            raise RequestError(f"source must be one of {', '.join(_ADDED_AS)}")
        decision = decision_of({"verdict": "right"} | values)
        if decision.verdict not in ("right", "wrong", "unsure"):
            raise RequestError("verdict must be right, wrong or unsure")
        reviewer = requests.name(values, "reviewer")
        number = self.project.add(
            recording.id,
            (begin_s, end_s),
            requests.name(values, "class", needed=decision.verdict == "right"),
            reviewer,
            source=source,
            band_hz=band,
            decision=Decision(decision.verdict, note=decision.note),
            key=requests.key_of(values),
        )
        return {"id": number, "rows": self._rows([number], reviewer)}

    def _require_extent(
        self, rows: Sequence[dict], end_s: float | None, band: tuple[float | None, float | None]
    ) -> None:
        for recording_id in {row["recording_id"] for row in rows} if end_s is not None else ():
            duration_s = self.project.recording(recording_id).duration_s
            if end_s > duration_s + 1:
                raise RequestError(f"end_s must be within the recording, up to {duration_s:.3f}")
        for row in rows:
            _require_band(
                [
                    b if b is not None else row[key]
                    for b, key in zip(band, ("low_hz", "high_hz"), strict=True)
                ]
            )

    def picture(self, query: QueryParams) -> Response:
        """Return the spectrogram of a stretch, with its axes in headers."""
        recording = self._recording(query)
        size = tuple(
            requests.whole(query, key, default, 1, LARGEST_PIXELS)
            for key, default in (("width", 800), ("height", 300))
        )
        picture = self.sounds.picture(
            recording.path,
            requests.needed_number(query, "from"),
            requests.needed_number(query, "to"),
            size,
            (requests.number(query, "low", 0.0), requests.number(query, "high")),
            requests.number(query, "gain", 0.0),
        )
        axes = {
            "X-From-S": picture.begin_s,
            "X-To-S": picture.end_s,
            "X-Low-Hz": picture.low_hz,
            "X-High-Hz": picture.high_hz,
            "X-Window": picture.window,
            "X-Rate": picture.rate,
            "X-Duration-S": recording.duration_s,
        }
        headers = {key: f"{value:.10g}" for key, value in axes.items()}
        return Response(picture.png, 200, headers | {"Cache-Control": _KEPT}, "image/png")

    def sound(self, query: QueryParams, wanted_range: str | None) -> Response:
        """Return a stretch as WAV, or the part of it that is asked for."""
        recording = self._recording(query)
        content = self.sounds.wav(
            recording.path,
            requests.needed_number(query, "from"),
            requests.needed_number(query, "to"),
            requests.number(query, "speed", 1.0),
            requests.number(query, "gain", 0.0),
        )
        return _ranged(content, wanted_range)

    def show_agreement(self, _: QueryParams) -> dict[str, Any]:
        """Return how well each two reviewers agree."""
        counting = self.project.counting()
        ids = sorted({row["detection_id"] for row in counting})
        predicted = {row["id"]: row["class"] for row in self.project.detections(ids)}
        rows = [row | {"predicted": predicted[row["detection_id"]]} for row in counting]
        return {"pairs": agreement(rows)}

    def show_statistics(self, query: QueryParams) -> dict[str, Any]:
        """Return how far the numbers of a class can be trusted."""
        from animal_spot.trust.summary import WANTED, summary  # takes a second

        wanted, names = requests.number(query, "wanted"), query.getlist("class")
        rows = [row for row in self.queue.answers() if not names or row[0] in names]
        return summary(
            rows,
            wanted=WANTED if wanted is None else (wanted,),
            thresholds=self.thresholds({row[0] for row in rows}),
            seed=self.project.setting("seed", 0),
        )

    def thresholds(self, names: Iterable[str]) -> dict[str, float]:
        """Return the threshold that classes were found with; empty if nobody knows it."""
        threshold = self.project.setting("threshold")
        return {} if threshold is None else dict.fromkeys(names, threshold)

    def export(self, values: dict[str, Any]) -> dict[str, Any]:
        """Write what was decided into files; return which."""
        from animal_spot.reviewing.export import export  # what cuts clips takes a while to load

        return export(
            self.project,
            str(values.get("kind", "")),
            requests.name(values, "folder", needed=False) or _EXPORT_FOLDER,
            noise_class=self.noise_class,
            # Neighbouring windows overlap in clips that are longer.
            clip_length=requests.number(values, "clip_length", self.project.setting("window_s")),
        )

    def retrain(self, values: dict[str, Any]) -> dict[str, Any]:
        """Start training on what was decided, or end it; return how far it is."""
        job = self._job()
        if values.get("stop") is True:
            job.stop()
        else:
            job.start()
        return self.show_retraining(None)

    def show_retraining(self, _: QueryParams | None) -> dict[str, Any]:
        """Return how far the training is, and what came of it."""
        answer = self._job().state()
        if answer["result"] is not None:
            answer["result"] = self._with_rows(answer["result"])
        return answer

    def _job(self) -> RetrainJob:
        if self.job is None:
            self.job = RetrainJob(self.project.path)
        return self.job

    def _with_rows(self, result: dict[str, Any]) -> dict[str, Any]:
        """Return what came of a training with the rows of the page in place of places."""
        found = {}
        for key in ("gone", "still", "newly"):
            ids = [one.get("id") for one in result.get(key, ()) if isinstance(one, dict)]
            known = [
                row["id"] for row in self.project.detections([i for i in ids if type(i) is int])
            ]
            found[key] = self._rows(known, None)
        model = result.get("model")
        return {
            "round": result.get("round"),
            "model": model.get("after") if isinstance(model, dict) else None,
            "sets": result.get("sets", []),
            "notes": result.get("notes", []),
            **found,
        }

    def similar(self, query: QueryParams) -> dict[str, Any]:
        """Return the stretches of all recordings that sound most alike to one of them.

        What is a detection already has its number; ``score`` is the similarity, up to 1.
        """
        reviewer = requests.name(query, "reviewer", needed=False)
        n = requests.whole(query, "n", 40, 1, requests.MOST_ROWS)
        asked: dict[str, Any] = {"class": None}
        if query.get("id"):
            number = requests.whole(query, "id", None, 1, 2**62)
            if not self.project.detections([number]):
                raise NotThereError(f"there is no detection {number}")
            (asked,) = self._rows([number], reviewer)
            recording = self._recording({"recording": asked["recording"]})
            begin_s, end_s = asked["begin_s"], asked["end_s"]
        else:
            recording = self._recording(query)
            begin_s = requests.needed_number(query, "from")
            end_s = requests.needed_number(query, "to")
            if not 0 <= begin_s < end_s or begin_s >= recording.duration_s:
                raise RequestError("from and to must be within the recording")
        hits = self.alike.find(recording, begin_s, end_s, n, reviewer)
        found = [self._alike_row(hit, asked, reviewer) for hit in hits]
        each = {row["id"] or (row["recording"], row["begin_s"]): row for row in reversed(found)}
        return {"rows": list(reversed(each.values()))}

    def _alike_row(self, hit: Hit, asked: dict[str, Any], reviewer: str | None) -> dict[str, Any]:
        """Return the detection that lies where something was found, or what could become one."""
        from animal_spot.similarity.search import shared_most

        near = self.project.near(hit.recording, hit.begin_s, hit.end_s)
        score = round(hit.similarity, 4)
        rows = [row for row in self._shown_rows(near, reviewer) if row["state"] in _TO_DO]
        stretches = [(row["begin_s"], row["end_s"]) for row in rows]
        place = shared_most(stretches, (hit.begin_s, hit.end_s))
        if place is not None:
            return rows[place] | {"score": score}
        wrong = asked.get("state") == "wrong"
        return {
            **{"id": None, "recording": hit.recording, "source": "similar", "state": "open"},
            **{"begin_s": round(hit.begin_s, 6), "end_s": round(hit.end_s, 6), "score": score},
            "class": None if wrong else asked.get("label") or asked["class"],
            **dict.fromkeys(("low_hz", "high_hz", "label", "note")),
        }

    # --- helpers ---

    def _identity(self) -> str:
        """Return what tells this project from others, to which what waits in a page belongs."""
        if self.project.setting("identity") is None:
            self.project.keep_setting("identity", secrets.token_hex(16))
        return self.project.setting("identity")

    def _highest_hz(self) -> float | None:
        """Return up to which frequency is shown at first; None: not known.

        A little above the boxes, if these have frequencies, else half of the rate of a recording.
        """
        if self._highest is None:
            highest = self.project.db.execute("SELECT max(high_hz) FROM detections").fetchone()[0]
            rates = []
            for one in self.project.recordings():
                with contextlib.suppress(SoundError, OSError):
                    rates.append(self.sounds.rate(one.path))
                    break
            limits = [rate / 2 for rate in rates] + ([highest * _ABOVE] if highest else [])
            self._highest = min(limits, default=None)
        return self._highest

    def _recording(self, values: Mapping[str, Any]) -> Recording:
        number = requests.whole(values, "recording", None, 1, 2**62)
        try:
            recording = self.project.recording(number)
        except ProjectError as error:
            raise NotThereError(str(error)) from error
        if recording.missing and not recording.path.is_file():  # else it was put back
            raise NotThereError(f"{self._name(recording)} was not found: see --recordings")
        return recording

    def _classes(self, counted: dict[str, int]) -> list[str]:
        """Return the classes to choose from: those given and found, and those that were chosen."""
        said = self.project.db.execute(
            "SELECT DISTINCT class FROM decisions WHERE class IS NOT NULL AND undone = 0"
        )
        found = sorted(counted, key=str.casefold) + sorted(row[0] for row in said)
        kept = self.project.setting("classes", [])
        return list(dict.fromkeys([*self.class_names, *kept, *found, self.noise_class]))

    def _rows(self, ids: Sequence[int], reviewer: str | None) -> list[dict[str, Any]]:
        states = self.queue.state_of(ids, reviewer)
        rows = self.project.detections(ids)
        last = self.project.last_decisions(ids, reviewer)
        return [
            self._row(row, state, last.get(row["id"]))
            for row, state in zip(rows, states, strict=True)
        ]

    def _shown_rows(
        self, rows: Sequence[dict[str, Any]], reviewer: str | None
    ) -> list[dict[str, Any]]:
        """Return rows without what somebody added and took back."""
        ids = [row["id"] for row in rows]
        shown = self.queue.is_shown(ids)
        return self._rows(
            [number for number, is_shown in zip(ids, shown, strict=True) if is_shown], reviewer
        )

    def _row(
        self, row: dict[str, Any], state: str, decision: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Return a detection as a reviewer left it: with its box, and the class that was said."""
        said = decision or {}
        keys = ("id", "class", "score", "source")
        edges = ("begin_s", "end_s", "low_hz", "high_hz")
        return {
            **{key: row[key] for key in keys},
            **{key: row[key] if said.get(key) is None else said[key] for key in edges},
            "recording": row["recording_id"],
            "state": state,
            "label": said.get("class"),
            "note": said.get("note"),
        }

    def _states(self, ids: Sequence[int], reviewer: str) -> list[dict[str, Any]]:
        every, own = self.queue.state_of(ids), self.queue.state_of(ids, reviewer)
        return [
            {"id": number, "state": state, "own": mine}
            for number, state, mine in zip(ids, every, own, strict=True)
        ]

    def _shown(self, recording: Recording) -> dict[str, Any]:
        return {
            "id": recording.id,
            "name": self._name(recording),
            "duration_s": recording.duration_s,
            "site": recording.site,
            "start": recording.start,
            "missing": recording.missing,
        }

    def _name(self, recording: Recording) -> str:
        """Return what a recording is called: its path below the folder that all have in common."""
        if self._root is None:
            folders = [str(one.path.parent) for one in self.project.recordings()]
            self._root = Path(os.path.commonpath(folders)) if folders else Path()
        path = recording.path
        with contextlib.suppress(ValueError):
            path = path.relative_to(self._root)
        return os.fsencode(path).decode("utf-8", "replace")


def _require_length(seconds: float) -> None:
    if seconds < _SHORTEST_S:
        raise RequestError(f"a call must last {_SHORTEST_S:g} s at least")


def _require_band(band: Sequence[float | None]) -> None:
    low_hz, high_hz = band
    if (low_hz is not None and low_hz < 0) or (
        low_hz is not None and high_hz is not None and low_hz >= high_hz
    ):
        raise RequestError("low_hz must be below high_hz, and not below 0")


def _at(recording: Recording, seconds: float) -> str | None:
    if recording.start is None:
        return None
    return iso_text(later(datetime.fromisoformat(recording.start), seconds))


def _ranged(content: bytes, wanted: str | None) -> Response:
    """Answer with a file, or with the part of it that was asked for."""
    headers = {"Accept-Ranges": "bytes", "Cache-Control": _KEPT}
    asked = _RANGE.match(wanted.strip()) if wanted else None
    if asked is None or not (asked[1] or asked[2]):
        return Response(content, 200, headers, "audio/wav")
    n = len(content)
    if asked[1]:
        first, last = int(asked[1]), min(int(asked[2]) if asked[2] else n - 1, n - 1)
    else:
        first, last = max(0, n - int(asked[2])), n - 1
    if first > last:
        return Response(b"", 416, {"Content-Range": f"bytes */{n}"})
    headers["Content-Range"] = f"bytes {first}-{last}/{n}"
    return Response(content[first : last + 1], 206, headers, "audio/wav")

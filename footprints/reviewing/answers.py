"""What the requests of the page are answered."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

from starlette.datastructures import QueryParams
from starlette.responses import Response

from footprints.reviewing import request_parts as requests
from footprints.reviewing.agreement import agreement
from footprints.reviewing.ordering import seconds_each
from footprints.reviewing.project import EDGES, NO_PRINT, Decision, Photo, Project, said_of
from footprints.reviewing.queue import Queue
from footprints.reviewing.request_parts import NotThereError, RequestError
from footprints.reviewing.request_values import box_of, decision_of, filter_of
from footprints.reviewing.shown_pictures import LARGEST_SIDE, ShownPictures
from footprints.reviewing.store import ProjectError
from footprints.reviewing.verdicts import LETTERS
from footprints.scores.calibration import UNKNOWN, is_unknown
from footprints.scores.class_names import class_meant, spelling
from footprints.system.errors import UserError
from footprints.system.settings import Settings

_EXPORT_FOLDER = "export"
_KEPT = "private, max-age=3600"  # pictures stay as they are
_MOST_OF_TRAIL = 60  # boxes that are named beside one


@dataclass
class Review:
    """What the server works with.

    Attributes:
        project: The file.
        reviewer: Who decides unless the page says another name.
        class_names: Classes to choose from besides those that were found.
    """

    project: Project
    reviewer: str = "reviewer"
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.queue = Queue(self.project)
        self.facts: dict[str, Any] = self.project.setting("facts", {})
        given = self.facts.get("settings", {})
        default = Settings()
        margin, least = given.get("margin", default.margin), given.get("min_crop_side", 1)
        is_sane = isinstance(margin, float) and 0 <= margin <= 2 and type(least) is int
        self.pictures = ShownPictures(*((margin, least) if is_sane else (default.margin, 1)))

    # --- what the requests are answered ---

    def show_project(self, _: QueryParams) -> dict[str, Any]:
        """Return what the page must know of the whole review."""
        totals = self.queue.totals()
        counted = totals["classes"]
        times = self.project.db.execute(
            "SELECT count(*), sum(missing), min(taken_at), max(taken_at), "
            "sum(seen = 0 AND missing = 0) FROM photos"
        ).fetchone()
        return {
            "id": self._identity(),
            "name": self.project.path.stem,
            "classes": [
                {"name": name, "n": counted.get(name, 0)} for name in self._classes(counted)
            ],
            "unknown": UNKNOWN,
            "no_print": NO_PRINT,
            "photos": times[0],
            "missing": times[1] or 0,
            "starts": None if times[2] is None else [times[2], times[3]],
            "unread": times[4] or 0,  # photos whose time is not read yet
            "folders": totals.pop("folders"),
            "trails": totals.pop("trails"),
            "totals": totals,
            "reviewer": self.reviewer,
            "reviewers": self.project.reviewers(),
            "settings": {"seed": self._seed(), "threshold": self.facts.get("threshold")},
            "note": self.facts.get("note") or None,
        }

    def show_queue(self, query: QueryParams) -> dict[str, Any]:
        """Return rows of the queue, and how many are left."""
        wanted = filter_of(query, {key: query.getlist(key) for key in query})
        order = query.get("order") or "-score"
        seed = requests.whole(query, "seed", self._seed(), 0, 2**31)
        offset = requests.whole(query, "offset", 0, 0, 2**40)
        limit = requests.whole(query, "limit", 100, 0, requests.MOST_ROWS)
        ids, total, n_open = self.queue.find(wanted, order, seed)
        answer: dict[str, Any] = {
            "total": len(ids),
            "of": total,
            "left": n_open,
            "seconds_each": seconds_each(self.project.decided_at(wanted.reviewer)),
            "offset": offset,
            "rows": self._rows(ids[offset : offset + limit], wanted.reviewer),
        }
        if query.get("ids"):
            # The page keeps the list, which decisions would otherwise change under its eyes.
            answer["ids"] = ids
            states = self.queue.state_of(ids, wanted.reviewer)
            answer["states"] = "".join(map(LETTERS.__getitem__, states))
        return answer

    def show_rows(self, query: QueryParams) -> dict[str, Any]:
        """Return rows by their numbers; what is not there is left out."""
        reviewer = requests.name(query, "reviewer", needed=False)
        ids = requests.numbers_of(query.get("ids", ""))
        known = [row["id"] for row in self.project.detections(ids)]
        return {"rows": self._rows(known, reviewer)}

    def show_detection(self, number: int, query: QueryParams) -> dict[str, Any]:
        """Return all that is known of a box: its photo, decisions, other boxes, its trail."""
        reviewer = requests.name(query, "reviewer", needed=False)
        found = self.project.detections([number])
        if not found:
            raise NotThereError(f"there is no box {number}")
        photo = self.project.photo(found[0]["photo_id"])
        others = [one for one in self.project.rows_of_photo(photo.id) if one != number]
        shown = self.queue.is_shown(others)
        others = [one for one, is_shown in zip(others, shown, strict=True) if is_shown]
        return {
            **self._rows([number], reviewer)[0],
            "photo": _shown(photo),
            "decisions": self.project.decisions_of(number),
            "others": self._rows(others, reviewer),
            "trail": self._of_trail(photo, reviewer),
        }

    def decide(self, values: dict[str, Any]) -> dict[str, Any]:
        """Keep a decision; return the rows as they are then."""
        ids = requests.ids_of(values)
        decision = self._as_known(decision_of(values))
        reviewer = requests.name(values, "reviewer")
        rows = self.project.detections(ids)
        if len(rows) < len(ids):
            raise RequestError("there is no such box")
        if decision.box is not None and len(ids) > 1:
            raise RequestError("a box can be corrected on one photo at a time")
        decisions = [(row["id"], _plain(decision, row["class"])) for row in rows]
        self.project.decide(decisions, reviewer, requests.key_of(values))
        return {"rows": self._rows(ids, reviewer)}

    def undo(self, values: dict[str, Any]) -> dict[str, Any]:
        """Take back the last decision of a reviewer; return what it was."""
        reviewer = requests.name(values, "reviewer")
        undone = self.project.undo(reviewer, requests.key_of(values))
        ids = [one["detection_id"] for one in undone]
        return {"undone": undone, "rows": self._rows(ids, reviewer)}

    def add(self, values: dict[str, Any]) -> dict[str, Any]:
        """Keep a box that a person drew; return its number."""
        photo = self._photo(values, "photo")
        box = box_of(values, needed=True)
        decision = replace(decision_of({"verdict": "right"} | values), box=None)
        if decision.verdict not in ("right", "unsure"):
            raise RequestError("verdict must be right or unsure")
        class_name = requests.name(values, "class", needed=decision.verdict == "right")
        class_name = self._known(class_name)
        reviewer = requests.name(values, "reviewer")
        key = requests.key_of(values)
        number = self.project.add(photo.id, box, class_name, reviewer, decision, key)
        return {"id": number, "rows": self._rows([number], reviewer)}

    def picture(self, query: QueryParams) -> Response:
        """Return a photo, or what the classifier sees of a box on it, as JPEG."""
        photo = self._photo(query, "photo")
        side = requests.whole(query, "side", 1280, 16, LARGEST_SIDE)
        box = box_of(query)
        if box is None:
            content = self.pictures.photo(photo.path, side)
        else:
            content = self.pictures.crop(photo.path, box, side)
        return Response(content, 200, {"Cache-Control": _KEPT}, "image/jpeg")

    def show_agreement(self, _: QueryParams) -> dict[str, Any]:
        """Return how well each two reviewers agree."""
        counting = self.project.counting()
        ids = sorted({row["detection_id"] for row in counting})
        predicted = {row["id"]: row["class"] for row in self.project.detections(ids)}
        rows = [row | {"predicted": predicted[row["detection_id"]]} for row in counting]
        return {"pairs": agreement(rows)}

    def show_statistics(self, query: QueryParams) -> dict[str, Any]:
        """Return how far the answers of a class can be trusted."""
        return self.statistics(requests.number(query, "wanted"), query.getlist("class"))

    def statistics(self, wanted: float | None = None, names: Sequence[str] = ()) -> dict[str, Any]:
        """Return the same; see ``trust.summary``.

        Args:
            wanted: Precision for which a threshold is looked for; None: several.
            names: Of classes; empty: all.
        """
        from footprints.trust.summary import WANTED, summary  # takes a second

        rows = [row for row in self.queue.answers() if not names or row[0] in names]
        precisions = WANTED if wanted is None else (wanted,)
        return summary(rows, wanted=precisions, thresholds=None, seed=self._seed())

    def export(self, values: dict[str, Any]) -> dict[str, Any]:
        """Write what was decided into files; return which."""
        from footprints.reviewing.export import export

        kind = str(values.get("kind", ""))
        folder = requests.name(values, "folder", needed=False) or _EXPORT_FOLDER
        try:
            return export(self.project, kind, folder)
        except UserError as error:
            raise RequestError(str(error)) from error

    # --- helpers ---

    def _seed(self) -> int:
        return self.project.setting("seed", 0)

    def _identity(self) -> str:
        """Return what tells this project from others, to which what waits in a page belongs."""
        if self.project.setting("identity") is None:
            self.project.keep_setting("identity", secrets.token_hex(16))
        return self.project.setting("identity")

    def _as_known(self, decision: Decision) -> Decision:
        return replace(decision, class_name=self._known(decision.class_name))

    def _known(self, name: str | None) -> str | None:
        """Return the class that is meant by a name, which may be spelled another way.

        ``Fox`` beside ``fox`` would be another class for agreement, and in training.
        """
        classes = [*self.class_names, *self.facts.get("classes", ())]
        if name is None or name in classes:
            return name
        if is_unknown(name):
            return UNKNOWN
        if spelling(name) == spelling(NO_PRINT):
            return NO_PRINT
        rows = self.project.db.execute(
            "SELECT class FROM detections WHERE class IS NOT NULL UNION "
            "SELECT class FROM decisions WHERE class IS NOT NULL AND undone = 0"
        )
        return class_meant(name, dict.fromkeys([*classes, *(row[0] for row in rows)])) or name

    def _photo(self, values: Mapping[str, Any], key: str) -> Photo:
        try:
            return self.project.photo(requests.whole(values, key, None, 1, 2**62))
        except ProjectError as error:
            raise NotThereError(str(error)) from error

    def _classes(self, counted: Mapping[str, int]) -> list[str]:
        """Return the classes to choose from: of the model, found, given, and chosen before."""
        said = self.project.db.execute(
            "SELECT DISTINCT class FROM decisions WHERE class IS NOT NULL AND undone = 0"
        )
        names = [*self.class_names, *self.facts.get("classes", ())]
        names += [*sorted(counted, key=str.casefold), *sorted(row[0] for row in said)]
        return [name for name in dict.fromkeys(names) if name not in (UNKNOWN, NO_PRINT)]

    def _of_trail(self, photo: Photo, reviewer: str | None) -> list[dict[str, Any]]:
        if photo.trail is None:
            return []
        ids = self.queue.find(filter_of({"trail": photo.trail}, {}), "time")[0]
        return self._rows(ids[:_MOST_OF_TRAIL], reviewer)

    def _rows(self, ids: Sequence[int], reviewer: str | None) -> list[dict[str, Any]]:
        rows = self.project.detections(ids)
        last = self.project.last_decisions(ids, reviewer)
        states = self.queue.state_of(ids, reviewer)
        photos = self._photos({row["photo_id"] for row in rows})
        return [
            _row(row, photos[row["photo_id"]], state, last.get(row["id"]) or {})
            for row, state in zip(rows, states, strict=True)
        ]

    def _photos(self, photo_ids: set[int]) -> dict[int, Mapping[str, Any]]:
        ids = sorted(photo_ids)
        found: dict[int, Mapping[str, Any]] = {}
        for first in range(0, len(ids), 500):
            some = ids[first : first + 500]
            marks = ",".join("?" * len(some))
            rows = self.project.db.execute(f"SELECT * FROM photos WHERE id IN ({marks})", some)
            found |= {row["id"]: row for row in rows}
        return found


def _plain(decision: Decision, predicted: str | None) -> Decision:
    """Say right where another class is the same as that, and no print where nothing is wrong.

    Of an answer "unknown" right alone means that nobody could tell; that it is an animal of no
    class is kept with it.

    Raises:
        RequestError: If a photo without an answer is called right.
    """
    if decision.verdict == "right" and not predicted:
        raise RequestError("nothing is proposed here: choose a class")
    if decision.verdict == "wrong" and not predicted:
        return replace(decision, verdict="other", class_name=NO_PRINT)
    if decision.verdict == "other" and decision.class_name == predicted:
        return replace(
            decision, verdict="right", class_name=UNKNOWN if predicted == UNKNOWN else None
        )
    return decision


def _row(
    row: Mapping[str, Any], photo: Mapping[str, Any], state: str, said: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a box as a reviewer left it, with the class that was said."""
    return {
        **{key: row[key] for key in ("id", "class", "score", "source")},
        **{key: row[key] if said.get(key) is None else said[key] for key in EDGES},
        "photo": row["photo_id"],
        **{key: photo[key] for key in ("name", "taken_at", "latitude", "longitude", "trail")},
        **said_of(row),
        "state": state,
        "label": said.get("class"),
        "note": said.get("note"),
    }


def _shown(photo: Photo) -> dict[str, Any]:
    names = ("taken_at", "latitude", "longitude", "altitude_m", "camera")
    return {
        **{"id": photo.id, "name": photo.name, "folder": photo.folder, "trail": photo.trail},
        **dict(zip(names, astuple(photo.taken), strict=True)),
        "missing": photo.missing,
    }

"""The server of the page: which path is answered by what."""

from __future__ import annotations

import logging

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from footprints.reviewing import request_parts as requests
from footprints.reviewing.answering import Answering
from footprints.reviewing.answers import Review
from footprints.system.text import printable, reason_of

log = logging.getLogger("footprints.review")


def make_app(review: Review) -> Starlette:
    """Return the server of a review, unguarded; see ``guard.Guard``."""
    answering = Answering(_line, log, "footprints.reviewing")
    get, post = answering.get, answering.post

    async def detection(request: Request) -> Response:
        number = request.path_params["number"]
        return await answering.answer(
            lambda: review.show_detection(
                requests.whole({"id": number}, "id", None, 1, 2**62), request.query_params
            )
        )

    return Starlette(
        routes=[
            *answering.page(),
            get("/api/project", review.show_project),
            get("/api/queue", review.show_queue),
            get("/api/rows", review.show_rows),
            Route("/api/detection/{number}", detection, methods=["GET"]),
            get("/api/picture", review.picture),
            get("/api/statistics", review.show_statistics),
            get("/api/agreement", review.show_agreement),
            post("/api/decide", review.decide),
            post("/api/undo", review.undo),
            post("/api/add", review.add),
            post("/api/export", review.export),
        ],
        exception_handlers=answering.handlers(),
    )


def _line(error: Exception) -> str:
    return printable(reason_of(error, 500))

"""The server of the page: which path is answered by what."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from animal_spot.reviewing import request_parts as requests
from animal_spot.reviewing.answering import Answering
from animal_spot.reviewing.answers import Review
from animal_spot.utils.errors import one_line

log = logging.getLogger("REVIEW")


def make_app(review: Review) -> Starlette:
    """Return the server of a review, unguarded; see ``guard.Guard``."""
    answering = Answering(one_line, log, "animal_spot.reviewing")
    get, post = answering.get, answering.post

    async def detection(request: Request) -> Response:
        number = request.path_params["number"]
        return await answering.answer(
            lambda: review.show_detection(
                requests.whole({"id": number}, "id", None, 1, 2**62), request.query_params
            )
        )

    async def sound(request: Request) -> Response:
        wanted = request.headers.get("range")
        return await answering.answer(lambda: review.sound(request.query_params, wanted))

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        if review.job is not None:
            await run_in_threadpool(review.job.close)
        review.sounds.close()

    return Starlette(
        routes=[
            *answering.page(),
            get("/api/project", review.show_project),
            get("/api/recordings", review.show_recordings),
            get("/api/queue", review.show_queue),
            get("/api/rows", review.show_rows),
            get("/api/near", review.show_near),
            Route("/api/detection/{number}", detection, methods=["GET"]),
            get("/api/spectrogram", review.picture),
            Route("/api/sound", sound, methods=["GET"]),
            get("/api/statistics", review.show_statistics),
            get("/api/agreement", review.show_agreement),
            get("/api/similar", review.similar),
            get("/api/retrain", review.show_retraining),
            post("/api/decide", review.decide),
            post("/api/undo", review.undo),
            post("/api/add", review.add),
            post("/api/export", review.export),
            post("/api/retrain", review.retrain),
        ],
        lifespan=lifespan,
        exception_handlers=answering.handlers(),
    )

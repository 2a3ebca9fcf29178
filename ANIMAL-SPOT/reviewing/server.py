"""The server of the page: paths, and what becomes of errors."""

from __future__ import annotations

import contextlib
import logging
import math
import re
from collections.abc import AsyncIterator, Callable
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from animal_spot.reviewing import request_values as requests
from animal_spot.reviewing.answers import NotThereError, Review
from animal_spot.reviewing.project import ProjectGoneError
from animal_spot.reviewing.similar import NoIndexError
from animal_spot.utils.errors import one_line

_KINDS = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
_STATIC = re.compile(r"[a-z0-9_-]+\.(html|js|css|svg)\Z")


def _status(error: Exception) -> int:
    if isinstance(error, ProjectGoneError):
        return 503  # upon which a page keeps what it sent, and sends it again
    if isinstance(error, (NotThereError, NoIndexError, FileNotFoundError)):
        return 404
    return 400


# The rest is a fault of ours.
_SAID = (ValueError, OSError, NotThereError, NoIndexError)

log = logging.getLogger("REVIEW")


def _json(value: Any) -> Response:
    return JSONResponse(_finite(value), headers={"Cache-Control": "no-store"})


def _finite(value: Any) -> Any:
    """Return a value in which None is what is no number, and all texts are UTF-8, for JSON."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str) and not value.isascii():  # a name of a file need not be UTF-8
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return value


async def _answer(work: Callable[[], Any]) -> Response:
    """Work in a thread; what is wrong with a request becomes a line."""
    try:
        value = await run_in_threadpool(work)
    except _SAID as error:
        log.debug("%s", one_line(error), exc_info=True)
        return JSONResponse({"error": one_line(error)}, _status(error))
    except Exception as error:  # else the server would write it in a way of its own
        return _fault(error)
    return value if isinstance(value, Response) else _json(value)


def _fault(error: Exception) -> Response:
    line = f"a fault of this program: {type(error).__name__}: {one_line(error)}"
    log.error("%s", line, exc_info=log.isEnabledFor(logging.DEBUG))
    return JSONResponse({"error": line}, 500)


def _get(answer: Callable[[QueryParams], Any]) -> Callable:
    async def endpoint(request: Request) -> Response:
        return await _answer(lambda: answer(request.query_params))

    return endpoint


def _post(answer: Callable[[dict[str, Any]], Any]) -> Callable:
    async def endpoint(request: Request) -> Response:
        content = await request.body()
        return await _answer(lambda: answer(requests.body_of(content)))

    return endpoint


def static_file(name: str) -> Response:
    """Return a file of the page."""
    kind = _STATIC.match(name)
    if kind is None:
        return JSONResponse({"error": "there is no such file"}, 404)
    file = resources.files("animal_spot.reviewing").joinpath("static", name)
    if not file.is_file():
        return JSONResponse({"error": "there is no such file"}, 404)
    headers = {"Cache-Control": "no-cache"}
    return Response(file.read_bytes(), 200, headers, f"{_KINDS[kind[1]]}; charset=utf-8")


def make_app(review: Review) -> Starlette:
    """Return the server of a review, unguarded; see ``guard.Guard``."""

    async def page(_: Request) -> Response:
        return await run_in_threadpool(static_file, "index.html")

    async def static(request: Request) -> Response:
        return await run_in_threadpool(static_file, request.path_params["name"])

    async def detection(request: Request) -> Response:
        number = request.path_params["number"]
        return await _answer(
            lambda: review.show_detection(
                requests.whole({"id": number}, "id", None, 1, 2**62), request.query_params
            )
        )

    async def sound(request: Request) -> Response:
        wanted = request.headers.get("range")
        return await _answer(lambda: review.sound(request.query_params, wanted))

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        if review.job is not None:
            await run_in_threadpool(review.job.close)
        review.sounds.close()

    def route(path: str, answer: Callable, method: str = "GET") -> Route:
        return Route(path, answer, methods=[method])

    async def refusal(_: Request, error: HTTPException) -> Response:
        return JSONResponse({"error": error.detail}, error.status_code)

    async def fault(_: Request, error: Exception) -> Response:
        return _fault(error)

    return Starlette(
        routes=[
            route("/", page),
            route("/static/{name}", static),
            route("/api/project", _get(review.show_project)),
            route("/api/recordings", _get(review.show_recordings)),
            route("/api/queue", _get(review.show_queue)),
            route("/api/rows", _get(review.show_rows)),
            route("/api/near", _get(review.show_near)),
            route("/api/detection/{number}", detection),
            route("/api/spectrogram", _get(review.picture)),
            route("/api/sound", sound),
            route("/api/statistics", _get(review.show_statistics)),
            route("/api/agreement", _get(review.show_agreement)),
            route("/api/similar", _get(review.similar)),
            route("/api/retrain", _get(review.show_retraining)),
            route("/api/decide", _post(review.decide), "POST"),
            route("/api/undo", _post(review.undo), "POST"),
            route("/api/add", _post(review.add), "POST"),
            route("/api/export", _post(review.export), "POST"),
            route("/api/retrain", _post(review.retrain), "POST"),
        ],
        lifespan=lifespan,
        exception_handlers={HTTPException: refusal, Exception: fault},
    )

"""From what a server works out to what it answers: JSON, files of the page, errors in one line."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable
from importlib import resources
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from animal_spot.reviewing.request_parts import NotThereError, body_of
from animal_spot.reviewing.store import ProjectGoneError

_KINDS = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
_STATIC = re.compile(r"[a-z0-9_-]+\.(html|js|css|svg)\Z")
_SAID = (ValueError, OSError, NotThereError)  # the rest is a fault of ours


class Answering:
    """Makes answers of what functions return or raise.

    Args:
        one_line: Says of an error what to show.
        log: Where faults are written.
        package: What holds the folder ``static`` with the page.
    """

    def __init__(
        self, one_line: Callable[[Exception], str], log: logging.Logger, package: str
    ) -> None:
        self._one_line, self._log, self._package = one_line, log, package

    async def answer(self, work: Callable[[], Any]) -> Response:
        """Work in a thread; what is wrong with a request becomes a line."""
        try:
            value = await run_in_threadpool(work)
        except _SAID as error:
            line = self._one_line(error)
            self._log.debug("%s", line, exc_info=True)
            return JSONResponse({"error": line}, _status(error))
        except Exception as error:  # else the server would write it in a way of its own
            return self.fault(error)
        return value if isinstance(value, Response) else _json(value)

    def fault(self, error: Exception) -> Response:
        """Say and write down that something of ours is wrong."""
        line = f"a fault of this program: {type(error).__name__}: {self._one_line(error)}"
        self._log.error("%s", line, exc_info=self._log.isEnabledFor(logging.DEBUG))
        return JSONResponse({"error": line}, 500)

    def get(self, path: str, work: Callable[[QueryParams], Any]) -> Route:
        """Return the route of what is asked for."""

        async def endpoint(request: Request) -> Response:
            return await self.answer(lambda: work(request.query_params))

        return Route(path, endpoint, methods=["GET"])

    def post(self, path: str, work: Callable[[dict[str, Any]], Any]) -> Route:
        """Return the route of what is sent."""

        async def endpoint(request: Request) -> Response:
            content = await request.body()
            return await self.answer(lambda: work(body_of(content)))

        return Route(path, endpoint, methods=["POST"])

    def page(self) -> list[Route]:
        """Return the routes of the page and of what belongs to it."""

        async def page(_: Request) -> Response:
            return await run_in_threadpool(self._static, "index.html")

        async def static(request: Request) -> Response:
            return await run_in_threadpool(self._static, request.path_params["name"])

        return [
            Route("/", page, methods=["GET"]),
            Route("/static/{name}", static, methods=["GET"]),
        ]

    def handlers(self) -> dict[Any, Callable]:
        """Return what answers requests that no route is for, and faults."""

        async def refusal(_: Request, error: HTTPException) -> Response:
            return JSONResponse({"error": error.detail}, error.status_code)

        async def fault(_: Request, error: Exception) -> Response:
            return self.fault(error)

        return {HTTPException: refusal, Exception: fault}

    def _static(self, name: str) -> Response:
        kind = _STATIC.match(name)
        file = resources.files(self._package).joinpath("static", name) if kind else None
        if file is None or not file.is_file():
            return JSONResponse({"error": "there is no such file"}, 404)
        headers = {"Cache-Control": "no-cache"}
        return Response(file.read_bytes(), 200, headers, f"{_KINDS[kind[1]]}; charset=utf-8")


def _status(error: Exception) -> int:
    if isinstance(error, ProjectGoneError):
        return 503  # upon which a page keeps what it sent, and sends it again
    return 404 if isinstance(error, (NotThereError, FileNotFoundError)) else 400


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

"""Who may talk to the server: the page that it gave, and nobody else on this computer or the web.

Each request must name the server by an address of its own (so that no other name leads here by
DNS rebinding), must come from the page or from no page, and must carry the token.
"""

from __future__ import annotations

import hashlib
import hmac
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY = 64 * 1024  # bytes
_LONGEST_QUERY = 8 * 1024
_NO_CHANGE = ("GET", "HEAD")
TOKEN = "token"  # in the address
TOKEN_HEADER = "X-Token"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def digest_of(token: str) -> str:
    """Return what is kept of a token, by which it can be known again but not made."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def cookie_name(port: int) -> str:
    """Return the name of the cookie with the token; cookies do not tell ports apart."""
    return f"review-{port}"


class Guard:
    """Lets requests through to the pages that may pass.

    Args:
        app: What is guarded.
        token: What the address that was shown to the user holds.
        hosts: Names with port by which the server may be called.
        port: Where it listens.
        earlier: Digests of tokens of earlier runs: a page that is open goes on after a restart.
    """

    def __init__(
        self,
        app: ASGIApp,
        token: str,
        hosts: frozenset[str],
        port: int,
        earlier: frozenset[str] = frozenset(),
    ) -> None:
        self._earlier = earlier
        self._app = app
        self._token = token
        self._hosts = hosts
        self._cookie = cookie_name(port)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on a request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no web sockets here
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, _with_headers(send))
            return
        body = await _body(receive)
        if body is None:
            refusal = _said(413, f"a request may have at most {LARGEST_BODY} bytes")
            await refusal(scope, receive, _with_headers(send))
            return
        await self._app(scope, _Read(body, receive), _with_headers(send))

    def _refusal(self, scope: Scope) -> Response | None:
        """Return what a request is answered that may not pass."""
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        if len(headers.getlist("host")) != 1 or host not in self._hosts:
            return _said(421, "this server is not called so: use the address that it showed")
        if len(scope.get("query_string", b"")) > _LONGEST_QUERY:
            return _said(414, f"an address may have at most {_LONGEST_QUERY} bytes")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > LARGEST_BODY:
            return _said(413, f"a request may have at most {LARGEST_BODY} bytes")
        origin = headers.get("origin")
        if origin is not None and origin.lower() != f"http://{host}":
            return _said(403, "requests of other pages are refused")
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return _said(403, "requests of other pages are refused")
        method = scope["method"]
        if method not in (*_NO_CHANGE, "POST"):
            return _said(405, f"{method} is not understood")
        if method == "POST":
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json":
                return _said(415, "send JSON, as application/json")
        return self._without_token(scope, headers)

    def _without_token(self, scope: Scope, headers: Headers) -> Response | None:
        """Answer a request without token, or one that has it in its address."""
        if scope["path"] == "/" and scope["method"] in _NO_CHANGE:
            pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
            given = [value for name, value in pairs if name == TOKEN]
            if given and self._is_token(given[-1]):
                rest = urlencode([(name, value) for name, value in pairs if name != TOKEN])
                answer = RedirectResponse(f"/?{rest}" if rest else "/", 303)
                answer.set_cookie(
                    self._cookie, self._token, httponly=True, samesite="strict", path="/"
                )
                answer.headers["Cache-Control"] = "no-store"
                return answer
        if self._is_token(headers.get(TOKEN_HEADER, "")) or self._is_token(
            self._in_cookie(headers)
        ):
            return None
        return _said(403, "the token is missing: open the address that the program showed")

    def _is_token(self, text: str) -> bool:
        if hmac.compare_digest(text.encode("utf-8", "replace"), self._token.encode()):
            return True
        return digest_of(text) in self._earlier

    def _in_cookie(self, headers: Headers) -> str:
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return ""
        return cookies[self._cookie].value if self._cookie in cookies else ""


async def _body(receive: Receive) -> bytes | None:
    """Read a body, which may come without its length; None if it is too large."""
    parts = b""
    while True:
        message = await receive()
        parts += message.get("body", b"")
        if len(parts) > LARGEST_BODY:
            return None
        if not message.get("more_body", False):
            return parts


class _Read:
    """Gives a body that was read, then what comes after it."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


def _said(status: int, line: str) -> Response:
    return JSONResponse({"error": line}, status)


def _with_headers(send: Send) -> Send:
    """Add to each answer what browsers shall heed."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [
                *message.get("headers", ()),
                *((k.lower().encode(), v.encode()) for k, v in _HEADERS.items()),
            ]
        await send(message)

    return sending

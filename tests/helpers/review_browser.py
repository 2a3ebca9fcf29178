"""Pages of reviews in a browser: opened, typed into, waited for."""

from __future__ import annotations

import os

from tests.helpers.review_page import in_address


class Browsing:
    """Opens pages, and sees what goes wrong in them."""

    def __init__(self, chrome) -> None:
        self._chrome = chrome
        self._contexts = []
        self.wrong: list[str] = []

    def open(self, server, reviewer: str, scheme: str = "light", **shown):
        context = self._chrome.new_context(
            viewport={"width": 1280, "height": 800}, color_scheme=scheme
        )
        self._contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)  # ms; other programs may have the machine
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", lambda m: m.type == "error" and self.wrong.append(m.text))
        page.on("request", self._saw)
        self._host = server.address.split("/?")[0]
        parts = {"reviewer": reviewer, "auto": "0"} | shown
        page.goto(server.address + "".join(f"&{name}={value}" for name, value in parts.items()))
        return page

    def _saw(self, request) -> None:
        if not request.url.startswith((self._host, "data:")):
            self.wrong.append(f"asked for {request.url}")

    def close(self) -> None:
        while self._contexts:
            self._contexts.pop().close()


def is_busy() -> bool:
    """Tell whether other programs have the machine, so that nothing can be said about times."""
    return os.getloadavg()[0] > 2 * os.cpu_count()


def press(page, *keys: str, pause_ms: int = 0) -> None:
    """Press keys, each when the one before has shown another detection."""
    for key in keys:
        page.wait_for_timeout(pause_ms)
        before = in_address(page, "id")
        page.keyboard.press(key)
        page.wait_for_function(
            "id => new URLSearchParams(location.search).get('id') !== id", arg=before
        )


def until(page, condition, what: str) -> None:
    """Wait until something holds that the page does not show."""
    for _ in range(600):
        if condition():
            return
        page.wait_for_timeout(50)
    raise AssertionError(what)


def waits_for_nothing(page) -> None:
    """Wait until the server has all decisions."""
    page.wait_for_function(
        "() => !Object.keys(localStorage).some(name => name.startsWith('review-post '))"
    )

"""The report of a prediction of 50 recordings with 10,000 detections, in Chromium."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")

from animal_spot import report
from tests.helpers.found_folder import made
from tests.helpers.review_page import MARKUP, browser, chromium

pytestmark = pytest.mark.skipif(chromium() is None, reason="there is no Chromium")

CLASSES = ("chirp", f"hum {MARKUP}")
A4_MM = 180, 267  # without the margins that the page has
PX_PER_MM = 96 / 25.4


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    one = made(tmp_path_factory.mktemp("many"), 50, 200, classes=CLASSES, duration_s=20.0)
    one.failed = {f"bad {MARKUP}.wav": "empty: the file has 0 bytes"}
    one.write_sounds()
    one.write_tables()
    assert report.main([str(one.found)]) == 0
    return one.found / "report.html"


@pytest.fixture(scope="module")
def chrome():
    with browser() as one:
        yield one


@pytest.fixture
def opened(chrome, path):
    """Open the page without a network; what goes wrong in it fails the test."""
    wrong, contexts = [], []

    def open_page(scheme: str = "light", width: int = 1280):
        context = chrome.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)  # ms; other programs may have the machine
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: said.type == "error" and wrong.append(said.text))
        page.on(
            "request",
            lambda asked: asked.url.startswith(("file:", "data:")) or wrong.append(asked.url),
        )
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def test_it_is_small_and_opens_at_once(opened, path):
    assert path.stat().st_size < 10_000_000
    started = time.perf_counter()
    page = opened()
    page.wait_for_selector("footer")
    seconds = time.perf_counter() - started
    own_s = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd / 1000")
    assert 0 < own_s <= seconds
    if os.getloadavg()[0] <= os.cpu_count():  # else nothing can be said about times
        assert seconds < 2
    assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 100)")


def test_every_sound_plays(opened):
    page = opened()
    page.locator(".sound img").first.click()
    page.wait_for_function("() => !document.querySelector('audio').paused")
    n, failed = page.evaluate(
        """async () => {
        const failed = [], sounds = [...document.querySelectorAll("audio")];
        for (const sound of sounds) {
            sound.muted = true;
            await sound.play();
            for (let i = 0; i < 500 && sound.currentTime === 0; i++)
                await new Promise((done) => setTimeout(done, 20));
            if (!(sound.currentTime > 0 && sound.duration > 0.5 && sound.duration < 3))
                failed.push([sound.getAttribute("aria-label"), sound.duration]);
        }
        const playing = sounds.filter((sound) => !sound.paused && !sound.ended).length;
        return [sounds.length, failed.concat(playing > 1 ? ["several at once"] : [])];
    }"""
    )
    assert failed == []
    assert n == 12  # six of each class


def test_tables_sort_and_show_all(opened):
    page = opened()
    table = page.locator("figure[data-name=recordings]", has=page.locator("table"))
    heads = table.locator("thead th").all_inner_texts()
    column = next(i for i, text in enumerate(heads) if text.startswith("chirp"))
    values = "(t, c) => [...t.querySelectorAll('tbody tr')].map(r => r.cells[c].dataset.value)"

    def shown() -> list[str]:
        return table.locator("table").evaluate(f"t => ({values})(t, {column})")

    before = shown()
    table.locator("thead button").nth(column).click()
    up = shown()
    known = [float(value) for value in up if value]
    assert known == sorted(float(value) for value in before if value)
    assert up[-1] == ""  # the recording that failed is last in both directions
    table.locator("thead button").nth(column).click()
    down = shown()
    assert [float(value) for value in down[:-1]] == known[::-1]
    assert down[-1] == ""
    assert table.locator("tbody tr:visible").count() == 25
    table.locator("button.more").click()
    assert table.locator("tbody tr:visible").count() == 51


def test_names_stay_text(opened):
    page = opened()
    assert page.title() == "Calls found"
    assert page.locator("img[src=x]").count() == 0
    assert MARKUP in page.locator("[data-name=classes]").inner_text()
    assert f"bad {MARKUP}.wav" in page.locator("main").inner_text()


def test_it_prints_on_a4_without_cut_figures(opened, tmp_path):
    page = opened(width=round(A4_MM[0] * PX_PER_MM))
    page.emulate_media(media="print")
    figures = page.evaluate(
        """() => [...document.querySelectorAll("svg, .sound, table, .copied, .note, .warning")]
        .map((e) => {
            const box = e.getBoundingClientRect(), kept = e.closest(".picture, .sound") ?? e;
            return [e.tagName, box.left, box.right, kept.getBoundingClientRect().height,
                    getComputedStyle(kept).breakInside];
        })"""
    )
    assert len(figures) > 20
    for tag, left, right, height, broken in figures:
        assert left >= -0.5, tag
        assert right <= A4_MM[0] * PX_PER_MM + 1, tag
        if tag.lower() != "table":  # which goes on, with its heading, on the next page
            assert height < A4_MM[1] * PX_PER_MM, tag
            assert broken == "avoid", tag
    assert page.locator(".sound audio:visible, nav:visible, button.more:visible").count() == 0
    page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
    text = (tmp_path / "report.pdf").read_bytes()
    sizes = set(re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", text))
    assert sizes
    for width, height in sizes:
        assert float(width) == pytest.approx(210 / 25.4 * 72, abs=1)
        assert float(height) == pytest.approx(297 / 25.4 * 72, abs=1)
    # Nothing is hidden on paper that a click would show.
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("tbody tr:visible").count() == page.locator("tbody tr").count()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_by_all(opened, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page = opened(scheme)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    # Names, roles and places are the same in the dark.
    rules = ["color-contrast"] if scheme == "dark" else ["wcag2a", "wcag2aa", "wcag21aa"]
    run = Axe().run(page, options={"runOnly": rules})
    assert "color-contrast" in [rule["id"] for rule in run.response["passes"]]
    problems = {
        problem["id"]: [node["target"] for node in problem["nodes"]][:3]
        for problem in run.response["violations"]
    }
    assert problems == {}

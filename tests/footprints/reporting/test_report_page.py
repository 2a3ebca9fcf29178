"""The report of a prepared set, a stage and answers to photos, in Chromium."""

from __future__ import annotations

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")

from footprints.reporting.run import make_report
from footprints.reporting.wanted import Wanted
from tests.helpers import footprint_results as made_up
from tests.helpers.review_page import browser, chromium

pytestmark = pytest.mark.skipif(chromium() is None, reason="there is no Chromium")
PRINTED_PX = 680  # 180 mm, an A4 page without its margins


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page without a network; what goes wrong in it fails the tests."""
    root = tmp_path_factory.mktemp("project")
    data = made_up.write_prepared(root / "prepared" / "real")
    made_up.write_stage(root / "models", data)
    made_up.write_prediction(root / "answers", root / "photos")
    make_report([root], None, Wanted())
    wrong: list[str] = []
    with browser() as chrome:
        context = chrome.new_context(viewport={"width": 1200, "height": 900}, offline=True)
        one = context.new_page()
        one.set_default_timeout(60_000)  # ms; other programs may have the machine
        one.on("pageerror", lambda error: wrong.append(str(error)))
        one.on("console", lambda said: said.type == "error" and wrong.append(said.text))
        one.on("dialog", lambda dialog: wrong.append(dialog.message))
        one.goto((root / "report.html").as_uri())
        yield one
        context.close()
    assert wrong == []


def test_all_pictures_are_shown_and_names_stay_text(page) -> None:
    widths = page.eval_on_selector_all("img", "all => all.map(one => one.naturalWidth)")
    assert len(widths) > 15
    assert min(widths) > 0
    drawn = page.eval_on_selector_all(
        "figure.picture svg", "all => all.map(one => one.getBoundingClientRect().width)"
    )
    assert len(drawn) == 6
    assert min(drawn) > 200
    assert page.locator("b").count() == 0
    assert page.get_by_text("<b>fox</b>").count() > 5


def test_a_table_sorts_by_numbers(page) -> None:
    table = page.locator("figure[data-name=prediction_photos]")
    table.locator("th:nth-child(4) button").click()
    cells = table.locator("tbody tr td:nth-child(4)")
    shown = cells.evaluate_all("all => all.map(one => Number(one.dataset.value))")
    assert shown == sorted(shown)
    assert len({*shown}) > 5


def test_nothing_is_cut_on_paper(page) -> None:
    page.set_viewport_size({"width": PRINTED_PX, "height": 1000})
    page.emulate_media(media="print")
    ends = page.eval_on_selector_all(
        "svg, img, td", "all => all.map(one => one.getBoundingClientRect().right)"
    )
    assert max(ends) <= PRINTED_PX + 1
    assert page.pdf(format="A4").startswith(b"%PDF")

"""The page of ``footprints review`` in Chromium."""

from __future__ import annotations

import csv
import statistics
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")

from footprints.reviewing.project import NO_PRINT
from tests.helpers.photo_review import (
    HEIGHT,
    MARKUP,
    WIDTH,
    Server,
    drawn_photos,
    write_photos,
    write_predictions,
)
from tests.helpers.review_browser import Browsing, is_busy, press, waits_for_nothing
from tests.helpers.review_page import browser, chromium, in_address

pytestmark = pytest.mark.skipif(chromium() is None, reason="there is no Chromium")

N = 100
SHOWN = ".one .picture img"
VERDICTS = {"y": "right", "n": "wrong", "u": "unsure", "s": "skip"}
BOX = "SELECT x1, y1, x2, y2 FROM decisions WHERE reviewer = ? AND undone = 0 ORDER BY id"


@pytest.fixture(scope="module")
def chrome():
    with browser() as one:
        yield one


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"), N)


@pytest.fixture(scope="module")
def server(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("review")
    write_predictions(folder / "answers", photos, N)
    one = Server(folder / "review.sqlite", "--predictions", folder / "answers")
    yield one
    one.stop()


@pytest.fixture
def browsing(chrome):
    one = Browsing(chrome)
    yield one
    one.close()
    assert one.wrong == []


def one_by_one(page) -> None:
    """Wait until a photo is shown."""
    page.wait_for_selector(SHOWN)
    page.wait_for_function("() => new URLSearchParams(location.search).get('id')")


def progress(page, text: str) -> None:
    """Wait until the page says how many are left."""
    page.wait_for_function(
        "text => document.querySelector('.progress').textContent.startsWith(text)", arg=text
    )


def test_a_hundred_photos_are_reviewed_by_keyboard_and_each_next_one_comes_at_once(
    server, browsing
):
    page = browsing.open(server, "ann")
    one_by_one(page)
    progress(page, "100 of 100 left")
    keys = "yynusk21oy" * 10  # k: an animal of no class; 2, 1: fox, badger; o: no print
    press(page, *keys[:-1], pause_ms=60)
    page.keyboard.press(keys[-1])
    progress(page, "All 100")
    waits_for_nothing(page)
    said = {"k": "unknown", "o": NO_PRINT, "2": "fox", "1": "badger"}
    expected = []
    for one, key in zip(drawn_photos(N), keys, strict=True):
        if key in VERDICTS:
            expected.append((VERDICTS[key], None))
        elif said[key] == one.answer:
            expected.append(("right", "unknown" if key == "k" else None))
        else:
            expected.append(("other", said[key]))
    assert [(v, c) for _, v, c in server.decisions("ann")] == expected
    took_ms = page.evaluate("performance.getEntriesByName('key-to-picture').map(e => e.duration)")
    assert len(took_ms) >= N - 1
    print(f"key to picture: median {statistics.median(took_ms):.0f} ms, most {max(took_ms):.0f}")
    assert is_busy() or statistics.median(took_ms) < 100


def test_a_box_is_corrected_by_mouse_and_keys_undone_and_outlives_a_reload(server, browsing):
    page = browsing.open(server, "ben")
    one_by_one(page)
    first = drawn_photos(N)[0].box
    sheet = page.locator(".sheet").bounding_box()
    edge = page.locator(".edge.right").bounding_box()
    x, y = edge["x"] + edge["width"] / 2, edge["y"] + edge["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + sheet["width"] / 10, y, steps=4)
    page.mouse.up()
    page.locator(".state.edited").wait_for()
    page.reload()
    one_by_one(page)
    assert page.locator(".state.edited").count() == 1, "not lost by the reload"
    page.locator(".edge.top").focus()
    page.keyboard.press("Shift+ArrowUp")  # a twenty-fifth of the photo
    page.locator("main").focus()
    press(page, "y")
    waits_for_nothing(page)
    ((x1, y1, x2, y2),) = server.rows(BOX, "ben")
    expected = first[0] / WIDTH, first[1] / HEIGHT - 0.04, first[2] / WIDTH + 0.1, first[3] / HEIGHT
    assert (x1, y1, x2, y2) == pytest.approx(expected, abs=0.006)
    page.keyboard.press("z")
    page.wait_for_function("() => new URLSearchParams(location.search).get('id') === '1'")
    waits_for_nothing(page)
    assert server.decisions("ben") == []
    press(page, "n", "n")
    waits_for_nothing(page)
    page.reload()
    one_by_one(page)
    progress(page, "98 of 100 left")
    page.keyboard.press("z")  # of what was decided before the reload
    page.wait_for_function("() => new URLSearchParams(location.search).get('id') === '2'")
    assert len(server.decisions("ben")) == 1
    page.go_back()
    page.wait_for_function("() => new URLSearchParams(location.search).get('id') === '3'")


def drag(page, left: float, top: float, right: float, bottom: float) -> None:
    """Draw a box; where in parts of the photo."""
    sheet = page.locator(".sheet").bounding_box()

    def at(x: float, y: float) -> tuple[float, float]:
        return sheet["x"] + x * sheet["width"], sheet["y"] + y * sheet["height"]

    page.mouse.move(*at(left, top))
    page.mouse.down()
    page.mouse.move(*at(right, bottom), steps=4)
    page.mouse.up()


def test_further_prints_are_drawn_by_mouse_and_by_keys(server, browsing):
    page = browsing.open(server, "cat", id="12")
    one_by_one(page)
    drag(page, 0.02, 0.7, 0.12, 0.95)
    page.wait_for_function("() => new URLSearchParams(location.search).get('id').startsWith('new')")
    page.locator(".state.edited").wait_for()
    page.locator(".found").wait_for()  # the box of the answer
    page.keyboard.press("1")  # badger
    waits_for_nothing(page)
    query = (
        "SELECT x1, y1, x2, y2, class FROM detections "
        "WHERE source = 'drawn' AND photo_id = 12 ORDER BY id"
    )
    ((*box, label),) = server.rows(query)
    assert box == pytest.approx([0.02, 0.7, 0.12, 0.95], abs=0.006)
    assert label == "badger"
    page.locator(".row").filter(has_text="0011").first.click()
    page.wait_for_function("() => new URLSearchParams(location.search).get('id') === '12'")
    page.locator(".found.right").wait_for()
    page.keyboard.press("b")
    page.wait_for_function("() => document.activeElement.classList.contains('edge')")
    page.keyboard.press("Shift+ArrowLeft")  # the left edge
    page.keyboard.press("2")  # fox
    waits_for_nothing(page)
    rows = server.rows(query)
    assert rows[1][:4] == pytest.approx((0.31, 0.35, 0.65, 0.65), abs=1e-6)
    page.keyboard.press("z")
    waits_for_nothing(page)
    kept = "SELECT count(*) FROM decisions WHERE reviewer = 'cat' AND undone = 0"
    assert server.rows(kept) == [(1,)]
    page.keyboard.press("Escape")  # drops what has no class again
    page.locator(".state.edited").wait_for(state="hidden")
    assert page.locator(".notice:visible").count() == 0


def test_where_no_print_was_found_a_drawn_box_takes_the_place(server, browsing):
    page = browsing.open(server, "dan", id="10")
    one_by_one(page)
    page.get_by_text("No print was found").wait_for()
    drag(page, 0.6, 0.1, 0.9, 0.5)
    page.get_by_text("box changed").wait_for()
    press(page, "y")
    waits_for_nothing(page)
    assert server.rows(BOX, "dan")[0] == pytest.approx((0.6, 0.1, 0.9, 0.5), abs=0.006)


def test_zoom_is_about_the_box_and_the_wheel(server, browsing):
    page = browsing.open(server, "eve")
    one_by_one(page)
    width = page.locator(".sheet").bounding_box()["width"]
    page.keyboard.press("+")
    page.keyboard.press("+")
    assert in_address(page, "zoom") == "2"
    page.wait_for_function(
        "w => document.querySelector('.sheet').getBoundingClientRect().width > 1.9 * w", arg=width
    )
    pane, box = (page.locator(one).bounding_box() for one in (".photo-pane", ".box"))
    assert pane["x"] <= box["x"] + box["width"] / 2 <= pane["x"] + pane["width"]
    before = page.locator(".sheet").bounding_box()
    page.keyboard.press("Shift+ArrowLeft")
    after = page.locator(".sheet").bounding_box()
    assert after["x"] > before["x"], "what lies at the left comes into view"
    page.mouse.move(pane["x"] + 200, pane["y"] + 100)
    page.mouse.down(button="middle")
    page.mouse.move(pane["x"] + 160, pane["y"] + 100, steps=3)
    page.mouse.up(button="middle")
    assert page.locator(".sheet").bounding_box()["x"] == pytest.approx(after["x"] - 40, abs=2)
    page.mouse.move(pane["x"] + 100, pane["y"] + 100)
    page.mouse.wheel(0, 100)
    page.wait_for_function("() => new URLSearchParams(location.search).get('zoom') === '1.5'")
    page.keyboard.press("Home")
    assert in_address(page, "zoom") == ""


def test_in_the_grid_one_key_decides_on_a_whole_trail(server, browsing):
    page = browsing.open(server, "fay", id="25")
    one_by_one(page)
    page.keyboard.press("t")
    page.wait_for_function("() => document.querySelectorAll('.cell img').length === 10")
    page.keyboard.press("r")
    page.keyboard.press("2")
    progress(page, "All 10")
    waits_for_nothing(page)
    decided = server.decisions("fay")
    assert sorted(number for number, _, _ in decided) == list(range(21, 31))
    expected = {
        number: ("right", None) if drawn_photos(N)[number - 1].answer == "fox" else ("other", "fox")
        for number in range(21, 31)
    }
    assert {number: (verdict, name) for number, verdict, name in decided} == expected
    page.keyboard.press("z")
    progress(page, "10 of 10 left")


def test_two_reviewers_agree_and_precision_follows_from_a_sample(server, browsing):
    keys = "y" * 15 + "n" * 5
    for reviewer in ("gus", "hal"):
        page = browsing.open(server, reviewer, order="bins", n=20)
        one_by_one(page)
        progress(page, "20 of 20 left")
        if reviewer == "hal":
            page.wait_for_selector(".past li")
            assert "gus" not in page.text_content(".past"), "not before he has decided"
        press(page, *(keys if reviewer == "gus" else keys[::-1])[:-1])
        page.keyboard.press("n" if reviewer == "gus" else "y")
        progress(page, "All 20")
        waits_for_nothing(page)
    page.get_by_role("button", name="Figures").click()
    row = page.get_by_role("row").filter(has_text="gus and hal")
    row.wait_for()
    assert [cell.text_content() for cell in row.get_by_role("cell").all()][:2] == ["20", "10"]
    of_fox = page.get_by_role("row").filter(has_text="fox")
    assert "(" in of_fox.get_by_role("cell").nth(3).text_content(), "with its interval"


def test_export_from_the_page(server, browsing):
    page = browsing.open(server, "ivy", id="1")
    one_by_one(page)
    press(page, "y")
    page.get_by_role("button", name="Export").click()
    page.get_by_label("CSV tables").check()
    page.get_by_label("Folder, beside").fill("ivy")
    page.get_by_role("dialog").get_by_role("button", name="Export").click()
    page.get_by_text("reviewed.csv").wait_for()
    with open(server.project.with_name("ivy") / "decisions.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["reviewer"] == "ivy"]
    assert [row["verdict"] for row in rows] == ["right"]


def test_photos_are_labelled_from_nothing(photos, tmp_path, browsing):
    server = Server(tmp_path / "new.sqlite", "--photos", photos, "--classes", "hare", "owl")
    try:
        page = browsing.open(server, "jan")
        one_by_one(page)
        progress(page, "100 of 100 left")
        page.get_by_text("No box yet").wait_for()
        drag(page, 0.2, 0.3, 0.5, 0.6)
        page.wait_for_selector(".crop img")
        press(page, "1", "o")
        waits_for_nothing(page)
        found = server.rows("SELECT class, verdict, round(x1, 2) FROM decisions ORDER BY id")
        assert found == [("hare", "other", 0.2), (NO_PRINT, "other", None)]
    finally:
        browsing.close()
        server.stop()


def test_a_killed_server_loses_no_decision_and_the_page_goes_on(photos, tmp_path, browsing):
    write_predictions(tmp_path / "answers", photos, N)
    server = Server(tmp_path / "p.sqlite", "--predictions", tmp_path / "answers")
    try:
        page = browsing.open(server, "kim")
        one_by_one(page)
        press(page, "y")
        waits_for_nothing(page)
        page.wait_for_timeout(500)  # the next five are there
        server.kill()
        press(page, "n", "u")
        page.wait_for_selector("#banner:not([hidden])")
        assert page.locator(SHOWN).count() == 1
        server.start()
        page.wait_for_selector("#banner", state="hidden")
        waits_for_nothing(page)
        assert [verdict for _, verdict, _ in server.decisions("kim")] == [
            *("right", "wrong", "unsure")
        ]
        refused = [line for line in browsing.wrong if "ERR_CONNECTION_REFUSED" in line]
        browsing.wrong = [line for line in browsing.wrong if line not in refused]
    finally:
        browsing.close()
        server.stop()


def test_names_and_notes_with_markup_stay_text(server, browsing):
    page = browsing.open(server, "<script>document.title='run'</script>", id="60")
    one_by_one(page)
    page.get_by_label("Note").fill(f"{MARKUP} note")
    page.keyboard.press("Enter")
    press(page, "3")
    page.go_back()
    page.wait_for_function("() => document.querySelector('.past').textContent.includes(' note')")
    assert page.text_content(".class-name") == MARKUP
    assert MARKUP.replace("/", "") in page.text_content(".facts .file")
    for view in ("Many at once", "Figures"):
        page.get_by_role("button", name=view).click()
        page.wait_for_timeout(200)
    assert page.locator("img[src=x]").count() == 0
    assert page.title() == "Review: review"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_views_pass_axe(server, browsing, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page = browsing.open(server, "lea", scheme)
    one_by_one(page)
    page.keyboard.press("y")
    page.wait_for_selector(".sign.right")
    page.wait_for_selector(".trail-cell img")
    axe = Axe()
    found = {}
    # Names, roles and places are the same in the dark.
    rules = (
        ["color-contrast"] if scheme == "dark" else ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]
    )

    def check(view: str) -> None:
        run = axe.run(page, options={"runOnly": rules})
        assert "color-contrast" in [rule["id"] for rule in run.response["passes"]]
        for problem in run.response["violations"]:
            targets = [node["target"] for node in problem["nodes"]]
            found.setdefault((view, problem["id"]), targets[:3])

    check("one")
    for view in ("Many at once", "Figures"):
        page.get_by_role("navigation").get_by_role("button", name=view).click()
        page.wait_for_timeout(400)
        check(view)
    page.keyboard.press("?")
    check("keys")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Export").click()
    check("export")
    assert found == {}


def test_everything_is_reached_by_the_tab_key_and_focus_is_seen(server, browsing):
    page = browsing.open(server, "max")
    one_by_one(page)
    page.wait_for_selector(".trail-cell img")
    wanted = page.evaluate(
        "[...document.querySelectorAll('button, input, select, summary, [tabindex=\"0\"]')]"
        ".filter(e => e.checkVisibility() && !e.disabled).length"
    )
    seen, unseen = set(), []
    for _ in range(wanted + 40):  # fields of dates and times have several stops
        page.keyboard.press("Tab")
        name, outlined = page.evaluate(
            "() => { const e = document.activeElement; window.ids ??= new Map();"
            "if (!ids.has(e)) ids.set(e, ids.size); const s = getComputedStyle(e);"
            "return [ids.get(e), e === document.body ||"
            "e.matches('#main, [type=datetime-local]') ||"
            "(s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 1)]; }"
        )
        seen.add(name)
        if not outlined:
            unseen.append(name)
    assert len(seen) >= wanted
    assert unseen == []

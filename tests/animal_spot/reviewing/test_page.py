"""The page of ``animal-spot review`` in Chromium."""

from __future__ import annotations

import csv
import sqlite3
import statistics
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")

from animal_spot.trust.summary import summary
from tests.helpers.review_browser import Browsing, is_busy, press, until, waits_for_nothing
from tests.helpers.review_page import (
    CALL_S,
    MARKUP,
    N_CALLS,
    RATE,
    Server,
    browser,
    calls,
    chromium,
    in_address,
    write_recordings,
)

pytestmark = pytest.mark.skipif(chromium() is None, reason="there is no Chromium")

SHOWN = ".one .picture img"
STATES = {"y": "right", "n": "wrong", "u": "unsure", "s": "skip"}


@pytest.fixture(scope="module")
def chrome():
    with browser() as one:
        yield one


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> tuple[Path, Path]:
    return write_recordings(tmp_path_factory.mktemp("review"))


@pytest.fixture(scope="module")
def server(sounds, tmp_path_factory):
    recordings, tables = sounds
    project = tmp_path_factory.mktemp("project") / "review.sqlite"
    given = "--predictions", tables, "--recordings", recordings, "--reviewer", "owner"
    one = Server(project, *given, "--classes", MARKUP)
    yield one
    one.stop()


@pytest.fixture(scope="module")
def added_to(sounds, tmp_path_factory):
    """A server to whose project tests add rows."""
    recordings, tables = sounds
    project = tmp_path_factory.mktemp("added") / "added.sqlite"
    one = Server(project, "--predictions", tables, "--recordings", recordings)
    yield one
    one.stop()


@pytest.fixture
def browsing(chrome):
    one = Browsing(chrome)
    yield one
    one.close()
    assert one.wrong == []


def one_by_one(page) -> None:
    """Wait until a detection is shown."""
    page.wait_for_selector(SHOWN)
    page.wait_for_function("() => new URLSearchParams(location.search).get('id')")


# --- one by one -----------------------------------------------------------------------------------


def test_thirty_detections_are_reviewed_by_keyboard_and_each_next_picture_comes_at_once(
    server, browsing
):
    page = browsing.open(server, "ann")
    one_by_one(page)
    assert page.text_content(".progress").startswith("30 of 30 left")
    keys = "yynus12yyn" * 3  # 1: a class of --classes; 2: chirp, which is right for a chirp
    press(page, *keys[:-1], pause_ms=200)  # five a second are as many as a person can judge
    page.keyboard.press(keys[-1])
    page.wait_for_function(
        "() => document.querySelector('.progress').textContent.startsWith('All 30')"
    )
    waits_for_nothing(page)
    expected = []
    for (_, _, label, _), key in zip(calls(), keys, strict=True):
        said = {"1": MARKUP, "2": "chirp"}.get(key)
        if said is None:
            expected.append((STATES[key], None))
        else:
            expected.append(("right", None) if said == label else ("other", said))
    assert [(v, c) for _, v, c in server.decisions("ann")] == expected
    order = server.rows("SELECT id FROM detections ORDER BY recording_id, begin_s")
    assert [(number,) for number, _, _ in server.decisions("ann")] == order
    took_ms = page.evaluate("performance.getEntriesByName('key-to-picture').map(e => e.duration)")
    assert len(took_ms) >= N_CALLS - 1
    print(f"key to picture: median {statistics.median(took_ms):.0f} ms, most {max(took_ms):.0f}")
    assert is_busy() or statistics.median(took_ms) < 100


def test_an_edge_is_dragged_kept_undone_and_outlives_a_reload(server, browsing):
    page = browsing.open(server, "ben")
    one_by_one(page)
    first = in_address(page, "id")
    begin_s = calls()[0][1]
    pane = page.locator(".one .pane").bounding_box()
    shown_s = CALL_S + 2 * 2  # 2 s of context
    edge = page.locator(".edge.right").bounding_box()
    x, y = edge["x"] + edge["width"] / 2, edge["y"] + edge["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + pane["width"] / shown_s, y, steps=4)  # a second later
    page.mouse.up()
    assert page.locator(".state.edited").count() == 1
    page.reload()
    one_by_one(page)
    assert in_address(page, "id") == first
    assert page.locator(".state.edited").count() == 1  # not lost by the reload
    page.locator(".edge.left").focus()
    page.keyboard.press("Shift+ArrowLeft")  # a twentieth of what is shown
    page.locator("main").focus()
    press(page, "y")
    waits_for_nothing(page)
    kept = "SELECT begin_s, end_s FROM decisions WHERE reviewer = 'ben' AND undone = 0"
    ((kept_begin_s, kept_end_s),) = server.rows(kept)
    assert kept_end_s == pytest.approx(begin_s + CALL_S + 1, abs=0.03)
    assert kept_begin_s == pytest.approx(begin_s - shown_s / 20, abs=0.01)
    # What the model said is as before.
    said = server.rows("SELECT begin_s, end_s FROM detections WHERE id = ?", int(first))
    assert said == [(begin_s, pytest.approx(begin_s + CALL_S))]
    page.keyboard.press("z")
    page.wait_for_function(f"() => new URLSearchParams(location.search).get('id') === '{first}'")
    waits_for_nothing(page)
    assert server.decisions("ben") == []
    press(page, "n")
    waits_for_nothing(page)
    second = in_address(page, "id")
    page.reload()
    one_by_one(page)
    assert in_address(page, "id") == second
    assert page.text_content(".progress").startswith("29 of 30 left")
    page.keyboard.press("z")  # of what was decided before the reload
    page.wait_for_function(f"() => new URLSearchParams(location.search).get('id') === '{first}'")
    assert server.decisions("ben") == []
    page.go_back()
    page.wait_for_function(f"() => new URLSearchParams(location.search).get('id') === '{second}'")


def test_a_killed_server_loses_no_decision_and_the_page_goes_on(sounds, tmp_path, browsing):
    recordings, tables = sounds
    server = Server(tmp_path / "p.sqlite", "--predictions", tables, "--recordings", recordings)
    try:
        page = browsing.open(server, "cleo")
        one_by_one(page)
        press(page, "y", "y")
        waits_for_nothing(page)
        page.wait_for_timeout(500)  # the next five are there
        server.kill()
        press(page, "n", "n", "u")
        page.wait_for_selector("#banner:not([hidden])")
        page.wait_for_function(
            "() => document.querySelector('#banner').textContent.includes('3 decisions wait')"
        )
        assert page.locator(SHOWN).count() == 1  # goes on with what was fetched ahead
        server.start()
        page.wait_for_selector("#banner", state="hidden")
        waits_for_nothing(page)
        verdicts = [verdict for _, verdict, _ in server.decisions("cleo")]
        assert verdicts == ["right", "right", "wrong", "wrong", "unsure"]
        press(page, "s")
        waits_for_nothing(page)
        assert len(server.decisions("cleo")) == 6
        refused = [line for line in browsing.wrong if "ERR_CONNECTION_REFUSED" in line]
        browsing.wrong = [line for line in browsing.wrong if line not in refused]
        assert refused
    finally:
        browsing.close()
        server.stop()


def test_two_reviewers_judge_independently_and_their_agreement_is_shown(server, browsing):
    said = {"dora": "yynn", "emil": "yynny"}
    for reviewer, keys in said.items():
        page = browsing.open(server, reviewer)
        one_by_one(page)
        if reviewer == "emil":
            page.wait_for_selector(".past li")
            assert "dora" not in page.text_content(".past")  # not before he has decided
        press(page, *keys)
        waits_for_nothing(page)
    page.keyboard.press("ArrowLeft")
    page.go_back()
    page.locator(".row").first.click()
    page.wait_for_function("() => document.querySelector('.past').textContent.includes('dora')")
    page.get_by_role("button", name="Figures").click()
    row = page.get_by_role("row").filter(has_text="dora and emil")
    row.wait_for()
    assert [cell.text_content() for cell in row.get_by_role("cell").all()][:2] == ["4", "4"]
    assert "1.00" in row.text_content()


def test_sound_advances_with_its_playhead_and_can_be_slow(server, browsing):
    page = browsing.open(server, "fay")
    one_by_one(page)
    time = "document.querySelector('#sound audio').currentTime"
    page.keyboard.press("Space")
    page.wait_for_function(f"() => {time} > 0.2")
    left = "parseFloat(document.querySelector('.one .playhead').style.left)"
    # The playhead has a place from the first frame on that a busy machine draws.
    both = f"() => !isNaN({left}) && [{left}, {time}]"
    before = page.wait_for_function(both).json_value()
    page.wait_for_timeout(300)
    after = page.wait_for_function(both).json_value()
    assert after[1] > before[1] + 0.1
    shown_s = CALL_S + 2 * 2
    moved_s = (after[0] - before[0]) / 100 * shown_s
    assert moved_s == pytest.approx(after[1] - before[1], abs=0.12)
    duration = "document.querySelector('#sound audio').duration"
    page.keyboard.press("Space")
    page.wait_for_function("() => document.querySelector('#sound audio').paused")
    normal_s = page.evaluate(duration)
    for _ in range(4):
        page.keyboard.press(",")
    assert in_address(page, "speed") == "0.05"
    page.wait_for_function(f"() => Math.abs({duration} / {normal_s} - 20) < 0.1")
    rate = page.evaluate(
        "fetch(document.querySelector('#sound audio').src).then(r => r.arrayBuffer())"
        ".then(b => new DataView(b).getUint32(24, true))"
    )
    assert rate in (round(RATE / 20), 8000)  # browsers play no sound below 3 kHz


# --- many at once, whole recordings ---------------------------------------------------------------


def test_in_the_grid_many_are_selected_and_one_key_decides(server, browsing):
    page = browsing.open(server, "gus", view="grid")
    page.wait_for_function("() => document.querySelectorAll('.cell img').length === 30")
    page.locator(".cell").nth(0).click()
    page.wait_for_function("() => document.querySelector('#sound audio').currentTime > 0.05")
    page.locator(".cell").nth(2).click(modifiers=["Control"])
    page.locator(".cell").nth(5).click(modifiers=["Shift"])
    assert page.locator(".cell[aria-selected=true]").count() == 4
    page.keyboard.press("n")
    waits_for_nothing(page)
    order = [n for (n,) in server.rows("SELECT id FROM detections ORDER BY recording_id, begin_s")]
    assert server.decisions("gus") == [(number, "wrong", None) for number in order[2:6]]
    page.keyboard.press("r")  # all that are undecided
    page.keyboard.press("y")
    page.wait_for_function(
        "() => document.querySelector('.progress').textContent.startsWith('All 30')"
    )
    waits_for_nothing(page)
    assert len(server.decisions("gus")) == 30
    page.keyboard.press("z")  # what one key decided is taken back at once
    page.wait_for_function(
        "() => document.querySelector('.progress').textContent.startsWith('26 of')"
    )
    waits_for_nothing(page)
    assert len(server.decisions("gus")) == 4


def test_in_the_grid_each_key_is_about_the_next_cell(server, browsing):
    page = browsing.open(server, "gil", view="grid")
    page.wait_for_function("() => document.querySelectorAll('.cell img').length === 30")
    page.locator(".cell").nth(1).click()
    for key in ("y", "n", "z", "u"):  # the third takes the second back
        page.keyboard.press(key)
        waits_for_nothing(page)
    order = [n for (n,) in server.rows("SELECT id FROM detections ORDER BY recording_id, begin_s")]
    assert server.decisions("gil") == [(order[1], "right", None), (order[2], "unsure", None)]
    assert in_address(page, "id") == str(order[3])


def test_in_the_grid_what_one_class_key_decided_is_taken_back_at_once(server, browsing):
    page = browsing.open(server, "gwen", view="grid")
    page.wait_for_function("() => document.querySelectorAll('.cell img').length === 30")
    page.keyboard.press("r")
    page.keyboard.press("2")  # right for chirps, another class for hums
    waits_for_nothing(page)
    assert {verdict for _, verdict, _ in server.decisions("gwen")} == {"right", "other"}
    page.keyboard.press("z")
    waits_for_nothing(page)
    assert server.decisions("gwen") == []


def test_a_missed_call_is_marked_by_dragging_and_by_keyboard(added_to, browsing):
    page = browsing.open(added_to, "hal", view="long", line="10", lines="3")
    page.wait_for_function("() => document.querySelectorAll('.lines .picture img').length === 3")
    pane = page.locator(".lines .pane").nth(1).bounding_box()  # 10 to 20 s
    at = lambda s: pane["x"] + (s - 10) / 10 * pane["width"]  # noqa: E731
    page.mouse.move(at(12.0), pane["y"] + 0.25 * pane["height"])
    page.mouse.down()
    page.mouse.move(at(12.5), pane["y"] + 0.75 * pane["height"], steps=4)
    page.mouse.up()
    page.get_by_role("button", name="hum", exact=True).click()
    waits_for_nothing(page)
    missed = (
        "SELECT detections.begin_s, detections.end_s, detections.low_hz, detections.high_hz, "
        "detections.class FROM detections JOIN decisions ON "
        "detection_id = detections.id WHERE source = 'missed' AND reviewer = 'hal' AND undone = 0"
    )
    ((begin_s, end_s, low_hz, high_hz, label),) = added_to.rows(missed)
    assert (begin_s, end_s) == (pytest.approx(12, abs=0.03), pytest.approx(12.5, abs=0.03))
    assert high_hz / low_hz == pytest.approx(3, abs=0.1)
    assert label == "hum"
    page.wait_for_function(
        "() => [...document.querySelectorAll('.found.right')]"
        ".some(e => e.textContent.includes('hum'))"
    )
    page.locator("main").focus()
    for key in ("Home", "ArrowRight", "b", *["ArrowRight"] * 5, "Enter", "2"):
        page.keyboard.press(key)
    waits_for_nothing(page)
    rows = added_to.rows(missed)
    assert len(rows) == 2
    assert rows[1][0] == pytest.approx(0.1, abs=1e-6)
    assert rows[1][1] == pytest.approx(0.6, abs=1e-6)
    page.keyboard.press("z")
    until(page, lambda: len(added_to.rows(missed)) == 1, "the mark was not taken back")


def test_an_answer_that_broke_off_is_trouble_and_no_error_of_the_page(added_to, browsing):
    page = browsing.open(added_to, "hal", view="long", line="10", lines="3")
    page.wait_for_function("() => document.querySelectorAll('.lines .picture img').length === 3")
    page.route("**/api/near*", lambda route: route.fulfill(status=200, body='{"ro'))
    page.locator("main").focus()
    page.keyboard.press("PageDown")
    page.wait_for_selector("#banner:not([hidden])")


def test_windows_are_labelled_from_nothing_with_a_new_class(added_to, browsing):
    page = browsing.open(added_to, "ivy", src="windows", len="4")
    one_by_one(page)
    assert page.text_content(".progress").startswith("16 of 16 left")  # two of 32 s
    press(page, "n")
    page.keyboard.press("c")
    page.get_by_label("One of the list").fill("owl <b>new</b>")
    page.keyboard.press("Enter")
    page.wait_for_function(
        "() => document.querySelector('.progress').textContent.startsWith('14 of')"
    )
    waits_for_nothing(page)
    found = added_to.rows(
        "SELECT detections.begin_s, detections.end_s, detections.class, verdict "
        "FROM detections JOIN decisions ON detection_id = detections.id "
        "WHERE source = 'window' AND reviewer = 'ivy' "
        "ORDER BY detections.begin_s"
    )
    assert found == [(0, 4, None, "wrong"), (4, 8, "owl <b>new</b>", "right")]
    page.reload()
    one_by_one(page)
    assert page.text_content(".progress").startswith("14 of 16 left")


def test_scores_and_times_of_the_queue_are_not_cut(server, browsing):
    def answer(route) -> None:
        queue = route.fetch().json()
        for row, value in zip(queue["rows"][10:], (0.9996, 0.9991, 1.0, -12.5), strict=False):
            row |= {"score": value, "begin_s": 3723.4}
        route.fulfill(json=queue)

    page = browsing.open(server, "bea")
    page.route("**/api/queue?*", answer)
    page.reload()
    one_by_one(page)
    page.get_by_role("option").filter(has_text="0.999").wait_for()
    numbers = page.locator(".row .numbers")
    assert {"1.000", "0.999", "1.00", "-12.50", "1:02:03.4"} <= set(numbers.all_text_contents())
    cut = "all => all.filter(e => e.scrollWidth > e.clientWidth).map(e => e.textContent)"
    assert numbers.evaluate_all(cut) == []


def test_unknown_words_in_the_address_are_read_as_the_default(server, browsing):
    page = browsing.open(server, "cat", order="loudest", state="odd", src="nowhere")
    one_by_one(page)
    chosen = [page.locator(".filters select").nth(n).input_value() for n in (0, 2, -1)]
    assert chosen == ["detections", "", "time"]
    assert page.locator(".row").count() > 0


def test_a_hundred_thousand_rows_open_in_two_seconds_and_scroll(sounds, tmp_path, browsing):
    recordings, tables = sounds
    project = tmp_path / "large.sqlite"
    given = "--predictions", tables, "--recordings", recordings
    Server(project, *given).stop()
    with sqlite3.connect(project) as db:
        rows = ((1, n % 30, n % 30 + 0.5, f"c{n % 3}", (n % 997) / 997) for n in range(100_000))
        db.executemany(
            "INSERT INTO detections(recording_id, begin_s, end_s, class, score, source, run) "
            "VALUES (?, ?, ?, ?, ?, 'prediction', 1)",
            rows,
        )
    server = Server(project, *given)
    try:
        page = browsing.open(server, "jo", order="-score")
        one_by_one(page)
        page.wait_for_selector(".row .name")
        opened_ms = page.evaluate("performance.now()")
        print(f"100,030 rows: page complete after {opened_ms:.0f} ms")
        assert is_busy() or opened_ms < 2000
        assert page.text_content(".progress").startswith("100,030 of 100,030 left")
        assert page.locator(".row").count() < 100
        page.locator(".list").evaluate("list => list.scrollTop = list.scrollHeight")
        last = page.locator(".row[aria-posinset='100030'] .name")
        last.wait_for()
        frames = page.evaluate(
            "async () => { const list = document.querySelector('.list'); let most = 0;"
            "let before = performance.now(); for (let i = 0; i < 40; i++) {"
            "list.scrollTop = i * 20000; await new Promise(requestAnimationFrame);"
            "const now = performance.now();"
            "most = Math.max(most, now - before); before = now; } return most; }"
        )
        print(f"longest frame while scrolling: {frames:.0f} ms")
        assert is_busy() or frames < 100
    finally:
        browsing.close()
        server.stop()


# --- export, retrain, more like this --------------------------------------------------------------


def test_what_was_decided_is_exported(server, browsing):
    page = browsing.open(server, "mia")
    one_by_one(page)
    press(page, "y", "n")
    page.get_by_role("button", name="Export").click()
    page.get_by_label("CSV").check()
    page.get_by_label("Folder").fill("table")
    page.get_by_role("dialog").get_by_role("button", name="Export").click()
    page.get_by_text("Written to").wait_for()
    said = page.locator(".answer li").first.text_content()
    name, rows = said.split(": ")
    with open(server.project.parent / "table" / name, newline="") as file:
        lines = list(csv.DictReader(file))
    assert rows == f"{len(lines)} rows"
    assert {line["class"] for line in lines} & {"chirp", "hum"}
    page.get_by_label("Folder").fill("../elsewhere")
    page.get_by_role("dialog").get_by_role("button", name="Export").click()
    assert page.locator("input:invalid").count() == 1  # refused here, and by the server
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog").count() == 0


def test_what_became_of_exported_clips_is_said(server, browsing):
    """Cutting is the server's part, which has tests of its own."""
    note = "4 of 13 decided events became clips, 9 did not: overlaps another class (9)"
    files = [{"name": "hum", "rows": 4}]
    written = {"folder": "export", "files": files, "unit": "clips", "notes": [note]}
    page = browsing.open(server, "lia")
    one_by_one(page)
    page.route("**/api/export", lambda route: route.fulfill(json=written))
    page.get_by_role("button", name="Export").click()
    page.get_by_label("Clips").check()
    page.get_by_role("dialog").get_by_role("button", name="Export").click()
    page.locator(".answer").get_by_text(note).wait_for()
    assert page.locator(".answer li").all_text_contents() == ["hum: 4 clips"]


def test_figures_say_what_they_rest_on(server, browsing):
    answers = ["right", "unsure", None, "wrong", None, None] + ["right", None, None] * 8
    rows = [("chirp", 0.4 + n / 100, answer) for n, answer in enumerate(answers)]
    rows += [("hum", 0.5 + n / 100, None) for n in range(30)]
    figures = {"threshold": None}
    page = browsing.open(server, "max")
    page.route(
        "**/api/statistics*",
        lambda route: route.fulfill(json=summary(rows, thresholds=figures["threshold"])),
    )
    one_by_one(page)
    page.get_by_role("button", name="Figures").click()
    page.get_by_text("Lowest score found: 0.40").wait_for()
    assert page.get_by_text("Present threshold").count() == 0
    assert page.locator("figure").count() == 1  # no curve of a chance from 10 rows
    expected = [
        f"{one['class']}: {reason}" for one in summary(rows)["classes"] for reason in one["reasons"]
    ]
    assert page.locator(".reasons li").all_text_contents() == expected
    assert any(line.startswith("chirp: 1 unsure rows") for line in expected)
    figures["threshold"] = {"hum": 0.5}
    page.get_by_role("table").get_by_role("button", name="hum").click()
    page.get_by_text("Present threshold: 0.50").wait_for()
    assert page.locator("figure").count() == 0  # no empty grid where nothing was reviewed


def test_retraining_is_started_followed_and_its_result_shown(server, browsing):
    """The server's part is a training, which has tests of its own."""
    page = browsing.open(server, "noa")
    one_by_one(page)
    figure = lambda x: {"value": x, "low": x - 0.1, "high": x + 0.1}  # noqa: E731
    row = {"id": 1, "recording": 1, "begin_s": 1, "end_s": 2, "class": "hum", "state": "wrong"}
    measure = {"measure": "precision", "before": figure(0.5), "after": figure(0.8)}
    states = [
        {"state": "idle"},
        {"state": "running", "step": "trains", "done": 0.5, "lines": ["epoch 1"]},
        {
            "state": "done",
            "lines": ["epoch 2"],
            "result": {
                "sets": [{"name": "untouched test clips", "rows": [measure]}],
                "gone": [row | {"score": 0.7, "label": None}],
                "still": [],
                "newly": [row | {"score": 0.6, "label": None, "class": "chirp"}],
                "round": 2,
                "model": "/there/review_retrained/round_2/model/ANIMAL-SPOT.pk",
                "notes": ["5 of 18 reviewed events became no clip"],
            },
        },
    ]
    posted = []

    def answer(route) -> None:
        if route.request.method == "POST":
            posted.append(route.request.post_data_json)
        state = states[len(posted)] if len(posted) < 2 else states[2]
        if posted and route.request.method == "GET":
            posted.append(None)
        route.fulfill(json=state)

    page.route("**/api/retrain", answer)
    page.route(
        "**/api/project",
        lambda route: route.fulfill(json=route.fetch().json() | {"has_model": True}),
    )
    page.reload()
    one_by_one(page)
    page.get_by_role("button", name="Retrain").click()
    page.locator("main").get_by_role("button", name="Retrain").click()
    page.get_by_text("epoch 1").wait_for()
    assert page.locator("progress").get_attribute("value") == "0.5"
    page.get_by_role("heading", name="Mistakes that are gone: 1 of 1").wait_for()
    assert posted[0] == {}
    page.get_by_text("Done: round 2.").first.wait_for()
    page.get_by_role("heading", name="Result of round 2").wait_for()
    page.get_by_role("heading", name="Made only by the new model").wait_for()
    page.get_by_text("round_2/model/ANIMAL-SPOT.pk").wait_for()
    page.get_by_role("listitem").filter(has_text="5 of 18 reviewed events").wait_for()
    cells = page.get_by_role("row").filter(has_text="precision").get_by_role("cell")
    assert cells.all_text_contents() == ["0.50 (0.40 to 0.60)", "0.80 (0.70 to 0.90)"]
    page.locator("main").get_by_role("button", name="hum").click()
    one_by_one(page)
    assert in_address(page, "id") == "1"


def test_a_page_without_model_shows_a_retraining_that_runs(server, browsing):
    page = browsing.open(server, "una")
    one_by_one(page)
    states = ["running", "idle"]

    def answer(route) -> None:
        state = states.pop(0) if states else "idle"
        step = "step 2 of 4: training in process 7, which this page did not start"
        route.fulfill(json={"state": state, "step": step, "done": 0.3, "lines": []})

    page.route("**/api/retrain", answer)
    page.get_by_role("button", name="Retrain").click()
    page.locator("main").get_by_text("in process 7").wait_for()
    assert page.locator("main").get_by_role("button", name="Retrain").is_disabled()
    page.locator("main").get_by_text("No model was given").wait_for()
    assert page.locator("main").get_by_role("button", name="Retrain").is_disabled()


def test_similar_stretches_are_reviewed_in_the_grid(added_to, browsing):
    """The search is the server's."""
    page = browsing.open(added_to, "oli")
    one_by_one(page)
    first = in_address(page, "id")
    stretch = {"class": "chirp", "low_hz": None, "high_hz": None, "label": None, "state": "open"}
    rows = [
        stretch | {"id": 3, "recording": 1, "begin_s": 5.0, "end_s": 5.4, "score": 0.9},
        stretch | {"id": None, "recording": 1, "begin_s": 6.0, "end_s": 6.4, "score": 0.8},
        stretch | {"id": None, "recording": 2, "begin_s": 6.0, "end_s": 6.4, "score": 0.7},
    ]
    asked = []

    def answer(route) -> None:
        asked.append(route.request.url)
        route.fulfill(json={"rows": rows})

    page.route("**/api/similar?*", answer)
    page.keyboard.press("m")
    page.wait_for_function("() => document.querySelectorAll('.cell img').length === 3")
    assert f"id={first}&" in asked[0]
    page.locator(".cell").nth(0).click()
    for key in ("Shift+ArrowRight", "y"):
        page.keyboard.press(key)
    page.wait_for_function("() => document.querySelectorAll('.cell.right').length === 2")
    page.locator(".cell").nth(2).click()
    page.keyboard.press("n")
    page.wait_for_function("() => document.querySelectorAll('.cell.wrong').length === 1")
    waits_for_nothing(page)
    found = added_to.rows(
        "SELECT source, recording_id, detections.begin_s, detections.class, verdict "
        "FROM detections JOIN decisions ON detection_id = detections.id "
        "WHERE reviewer = 'oli' AND undone = 0 ORDER BY decisions.id"
    )
    assert found == [
        ("prediction", 1, 5.0, "chirp", "right"),
        ("similar", 1, 6.0, "chirp", "right"),
        ("similar", 2, 6.0, "chirp", "wrong"),
    ]


def test_what_the_server_refuses_is_said_once(server, browsing):
    page = browsing.open(server, "pia")
    one_by_one(page)
    refusal = {"status": 409, "json": {"error": "similar sounds cannot be found yet"}}
    page.route("**/api/similar?*", lambda route: route.fulfill(**refusal))
    page.keyboard.press("m")
    page.locator(".grid .notice").get_by_text("cannot be found yet").wait_for()
    assert page.locator(".toast").count() == 0
    assert all("409" in line for line in browsing.wrong)  # Chromium tells of each refusal
    browsing.wrong.clear()


# --- names, keyboard, contrast --------------------------------------------------------------------


def test_names_and_notes_with_markup_stay_text(server, browsing):
    page = browsing.open(server, "<script>document.title='run'</script>")
    one_by_one(page)
    page.get_by_label("Note").fill(f"{MARKUP} note")
    page.keyboard.press("Enter")
    page.keyboard.press("1")
    page.wait_for_function(
        "() => document.querySelector('.progress').textContent.startsWith('29 of')"
    )
    page.go_back()
    page.wait_for_function("() => document.querySelector('.past').textContent.includes(' note')")
    assert page.text_content(".class-name") == MARKUP
    assert MARKUP in page.text_content(".past")
    for view in ("Many at once", "Whole recording", "Figures"):
        page.get_by_role("button", name=view).click()
        page.wait_for_timeout(200)
    assert page.locator("img[src=x]").count() == 0
    assert page.title() == "Review: review"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_views_pass_axe(server, browsing, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page = browsing.open(server, "kai", scheme)
    one_by_one(page)
    page.keyboard.press("y")
    page.wait_for_selector(".sign.right")
    page.wait_for_selector(".near li")
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
    for view in ("Many at once", "Whole recording", "Figures", "Retrain"):
        page.get_by_role("navigation").get_by_role("button", name=view).click()
        page.wait_for_timeout(250)
        check(view)
    page.keyboard.press("?")
    check("keys")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Export").click()
    check("export")
    assert found == {}


def test_everything_is_reached_by_the_tab_key_and_focus_is_seen(server, browsing):
    page = browsing.open(server, "lea")
    one_by_one(page)
    page.wait_for_selector(".near button")
    wanted = page.evaluate(
        "[...document.querySelectorAll('button, input, select, summary, [tabindex=\"0\"]')]"
        ".filter(e => e.checkVisibility() && !e.disabled).length"
    )
    page.locator("body").press("Home")
    seen, unseen = set(), []
    for _ in range(wanted + 3):
        page.keyboard.press("Tab")
        name, outlined = page.evaluate(
            "() => { const e = document.activeElement; window.ids ??= new Map();"
            "if (!ids.has(e)) ids.set(e, ids.size); const s = getComputedStyle(e);"
            "return [ids.get(e), e === document.body || e.matches('#main') ||"
            "(s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 1)]; }"
        )
        seen.add(name)
        if not outlined:
            unseen.append(name)
    assert len(seen) >= wanted
    assert unseen == []

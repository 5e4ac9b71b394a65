"""The playground, in tabs of Chromium, against a real node."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.nodes import Node
from tests.page.browser import (
    SMALL,
    browsing,
    check_accessibility,
    check_width,
    focus_by_tab,
    until,
    visible,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def play(page: Any, kind: str, name: str) -> None:
    """Takes a seat in a new room of this kind."""
    page.locator(f".kind input[value={kind}]").check()
    page.fill("#name", name)
    page.click("#join-new")


def link(page: Any) -> str:
    page.get_by_role("button", name="Invite").click()
    return str(page.get_by_label("Link to this room").input_value())


def mark(page: Any, cell: int) -> None:
    page.locator(".board button").nth(cell).click(force=True)


def last_message(page: Any) -> dict[str, Any]:
    text = page.locator(".messages p code").last.inner_text()
    message: dict[str, Any] = json.loads(text)
    return message


def test_two_people_play_a_match_by_a_link_and_one_of_them_reloads_in_the_middle(
    served: Node,
) -> None:
    with browsing() as tab:
        ann = tab(f"http://{served.admin}/")
        play(ann, "tictactoe", "Ann")
        visible(ann, ".status", "Waiting for a second player.")
        visible(ann, ".invite", "Send this link")
        eve = tab(f"http://{served.admin}/")
        visible(eve, ".kind input[value=tictactoe]").check()
        eve.click("#join-open")
        visible(eve, ".status", "Waiting for a second player.")  # the seat is not for strangers
        bob = tab(link(ann), viewport=SMALL)
        visible(bob, ".status", "Ann to move, with X.")
        visible(ann, ".status", "Your turn: you are X.")
        mark(bob, 8)  # it is not O's turn
        mark(ann, 0)
        visible(bob, ".status", "Your turn: you are O.")
        bob.reload()
        visible(bob, ".status", "Your turn: you are O.")
        assert bob.locator(".seat").count() == 1
        check_width(bob)
        check_accessibility(bob)
        for one, cell in ((bob, 4), (ann, 1), (bob, 5), (ann, 2)):
            visible(one, ".status", "Your turn")
            mark(one, cell)
        visible(ann, ".status", "You win.")
        visible(bob, ".status", "Ann wins.")
        assert bob.locator("[data-won=yes]").count() == 3
        bob.get_by_role("button", name="Play again").click()
        visible(eve, ".status", "Your turn: you are X.")
        visible(bob, ".status", "to move, with X.")


def test_a_kind_of_an_author_is_played_by_a_form_and_by_json(served: Node) -> None:
    with browsing() as tab:
        page = tab(f"http://{served.admin}/")
        page.locator(".kind input[value=duel]").check()
        page.locator("#options summary").click()
        page.get_by_label("depth").fill("7")
        page.click("#join-new")
        form = visible(page, ".say form:visible")
        form.get_by_label("words").fill("<b>abracadabra</b>")
        form.get_by_label("power").fill("12")
        form.get_by_role("button", name="Say").click()
        assert page.locator(".messages p").count() == 0, "12 is too much: the form does not send it"
        form.get_by_label("power").fill("9")
        form.get_by_label("school").select_option("ice")
        form.get_by_role("button", name="Say").click()
        visible(page, ".messages p", "abracadabra")
        spell = {"type": "spell", "words": "<b>abracadabra</b>", "power": 9, "school": "ice"}
        said = last_message(page)
        assert said["depth"] == 7
        assert said["read"] == {**spell, "aloud": True, "at": []}
        page.get_by_role("button", name="Write JSON").click()
        raw = page.locator(".say form:visible")
        for text, answer in (("{", "This is not JSON"), ('{"type": "curse"}', "bad_input")):
            raw.locator("textarea").fill(text)
            raw.get_by_role("button", name="Say").click()
            page.get_by_text(answer).first.wait_for()
        for count in range(2, 6):
            page.get_by_role("button", name="Add a player").first.click()
            until(page, "n => document.querySelectorAll('.generic').length === n", count)
        page.click("#join-new")
        visible(page, "#no-play", "5 players sit in this tab")
        raw.locator("textarea").first.fill('{"type": "rest", "hours": 8}')
        raw.get_by_role("button", name="Say").first.click()
        until(page, "document.querySelectorAll('.seat[data-over=yes]').length === 5")
        page.click("#join-new")
        until(page, "document.querySelectorAll('.seat').length === 1")


def test_a_match_is_played_and_a_runner_runs_by_the_keyboard_alone(served: Node) -> None:
    with browsing() as tab:
        page = tab(f"http://{served.admin}/")
        visible(page, ".kind input[value=tictactoe]")
        focus_by_tab(page, ".kind input")
        focus_by_tab(page, "#join-new")
        page.keyboard.press("Enter")
        visible(page, ".status", "Waiting")
        page.get_by_role("button", name="Add a player").press("Enter")
        visible(page, ".status", "Your turn: you are X.")
        page.locator(".board button").first.focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        until(page, "document.querySelectorAll('.board button')[4].textContent === 'X'")
        page.locator(".kind input:checked").focus()
        page.keyboard.press("ArrowRight")
        focus_by_tab(page, "#join-new")
        page.keyboard.press("Enter")
        visible(page, ".arena canvas")
        page.locator(".seat[data-kind=arena] .raw summary").press("Enter")
        focus_by_tab(page, ".arena canvas")
        page.keyboard.down("ArrowRight")
        until(page, FIRST_X + " > 55")
        page.keyboard.up("ArrowRight")
        page.mouse.move(*left_edge(page))
        page.mouse.down()
        until(page, FIRST_X + " < 50")
        page.mouse.up()


FIRST_X = """
    Object.values(JSON.parse(
        [...document.querySelectorAll('.messages code')].at(-1)?.textContent ?? '{"at":{"a":[0]}}'
    ).at)[0][0]
"""


def left_edge(page: Any) -> tuple[float, float]:
    page.locator(".arena canvas").scroll_into_view_if_needed()
    box = page.locator(".arena canvas").bounding_box()
    return box["x"] + 10, box["y"] + box["height"] / 2


def test_a_lost_connection_is_a_dot_and_its_story_unfolds(served: Node) -> None:
    sockets: list[Any] = []

    def pass_on(socket: Any) -> None:
        socket.connect_to_server()
        sockets.append(socket)

    with browsing() as tab:
        page = tab("about:blank")
        page.route_web_socket("ws://**", pass_on)
        page.goto(f"http://{served.admin}/")
        play(page, "lounge", "Ann")
        visible(page, ".dot[data-state=here]").click()
        visible(page, ".under li", "Seated, at")
        sockets[0].close(code=1012)
        page.get_by_label("Say something").fill("<i>hello</i>")
        page.keyboard.press("Enter")
        visible(page, ".talk p", "<i>hello</i>")
        visible(page, ".under li", "resumed at")
        resumes = page.locator(".under dl div", has_text="resumed").locator("dd")
        assert resumes.inner_text() == "1"
        assert page.locator(".talk p").count() == 1
        page.goto(f"http://{served.admin}/?ws=ws://127.0.0.1:1/")
        play(page, "lounge", "Eve")
        visible(page, ".seat h3", "Eve")
        assert page.locator(".seat").count() == 1, "Ann's ticket is for the page's own nodes"
        page.goto(f"http://{served.admin}/")
        visible(page, ".seat h3", "Ann")
        visible(page, ".dot[data-state=here]")
        page.get_by_role("button", name="Leave").click()
        until(page, "document.querySelectorAll('.seat').length === 0 && !location.hash")
        page.reload()
        visible(page, "#hint")
        assert page.locator(".seat").count() == 0

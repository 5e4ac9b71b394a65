"""The demo page of the README, in tabs of Chromium."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from signal import SIGKILL
from typing import Any

import pytest
import trio

from tests.e2e.javascript import chromium
from tests.e2e.nodes import SHORT_GRACE, Node, Nodes

pytestmark = pytest.mark.e2e

PATIENCE_MS = 10_000


@contextmanager
def browsing(path: str, script_errors: list[str]) -> Iterator[Callable[[str], Any]]:
    """Yields a function that opens a tab; errors of the tabs' scripts go to ``script_errors``."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 (it may not be installed)

    from tests.e2e.chromium_puppet import ARGS  # noqa: PLC0415

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=ARGS, ignore_default_args=["--disable-back-forward-cache"]
        )

        def tab(url: str) -> Any:
            page = browser.new_page()
            page.set_default_timeout(PATIENCE_MS)
            page.on("pageerror", lambda error: script_errors.append(str(error)))
            page.goto(url)
            wait_here(page)
            return page

        yield tab
        browser.close()


def wait_here(page: Any) -> None:
    page.locator("#state[data-state=here]").wait_for()


def say(page: Any, text: str) -> None:
    page.fill("[name=words]", text)
    page.press("[name=words]", "Enter")


def lines(page: Any, text: str = "") -> Any:
    return page.locator("#talk li:not(.notice)", has_text=text)


def seat(page: Any) -> list[str]:
    you: list[str] = page.evaluate("[place.room, place.you]")
    return you


def talk_in_two_tabs(path: str, url: str, killed: Node, survivor: str) -> None:
    script_errors: list[str] = []
    with browsing(path, script_errors) as tab:
        ann = tab(url)
        bob = tab(ann.locator("#invite").get_attribute("href"))
        say(ann, "hello <b>there</b>")
        for page in (ann, bob):
            lines(page, "hello <b>there</b>").wait_for()
            assert page.locator("#node").inner_text() == killed.name
        killed.signal(SIGKILL)
        say(ann, "are you there?")
        say(bob, "I am")
        for page in (ann, bob):
            lines(page, "are you there?").wait_for()
            lines(page, "I am").wait_for()
            assert lines(page).count() == 3, "each message once"
            assert page.locator("#resumes").inner_text() == "1"
            assert page.locator("#node").inner_text() == survivor
        ann.click("#leave")
        ann.locator("#talk li.notice", has_text="the place is over: left").wait_for()
    assert script_errors == []


def reload_and_go_back(path: str, url: str, elsewhere: str) -> None:
    script_errors: list[str] = []
    with browsing(path, script_errors) as tab:
        page = tab(url)
        before = seat(page)
        say(page, "before the reload")
        lines(page, "before the reload").wait_for()
        for times in range(1, 3):
            page.reload()
            wait_here(page)
            lines(page, "before the reload").wait_for()
            assert (seat(page), lines(page).count()) == (before, times)
            say(page, f"after reload {times}")
            lines(page, f"after reload {times}").wait_for()
        page.evaluate("window.kept = true")
        assert "token" not in str(page.get_attribute("#invite", "href"))
        page.goto(elsewhere)
        page.go_back(wait_until="commit")
        assert page.evaluate("window.kept"), "the browser kept the page"
        wait_here(page)
        say(page, "back again")
        lines(page, "back again").wait_for()
        assert (seat(page), lines(page).count()) == (before, 4)
        page.click("#leave")
        page.locator("#talk li.notice", has_text="the place is over: left").wait_for()
        page.reload()
        wait_here(page)
        assert seat(page) != before
    assert script_errors == []


async def test_two_tabs_resume_and_talk_on_after_their_api_node_is_killed(nodes: Nodes) -> None:
    path = chromium()
    if path is None:
        pytest.skip("needs chromium and playwright (apt-get install chromium)")
    game = nodes.game(*SHORT_GRACE)
    await game.wait_started()
    one, two = nodes.api(game.listen), nodes.api(game.listen)
    for api in (one, two):
        await api.wait_ready()
    url = f"http://{two.admin}/demo?ws=ws://{one.listen}&ws=ws://{two.listen}&name=Ann"
    await trio.to_thread.run_sync(talk_in_two_tabs, path, url, one, two.name)


async def test_a_place_survives_reloads_and_the_way_back_to_its_page(nodes: Nodes) -> None:
    path = chromium()
    if path is None:
        pytest.skip("needs chromium and playwright (apt-get install chromium)")
    api, _ = await nodes.start_pair(*SHORT_GRACE)
    url = f"http://{api.admin}/demo?ws=ws://{api.listen}#token=eyJh.eyJz.c2ln"
    elsewhere = f"http://{api.admin}/livez"
    await trio.to_thread.run_sync(reload_and_go_back, path, url, elsewhere)

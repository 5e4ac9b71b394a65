"""The demo page of the README, in two tabs of Chromium."""

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
        browser = playwright.chromium.launch(executable_path=path, args=ARGS)

        def tab(url: str) -> Any:
            page = browser.new_page()
            page.set_default_timeout(PATIENCE_MS)
            page.on("pageerror", lambda error: script_errors.append(str(error)))
            page.goto(url)
            page.locator("#state[data-state=here]").wait_for()
            return page

        yield tab
        browser.close()


def say(page: Any, text: str) -> None:
    page.fill("[name=words]", text)
    page.press("[name=words]", "Enter")


def lines(page: Any, text: str) -> Any:
    return page.locator("#talk li:not(.notice)", has_text=text)


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
            assert page.locator("#talk li:not(.notice)").count() == 3, "each message once"
            assert page.locator("#resumes").inner_text() == "1"
            assert page.locator("#node").inner_text() == survivor
        ann.click("#leave")
        ann.locator("#talk li.notice", has_text="the place is over: left").wait_for()
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

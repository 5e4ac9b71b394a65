"""Tabs of Chromium, and what a test asks of a page."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.javascript import chromium

PATIENCE_MS = 30_000
POLL_MS = 30
SMALL = {"width": 400, "height": 800}

Open = Callable[..., Any]


@contextmanager
def browsing(**environment: str) -> Iterator[Open]:
    """Yields a function that opens a URL in a tab of its own, like a tab of another person.

    Errors of the tabs' scripts, and violations of their policy, fail the test.
    """
    path = chromium()
    if path is None:
        pytest.skip("needs chromium and playwright (apt-get install chromium)")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 (it may not be installed)

    from tests.e2e.chromium_puppet import ARGS  # noqa: PLC0415

    errors: list[str] = []

    def console(message: Any) -> None:
        is_network = "ERR_" in message.text or "Failed to load resource" in message.text
        if message.type == "error" and not is_network:
            errors.append(message.text)

    with sync_playwright() as playwright:
        env = {**os.environ, **environment}
        browser = playwright.chromium.launch(executable_path=path, args=ARGS, env=env)

        def tab(url: str, **options: Any) -> Any:
            page = browser.new_context(**options).new_page()
            page.set_default_timeout(PATIENCE_MS)
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("console", console)
            page.goto(url)
            return page

        yield tab
        browser.close()
    assert not errors, errors


def visible(page: Any, selector: str, text: str = "") -> Any:
    """Waits for the one element that matches, and shows it."""
    found = page.locator(selector, has_text=text) if text else page.locator(selector)
    found.wait_for()
    return found


def until(page: Any, condition: str, argument: Any = None) -> None:
    """Waits until JavaScript says that it is so. The page's policy forbids Playwright's own way."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not page.evaluate(condition, argument):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(POLL_MS)


def check_accessibility(page: Any) -> None:
    """Axe finds nothing that is serious or critical."""
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None:
        pytest.skip("needs axe-playwright-python")
    page.evaluate(Path(str(found.origin)).with_name("axe.min.js").read_text(encoding="utf-8"))
    results = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    grave = [
        (one["id"], [node["html"][:200] for node in one["nodes"]])
        for one in results["violations"]
        if one["impact"] in {"serious", "critical"}
    ]
    assert not grave, grave


def check_width(page: Any) -> None:
    """Nothing has to be scrolled sideways."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def focus_by_tab(page: Any, selector: str) -> None:
    """Presses Tab until the element has the focus."""
    for _ in range(60):
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not lead to {selector}")

"""``chromium_puppet.py CHROMIUM``: the puppet in a page of Chromium, a line of JSON each way.

``{"verb": "begin", "admin": HOST:PORT}`` opens a new page with the module of that node; each other
line goes to the puppet in the page. A program of its own: Playwright brings its own event loop.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

PUPPET = Path(__file__).with_name("puppet.mjs")
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LOAD = """async ([module, puppet]) => {
    const { connect } = await import(module);
    const { makePuppet } = await import("data:text/javascript," + encodeURIComponent(puppet));
    window.puppet = makePuppet(connect);
}"""


def begin(page: Page, admin: str) -> None:
    """A page of that node's origin, with its client and the puppet."""
    page.goto(f"http://{admin}/livez")
    page.evaluate(LOAD, [f"http://{admin}/lastcall.js", PUPPET.read_text()])


def main() -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=sys.argv[1], args=ARGS)
        page = browser.new_page()
        for line in sys.stdin:
            order: dict[str, Any] = json.loads(line)
            if order["verb"] == "begin":
                page.close()
                page = browser.new_page()
                begin(page, order["admin"])
                answer: Any = {"done": None}
            else:
                answer = page.evaluate("order => window.puppet(order)", order)
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
        browser.close()


if __name__ == "__main__":
    main()

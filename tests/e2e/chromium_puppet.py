"""``chromium_puppet.py CHROMIUM`` runs the puppet in a page of Chromium.

Each line of stdin is a request in JSON, and each line of stdout the response.
``{"verb": "open_page", "admin": HOST:PORT}`` opens a new page with the module of that node; the
other requests go to the puppet in the page. It is a process because Playwright has an event loop.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

MODULES = [Path(__file__).with_name(name) for name in ("puppet.mjs", "values.mjs")]
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LOAD = """async ([module, ...texts]) => {
    const { connect } = await import(module);
    const load = (text) => import("data:text/javascript," + encodeURIComponent(text));
    const [{ makePuppet }, values] = await Promise.all(texts.map(load));
    window.puppet = makePuppet(connect, values);
}"""


def open_page(page: Page, admin: str) -> None:
    """Loads the node's client and the puppet into a page of the node's origin."""
    page.goto(f"http://{admin}/livez")
    texts = [path.read_text(encoding="utf-8") for path in MODULES]
    page.evaluate(LOAD, [f"http://{admin}/lastcall.js", *texts])


def main() -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=sys.argv[1], args=ARGS)
        page = browser.new_page()
        for line in sys.stdin:
            request: dict[str, Any] = json.loads(line)
            if request["verb"] == "open_page":
                page.close()
                page = browser.new_page()
                open_page(page, request["admin"])
                response: Any = {"done": None}
            else:
                response = page.evaluate("request => window.puppet(request)", request)
            sys.stdout.write(json.dumps(response) + "\n")
            sys.stdout.flush()
        browser.close()


if __name__ == "__main__":
    main()

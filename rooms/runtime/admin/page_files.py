"""The files of the page that each admin port serves, by their paths, and of the JavaScript client.

A game node serves the client, too: its page plays through the clients' port of another node.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lastcall.runtime.admin.static_files import MEDIA_TYPES, PAGE_PATH

_PACKAGE = Path(__file__).parents[2]
PAGE_FOLDER = _PACKAGE / "page"
CLIENT_FILES: Mapping[str, Path] = {
    "/lastcall.js": _PACKAGE / "api" / "static" / "lastcall.js",
    "/lastcall.d.ts": _PACKAGE / "api" / "static" / "lastcall.d.ts",
    "/demo": _PACKAGE / "api" / "static" / "demo.html",
}


def page_files() -> dict[str, Path]:
    """The page at ``/``, its files below ``/page/``, and those of the JavaScript client."""
    files = {f"{PAGE_PATH}{file.name}": file for file in sorted(PAGE_FOLDER.iterdir())}
    known = {path: file for path, file in files.items() if file.suffix in MEDIA_TYPES}
    return {"/": PAGE_FOLDER / "index.html"} | known | dict(CLIENT_FILES)

"""What an api node's admin port serves besides the node itself: the JavaScript client."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

__all__ = ["PAGES"]

_FOLDER = Path(__file__).with_name("static")

PAGES: Mapping[str, Path] = {
    "/lastcall.js": _FOLDER / "lastcall.js",
    "/lastcall.d.ts": _FOLDER / "lastcall.d.ts",
    "/demo": _FOLDER / "demo.html",
}
"""Files by the path of their URL."""

"""A recording of a tab of Chromium, with the pointer, as an animated GIF."""

from __future__ import annotations

import base64
import io
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image, ImageDraw

TICK_SECONDS = 0.1
REACH_SECONDS = 0.4
"""How long the pointer takes to its next place."""
PRESS_SECONDS = 0.25
LAST_SECONDS = 0.8
"""How long the last picture stays."""
COLOURS = 200
SWATCH_PIXELS = 20
STYLE = Path(__file__).resolve().parents[2] / "rooms" / "page" / "page.css"
ARROW = ((0, 0), (0, 17), (4, 13), (7, 19), (10, 18), (7, 12), (12, 12))
RING_PIXELS = 13
ACCENT = (15, 118, 110)


class _Shown(NamedTuple):
    at: float
    png: bytes


class _Pointed(NamedTuple):
    at: float
    x: float
    y: float
    pressed: bool = False


class Screencast:
    """The pictures of a page from :meth:`recording` on, and where its pointer is."""

    def __init__(self, page: Any) -> None:
        self._page = page
        self._frames: list[_Shown] = []
        self._pointer = [_Pointed(0.0, 620, 420)]
        self._condensed: list[tuple[float, float, float]] = []
        self._session = page.context.new_cdp_session(page)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Records while the block runs."""
        self._session.on("Page.screencastFrame", self._keep)
        self._session.send("Page.startScreencast", {"format": "png"})
        yield
        self._session.send("Page.stopScreencast")

    def _keep(self, frame: dict[str, Any]) -> None:
        png = base64.b64decode(frame["data"])
        self._frames.append(_Shown(frame["metadata"]["timestamp"], png))
        self._session.send("Page.screencastFrameAck", {"sessionId": frame["sessionId"]})

    def click(self, target: Any) -> None:
        """Moves the pointer to an element at the speed of a hand, and clicks."""
        box = target.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        last = self._pointer[-1]
        self._pointer.append(_Pointed(time.time(), last.x, last.y))
        self._page.wait_for_timeout(REACH_SECONDS * 1000)
        self._pointer.append(_Pointed(time.time(), x, y, pressed=True))
        self._page.mouse.click(x, y)

    @contextmanager
    def condensed(self, seconds: float) -> Iterator[None]:
        """The film shows this block within that time, faster than it was if need be."""
        began = time.time()
        yield
        ended = time.time()
        self._condensed.append((began, ended, max(1.0, (ended - began) / seconds)))

    def save(self, path: Path) -> None:
        """Writes the film."""
        pictures = list(self._pictures())
        palette = _palette([picture for picture, _ in pictures])
        frames = [picture.quantize(palette=palette, dither=0) for picture, _ in pictures]
        milliseconds = [int(1000 * seconds) for _, seconds in pictures]
        first, *rest = frames
        first.save(path, save_all=True, append_images=rest, duration=milliseconds, loop=0)

    def _pictures(self) -> Iterator[tuple[Image.Image, float]]:
        """The pictures of the film, each with the time for which it is shown."""
        before, seconds = None, 0.0
        for at in self._ticks():
            picture = self._picture(at)
            if before is not None and picture.tobytes() != before.tobytes():
                yield before, seconds
                seconds = 0.0
            before, seconds = picture, seconds + TICK_SECONDS
        assert before is not None
        yield before, seconds + LAST_SECONDS

    def _ticks(self) -> Iterator[float]:
        at = self._frames[0].at
        while at < self._frames[-1].at:
            yield at
            speeds = [speed for began, ended, speed in self._condensed if began <= at < ended]
            at += TICK_SECONDS * max(speeds, default=1.0)

    def _picture(self, at: float) -> Image.Image:
        shown = [frame for frame in self._frames if frame.at <= at][-1]
        picture = Image.open(io.BytesIO(shown.png)).convert("RGB")
        draw = ImageDraw.Draw(picture)
        for pressed in self._pointer:
            if pressed.pressed and 0 <= at - pressed.at < PRESS_SECONDS:
                draw.circle((pressed.x, pressed.y), RING_PIXELS, outline=ACCENT, width=3)
        x, y = self._pointer_at(at)
        draw.polygon([(x + dx, y + dy) for dx, dy in ARROW], fill="black", outline="white")
        return picture

    def _pointer_at(self, at: float) -> tuple[float, float]:
        for one, two in pairwise(self._pointer):
            if one.at <= at < two.at:
                part = (at - one.at) / (two.at - one.at)
                eased = part * part * (3 - 2 * part)
                return one.x + (two.x - one.x) * eased, one.y + (two.y - one.y) * eased
        last = [pointed for pointed in self._pointer if pointed.at <= at][-1]
        return last.x, last.y


def _palette(pictures: Sequence[Image.Image]) -> Image.Image:
    """The colours of the pictures, from some of them; and those of the page, of which some are rare
    in a picture, such as the red of a node that was killed.
    """
    some = pictures[:: max(1, len(pictures) // 8)]
    width, height = some[0].size
    colours = sorted(set(re.findall(r"#[0-9a-f]{6}\b", STYLE.read_text(encoding="utf-8"))))
    sheet = Image.new("RGB", (width, height * len(some) + SWATCH_PIXELS * len(colours)))
    for number, picture in enumerate(some):
        sheet.paste(picture, (0, number * height))
    for number, colour in enumerate(colours):
        top = height * len(some) + number * SWATCH_PIXELS
        sheet.paste(colour, (0, top, width, top + SWATCH_PIXELS))
    return sheet.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)

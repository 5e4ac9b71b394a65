"""``python -m tests.page.pictures FOLDER`` takes the documentation's pictures from the real page.

Clusters of ``lastcall up`` run. A player takes a seat against a bot, rolls the cluster, and kills
the api node that they are connected to.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from tests.page.browser import browsing, until, visible
from tests.page.screencast import Screencast
from tests.page.test_match_over_a_roll import cluster, press

BOTS = ("--bots", "9")
"""An odd number: while eight play, one waits for the next player."""
DESK = {"width": 1180, "height": 860}
PHONE = {"width": 390, "height": 780}
BOTS_PLAY = "/ [3-9] rooms/.test(document.getElementById('totals').textContent)"
"""One room or two may be of bots that have just come, and look for each other."""
LINES_MS = 25_000
"""After this time the charts show lines."""
READ_MS = 1_000
PATIENCE_MS = 240_000
JOIN_SECONDS, ROLL_SECONDS, RESUME_SECONDS = 2.5, 5.5, 2.0
"""The most that these parts of the film take."""
LINES = ((0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6))
FONTS = """<?xml version="1.0"?><fontconfig>
<include ignore_missing="yes">/etc/fonts/fonts.conf</include>
<alias binding="strong"><family>system-ui</family><prefer><family>Inter</family></prefer></alias>
<alias binding="strong"><family>sans-serif</family><prefer><family>Inter</family></prefer></alias>
</fontconfig>
"""
"""Few readers have the font that a bare Debian shows for ``system-ui``."""


def choose(cells: list[str], mark: str, *, wins: bool) -> int:
    """The cell to take: one that wins if that is wanted, one that prevents a loss, or any."""
    free = [cell for cell in (4, 0, 2, 6, 8, 1, 3, 5, 7) if cells[cell] == ""]

    def completing(mark: str) -> list[int]:
        return [
            cell
            for cell in free
            if any(
                cell in line and [cells[one] for one in line if one != cell] == [mark] * 2
                for line in LINES
            )
        ]

    winning, needed = completing(mark), completing("O" if mark == "X" else "X")
    quiet = [cell for cell in free if cell not in winning]
    return [*(winning if wins else []), *needed, *quiet, *winning][0]


def take_cell(page: Any, cast: Screencast | None = None, *, wins: bool = False) -> None:
    status = visible(page, ".status", "Your turn").inner_text()
    cells = page.locator(".board button")
    cell = cells.nth(choose(cells.all_inner_texts(), status[-2], wins=wins))
    cast.click(cell) if cast else cell.click()


def film(page: Any, path: Path) -> None:
    """A match over a roll and a kill, as a film."""
    cast = Screencast(page)
    with cast.recording():
        page.wait_for_timeout(600)
        with cast.condensed(JOIN_SECONDS):
            cast.click(page.locator("#join-open"))
            take_cell(page, cast)
        cast.click(page.locator("#roll"))
        page.wait_for_timeout(READ_MS)
        cast.click(page.locator("#confirm-do"))
        with cast.condensed(ROLL_SECONDS):
            visible(page, "#rolling-text", "(1 of 4)")
            take_cell(page, cast)
            page.locator("#rolling").wait_for(state="hidden", timeout=PATIENCE_MS)
        cast.click(page.locator(".dot"))
        page.wait_for_timeout(READ_MS)
        node = page.locator(".under dl div", has_text="node").locator("dd").inner_text()
        cast.click(page.get_by_role("button", name=f"kill {node}", exact=True))
        page.wait_for_timeout(READ_MS)
        cast.click(page.locator("#confirm-do"))
        with cast.condensed(RESUME_SECONDS):
            page.get_by_text("The connection was lost").wait_for()
            page.wait_for_timeout(READ_MS / 2)
            take_cell(page, cast, wins=True)
        page.wait_for_timeout(READ_MS)
    cast.save(path)


def still(page: Any, path: Path) -> None:
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def stills(tab: Any, url: str, folder: Path, scheme: str) -> None:
    """A match during a roll, on a desk and on a phone; and three players in one tab."""
    desk, phone = (
        tab(url, viewport=size, color_scheme=scheme, device_scale_factor=2)
        for size in (DESK, PHONE)
    )
    until(desk, BOTS_PLAY)
    for page, name in ((desk, "Ada"), (phone, "Grace")):
        page.fill("#name", name)
        page.click("#join-open")
        take_cell(page)
        take_cell(page)
        visible(page, ".status", "Your turn")
    desk.mouse.move(0, 0)
    still(phone, folder / f"phone-{scheme}.png")
    desk.wait_for_timeout(LINES_MS)
    press(desk, "Roll the cluster")
    visible(desk, ".card[data-phase=draining]:has-text('s left')")
    still(desk, folder / f"page-{scheme}.png")
    arena(desk, folder / f"arena-{scheme}.png")


def arena(page: Any, path: Path) -> None:
    page.get_by_role("button", name="Leave").click()
    page.locator(".kind input[value=arena]").check()
    page.click("#join-open")
    for count in (2, 3):
        page.get_by_role("button", name="Add a player").first.click()
        until(page, "n => document.querySelectorAll('.arena canvas').length === n", count)
    for number, key in enumerate(("ArrowRight", "ArrowDown", "ArrowLeft")):
        page.locator(".arena canvas").nth(number).focus()
        page.keyboard.down(key)
        page.wait_for_timeout(700)
        page.keyboard.up(key)
    page.mouse.move(0, 0)
    page.evaluate("scrollTo(0, 0)")
    still(page, path)


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        temporary = Path(name)
        fonts = temporary / "fonts.conf"
        fonts.write_text(FONTS)
        for scheme in ("light", "dark"):
            with browsing(FONTCONFIG_FILE=str(fonts)) as tab:
                with cluster(temporary, *BOTS) as url:
                    stills(tab, url, folder, scheme)
                with cluster(temporary, *BOTS) as url:
                    page = tab(url, viewport=DESK, color_scheme=scheme)
                    until(page, BOTS_PLAY)
                    page.fill("#name", "Ada")
                    page.wait_for_timeout(LINES_MS)
                    film(page, folder / f"roll-{scheme}.gif")


if __name__ == "__main__":
    main()

"""A match in two tabs while every node is replaced, and two are killed, by the page's buttons."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGINT
from typing import Any

import pytest

from tests.e2e.nodes import child_environment
from tests.page.browser import browsing, until, visible
from tests.page.test_play import link, mark, play

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

UP = ("up", "--port", "0", "--admin", "127.0.0.1:0", "--grace", "5")
CHANGED = (
    "[...document.querySelectorAll('.board button')].map((one) => one.textContent || '-').join('')"
)


SAID = "See and play: "


@contextmanager
def cluster(folder: Path, *options: str) -> Iterator[str]:
    """Runs ``lastcall up`` and yields the address of its page."""
    command = [sys.executable, "-m", "lastcall", *UP, "--spread", "1", "--farewell", "2", *options]
    log = folder / "up.stderr"
    with log.open("wb") as stderr:
        up = subprocess.Popen(
            command,
            cwd=folder,
            env=child_environment({}),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    try:
        assert up.stdout is not None
        said = up.stdout.readline()
        assert said.startswith(SAID), log.read_text()
        yield said.removeprefix(SAID).strip()
    finally:
        end(up)


ROLLING = "document.querySelector('#rolling')"
"""The page's words about a roll; hidden when it is over, which may be soon."""


def end(up: subprocess.Popen[str]) -> None:
    """Two signals end it at once; if they do not, it is killed, and the test fails."""
    with up:
        try:
            up.send_signal(SIGINT)
            up.send_signal(SIGINT)
            up.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            up.kill()
            raise


def serving(page: Any, tier: str) -> list[str]:
    found = page.locator(f".card[data-phase=serving]:has(.tier:text-is('{tier}')) h4")
    names: list[str] = found.all_inner_texts()
    return names


def press(page: Any, button: str) -> None:
    page.get_by_role("button", name=button, exact=True).click()
    page.click("#confirm-do")
    until(page, "!document.querySelector('#confirm').open")


def story(page: Any) -> list[str]:
    """The page's notes on the connection, oldest first."""
    page.locator(".dot").click()
    notes: list[str] = page.locator(".under li").all_inner_texts()
    page.locator(".dot").click()
    return [note.partition(" ")[2] for note in reversed(notes)]


def fact_under_the_dot(page: Any, name: str) -> str:
    page.locator(".dot").click()
    fact = page.locator(".under dl div", has_text=name).locator("dd").inner_text()
    page.locator(".dot").click()
    return str(fact)


def take(player: Any, other: Any, cell: int) -> None:
    """Takes a cell when it is the player's turn; both see it."""
    visible(player, ".status", "Your turn")
    before = player.evaluate(CHANGED)
    mark(player, cell)
    for page in (player, other):
        until(page, f"before => {CHANGED} !== before", before)
    after = player.evaluate(CHANGED)
    assert sum(one != two for one, two in zip(before, after, strict=True)) == 1
    assert after[cell] != "-"


def test_a_match_goes_on_while_every_node_is_rolled_and_two_are_killed(tmp_path: Path) -> None:
    with cluster(tmp_path, "--bots", "0") as url, browsing() as tab:
        ann = tab(url)
        until(ann, "document.querySelectorAll('.card[data-phase=serving]').length === 4")
        play(ann, "tictactoe", "Ann")
        visible(ann, ".status", "Waiting for a second player.")
        bob = tab(link(ann))
        take(ann, bob, 0)
        old = set(serving(ann, "api") + serving(ann, "game"))

        press(ann, "Roll the cluster")
        until(ann, f"/[1234] of 4/.test({ROLLING}.textContent)")
        take(bob, ann, 4)
        until(ann, f"{ROLLING}.hidden || /[234] of 4/.test({ROLLING}.textContent)")
        take(ann, bob, 1)
        until(ann, "document.querySelector('#rolling').hidden")
        until(ann, "document.querySelectorAll('.card').length === 4")
        assert not old & set(serving(ann, "api") + serving(ann, "game"))
        for page in (ann, bob):
            told = story(page)
            assert sum(note.startswith("Moved to") for note in told) >= 1, told
            assert not [note for note in told if "was lost" in note], told
            assert page.locator(".dot[data-state=here]").count() == 1

        press(ann, f"kill {fact_under_the_dot(ann, 'node')}")
        take(bob, ann, 5)
        game = max(serving(ann, "game"), key=lambda name: rooms(ann, name))
        press(ann, f"kill {game}")
        take(ann, bob, 2)
        visible(ann, ".status", "You win.")
        visible(bob, ".status", "Ann wins.")
        assert [note for note in story(ann) if "resumed at" in note]
        assert ann.locator(".card[data-phase=dead]").count() == 2


def rooms(page: Any, name: str) -> int:
    return int(
        page.locator(f"[data-node={name}] dl div", has_text="rooms").locator("dd").inner_text()
    )

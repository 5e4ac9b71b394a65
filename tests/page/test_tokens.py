"""The page with signed tokens, against a cluster that lets nobody in without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.auth.conftest import EC, OTHER_EC, pem, token
from tests.page.browser import browsing, until, visible
from tests.page.test_match_over_a_roll import ROLLING, cluster, press, serving
from tests.page.test_play import link, mark, play

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

CARDS = "[...document.querySelectorAll('.card h4')].map((one) => one.textContent)"
"""The names of the nodes that the page shows."""


def test_players_with_tokens_play_through_a_roll_and_others_are_told_that_they_may_not(
    tmp_path: Path,
) -> None:
    (tmp_path / "public.pem").write_bytes(pem(EC))
    auth = ("--auth", "jwt", "--jwt-key-file", "public.pem")
    with cluster(tmp_path, *auth) as url, browsing() as tab:
        ann = tab(f"{url}#token={token(name='Ann')}")
        play(ann, "tictactoe", "not her name")
        visible(ann, ".status", "Waiting for a second player.")
        invitation = link(ann)
        assert "token" not in invitation
        strange = f"{invitation}&token={token(key=OTHER_EC, sub='eve')}"
        for page, why in (
            (invitation, "a token is needed"),
            (strange, "the token's signature is wrong"),
        ):
            visible(tab(page), ".status", f"the server refuses this client (4001, {why}")
        bob = tab(f"{invitation}&token={token(sub='bob', name='Bob')}")
        visible(bob, ".status", "Ann to move, with X.")
        mark(ann, 0)
        visible(bob, ".status", "Your turn: you are O.")
        old = serving(ann, "api") + serving(ann, "game")
        assert len(old) == 4
        press(ann, "Roll the cluster")
        until(ann, f"old => {ROLLING}.hidden && !{CARDS}.some((one) => old.includes(one))", old)
        for one, cell in ((bob, 4), (ann, 1), (bob, 5), (ann, 2)):
            visible(one, ".status", "Your turn")
            mark(one, cell)
        until(bob, "document.querySelector('.status').textContent.includes('Ann')")

"""A page in Chromium with a JWT, against an api node with ``--auth jwt``."""

from __future__ import annotations

import time

import pytest
import trio

from tests.api.auth.conftest import EC, OTHER_EC, pem, token
from tests.e2e.javascript import chromium
from tests.e2e.nodes import SHORT_GRACE, Nodes
from tests.e2e.test_demo_page import PATIENCE_MS, browsing, lines, say

pytestmark = pytest.mark.e2e

PAST = int(time.time()) - 3600


def talk(path: str, page_url: str) -> None:
    script_errors: list[str] = []
    with browsing(path, script_errors) as tab:
        page = tab(f"{page_url}#token={token(name='Ann')}")
        say(page, "hello")
        lines(page, "hello").wait_for()
        for bad in (token(exp=PAST), token(OTHER_EC), "no.token.atall"):
            refused = page.context.browser.new_page()
            refused.set_default_timeout(PATIENCE_MS)
            refused.goto(f"{page_url}#token={bad}")
            refused.locator("#state", has_text="over").wait_for()
            assert "token" in refused.locator("#talk li.notice").last.inner_text()
            assert bad not in refused.content()
        say(page, "still here")
        lines(page, "still here").wait_for()
    assert script_errors == []


async def test_a_page_with_a_good_token_talks_and_one_with_a_bad_token_reads_why(
    nodes: Nodes,
) -> None:
    path = chromium()
    if path is None:
        pytest.skip("needs chromium and playwright (apt-get install chromium)")
    key = nodes.folder / "public.pem"
    key.write_bytes(pem(EC))
    game = nodes.game(*SHORT_GRACE)
    await game.wait_started()
    api = nodes.api(game.listen, "--auth", "jwt", "--jwt-key-file", str(key))
    await api.wait_ready()
    await trio.to_thread.run_sync(
        talk, path, f"http://{api.admin}/demo?ws=ws://{api.listen}", abandon_on_cancel=True
    )

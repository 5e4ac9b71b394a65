"""Requests to the admin ports of several nodes."""

from __future__ import annotations

import trio

from lastcall.local.admin_client import ask_all


async def test_all_nodes_are_asked_at_once_and_the_answers_are_in_order(autojump_clock):
    async def ask(seconds):
        await trio.sleep(seconds)
        return seconds

    started_at = trio.current_time()
    assert await ask_all([3, 1, 2, 1], ask) == [3, 1, 2, 1]
    assert trio.current_time() - started_at == 3

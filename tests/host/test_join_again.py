"""A join whose key has a seat already is a resume by a client that has seen nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from trio.testing import wait_all_tasks_blocked

from lastcall import Kind, Room, Said, room
from lastcall.wire import nodes
from tests.harness.counts import players_in
from tests.host.host_harness import SOUTH, HostHarness, open_host

Draw = Callable[[Room, str], Any]

PICTURES: dict[str, Draw | None] = {
    "no picture": None,
    "a picture": lambda _, player: {"for": player},
    "a picture that fails": lambda *_: 1 / 0,
    "a picture that sends": lambda table, _: table.broadcast("somebody is back"),
}


def kept(draw: Draw | None) -> Kind:
    """A kind that repeats what is said, and keeps two messages."""

    @room("kept", seats=4, history_messages=2)
    async def kind(table: Room) -> None:
        if draw is not None:
            table.state_for = lambda player: draw(table, player)
        async for event in table:
            if isinstance(event, Said):
                table.broadcast(event.input)

    return kind


def follows(harness: HostHarness, answer: Any, before: int) -> tuple[object, ...]:
    """The room's past as the client gets it: from the answer, and from the items behind it."""
    replayed = [
        message
        for link, item in harness.sent[before:]
        if link == SOUTH and isinstance(item, nodes.Replay)
        for message in item.messages
    ]
    return answer.seq, answer.complete, answer.state, replayed


@pytest.mark.parametrize("said", [0, 1, 2, 3, 9])
@pytest.mark.parametrize("draw", PICTURES.values(), ids=PICTURES)
async def test_a_join_again_brings_what_a_resume_from_the_beginning_brings(
    draw: Draw | None, said: int
) -> None:
    ways: list[tuple[object, ...]] = []
    for again in ("join", "resume"):
        async with open_host(kind := kept(draw)) as harness:
            harness.join(kind)  # of another player: nobody is alone
            ann = harness.join(kind, key="k")
            for n in range(1, said + 1):
                harness.say(ann, n, n)
            await wait_all_tasks_blocked()
            harness.lose(ann)
            before = len(harness.sent)
            if again == "join":
                answer = harness.join(kind, key="k", link=SOUTH)
            else:
                answer = harness.resume(ann, 0, link=SOUTH)
            assert answer.player == ann.player
            ways.append(follows(harness, answer, before))
    assert ways[0] == ways[1]
    assert ways[0][1] is (said <= 2), "the history holds two messages"


async def test_a_player_whose_picture_kicks_them_joins_anew() -> None:
    kind = kept(lambda table, player: table.kick(player))  # type: ignore[arg-type]
    async with open_host(kind) as harness:
        harness.join(kind)
        ann = harness.join(kind, key="k")
        for n in range(1, 6):
            harness.say(ann, n, n)
        await wait_all_tasks_blocked()
        again = harness.join(kind, key="k", link=SOUTH)
        assert again.player != ann.player
        assert (again.seq, again.complete, players_in(harness.host)) == (5, True, 2)

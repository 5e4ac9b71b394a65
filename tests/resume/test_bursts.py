"""Bursts of many rooms in one turn on one link: a peer that takes them in is never reset."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from lastcall import Room, room
from lastcall.policy import LinkPolicy
from tests.harness.cluster import ApiProcess, GameProcess
from tests.harness.player import Player
from tests.resume.test_place import two_api_nodes

KIB, MIB = 1024, 1024 * 1024
POLICY = LinkPolicy()
SMALL = LinkPolicy(ring_bytes=4 * MIB, ring_bytes_max=8 * MIB, rings_excess_bytes=8 * MIB)
MESSAGES = 60


class MostWaiting(trio.abc.Instrument):
    """The most bytes that ever waited in the ring of one link, after any step of any task."""

    def __init__(self, game: GameProcess) -> None:
        self._game = game
        self.bytes = 0

    def after_task_step(self, _task: trio.lowlevel.Task) -> None:
        held = (link.ring.bytes_held for link in self._game.links.values())
        self.bytes = max(self.bytes, *held, 0)


class Bursting:
    """Rooms that all send 60 messages in one turn, at :meth:`burst`."""

    def __init__(
        self, game: GameProcess, one: ApiProcess, two: ApiProcess, players: list[Player]
    ) -> None:
        self.game, self.one, self.two = game, one, two
        self.players = players
        self.go = trio.Event()
        self.most = MostWaiting(game)

    async def burst(self) -> None:
        """Everybody has 5 s to receive it."""
        trio.lowlevel.add_instrument(self.most)
        self.go.set()
        await trio.sleep(5)
        trio.lowlevel.remove_instrument(self.most)


@asynccontextmanager
async def bursting(
    rooms: int, message_bytes: int, policy: LinkPolicy = POLICY
) -> AsyncIterator[Bursting]:
    text = "x" * message_bytes

    @room("bursting", seats=4)
    async def kind(table: Room) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_and_send, table)
            async for _ in table:
                pass

    async def wait_and_send(table: Room) -> None:
        await all_at_once.go.wait()
        for _ in range(MESSAGES):
            table.broadcast(text)

    async with two_api_nodes(kind, links=policy) as (c, game, one, two):
        players = [Player(c.nursery) for _ in range(rooms)]
        all_at_once = Bursting(game, one, two, players)
        for player in players:
            await player.join(one, kind="bursting", new=True)
        yield all_at_once


async def test_four_rooms_that_send_15_mib_each_in_one_turn_reset_no_link_and_move_nobody(
    autojump_clock: MockClock,
) -> None:
    async with bursting(4, 255 * KIB) as everybody:
        links = set(everybody.game.links)
        await everybody.burst()
        assert 59 * MIB < everybody.most.bytes < 60 * MIB
        assert set(everybody.game.links) == links
        for player in everybody.players:
            assert [seq for seq, _ in player.messages] == list(range(1, MESSAGES + 1))
            assert player.socket.closed is None


async def test_twenty_rooms_over_the_hard_bound_reset_the_link_and_clients_learn_the_truth(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """20 MiB are more than a link may have waiting here. Clients that lost messages are told so."""
    async with bursting(20, 17 * KIB, SMALL) as everybody:
        links = set(everybody.game.links)
        await everybody.burst()
        assert len(set(everybody.game.links) - links) == 1
        assert 7 * MIB < everybody.most.bytes <= SMALL.ring_bytes_max
        assert f"more than {SMALL.ring_bytes_max} bytes wait for it" in "".join(capsys.readouterr())
        for player in everybody.players:
            assert player.socket.closed == 1012
            assert player.socket.reason == "messages on their way to you were lost"
            assert not (await player.resume(everybody.two))["complete"]
            assert player.heard_once
        await trio.sleep(1)
        assert everybody.game.node._feeds.excess.bytes == 0


async def test_a_reset_that_the_histories_cover_costs_nobody_a_message_or_a_socket(
    autojump_clock: MockClock,
) -> None:
    """48 rooms with 240 KiB each: over the bound of the link, and within what each remembers."""
    async with bursting(48, 4 * KIB, SMALL) as everybody:
        links = set(everybody.game.links)
        await everybody.burst()
        assert len(set(everybody.game.links) - links) == 1
        for player in everybody.players:
            assert [seq for seq, _ in player.messages] == list(range(1, MESSAGES + 1))
            assert player.socket.closed is None

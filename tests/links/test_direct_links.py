"""A link within one process: its halves call each other, and nothing is lost, doubled or early."""

from __future__ import annotations

import random
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from lastcall.api.socket.batch_sizes import CLIENTS_PER_STEP
from lastcall.bus.memory import MemoryBus
from lastcall.links.link import GameLink
from lastcall.links.link_counts import Loss
from lastcall.wire import nodes
from tests.links.test_links import Game, ListenerRecorder, Pair, input_item, message, settle


class Answering(ListenerRecorder):
    """Says an input for each message, within the step that brings it."""

    def link_item(self, link: GameLink, item: nodes.Down) -> None:
        super().link_item(link, item)
        if isinstance(item, nodes.Message):
            link.send(input_item(item.seq))


class Remembering(ListenerRecorder):
    """Keeps the messages that come."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[nodes.Message] = []

    def link_item(self, link: GameLink, item: nodes.Down) -> None:
        super().link_item(link, item)
        if isinstance(item, nodes.Message):
            self.items.append(item)


class Keeping(ListenerRecorder):
    """Keeps what a link that is over had not sent."""

    unsent: list[nodes.Up]

    def link_down(self, link: GameLink, loss: Loss) -> None:
        super().link_down(link, loss)
        self.unsent = link.unsent


async def join_up(
    nursery: trio.Nursery, listener: ListenerRecorder | None = None
) -> tuple[Pair, Game, GameLink]:
    both = Pair(nursery, MemoryBus(direct=True), random.Random(1), listener)
    game = both.start_game(1)
    link = await both.link()
    await settle()
    return both, game, link


async def test_what_a_turn_sends_is_there_at_its_end(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    both, game, link = await join_up(nursery)
    with both.feeds.cork:
        link.send(input_item(1))
        link.send(input_item(2))
        assert link.id not in game.handler.received, "a turn is one request"
    assert game.handler.received[link.id] == [1, 2]
    link.send(input_item(3))  # outside a turn: the link's task sends it
    assert game.handler.received[link.id] == [1, 2]
    await settle()
    assert game.handler.received[link.id] == [1, 2, 3]


async def test_a_feed_arrives_within_the_step_that_publishes_it(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    both, game, link = await join_up(nursery)
    for n in (1, 2, 3):
        game.feeds.push(link.id, message(n))
    assert both.listener.seqs[link.id] == []
    game.links.publish_now()
    assert both.listener.seqs[link.id] == [1, 2, 3]


async def test_a_feed_passes_on_the_items_themselves_and_counts_their_bytes(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    listener = Remembering()
    _, game, link = await join_up(nursery, listener)
    before, items = game.feeds.bytes_sent, [message(1), message(2)]
    for item in items:
        game.feeds.push(link.id, item)
    game.links.publish_now()
    assert all(ours is theirs for ours, theirs in zip(items, listener.items, strict=True))
    assert game.feeds.bytes_sent - before == sum(len(nodes.encode(item)) for item in items)


async def test_what_a_busy_node_cannot_take_at_once_arrives_later_and_in_order(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    both, game, link = await join_up(nursery)
    cork: Any = both.feeds.cork
    cork.pending += [None] * CLIENTS_PER_STEP  # as many clients have frames to be written
    for n in (1, 2):
        game.feeds.push(link.id, message(n))
    game.links.publish_now()
    cork.pending.clear()
    game.feeds.push(link.id, message(3))
    game.links.publish_now()
    assert both.listener.seqs[link.id] == [], "the third must not overtake the others"
    await settle()
    assert both.listener.seqs[link.id] == [1, 2, 3]


async def test_nothing_arrives_within_the_call_that_another_message_makes(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    both, game, link = await join_up(nursery, Answering())
    game.feeds.push(link.id, message(1))
    game.links.publish_now()
    assert both.listener.seqs[link.id] == [1]
    assert link.id not in game.handler.received
    await settle()
    assert game.handler.received[link.id] == [1]


@pytest.mark.parametrize("seed", range(5))
async def test_items_pass_in_order_and_once_whatever_sends_them(
    seed: int, schedule: int, autojump_clock: MockClock
) -> None:
    rng, ways = random.Random(seed), 3
    async with trio.open_nursery() as nursery:
        both, game, link = await join_up(nursery)
        for n in range(1, 101):
            match rng.randrange(ways):
                case 0:
                    with both.feeds.cork:
                        link.send(input_item(n))
                case 1:
                    link.send(input_item(n))
                case _:
                    link.send(input_item(n), pressing=False)
            game.feeds.push(link.id, message(n))
            if rng.randrange(ways) == 0:
                game.links.publish_now()
            if rng.randrange(ways) == 0:
                await trio.lowlevel.checkpoint()
        await settle(1)
        assert game.handler.received[link.id] == list(range(1, 101))
        assert both.listener.seqs[link.id] == list(range(1, 101))
        nursery.cancel_scope.cancel()


async def test_what_a_dropped_link_does_not_take_is_unsent(
    schedule: int, autojump_clock: MockClock
) -> None:
    listener = Keeping()
    async with trio.open_nursery() as nursery:
        both, game, link = await join_up(nursery, listener)
        with both.feeds.cork:
            link.send(input_item(1))
        game.links.attachments.drop(link.id, "a test")
        for n in (2, 3):
            link.uplink.ask_now()
            with both.feeds.cork:
                link.send(input_item(n))
        await settle()
        assert game.handler.received == {link.id: [1]}
        assert [loss for _, loss in listener.losses] == [Loss.RESET]
        assert listener.unsent == [input_item(2), input_item(3)]
        nursery.cancel_scope.cancel()


async def test_a_fault_in_an_answer_ends_its_link_and_not_the_turn(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    both, game, link = await join_up(nursery)

    def fail(link: object, number: int, now: float) -> None:
        raise RuntimeError("a fault of this program")

    game.feeds.confirm = fail  # type: ignore[assignment] # the first thing that an answer does
    with both.feeds.cork:
        link.send(input_item(1))
    await settle()
    assert [loss for _, loss in both.listener.losses] == [Loss.RESET]


@pytest.mark.parametrize("waited", [False, True])
async def test_under_load_a_turn_that_has_waited_sends_at_its_end_and_any_other_waits(
    autojump_clock: MockClock, nursery: trio.Nursery, waited: bool
) -> None:
    both, game, link = await join_up(nursery)
    cork, received = both.feeds.cork, game.handler.received.setdefault(link.id, [])
    sent = arrived = 0
    while sent < 400 or len(received) == arrived:  # two items a ms, until a request has just left
        arrived, sent = len(received), sent + 2
        with cork:
            link.send(input_item(sent - 1))
            link.send(input_item(sent))
        await trio.sleep(0.001)
    arrived, cork.waited = len(received), waited
    with cork:
        link.send(input_item(sent + 1))
    assert (len(received) > arrived) is waited
    await trio.sleep(0.0061)
    assert received == list(range(1, sent + 2))

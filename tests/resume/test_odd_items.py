"""Items with odd values, in both directions: no node raises, and other players are unaffected."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from lastcall.identity import Identity
from lastcall.ids import LinkId
from lastcall.wire import nodes
from tests.harness.cluster import cluster
from tests.harness.player import Player

ITEMS = 400
UP: list[type[Any]] = [
    nodes.Join,
    nodes.Resume,
    nodes.Renew,
    nodes.Cancel,
    nodes.Confirm,
    nodes.Say,
    nodes.Leave,
    nodes.Absent,
    nodes.Unknown,
]
DOWN: list[type[Any]] = [
    nodes.Message,
    nodes.Seated,
    nodes.Resumed,
    nodes.Replay,
    nodes.Refused,
    nodes.Acks,
    nodes.BadInput,
    nodes.Wanted,
    nodes.Out,
    nodes.Ended,
    nodes.Regroup,
    nodes.Unknown,
]
NUMBERS = [-1, 0, 1, 2, 3, 64, 65, 2**31, 2**53, 2**63 - 1, -(2**63)]
TEXTS = [
    "",
    "x",
    ".",
    "/",
    "lounge",
    "game-1.",
    "\x00",
    "é" * 300,
    "no_such_place",
    "kicked",
    "full",
]
JSON = [b"1", b'"x"', b"{}"]
BODIES = [b"", b"{", b"null", b"1", b'"x"', b"{}", b"[" * 2000, b"\xff", b'{"seconds":"x"}']


class OddItems:
    """Makes items whose fields have odd values of their type, or values that are in use."""

    def __init__(
        self, rng: random.Random, texts: Sequence[str], bodies: Sequence[bytes] = BODIES
    ) -> None:
        self.rng = rng
        self.bodies = bodies
        self.texts = [*TEXTS, *texts, *texts, *texts]

    def text(self) -> str:
        return self.rng.choice(self.texts)

    def number(self) -> int:
        return self.rng.choice(NUMBERS)

    def body(self) -> bytes:
        return self.rng.choice(self.bodies)

    def item(self, kinds: Sequence[type[Any]]) -> Any:
        kind = self.rng.choice(kinds)
        return kind(**{name: self.field(name) for name in kind.__struct_fields__})

    def field(self, name: str) -> Any:
        rng = self.rng
        values: dict[str, Callable[[], Any]] = {
            "options": self.body,
            "body": self.body,
            "result": lambda: rng.choice([b"", *JSON]),
            "state": lambda: rng.choice([b"", *JSON]),
            "to": lambda: rng.choice([None, [], [self.text()]]),
            "messages": lambda: [(self.number(), b"1") for _ in range(rng.randrange(3))],
            "players": list,
            "identity": lambda: rng.choice([None, Identity("ann"), Identity("bob", name="Bob")]),
            "acks": lambda: [(self.text(), self.text(), self.number())],
        }
        if name in values:
            return values[name]()
        if name in {"new", "seated_only", "complete"}:
            return rng.random() < 0.5
        numbers = {"call", "seen", "session", "n", "epoch", "seq"}
        return self.number() if name in numbers else self.text()


@pytest.mark.usefixtures("schedule")
async def test_odd_requests_of_an_api_node_do_not_disturb_a_game_node_or_its_rooms(
    autojump_clock: MockClock, rng: random.Random
) -> None:
    async with cluster() as c:
        api, game = await c.one_of_each()
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(api, kind="lounge", new=True, key="k")
        await bob.join(api, kind="lounge", new=True)
        bob.socket.drop()
        await trio.sleep(0.1)
        room, player, secret = bob.ticket.split("/")
        odd_items = OddItems(rng, [room, player, secret, "lounge", "countdown", "tictactoe"])
        for number in range(ITEMS):
            game.node.host.handle(LinkId(rng.choice([7, 8, 9])), odd_items.item(UP))
            if number % 20 == 0:
                game.node.host.flush_acks()
                await trio.sleep(0.01)
            if number == ITEMS // 2:
                game.node.host.drop_link(LinkId(8))
        for link in (7, 8, 9):
            game.node.host.drop_link(LinkId(link))
        await ann.say("still here")
        await ann.hear_data({"from": ann.you, "said": "still here"})
        assert game.exit_code is None
        game.signal()
        await trio.sleep(40)
        assert game.exit_code is not None


@pytest.mark.usefixtures("schedule")
async def test_odd_items_of_a_game_node_do_not_disturb_an_api_node_or_its_clients(
    autojump_clock: MockClock, rng: random.Random
) -> None:
    """The odd items name only Bob's room: a game node is trusted about its own rooms."""
    async with cluster() as c:
        api, _ = await c.one_of_each()
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(api, kind="lounge", new=True)
        await bob.join(api, kind="lounge", new=True)
        odd_items = OddItems(rng, [bob.room, bob.you], JSON)  # a room has encoded every body
        games = api.node.games
        [link] = games.connectors._links.values()
        for number in range(ITEMS):
            games.link_item(link, odd_items.item(DOWN))
            if number % 20 == 0:
                await trio.sleep(0.01)
                if bob.socket.closed is not None:
                    await bob.join(api, kind="lounge", new=True)
                    odd_items.texts += [bob.room, bob.you]
        await trio.sleep(11)
        await ann.say("still here")
        await ann.hear_data({"from": ann.you, "said": "still here"})
        assert api.exit_code is None
        assert ann.heard_once

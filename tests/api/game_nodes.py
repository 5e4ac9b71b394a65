"""An api node's clients and its real ``Games``, with links to game nodes that the test plays."""

from __future__ import annotations

from collections import Counter
from itertools import count
from typing import Any

import msgspec
import trio
import trio.testing

from lastcall.api.games.games import Games
from lastcall.api.limits import ClientLimits
from lastcall.api.sessions.session import Session
from lastcall.core.edge.missing_nodes import MissingNodes
from lastcall.limits import Limits
from lastcall.links.link_counts import Loss
from lastcall.policy import LinkPolicy, SocketPolicy
from lastcall.wire import nodes
from tests.api.conftest import Client, FakeLink, House

DEN = "game-1.den"
PLACE = (DEN, "p1", 1)
SECRET = "5ec7e7"  # noqa: S105
FIRST_EPOCH = 1
"""Of the rooms in which ``House`` seats its clients."""


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def say_numbers(client: Client, *numbers: int) -> None:
    for n in numbers:
        await client.say({"t": "say", "n": n, "d": n})
    await settle()


class NodeLink(FakeLink):
    """A link to the game node ``game-N``, whose process has the incarnation N."""

    def __init__(self, number: int = 1) -> None:
        super().__init__()
        self.address = f"tcp://game-{number}:7101"
        self.wanted = True
        self.unsent: list[nodes.Up] = []
        self.state = nodes.NodeState(1, "serving", 0, {"den": 0}, sizes={"den": 2})
        name = f"game-{number}"
        self.node = nodes.Welcome(nodes.WIRE, 1, name, number, "1", 1.0, self.state)

    @property
    def renewed(self) -> list[str]:
        """The players for whose places it was asked, in order."""
        return [item.player for item in self.of(nodes.Renew)]


class AllMet:
    """The connectors of an api node that has met every game node."""

    all_met = True

    def missing(self) -> MissingNodes:
        return MissingNodes(any_place=False)

    async def run(self, *listeners: object) -> None:  # noqa: ARG002
        await trio.sleep_forever()

    def link_up(self, link: object) -> None:
        pass

    def link_down(self, link: object) -> None:
        pass


class GameNodes:
    """The game nodes of an api node; ``one`` has the rooms at first."""

    def __init__(self, house: House, policy: LinkPolicy | None = None) -> None:
        self.house = house
        self.moved: list[tuple[float, list[Session]]] = []
        """When which clients were moved to other api nodes."""
        self.games = Games(
            AllMet(),
            relays=house.relays,
            link_policy=policy or LinkPolicy(),
            socket_policy=SocketPolicy(),
            limits=ClientLimits(Limits(), Counter()),
            move=lambda sessions: self.moved.append((trio.current_time(), list(sessions))),
        )
        house.nursery.start_soon(self.games.run)
        self.one = self.up(NodeLink(1))
        house.link = house.games.link = self.one

    async def seat(self, player: str = "p1", **more: Any) -> Client:
        """A client with a place at ``one``, and ``more`` in the answer to its join."""
        client, games = await self.house.client(), self.house.games
        games.hold = True
        await client.say({"t": "join", "kind": "den"})
        await settle()
        session, _ = games.kept.pop()
        games.hold = False
        seat = nodes.Seated(1, DEN, "den", player, 1, FIRST_EPOCH, 0, SECRET, [], **more)
        self.house.relays.seat(self.one, seat, session)
        await client.until("joined")
        return client

    def up(self, link: NodeLink) -> NodeLink:
        self.games.link_up(link)
        return link

    def down(self, link: NodeLink, loss: Loss = Loss.RESET) -> None:
        self.games.link_down(link, loss)

    def move(self, link: NodeLink, to: int, epoch: int = FIRST_EPOCH + 1, room: str = DEN) -> None:
        """The node of ``link`` says that the room is at game node ``to`` now."""
        self.games.link_item(link, nodes.Moved(room, epoch, to, f"game-{to}"))

    def renewal(self, link: NodeLink, at: int = -1) -> nodes.Renew:
        return link.of(nodes.Renew)[at]

    def grant(
        self, link: NodeLink, at: int = -1, *, n: int = 0, epoch: int = FIRST_EPOCH + 1, **more: Any
    ) -> None:
        """The node grants a renewal, by default the last one."""
        asked = self.renewal(link, at)
        place = nodes.Resumed(
            call=asked.call,
            room=asked.room,
            player=asked.player,
            session=asked.session,
            epoch=epoch,
            seq=asked.seen,
            n=n,
            secret=asked.secret,
            complete=True,
        )
        self.games.link_item(link, msgspec.structs.replace(place, **more))

    def refuse(
        self, link: NodeLink, code: str = nodes.NO_SUCH_PLACE, at: int = -1, **more: Any
    ) -> None:
        """The node refuses a renewal, by default the last one."""
        refusal = nodes.Refused(self.renewal(link, at).call, code, "the reason", **more)
        self.games.link_item(link, refusal)

    async def refuse_all(self, link: NodeLink) -> None:
        """The node refuses each renewal at most 0.1 s after it came."""
        for at in count():
            while at >= len(link.renewed):
                await trio.sleep(0.1)
            self.refuse(link, at=at)

    def says(self, link: NodeLink, seq: int, body: object, epoch: int) -> None:
        item = nodes.Message(DEN, epoch, seq, msgspec.json.encode(body))
        self.games.link_item(link, item)

    @property
    def kept(self) -> int:
        """How much is remembered of suspended places."""
        return len(self.games.reattacher)

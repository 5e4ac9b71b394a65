"""One client and an echo room in memory; the socket may be lost at any frame."""

from __future__ import annotations

import random

import pytest
import trio

from lastcall.client import PlaceState, connect
from tests.client.conftest import Peer, Server

pytestmark = pytest.mark.usefixtures("schedule")

INPUTS = 300
ROOM = "game-1.r1"


class EchoRoom:
    """A room with numbered inputs, a history and tickets; its sockets are lost at random."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.accepted: list[str] = []
        self.history: list[str] = []
        self.tickets = ["t0"]
        """The last one is the newest; the one before it is valid until the newest is confirmed."""
        self.sockets = 0
        self.live: Peer | None = None
        self.keys: set[str] = set()

    async def serve(self, peer: Peer) -> None:
        self.sockets += 1
        self.live = None
        self.frames_left = self.rng.randrange(1, 60)
        await self._answer(await self._next(peer), peer)
        self.live = peer
        while True:
            await self._apply(await self._next(peer), peer)

    async def _next(self, peer: Peer) -> dict:
        await self._maybe_lose(peer)
        return await peer.next()

    async def _send(self, peer: Peer, **frame: object) -> None:
        await self._maybe_lose(peer)
        await peer.send(**frame)

    async def _maybe_lose(self, peer: Peer) -> None:
        self.frames_left -= 1
        if self.frames_left == 0:
            if self.rng.random() < 0.3:
                await peer.send(t="move", after=0)
                await peer.close(1012)
            await peer.vanish()

    async def _answer(self, request: dict, peer: Peer) -> None:
        if request["t"] == "join":
            self.keys.add(request["key"])
            seat = {"room": ROOM, "kind": "echo", "you": "p1", "players": []}
            await self._send(peer, t="joined", seq=0, ticket=self.tickets[-1], **seat)
            return
        assert request["ticket"] in self.tickets[-2:]
        seen = request.get("seen", 0)
        assert seen <= len(self.history)
        self.tickets.append(f"t{len(self.tickets)}")
        place = {"room": ROOM, "ticket": self.tickets[-1], "complete": True}
        await self._send(peer, t="resumed", seq=seen, n=len(self.accepted), **place)
        for seq, text in enumerate(self.history[seen:], seen + 1):
            await self._send(peer, t="msg", seq=seq, d=text)

    async def _apply(self, frame: dict, peer: Peer) -> None:
        self.tickets = self.tickets[-1:]  # the first frame confirms the newest ticket
        if frame["t"] == "leave":
            await peer.send(t="ended", room=ROOM, reason="left")
        if frame["t"] != "say":
            return
        assert frame["n"] <= len(self.accepted) + 1, "a gap"
        if frame["n"] == len(self.accepted) + 1:
            self.accepted.append(frame["d"])
            self.history.append(frame["d"])
            await self._send(peer, t="msg", seq=len(self.history), d=frame["d"])
        if self.rng.random() < 0.3:
            await self._send(peer, t="ack", n=len(self.accepted))


async def test_over_many_losses_each_message_and_each_input_arrives_exactly_once(
    server: Server, rng: random.Random, autojump_clock: trio.testing.MockClock
) -> None:
    room = EchoRoom(rng)
    server.script = room.serve
    said = [f"input {number}" for number in range(INPUTS)]

    async def speak() -> None:
        for text in said:
            await place.say(text)
            if rng.random() < 0.1:
                await trio.sleep(rng.random())

    urls = ["ws://a/", "ws://b/"]
    async with connect(urls, kind="echo", dice=rng, open_stream=server.open_stream) as place:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(speak)
            heard = [(await anext(place)) for _ in said]
        assert place.state is not PlaceState.OVER
    assert room.accepted == said
    assert [(item.seq, item.data) for item in heard] == list(enumerate(said, 1))
    assert (place.progress.repeats, place.progress.holes, place.incomplete) == (0, 0, 0)
    assert len(room.keys) == 1
    assert place.resumes >= 5

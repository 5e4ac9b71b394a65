"""The players of a walk: each takes one place after another, talks there, and remembers it all."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import trio

from lastcall.client import Message, connect
from lastcall.errors import ConnectFailed, ConnectionLost, JoinRefused
from lastcall.ids import KindName
from tests.harness.cluster import ApiProcess
from tests.moves.history import Visit
from tests.moves.lookout import Lookout

PAUSE_SECONDS = 0.3
"""The longest between two inputs of a player."""


class Guests:
    """Players in rooms of ``kinds``, who come by ``apis``; ``lookout`` hears what they hear."""

    def __init__(
        self,
        seed: int,
        kinds: Sequence[KindName],
        apis: Mapping[str, ApiProcess],
        lookout: Lookout,
    ) -> None:
        self.seed = seed
        self.kinds = kinds
        self.apis = apis
        self.lookout = lookout
        self.streams: list[trio.abc.Stream] = []
        self.done = trio.Event()
        """Set when all is well again: each player says the last input."""

    async def open_stream(self, url: str) -> trio.abc.Stream:
        name = url.removeprefix("ws://").rstrip("/")
        stream = await self.apis[name].listener.connect()
        self.streams.append(stream)
        return stream

    async def visit_rooms(self, number: int) -> None:
        """Takes one place after another."""
        urls = ["ws://one/", "ws://two/"] if number % 2 else ["ws://two/", "ws://one/"]
        rng = random.Random(f"{self.seed} {number}")
        while not self.done.is_set():
            kind = rng.choice(self.kinds)
            try:
                async with connect(
                    urls, kind=kind, open_stream=self.open_stream, dice=rng
                ) as place:
                    visit = Visit(place)
                    self.lookout.visits.append(visit)
                    await self.play(visit, rng)
            except* (ConnectFailed, ConnectionLost, JoinRefused):
                pass
            await trio.sleep(rng.uniform(0, PAUSE_SECONDS))

    async def play(self, visit: Visit, rng: random.Random) -> None:
        """Says inputs and hears messages, until the place is over or the last input was heard."""
        place = visit.place

        async def say() -> None:
            while not place.outgoing.closed and not self.done.is_set():
                command = rng.choices(("say", "whisper", "end", "leave"), (80, 16, 1, 1))[0]
                if command == "leave":
                    return place.leave_soon()
                visit.say(command)
                await place.say([visit.said, command, rng.randrange(4)])
                with trio.move_on_after(rng.uniform(0, PAUSE_SECONDS)):
                    await self.done.wait()
            visit.say("last")
            await place.say([visit.said, "last", 0])
            return None

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(say)
                async for message in place:
                    assert isinstance(message, Message)
                    visit.hear(message)
                    self.lookout.hear(visit)
                    if self.done.is_set() and visit.heard[-1][1][3:] == visit.last:
                        break
                nursery.cancel_scope.cancel()
        finally:
            visit.over.set()

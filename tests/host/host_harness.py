"""A host with two links, and the kinds of room for its tests."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio
import trio.lowlevel

from lastcall import Kind, Left, Room, Said, room
from lastcall.events import Event
from lastcall.host.host import Host, HostEvents
from lastcall.ids import KindName, LinkId, NodeName, PlayerId, RoomId
from lastcall.policy import RoomPolicy
from lastcall.wire import nodes

NORTH, SOUTH, EAST = LinkId(1), LinkId(2), LinkId(3)


class Move(msgspec.Struct):
    cell: int


class Size(msgspec.Struct):
    width: int = 3


@room("echo", seats=4, starts=2)
async def echo(table: Room) -> dict[str, Any]:
    """Broadcasts each input; ends on `end`, crashes on `crash`, exits on `exit`."""
    async for event in table:
        match event:
            case Said(_, "end"):
                return {"said": "end"}
            case Said(_, "crash"):
                raise RuntimeError("the input was crash")
            case Said(_, "exit"):
                raise SystemExit(1)
            case Said(player, "whisper"):
                table.send(player, "psst")
            case Said(player, "kick"):
                table.kick(player)
            case Said(_, "lock"):
                table.lock()
            case Said(_, said):
                table.broadcast(said)
            case Left() if not table.players:
                return {"said": "all left"}
    raise AssertionError


@room("typed", seats=2, inputs=Move, options=Size)
async def typed(table: Room) -> Any:
    """Accepts only a ``Move`` as input, and broadcasts its cell times the width."""
    async for event in table:
        if isinstance(event, Said):
            table.broadcast(event.input.cell * table.options.width)


@room("spinning", seats=1)
async def spinning(table: Room) -> Any:
    """Never waits, but lets other tasks run."""
    while True:
        await trio.lowlevel.checkpoint()


@room("huge", seats=10_000, starts=10_000)
async def huge(table: Room) -> Any:
    """Holds up to 10 000 players and does nothing."""
    await trio.sleep_forever()


def recording_kind(**fields: Any) -> tuple[Kind, list[Event]]:
    """Returns a kind, and the list of the events that its rooms have read.

    The room broadcasts each input, sends ``TEXT`` to ``PLAYER`` on ``["to", PLAYER, TEXT]``, ends
    on ``end`` and crashes on ``crash``.
    """
    seen: list[Event] = []

    @room("watched", **{"seats": 8, **fields})
    async def kind(table: Room) -> Any:
        async for event in table:
            seen.append(event)
            match event:
                case Said(_, "end"):
                    return "the end"
                case Said(_, "crash"):
                    raise RuntimeError("the input was crash")
                case Said(_, ["to", player, said]):
                    table.send(player, said)
                case Said(_, said):
                    table.broadcast(said)
        raise AssertionError

    return kind, seen


class HostHarness:
    """A host with two links, and the items that it sent.

    A newer socket takes a seat over after ``takeover_seconds``: at once, in most of the tests.
    """

    def __init__(
        self,
        work: trio.Nursery,
        *kinds: Kind,
        policy: RoomPolicy | None = None,
        takeover_seconds: float = 0,
    ) -> None:
        self.sent: list[tuple[LinkId, nodes.Down]] = []
        self.resume_items: list[tuple[LinkId, nodes.Down]] = []
        self.changes = 0
        self._holders: dict[PlayerId, LinkId] = {}
        self.host = Host(
            kinds={kind.name: kind for kind in kinds},
            node=NodeName("game-1"),
            rng=random.Random(1),
            outbox=self._sent,
            policy=msgspec.structs.replace(
                policy or RoomPolicy(), takeover_seconds=takeover_seconds
            ),
            events=HostEvents(on_change=self._changed),
        )
        self.host.serve(work)

    def _sent(self, link: LinkId, item: nodes.Down) -> None:
        self.sent.append((link, item))
        if isinstance(item, nodes.Seated | nodes.Resumed):
            self._holders[item.player] = link

    def holder(self, seat: nodes.Seated | nodes.Resumed, link: LinkId | None = None) -> LinkId:
        """``link`` if given, or the link that got the seat last."""
        return link or self._holders[seat.player]

    def _changed(self) -> None:
        self.changes += 1

    def join(self, kind: Kind | str = "", *, link: LinkId = NORTH, **fields: Any) -> Any:
        """Sends a join and returns the answer: Seated or Refused."""
        name = kind.name if isinstance(kind, Kind) else KindName(kind)
        before = len(self.sent)
        self.host.handle(link, nodes.Join(7, name, **fields))
        answers = [
            item
            for to, item in self.sent[before:]
            if to == link and isinstance(item, nodes.Seated | nodes.Refused)
        ]
        assert [answer.call for answer in answers] == [7]
        return answers[0]

    def confirm(self, seat: nodes.Seated | nodes.Resumed, *, link: LinkId | None = None) -> None:
        self.host.handle(
            self.holder(seat, link), nodes.Confirm(seat.room, seat.player, seat.session)
        )

    def lose(self, seat: nodes.Seated | nodes.Resumed, *, link: LinkId | None = None) -> None:
        """Reports that the socket of the seat's session is lost."""
        self.host.handle(
            self.holder(seat, link), nodes.Absent(seat.room, seat.player, seat.session)
        )

    def leave(self, seat: nodes.Seated | nodes.Resumed, *, link: LinkId | None = None) -> None:
        self.host.handle(
            self.holder(seat, link), nodes.Leave(seat.room, seat.player, seat.session, seat.secret)
        )

    def resume(
        self,
        seat: nodes.Seated | nodes.Resumed,
        seen: int = 0,
        *,
        link: LinkId = NORTH,
        **fields: Any,
    ) -> Any:
        """Sends a resume and returns the answer: Resumed or Refused.

        :attr:`resume_items` has all items that the host sent for it.
        """
        place = {"room": seat.room, "player": seat.player, "secret": seat.secret, **fields}
        before = len(self.sent)
        request = nodes.Renew if fields.get("session") else nodes.Resume
        self.host.handle(link, request(9, seen=seen, **place))
        self.resume_items = self.sent[before:]
        answers = [
            item
            for to, item in self.resume_items
            if isinstance(item, nodes.Resumed | nodes.Refused)
        ]
        assert [answer.call for answer in answers] == [9]
        return answers[0]

    def replayed(self) -> list[tuple[int, Any]]:
        """Returns the messages that the last resume replayed, as pairs (number, message)."""
        return [
            (seq, msgspec.json.decode(body))
            for _, item in self.resume_items
            if isinstance(item, nodes.Replay)
            for seq, body in item.messages
        ]

    def say(
        self,
        seat: nodes.Seated | nodes.Resumed,
        n: int,
        body: object,
        session: int | None = None,
        link: LinkId | None = None,
    ) -> None:
        """Sends an input by ``link``, or by the one that got the seat last."""
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        item = nodes.Say(seat.room, seat.player, session or seat.session, n, raw)
        self.host.handle(self.holder(seat, link), item)

    def all_of(self, kind: type[Any], link: LinkId | None = None) -> list[Any]:
        return [item for to, item in self.sent if isinstance(item, kind) and link in (None, to)]

    def messages(self, link: LinkId = NORTH) -> list[Any]:
        """Returns the messages that were sent on ``link``."""
        return [msgspec.json.decode(m.body) for m in self.all_of(nodes.Message, link)]

    def ends(self) -> list[tuple[RoomId, str]]:
        return [(item.room, item.reason) for item in self.all_of(nodes.Ended)]

    def acked(self) -> list[tuple[RoomId, PlayerId, int]]:
        self.host.flush_acks()
        return [ack for item in self.all_of(nodes.Acks) for ack in item.acks]


@asynccontextmanager
async def open_host(
    *kinds: Kind, policy: RoomPolicy | None = None, takeover_seconds: float = 0
) -> AsyncIterator[HostHarness]:
    async with trio.open_nursery() as work:
        harness = HostHarness(work, *kinds, policy=policy, takeover_seconds=takeover_seconds)
        work.start_soon(harness.host.watch)
        yield harness
        work.cancel_scope.cancel()

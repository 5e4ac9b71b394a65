"""A room on a table of its own, for its author's tests.

::

    async def test_the_middle_wins(autojump_clock):
        async with play(tictactoe) as table:
            ann, bob = table.join("ann"), table.join("bob")
            table.say(ann, {"cell": 4})
            assert await table.messages() == [...]
            table.leave(bob)
            assert (await table.ended())["winner"] == ann

The room runs in a :class:`lastcall.host.host.Host`, as in a node, and its messages pass through
JSON. Under ``trio.testing.MockClock`` no time is lost; without it, time is real.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio
import trio.testing

from lastcall.author import Kind
from lastcall.core.edge.input_window import InputWindow
from lastcall.errors import BadFrame, JoinRefused
from lastcall.host.host import Host
from lastcall.host.room_state import RoomState
from lastcall.ids import LinkId, NodeName, PlayerId, RoomId
from lastcall.policy import RoomPolicy
from lastcall.reasons import EndReason
from lastcall.wire import nodes

__all__ = ["Table", "play"]

LINK = LinkId(1)
NO_BOUND = 2**53


@asynccontextmanager
async def play(
    kind: Kind, *, options: object = None, policy: RoomPolicy | None = None
) -> AsyncIterator[Table]:
    """A table at which one room of ``kind`` is played; it is opened by the first ``join``.

    As in a node, a room that nobody has sat in for a minute is given up. What still runs at the
    end is cut. A crash of the room that the test has not met yet is raised then, if nothing else
    was.
    """
    failure: Exception | None = None
    async with trio.open_nursery() as services, trio.open_nursery() as work:
        table = Table(kind, {} if options is None else options, policy, work)
        services.start_soon(table.host.watch)
        try:
            yield table
        except Exception as error:  # noqa: BLE001 - raised below, outside of any group
            failure = error
        table.host.cut()
        await table.host.wait_empty()
        services.cancel_scope.cancel()
    if failure is not None:
        raise failure
    table.check()


class _Chair:
    """What the harness knows of one player."""

    __slots__ = ("away", "heard", "secret", "seen", "session", "window")

    def __init__(self, seat: nodes.Seated) -> None:
        self.session = seat.session
        self.secret = seat.secret
        self.seen = seat.seq
        self.away = False
        self.window = InputWindow(NO_BOUND, NO_BOUND)
        self.heard: list[Any] = []


class Table:
    """One room, its players, and what they heard."""

    def __init__(
        self, kind: Kind, options: object, policy: RoomPolicy | None, work: trio.Nursery
    ) -> None:
        self.host = Host(
            kinds={kind.name: kind},
            node=NodeName("table"),
            rng=random.Random(0),  # noqa: S311 - the same ids in each run; nobody to hide from
            outbox=self._hear,
            policy=msgspec.structs.replace(policy or RoomPolicy(), takeover_seconds=0),
            on_end=self._ended,
            on_crash=self._crashed,
        )
        self.host.serve(work)
        self.room = RoomId("")
        """The room's id; empty before the first join."""
        self.heard: list[Any] = []
        """All that the room has said so far, to all or to one, decoded.

        What was said while nobody for whom it was had a socket comes when one is back.
        """
        self.reason: EndReason | None = None
        """Why the room has ended, or None while it runs."""
        self.outs: dict[PlayerId, EndReason] = {}
        """Who had to go while the room went on (``left``, ``kicked``), and who heard only when he
        was :meth:`back` how it had ended."""
        self._kind = kind
        self._options = msgspec.json.encode(options)
        self._chairs: dict[PlayerId, _Chair] = {}
        self._answer: nodes.Seated | nodes.Resumed | nodes.Refused
        self._numbers: set[int] = set()
        self._bad: nodes.BadInput | None = None
        self._result: Any = None
        self._crash: BaseException | None = None
        self._over = trio.Event()
        self._read = 0

    def join(self, name: str = "", *, key: str = "") -> PlayerId:
        """Takes a seat; raises :class:`JoinRefused` as a client would see it."""
        join = nodes.Join(0, self._kind.name, self.room, options=self._options, name=name, key=key)
        seated = self._ask(join)
        self.room = seated.room
        self._confirm(seated.player)
        return seated.player

    def say(self, player: PlayerId, message: object) -> None:
        """Says something as ``player``; the room has it when it runs next.

        Raises :class:`BadFrame` for what the kind's ``inputs`` refuse. What does not fit into the
        room's inbox is said again when it does.
        """
        chair = self._chairs[player]
        self._bad = None
        chair.window.take(chair.window.last + 1, msgspec.json.encode(message))
        self._say_from(player, chair.window.last)
        if self._bad is not None:
            raise BadFrame(self._bad.code, self._bad.message)

    def leave(self, player: PlayerId) -> None:
        """Gives the player's seat up."""
        self.host.handle(LINK, nodes.Leave(self.room, player, self._chairs[player].session))

    def away(self, player: PlayerId) -> None:
        """The player's socket is lost: he hears nothing until he is :meth:`back`.

        The room gets ``Away`` after 2 s, and ``Left`` after the kind's ``resume_seconds``.
        """
        self._chairs[player].away = True
        self.host.handle(LINK, nodes.Absent(self.room, player, self._chairs[player].session))

    def back(self, player: PlayerId) -> None:
        """The player is here again: he gets what he has missed, and says again what was not had.

        Raises :class:`JoinRefused` (``no_such_place``) if his seat is not kept any more. What he
        has missed of a room that has ended, he gets too.
        """
        chair = self._chairs[player]
        self._ask(nodes.Resume(0, self.room, player, chair.secret, chair.seen))
        self._confirm(player)
        self._say_from(player, chair.window.acked + 1)

    def picture(self, player: PlayerId) -> Any:
        """What the room's ``state_for`` draws for ``player``, decoded; None if it has none.

        Raises what it raises. Let the room run first: it is the author's function that sets it.
        """
        room = self.host.find(self.room)
        draw = None if room is None or room.table is None else room.table.state_for
        return None if draw is None else msgspec.json.decode(msgspec.json.encode(draw(player)))

    def heard_by(self, player: PlayerId) -> list[Any]:
        """All that this player has heard so far, decoded."""
        return self._chairs[player].heard

    async def messages(self) -> list[Any]:
        """Lets the room run until it waits, and returns what it has said since the last call.

        Raises what the room crashed with.
        """
        await trio.testing.wait_all_tasks_blocked()
        self.check()
        said, self._read = self.heard[self._read :], len(self.heard)
        return said

    async def ended(self) -> Any:
        """Waits for the room's end and returns its result; None unless it finished.

        Raises what the room crashed with. :attr:`reason` tells how it ended.
        """
        await self._over.wait()
        self.check()
        return self._result

    def drain(self, seconds: float) -> None:
        """The house closes: the room is told that it will be cut in ``seconds``."""
        self.host.matchmaker.doors_open = False
        self.host.drain(trio.current_time() + seconds)

    def cut(self) -> None:
        """The time is up: the room is cancelled."""
        self.host.cut()

    def check(self) -> None:
        """Raises what the room crashed with, once."""
        crash, self._crash = self._crash, None
        if crash is not None:
            raise crash

    def _confirm(self, player: PlayerId) -> None:
        self.host.handle(LINK, nodes.Confirm(self.room, player, self._chairs[player].session))

    def _ask(self, question: nodes.Join | nodes.Resume) -> nodes.Seated | nodes.Resumed:
        self.host.handle(LINK, question)
        answer = self._answer
        if isinstance(answer, nodes.Refused):
            raise JoinRefused(answer.code, answer.message, retry=False)
        return answer

    def _say_from(self, player: PlayerId, n: int) -> None:
        chair = self._chairs[player]
        if chair.away:  # what he says meanwhile is had when he is back
            return
        for number, body in chair.window.unacked_from(n):
            self.host.handle(LINK, nodes.Say(self.room, player, chair.session, number, body))
        self.host.flush_acks()

    def _ended(self, _: RoomState, reason: EndReason, result: bytes) -> None:
        self.reason = reason
        self._result = msgspec.json.decode(result) if result else None
        self._over.set()

    def _crashed(self, _: RoomState, error: BaseException) -> None:
        self._crash = error

    def _hear(self, _: LinkId, item: nodes.Down) -> None:
        match item:
            case nodes.Seated() | nodes.Resumed() | nodes.Refused():
                self._hear_answer(item)
            case nodes.Message():
                self._take(item.seq, item.body, self._chairs if item.to is None else item.to)
            case nodes.Replay():
                for seq, body in item.messages:
                    self._take(seq, body, [item.player])
            case nodes.Acks():
                for _room, player, n in item.acks:
                    self._chairs[player].window.ack(n)
            case nodes.BadInput():
                self._bad = item
            case nodes.Wanted():
                self._say_from(item.player, item.n)
            case nodes.Out(reason=reason) if reason != nodes.TAKEN_OVER:
                self.outs[item.player] = EndReason(reason)

    def _hear_answer(self, answer: nodes.Seated | nodes.Resumed | nodes.Refused) -> None:
        self._answer = answer
        if isinstance(answer, nodes.Seated):
            self._chairs[answer.player] = _Chair(answer)
        elif isinstance(answer, nodes.Resumed):
            chair = self._chairs[answer.player]
            chair.session, chair.secret, chair.seen = answer.session, answer.secret, answer.seq
            chair.window.ack(answer.n)
            chair.away = False

    def _take(self, seq: int, body: bytes, to: Iterable[PlayerId]) -> None:
        decoded = msgspec.json.decode(body)
        if seq not in self._numbers:
            self._numbers.add(seq)
            self.heard.append(decoded)
        for player in to:
            chair = self._chairs[player]
            if not (chair.away or player in self.outs):
                chair.heard.append(decoded)
                chair.seen = seq

"""Runs one room for its author's tests, with players that the test controls.

::

    async def test_the_middle_wins(autojump_clock):
        async with play(tictactoe) as table:
            ann, bob = table.join("ann"), table.join("bob")
            table.say(ann, {"cell": 4})
            assert await table.messages() == [...]
            table.leave(bob)
            assert (await table.ended())["winner"] == ann

The room runs in a :class:`lastcall.host.host.Host`, as in a node, and its messages pass through
JSON. Under ``trio.testing.MockClock`` waiting takes no real time; without it, time is real.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio
import trio.testing

from lastcall.core.edge.input_window import InputWindow
from lastcall.errors import BadFrame, JoinRefused
from lastcall.host.host import Host
from lastcall.host.room_state import RoomState
from lastcall.identity import Identity
from lastcall.ids import LinkId, NodeName, PlayerId, RoomId
from lastcall.kind import Kind
from lastcall.policy import RoomPolicy
from lastcall.reasons import EndReason
from lastcall.testing.moving import move_room
from lastcall.wire import nodes
from lastcall.wire.values import encode_value

__all__ = ["Table", "play"]

LINK = LinkId(1)
NO_BOUND = 2**53


@asynccontextmanager
async def play(
    kind: Kind, *, options: object = None, policy: RoomPolicy | None = None
) -> AsyncIterator[Table]:
    """Plays one room of ``kind``; the first ``join`` opens it with ``options``.

    As in a node, a room that has had no players for a minute is given up. A room that still runs
    at the end of the block is cut. If the room crashed and the test has not seen it, the block's
    end raises the error, unless the block itself raised.
    """
    failure: Exception | None = None
    async with trio.open_nursery() as services, trio.open_nursery() as rooms:
        table = Table(kind, {} if options is None else options, policy, rooms, services)
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


class _Player:
    """One player's seat, what they have heard, and what they have said."""

    __slots__ = ("away", "heard", "identity", "secret", "seen", "session", "window")

    def __init__(self, seated: nodes.Seated, identity: Identity | None) -> None:
        self.identity = identity
        self.window = InputWindow(NO_BOUND, NO_BOUND)
        self.heard: list[Any] = []
        self.arrive(seated)

    def arrive(self, answer: nodes.Seated | nodes.Resumed) -> None:
        """The player has a socket: the first one, or another."""
        self.session = answer.session
        self.secret = answer.secret
        self.seen = answer.seq
        self.away = False


class Table:
    """One room, its players, and the messages that they heard."""

    def __init__(
        self,
        kind: Kind,
        options: object,
        policy: RoomPolicy | None,
        rooms: trio.Nursery,
        services: trio.Nursery,
    ) -> None:
        self._kind = kind
        self._policy = msgspec.structs.replace(policy or RoomPolicy(), takeover_seconds=0)
        self._nurseries = rooms, services
        self._rng = random.Random(0)  # noqa: S311 - the same ids in each run; nothing is secret
        self.host = self._new_host()
        """The engine that runs the room, as in a node: another one after each :meth:`move`."""
        self.room = RoomId("")
        """The room's id; empty before the first join."""
        self.heard: list[Any] = []
        """All messages of the room so far, to all or to one player, decoded.

        A message that nobody could receive, since all its players were away, is added when one of
        them is back.
        """
        self.reason: EndReason | None = None
        """Why the room has ended, or None while it runs."""
        self.outs: dict[PlayerId, EndReason] = {}
        """The players who left or were kicked while the room went on, and those who learned only
        when they were :meth:`back` that it had ended."""
        self._options = encode_value(options)
        self._players: dict[PlayerId, _Player] = {}
        self._asking: Identity | None = None
        self._answers: list[nodes.Seated | nodes.Resumed | nodes.Refused] = []
        self._refused: list[nodes.BadInput] = []
        self._numbers: set[int] = set()
        self._result: Any = None
        self._crash: BaseException | None = None
        self._over = trio.Event()
        self._read = 0

    def join(self, name: str = "", *, key: str = "", identity: Identity | None = None) -> PlayerId:
        """Takes a seat and returns its player; raises :class:`JoinRefused` as a client would.

        With ``identity``, as a client whom the api nodes' ``--auth`` knows; else as an anonymous
        one. They come :meth:`back` as the same identity.
        """
        return self._request(
            nodes.Join(
                0,
                self._kind.name,
                self.room,
                options=self._options,
                name=name,
                key=key,
                identity=identity,
            )
        )

    def say(self, player: PlayerId, message: object) -> None:
        """Says ``message`` as ``player``; the room receives it when it runs next.

        Raises :class:`BadFrame` if the kind's ``inputs`` refuse it. An input that does not fit into
        the room's inbox is sent again when there is space.
        """
        window = self._players[player].window
        self._refused.clear()
        window.take(window.last + 1, encode_value(message))
        self._send_inputs(player, window.last)
        if self._refused:
            refused = self._refused.pop()
            raise BadFrame(refused.code, refused.message)

    def leave(self, player: PlayerId) -> None:
        """Gives the player's seat up."""
        seat = self._players[player]
        self.host.handle(LINK, nodes.Leave(self.room, player, seat.session, seat.secret))

    def away(self, player: PlayerId) -> None:
        """The player's socket is lost: they hear nothing until they are :meth:`back`.

        The room gets ``Away`` after 2 s, and ``Left`` after the kind's ``resume_seconds``.
        """
        self._players[player].away = True
        self.host.handle(LINK, nodes.Absent(self.room, player, self._players[player].session))

    def back(self, player: PlayerId) -> None:
        """The player has a socket again: they hear what they missed, and their inputs are sent.

        If the room has ended meanwhile, they hear its last messages and its end. Raises
        :class:`JoinRefused` (``no_such_place``) if the seat is no longer kept.
        """
        seat = self._players[player]
        self._request(
            nodes.Resume(0, self.room, player, seat.secret, seat.seen, identity=seat.identity)
        )
        self._send_inputs(player, seat.window.acked + 1)

    def picture(self, player: PlayerId) -> Any:
        """The room's picture for ``player``, from its ``state_for``, decoded; None if it has none.

        Raises the errors of ``state_for``. Let the room run first: it sets ``state_for``.
        """
        room = self.host.find(self.room)
        draw = None if room is None or room.state.table is None else room.state.table.state_for
        return None if draw is None else msgspec.json.decode(encode_value(draw(player)))

    def heard_by(self, player: PlayerId) -> list[Any]:
        """All messages that this player has heard so far, decoded."""
        return self._players[player].heard

    async def messages(self) -> list[Any]:
        """Lets the room run until it waits; returns its messages since the last call.

        Raises the error that the room crashed with.
        """
        await trio.testing.wait_all_tasks_blocked()
        self.check()
        new, self._read = self.heard[self._read :], len(self.heard)
        return new

    async def ended(self) -> Any:
        """Waits for the room's end and returns its result; None unless the room finished.

        Raises the error that the room crashed with. :attr:`reason` tells how the room ended.
        """
        await self._over.wait()
        self.check()
        return self._result

    async def move(self) -> None:
        """Moves the room to another node: through its image, encoded and decoded.

        Its function is called again there, with what is in the room's state; players notice
        nothing. Raises :class:`StateFailed`, with the reason, if the room cannot move: its kind
        never does, the state cannot be encoded, or its function does not rest within 1 s. Raises
        :class:`StateUnreadable` if what is encoded does not fit the state's type.
        """
        self.check()
        there = self._new_host()
        await move_room(self.room, self.host, there)
        self.host = there
        self.check()
        for player, seat in self._players.items():
            if not (seat.away or player in self.outs):
                self._request(
                    nodes.Renew(
                        0,
                        self.room,
                        player,
                        seat.secret,
                        seat.seen,
                        identity=seat.identity,
                        session=seat.session,
                    )
                )
                self._send_inputs(player, seat.window.acked + 1)

    def drain(self, seconds: float) -> None:
        """Drains the node: the room gets ``Draining``, with ``seconds`` until it would be cut."""
        self.host.matchmaker.doors_open = False
        self.host.drain(trio.current_time() + seconds)

    def cut(self) -> None:
        """Cancels the room, as a node does at its deadline."""
        self.host.cut()

    def check(self) -> None:
        """Raises the error that the room crashed with, once."""
        crash, self._crash = self._crash, None
        if crash is not None:
            raise crash

    def _new_host(self) -> Host:
        """A host like that of another node, which runs until the end of the block."""
        host = Host(
            kinds={self._kind.name: self._kind},
            node=NodeName("table"),
            rng=self._rng,
            outbox=self._receive,
            policy=self._policy,
            on_end=self._on_end,
            on_crash=self._on_crash,
        )
        rooms, services = self._nurseries
        host.serve(rooms)
        services.start_soon(host.watch)
        return host

    def _request(self, request: nodes.Join | nodes.Resume) -> PlayerId:
        """Takes a seat, or takes it again, and confirms that the answer has arrived."""
        self._asking = request.identity
        self.host.handle(LINK, request)
        answer = self._answers.pop()
        if isinstance(answer, nodes.Refused):
            raise JoinRefused(answer.code, answer.message, retry=False)
        self.room = answer.room
        self.host.handle(LINK, nodes.Confirm(answer.room, answer.player, answer.session))
        return answer.player

    def _send_inputs(self, player: PlayerId, n: int) -> None:
        """Sends the player's inputs from ``n`` on; while they are away, :meth:`back` does it."""
        seat = self._players[player]
        if seat.away:
            return
        for number, body in seat.window.unacked_from(n):
            self.host.handle(LINK, nodes.Say(self.room, player, seat.session, number, body))
        self.host.flush_acks()

    def _on_end(self, _: RoomState, reason: EndReason, result: bytes) -> None:
        self.reason = reason
        self._result = msgspec.json.decode(result) if result else None
        self._over.set()

    def _on_crash(self, _: RoomState, error: BaseException) -> None:
        if self._crash is None:  # an author's error may be false
            self._crash = error

    def _receive(self, _: LinkId, item: nodes.Down) -> None:
        match item:
            case nodes.Seated() | nodes.Resumed() | nodes.Refused():
                self._on_answer(item)
            case nodes.Message():
                self._deliver(item.seq, item.body, self._players if item.to is None else item.to)
            case nodes.Replay():
                for seq, body in item.messages:
                    self._deliver(seq, body, [item.player])
            case nodes.Acks():
                for _room, player, n in item.acks:
                    self._players[player].window.ack(n)
            case nodes.BadInput():
                self._refused.append(item)
            case nodes.Wanted():
                self._send_inputs(item.player, item.n)
            case nodes.Out(reason=reason) if reason != nodes.TAKEN_OVER:
                self.outs[item.player] = EndReason(reason)

    def _on_answer(self, answer: nodes.Seated | nodes.Resumed | nodes.Refused) -> None:
        self._answers.append(answer)
        if isinstance(answer, nodes.Seated):
            self._players[answer.player] = _Player(answer, self._asking)
        elif isinstance(answer, nodes.Resumed):
            self._players[answer.player].arrive(answer)
            self._players[answer.player].window.ack(answer.n)

    def _deliver(self, seq: int, body: bytes, to: Iterable[PlayerId]) -> None:
        decoded = msgspec.json.decode(body)
        if seq not in self._numbers:
            self._numbers.add(seq)
            self.heard.append(decoded)
        for player in to:
            seat = self._players[player]
            if not (seat.away or player in self.outs):
                seat.heard.append(decoded)
                seat.seen = seq

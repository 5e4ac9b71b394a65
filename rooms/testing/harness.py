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
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio
import trio.testing

from lastcall.errors import RoomWaits
from lastcall.exception_groups import lone_error
from lastcall.host.host import Host
from lastcall.host.room_state import RoomState
from lastcall.identity import Identity
from lastcall.ids import PlayerId, RoomId
from lastcall.kind import Kind
from lastcall.policy import RoomPolicy
from lastcall.reasons import EndReason
from lastcall.testing.moving import move_room, outlive
from lastcall.testing.node import TableNode
from lastcall.testing.outside import Outside
from lastcall.testing.players import Players
from lastcall.testing.standstill import standstill
from lastcall.wire import nodes
from lastcall.wire.values import encode_value

__all__ = ["Table", "play"]

LOOK_SECONDS = 1.0


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
    async with trio.open_nursery() as services:
        table = Table(kind, {} if options is None else options, policy, services)
        await table._start()  # noqa: SLF001 - not for authors
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


class _Ending:
    """How the room has ended, if it has."""

    def __init__(self) -> None:
        self.over = trio.Event()
        self.reason: EndReason | None = None
        self.result: Any = None
        self._crash: BaseException | None = None

    def end(self, _: RoomState, reason: EndReason, result: bytes) -> None:
        """The room is over; ``result`` is JSON, or empty."""
        self.reason = reason
        self.result = msgspec.json.decode(result) if result else None
        self.over.set()

    def crash(self, _: RoomState, error: BaseException) -> None:
        """The author's code has raised ``error``; the first one counts."""
        if self._crash is None:  # an author's error may be false
            self._crash = error

    def check(self) -> None:
        """Raises the error that the room crashed with, once."""
        crash, self._crash = self._crash, None
        if crash is not None:
            raise crash


class Table:
    """One room, its players, and the messages that they heard."""

    def __init__(
        self, kind: Kind, options: object, policy: RoomPolicy | None, services: trio.Nursery
    ) -> None:
        self._kind = kind
        self._policy = msgspec.structs.replace(policy or RoomPolicy(), takeover_seconds=0)
        self._services = services
        self._rng = random.Random(0)  # noqa: S311 - the same ids in each run; nothing is secret
        self._ending = _Ending()
        self._outside = Outside(kind.function) if kind.survives else None
        self._players = Players(kind.name, encode_value(options), self._handle)
        self._node = self._new_node()
        self._read = 0
        self.heard = self._players.heard
        """All messages of the room so far, to all or to one player, decoded.

        A message that nobody could receive, since all its players were away, is added when one of
        them is back.
        """
        self.outs = self._players.outs
        """The players who left or were kicked while the room went on, and those who learned only
        when they were :meth:`back` that it had ended."""

    async def _start(self) -> None:
        """Starts the room's node."""
        self._services.start_soon(self._players.run)
        await self._node.start()

    @property
    def host(self) -> Host:
        """The engine that runs the room, as in a node: another one after each move or loss."""
        return self._node.host

    @property
    def room(self) -> RoomId:
        """The room's id; empty before the first join."""
        return self._players.room

    @property
    def reason(self) -> EndReason | None:
        """Why the room has ended, or None while it runs."""
        return self._ending.reason

    def join(self, name: str = "", *, key: str = "", identity: Identity | None = None) -> PlayerId:
        """Takes a seat and returns its player; raises :class:`JoinRefused` as a client would.

        With ``identity``, as a client whom the api nodes' ``--auth`` knows; else as an anonymous
        one. They come :meth:`back` as the same identity.
        """
        return self._players.join(name, key, identity)

    def say(self, player: PlayerId, message: object) -> None:
        """Says ``message`` as ``player``; the room receives it when it runs next.

        Raises :class:`BadFrame` if the kind's ``inputs`` refuse it. An input that does not fit into
        the room's inbox is sent again when there is space.
        """
        self._players.say(player, message)

    def leave(self, player: PlayerId) -> None:
        """Gives the player's seat up."""
        self._players.leave(player)

    def away(self, player: PlayerId) -> None:
        """The player's socket is lost: they hear nothing until they are :meth:`back`.

        The room gets ``Away`` after 2 s, and ``Left`` after the kind's ``resume_seconds``.
        """
        self._players.lose(player)

    def back(self, player: PlayerId) -> None:
        """The player has a socket again: they hear what they missed, and their inputs are sent.

        If the room has ended meanwhile, they hear its last messages and its end. Raises
        :class:`JoinRefused` (``no_such_place``) if the seat is no longer kept.
        """
        self._players.resume(player)

    def picture(self, player: PlayerId) -> Any:
        """The room's picture for ``player``, from its ``state_for``, decoded; None if it has none.

        Raises the errors of ``state_for``. Let the room run first: it sets ``state_for``.
        """
        room = self.host.find(self.room)
        draw = None if room is None or room.state.table is None else room.state.table.state_for
        return None if draw is None else msgspec.json.decode(encode_value(draw(player)))

    def heard_by(self, player: PlayerId) -> list[Any]:
        """All messages that this player has heard so far, decoded."""
        return self._players.heard_by(player)

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
        Raises :class:`RoomWaits` if the room waits, and nothing is due that could end it. A room
        whose alarms ring for ever is not found out: bound it with :func:`trio.fail_after`.
        """
        with lone_error():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch_for_standstill)
                await self._ending.over.wait()
                nursery.cancel_scope.cancel()
        self.check()
        return self._ending.result

    async def _watch_for_standstill(self) -> None:
        while True:
            await trio.testing.wait_all_tasks_blocked()
            room = self.host.find(self.room)
            is_moving = room is None and self.room
            if not is_moving and (why := standstill(room, self._services)):
                raise RoomWaits(why)
            await trio.sleep(LOOK_SECONDS)

    async def move(self) -> None:
        """Moves the room to another node: through its image, encoded and decoded.

        Its function is called again there, with what is in the room's state; players notice
        nothing. Raises :class:`StateFailed`, with the reason, if the room cannot move: its kind
        never does, the state cannot be encoded, or its function does not rest within 1 s. Raises
        :class:`StateUnreadable` if what is encoded does not fit the state's type. A room that
        survives its node goes to the node with its copy, as it is in its last step.
        """
        await self._go_on(move_room)

    async def lose_node(self, *, may_forget: Collection[str] = ()) -> None:
        """The room's node dies at this instant, without a word; the room survives it.

        It goes on at another node, from the copy that its standby has: as it was when its function
        last waited for an event, or committed. Its function is called again, and gets what it had
        in hand or had not read once more. Players notice nothing, and hear nothing twice; of what
        the room has said since, they hear nothing.

        Raises :class:`StateFailed` or :class:`StateUnreadable`, and no node has died, if the kind
        does not survive, if the standby has no copy, because the room has not run yet or its state
        cannot be encoded, or if the room has changed variables outside of its state: those that it
        ``may_forget`` are given by name. Raises :class:`StateFailed` if the function has spoken and
        then not waited for an event within 10 s after it was called again.
        """
        if self._outside is not None:
            self._outside.check(may_forget)
        await self._go_on(outlive)

    def drain(self, seconds: float) -> None:
        """Drains the node: the room gets ``Draining``, with ``seconds`` until it would be cut."""
        self.host.matchmaker.doors_open = False
        self.host.drain(trio.current_time() + seconds)

    def cut(self) -> None:
        """Cancels the room, as a node does at its deadline."""
        self.host.cut()

    def check(self) -> None:
        """Raises the error that the room crashed with, once."""
        self._ending.check()

    async def _go_on(self, how: Callable[[RoomId, TableNode, TableNode], Awaitable[None]]) -> None:
        """The room goes on at another node, and the places with it."""
        self.check()
        there = self._new_node()
        await how(self.room, self._node, there)
        self._node = there
        self.check()
        await self._players.renew()

    def _new_node(self) -> TableNode:
        ending, receive = self._ending, self._players.receive
        return TableNode(
            self._kind,
            self._policy,
            self._rng,
            self._services,
            outbox=receive,
            on_end=ending.end,
            on_crash=ending.crash,
        )

    def _handle(self, item: nodes.Up) -> None:
        self._node.handle(item)

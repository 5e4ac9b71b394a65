"""A node that runs a table's room, and that a test may lose."""

from __future__ import annotations

import random
from collections.abc import Callable

import trio

from lastcall.host.host import Host, HostEvents
from lastcall.host.room_state import RoomState
from lastcall.ids import LinkId, NodeName
from lastcall.kind import Kind
from lastcall.policy import RoomPolicy
from lastcall.reasons import EndReason
from lastcall.testing.standby import Standby
from lastcall.wire import nodes

LINK = LinkId(1)
END_SECONDS = 1.0
"""For the tasks of a node that is lost to end; then they are left behind, and heard by nobody."""


class TableNode:
    """A host as in a node; a kind that survives has a standby there, one room at a time."""

    def __init__(
        self,
        kind: Kind,
        policy: RoomPolicy,
        rng: random.Random,
        services: trio.Nursery,
        *,
        outbox: Callable[[nodes.Down], None],
        on_end: Callable[[RoomState, EndReason, bytes], None],
        on_crash: Callable[[RoomState, BaseException], None],
    ) -> None:
        self._services = services
        self._outbox = outbox
        self._on_crash = on_crash
        self._alive = True
        self._life = trio.CancelScope()
        self._ended = trio.Event()
        self.standby = Standby() if kind.survives else None
        self.host = Host(
            kinds={kind.name: kind},
            node=NodeName("table"),
            rng=rng,
            outbox=self._send,
            policy=policy,
            events=HostEvents(on_end=on_end, on_crash=self._crashed),
            protector=self.standby,
        )
        if self.standby is not None:
            self.standby.host = self.host

    async def start(self) -> None:
        """Runs rooms from now on, until killed, or until the nursery is cancelled."""
        await self._services.start(self._run)

    async def _run(self, task_status: trio.TaskStatus[None]) -> None:
        with self._life:
            async with trio.open_nursery() as rooms:
                self.host.serve(rooms)
                task_status.started()
                await self.host.watch()
        self._ended.set()

    def handle(self, item: nodes.Up) -> None:
        """One request of an api node."""
        self.host.handle(LINK, item)
        self.host.flush_acks()

    async def kill(self) -> None:
        """Nobody hears any more of this node from now on; returns when its tasks have ended."""
        self._alive = False
        self._life.cancel()
        with trio.move_on_after(END_SECONDS):
            await self._ended.wait()

    def _send(self, _: LinkId, item: nodes.Down) -> None:
        if self._alive:
            self._outbox(item)

    def _crashed(self, room: RoomState, error: BaseException) -> None:
        if self._alive:
            self._on_crash(room, error)

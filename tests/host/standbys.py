"""Protectors for the tests of surviving rooms, named by what they do; and a host with one."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
from msgspec.structs import replace

from lastcall import Kind
from lastcall.host.host import Host
from lastcall.host.images import capture
from lastcall.host.standby_copy import StandbyCopy
from lastcall.ids import LinkId, NodeName, RoomId
from lastcall.policy import RoomPolicy
from lastcall.wire import nodes
from lastcall.wire.images import Image, decode_image
from lastcall.wire.steps import LOST_STEP, RoomStep, decode_step
from tests.host.host_harness import HostHarness


class LateProtector:
    """Keeps a copy of one room, and confirms steps only when it is told to."""

    host: Host

    def __init__(self) -> None:
        self.copy: StandbyCopy | None = None
        self.room = RoomId("")
        self.n = 0
        self.waiting: deque[tuple[int, bytes]] = deque()
        self.steps: list[RoomStep] = []
        self.fails: list[bool] = []
        self.over = False
        self.on_apply: Callable[[Image], None] = lambda _image: None

    def opened(self, room: RoomId, epoch: int) -> None:
        self.room = room
        image = self.host.protected.image(room)
        assert image is not None
        assert decode_image(image).epoch == epoch
        self.copy = self.host.moves.keep(image)
        self.on_apply(self.copy.image())

    def step(self, room: RoomId, data: bytes) -> int:
        assert room == self.room
        self.n += 1
        self.waiting.append((self.n, data))
        if data != LOST_STEP:
            self.steps.append(decode_step(data))
        return self.n

    def failing(self, room: RoomId, *, failing: bool) -> None:
        assert room == self.room
        self.fails.append(failing)

    def ended(self, room: RoomId) -> None:
        assert room == self.room
        self.over = True

    def asked(self, link: LinkId, item: nodes.Up, room: RoomId) -> bool:
        """No other room's image is kept here."""
        del link, item, room
        return False

    def voted(self, link: LinkId, vote: nodes.Vote) -> None:
        raise AssertionError(f"{vote} by {link}, and nobody has asked for one")

    def confirm(self, count: int = 1_000_000) -> None:
        """The standby has up to ``count`` more steps, and the primary hears so."""
        while self.waiting and count > 0:
            n, data = self.waiting.popleft()
            assert self.copy is not None
            if data != LOST_STEP:
                self.copy.apply(data)
                self.on_apply(self.copy.image())
            self.host.protected.leave(self.room, n)
            count -= 1
        if self.over and not self.waiting:
            self.host.protected.finished(self.room)


class PromptProtector(LateProtector):
    """Confirms each step before :meth:`step` returns."""

    def step(self, room: RoomId, data: bytes) -> int:
        n = super().step(room, data)
        self.confirm()
        return n

    def ended(self, room: RoomId) -> None:
        super().ended(room)
        self.confirm()


class ProtectedHarness(HostHarness):
    """A host whose surviving rooms have a protector."""

    def __init__(self, work: trio.Nursery, *kinds: Kind, protector: LateProtector) -> None:
        super().__init__(work, *kinds)
        self.protector = protector
        self.host = protector.host = Host(
            kinds={kind.name: kind for kind in kinds},
            node=NodeName("game-1"),
            rng=random.Random(1),
            outbox=self._sent,
            policy=replace(RoomPolicy(), takeover_seconds=0),
            protector=protector,
        )
        self.host.serve(work)

    def request(self, link: LinkId, item: nodes.Up) -> None:
        """One request of an api node."""
        self.host.handle(link, item)
        self.host.flush_acks()


@asynccontextmanager
async def protected_host(*kinds: Kind, protector: LateProtector) -> AsyncIterator[ProtectedHarness]:
    async with trio.open_nursery() as work:
        harness = ProtectedHarness(work, *kinds, protector=protector)
        work.start_soon(harness.host.watch)
        yield harness
        work.cancel_scope.cancel()


def own_capture(host: Host, room: RoomId) -> Image:
    """The room as it is, without the inputs that wait: they are said again."""
    live = host.find(room)
    assert live is not None
    image = capture(live.state)
    return replace(image, events=tuple(each for each in image.events if each.what != "said"))


def without_times(image: Image) -> Any:
    """The image but for what ages."""
    return replace(
        image,
        open_seconds=0.0,
        seats=tuple(
            replace(seat, away_seconds=None if seat.away_seconds is None else 0.0)
            for seat in image.seats
        ),
        alarms=tuple(replace(each, seconds_left=0.0) for each in image.alarms),
        bans=(),  # the primary forgets one that is over
        gone=tuple(replace(each, seconds_left=0.0) for each in image.gone),
    )

"""The rooms of one game node: who gets which seat, and how rooms end.

Every method but :meth:`Host.wait_empty` and :meth:`Host.watch` is synchronous, so that what a
request carries is applied as a whole before any room runs; and nothing that comes from the wire
makes one raise.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from itertools import islice, takewhile
from typing import Any

import structlog
import trio

from rooms.author import Kind
from rooms.core.lobby import Lobby
from rooms.core.roster import Seat
from rooms.errors import BadFrame
from rooms.ids import KindName, LinkId, NodeName, PlayerId, RoomId, new_room
from rooms.policy import RoomPolicy
from rooms.reasons import EndReason, ErrorCode
from rooms.runtime.live_room import LiveRoom
from rooms.runtime.served import Served
from rooms.wire import nodes

__all__ = ["Host"]

SWEEP_SECONDS = 1.0
ROOMS_TOLD = 50
"""In :meth:`Host.why`: enough to act on, where thousands would only hold the loop."""


def log_crash(room: LiveRoom, error: BaseException) -> None:
    """The default of ``on_crash``: the event ``room.crashed``, with the traceback."""
    structlog.get_logger().error(
        "room.crashed", room=room.id, kind=room.served.kind.name, exc_info=error
    )


class Host:
    """All rooms of a node.

    ``outbox`` takes what goes to an api node; it must not raise, and ignores links that are gone.
    ``on_change`` is called when rooms or free seats have changed, often several times in a row;
    ``on_end`` with each room that is over, why, and the JSON of its result (empty unless it
    finished); ``on_crash`` before that with what the author's code raised.
    """

    def __init__(
        self,
        *,
        kinds: Mapping[KindName, Kind],
        node: NodeName,
        rng: random.Random,
        outbox: Callable[[LinkId, nodes.Down], None],
        policy: RoomPolicy | None = None,
        on_change: Callable[[], None] = lambda: None,
        on_end: Callable[[LiveRoom, EndReason, bytes], None] = lambda *_: None,
        on_crash: Callable[[LiveRoom, BaseException], None] = log_crash,
    ) -> None:
        self._kinds = {name: Served(kind) for name, kind in kinds.items()}
        self._node = node
        self._rng = rng
        self.outbox = outbox
        self.policy = policy or RoomPolicy()
        self._on_change = on_change
        self._on_end = on_end
        self.crashed = on_crash
        self._lobby = Lobby(self._kinds)
        self._rooms: dict[RoomId, LiveRoom] = {}
        self._keys: dict[tuple[KindName, str], LiveRoom] = {}
        self._empty: dict[LiveRoom, float] = {}
        """Rooms without a player, and since when; the one that is empty for longest first."""
        self._acks: dict[LinkId, dict[tuple[RoomId, PlayerId], int]] = {}
        self._work: trio.Nursery | None = None
        self._opened = 0
        self._emptied = trio.Event()
        self.cut_at: float | None = None
        """When what still runs will be cut, as :func:`trio.current_time`; None before a drain."""
        self.doors_open = True
        self.ends: dict[EndReason, int] = dict.fromkeys(
            (EndReason.FINISHED, EndReason.CUT, EndReason.CRASHED, EndReason.ABANDONED), 0
        )
        """How many rooms have ended, by reason."""
        self.regrouped = 0
        """How many were given up before they had started, their players seated elsewhere."""

    # What the wire brings

    def handle(self, link: LinkId, item: nodes.Up) -> None:
        """Applies one item that came by ``link``; answers go to ``outbox``, acks wait for
        :meth:`flush_acks`. What is about a room or player that is gone is dropped in silence.
        """
        match item:
            case nodes.Say():
                if (room := self._rooms.get(item.room)) is not None:
                    room.hear(item)
            case nodes.Join():
                self._join(link, item)
            case nodes.Leave() | nodes.Absent():
                reason = EndReason.LEFT if isinstance(item, nodes.Leave) else None
                if (room := self._rooms.get(item.room)) is not None:
                    room.leave(item.player, item.session, reason)
            case nodes.Unknown():
                pass

    def flush_acks(self) -> None:
        """Sends the acks that have gathered, one item a link: call it once after each request."""
        acks, self._acks = self._acks, {}
        for link, of_link in acks.items():
            self.outbox(link, nodes.Acks([(room, who, n) for (room, who), n in of_link.items()]))

    def drop_link(self, link: LinkId) -> None:
        """The link is gone, and so are all players that sat here by way of it."""
        self._acks.pop(link, None)
        for room in list(self._rooms.values()):
            room.drop_link(link)

    # What the node asks

    def serve(self, work: trio.Nursery) -> None:
        """From now on rooms may be opened; each is one task in ``work``."""
        self._work = work

    @property
    def rooms(self) -> int:
        """How many rooms are running."""
        return len(self._rooms)

    @property
    def players(self) -> int:
        """How many seats are taken. Looks at every room."""
        return sum(len(room.roster) for room in self._rooms.values())

    def seats(self) -> dict[KindName, int]:
        """Free seats in open rooms, for every kind that is served."""
        return self._lobby.seats()

    @property
    def sizes(self) -> dict[KindName, int]:
        """The seats of a room, for every kind that is served."""
        return {name: served.kind.seats for name, served in self._kinds.items()}

    def why(self) -> list[str]:
        """What keeps the node up: a sentence for each of the oldest rooms, then how many more."""
        now = trio.current_time()
        sentences = [
            f"{room.served.kind.name} {room.id}, {now - room.born:.0f} s old, "
            f"{len(room.roster)} player{'' if len(room.roster) == 1 else 's'}"
            for room in islice(self._rooms.values(), ROOMS_TOLD)
        ]
        more = len(self._rooms) - len(sentences)
        return [*sentences, f"and {more} younger rooms"] if more else sentences

    def close_doors(self) -> None:
        """From now on only rooms that a join names take players; the rest is ``draining``."""
        self.doors_open = False

    def open_doors(self) -> None:
        """Takes :meth:`close_doors` back."""
        self.doors_open = True

    def drain(self, cut_at: float) -> None:
        """Tells every room, also those still to come, that :meth:`cut` comes at ``cut_at``
        (:func:`trio.current_time`). Rooms without players are given up, now and later; rooms that
        have not started are regrouped.
        """
        self.cut_at = cut_at
        for room in list(self._rooms.values()):
            room.warn(self._seconds_left(cut_at))

    def cut(self) -> None:
        """Cancels what still runs. The players are told as each room's ``finally`` is through."""
        for room in list(self._rooms.values()):
            room.cancel(EndReason.CUT)

    async def wait_empty(self) -> None:
        """Waits until no room runs; returns at once if none does. Always a checkpoint."""
        await trio.lowlevel.checkpoint()
        while self._rooms:
            await self._emptied.wait()

    async def watch(self) -> None:
        """Gives up rooms that have had no player for ``empty_seconds``, until cancelled."""
        while True:
            await trio.sleep(SWEEP_SECONDS)
            self._give_up_empty(trio.current_time() - self.policy.empty_seconds)

    def _give_up_empty(self, since: float) -> None:
        for room, _ in list(takewhile(lambda item: item[1] <= since, self._empty.items())):
            room.cancel(EndReason.ABANDONED)

    # Joins

    def _join(self, link: LinkId, join: nodes.Join) -> None:
        if join.room:
            self._join_room(link, join)
        elif (served := self._kinds.get(join.kind)) is None:
            known = ", ".join(sorted(self._kinds))
            self._refuse(link, join, ErrorCode.NO_SUCH_KIND, f"no kind {join.kind!r}; {known}")
        else:
            self._join_kind(link, join, served)

    def _join_room(self, link: LinkId, join: nodes.Join) -> None:
        room = self._rooms.get(join.room)
        refusal = ErrorCode.NO_SUCH_ROOM if room is None else self._admit(room, link, join)
        if refusal is not None:
            self._refuse(link, join, refusal, f"room {join.room!r}: {_WHY[refusal]}")

    def _join_kind(self, link: LinkId, join: nodes.Join, served: Served) -> None:
        mine = self._keys.get((join.kind, join.key)) if join.key else None
        if mine is not None and mine.admit(link, join, self._rng) is None:
            return
        if not self.doors_open or self._work is None:
            self._refuse(link, join, nodes.DRAINING, "this node opens no rooms")
            return
        try:
            options = served.read_options(join.options)
        except BadFrame as bad:
            self._refuse(link, join, bad.code, str(bad))
            return
        chosen = None if join.new else self._lobby.choose(join.kind)
        if chosen is None and len(self._rooms) >= self.policy.max_rooms:
            limit = self.policy.max_rooms
            self._refuse(link, join, ErrorCode.FULL, f"this node runs {limit} rooms, its limit")
            return
        room = self._open(served, options, join.options) if chosen is None else self._rooms[chosen]
        self._admit(room, link, join)
        if chosen is None:
            self._start(room)

    def _admit(self, room: LiveRoom, link: LinkId, join: nodes.Join) -> ErrorCode | None:
        refusal = room.admit(link, join, self._rng)
        if refusal is None and join.key:
            self._keys[room.served.kind.name, join.key] = room
        return refusal

    def _open(self, served: Served, options: Any, raw: bytes) -> LiveRoom:
        room_id = new_room(self._rng, self._node)
        room = LiveRoom(
            self,
            served,
            room_id=room_id,
            options=options,
            raw_options=raw,
            age=self._opened,
        )
        self._opened += 1
        self._rooms[room_id] = room
        return room

    def _start(self, room: LiveRoom) -> None:
        if self.cut_at is not None:
            room.warn(self._seconds_left(self.cut_at))
        if self._work is not None:
            self._work.start_soon(room.run, name=room.id)

    def _refuse(self, link: LinkId, join: nodes.Join, code: str, message: str) -> None:
        self.outbox(link, nodes.Refused(join.call, code, message))

    def _seconds_left(self, cut_at: float) -> float:
        return max(0.0, cut_at - trio.current_time())

    # What the rooms tell: rooms.runtime.live_room.House

    def ack(self, room: LiveRoom, seat: Seat) -> None:
        """Notes for :meth:`flush_acks` what the room has of a player."""
        acks = self._acks.get(seat.link)
        if acks is None:
            acks = self._acks[seat.link] = {}
        acks[room.id, seat.player] = seat.last_n

    def doors_changed(self, room: LiveRoom) -> None:
        """Its free seats are others than before, or its players."""
        self._lobby.put(
            room.id, room.served.kind.name, age=room.age, free=room.free, started=room.started
        )
        if room.roster or room.closed:
            self._empty.pop(room, None)
        else:
            self._empty.setdefault(room, trio.current_time())
        self._on_change()

    def freed(self, room: LiveRoom, seat: Seat) -> None:
        """A player is gone from a room that runs on."""
        self._forget(room, seat)
        self.doors_changed(room)

    def ended(self, room: LiveRoom, reason: EndReason, result: bytes) -> None:
        """The room is over, and its players are told."""
        if room.regrouped:
            self.regrouped += 1
        else:
            self.ends[reason] += 1
        del self._rooms[room.id]
        for seat in room.roster:
            self._forget(room, seat)
        if not self._rooms:
            self._emptied.set()
            self._emptied = trio.Event()
        self._on_end(room, reason, result)
        self._on_change()

    def _forget(self, room: LiveRoom, seat: Seat) -> None:
        name = (room.served.kind.name, seat.key)
        if seat.key and self._keys.get(name) is room:
            del self._keys[name]


_WHY = {
    ErrorCode.NO_SUCH_ROOM: "there is none of that id, or it is over",
    ErrorCode.FULL: "every seat is taken",
    ErrorCode.LOCKED: "it takes no more players",
}

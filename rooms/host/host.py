"""The rooms of one game node: what comes for them, what they ask for, and how they end.

Every method but :meth:`Host.wait_empty` and :meth:`Host.watch` is synchronous, so that what a
request carries is applied as a whole before any room runs; and nothing that comes from the wire
makes one raise.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from itertools import islice, takewhile
from math import inf

import structlog
import trio

from lastcall.author import Kind
from lastcall.core.room.ended_rooms import EndedRoom
from lastcall.core.room.roster import Seat
from lastcall.host.disconnect_timer import DisconnectTimer
from lastcall.host.ended_rooms import EndedRooms
from lastcall.host.live_room import LiveRoom
from lastcall.host.matchmaker import Matchmaker
from lastcall.host.players import Players
from lastcall.host.takeover_timer import TakeoverTimer
from lastcall.ids import KindName, LinkId, NodeName, PlayerId, RoomId
from lastcall.policy import RoomPolicy
from lastcall.reasons import EndReason
from lastcall.runtime.batches import Steps
from lastcall.wire import nodes

__all__ = ["Host"]

SWEEP_SECONDS = 1.0
ROOMS_TOLD = 50
"""In :meth:`Host.why`: enough to act on, where thousands would only hold the loop."""


def log_crash(room: Players, error: BaseException) -> None:
    """The default of ``on_crash``: the event ``room.crashed``, with the traceback."""
    structlog.get_logger().error(
        "room.crashed", room=room.id, kind=room.served.kind.name, exc_info=error
    )


class Host:
    """All rooms of a node.

    ``outbox`` takes what goes to an api node; it must not raise, and ignores links that are gone.
    It may be set anew: what it is now is called, without a step between it and a room.
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
        on_end: Callable[[Players, EndReason, bytes], None] = lambda *_: None,
        on_crash: Callable[[Players, BaseException], None] = log_crash,
    ) -> None:
        self._rng = rng
        self.outbox = outbox
        self.policy = policy or RoomPolicy()
        self.disconnects = DisconnectTimer(self.policy)
        self.takeovers = TakeoverTimer(self.policy.takeover_seconds, self._proceed, self._say)
        self._losses = Steps()
        self._ended_rooms = EndedRooms(self.policy, self._say)
        self._on_change = on_change
        self._on_end = on_end
        self.crashed = on_crash
        self._rooms: dict[RoomId, LiveRoom] = {}
        self._matchmaker = Matchmaker(self, self._rooms, kinds=kinds, node=node, rng=rng)
        self._empty: dict[Players, float] = {}
        """Rooms without a player, and since when; the one that is empty for longest first."""
        self._acks: dict[LinkId, dict[Seat, tuple[RoomId, PlayerId, int]]] = {}
        self._emptied = trio.Event()
        self.cut_at: float | None = None
        """When what still runs will be cut, as :func:`trio.current_time`; None before a drain."""
        self._cutting = False
        self.ends: dict[EndReason, int] = dict.fromkeys(
            (EndReason.FINISHED, EndReason.CUT, EndReason.CRASHED, EndReason.ABANDONED), 0
        )
        """How many rooms have ended, by reason."""
        self.regrouped = 0
        """How many were given up before they had started, their players seated elsewhere."""
        self.resumes = 0
        """How often a player has taken his place again."""

    def _say(self, link: LinkId, item: nodes.Down) -> None:
        """For those who keep it: to what :attr:`outbox` is then."""
        self.outbox(link, item)

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
                if not self._waits(link, item, self._matchmaker.holder(item)):
                    self._matchmaker.join(link, item)
            case nodes.Cancel():
                self.takeovers.cancel(link, item.call)
            case nodes.Unknown():
                pass
            case _:
                self._of_a_place(link, item)

    def _of_a_place(
        self, link: LinkId, item: nodes.Resume | nodes.Confirm | nodes.Leave | nodes.Absent
    ) -> None:
        room = self._place(item.room)
        match item:
            case nodes.Resume():
                if not self._waits(link, item, room):
                    self._resume(link, item, room)
            case nodes.Confirm():
                (self._ended_rooms if room is None else room).confirm(item)
            case nodes.Absent():
                (self._ended_rooms if room is None else room).lose(item)
            case nodes.Leave():
                if room is not None:
                    room.leave(item.player, item.session)

    def _place(self, room_id: RoomId) -> LiveRoom | None:
        """Where a player's place in that room is: None if in the graveyard."""
        room = self._rooms.get(room_id)
        return None if room is None or room.regrouped else room

    def _waits(self, link: LinkId, ask: nodes.Join | nodes.Resume, room: Players | None) -> bool:
        """Whether ``ask`` has to wait, since another live socket has the seat."""
        seat = None if room is None else room.contested(ask)
        if room is None or seat is None:
            return False
        return self.takeovers.begin(link, ask, room=room.id, seat=seat)

    def _proceed(self, link: LinkId, ask: nodes.Join | nodes.Resume) -> None:
        """What has waited does so no more."""
        if isinstance(ask, nodes.Join):
            self._matchmaker.join(link, ask)
        else:
            self._resume(link, ask, self._place(ask.room))

    def _resume(self, link: LinkId, resume: nodes.Resume, room: LiveRoom | None) -> None:
        place = self._ended_rooms if room is None else room
        refused = place.resume(link, resume, self._rng)
        if refused is None:
            self.resumes += 1
        else:
            self.outbox(link, refused)

    def flush_acks(self) -> None:
        """Sends the acks that have gathered, one item a link: call it once after each request."""
        acks, self._acks = self._acks, {}
        for link, of_link in acks.items():
            self.outbox(link, nodes.Acks(list(of_link.values())))

    def drop_link(self, link: LinkId, heard_until: float = inf) -> None:
        """The link is gone: all players that sat here by way of it are away.

        The first few at once, the others by :meth:`watch` (20 000 at once would hold the loop for
        200 ms); whoever takes his place again before that was never away. How rooms have ended at
        ``heard_until`` (trio time) or later, their players by this link may not have heard.
        """
        self._acks.pop(link, None)
        self.takeovers.drop_link(link)
        rooms = [room for room in self._rooms.values() if link in room.roster.links]
        self._losses.begin(self._lose_all(link, rooms, heard_until))

    def _lose_all(self, link: LinkId, rooms: list[LiveRoom], heard_until: float) -> Iterator[None]:
        yield from self._ended_rooms.drop_link(link, heard_until)
        while rooms:
            room = rooms.pop()
            yield from room.drop_link(link)
            if room.regrouped or room.id not in self._rooms:  # over since: they were not told
                yield from self._ended_rooms.drop_link(link, -inf, room.id)

    # What the node asks

    def serve(self, work: trio.Nursery) -> None:
        """From now on rooms may be opened; each is one task in ``work``."""
        self._matchmaker.work = work

    @property
    def rooms(self) -> int:
        """How many rooms are running."""
        return len(self._rooms)

    @property
    def players(self) -> int:
        """How many seats are taken. Looks at every room."""
        return sum(len(room.roster) for room in self._rooms.values())

    def find(self, room: RoomId) -> LiveRoom | None:
        """The running room of that id, or None."""
        return self._rooms.get(room)

    def seats(self) -> dict[KindName, int]:
        """Free seats in open rooms, for every kind that is served."""
        return self._matchmaker.seats()

    @property
    def sizes(self) -> dict[KindName, int]:
        """The seats of a room, for every kind that is served."""
        return self._matchmaker.sizes

    def why(self) -> list[str]:
        """What keeps the node up: a sentence for each of the oldest rooms, how many more there
        are, and how many players are yet to learn how their rooms ended.
        """
        sentences = [self._told(room) for room in islice(self._rooms.values(), ROOMS_TOLD)]
        if more := len(self._rooms) - len(sentences):
            sentences.append(f"and {more} younger rooms")
        if missing := self._ended_rooms.awaiting_result:
            sentences.append(f"{missing} player(s) between two sockets, whose rooms have ended")
        return sentences

    def _told(self, room: LiveRoom) -> str:
        seats, age = len(room.roster), trio.current_time() - room.born
        away = seats - room.roster.present
        return (
            f"{room.served.kind.name} {room.id}, {age:.0f} s old, "
            f"{seats} player{'' if seats == 1 else 's'}{f', {away} of them away' if away else ''}"
        )

    @property
    def doors_open(self) -> bool:
        """Whether joins by kind are taken."""
        return self._matchmaker.doors_open

    def close_doors(self) -> None:
        """From now on only rooms that a join names take players; the rest is ``draining``."""
        self._matchmaker.doors_open = False

    def open_doors(self) -> None:
        """Takes :meth:`close_doors` back."""
        self._matchmaker.doors_open = True

    def drain(self, cut_at: float) -> None:
        """Tells every room, also those still to come, that :meth:`cut` comes at ``cut_at``
        (:func:`trio.current_time`). Rooms without players are given up, now and later; rooms that
        have not started are regrouped; seats of players who are away are kept more briefly.
        """
        self.cut_at = cut_at
        for room in list(self._rooms.values()):
            room.warn(max(0.0, cut_at - trio.current_time()))
        self.disconnects.hurry()

    def cut(self) -> None:
        """Cancels what still runs. The players are told as each room's ``finally`` is through.

        Nobody is waited for any more who was between two sockets.
        """
        self._cutting = True
        for room in list(self._rooms.values()):
            room.cancel(EndReason.CUT)

    async def wait_empty(self) -> None:
        """Waits until no room runs; returns at once if none does. Always a checkpoint.

        A host that drains also waits for players who were lost less than ``drain_grace_seconds``
        ago and are to learn how their rooms have ended.
        """
        await trio.lowlevel.checkpoint()
        while self._rooms:
            await self._emptied.wait()
        if self.cut_at is not None and not self._cutting:
            await self._ended_rooms.wait_collected()

    async def watch(self) -> None:
        """Tells rooms who is away, frees the seats of those who stay away, gives up rooms that
        have had no player for ``empty_seconds``, and forgets ended ones; until cancelled.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.disconnects.watch)
            nursery.start_soon(self.takeovers.watch)
            nursery.start_soon(self._losses.run)
            nursery.start_soon(self._sweep)

    async def _sweep(self) -> None:
        while True:
            await trio.sleep(SWEEP_SECONDS)
            self._give_up_empty(trio.current_time() - self.policy.empty_seconds)
            while self._ended_rooms.expire():
                await trio.lowlevel.checkpoint()

    def _give_up_empty(self, since: float) -> None:
        for room, _ in list(takewhile(lambda item: item[1] <= since, self._empty.items())):
            room.cancel(EndReason.ABANDONED)

    # What the rooms tell: lastcall.host.players.RoomHost

    def ack(self, room: Players, seat: Seat) -> None:
        """Notes for :meth:`flush_acks` what the room has of a player."""
        acks = self._acks.get(seat.link)
        if acks is None:
            acks = self._acks[seat.link] = {}
        acks[seat] = (room.id, seat.player, seat.last_n)

    def unack(self, seat: Seat) -> None:
        """Takes back what :meth:`flush_acks` would say of a player to his link."""
        acks = self._acks.get(seat.link, {})
        if acks.pop(seat, None) is not None and not acks:
            del self._acks[seat.link]

    def doors_changed(self, room: Players) -> None:
        """Its free seats are others than before, or its players."""
        self._matchmaker.doors_changed(room)
        if room.roster or room.closed:
            self._empty.pop(room, None)
        else:
            self._empty.setdefault(room, trio.current_time())
        self._on_change()

    def freed(self, room: Players, seat: Seat) -> None:
        """A player is gone from a room that runs on."""
        self._matchmaker.forget(room, seat)
        self.doors_changed(room)

    def places_ended(self, room: Players, reason: EndReason, result: bytes) -> None:
        """The places in a room are over: what is left of them goes to the graveyard."""
        if not room.roster:
            return
        for seat in room.roster:
            self._matchmaker.forget(room, seat)
        kept = room.served.kind.resume_seconds
        stone = EndedRoom(
            room.id,
            roster=room.roster,
            history=room.history,
            seq=room.seq,
            reason=reason,
            result=result,
            now=trio.current_time(),
            regroup=(room.served.kind.name, room.raw_options) if room.regrouped else None,
        )
        self._ended_rooms.record_end(stone, self.policy.resume_seconds if kept is None else kept)

    def ended(self, room: Players, reason: EndReason, result: bytes) -> None:
        """The room is over, and its players are told."""
        if room.regrouped:
            self.regrouped += 1
        else:
            self.ends[reason] += 1
        del self._rooms[room.id]
        self.takeovers.ended(room.id)
        if not self._rooms:
            self._emptied.set()
            self._emptied = trio.Event()
        self._on_end(room, reason, result)
        self._on_change()

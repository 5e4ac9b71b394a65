"""The inbox of a surviving room: it knows what the room has in hand, and when the room rests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lastcall.core.room.roster import Roster
from lastcall.events import Event, Said
from lastcall.host.inbox import EVENTS_PER_TURN, Inbox
from lastcall.host.progress import ACKED, Progress
from lastcall.host.words import Words
from lastcall.ids import PlayerId
from lastcall.policy import RoomPolicy


class SteppedInbox(Inbox):
    """Calls ``on_step`` each time that the room comes to rest, before others run; ``is_own`` says
    whether the current task is the one of the room's function.

    While its words are full the room reads nothing; so the inbox fills, and blocks the players.
    """

    __slots__ = ("_is_own", "_on_step", "_resting", "_roster", "_words", "hand", "progress")

    def __init__(
        self,
        policy: RoomPolicy,
        roster: Roster,
        words: Words,
        *,
        on_room: Callable[[PlayerId | None], None],
        on_step: Callable[[], None],
        is_own: Callable[[], bool],
    ) -> None:
        super().__init__(policy.inbox_events, policy.share_events, on_room)
        self._roster = roster
        self._words = words
        self._on_step = on_step
        self._is_own = is_own
        self._resting = 0
        """1 while the room's function rests; another of its tasks may wait while that works."""
        self.progress = Progress()
        self.hand: list[Event] = []
        """The events that the room has read since its last rest: they are not done."""

    @property
    def rests(self) -> bool:
        """Whether the room waits for an event, or commits: then nothing is in hand."""
        return self._resting > 0

    def finish_hand(self) -> list[PlayerId]:
        """The events in hand are done; returns whose inputs those were."""
        players = []
        for event in self.hand:
            if type(event) is Said:
                self.progress.finish(event.player)
                players.append(event.player)
        self.hand.clear()
        return players

    def unfinished(self) -> Iterator[Event]:
        """The events in hand and those that wait, but not the inputs that are said again."""
        counts: dict[PlayerId, int] = {}
        for event in (*self.hand, *self.waiting):
            if type(event) is Said:
                index = counts.get(event.player, 0)
                counts[event.player] = index + 1
                number = self.progress.number(event.player, index)
                if number != ACKED and self._roster.find(event.player) is not None:
                    continue
            yield event

    def put(self, event: Event) -> None:
        """See :meth:`Inbox.put`. An input is the next one of its player."""
        if type(event) is Said:
            seat = self._roster.find(event.player)
            self.progress.accept(event.player, ACKED if seat is None else seat.last_n + 1)
        super().put(event)

    def restore(self, events: list[Event]) -> None:
        """See :meth:`Inbox.restore`."""
        for event in events:
            if type(event) is Said:
                self.progress.accept(event.player, ACKED)
        super().restore(events)

    async def next(self) -> Event:
        """See :meth:`Inbox.next`."""
        if self._queue and self._taken < EVENTS_PER_TURN and not self._words.full:
            event = await super().next()
            self.hand.append(event)
            return event
        own = self._is_own()  # no context manager: that would cost each input 2 µs
        self._resting += own
        try:
            if own:
                self._on_step()
            await self._words.wait_calm()
            event = await super().next()
        finally:
            self._resting -= own
        self.hand.append(event)
        return event

    async def rest(self) -> None:
        """See :meth:`Inbox.rest`; waits while the words are full."""
        own = self._is_own()
        self._resting += own
        try:
            if own:
                self._on_step()
            await self._words.wait_calm()
            await super().rest()
        finally:
            self._resting -= own

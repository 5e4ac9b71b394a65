"""A room's image that follows the room, step by step; times are in seconds of any clock.

The law: the copy of an image to which all steps since were applied is the image of the room now.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from lastcall.ids import KindName, PlayerId
from lastcall.wire.images import AlarmImage, BanImage, GoneImage, HistoryImage, Image, SeatImage
from lastcall.wire.steps import RoomStep

MESSAGE_BYTES = 140
"""The memory of a message besides its text: a tuple, a number, the header of a bytes object."""
SEAT_BYTES = 1024
"""About what a seat, an alarm or an event takes at most, without long names and claims."""


class ImageCopy:
    """The copy of ``image``, which was taken at ``now``."""

    __slots__ = (
        "_alarms",
        "_bans",
        "_bytes",
        "_first",
        "_gone",
        "_kept",
        "_since",
        "_taken_at",
        "done",
        "events",
        "forgotten",
        "locked",
        "over",
        "seats",
        "seq",
        "started",
        "state",
    )

    def __init__(self, image: Image, now: float) -> None:
        self._first = replace(
            image, state=b"", seats=(), history=HistoryImage(), events=(), bans=(), gone=()
        )
        """For the fields that never change."""
        self._taken_at = now
        self.state = image.state
        self.seq = image.history.seq
        self.forgotten = image.history.forgotten
        self._kept = list(image.history.kept)  # most are short, and an empty deque takes 760 B
        self._bytes = sum(len(body) for _, body, _ in self._kept)
        self.seats: dict[PlayerId, SeatImage] = {}
        """As they were sent; ``done`` and ``_since`` say which numbers and times hold now."""
        self.done: dict[PlayerId, int] = {}
        """The last input of each player that the room has done."""
        self._since: dict[PlayerId, float] = {}
        """Since when players are away."""
        self.events = image.events
        self.started = image.started
        self.locked = image.locked
        self.over = image.over
        self._alarms: list[tuple[AlarmImage, float]] = []
        self._bans: list[tuple[BanImage, float]] = []
        self._gone: list[tuple[GoneImage, float]] = []
        self._take_seats(image.seats, now)
        self._take_times(image.alarms, image.bans, image.gone, now)

    @property
    def kind(self) -> KindName:
        """The room's kind."""
        return self._first.kind

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        parts = len(self.seats) + len(self.events) + len(self._alarms) + len(self._gone) + 1
        messages = self._bytes + MESSAGE_BYTES * len(self._kept)
        return len(self.state) + len(self._first.options) + messages + SEAT_BYTES * parts

    def apply(self, step: RoomStep, now: float) -> None:
        """The room has made ``step``."""
        if step.state is not None:
            self.state = step.state
        if step.said or step.seq is not None or step.forgotten is not None:
            self._say(step)
        if step.done:
            self.done.update(step.done)
        if step.freed or step.seats:
            for player in step.freed:
                self._free(player)
            self._take_seats(step.seats, now)
        if step.events is not None:
            self.events = step.events
        if step.more_events:
            self.events += step.more_events
        self._take_times(step.alarms, step.bans, step.gone, now)
        self._take_flags(step)

    def image(self, now: float) -> Image:
        """The image of the room at ``now``."""
        return replace(
            self._first,
            state=self.state,
            seats=tuple(self._seat(seat, now) for seat in self.seats.values()),
            history=HistoryImage(self.seq, self.forgotten, tuple(self._kept)),
            alarms=tuple(replace(each, seconds_left=_left(at, now)) for each, at in self._alarms),
            events=self.events,
            bans=tuple(replace(each, seconds_left=_left(at, now)) for each, at in self._bans),
            gone=tuple(replace(each, seconds_left=_left(at, now)) for each, at in self._gone),
            open_seconds=self._first.open_seconds + (now - self._taken_at),
            started=self.started,
            locked=self.locked,
            over=self.over,
        )

    def _say(self, step: RoomStep) -> None:
        kept, size = self._kept, self._bytes
        for message in step.said:
            kept.append(message)
            size += len(message[1])
        if step.said:
            self.seq = step.said[-1][0]
        if step.seq is not None:
            self.seq = step.seq
        if step.forgotten is not None:
            self.forgotten = step.forgotten
            count = 0
            for number, body, _ in kept:
                if number > step.forgotten:
                    break
                size -= len(body)
                count += 1
            del kept[:count]
        self._bytes = size

    def _take_seats(self, seats: Iterable[SeatImage], now: float) -> None:
        for seat in seats:
            self.seats[seat.player] = seat
            self.done[seat.player] = seat.last_n
            if seat.away_seconds is None:
                self._since.pop(seat.player, None)
            else:
                self._since[seat.player] = now - seat.away_seconds

    def _free(self, player: PlayerId) -> None:
        for by_player in (self.seats, self.done, self._since):
            by_player.pop(player, None)

    def _take_times(
        self,
        alarms: tuple[AlarmImage, ...] | None,
        bans: tuple[BanImage, ...] | None,
        gone: tuple[GoneImage, ...] | None,
        now: float,
    ) -> None:
        if alarms is not None:
            self._alarms = [(each, now + each.seconds_left) for each in alarms]
        if bans is not None:
            self._bans = [(each, now + each.seconds_left) for each in bans]
        if gone is not None:
            self._gone = [(each, now + each.seconds_left) for each in gone]

    def _take_flags(self, step: RoomStep) -> None:
        if step.started is not None:
            self.started = step.started
        if step.locked is not None:
            self.locked = step.locked
        if step.over is not None:
            self.over = step.over

    def _seat(self, seat: SeatImage, now: float) -> SeatImage:
        since = self._since.get(seat.player)
        away_seconds = None if since is None else now - since
        return replace(seat, last_n=self.done[seat.player], away_seconds=away_seconds)


def _left(at: float, now: float) -> float:
    return max(0.0, at - now)

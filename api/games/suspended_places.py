"""The suspended places of an api node, and the renewals that game processes have not answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

from lastcall.api.games.calls import GameCalls
from lastcall.api.sessions.place import Place, PlaceStatus
from lastcall.api.sessions.session import Session
from lastcall.core.edge.calls import Call
from lastcall.core.edge.moved_rooms import Trail
from lastcall.core.edge.place_search import PlaceSearch
from lastcall.ids import Incarnation
from lastcall.links.link import GameLink
from lastcall.reasons import EndReason
from lastcall.runtime.rated_log import RatedLog

RENEWAL_SECONDS = 90.0
"""For the answer to a renewal while its link stands: longer than a node may hold a room that comes
to it (``HandOffPolicy.hold_seconds``)."""


@dataclass(eq=False)
class Suspended:
    """One suspended place, from the loss of its link until it is live again, or over."""

    place: Place
    trail: Trail = field(default_factory=Trail)
    search: PlaceSearch | None = None
    """Of a room that survives its node: which process is asked next."""
    behind: bool = False
    """Whether its client may have missed a whole history, since the link was reset."""
    waits_for: Incarnation | None = None
    """The process in whose queue it is; None while one is asked, or none is known."""


RenewalCall = Call[Suspended, GameLink, bool]
"""Counted by whether the place is behind."""


class SuspendedPlaces:
    """All suspended places, each from the loss of its link until it is live again, or over."""

    def __init__(self, numbers: Iterator[int]) -> None:
        self.calls: GameCalls[Suspended, bool] = GameCalls(numbers, RENEWAL_SECONDS)
        """The renewals that are not answered yet."""
        self._suspended: dict[Place, Suspended] = {}
        self._lost = RatedLog("place.lost")

    def __len__(self) -> int:
        """How many places there are, and calls that are open."""
        return len(self.calls) + len(self._suspended)

    @property
    def searched(self) -> list[Suspended]:
        """Those that are searched for."""
        return [one for one in self._suspended.values() if one.search is not None]

    @property
    def any_left(self) -> bool:
        """Whether a client has left while its place was suspended, and the room is to hear it."""
        return any(place.status is PlaceStatus.LEFT for place in self._suspended)

    def of(self, place: Place) -> Suspended:
        """The record of a suspended place."""
        return self._suspended.get(place) or self._suspended.setdefault(place, Suspended(place))

    def forget(self, one: Suspended) -> None:
        """The place is live again, or over."""
        one.waits_for = one.search = None
        self.calls.abandon_request(one)
        self._suspended.pop(one.place, None)

    def end(self, one: Suspended, end: Callable[[], object] | None = None) -> None:
        """Ends the place, by default as one whose room is lost."""
        self.forget(one)
        if one.place.status is not PlaceStatus.SUSPENDED:
            return
        if end is None:
            self._lost.warning(room=one.place.room)
            end = partial(one.place.end, EndReason.NODE_LOST)
        end()


def sessions_of(suspended: Iterable[Suspended]) -> list[Session]:
    """The sessions of the places that are still suspended."""
    return [one.place.session for one in suspended if one.place.status is PlaceStatus.SUSPENDED]

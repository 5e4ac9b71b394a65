"""One join, from the client's request to its end."""

from __future__ import annotations

from dataclasses import dataclass, field

import trio

from lastcall.api.games.calls import Pending
from lastcall.api.limits import ClientLimits
from lastcall.api.sessions.guest import Guest
from lastcall.core.accounts import ClientCharges
from lastcall.core.edge.next_steps import Refuse
from lastcall.ids import Incarnation
from lastcall.reasons import Close, ErrorCode
from lastcall.wire import frames, nodes

TOO_MANY_KEYS = Refuse(ErrorCode.TOO_MANY, "too many joins with keys that have no seat; wait")


@dataclass(eq=False)
class PendingJoin(Pending):
    """One join, and what it has been asked and told so far."""

    request: frames.Join
    guest: Guest
    former: tuple[str, ...] = ()
    """The tickets that a regrouped client may still have."""
    asked_for_key: set[Incarnation] = field(default_factory=set, init=False)
    questions: set[int] = field(default_factory=set, init=False)
    """The calls that ask for the key's seat and are not answered yet."""
    missing: bool = field(default=False, init=False)
    """Whether a node that cannot be asked now may have the room."""
    refusal: Refuse | None = field(default=None, init=False)
    """The last one that was not about draining."""

    @property
    def room(self) -> str:
        """The room that the request names, if any."""
        return self.request.room

    def item(self, number: int, *, seated_only: bool = False) -> nodes.Join:
        """The call ``number`` to a game node."""
        request = self.request
        return nodes.Join(
            call=number,
            kind=request.kind,
            room=request.room,
            new=request.new,
            options=bytes(request.options),
            name=request.name,
            key=request.key,
            seated_only=seated_only,
            address=self.guest.address,
            identity=self.guest.identity,
            former=self.former,
            private=request.private,
        )

    @property
    def _may_guess(self) -> bool:
        """Whether it could be a guess of a key that costs nothing if it is wrong: in a room that
        takes nobody, a join takes no seat.
        """
        return bool(self.request.room and self.request.key)

    @property
    def returns(self) -> bool:
        """Whether the client can come back to a seat of which it does not know."""
        return self.request.key != "" or self.former != ()

    def refuse(self, refusal: Refuse) -> None:
        """Tells the client no, and ends the join."""
        if (session := self.end()) is not None:
            session.refused(refusal.code, refusal.message)

    def admit(self, limits: ClientLimits) -> bool:
        """Whether it may be asked for. If not, it is over: too many keys had no seat."""
        failures = ClientCharges(limits.refused_keys, self.guest.accounts)
        if self._may_guess and not limits.may_fail(failures):
            self.refuse(TOO_MANY_KEYS)
            return False
        return True

    def charge_guess(self, limits: ClientLimits) -> None:
        """The room takes nobody, and its key has no seat there."""
        if self._may_guess:
            failures = ClientCharges(limits.refused_keys, self.guest.accounts)
            failures.charge(trio.current_time())

    def wrong_key(self, limits: ClientLimits) -> None:
        """Another identity has the key's seat: to this one, there is no such place."""
        failures = ClientCharges(limits.failed_resumes, self.guest.accounts)
        close = Close.TRY_AGAIN_LATER
        if limits.may_fail(failures):
            failures.charge(trio.current_time())
            close = Close.NO_SUCH_PLACE
        if (session := self.end()) is not None:
            session.lose(close)

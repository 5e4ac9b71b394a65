"""All rooms that other nodes give to this one.

Every question may come again on another link, and is answered as before: a node remembers which
moves have been released to it.
"""

from __future__ import annotations

from collections import deque

from lastcall.core.handoff.actions import Drop, Reply, Run, Taking
from lastcall.core.handoff.adoption import Adoption, Event, Key, State
from lastcall.core.handoff.parts import Assembly
from lastcall.ids import Incarnation
from lastcall.policy import HandOffPolicy
from lastcall.wire.images import PART_BYTES
from lastcall.wire.peer_items import (
    Adopt,
    Adopted,
    AdoptionRefused,
    PeerUp,
    Release,
    Released,
    Withdraw,
    Withdrawn,
)

SILENT = "the node that gives it has not decided in time"
DEAD = "the node that gives it has died"


class Adoptions:
    """The adoptions of one node. Times are in seconds of any clock.

    Each method returns what to do, in order. Whole images wait for :meth:`next_image`, so that the
    driver decodes one in each turn.
    """

    def __init__(self, policy: HandOffPolicy) -> None:
        self._policy = policy
        self._adoptions: dict[Key, Adoption] = {}
        """Those that do not run yet, in the order of their deadlines."""
        self._released: dict[Key, None] = {}
        """The newest ones that run, or have run, here."""
        self._whole: deque[Key] = deque()
        self._bytes = 0
        """Of images that are coming or wait to be decoded."""

    @property
    def held(self) -> int:
        """How many rooms are here and may be released."""
        return sum(one.state is State.HELD for one in self._adoptions.values())

    def receive(
        self, giver: Incarnation, item: PeerUp, now: float, refusal: str = ""
    ) -> list[Taking]:
        """An item of another node. With ``refusal`` this node takes no new image: that is why."""
        key = Key(giver, item.room, item.epoch)
        match item:
            case Adopt():
                return self._part(key, item, now, refusal)
            case Release():
                return self._release(key)
            case Withdraw():
                return self._withdraw(key)

    def next_image(self) -> tuple[Key, bytes] | None:
        """The next image to decode; the driver passes the outcome to :meth:`decoded`."""
        while self._whole:
            adoption = self._adoptions.get(self._whole.popleft())
            if adoption is not None and adoption.state is State.WHOLE:
                return adoption.key, adoption.assembly.image()
        return None

    def decoded(self, key: Key, refusal: str | None) -> list[Taking]:
        """The image is held here, or ``refusal`` says why not."""
        adoption = self._adoptions[key]
        if refusal is not None:
            return self._refuse(adoption, refusal)
        self._free(adoption)
        adoption.on(Event.ADOPTED)
        return [_adopted(key)]

    def gone(self, giver: Incarnation) -> list[Taking]:
        """The process ``giver`` has ended: it releases nothing any more."""
        for key in [key for key in self._released if key.giver == giver]:
            del self._released[key]
        return self._forget(
            [one for one in self._adoptions.values() if one.key.giver == giver], Event.GONE, DEAD
        )

    def due(self, now: float) -> list[Taking]:
        """Forgets what has waited for too long."""
        late = [one for one in self._adoptions.values() if one.expires_at <= now]
        return self._forget(late, Event.LATE, SILENT)

    # The items.

    def _part(self, key: Key, item: Adopt, now: float, refusal: str) -> list[Taking]:
        adoption = self._adoptions.get(key)
        if adoption is not None and adoption.state is not State.COMING:
            again = adoption.state is State.HELD and item.part == item.parts - 1
            return [_adopted(key)] if again else []
        if item.part == 0:
            if adoption is not None:
                self._remove(adoption)
            deadline = now + self._policy.hold_seconds
            adoption = self._adoptions[key] = Adoption(key, Assembly(item.parts), deadline)
        if adoption is None:
            return []  # the rest of an image that was refused at an earlier part
        if why := refusal or self._why_not(adoption, item):
            return self._refuse(adoption, why)
        adoption.assembly.add(item)
        self._bytes += len(item.data)
        if adoption.assembly.whole:
            adoption.on(Event.LAST_PART)
            self._whole.append(key)
        return []

    def _release(self, key: Key) -> list[Taking]:
        adoption = self._adoptions.get(key)
        if adoption is None or not adoption.knows(Event.RELEASE):
            return self._withdraw(key)
        adoption.on(Event.RELEASE)
        self._remove(adoption)
        self._released[key] = None
        while len(self._released) > self._policy.released_max:
            del self._released[next(iter(self._released))]
        return [Run(key.room), Reply(key.giver, Released(key.room, key.epoch))]

    def _withdraw(self, key: Key) -> list[Taking]:
        if key in self._released:
            return [Reply(key.giver, Released(key.room, key.epoch))]
        adoption = self._adoptions.get(key)
        actions = [] if adoption is None else self._forget([adoption], Event.WITHDRAW, "")
        return [*actions, Reply(key.giver, Withdrawn(key.room, key.epoch))]

    # The steps.

    def _why_not(self, adoption: Adoption, item: Adopt) -> str:
        """Why this part cannot be taken, or the empty text."""
        if not adoption.assembly.fits(item):
            return "its image came in parts that do not fit"
        if len(item.data) > PART_BYTES or item.parts * PART_BYTES > self._policy.image_bytes:
            return f"its image is larger than {self._policy.image_bytes} bytes"
        if self._bytes + len(item.data) > self._policy.images_bytes:
            return "too many images are under way"
        return ""

    def _refuse(self, adoption: Adoption, reason: str) -> list[Taking]:
        key = adoption.key
        self._forget([adoption], Event.REFUSED, "")
        return [Reply(key.giver, AdoptionRefused(key.room, key.epoch, reason))]

    def _forget(self, adoptions: list[Adoption], event: Event, reason: str) -> list[Taking]:
        actions: list[Taking] = []
        for adoption in adoptions:
            if adoption.state is State.HELD:
                actions.append(Drop(adoption.key.room, reason))
            adoption.on(event)
            self._remove(adoption)
        return actions

    def _remove(self, adoption: Adoption) -> None:
        self._adoptions.pop(adoption.key, None)
        self._free(adoption)

    def _free(self, adoption: Adoption) -> None:
        """Its bytes are not kept here any more."""
        self._bytes -= adoption.assembly.size
        adoption.assembly = Assembly(0)


def _adopted(key: Key) -> Reply:
    return Reply(key.giver, Adopted(key.room, key.epoch))

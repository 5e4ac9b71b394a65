"""The standby of a table's room: the copy by which the room outlives its node."""

from __future__ import annotations

from lastcall.errors import ImageRefused, StateFailed
from lastcall.host.host import Host
from lastcall.host.standby_copy import StandbyCopy
from lastcall.ids import LinkId, RoomId
from lastcall.wire import nodes
from lastcall.wire.images import Image

NO_IMAGE = (
    "no other node has an image of it yet: a room has one from when its function first waits for "
    "an event; let it run before: await table.messages()"
)


class Standby:
    """The :class:`lastcall.host.protector.Protector` of one room: it has each step at once.

    So what the room's players have heard is in the copy, and what is not in it, nobody has heard.
    """

    host: Host

    def __init__(self) -> None:
        self._copy: StandbyCopy | None = None
        self._why_not = NO_IMAGE
        self._steps = 0
        self._failing = False

    def image(self, room: RoomId) -> Image:
        """The room's image as of its last step; raises :class:`StateFailed` if there is none."""
        if self._copy is None:
            raise StateFailed(f"the room {room} does not outlive its node: {self._why_not}")
        return self._copy.image()

    # lastcall.host.protector.Protector

    def opened(self, room: RoomId, epoch: int) -> None:  # noqa: ARG002 - the image has the epoch
        """The room has an image from now on."""
        self._take(room)

    def step(self, room: RoomId, data: bytes) -> int:
        """The copy takes the step, and the words that belong to it leave."""
        self._steps += 1
        if self._copy is not None:
            self._copy.apply(data)
        elif not self._failing:
            self._take(room)
        self.host.protected.leave(room, self._steps)
        return self._steps

    def failing(self, room: RoomId, *, failing: bool) -> None:
        """The state cannot be encoded, and the copy is worth nothing; or it can again."""
        self._failing = failing
        if failing:
            self._copy, self._why_not = None, "its state cannot be encoded"
        else:
            self._take(room)

    def ended(self, room: RoomId) -> None:
        """The room has ended: its players are told."""
        self.host.protected.finished(room)

    def asked(self, link: LinkId, item: nodes.Up, room: RoomId) -> bool:
        """No other room's image is kept here."""
        del link, item, room
        return False

    def voted(self, link: LinkId, vote: nodes.Vote) -> None:
        """Nobody is asked for a vote."""

    def _take(self, room: RoomId) -> None:
        data = self.host.protected.image(room)
        if data is None:
            return
        try:
            self._copy = self.host.moves.keep(data)
        except ImageRefused as refused:
            self._why_not = str(refused)

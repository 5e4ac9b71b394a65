"""Takes rooms from other game nodes that drain.

The decisions are in :mod:`lastcall.core.handoff.adoptions`; here they are carried out, at a pace:
one image is decoded in each turn of the loop.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from lastcall.core.handoff.actions import Drop, Reply, Run, Taking
from lastcall.core.handoff.adoption import Key
from lastcall.core.handoff.adoptions import Adoptions
from lastcall.errors import RemoteProtocolError
from lastcall.game.peers import PeerRequests
from lastcall.host.moves import Moves
from lastcall.ids import Incarnation
from lastcall.policy import HandOffPolicy
from lastcall.wire import nodes
from lastcall.wire.images import decode_image

log = structlog.get_logger()


class RoomAdoptions:
    """The rooms that come to this node. ``rooms`` are those of its host.

    ``refusal`` says why the node takes no room now; it is empty if it does.
    """

    def __init__(
        self,
        rooms: Moves,
        requests: PeerRequests,
        policy: HandOffPolicy,
        *,
        refusal: Callable[[], str],
    ) -> None:
        self._rooms = rooms
        self._requests = requests
        self._adoptions = Adoptions(policy)
        self._refusal = refusal
        self._come = trio.Event()
        self._decided = trio.Event()
        self.adopted = 0
        """How many rooms have come and run, or have run, here."""

    @property
    def held(self) -> int:
        """How many rooms are here and may be released."""
        return self._adoptions.held

    async def wait_decided(self) -> None:
        """Waits until the givers of all rooms that are held have decided."""
        while self.held:
            await self._decided.wait()

    def expire(self, now: float) -> None:
        """Forgets the rooms whose givers should have decided by ``now``."""
        self._carry_out(self._adoptions.due(now))

    async def run(self) -> None:
        """Decodes the images that come, until cancelled."""
        while True:
            await self._come.wait()
            self._come = trio.Event()
            while (whole := self._adoptions.next_image()) is not None:
                key, data = whole
                self._carry_out(self._adoptions.decoded(key, self._adopt(key, data)))
                await trio.lowlevel.checkpoint()

    # From the other nodes.

    def asked(self, peer: Incarnation, item: nodes.PeerUp) -> None:
        """A node gives a room, or decides about one."""
        now, refusal = trio.current_time(), self._refusal()
        self._carry_out(self._adoptions.receive(peer, item, now, refusal))
        self._come.set()

    def peer_gone(self, peer: Incarnation) -> None:
        """It has died: what it has not released is over."""
        self._carry_out(self._adoptions.gone(peer))

    # The steps.

    def _adopt(self, key: Key, data: bytes) -> str | None:
        """Holds the room of that image; returns why not, if so."""
        try:
            image = decode_image(data)
        except RemoteProtocolError as error:
            return str(error)
        if (image.room, image.epoch) != (key.room, key.epoch):
            return f"the image is of the room {image.room}, epoch {image.epoch}"
        return self._rooms.adopt(image)

    def _carry_out(self, actions: list[Taking]) -> None:
        for action in actions:
            match action:
                case Reply(to, item):
                    self._requests.answer(to, item)
                case Run(room):
                    if not self._rooms.release(room):  # this process ends, and tells by its end
                        return
                    self.adopted += 1
                case Drop(room, reason):
                    self._rooms.withdraw(room)
                    if reason:
                        log.warning("handoff.forgotten", room=room, why=reason)
        self._decided.set()
        self._decided = trio.Event()

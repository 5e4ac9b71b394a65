"""One room as an api node sees it: whose places are here, and where the room's messages go.

They go to the sockets at once, in the caller's task: a frame is built once for each message, and
no other task runs between the feed and the sockets.
"""

from __future__ import annotations

from typing import Protocol

import trio

from lastcall.api.sessions.batch_tasks import AckTimer, EndNotices
from lastcall.api.sessions.client_connection import ClientCounts
from lastcall.api.sessions.place import Link, Place, PlaceStatus
from lastcall.api.sessions.sent_leaves import SentLeaves
from lastcall.api.socket.client_stream import ClientStream, send_to_all
from lastcall.api.socket.frame_builder import text_frame
from lastcall.ids import Incarnation, PlayerId, RoomId
from lastcall.reasons import EndReason
from lastcall.wire import frames, nodes


class AllRelays(Protocol):
    """All rooms of the node; :class:`lastcall.api.sessions.relays.Relays`, which imports this
    module.
    """

    left: SentLeaves
    counts: ClientCounts
    acks: AckTimer
    ends: EndNotices

    def drop(self, relay: Relay) -> None:
        """Forgets a room that has no client here any more."""


class Relay:
    """The actor of one room with clients here: made with its first place here, ended with its last.

    Its task is the room's lifetime on this node. Acks and notices of ends do not run in it: they
    are sent in batches for all rooms, since a wake-up of each room would cost more than the work.
    ``epoch`` only rises: what the room's owner before a hand-off still sends is dropped.
    """

    __slots__ = (
        "_empty",
        "_outputs",
        "_relays",
        "acks_due",
        "acks_scheduled",
        "epoch",
        "nursery",
        "owner",
        "places",
        "room",
        "seq",
        "suspended",
    )

    def __init__(self, relays: AllRelays, room: RoomId, epoch: int, owner: Incarnation) -> None:
        self._empty = trio.Event()
        self._relays = relays
        self.room = room
        self.epoch = epoch
        self.owner = owner
        """The game process that has had the room since ``epoch``."""
        self.nursery: trio.Nursery | None = None
        """Tasks that must end with the room's time on this node; None until :meth:`run` begins."""
        self.seq = 0
        """The number of the room's last message that came by the live places' link."""
        self.places: dict[PlayerId, Place] = {}
        """The live ones, which the room's messages reach."""
        self._outputs: list[ClientStream] | None = None
        """Their clients' streams; None if they are others than at the last message."""
        self.suspended: dict[PlayerId, Place] = {}
        self.acks_due: list[Place] = []
        """The places whose clients get an ack with the next message, or soon."""
        self.acks_scheduled = False
        """Whether :class:`AckTimer` will send them, if no message comes before."""

    async def run(self) -> None:
        """Runs until the last client has left; when cancelled, ends its nursery silently."""
        async with trio.open_nursery() as self.nursery:
            await self._empty.wait()
            self.nursery.cancel_scope.cancel()

    def add(self, place: Place) -> None:
        """Adds ``place``; another session that had the same player's place is taken over."""
        previous = self.places.get(place.player) or self.suspended.pop(place.player, None)
        self.places[place.player] = place
        self._outputs = None
        if previous is not None and previous.session is not place.session:
            previous.taken_over()

    def remove(self, place: Place) -> None:
        """Takes ``place`` out, unless another place has the player's seat by now."""
        for places in (self.places, self.suspended):
            if places.get(place.player) is place:
                del places[place.player]
        self._outputs = None
        if not (self.places or self.suspended):
            self._relays.drop(self)
            self._empty.set()

    def suspend(self, place: Place) -> None:
        """The place has lost its room: nothing is passed on, either way, until :meth:`resume`."""
        self.suspended[place.player] = self.places.pop(place.player)
        self._outputs = None
        place.replayed_seq = place.seen
        place.status = PlaceStatus.SUSPENDED

    def resume(self, place: Place) -> None:
        """Passes the room's messages on to the suspended place again."""
        self.places[place.player] = self.suspended.pop(place.player)
        self._outputs = None

    def rise(self, epoch: int, owner: Incarnation, link: Link | None = None) -> list[Place]:
        """The room has ``epoch`` at ``owner``: returns the places to renew there, suspended.

        Places that use ``link``, which leads there, stay. All others must get nothing more from
        here: the messages that they miss would never come. If the epoch is not new, nothing
        changes.
        """
        if epoch <= self.epoch:
            return []
        if owner != self.owner:
            self._relays.counts.rooms_moved += 1
        self.epoch, self.owner = epoch, owner
        for place in [place for place in self.places.values() if place.link is not link]:
            self.suspend(place)
        return list(self.suspended.values())

    def remember_leave(self, link: Link, leave: nodes.Leave) -> None:
        """A leave was sent: the room may move before the game node applies it."""
        self._relays.left.add(link, leave)

    def message(self, item: nodes.Message) -> None:
        """Fans one message out. No place vanishes meanwhile: see
        :mod:`lastcall.api.sessions.client_connection`.

        An ack that is due goes before the message, and so leaves in the same write: a client that
        gets messages often pays nothing for its acks.
        """
        self.seq = item.seq
        frame = text_frame(frames.message(item.seq, item.body))
        if item.to is None:
            outputs = self._outputs
            if outputs is None:
                outputs = self._outputs = [place.output for place in self.places.values()]
            counts = self._relays.counts
            counts.frames_out += len(outputs)
            counts.bytes_out += len(outputs) * len(frame)
            if self.acks_due:
                self._send_acks()
            send_to_all(outputs, frame)
            return
        for player in item.to:
            addressed = self.places.get(player)
            if addressed is not None:
                self.send(addressed, frame)

    def send(self, place: Place, frame: bytes) -> None:
        """Sends a frame to the place's client alone, as its connection would: each object on the
        way there is one more to be fetched from memory.
        """
        counts = self._relays.counts
        counts.frames_out += 1
        counts.bytes_out += len(frame)
        place.output.send_nowait(frame)

    def schedule_acks(self) -> None:
        """Has the acks sent that are due, and those that will be, at the timer's end."""
        self.acks_scheduled = True
        self._relays.acks.schedule(self)

    def take_acks_due(self) -> list[Place]:
        """The places that are to get their acks now, since the timer has ended."""
        self.acks_scheduled = False
        due, self.acks_due = self.acks_due, []
        return due

    def _send_acks(self) -> None:
        due, self.acks_due = self.acks_due, []
        for place in due:
            if place.ack_due:
                place.send_ack()

    def end(self, reason: EndReason, result: bytes) -> None:
        """The room is over for all who have its last message, whatever becomes of its link.

        A suspended place does not have it: it gets the rest, and the end, when it is reattached.
        """
        places, self.places, self._outputs = self.places, {}, None
        self._relays.ends.send(list(places.values()), lambda place: place.end(reason, result))

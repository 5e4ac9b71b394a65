"""Applies the frames of one socket to the place that it carries."""

from __future__ import annotations

from typing import Any

import msgspec
import trio

from lastcall.client.place import Place
from lastcall.client.values import Ended, InputRefused, Message, Picture, PlaceState
from lastcall.client.writer import FrameWriter
from lastcall.errors import ConnectionLost
from lastcall.wire import frames

BACKLOG_MAX = 8
"""With more frames to write, a ``got`` waits."""


class PlaceReceiver:
    """Connects one place to one socket.

    After a join, the place is on this socket from the beginning. After a resume, it moves here
    when the server gives it; until then only the answer to the resume counts.
    """

    def __init__(self, place: Place, node: str, writer: FrameWriter) -> None:
        self.place = place
        self._node = node
        self._writer = writer

    def begin(self, joined: frames.Joined) -> None:
        """The place is in a room: acknowledges ``joined``."""
        self._writer.post(self.place.progress.got())
        if joined.complete is False:
            self._skip_to(joined.seq, joined.state)

    def receive(self, frame: frames.FromServer) -> None:
        """Applies one frame; ``resumed`` moves the place to this socket."""
        place = self.place
        if place.state is PlaceState.OVER:
            return
        if place.outgoing.writer is not self._writer:
            self._on_resume_answered(frame)
            return
        match frame:
            case frames.Message():
                self._on_message(frame)
            case frames.Ack(n):
                place.outgoing.ack(n)
            case frames.Error(code, message, retry, int(n)):
                place.refused += 1
                place.errors.append(InputRefused(n, code, message, retry))
            case frames.Ended():
                self._on_ended(frame)
            case frames.Joined():
                self._on_regrouped(frame)
            case _:
                pass

    def lose_socket(self, lost: ConnectionLost) -> None:
        """The socket is gone: the place is away if a client carries it on, and lost if not."""
        place = self.place
        if place.outgoing.writer is not self._writer:
            return
        place.outgoing.writer = None
        if place.on_state is None:
            place.lose(lost)
        elif place.state is not PlaceState.OVER:
            place.away_since = trio.current_time()
            place.enter(PlaceState.AWAY)

    def _on_resume_answered(self, frame: frames.FromServer) -> None:
        """The server gives the place, or another one (regrouped), or says that it has ended."""
        if isinstance(frame, frames.Ended):
            self._on_ended(frame)
        if not isinstance(frame, frames.Resumed | frames.Joined):
            return
        place = self.place
        place.outgoing.writer, place.node = self._writer, self._node
        place.resumes += 1
        if place.away_since is not None:
            place.away_seconds = trio.current_time() - place.away_since
            place.away_since = None
        if isinstance(frame, frames.Resumed):
            self._on_resumed(frame)
        else:
            self._on_regrouped(frame)
        if place.leaving:
            self._writer.post(frames.Leave())
        place.enter(PlaceState.HERE)

    def _on_resumed(self, frame: frames.Resumed) -> None:
        progress = self.place.progress
        unacked = progress.resumed(frame)
        self._writer.post(progress.got())  # before the inputs: it confirms the new ticket
        for say in unacked:
            self._writer.post(say)
        if not frame.complete:
            self._skip_to(frame.seq, frame.state)

    def _on_regrouped(self, frame: frames.Joined) -> None:
        self.place.regroups += 1
        self.place.progress.joined(frame)
        self.place.unread.clear()
        self.place.enter_room(frame)
        self.begin(frame)

    def _skip_to(self, seq: int, state: msgspec.Raw | msgspec.UnsetType) -> None:
        """The room has forgotten messages up to ``seq``: its picture comes in place of them."""
        place = self.place
        place.incomplete += 1
        place.picture = Picture(seq, _decoded(state))
        place.unread.put(place.picture)

    def _on_message(self, frame: frames.Message) -> None:
        progress = self.place.progress
        if not progress.receive(frame.seq):
            return
        self.place.unread.put(Message(frame.seq, msgspec.json.decode(frame.d)))
        if progress.got_due and self._writer.backlog < BACKLOG_MAX:
            self._writer.post(progress.got())

    def _on_ended(self, frame: frames.Ended) -> None:
        if frame.room == self.place.room:  # else it is late, about the room before a regrouping
            self.place.ended = Ended(frame.reason, _decoded(frame.result))
            self.place.enter(PlaceState.OVER)


def _decoded(body: msgspec.Raw | msgspec.UnsetType) -> Any:
    return msgspec.json.decode(body) if isinstance(body, msgspec.Raw) else None

"""The states of rooms, encoded while their functions rest; and the log line for one that fails."""

from __future__ import annotations

from typing import Any, Protocol

from lastcall.errors import StateFailed
from lastcall.host.codec import KindCodec
from lastcall.host.inbox import Inbox
from lastcall.ids import KindName, RoomId
from lastcall.runtime.rated_log import RatedLog


class _Room(Protocol):
    """A :class:`lastcall.host.room_state.RoomState`, which imports this module."""

    author_state: Any
    codec: KindCodec
    id: RoomId
    inbox: Inbox
    state_failing: bool

    @property
    def kind(self) -> KindName: ...


class AuthorStates:
    """Encodes the states of a node's rooms."""

    def __init__(self) -> None:
        self._failures = RatedLog("room.state_failed")

    def encode(self, room: _Room) -> bytes | None:
        """The room's state; empty for a kind without. If it cannot be encoded: None.

        The first failure of a room, and the first after a success, is logged; the room runs on.
        """
        try:
            data = room.codec.encode_state(room.author_state)
        except StateFailed as error:
            if not room.state_failing:
                room.state_failing = True
                file, line = resting_place(room.inbox)
                self._failures.warning(
                    kind=room.kind, room=room.id, file=file, line=line, error=str(error)
                )
            return None
        room.state_failing = False
        return data


def resting_place(inbox: Inbox) -> tuple[str, int]:
    """The file and the line of the author's code that waits for the next event; none if none does.

    That is where the room's function rests, or the task of the room that reads its events.
    """
    place = ("", 0)
    frames = () if inbox.reader is None else inbox.reader.iter_await_frames()
    for frame, line in frames:
        if frame.f_code is Inbox.next.__code__:
            break
        place = (frame.f_code.co_filename, line)
    return place

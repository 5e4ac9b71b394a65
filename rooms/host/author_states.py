"""The states of rooms, encoded while their functions rest; and the log line for one that fails."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from itertools import dropwhile
from pathlib import Path
from typing import Any, Protocol, TypeVar

import trio

import lastcall.author
from lastcall.errors import StateFailed
from lastcall.host.codec import KindCodec
from lastcall.host.inbox import Inbox
from lastcall.host.stepped_inbox import SteppedInbox
from lastcall.ids import KindName, RoomId
from lastcall.runtime.rated_log import RatedLog

_RESTS = {rest.__code__ for inbox in (Inbox, SteppedInbox) for rest in (inbox.next, inbox.rest)}
_OURS = (str(Path(__file__).parent), lastcall.author.__file__)


class _Room(Protocol):
    """A :class:`lastcall.host.room_state.RoomState`, which imports this module."""

    author_state: Any
    codec: KindCodec
    id: RoomId
    inbox: Inbox
    state_failing: bool

    @property
    def kind(self) -> KindName: ...


R = TypeVar("R", bound=_Room)
T = TypeVar("T")


class AuthorStates:
    """Encodes the states of a node's rooms, alone or in their images."""

    def __init__(self) -> None:
        self._failures = RatedLog("room.state_failed")

    def encode(self, room: _Room) -> bytes | None:
        """The room's state; empty for a kind without, and None if it fails: see :meth:`attempt`."""
        return self.attempt(room, lambda room: room.codec.encode_state(room.author_state))

    def attempt(self, room: R, encode: Callable[[R], T]) -> T | None:
        """Returns ``encode(room)``; None if that raises :class:`StateFailed`.

        The first failure of a room, and the first after a success, is logged; the room runs on.
        """
        try:
            encoded = encode(room)
        except StateFailed as error:
            self.fail(room, error)
            return None
        room.state_failing = False
        return encoded

    def fail(self, room: _Room, error: StateFailed) -> None:
        """The room's state could not be encoded: logs that, unless it failed before."""
        if not room.state_failing:
            room.state_failing = True
            file, line = resting_place(room.inbox)
            self._failures.warning(
                kind=room.kind, room=room.id, file=file, line=line, error=str(error)
            )


def waiting_place(task: trio.lowlevel.Task | None) -> tuple[str, int]:
    """The file and the line of a room's code where its function waits for anything at all; an empty
    file if it does not. For a task that does not run now.
    """
    place = "", 0
    for frame, line in () if task is None else task.iter_await_frames():
        if frame.f_globals.get("__name__", "").partition(".")[0] == "trio":
            break
        if not frame.f_code.co_filename.startswith(_OURS):
            place = frame.f_code.co_filename, line
    return place


def resting_place(inbox: Inbox) -> tuple[str, int]:
    """The file and the line of the author's code that waits for the next event, or commits; an
    empty file if none does. It may be called in that code's own task.
    """
    frames = list(traceback.walk_stack(inspect.currentframe()))
    if all(frame.f_code not in _RESTS for frame, _ in frames):
        frames = [] if inbox.reader is None else [*inbox.reader.iter_await_frames()][::-1]
    for frame, line in dropwhile(lambda one: one[0].f_code not in _RESTS, frames):
        if not frame.f_code.co_filename.startswith(_OURS):
            return frame.f_code.co_filename, line
    return "", 0

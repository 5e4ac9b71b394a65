"""The decorator :func:`room`, which makes an author's function a kind of room."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from lastcall.author import Room, S
from lastcall.errors import BadRooms
from lastcall.ids import KindName
from lastcall.kind import (
    SEATS_MAX,
    Kind,
    Moves,
    check_arguments,
    check_function,
    check_kept,
    check_name,
    check_number,
    check_state,
)


@check_arguments
def room(
    name: str,
    *,
    seats: int,
    starts: int = 1,
    inputs: Any = Any,
    options: Any = dict[str, Any],
    history_messages: int | None = None,
    history_bytes: int | None = None,
    resume_seconds: float | None = None,
    one_seat_each: bool = False,
    state: Callable[..., S] | None = None,
    survives: bool = False,
    moves: Moves | None = None,
) -> Callable[[Callable[[Room[S]], Awaitable[Any]]], Kind]:
    """Makes an async function a kind of room that players join by ``name``.

    * ``seats``: the most players in one room.
    * ``starts``: the match has started once this many players have a seat. Before that, a drain
      closes the room and seats its players together on another node.
    * ``inputs``, ``options``: types that msgspec can decode. An input or a ``join`` that does not
      fit is refused before the room sees it. With ``inputs=None``, every input is refused: use it
      for a room that reads no events.
    * ``history_messages``, ``history_bytes``: how many messages, and how many bytes of them, the
      room keeps for players who come back (at most 8 192 and 512 KiB).
    * ``resume_seconds``: how long the seat of a player whose socket is lost is kept; at most a day.
    * ``one_seat_each``: an identity has one seat in a room: if they join again, from another device
      for instance, the newer socket gets the same seat, and the older one is closed with 4005.
      Anonymous players have no identity, and a seat for each join.
    * ``state``: the type of ``table.state``, which msgspec can encode and which ``state()`` makes
      fresh; or a function of the options that returns a fresh one, and whose annotation says of
      which type.
    * ``survives``: the room goes on at another node if its own dies.
    * ``moves``: when a room moves to another node while its own drains: at the ``"deadline"`` (the
      default with ``state`` or ``survives``), ``"at_once"``, or ``"never"`` (the default without).
      A room without ``state`` moves with its players, messages and alarms alone.

    None means the node's policy (1 024, 256 KiB, 30 s). Raises :class:`lastcall.errors.BadRooms`
    for numbers out of range, and for arguments that are missing or unknown.
    """
    check_name(name)
    check_number(name, "seats", seats, 1, SEATS_MAX)
    check_number(name, "starts", starts, 1, seats)
    check_kept(name, history_messages, history_bytes, resume_seconds)
    if type(one_seat_each) is not bool:
        raise BadRooms(f"kind {name!r}: one_seat_each is True or False; got {one_seat_each!r}")
    check_state(name, state, survives=survives, moves=moves)

    def kind(function: Callable[[Room[S]], Awaitable[Any]]) -> Kind:
        check_function(name, function)
        return Kind(
            KindName(name),
            function,
            seats,
            starts,
            inputs,
            options,
            history_messages,
            history_bytes,
            resume_seconds,
            one_seat_each,
            state,
            survives,
            moves or ("never" if state is None and not survives else "deadline"),
        )

    return kind

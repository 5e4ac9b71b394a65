"""What the players of a room, running or ended, are told of their places there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lastcall.core.room.replay import Missed
from lastcall.core.room.roster import Roster, Seat
from lastcall.ids import KindName, LinkId, RoomId
from lastcall.runtime.batches import portions
from lastcall.wire import nodes

__all__ = ["EPOCH", "no_such_place", "regroups", "replay", "resumed", "seated"]

EPOCH = 0
"""How often a room has moved; rooms do not move yet."""
PORTION_BYTES = 64 * 1024
"""How much one ``Replay`` or ``Regroup`` bears: a message between nodes is bounded."""
FRAME_BYTES = 16
"""What a message's number and length take at the most."""


def no_such_place(call: int) -> nodes.Refused:
    """The same words whatever is wrong: who guesses learns nothing."""
    return nodes.Refused(call, nodes.NO_SUCH_PLACE, "no such place here")


def seated(
    room: RoomId, kind: KindName, seat: Seat, call: int, *, seq: int, listed: Sequence[Seat]
) -> nodes.Seated:
    """The answer to a join: messages follow from ``seq`` on; ``listed`` are the players shown."""
    return nodes.Seated(
        call=call,
        room=room,
        kind=kind,
        player=seat.player,
        session=seat.session,
        epoch=EPOCH,
        seq=seq,
        secret=seat.secret,
        players=[nodes.Player(other.player, other.name) for other in listed],
    )


def resumed(
    room: RoomId, seat: Seat, call: int, missed: Missed, state: bytes = b""
) -> Iterator[nodes.Down]:
    """What his link gets, in this order, before anything live."""
    yield nodes.Resumed(
        call=call,
        room=room,
        player=seat.player,
        session=seat.session,
        epoch=EPOCH,
        seq=missed.seq,
        n=seat.last_n,
        secret=seat.secret,
        complete=missed.complete,
        state=state,
    )
    yield from replay(room, seat, missed.messages)


def replay(
    room: RoomId, seat: Seat, messages: Sequence[tuple[int, bytes]]
) -> Iterator[nodes.Replay]:
    """``messages`` for the player of ``seat`` alone, in items of at most 64 KiB."""
    for portion in portions(messages, _message_bytes, PORTION_BYTES):
        yield nodes.Replay(room, seat.player, seat.session, portion)


def regroups(
    room: RoomId, kind: KindName, roster: Roster, options: bytes
) -> Iterator[tuple[LinkId, nodes.Regroup]]:
    """To each link: its players are to be seated in another room of that kind."""
    for link in roster.links:
        for party in portions(roster.of_link(link), _party_bytes, PORTION_BYTES):
            players = [(seat.player, seat.name, seat.key) for seat in party]
            yield link, nodes.Regroup(room, EPOCH, kind, players, options)


def _message_bytes(message: tuple[int, bytes]) -> int:
    return FRAME_BYTES + len(message[1])


def _party_bytes(seat: Seat) -> int:
    return len(seat.player) + len(seat.name.encode()) + len(seat.key.encode())

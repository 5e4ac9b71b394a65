"""The frames that tell a client which place it has."""

from __future__ import annotations

import msgspec

from lastcall.ids import Ticket
from lastcall.wire import frames, nodes


def joined(seat: nodes.Seated) -> frames.Joined:
    """A new place, for a join or after a regroup."""
    return frames.Joined(
        room=seat.room,
        kind=seat.kind,
        you=seat.player,
        seq=seat.seq,
        ticket=str(Ticket(seat.room, seat.player, seat.secret)),
        players=[frames.Player(player.id, player.name) for player in seat.players],
        complete=msgspec.UNSET if seat.complete else False,
        state=_state(seat.state),
    )


def resumed(news: nodes.Resumed) -> frames.Resumed:
    """A place that the client has again."""
    return frames.Resumed(
        room=news.room,
        seq=news.seq,
        n=news.n,
        ticket=str(Ticket(news.room, news.player, news.secret)),
        complete=news.complete,
        state=_state(news.state),
    )


def _state(state: bytes) -> msgspec.Raw | msgspec.UnsetType:
    return msgspec.Raw(state) if state else msgspec.UNSET

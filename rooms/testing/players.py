"""The players of a table, as the api node between them and the room's node knows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import trio

from lastcall.core.edge.input_window import InputWindow
from lastcall.errors import BadFrame
from lastcall.identity import Identity
from lastcall.ids import KindName, PlayerId, RoomId
from lastcall.reasons import EndReason
from lastcall.testing.requests import Answer, Requests
from lastcall.wire import nodes
from lastcall.wire.values import encode_value

NO_BOUND = 2**53


class Player:
    """One player's seat, what they have heard, and what they have said."""

    __slots__ = ("away", "heard", "identity", "secret", "seen", "session", "window")

    def __init__(self, seated: nodes.Seated, identity: Identity | None) -> None:
        self.identity = identity
        self.window = InputWindow(NO_BOUND, NO_BOUND)
        self.heard: list[Any] = []
        self.arrive(seated)

    def arrive(self, answer: nodes.Seated | nodes.Resumed) -> None:
        """The player has a socket: the first one, or another."""
        self.session = answer.session
        self.secret = answer.secret
        self.seen = answer.seq
        self.away = False


class Players:
    """All players of one room; ``send`` makes a request of the node that runs it now."""

    def __init__(self, kind: KindName, options: bytes, send: Callable[[nodes.Up], None]) -> None:
        self._kind = kind
        self._options = options
        self._send = send
        self.room = RoomId("")
        self.heard: list[Any] = []
        """All messages of the room, decoded."""
        self.outs: dict[PlayerId, EndReason] = {}
        """The players whose place has ended while the room goes on, and those who learned late."""
        self._by_id: dict[PlayerId, Player] = {}
        self._requests = Requests()
        self._refused: list[nodes.BadInput] = []
        self._numbers: set[int] = set()
        self._wanted: dict[PlayerId, int] = {}
        """From which input on the room's inbox has space again, for whose inputs it had none."""
        self._wake = trio.Event()

    async def run(self) -> None:
        """Sends inputs again for which there is space, until cancelled: as its own request each
        time, and not in the middle of what the room does.
        """
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            for player, n in list(self._wanted.items()):
                del self._wanted[player]
                self._send_inputs(player, n)

    def heard_by(self, player: PlayerId) -> list[Any]:
        """All messages that this player has heard, decoded."""
        return self._by_id[player].heard

    # what players do

    def join(self, name: str, key: str, identity: Identity | None) -> PlayerId:
        """Takes a seat; raises :class:`JoinRefused`."""
        kind, room, options = self._kind, self.room, self._options
        call = self._requests.begin(identity)
        join = nodes.Join(call, kind, room, options=options, name=name, key=key, identity=identity)
        self._send(join)
        return self._taken(call)

    def resume(self, player: PlayerId) -> None:
        """The player takes their seat on another socket; raises :class:`JoinRefused`."""
        seat = self._by_id[player]
        call = self._requests.begin(seat.identity)
        place = (call, self.room, player, seat.secret, seat.seen)
        self._send(nodes.Resume(*place, identity=seat.identity))
        self._taken(call)
        self._send_inputs(player)

    def lose(self, player: PlayerId) -> None:
        """The player's socket is lost."""
        seat = self._by_id[player]
        seat.away = True
        self._send(nodes.Absent(self.room, player, seat.session))

    def leave(self, player: PlayerId) -> None:
        """The player gives their seat up."""
        seat = self._by_id[player]
        self._send(nodes.Leave(self.room, player, seat.session, seat.secret))
        seat.away = True

    def say(self, player: PlayerId, message: object) -> None:
        """Raises :class:`BadFrame` for an input that the kind refuses."""
        window = self._by_id[player].window
        self._refused.clear()
        window.take(window.last + 1, encode_value(message))
        self._send_inputs(player, window.last)
        if self._refused:
            refused = self._refused.pop()
            raise BadFrame(refused.code, refused.message)

    async def renew(self) -> None:
        """Takes all places at the node to which the room has come, and says again what is not
        acked; their sockets notice nothing. Raises :class:`StateFailed` if it does not rest there.
        """
        calls = {
            self._renew(player, seat): player
            for player, seat in self._by_id.items()
            if not (seat.away or player in self.outs)
        }
        await self._requests.wait(calls.keys())
        for call, player in calls.items():
            self._taken(call)
            self._send_inputs(player)

    # requests

    def _renew(self, player: PlayerId, seat: Player) -> int:
        call = self._requests.begin(seat.identity)
        place = (call, self.room, player, seat.secret, seat.seen)
        self._send(nodes.Renew(*place, identity=seat.identity, session=seat.session))
        return call

    def _taken(self, call: int) -> PlayerId:
        """Whose place was asked for; confirms that the answer has arrived."""
        answer = self._requests.end(call)
        self.room = answer.room
        self._send(nodes.Confirm(answer.room, answer.player, answer.session))
        return answer.player

    def _send_inputs(self, player: PlayerId, first: int = 0) -> None:
        """Sends the player's inputs that are not acked, from ``first`` on; when they are back, if
        they are away.
        """
        seat = self._by_id[player]
        if not seat.away:
            for n, body in seat.window.unacked_from(first):
                self._send(nodes.Say(self.room, player, seat.session, n, body))

    # what the room's node says

    def receive(self, item: nodes.Down) -> None:
        """The node has said ``item``."""
        match item:
            case nodes.Seated() | nodes.Resumed() | nodes.Refused():
                self._take_answer(item)
            case nodes.Message():
                self._deliver(item.seq, item.body, self._by_id if item.to is None else item.to)
            case nodes.Replay():
                for seq, body in item.messages:
                    self._deliver(seq, body, [item.player])
            case nodes.Acks():
                for _room, player, n in item.acks:
                    self._by_id[player].window.ack(n)
            case nodes.BadInput():
                self._refused.append(item)
            case nodes.Wanted():
                self._wanted[item.player] = item.n
                self._wake.set()
            case nodes.Out(reason=reason) if reason != nodes.TAKEN_OVER:
                self.outs[item.player] = EndReason(reason)

    def _take_answer(self, answer: Answer) -> None:
        if not self._requests.answer(answer):
            return  # it came too late
        if isinstance(answer, nodes.Seated):
            self._by_id[answer.player] = Player(answer, self._requests.asker(answer.call))
        elif isinstance(answer, nodes.Resumed):
            self._by_id[answer.player].arrive(answer)
            self._by_id[answer.player].window.ack(answer.n)

    def _deliver(self, seq: int, body: bytes, to: Iterable[PlayerId]) -> None:
        decoded = msgspec.json.decode(body)
        if seq not in self._numbers:
            self._numbers.add(seq)
            self.heard.append(decoded)
        for player in to:
            seat = self._by_id.get(player)  # None: their seat came too late
            if not (seat is None or seat.away or player in self.outs):
                seat.heard.append(decoded)
                seat.seen = seq

"""The model's nodes: game nodes drive :class:`SurvivingRooms`, api nodes have clients and votes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from lastcall.core.survival import actions
from lastcall.core.survival.links import Links, View
from lastcall.core.survival.rooms import SurvivingRooms
from lastcall.core.survival.votes import Votes
from lastcall.ids import RoomId
from lastcall.wire import survival_items as items
from tests.core.survival.network import Network

ROOM = RoomId("room")
Entry = tuple[Any, ...]
"""``("in", client, n)``, ``("say", number)`` or ``("end",)``: what happened in the room."""


class Said(msgspec.Struct):
    """Words that have left the room: entries of its history, from ``start`` on."""

    epoch: int
    start: int
    entries: list[Entry]


class Input(msgspec.Struct):
    client: int
    n: int


class At(msgspec.Struct):
    """The room is at ``owner``."""

    epoch: int
    owner: int


class NotHere(msgspec.Struct):
    """The node does not know the room."""


class Carried(msgspec.Struct):
    """An image or a step with its data: entries of the history."""

    item: items.StandbyImage | items.Step
    entries: list[Entry]


class GameNode:
    """Carries out the actions, as a driver has to; its room is a list of entries."""

    def __init__(
        self,
        me: int,
        network: Network,
        rooms: SurvivingRooms,
        apis: Iterable[int],
        finals: list[list[Entry]],
    ) -> None:
        self.me = me
        self.network = network
        self.rooms = rooms
        self.apis = apis
        self.history: list[Entry] | None = None
        self.image: list[Entry] | None = None
        self.steps: dict[int, tuple[int, list[Entry]]] = {}
        self.said = 0
        """How many entries of the history have left."""
        self.standing: actions.Standing | None = None
        self.refuses = False
        self.promotions = 0
        self.finals = finals
        """The histories with which the room has ended, anywhere."""
        self._in_hand: Carried | None = None

    @property
    def holds(self) -> bool:
        return self.history is not None or self.image is not None

    @property
    def lacks_primary(self) -> bool:
        """Whether an image is here whose primary is gone, as far as this node knows."""
        standby = self.rooms.standby(ROOM)
        return standby is not None and self.rooms.links.is_gone(standby.config.primary)

    @property
    def inputs(self) -> dict[int, int]:
        """The last input of each client that the room has."""
        return {entry[1]: entry[2] for entry in self.history or () if entry[0] == "in"}

    @property
    def is_over(self) -> bool:
        return bool(self.history) and self.history[-1] == ("end",)

    def open(self, view: View) -> None:
        self.history = []
        self.do(self.rooms.open(ROOM, view))

    def write(self, entry: Entry) -> None:
        """The room changes, and says so."""
        primary = self.rooms.primary(ROOM)
        assert self.history is not None
        assert primary is not None
        self.steps[primary.last + 1] = len(self.history), [entry]
        self.history.append(entry)
        self.do(self.rooms.step_made(ROOM))
        if entry == ("end",):
            self.do(self.rooms.ended(ROOM))

    def sweep(self) -> None:
        """An image whose primary is gone is not kept for ever, although nobody asks for it."""
        if self.lacks_primary:
            self.do(self.rooms.wanted(ROOM))

    def receive(self, source: int, message: Any) -> None:
        match message:
            case Input():
                self._input(source, message)
            case Carried(items.StandbyImage() as image) if self.refuses:
                self.do(self.rooms.refuse(source, image, "no memory"))
            case Carried():
                self._in_hand = message
                self.do(self.rooms.receive(source, message.item))
                self._in_hand = None
            case _:
                self.do(self.rooms.receive(source, message))

    def do(self, todo: list[actions.Action]) -> None:
        for action in todo:
            self._do(action)
        if self.is_over and any(isinstance(action, actions.Promote) for action in todo):
            self.do(self.rooms.ended(ROOM))  # the step that ended the room was the last one here

    def _input(self, source: int, message: Input) -> None:
        if self.image is not None:
            todo = self.rooms.wanted(ROOM)
            self.do(todo)
            for action in todo:
                if isinstance(action, actions.Elsewhere):
                    epoch = self.rooms.standby(ROOM).config.epoch
                    self.network.send(self.me, source, At(epoch, action.owner))
        elif self.history is None:
            self.network.send(self.me, source, NotHere())
        elif message.n == self.inputs.get(message.client, 0) + 1 and not self.is_over:
            self.write(("in", message.client, message.n))
        else:
            self._repeat(source, ("in", message.client, message.n))

    def _repeat(self, api: int, entry: Entry) -> None:
        """The ack of an input may be lost; it is said again if it had left."""
        assert self.history is not None
        if entry in self.history[: self.said]:
            said = Said(0, self.history.index(entry), [entry])
            self.network.send(self.me, api, said)

    def _do(self, action: actions.Action) -> None:
        send = self.network.send
        match action:
            case actions.Send():
                send(self.me, action.to, action.item)
            case actions.SendImage():
                image = items.StandbyImage(ROOM, action.epoch, action.n, action.config)
                assert self.history is not None
                send(self.me, action.to, Carried(image, list(self.history)))
            case actions.SendStep():
                step = items.Step(ROOM, action.epoch, action.n, b"", action.config)
                entries = self.steps.get(action.n, (0, []))[1]
                send(self.me, action.to, Carried(step, entries))
            case actions.Leave():
                self._leave(action.upto)
            case actions.Standing():
                self.standing = action
            case actions.Keep():
                self._keep()
            case actions.Promote():
                self._promote(action.config.epoch)
            case actions.Drop() | actions.Finished() | actions.LeftToStandby():
                if isinstance(action, actions.Finished):
                    assert self.history is not None
                    self.finals.append(self.history)
                self.history = self.image = None
                self.steps = {}

    def _leave(self, upto: int) -> None:
        primary = self.rooms.primary(ROOM)
        for n in sorted(n for n in self.steps if n <= upto):
            start, entries = self.steps.pop(n)
            self.said = start + len(entries)
            epoch = primary.config.epoch if primary is not None else 0
            for api in self.apis:
                self.network.send(self.me, api, Said(epoch, start, entries))

    def _keep(self) -> None:
        carried = self._in_hand
        assert carried is not None
        if isinstance(carried.item, items.StandbyImage):
            self.image = list(carried.entries)
        else:
            assert self.image is not None
            self.image += carried.entries

    def _promote(self, epoch: int) -> None:
        self.history, self.image, self.steps = self.image, None, {}
        self.said = len(self.history or ())
        for api in self.apis:
            self.network.send(self.me, api, At(epoch, self.me))
        self.promotions += 1


class ApiNode:
    """A witness, and the api node of one client, which says each input until it hears it back."""

    def __init__(self, me: int, network: Network, heard: Callable[[ApiNode, Said], None]) -> None:
        self.me = me
        self.network = network
        self.heard = heard
        self.links = Links()
        self.votes = Votes(self.links)
        self.owner: int | None = None
        self.epoch = -1
        self.acked = 0

    def say(self, to: int) -> None:
        self.network.send(self.me, to, Input(self.me, self.acked + 1))

    def gone(self, node: int, *, certain: bool) -> None:
        self.links.gone(node, certain=certain)
        if certain:
            self.votes.dead(node)

    def receive(self, source: int, message: Any) -> None:
        match message:
            case items.VoteAsked():
                self.network.send(self.me, source, self.votes.ask(source, message))
            case items.VoteReturned():
                self.votes.returned(source, message)
            case At() if message.epoch >= self.epoch:
                self.owner, self.epoch = message.owner, message.epoch
            case NotHere() if self.owner == source:
                self.owner = None
            case Said():
                self.heard(self, message)

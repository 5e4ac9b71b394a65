"""Three game nodes that give rooms to each other, in a world where anything may fail at any time.

The nodes are the real decisions (:class:`Offers`, :class:`Adoptions`) with a host that counts: each
running room has a counter, which grows while it runs, and the world knows the true count. A walk
is a list of numbers, each of which picks one of the moves that are possible just then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial

import msgspec

from lastcall.core.edge.placement import Candidate
from lastcall.core.handoff.actions import (
    Commit,
    Drop,
    Freeze,
    Giving,
    Lost,
    Reply,
    Run,
    Send,
    Taking,
    Thaw,
)
from lastcall.core.handoff.adoptions import Adoptions
from lastcall.core.handoff.offer import Movable, State
from lastcall.core.handoff.offers import Offers
from lastcall.ids import Incarnation, KindName, NodeName, RoomId
from lastcall.policy import HandOffPolicy
from lastcall.wire.images import PART_BYTES
from lastcall.wire.nodes import NodeState
from lastcall.wire.peer_items import PeerDown, PeerUp

K = KindName("lounge")
SIZES = {RoomId("small"): 8, RoomId("large"): PART_BYTES + 8}
POLICY = HandOffPolicy(release_seconds=200.0, hold_seconds=300.0)
"""A walk takes less than 200 s: only the dead do not confirm in time."""
OUTAGE_SECONDS = 5.0
"""A link between two living nodes is down for less than this."""
STALL_SECONDS = 15.0
REFUSING_SECONDS = 3.0
FAILURE_EVERY = 12
"""Each twelfth move is a failure, on average."""
FREEZE_SECONDS = 2.0
ASK_SECONDS = FREEZE_SECONDS + POLICY.takers_max * POLICY.answer_seconds
"""The longest that a room is silent."""
OFFER_SECONDS = ASK_SECONDS + POLICY.release_seconds


class Broken(AssertionError):
    """A law does not hold."""


def out_of(images: dict[RoomId, Image], room: RoomId) -> Image:
    """Takes the room's image out."""
    if room not in images:
        raise Broken(f"{room} is not where an action expects it")
    return images.pop(room)


class Image(msgspec.Struct, frozen=True):
    count: int
    epoch: int


class Link:
    """From the node that calls to the one that answers."""

    def __init__(self) -> None:
        self.up: deque[PeerUp] = deque()
        self.down: deque[PeerDown] = deque()
        self.down_since: float | None = None


class Node:
    def __init__(self, number: int, offers: type[Offers], adoptions: type[Adoptions]) -> None:
        self.id = Incarnation(number)
        self.offers = offers(POLICY)
        self.adoptions = adoptions(POLICY)
        self.alive = True
        self.stalled_until = 0.0
        self.refuses = ""
        self.refuses_until = 0.0
        self.running: dict[RoomId, Image] = {}
        self.freezing: dict[RoomId, float] = {}
        self.frozen: dict[RoomId, Image] = {}
        self.held: dict[RoomId, Image] = {}
        self.moved: dict[RoomId, Incarnation] = {}
        self.offered_at: dict[RoomId, float] = {}
        self.known_dead: set[Incarnation] = set()

    def adopt(self, image: bytes, room: RoomId, epoch: int) -> str | None:
        """As the host does: None if it is held from now on."""
        if room in self.running or room in self.frozen or room in self.freezing:
            return "it is here already"
        if room in self.held:
            return "it is held already"
        self.held[room] = Image(int(image.rstrip(b".")), epoch)
        return None


class World:
    """The nodes 1, 2 and 3; both rooms begin on node 1."""

    def __init__(
        self, offers: type[Offers] = Offers, adoptions: type[Adoptions] = Adoptions
    ) -> None:
        self.now = 0.0
        self.nodes = {n: Node(n, offers, adoptions) for n in map(Incarnation, (1, 2, 3))}
        self.links = {(a, b): Link() for a in self.nodes for b in self.nodes if a != b}
        self.count = dict.fromkeys(SIZES, 0)
        self.owner = dict.fromkeys(SIZES, Incarnation(1))
        self.releasing: dict[RoomId, Incarnation] = {}
        """The nodes that have committed to a room that does not run at its taker yet."""
        self.may_be_lost: set[RoomId] = set()
        for room in SIZES:
            self.nodes[Incarnation(1)].running[room] = Image(0, 0)

    # The moves.

    def moves(self) -> list[Callable[[], None]]:
        """The moves without a failure; most items arrive soon."""
        found: list[Callable[[], None]] = [partial(self.pass_time, 0.1), partial(self.pass_time, 2)]
        for node in filter(self.awake, self.living()):
            found += self.steps(node)
        for (a, b), link in self.links.items():
            if link.down_since is not None and self.nodes[a].alive and self.nodes[b].alive:
                found += [partial(self.attach, a, b)] * 2
        return found + self.deliveries() * 4

    def failures(self) -> list[Callable[[], None]]:
        found: list[Callable[[], None]] = []
        for node in filter(self.awake, self.living()):
            if len(node.offers) or node.adoptions._adoptions:
                found += [partial(self.refuse, node, why) for why in ("it drains", "")]
                found += [partial(self.stall, node)] * 2
                found += [partial(self.crash, node)] * (len(self.living()) == len(self.nodes))
            if len(node.offers) and not node.offers._stopped:
                found.append(partial(self.stop, node))
        for (a, b), link in self.links.items():
            if link.down_since is None and (link.up or link.down):
                found += [partial(self.reset, a, b)] * 4
        return found

    def steps(self, node: Node) -> list[Callable[[], None]]:
        found: list[Callable[[], None]] = []
        if node.running:
            found += [partial(self.drain, node)] * 3
        found += [partial(self.play, node, room) for room in node.running]
        found += [partial(self.freeze, node, room) for room in node.freezing] * 3
        found += [partial(self.decode, node)] * (3 * bool(node.adoptions._whole))
        return found + [partial(self.learn, node, dead) for dead in self.unknown_dead(node)]

    def deliveries(self) -> list[Callable[[], None]]:
        found: list[Callable[[], None]] = []
        for (a, b), link in self.links.items():
            found += [partial(self.deliver_up, a, b)] * bool(link.up and self.awake(self.nodes[b]))
            if link.down and self.awake(self.nodes[a]):
                found.append(partial(self.deliver_down, a, b))
        return found

    def walk(self, picks: Iterable[int]) -> None:
        for pick in picks:
            moves = self.moves()
            if pick % FAILURE_EVERY == 0:
                moves = self.failures() or moves
            moves[pick // FAILURE_EVERY % len(moves)]()
            self.check()
        self.settle()

    def awake(self, node: Node) -> bool:
        return node.alive and node.stalled_until <= self.now

    def stall(self, node: Node) -> None:
        """The process stands still, as under SIGSTOP."""
        node.stalled_until = self.now + STALL_SECONDS

    def living(self) -> list[Node]:
        return [node for node in self.nodes.values() if node.alive]

    def unknown_dead(self, node: Node) -> list[Incarnation]:
        return [
            other.id
            for other in self.nodes.values()
            if not other.alive and other.id not in node.known_dead
        ]

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        for (a, b), link in self.links.items():
            down = link.down_since
            if down is not None and self.now - down >= OUTAGE_SECONDS:
                self.attach(a, b)
        for node in filter(self.awake, self.living()):
            for room, since in list(node.freezing.items()):
                if self.now - since >= FREEZE_SECONDS:
                    self.freeze(node, room)
            self.give(node, node.offers.due(self.now, self.seen_by(node)))
            self.take(node, node.adoptions.due(self.now))
            self.give(node, node.offers.begin(self.now, self.seen_by(node)))

    def play(self, node: Node, room: RoomId) -> None:
        self.count[room] += 1
        node.running[room] = Image(self.count[room], node.running[room].epoch)

    def drain(self, node: Node) -> None:
        node.offers.add([Movable(room, K, SIZES[room]) for room in node.running], anew=True)
        self.give(node, node.offers.begin(self.now, self.seen_by(node)))

    def freeze(self, node: Node, room: RoomId) -> None:
        del node.freezing[room]
        image = out_of(node.running, room)
        node.frozen[room] = image
        data = str(image.count).encode().ljust(SIZES[room], b".")
        self.give(
            node,
            node.offers.frozen(room, data, image.epoch + 1, self.now, self.seen_by(node)),
        )

    def decode(self, node: Node) -> None:
        if (found := node.adoptions.next_image()) is not None:
            key, image = found
            refusing = self.now < node.refuses_until
            why = "its state cannot be read" if refusing else None
            refusal = why or node.adopt(image, key.room, key.epoch)
            self.take(node, node.adoptions.decoded(key, refusal))

    def refuse(self, node: Node, why: str) -> None:
        """For a while the node drains, or its code cannot read the state of the rooms."""
        node.refuses, node.refuses_until = why, self.now + REFUSING_SECONDS

    def stop(self, node: Node) -> None:
        self.give(node, node.offers.stop(self.now))

    def crash(self, node: Node) -> None:
        node.alive = False
        for room, owner in self.owner.items():
            if node.id in (owner, self.releasing.get(room)):
                self.may_be_lost.add(room)
        for (a, b), link in self.links.items():
            if node.id in (a, b):
                link.up.clear()
                link.down.clear()
                link.down_since = self.now

    def learn(self, node: Node, dead: Incarnation) -> None:
        node.known_dead.add(dead)
        self.give(node, node.offers.gone(dead, self.now, self.seen_by(node)))
        self.take(node, node.adoptions.gone(dead))

    def reset(self, a: Incarnation, b: Incarnation) -> None:
        link = self.links[a, b]
        link.up.clear()
        link.down.clear()
        link.down_since = self.now

    def attach(self, a: Incarnation, b: Incarnation) -> None:
        if self.nodes[a].alive and self.nodes[b].alive:
            self.links[a, b].down_since = None
            self.give(self.nodes[a], self.nodes[a].offers.link_up(b))

    def deliver_up(self, a: Incarnation, b: Incarnation) -> None:
        item, node = self.links[a, b].up.popleft(), self.nodes[b]
        why = node.refuses if self.now < node.refuses_until else ""
        self.take(node, node.adoptions.receive(a, item, self.now, why))

    def deliver_down(self, a: Incarnation, b: Incarnation) -> None:
        item, node = self.links[a, b].down.popleft(), self.nodes[a]
        self.give(node, node.offers.answered(b, item, self.now, self.seen_by(node)))

    def seen_by(self, node: Node) -> list[Candidate]:
        """The other nodes, as old as placement may know them: all that are not known to be dead."""
        return [
            Candidate(
                address=str(other.id),
                name=NodeName(str(other.id)),
                incarnation=other.id,
                version="1",
                born=0.0,
                state=NodeState(0, "serving", 0, {K: 0}),
            )
            for other in self.nodes.values()
            if other is not node and other.id not in node.known_dead
        ]

    # The drivers.

    def give(self, node: Node, actions: list[Giving]) -> None:
        for action in actions:
            match action:
                case Freeze(room):
                    node.freezing[room] = node.offered_at[room] = self.now
                case Thaw(room):
                    self.run(node, room, out_of(node.frozen, room))
                case Commit(room, _epoch, to):
                    out_of(node.frozen, room)
                    node.moved[room] = to
                    self.owner[room] = to
                    self.releasing[room] = node.id
                    if not self.nodes[to].alive:
                        self.may_be_lost.add(room)
                case Lost(room, _kind, to):  # of a taker that died nobody knows what it did before
                    if self.nodes[to].alive and room not in self.may_be_lost:
                        raise Broken(f"{room} is lost, and its owner lives: {action}")
                case Send(to, item):
                    link = self.links[node.id, to]
                    if link.down_since is None:
                        link.up.append(item)

    def take(self, node: Node, actions: list[Taking]) -> None:
        for action in actions:
            match action:
                case Run(room):
                    self.run(node, room, out_of(node.held, room))
                case Drop(room):
                    out_of(node.held, room)
                case Reply(to, item):
                    link = self.links[to, node.id]
                    if link.down_since is None:
                        link.down.append(item)

    def run(self, node: Node, room: RoomId, image: Image) -> None:
        if image.count != self.count[room]:
            raise Broken(f"{room} runs from {image.count}, and was at {self.count[room]}")
        if self.owner[room] != node.id:
            raise Broken(f"{room} runs on {node.id}, and is {self.owner[room]}'s")
        node.running[room] = image
        self.releasing.pop(room, None)
        node.moved.pop(room, None)

    # The laws.

    def check(self) -> None:
        for room in SIZES:
            where = [node.id for node in self.living() if room in node.running]
            if len(where) > 1:
                raise Broken(f"{room} runs on {where}")
        for node in filter(self.awake, self.living()):
            for room, offer in node.offers._offers.items():
                committed = offer.state is State.COMMITTED
                bound = OFFER_SECONDS if committed else ASK_SECONDS
                since = max(node.offered_at[room], node.stalled_until)
                if self.now - since > bound + 4 * 2:  # the clock goes in steps of up to 2 s
                    raise Broken(f"{room} has been {offer.state} since {since}")

    def settle(self) -> None:
        """Nothing fails any more, and the time of every bound passes."""
        for node in self.living():
            node.stalled_until = min(node.stalled_until, self.now)
            for dead in self.unknown_dead(node):
                self.learn(node, dead)
        for (a, b), link in self.links.items():
            if link.down_since is not None:
                self.attach(a, b)
        until = self.now + POLICY.release_seconds + POLICY.hold_seconds
        while self.now < until:
            self.calm_down()
            self.pass_time(50.0)
        for room in SIZES:
            self.check_settled(room)
        for node in self.living():
            self.check_empty(node)

    def check_empty(self, node: Node) -> None:
        rest = len(node.offers), len(node.offers._takers), node.adoptions._adoptions
        if rest != (0, 0, {}) or node.held or node.frozen or node.adoptions._bytes:
            raise Broken(f"node {node.id} still has {rest}, {node.held}, {node.frozen}")

    def calm_down(self) -> None:
        while moves := self.calm_moves():
            moves[0]()
            self.check()

    def calm_moves(self) -> list[Callable[[], None]]:
        found = self.deliveries()
        for node in filter(self.awake, self.living()):
            found += [partial(self.decode, node)] * len(node.adoptions._whole)
            found += [partial(self.freeze, node, room) for room in node.freezing]
        return found

    def check_settled(self, room: RoomId) -> None:
        where = [node.id for node in self.living() if room in node.running]
        if not where and room not in self.may_be_lost:
            raise Broken(f"{room} runs nowhere, and its owner {self.owner[room]} lives")
        if not where:
            return
        for node in self.living():
            at, seen = node.id, set[Incarnation]()
            while at in self.nodes and room in self.nodes[at].moved and at not in seen:
                seen.add(at)
                at = self.nodes[at].moved[room]
            if seen and at != where[0]:
                raise Broken(f"node {node.id} says that {room} is at {at}; it is at {where[0]}")

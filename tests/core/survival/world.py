"""A cluster with one surviving room, to which anything happens in any order; and its law.

The law: everything that anybody heard belongs to one history, in which each input is at most once;
and if at most one of the room's images and its witness is lost at a time, the room goes on, and all
inputs are acked in the end.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from itertools import combinations

from lastcall.core.survival.actions import Protection
from lastcall.core.survival.links import View
from lastcall.core.survival.primary import Primary
from lastcall.core.survival.rooms import SurvivingRooms
from lastcall.core.survival.standby import Standby
from lastcall.wire.survival_items import StandbyImage
from tests.core.survival.network import Network, Pair, pair
from tests.core.survival.nodes import ROOM, ApiNode, Carried, Entry, GameNode, Said

FIRST_API = 1000
UNMET = 0
"""Stands for the game nodes of the directory that a node has never met."""


class Broken(Exception):
    """The law does not hold."""


class World:
    """Game nodes are numbered from 1, api nodes from 1000; a restarted node has a new number."""

    def __init__(
        self,
        rng: random.Random,
        rooms: type[SurvivingRooms] = SurvivingRooms,
        api: type[ApiNode] = ApiNode,
        games: int = 4,
    ) -> None:
        self.rng = rng
        self.network = Network()
        self.games: dict[int, GameNode] = {}
        self.apis: dict[int, ApiNode] = {}
        self.dead: set[int] = set()
        self.gone: set[tuple[int, int]] = set()
        """(node, other): ``node`` holds ``other`` for gone."""
        self.met: set[tuple[int, int]] = set()
        """(node, other): ``node`` knows ``other``; without a link, never."""
        self.stalled: set[int] = set()
        self.draining: set[int] = set()
        self.words: dict[int, Entry] = {}
        self.places: dict[Entry, int] = {}
        self.finals: list[list[Entry]] = []
        self.said = 0
        self._types = rooms, api
        for _ in range(games):
            self.start_game()
        for _ in range(3):
            self.start_api()
        first = self.games[1]
        first.open(self.view(1))

    # Nodes

    @property
    def nodes(self) -> list[int]:
        return [*self.games, *self.apis]

    def start_game(self, at: Iterable[Pair] = (), of: int = UNMET) -> None:
        me = 1 + len(self.games) + len([node for node in self.dead if node < FIRST_API])
        rooms = self._types[0](me)
        self.games[me] = GameNode(me, self.network, rooms, self.apis, self.finals)
        self._join(me, at, of)

    def start_api(self, at: Iterable[Pair] = (), of: int = UNMET) -> None:
        me = FIRST_API + len(self.apis) + len([node for node in self.dead if node >= FIRST_API])
        self.apis[me] = self._types[1](me, self.network, self.hear)
        self._join(me, at, of)

    def replace(self, node: int) -> None:
        """``node`` crashes, and a new one starts at the same place of the network."""
        self.crash(node)
        start = self.start_game if node < FIRST_API else self.start_api
        start(at={link for link in self.network.blocked if node in link}, of=node)

    def crash(self, node: int) -> None:
        self.games.pop(node, None)
        self.apis.pop(node, None)
        self.dead.add(node)
        self.stalled.discard(node)
        self.draining.discard(node)
        self.network.remove(node)

    def view(self, me: int) -> View:
        """The cluster as ``me`` knows it: the nodes that it has met, and its own links."""
        here = [n for n in self.nodes if n != me and pair(me, n) in self.network.up]
        serving = [n for n in here if n not in self.draining and (me, n) not in self.gone]
        links = self.games[me].rooms.links
        met = {n for node, n in self.met if node == me and n < FIRST_API and not links.is_dead(n)}
        unmet = {UNMET} if {*self.games} - met - {me} else set()
        return View(
            games=frozenset({me, *met, *unmet}),
            takers=tuple(n for n in serving if n < FIRST_API),
            leaving=frozenset(self.draining),
            witnesses=tuple(n for n in serving if n >= FIRST_API),
        )

    def look(self) -> None:
        """Every node that is awake sees the cluster as it is."""
        for me in self.games:
            self.look_from(me)

    def look_from(self, me: int) -> None:
        """``me`` sees the cluster, unless it is stalled or has no use for that."""
        game = self.games[me]
        if me not in self.stalled and game.holds:
            game.do(game.rooms.sees(ROOM, self.view(me)))

    @property
    def promotions(self) -> int:
        """How often nodes that are still there were promoted."""
        return sum(game.promotions for game in self.games.values())

    # Links

    def suspect(self, node: int, other: int) -> None:
        """``node`` holds ``other`` for gone, rightly or not: their link is given up."""
        self.network.reset(node, other)
        self._tell_gone(node, other, certain=False)

    def find_dead(self, node: int, other: int) -> None:
        self._tell_gone(node, other, certain=True)

    def connect(self, a: int, b: int) -> None:
        """A new link, which ends one that is still up."""
        self.network.connect(a, b)
        for node, other in ((a, b), (b, a)):
            self.gone.discard((node, other))
            self.met.add((node, other))
            if node in self.games:
                self.games[node].do(self.games[node].rooms.linked(other))
            else:
                self.apis[node].links.linked(other)

    def deliver(self, way: tuple[int, int]) -> None:
        source, to = way
        message = self.network.take(way)
        (self.games.get(to) or self.apis[to]).receive(source, message)
        if isinstance(message, Carried) and isinstance(message.item, StandbyImage):
            self.look_from(to)

    def deliver_all(self, at_most: int = 3000) -> None:
        """Until nothing is under way that can arrive."""
        for _ in range(at_most):
            ready = self.network.ready(self.awake)
            if not ready:
                return
            self.deliver(self.rng.choice(ready))
        raise Broken("messages go round in circles")

    @property
    def awake(self) -> set[int]:
        return {node for node in self.nodes if node not in self.stalled}

    # Clients

    def say(self, api: int) -> None:
        """The client of ``api`` says its next input to the room's node, or to any."""
        node = self.apis[api]
        linked = [game for game in self.games if pair(api, game) in self.network.up]
        fresh = [game for game in linked if not node.links.is_gone(game)]
        if node.owner in fresh and self.rng.random() < 0.9:
            node.say(node.owner)
        elif fresh:
            node.say(self.rng.choice(fresh))

    def hear(self, api: ApiNode, said: Said) -> None:
        """The law's first half: all words have one place in one history."""
        for place, entry in enumerate(said.entries, said.start):
            if self.words.setdefault(place, entry) != entry:
                raise Broken(f"two histories: {entry} and {self.words[place]} are both {place}")
            if self.places.setdefault(entry, place) != place:
                raise Broken(f"{entry} was heard as {self.places[entry]} and as {place}")
            if entry[0] == "in" and entry[1] == api.me:
                api.acked = max(api.acked, entry[2])

    # The room

    @property
    def primaries(self) -> list[tuple[GameNode, Primary]]:
        """The nodes that run the room, the latest epoch first."""
        found = [(game, game.rooms.primary(ROOM)) for game in self.games.values()]
        running = [(game, primary) for game, primary in found if primary is not None]
        return sorted(running, key=lambda one: -one[1].config.epoch)

    @property
    def members(self) -> set[int]:
        """All nodes that any image names."""
        named: set[int] = set()
        for game in self.games.values():
            holder = game.rooms.primary(ROOM) or game.rooms.standby(ROOM)
            if holder is not None:
                config = holder.config
                named |= {game.me, config.primary, *config.standbys, *config.witnesses}
        return named

    @property
    def is_whole(self) -> bool:
        """Whether the latest line has lost none of its images and witnesses: one may be lost now.

        That is so in the middle of any change, as long as a standby has what was heard.
        """
        if not self.primaries:
            return False
        _, primary = self.primaries[0]
        standbys = [self.games.get(node) for node in primary.config.standbys]
        images = [one.rooms.standby(ROOM) for one in standbys if one is not None]
        ready = [one for one in images if one is not None and self._follows(one, primary)]
        configs = [primary.config, *(one.config for one in ready)]
        witnesses = {node for config in configs for node in config.witnesses}
        if not ready or None in standbys or not witnesses <= self.apis.keys():
            return False
        votes = [self.apis[node].votes.last(ROOM) for node in witnesses]
        return all(vote is None or vote.epoch < primary.config.epoch for vote in votes)

    def _follows(self, standby: Standby, primary: Primary) -> bool:
        same = standby.config.epoch == primary.config.epoch
        return same and standby.image.appointed and standby.last >= primary.line.left

    @property
    def is_settled(self) -> bool:
        """Whether the latest line has all three, which hear each other and have nothing open."""
        if not self.primaries:
            return False
        game, primary = self.primaries[0]
        config = primary.config
        if len(config.standbys) != 1 or len(config.witnesses) != 1:
            return False
        three = (game.me, config.standbys[0], config.witnesses[0])
        if not all(self._hear_each_other(a, b) for a, b in combinations(three, 2)):
            return False
        standby = self.games[three[1]].rooms.standby(ROOM)
        voted = self.apis[three[2]].votes.last(ROOM)
        return (
            standby is not None
            and standby.config == config
            and not standby.voting
            and standby.last == primary.line.last == primary.line.left
            and primary.protection is Protection.PROTECTED
            and (voted is None or voted.epoch < config.epoch)
        )

    def _hear_each_other(self, a: int, b: int) -> bool:
        link = pair(a, b)
        return (
            link in self.network.up
            and link not in self.network.blocked
            and {a, b} <= self.awake
            and (a, b) not in self.gone
            and (b, a) not in self.gone
        )

    def heal(self) -> None:
        """Nothing is blocked, stalled or suspected any more."""
        self.network.cut(self.nodes, set())
        self.stalled.clear()
        for node in self.nodes:
            for other in sorted(self.dead):
                self.find_dead(node, other)
        for a, b in combinations(self.nodes, 2):
            if pair(a, b) not in self.network.up:
                self.connect(a, b)

    def check_goes_on(self, rounds: int = 40) -> None:
        """The law's second half; call it when the world is healed."""
        wanted = {api: node.acked + 2 for api, node in self.apis.items()}
        for game in self.games.values():
            game.refuses = False
        over = self._try_for(rounds, wanted)
        holding = [game for game in self.games.values() if game.holds]
        if over:
            if holding:
                raise Broken(f"the room is over, and nodes {[g.me for g in holding]} still hold it")
            return
        if len(self.primaries) != 1:
            raise Broken(f"{len(self.primaries)} nodes run the room: {self._situation()}")
        behind = [api for api, n in wanted.items() if self.apis[api].acked < n]
        if behind:
            raise Broken(f"the clients of {behind} are not heard: {self._situation()}")
        game, primary = self.primaries[0]
        if primary.protection is not Protection.PROTECTED or len(holding) != 2:
            raise Broken(f"the room is not protected: {self._situation()}")
        if not self.is_whole:
            raise Broken(f"the room is less protected than it says: {self._situation()}")
        assert game.history is not None
        self._check_history(game.history)

    def _try_for(self, rounds: int, wanted: dict[int, int]) -> bool:
        for _ in range(rounds):
            self.look()
            for api in self.apis:
                if self.apis[api].acked < wanted[api]:
                    self.say(api)
            for game in self.games.values():
                game.do(game.rooms.again(ROOM))
                game.sweep()
            self.deliver_all()
        for final in self.finals:
            self._check_history(final)
        return bool(self.finals)

    def _check_history(self, history: list[Entry]) -> None:
        for place, entry in self.words.items():
            if place >= len(history) or history[place] != entry:
                raise Broken(f"{entry} was heard as {place}, and is not in the history")
        inputs = [entry for entry in history if entry[0] == "in"]
        if len(inputs) != len(set(inputs)):
            raise Broken("an input is in the history twice")

    def _situation(self) -> str:
        return "; ".join(
            f"{game.me} {'runs' if game.history is not None else 'keeps'} "
            f"{(game.rooms.primary(ROOM) or game.rooms.standby(ROOM)).config}"
            for game in self.games.values()
            if game.holds
        )

    def _join(self, me: int, at: Iterable[Pair], of: int) -> None:
        """A new node hears what the node ``of`` heard before, whose links ``at`` are blocked."""
        self.network.blocked |= {frozenset(link - {of} | {me}) for link in at}
        for other in self.nodes:
            link = pair(me, other)
            if other != me and link not in self.network.blocked and other in self.awake:
                self.connect(me, other)

    def _tell_gone(self, node: int, other: int, *, certain: bool) -> None:
        self.gone.add((node, other))
        if node in self.apis:
            self.apis[node].gone(other, certain=certain)
        else:
            self.games[node].do(self.games[node].rooms.gone(other, certain=certain))


Op = Callable[[World], None]

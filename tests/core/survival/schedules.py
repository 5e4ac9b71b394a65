"""Random schedules: what happens to the cluster, one thing after the other."""

from __future__ import annotations

import random
from collections.abc import Mapping
from itertools import combinations

from tests.core.survival.nodes import ROOM
from tests.core.survival.world import FIRST_API, Op, World

STEPS = 120


def deliver(world: World) -> None:
    for _ in range(world.rng.randint(1, 6)):
        ready = world.network.ready(world.awake)
        if ready:
            world.deliver(world.rng.choice(ready))


def settle(world: World) -> None:
    world.look()
    world.deliver_all()


def look(world: World) -> None:
    """A node sees the cluster, at its own time."""
    world.look_from(world.rng.choice(list(world.games)))


def client_says(world: World) -> None:
    world.say(world.rng.choice(list(world.apis)))


def room_says(world: World) -> None:
    for game, _ in world.primaries:
        if game.me in world.awake and not game.is_over:
            world.said += 1
            game.write(("say", world.said))


def end(world: World) -> None:
    if world.rng.random() < 0.15 and world.primaries:
        game, _ = world.primaries[0]
        if game.me in world.awake and not game.is_over:
            game.write(("end",))


def suspect(world: World) -> None:
    """A node holds another for gone which it cannot hear; seldom one that it can."""
    node, other = world.rng.sample(world.nodes, 2)
    silent = frozenset((node, other)) in world.network.blocked or other in world.stalled
    if node in world.awake and (silent or world.rng.random() < 0.1):
        world.suspect(node, other)


def suspect_all(world: World) -> None:
    """All that a partition or a stall silences is found silent."""
    for node in sorted(world.awake):
        for other in world.nodes:
            link = frozenset((node, other))
            if node != other and (link in world.network.blocked or other in world.stalled):
                world.suspect(node, other)


def find_dead(world: World) -> None:
    for node in sorted(world.awake):
        for other in sorted(world.dead):
            if (
                frozenset((node, other)) not in world.network.blocked
                and world.rng.random() < 0.5
                and (node, other) not in world.gone
            ):
                world.find_dead(node, other)


def connect(world: World) -> None:
    for a, b in combinations(world.nodes, 2):
        link = frozenset((a, b))
        can = link not in world.network.blocked and {a, b} <= world.awake
        if can and link not in world.network.up and world.rng.random() < 0.7:
            world.connect(a, b)


def reset(world: World) -> None:
    """A link is lost and is up again at once."""
    a, b = world.rng.sample(world.nodes, 2)
    if {a, b} <= world.awake and frozenset((a, b)) not in world.network.blocked:
        world.connect(a, b)


def part(world: World) -> None:
    """A partition into two parts, or of some pairs alone."""
    every = list(map(frozenset, combinations(sorted([*world.nodes, *world.dead]), 2)))
    if world.rng.random() < 0.7:
        side = {node for node in [*world.nodes, *world.dead] if world.rng.random() < 0.4}
        chosen = {link for link in every if len(link & side) == 1}
    else:
        chosen = {link for link in every if world.rng.random() < 0.25}
    world.network.cut(sorted([*world.nodes, *world.dead]), chosen)


def isolate(world: World) -> None:
    """The room's node is alone, or with one api node."""
    if world.primaries:
        nodes = sorted([*world.nodes, *world.dead])
        side = {world.primaries[0][0].me}
        if world.rng.random() < 0.5:
            side.add(world.rng.choice(list(world.apis)))
        every = map(frozenset, combinations(nodes, 2))
        world.network.cut(nodes, {link for link in every if len(link & side) == 1})


def disturb(world: World) -> None:
    """Two nodes of the room lose their link for a moment, or cannot hear each other."""
    named = sorted(world.members & set(world.nodes))
    if len(named) < 2:
        return
    a, b = world.rng.sample(named, 2)
    if world.rng.random() < 0.4:
        world.network.blocked.add(frozenset((a, b)))
        for node, other in ((a, b), (b, a)):
            if node in world.awake:
                world.suspect(node, other)
    elif {a, b} <= world.awake and frozenset((a, b)) not in world.network.blocked:
        world.connect(a, b)


def ask_holder(world: World) -> None:
    """An api node asks a node that may have an image."""
    holders = [game.me for game in world.games.values() if game.image is not None]
    if holders:
        world.apis[world.rng.choice(list(world.apis))].say(world.rng.choice(holders))


def mend(world: World) -> None:
    world.network.cut(world.nodes, set())


def stall(world: World) -> None:
    node = world.rng.choice(world.nodes)
    if world.primaries and world.rng.random() < 0.5:
        node = world.primaries[0][0].me
    world.stalled.add(node)


def wake(world: World) -> None:
    world.stalled.clear()


def crash(world: World) -> None:
    """A node dies, if the room has lost nothing else that it needs; a new one starts."""
    whole = world.is_whole
    node = world.rng.choice(world.nodes)
    if whole and world.rng.random() < 0.7:
        config = world.primaries[0][1].config
        node = world.rng.choice([config.primary, *config.standbys, *config.witnesses])
    if whole or node not in world.members:
        world.replace(node)


def drain(world: World) -> None:
    """A node drains: never the last but one of its tier."""
    node = world.rng.choice(world.nodes)
    tier = world.games if node < FIRST_API else world.apis
    if len([one for one in tier if one not in world.draining]) > 2:
        world.draining.add(node)
        world.look()
        if node in world.games and node in world.awake:
            world.games[node].do(world.games[node].rooms.hand_over(ROOM))


def leave(world: World) -> None:
    """Drained nodes exit when the room does not need them."""
    for node in sorted(world.draining):
        if node not in world.members:
            world.replace(node)


def give_back(world: World) -> None:
    """A node that drains gives its image back, and exits once it neither holds nor runs the room:
    at any time, also when the room has lost its primary and nobody knows that yet. A node that
    remembers how the room has ended or moved on stays, as the witness does: images of earlier
    epochs, on nodes that nobody hears, have lost the others that they name.
    """
    for node in sorted(world.draining & world.awake & world.games.keys()):
        game = world.games[node]
        game.do(game.rooms.leave(ROOM))
        if not game.holds and game.rooms.votes.last(ROOM) is None:
            world.replace(node)


def leave_to_standby(world: World) -> None:
    """The deadline of a node that drains and runs the room, which has lost nothing else that it
    needs. The process ends then, or a little later.
    """
    for node in sorted(world.draining & world.awake & world.games.keys()):
        game = world.games[node]
        if world.is_whole and game.rooms.primary(ROOM) is not None:
            if world.rng.random() < 0.5:
                game.do(game.rooms.hand_over(ROOM, ends=True))
                continue
            game.do(game.rooms.leave_to_standby(ROOM))
            if not game.holds and world.rng.random() < 0.5:
                world.replace(node)


def refuse(world: World) -> None:
    game = world.rng.choice(list(world.games.values()))
    game.refuses = not game.refuses


def ask_again(world: World) -> None:
    for game in world.games.values():
        if game.me in world.awake:
            game.do(game.rooms.again(ROOM))


OPS: dict[Op, float] = {
    deliver: 50,
    settle: 8,
    look: 4,
    client_says: 14,
    room_says: 8,
    suspect: 3,
    suspect_all: 5,
    find_dead: 6,
    connect: 8,
    reset: 2,
    part: 2,
    isolate: 1,
    mend: 4,
    disturb: 6,
    ask_holder: 5,
    stall: 1,
    wake: 3,
    crash: 4,
    drain: 2,
    leave: 3,
    refuse: 1,
    ask_again: 1,
    end: 1,
}


EXITS = {**OPS, drain: 8, give_back: 8}
"""Nodes often drain, and do not wait until the room has another standby."""
DEADLINES = {**EXITS, leave_to_standby: 8}
"""They do not wait either until the standby has taken the room over."""


def run(world: World, steps: int = STEPS, ops: Mapping[Op, float] = OPS) -> None:
    """Raises :class:`Broken` if the law does not hold."""
    settle(world)
    rng = world.rng
    for op in rng.choices(list(ops), weights=list(ops.values()), k=steps):
        op(world)
    world.heal()
    world.check_goes_on()


SHARES = (0, 0.3, 1, 1, 3, 10)
DELIVERIES = (20, 50, 100)
LENGTHS = (60, 120, 200)
SIZES = (3, 4, 4, 5)


def run_swarm(seed: int, **parts: type) -> World:
    """A schedule with a length, a cluster and weights of its own: some things happen often, others
    never. So orders come that no fixed weights make likely (Groce et al., Swarm Testing, 2012).
    """
    rng = random.Random(f"weights {seed}")
    ops = {op: weight * rng.choice(SHARES) for op, weight in EXITS.items()}
    ops[deliver] = rng.choice(DELIVERIES)
    for needed, least in ((connect, 2), (mend, 1), (wake, 1)):
        ops[needed] = max(ops[needed], least)
    steps, games = rng.choice(LENGTHS), rng.choice(SIZES)
    world = World(random.Random(seed), games=games, **parts)
    run(world, steps=steps, ops=ops)
    return world


def run_seed(seed: int, ops: Mapping[Op, float] = OPS, **parts: type) -> World:
    world = World(random.Random(seed), **parts)
    run(world, ops=ops)
    return world

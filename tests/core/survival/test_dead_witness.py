"""A room's witness is dead, and so all game nodes vote: those with an image of the room, too."""

from __future__ import annotations

from tests.core.survival.nodes import ROOM
from tests.core.survival.test_scenarios import cut, world_of
from tests.core.survival.world import World


def lose_the_resignation(world: World) -> int:
    """The standby drains and has resigned for its successor, but the room's node does not hear so.

    Returns the successor.
    """
    primary = world.primaries[0][1]
    me, old = primary.config.primary, primary.config.standbys[0]
    world.draining.add(old)
    world.look()
    while world.games[old].image is not None:
        ways = world.network.ready(world.awake)
        world.deliver(min(ways, key=lambda way: way == (old, me)))
    cut(world, me, old)
    assert len(primary.config.standbys) == 2
    return primary.config.standbys[1]


def test_a_standby_that_asks_for_no_vote_gives_its_own_to_the_primary_and_keeps_the_image() -> None:
    world = world_of()
    new = lose_the_resignation(world)
    primary = world.primaries[0][1]
    witness = primary.config.witnesses[0]
    world.replace(witness)
    for node in sorted(world.awake):
        world.find_dead(node, witness)
    world.network.blocked.clear()
    world.connect(primary.config.primary, primary.config.standbys[0])
    for _ in range(3):
        world.look()
        world.deliver_all()
    assert primary.config.epoch == 1
    assert primary.config.standbys == (new,)
    assert world.games[new].rooms.standby(ROOM) is not None
    world.heal()
    world.check_goes_on()

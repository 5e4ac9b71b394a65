"""A standby refuses a newer image while it waits for a vote, and its witness dies without it."""

from __future__ import annotations

import random

import pytest

from tests.core.survival.nodes import ROOM
from tests.core.survival.schedules import room_says, settle
from tests.core.survival.world import World


def refused_by_a_voter(world: World) -> int:
    """The standby has missed words that nobody waited for, asks for a vote, and refuses the image
    that would make up for them. Returns the room's witness, which has not answered.
    """
    world.look()
    game, primary = world.primaries[0]
    while primary.line.candidate is None:
        world.deliver(world.network.ready(world.awake)[0])
    me, node = game.me, primary.line.candidate.node
    deliver_all(world, me, node)
    room_says(world)
    deliver_all(world, node, me)
    deliver_all(world, me, node)
    standby = world.games[node]
    image = standby.rooms.standby(ROOM)
    assert image is not None
    assert image.image.appointed
    (witness,) = primary.config.witnesses
    world.stalled.add(witness)
    world.suspect(node, me)
    standby.sweep()
    assert image.voting
    standby.refuses = True
    world.connect(me, node)
    world.deliver_all()
    assert not primary.line.whole, "the standby has said that it does not hold the image"
    return witness


def deliver_all(world: World, source: int, to: int) -> None:
    while (source, to) in world.network.ready(world.awake):
        world.deliver((source, to))


@pytest.mark.parametrize("games", [2, 4])
def test_a_standby_that_does_not_hold_the_image_resigns_if_its_witness_is_dead(games: int) -> None:
    world = World(random.Random(1), games=games)
    world.replace(refused_by_a_voter(world))
    room_says(world)
    world.heal()
    world.check_goes_on()


def test_a_node_that_had_given_its_vote_in_vain_gets_an_image_later() -> None:
    world = World(random.Random(1), games=2)
    world.replace(refused_by_a_voter(world))
    world.heal()
    world.check_goes_on()
    first = world.primaries[0][0]
    world.draining.add(first.me)
    settle(world)
    first.do(first.rooms.hand_over(ROOM))
    settle(world)
    world.draining.clear()
    assert world.primaries[0][0] is not first
    world.check_goes_on()


def test_a_standby_waits_for_the_answer_as_long_as_its_witness_may_have_voted() -> None:
    world = World(random.Random(1))
    witness = refused_by_a_voter(world)
    primary = world.primaries[0][1]
    (node,) = primary.config.standbys
    world.crash(witness)
    world.find_dead(primary.config.primary, witness)
    world.look()
    world.deliver_all()
    image = world.games[node].rooms.standby(ROOM)
    assert image is not None
    assert image.voting
    assert primary.config.epoch == 0

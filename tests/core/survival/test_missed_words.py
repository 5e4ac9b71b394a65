"""A node becomes a standby while words leave that it does not have yet, and loses its primary.

Such a standby gets the whole image again on its next link, and not only steps.
"""

from __future__ import annotations

import random

import pytest

from lastcall.core.survival import actions
from lastcall.core.survival.primary import Primary
from lastcall.wire import survival_items as items
from tests.core.survival.nodes import ROOM, GameNode
from tests.core.survival.schedules import room_says, settle
from tests.core.survival.world import World


def behind(world: World) -> tuple[GameNode, Primary, GameNode]:
    """Returns the room's node, its primary, and the standby, whose last answers are on their way:
    while it was a candidate, nobody waited for them.
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
    image = world.games[node].rooms.standby(ROOM)
    assert image is not None
    assert image.image.appointed
    return game, primary, world.games[node]


def deliver_all(world: World, source: int, to: int) -> None:
    while (source, to) in world.network.ready(world.awake):
        world.deliver((source, to))


def refused_while_it_votes(world: World) -> int:
    """The standby asks for a vote, and refuses the image that comes on the next link to its
    primary. Returns the room's witness, which has not answered.
    """
    game, primary, standby = behind(world)
    (witness,) = primary.config.witnesses
    world.stalled.add(witness)
    world.suspect(standby.me, game.me)
    standby.sweep()
    standby.refuses = True
    world.connect(game.me, standby.me)
    world.deliver_all()
    assert not primary.line.whole, "the standby has said that it does not hold the image"
    return witness


@pytest.mark.parametrize("games", [2, 4])
def test_a_standby_that_does_not_hold_the_image_resigns_if_its_witness_is_dead(games: int) -> None:
    world = World(random.Random(1), games=games)
    world.replace(refused_while_it_votes(world))
    room_says(world)
    world.heal()
    world.check_goes_on()


def test_a_node_that_had_given_its_vote_in_vain_gets_an_image_later() -> None:
    world = World(random.Random(1), games=2)
    world.replace(refused_while_it_votes(world))
    world.heal()
    world.check_goes_on()
    first = world.primaries[0][0]
    hand_over(world, first)
    assert world.primaries[0][0] is not first
    world.check_goes_on()


def hand_over(world: World, game: GameNode) -> None:
    world.draining.add(game.me)
    settle(world)
    game.do(game.rooms.hand_over(ROOM))
    settle(world)
    world.draining.clear()


def test_a_standby_that_takes_a_room_over_sends_nobody_back_to_the_node_that_gives_it_up() -> None:
    """That one sends them here: an api node that follows both would give the room up."""
    world = World(random.Random(1))
    settle(world)
    first, primary = world.primaries[0]
    standby = world.games[primary.config.standbys[0]]
    for witness in primary.config.witnesses:  # the primary has to vote in their place
        world.crash(witness)
        world.find_dead(standby.me, witness)
    assert standby.rooms.wanted(ROOM) == [actions.Elsewhere(ROOM, first.me)]
    standby.rooms.receive(first.me, items.TakeOver(ROOM, primary.config.epoch))
    assert standby.rooms.standby(ROOM) is not None
    assert standby.rooms.wanted(ROOM) == []


def test_a_standby_waits_for_the_answer_as_long_as_its_witness_may_have_voted() -> None:
    world = World(random.Random(1))
    witness = refused_while_it_votes(world)
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


@pytest.mark.parametrize("full", [False, True])
def test_a_node_that_has_handed_a_room_on_keeps_no_image_of_a_primary_that_it_has_replaced(
    full: bool,
) -> None:
    world = World(random.Random(1))
    old, _, standby = behind(world)
    world.stalled.add(old.me)
    world.suspect(standby.me, old.me)
    for node in world.nodes:
        if node != old.me:
            world.suspect(node, old.me)
    standby.sweep()
    settle(world)
    assert world.primaries[0][0] is standby
    hand_over(world, standby)
    owner = world.primaries[0][0]
    assert not standby.holds
    owner.write(("say", 100))
    settle(world)
    world.stalled.clear()
    old.write(("say", 200))
    standby.refuses = full
    for node in (*world.apis, standby.me):
        world.connect(old.me, node)
    settle(world)
    world.heal()
    world.check_goes_on()

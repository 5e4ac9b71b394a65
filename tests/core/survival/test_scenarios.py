"""Orders of events that are too rare for random schedules; with the rule, and without it."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from lastcall.core.survival.actions import Protection
from lastcall.core.survival.claim import WAITS
from lastcall.core.survival.standing import NO_WITNESS
from tests.core.survival.mutants import Mutant, without
from tests.core.survival.network import pair
from tests.core.survival.nodes import ROOM
from tests.core.survival.schedules import room_says, settle, suspect_all
from tests.core.survival.world import Broken, World


def world_of(mutant: Mutant | None = None) -> World:
    if mutant is None:
        world = World(random.Random(1))
    else:
        world = World(random.Random(1), rooms=mutant.rooms, api=mutant.api)
    settle(world)
    assert world.is_settled
    return world


def part(world: World, side: set[int]) -> None:
    """``side`` and the others do not hear each other, and all notice it."""
    pairs = map(frozenset, combinations(world.nodes, 2))
    world.network.cut(world.nodes, {link for link in pairs if len(link & side) == 1})
    suspect_all(world)


def crash(world: World, node: int) -> None:
    """``node`` dies, and every node that can hear the others finds it dead."""
    assert world.is_settled
    world.crash(node)
    for other in sorted(world.awake):
        world.find_dead(other, node)
    for api in world.apis:
        for game in world.games:
            world.apis[api].say(game)
    settle(world)


def wake_up_after_two_deaths(world: World) -> None:
    """A primary is cut off with an api node; meanwhile its standby and witness live on and die."""
    config = world.primaries[0][1].config
    standby, witness = config.standbys[0], config.witnesses[0]
    listener = next(api for api in world.apis if api != witness)
    part(world, {config.primary, listener})
    for api in world.apis:
        world.apis[api].say(standby)
    settle(world)
    assert world.primaries[0][1].config.primary == standby
    room_says(world)
    settle(world)
    crash(world, standby)
    room_says(world)
    settle(world)
    crash(world, witness)
    room_says(world)
    settle(world)


def test_a_primary_whose_standby_and_witness_are_dead_waits_until_the_others_have_voted() -> None:
    world = world_of()
    wake_up_after_two_deaths(world)
    world.heal()
    world.check_goes_on()


def test_without_these_votes_two_deaths_make_two_histories() -> None:
    with pytest.raises(Broken, match="two histories"):
        wake_up_after_two_deaths(world_of(without("two deaths are not enough")))


def test_a_room_goes_on_although_standby_and_witness_die_at_once() -> None:
    world = world_of()
    config = world.primaries[0][1].config
    for node in (config.standbys[0], config.witnesses[0]):
        world.crash(node)
    room_says(world)
    settle(world)
    assert ("say", 1) not in world.places, "its words wait"
    world.heal()
    settle(world)
    assert ("say", 1) not in world.places, "nodes may have started since it has looked"
    settle(world)
    settle(world)
    assert ("say", 1) in world.places
    world.check_goes_on()


def test_a_room_does_not_go_on_if_other_nodes_vote_neither_yes_nor_no() -> None:
    mutant = without("others vote for a dead witness")
    world = world_of(mutant)
    config = world.primaries[0][1].config
    for node in (config.standbys[0], config.witnesses[0]):
        world.crash(node)
    world.heal()
    with pytest.raises(Broken, match="not heard"):
        world.check_goes_on()


def say_while_the_new_standby_is_not_heard(world: World) -> None:
    """The standby's node drains; its successor is appointed, and hears no more from the primary."""
    primary = world.primaries[0][1]
    me, standby = primary.config.primary, primary.config.standbys[0]
    world.draining.add(standby)
    world.look()
    while len(primary.config.standbys) < 2:
        world.deliver(world.network.ready(world.awake)[0])
    new = primary.config.standbys[1]
    room_says(world)
    while not world.games[new].rooms.standby(ROOM).image.appointed:
        world.deliver((me, new))
    world.network.blocked.add(pair(me, new))
    settle(world)
    part(world, {me, standby})
    for api in world.apis:
        world.apis[api].say(new)
    settle(world)
    world.heal()
    world.check_goes_on()


def test_words_wait_for_both_standbys_while_one_replaces_the_other() -> None:
    say_while_the_new_standby_is_not_heard(world_of())
    with pytest.raises(Broken):
        say_while_the_new_standby_is_not_heard(world_of(without("words wait for both standbys")))


def wake_up_in_another_cluster(world: World) -> None:
    """A primary is stopped while each other node is replaced, and then learns first who died."""
    config = world.primaries[0][1].config
    me = config.primary
    part(world, {me})
    world.stalled.add(me)
    for node in [node for node in world.nodes if node != me]:
        for api in world.apis.values():
            for game in world.games:
                api.say(game)
        settle(world)
        assert world.is_whole
        world.replace(node)
        for other in sorted(world.awake):
            world.find_dead(other, node)
    settle(world)
    room_says(world)
    settle(world)
    world.stalled.clear()
    world.network.cut(world.nodes, set())
    for node in sorted(world.dead):
        world.find_dead(me, node)
    for api in world.apis:
        world.connect(me, api)
    room_says(world)
    world.deliver_all()
    world.heal()
    world.check_goes_on()


def test_a_primary_that_wakes_up_among_new_nodes_waits_until_it_has_met_them() -> None:
    wake_up_in_another_cluster(world_of())
    with pytest.raises(Broken, match="two histories"):
        wake_up_in_another_cluster(world_of(without("the others' votes need another look")))


def cut(world: World, a: int, b: int) -> None:
    """The two do not hear each other, and notice it."""
    world.network.blocked.add(pair(a, b))
    world.suspect(a, b)
    world.suspect(b, a)


def test_a_witness_that_the_standby_cannot_ask_is_replaced() -> None:
    world = world_of()
    config = world.primaries[0][1].config
    standby, witness = config.standbys[0], config.witnesses[0]
    cut(world, standby, witness)
    settle(world)
    assert world.is_settled
    assert witness not in world.primaries[0][1].config.witnesses
    crash(world, config.primary)
    assert world.primaries[0][0].me == standby


def test_a_room_whose_standby_can_ask_nobody_says_that_it_is_not_protected() -> None:
    world = world_of()
    primary = world.primaries[0][1]
    for api in world.apis:
        cut(world, primary.config.standbys[0], api)
    settle(world)
    standing = world.primaries[0][0].standing
    assert standing is not None
    assert (standing.protection, standing.why) == (Protection.UNPROTECTED, NO_WITNESS)
    world.heal()
    settle(world)
    settle(world)
    assert world.is_settled


@pytest.mark.parametrize("seed", range(20))
def test_a_room_that_says_that_it_is_protected_outlives_its_node_from_that_instant(
    seed: int,
) -> None:
    world = World(random.Random(seed))
    world.look()
    game, primary = world.primaries[0]
    while primary.protection is not Protection.PROTECTED:
        world.deliver(world.rng.choice(world.network.ready(world.awake)))
    world.replace(game.me)
    world.heal()
    world.check_goes_on()


def test_a_standby_that_waits_for_a_vote_says_so_until_it_has_it() -> None:
    world = world_of()
    config = world.primaries[0][1].config
    standby, witness = world.games[config.standbys[0]], config.witnesses[0]
    world.stalled.add(witness)
    world.replace(config.primary)
    world.find_dead(standby.me, config.primary)
    standby.sweep()
    assert standby.standing is not None
    assert (standby.standing.protection, standby.standing.why) == (Protection.WAITING, WAITS)
    world.stalled.clear()
    world.deliver_all()
    assert world.primaries[0][0] is standby
    assert standby.standing.protection is not Protection.WAITING


def claim_after_the_primary_has_left(world: World) -> None:
    """The standby is promoted before it hears that it has a successor; the primary, which has asked
    for no vote, hears so and dies before it has told the successor.
    """
    primary = world.primaries[0][1]
    me, standby = primary.config.primary, primary.config.standbys[0]
    world.draining.add(standby)
    world.look()
    while len(primary.config.standbys) < 2:
        world.deliver(world.network.ready(world.awake)[0])
    new = primary.config.standbys[1]
    while not world.games[new].rooms.standby(ROOM).image.appointed:
        world.deliver((me, new))
    assert world.games[standby].rooms.standby(ROOM).config.standbys == (standby,)
    world.suspect(standby, me)
    cut(world, standby, new)
    for api in world.apis:
        world.apis[api].say(standby)
    while world.games[standby].history is None:
        world.deliver(world.network.ready(world.awake)[0])
    world.network.blocked.add(pair(me, new))
    world.connect(me, standby)
    settle(world)
    assert world.games[me].history is None, "it has heard that it is replaced"
    world.crash(me)
    world.find_dead(new, me)
    world.games[new].sweep()
    settle(world)
    for game, _ in world.primaries:
        game.write(("say", game.me))
    settle(world)
    world.heal()
    world.check_goes_on()


def test_a_standby_knows_of_its_successor_before_that_may_be_promoted() -> None:
    claim_after_the_primary_has_left(world_of())
    with pytest.raises(Broken, match="two histories"):
        claim_after_the_primary_has_left(
            world_of(without("the standby knows of a second one first"))
        )


def test_a_successor_keeps_its_image_while_the_step_that_appoints_it_is_lost_with_its_link() -> (
    None
):
    world = world_of()
    primary = world.primaries[0][1]
    config = primary.config
    me, standby, witness = config.primary, config.standbys[0], config.witnesses[0]
    world.draining.add(standby)
    world.look()
    while len(primary.config.standbys) < 2:
        world.deliver(min(world.network.ready(world.awake), key=lambda way: standby in way))
    new = primary.config.standbys[1]
    while world.games[standby].rooms.standby(ROOM).config != primary.config:
        world.deliver((me, standby))
    world.connect(me, new)
    world.replace(witness)
    for other in sorted(world.awake):
        world.find_dead(other, witness)
    settle(world)
    world.heal()
    world.check_goes_on()

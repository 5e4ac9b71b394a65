"""More orders of events that are too rare for random schedules; with the rule, and without it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from lastcall.core.survival.actions import Send
from lastcall.core.survival.links import Links, View
from lastcall.ids import Incarnation
from lastcall.wire import survival_items as items
from tests.core.survival.mutants import Mutant, without
from tests.core.survival.network import pair
from tests.core.survival.nodes import ROOM
from tests.core.survival.schedules import room_says, settle
from tests.core.survival.test_missed_words import hand_over
from tests.core.survival.test_scenarios import crash, cut, part, world_of
from tests.core.survival.world import Broken, World

ME, OTHER, API = Incarnation(1), Incarnation(2), Incarnation(9)


def breaks(scenario: Callable[[World], None], mutant: Mutant, match: str) -> None:
    """The law holds in ``scenario``, and not if a rule is missing."""
    scenario(world_of())
    with pytest.raises(Broken, match=match):
        scenario(world_of(mutant))


def holders(world: World) -> tuple[int, int, int]:
    """The nodes of primary, standby and witness."""
    config = world.primaries[0][1].config
    return config.primary, config.standbys[0], config.witnesses[0]


def deliver(world: World, *ways: tuple[int, int]) -> None:
    """All that goes those ways, and what follows from it there."""
    while ready := [way for way in world.network.ready(world.awake) if way in ways]:
        world.deliver(ready[0])


def between(a: int, b: int) -> tuple[tuple[int, int], tuple[int, int]]:
    return (a, b), (b, a)


def say_everywhere(world: World) -> None:
    """Each node that thinks that the room runs there says something."""
    room_says(world)
    settle(world)


def link(world: World, a: int, b: int) -> None:
    """The two hear each other again."""
    world.network.blocked.discard(pair(a, b))
    world.connect(a, b)


def ask_for(world: World, node: int) -> None:
    for api in world.apis.values():
        api.say(node)


def end_well(world: World) -> None:
    world.draining.clear()
    world.heal()
    world.check_goes_on()


def wake_up_beside_silent_nodes(world: World) -> None:
    """The room has gone on without a primary that is cut off with an api node; its witness dies."""
    me, standby, witness = holders(world)
    part(world, {me, next(api for api in world.apis if api != witness)})
    ask_for(world, standby)
    settle(world)
    room_says(world)
    settle(world)
    crash(world, witness)
    say_everywhere(world)
    end_well(world)


def test_a_node_that_is_only_silent_has_to_vote_in_place_of_a_dead_witness() -> None:
    mutant = without("all others vote for a dead witness")
    breaks(wake_up_beside_silent_nodes, mutant, "two histories")


def leave_behind(world: World, me: int, standby: int, witness: int) -> None:
    """The primary is cut off; the standby goes on with the room, and then the primary wakes up."""
    cut(world, me, witness)
    cut(world, me, standby)
    ask_for(world, standby)
    settle(world)
    assert world.games[standby].history is not None
    say_everywhere(world)
    link(world, me, witness)
    settle(world)
    say_everywhere(world)
    end_well(world)


def lose_the_config_after_a_resignation(world: World) -> None:
    """The first of two standbys has resigned, and the second one, which does not hear so, asks for
    the vote of the epoch that it knows.
    """
    me, old, witness = holders(world)
    primary = world.primaries[0][1]
    world.draining.add(old)
    world.look()
    while primary.config.standbys[0] == old:
        world.deliver(min(world.network.ready(world.awake)))
    (new,) = primary.config.standbys
    assert world.games[new].rooms.standby(ROOM).config.standbys == (old, new)
    leave_behind(world, me, new, witness)


def test_the_epoch_does_not_rise_while_there_is_a_standby_that_may_ask_for_its_vote() -> None:
    mutant = without("the epoch does not rise beside a standby")
    breaks(lose_the_config_after_a_resignation, mutant, "two histories")


def take_the_image_back_during_a_vote(world: World) -> None:
    """The primary asks for a vote, and has no need of it any more when it is given."""
    me, standby, witness = holders(world)
    world.stalled.add(witness)
    world.suspect(me, standby)
    world.connect(me, standby)
    withheld = replace(world.view(me), takers=(), withheld="its state cannot be encoded")
    world.games[me].do(world.games[me].rooms.sees(ROOM, withheld))
    deliver(world, *between(me, standby))
    primary = world.primaries[0][1]
    assert primary.config.standbys == ()
    world.stalled.clear()
    world.deliver_all()
    world.look()
    while not primary.config.standbys:
        world.deliver(min(world.network.ready(world.awake)))
    (new,) = primary.config.standbys
    while not world.games[new].rooms.standby(ROOM).image.appointed:
        world.deliver((me, new))
    leave_behind(world, me, new, witness)


def test_the_epoch_rises_when_the_last_standby_resigns_since_its_vote_may_be_given() -> None:
    mutant = without("the epoch rises without standbys")
    breaks(take_the_image_back_during_a_vote, mutant, "two histories")


def hear_the_standby_again_during_a_vote(world: World) -> None:
    """The primary asks for a vote, and hears the standby again before it has the answer."""
    me, standby, witness = holders(world)
    world.suspect(me, standby)
    deliver(world, (me, witness))
    world.connect(me, standby)
    world.deliver_all()
    end_well(world)


def test_the_answer_is_awaited_although_the_standby_is_heard_again() -> None:
    mutant = without("the answer is awaited")
    breaks(hear_the_standby_again_during_a_vote, mutant, "less protected than it says")


def resign_with_a_vote(world: World) -> None:
    """The standby has a vote and does not know so when the primary, which has another one, asks it
    to resign.
    """
    me, old, witness = holders(world)
    primary = world.primaries[0][1]
    world.draining.add(old)
    world.look()
    while len(primary.config.standbys) < 2:
        world.deliver(min(world.network.ready(world.awake)))
    world.suspect(old, me)
    ask_for(world, old)
    for api in world.apis:
        deliver(world, (api, old))
    deliver(world, (old, witness))
    cut(world, old, witness)
    world.connect(me, old)
    world.deliver_all()
    if not world.games[old].holds:
        world.replace(old)
    end_well(world)


def test_a_standby_does_not_resign_while_it_may_have_a_vote_that_it_does_not_know_of() -> None:
    mutant = without("a standby that votes does not resign")
    breaks(resign_with_a_vote, mutant, "less protected than it says")


def vote_and_become_a_standby(world: World) -> None:
    """A primary that is cut off has the vote of a node, which is then asked to keep an image of the
    room's later line; all others that have known of that line are replaced.
    """
    first = world.primaries[0][0]
    voter, first.refuses = first.me, True
    hand_over(world, first)
    me, standby, witness = holders(world)
    listener = next(api for api in world.apis if api != witness)
    part(world, {me, listener})
    ask_for(world, standby)
    settle(world)
    room_says(world)
    settle(world)
    crash(world, witness)
    link(world, me, voter)
    settle(world)
    cut(world, me, voter)
    for node in sorted(world.games.keys() - {me, voter}):
        assert world.is_whole
        world.replace(node)
        for other in sorted(world.awake):
            world.find_dead(other, node)
        for other, game in world.games.items():
            game.refuses = game.image is None and node != standby
            ask_for(world, other)
        settle(world)
    say_everywhere(world)
    for node in world.games.keys() - {me, voter}:
        link(world, me, node)
    settle(world)
    say_everywhere(world)
    end_well(world)


def test_a_node_that_has_voted_keeps_no_image_of_a_line_which_that_vote_has_to_end() -> None:
    mutant = without("a voter takes no later image")
    breaks(vote_and_become_a_standby, mutant, "two histories")


def miss_words_before_the_appointment(world: World) -> None:
    """A standby is coming, and hears no more; until it is appointed, words leave without it."""
    me, old, witness = holders(world)
    primary = world.primaries[0][1]
    world.draining.add(old)
    world.look()
    while not primary.config.coming:
        world.deliver(min(world.network.ready(world.awake)))
    new = primary.config.coming[0]
    deliver(world, (me, new))
    world.draining.add(witness)
    world.look()
    room_says(world)
    while len(primary.config.standbys) < 2:
        deliver(world, (me, old))
        room_says(world)
        world.deliver((old, me))
    assert world.games[new].rooms.standby(ROOM).last < primary.line.left
    world.connect(me, new)
    world.deliver_all()
    assert world.is_whole
    world.replace(me)
    end_well(world)


def test_a_standby_that_lacks_words_which_have_left_gets_the_image() -> None:
    mutant = without("a standby far behind gets the image")
    breaks(miss_words_before_the_appointment, mutant, "is not in the history|two histories")


def appointed_by(mutant: Mutant) -> bool:
    """Whether a primary in its third line of history takes a candidate for ready that has confirmed
    20 steps of the first line, and nothing of the image as of step 14.
    """
    primary = mutant.rooms.holders_type.primary_type(ROOM, items.Config(2, ME), Links(), 13)
    primary.sees(View(games=frozenset({ME, OTHER}), takers=(OTHER,), witnesses=(API,)))
    primary.receive(OTHER, items.Reaches(ROOM, 2, (API,)))
    primary.receive(OTHER, items.StepsKept(ROOM, 0, 20))
    return primary.config.standbys == (OTHER,)


def test_an_answer_to_an_earlier_line_says_nothing_about_the_steps_of_this_one() -> None:
    assert not appointed_by(Mutant("none"))
    assert appointed_by(without("answers to an earlier line do not count"))


def answers_to_step_5(mutant: Mutant) -> list[items.SurvivalItem]:
    """The answers of a standby that has step 3, and gets step 5."""
    config = items.Config(0, ME, (OTHER,), (API,))
    image = items.StandbyImage(ROOM, 0, 3, config)
    standby = mutant.rooms.holders_type.standby_type(image, OTHER, Links())
    todo = standby.receive(ME, items.Step(ROOM, 0, 5))
    return [action.item for action in todo if isinstance(action, Send)]


def test_a_standby_says_that_it_cannot_keep_a_step_that_does_not_follow_on_its_last_one() -> None:
    assert answers_to_step_5(Mutant("none")) == [items.NotHeld(ROOM, 0, 5)]
    kept = answers_to_step_5(without("no step is skipped"))
    assert kept == [items.StepsKept(ROOM, 0, 5)]

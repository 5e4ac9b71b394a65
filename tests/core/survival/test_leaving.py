"""A node that ends gives the images of others' rooms back, and the rooms lose nothing by it."""

from __future__ import annotations

import random

import pytest

from lastcall.core.survival.actions import Protection, Send
from lastcall.core.survival.links import Links
from lastcall.core.survival.primary import Primary
from lastcall.ids import Incarnation
from lastcall.wire import survival_items as items
from tests.core.survival.nodes import ROOM, GameNode
from tests.core.survival.schedules import room_says, settle
from tests.core.survival.world import World


def leaving(games: int) -> tuple[World, GameNode]:
    """The standby's node drains, and nobody knows that yet; returns that node."""
    world = World(random.Random(1), games=games)
    settle(world)
    assert world.is_settled
    room_says(world)
    world.deliver_all()
    standby = world.games[world.primaries[0][1].config.standbys[0]]
    world.draining.add(standby.me)
    standby.do(standby.rooms.leave(ROOM))
    return world, standby


def deliver_one(world: World) -> None:
    world.deliver(world.rng.choice(world.network.ready(world.awake)))


def test_a_standby_whose_node_ends_keeps_the_image_until_another_node_follows() -> None:
    world, standby = leaving(games=3)
    world.look()
    while standby.holds:
        assert world.is_whole
        deliver_one(world)
    assert world.is_whole
    world.deliver_all()
    assert world.primaries[0][1].protection is Protection.PROTECTED


def test_a_standby_whose_node_ends_is_let_go_if_no_other_node_can_have_the_image() -> None:
    world, standby = leaving(games=2)
    world.deliver_all()
    assert not standby.holds
    assert world.primaries[0][1].protection is Protection.UNPROTECTED


def test_a_node_that_is_no_standby_any_more_is_let_go_at_once() -> None:
    me, other = Incarnation(1), Incarnation(2)
    primary = Primary(ROOM, items.Config(1, me), Links(), last=7)
    told, _ = primary.receive(other, items.Leaving(ROOM, 1))
    assert told == Send(ROOM, other, items.Resign(ROOM, 1, 7))


def test_a_standby_whose_node_ends_asks_again_on_a_new_link() -> None:
    world, standby = leaving(games=2)
    world.connect(world.primaries[0][0].me, standby.me)
    world.deliver_all()
    assert standby.holds, "what it has said is lost"
    standby.do(standby.rooms.leave(ROOM))
    world.deliver_all()
    assert not standby.holds


@pytest.mark.parametrize("games", [2, 3, 4])
@pytest.mark.parametrize("delivered", range(12))
def test_a_room_goes_on_although_its_node_dies_while_its_standby_is_about_to_end(
    games: int, delivered: int
) -> None:
    """Its node dies, if the room has an image elsewhere; it is found dead only after the other node
    has had the time to leave.
    """
    world, standby = leaving(games)
    for _ in range(min(delivered, 40)):
        if world.network.ready(world.awake):
            deliver_one(world)
    is_whole = world.is_whole
    assert is_whole or games == 2
    if is_whole:
        world.replace(world.primaries[0][0].me)
    for _ in range(3):
        standby.do(standby.rooms.leave(ROOM))
        world.deliver_all()
    if not standby.holds:
        world.replace(standby.me)
    world.draining.clear()
    world.heal()
    world.check_goes_on()


def test_a_room_that_is_handed_over_goes_to_a_standby_whose_node_is_about_to_end() -> None:
    world, standby = leaving(games=2)
    first = world.primaries[0][0]
    world.draining.add(first.me)
    world.look()
    first.do(first.rooms.hand_over(ROOM))
    world.deliver_all()
    assert world.primaries[0][0] is standby
    assert not first.holds


@pytest.mark.parametrize(("ends", "asked"), [(False, True), (True, False)])
def test_a_node_that_ends_does_not_take_the_room_from_a_standby_that_is_silent(
    *, ends: bool, asked: bool
) -> None:
    links, other, api = Links(), Incarnation(2), Incarnation(1000)
    config = items.Config(0, Incarnation(1), standbys=(other,), witnesses=(api,))
    primary = Primary(ROOM, config, links)
    primary.hand_over(ends=ends)
    links.gone(other, certain=False)
    silent = primary.gone(other)
    links.gone(other, certain=True)
    dead = primary.gone(other)
    vote = Send(ROOM, api, items.VoteAsked(ROOM, 0, (other,), 0))
    assert (vote in silent, vote in [*silent, *dead]) == (asked, True)

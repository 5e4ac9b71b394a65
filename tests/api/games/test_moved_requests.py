"""Joins and resumes of rooms that have moved, or may soon go on: who is asked. Virtual time."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog.testing
import trio

from lastcall.api.games.calls import sweep_often
from lastcall.api.games.joins import Joins
from lastcall.api.games.moved_rooms import MovedRooms
from lastcall.api.games.resumes import Resumes
from lastcall.api.limits import ClientLimits
from lastcall.core.edge.missing_nodes import MissingNodes
from lastcall.ids import Ticket
from lastcall.limits import Limits
from lastcall.reasons import ErrorCode
from lastcall.wire import nodes
from tests.api.fake_links import Caller, FakeGameLink, join

TICKET = Ticket("game-1.den", "p1", "5ec7e7")


class Requests:
    """The joins and resumes of an api node; the links are to game nodes by their number."""

    def __init__(self, *numbers: int, at_once: int = 32) -> None:
        limits = ClientLimits(Limits(), Counter())
        nothing_missing = MissingNodes(any_place=False)
        self.moved_rooms = MovedRooms()
        self.joins = Joins(
            lambda: True, itertools.count(1), limits, lambda: nothing_missing, self.moved_rooms
        )
        self.resumes = Resumes(
            numbers=itertools.count(1),
            missing=lambda: nothing_missing,
            resume_seconds=3,
            regroup_seconds=0,
            limits=limits,
            at_once=at_once,
            moved_rooms=self.moved_rooms,
        )
        self.links = {number: self.up(number) for number in numbers}

    def up(self, number: int) -> FakeGameLink:
        link = FakeGameLink(f"game-{number}", incarnation=number)
        for asker in (self.joins, self.resumes):
            asker.link_up(link)
        return link

    def down(self, link: FakeGameLink) -> None:
        for asker in (self.joins, self.resumes):
            asker.link_down(link)

    def resume(self) -> Caller:
        caller = Caller()
        self.resumes.begin(caller, TICKET, 0)
        return caller

    def join(self, **request: Any) -> Caller:
        caller = Caller()
        self.joins.begin(caller, join(**request), 0.8)
        return caller


def refuse(asker: Joins | Resumes, link: FakeGameLink, code: str, **more: Any) -> None:
    """``link`` refuses the last call that it was sent."""
    assert asker.refused(link, nodes.Refused(link.calls[-1], code, "the reason", **more))


def resumed(tier: Requests, link: FakeGameLink) -> object:
    place = nodes.Resumed(link.calls[-1], *TICKET_PLACE, 2, 1, 0, 0, "0ther", complete=True)
    return tier.resumes.seated(link, place)


TICKET_PLACE = TICKET.room, TICKET.player


def seated(tier: Requests, link: FakeGameLink) -> object:
    seat = nodes.Seated(link.calls[-1], "game-1.den", "den", "p1", 1, 1, 0, "5ec7e7", [])
    return tier.joins.seated(link, seat)


@pytest.fixture
async def tier(nursery: trio.Nursery) -> AsyncIterator[Requests]:
    tier = Requests(1, 2, 3)
    await trio.sleep(10)  # until no node is young
    nursery.start_soon(sweep_often, tier.joins, tier.resumes)
    yield tier
    await trio.sleep(11)
    assert (len(tier.joins), len(tier.resumes)) == (0, 0)


# Resumes.


async def test_a_resume_asks_the_node_that_the_room_has_moved_to_next(autojump_clock, tier) -> None:
    one, two, three = tier.links.values()
    caller = tier.resume()
    refuse(tier.resumes, one, nodes.MOVED, to=3, name="game-3")
    assert (len(two.sent), len(three.sent)) == (0, 1)
    refuse(tier.resumes, three, nodes.MOVED, to=2, name="game-2")
    assert resumed(tier, two) is caller
    assert caller.told == []


async def test_a_resume_asks_a_node_that_has_refused_again_if_the_room_has_moved_there(
    autojump_clock, tier
) -> None:
    one, two, _ = tier.links.values()
    tier.down(one)
    caller = tier.resume()
    refuse(tier.resumes, two, nodes.NO_SUCH_PLACE)
    refuse(tier.resumes, tier.links[3], nodes.MOVED, to=2, name="game-2")
    assert len(two.sent) == 2
    assert resumed(tier, two) is caller


async def test_a_resume_asks_a_node_that_has_refused_again_if_the_room_goes_on_there(
    autojump_clock, tier
) -> None:
    """It refused before its image was promoted: game-2 ran the room then, and is killed now."""
    one, two, three = tier.links.values()
    tier.down(three)
    caller = tier.resume()
    refuse(tier.resumes, one, nodes.NO_SUCH_PLACE)
    assert len(two.sent) == 1
    tier.resumes.moved(nodes.Moved(TICKET.room, 2, 1, "game-1"))
    tier.down(two)
    assert len(one.sent) == 2
    assert resumed(tier, one) is caller
    assert caller.told == []


async def test_a_resume_that_waits_asks_the_node_at_which_the_room_goes_on(
    autojump_clock, tier
) -> None:
    one, two, three = tier.links.values()
    for link in (two, three):
        tier.down(link)
    caller = tier.resume()
    refuse(tier.resumes, one, nodes.MOVED, to=4, name="game-4")
    tier.resumes.moved(nodes.Moved(TICKET.room, 2, 1, "game-1"))
    assert resumed(tier, one) is caller


async def test_a_join_of_a_room_asks_a_node_that_has_refused_again_if_the_room_goes_on_there(
    autojump_clock, tier
) -> None:
    one, two, _ = tier.links.values()
    caller = tier.join(room="game-1.den")
    refuse(tier.joins, one, ErrorCode.NO_SUCH_ROOM)
    assert len(two.sent) == 1
    tier.joins.moved(nodes.Moved(TICKET.room, 2, 1, "game-1"))
    tier.down(two)
    assert len(one.sent) == 2
    assert seated(tier, one) is caller


async def test_a_resume_waits_3_s_for_a_node_that_is_not_attached_and_is_then_told_to_try_again(
    autojump_clock, tier
) -> None:
    """All attached nodes have refused it by then."""
    caller = tier.resume()
    refuse(tier.resumes, tier.links[1], nodes.MOVED, to=4, name="game-4")
    for number in (2, 3):
        refuse(tier.resumes, tier.links[number], nodes.NO_SUCH_PLACE)
    await trio.sleep(2.9)
    assert caller.told == []
    await trio.sleep(0.3)
    assert caller.told == ["1013"]


async def test_a_resume_asks_the_node_that_it_waits_for_as_soon_as_that_attaches(
    autojump_clock, tier
) -> None:
    caller = tier.resume()
    refuse(tier.resumes, tier.links[1], nodes.MOVED, to=4, name="game-4")
    for number in (2, 3):
        refuse(tier.resumes, tier.links[number], nodes.NO_SUCH_PLACE)
    await trio.sleep(2)
    four = tier.up(4)
    assert resumed(tier, four) is caller


async def test_a_resume_that_the_rooms_new_node_refuses_too_is_unknown_after_all_have_refused(
    autojump_clock, tier
) -> None:
    caller = tier.resume()
    refuse(tier.resumes, tier.links[1], nodes.MOVED, to=3, name="game-3")
    refuse(tier.resumes, tier.links[3], nodes.NO_SUCH_PLACE)
    assert caller.told == []
    refuse(tier.resumes, tier.links[2], nodes.NO_SUCH_PLACE)
    assert caller.told == ["4004"]


async def test_a_resume_that_is_sent_in_a_circle_is_told_to_try_again_after_8_moves(
    autojump_clock, tier
) -> None:
    caller = tier.resume()
    with structlog.testing.capture_logs() as events:
        for _ in range(4):
            refuse(tier.resumes, tier.links[1], nodes.MOVED, to=2)
            assert caller.told == []
            refuse(tier.resumes, tier.links[2], nodes.MOVED, to=1)
        refuse(tier.resumes, tier.links[1], nodes.MOVED, to=2)
    assert caller.told == ["1013"]
    assert [event["event"] for event in events] == ["room.moves_without_end"]


async def test_a_resume_asks_a_node_that_may_have_the_place_soon_7_to_11_times_in_2_s(
    autojump_clock, tier
) -> None:
    one, two, three = tier.links.values()
    caller = tier.resume()
    for link in (one, three):
        tier.down(link)
    answered = 0
    for _ in range(200):
        await trio.sleep(0.01)
        while answered < len(two.sent):
            refusal = nodes.Refused(two.calls[answered], nodes.NO_SUCH_PLACE, "", retry=True)
            assert tier.resumes.refused(two, refusal)
            answered += 1
    assert 7 <= answered <= 11
    await trio.sleep(0.35)
    assert resumed(tier, two) is caller


async def test_a_resume_asks_a_node_again_that_keeps_the_rooms_image_and_names_one_that_is_gone(
    autojump_clock, tier
) -> None:
    one, two, three = tier.links.values()
    caller = tier.resume()
    for link in (one, three):
        tier.down(link)
    for _ in range(9):
        refuse(tier.resumes, two, nodes.MOVED, to=1, retry=True)
        await trio.sleep(0.32)
    assert len(two.sent) == 10
    assert resumed(tier, two) is caller


async def test_a_resume_whose_room_may_go_on_soon_is_told_to_try_again_after_3_s(
    autojump_clock, tier
) -> None:
    one, two, three = tier.links.values()
    caller = tier.resume()
    for link, retry in ((one, False), (two, True), (three, False)):
        refuse(tier.resumes, link, nodes.NO_SUCH_PLACE, retry=retry)
    for _ in range(9):
        await trio.sleep(0.32)
        refuse(tier.resumes, two, nodes.NO_SUCH_PLACE, retry=True)
    assert caller.told == []
    await trio.sleep(0.3)
    assert caller.told == ["1013"]
    assert (len(one.sent), len(three.sent)) == (1, 1)


async def test_a_resume_for_which_no_room_is_left_to_wait_is_told_to_try_again(
    autojump_clock, tier
) -> None:
    caller = tier.resume()
    with structlog.testing.capture_logs() as events:
        refuse(tier.resumes, tier.links[1], "no_game_node")
    assert (caller.told, events) == (["1013"], [])


# Joins.


async def test_a_join_by_id_asks_the_node_that_the_room_has_moved_to_next(
    autojump_clock, tier
) -> None:
    one, two, three = tier.links.values()
    caller = tier.join(room="game-1.den")
    refuse(tier.joins, one, nodes.MOVED, to=3, name="game-3")
    assert (len(two.sent), len(three.sent)) == (0, 1)
    assert seated(tier, three) is caller


async def test_a_join_by_id_waits_for_a_node_that_is_not_attached_and_may_be_tried_again(
    autojump_clock, tier
) -> None:
    """All others have said that they do not know the room."""
    caller = tier.join(room="game-1.den")
    refuse(tier.joins, tier.links[1], nodes.MOVED, to=4, name="game-4")
    for number in (2, 3):
        refuse(tier.joins, tier.links[number], "no_such_room")
    await trio.sleep(0.75)
    assert caller.told == []
    await trio.sleep(0.2)
    assert caller.told == ["no_game_node"]


async def test_a_join_by_id_asks_the_node_that_it_waits_for_in_whatever_phase_that_attaches(
    autojump_clock, tier
) -> None:
    caller = tier.join(room="game-1.den")
    refuse(tier.joins, tier.links[1], nodes.MOVED, to=4, name="game-4")
    for number in (2, 3):
        refuse(tier.joins, tier.links[number], "no_such_room")
    four = FakeGameLink("game-4", incarnation=4)
    four.becomes("draining")
    tier.joins.link_up(four)
    assert seated(tier, four) is caller


async def test_a_join_whose_keys_seat_has_moved_asks_there_and_takes_no_other_seat(
    autojump_clock, tier
) -> None:
    one, two, three = tier.links.values()
    caller = tier.join(key="k")
    refuse(tier.joins, three, nodes.NO_SUCH_PLACE)
    refuse(tier.joins, two, nodes.MOVED, to=3, name="game-3")
    assert [item.seated_only for item in three.sent] == [True, True]
    assert [item.seated_only for item in one.sent] == [True]
    assert seated(tier, three) is caller


async def test_a_join_whose_keys_seat_is_at_a_node_that_is_not_attached_may_be_tried_again(
    autojump_clock, tier
) -> None:
    one, two, three = tier.links.values()
    caller = tier.join(key="k")
    refuse(tier.joins, two, nodes.MOVED, to=4, name="game-4")
    refuse(tier.joins, three, nodes.NO_SUCH_PLACE)
    refuse(tier.joins, one, nodes.NO_SUCH_PLACE)
    await trio.sleep(0.75)
    assert caller.told == []
    await trio.sleep(0.2)
    assert caller.told == ["no_game_node"]
    assert all(item.seated_only for link in tier.links.values() for item in link.sent)


async def test_a_join_asks_the_rooms_new_node_again_on_its_next_link(autojump_clock, tier) -> None:
    two, three = tier.links[2], tier.links[3]
    caller = tier.join(key="k")
    refuse(tier.joins, two, nodes.MOVED, to=3, name="game-3")
    refuse(tier.joins, tier.links[1], nodes.NO_SUCH_PLACE)
    tier.down(three)
    again = tier.up(3)
    assert [item.seated_only for item in again.sent] == [True]
    assert seated(tier, again) is caller


async def test_a_key_that_the_new_node_does_not_know_gets_a_seat_like_any_other(
    autojump_clock, tier
) -> None:
    one, two, three = tier.links.values()
    caller = tier.join(key="k")
    refuse(tier.joins, three, nodes.NO_SUCH_PLACE)
    refuse(tier.joins, two, nodes.MOVED, to=3, name="game-3")
    for link in (three, one):
        refuse(tier.joins, link, nodes.NO_SUCH_PLACE)
    [asked] = [link for link in tier.links.values() if not link.sent[-1].seated_only]
    assert seated(tier, asked) is caller


async def test_a_join_that_is_sent_in_a_circle_may_be_tried_again(autojump_clock, tier) -> None:
    caller = tier.join(room="game-1.den")
    for _ in range(4):
        refuse(tier.joins, tier.links[1], nodes.MOVED, to=2)
        refuse(tier.joins, tier.links[2], nodes.MOVED, to=1)
    assert caller.told == []
    refuse(tier.joins, tier.links[1], nodes.MOVED, to=2)
    assert caller.told == ["no_game_node"]


async def test_a_join_by_kind_that_a_moved_room_refuses_goes_to_another_node(
    autojump_clock, tier
) -> None:
    caller = tier.join()
    refuse(tier.joins, tier.links[1], nodes.MOVED, to=4, name="game-4")
    assert seated(tier, tier.links[2]) is caller


async def test_a_join_asks_a_node_that_may_have_the_room_soon_again(autojump_clock, tier) -> None:
    one, two, three = tier.links.values()
    caller = tier.join(room="game-1.den")
    refuse(tier.joins, one, "no_such_room")
    refuse(tier.joins, two, "no_such_room", retry=True)
    refuse(tier.joins, three, "no_such_room")
    await trio.sleep(0.35)
    assert (len(one.sent), len(two.sent), len(three.sent)) == (1, 2, 1)
    assert seated(tier, two) is caller


# Nodes that are lost, or have the seat, while others are asked.


async def test_a_node_is_not_asked_twice_for_a_key_whose_seat_has_moved_there(
    autojump_clock, tier
) -> None:
    caller = tier.join(key="k")
    here, there = [link for link in tier.links.values() if link.sent]
    refuse(tier.joins, here, nodes.MOVED, to=there.node.incarnation, name="there")
    assert len(there.sent) == 1
    assert seated(tier, there) is caller


@pytest.mark.parametrize("silent", [True, False])
async def test_a_join_by_id_asks_all_again_when_the_asked_node_is_lost(
    autojump_clock, tier, silent
) -> None:
    one, two, three = tier.links.values()
    tier.down(three)
    caller = tier.join(room="game-1.den")
    refuse(tier.joins, one, ErrorCode.NO_SUCH_ROOM)
    assert len(two.sent) == 1
    if silent:
        two.silent = True
        tier.joins.link_state(two)
    else:
        tier.down(two)
    assert (caller.told, len(one.sent)) == ([], 2)
    assert seated(tier, one) is caller


@pytest.mark.parametrize("silent", [True, False])
async def test_a_resume_in_the_queue_of_a_node_that_is_lost_asks_all_again(
    autojump_clock, nursery, silent
) -> None:
    tier = Requests(1, 2, at_once=1)
    await trio.sleep(10)
    nursery.start_soon(sweep_often, tier.resumes)
    one, two = tier.links.values()
    asked, queued = tier.resume(), tier.resume()
    for _ in range(2):
        refuse(tier.resumes, one, nodes.NO_SUCH_PLACE)
    assert (len(one.sent), len(two.sent)) == (2, 1), "one of them waits for its turn at two"
    if silent:
        two.silent = True
        tier.resumes.link_state(two)
    else:
        tier.down(two)
    await trio.sleep(0.3)
    assert (asked.told, queued.told) == ([], [])
    found = set()
    for _ in range(2):
        found.add(resumed(tier, one))
        await trio.sleep(0.3)
    assert found == {asked, queued}


async def test_a_later_request_asks_the_node_that_the_room_has_moved_to_last(
    autojump_clock, tier
) -> None:
    for to, epoch, news in ((2, 2, True), (3, 4, True), (2, 2, False)):
        assert tier.moved_rooms.learn(nodes.Moved("game-1.den", epoch, to, f"game-{to}")) is news
    tier.resume()
    tier.join(room="game-1.den")
    assert [len(link.sent) for link in tier.links.values()] == [0, 0, 2]

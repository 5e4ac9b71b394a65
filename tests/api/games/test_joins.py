"""Joins under way: how many one client may ask for, and where the seat of a key is looked for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from lastcall.api.games.joins import Joins
from lastcall.errors import JoinRefused
from lastcall.wire import nodes
from tests.api.fake_links import Caller, FakeGameLink, join
from tests.harness.cluster import cluster


@pytest.mark.usefixtures("schedule")
async def test_one_client_cannot_open_rooms_without_measure(autojump_clock: MockClock) -> None:
    async with cluster() as c:
        api, game = await c.one_of_each()
        client = await c.client(api)
        refused = 0
        for _ in range(300):
            try:
                place = await client.join(kind="countdown", new=True)
                await place.leave()
            except JoinRefused as refusal:
                refused += refusal.code == "too_many" and refusal.retry
        assert refused >= 150
        assert game.rooms <= 150
        await trio.sleep(1)
        assert (await client.join(kind="lounge")).room


# The seat of a key.


class Desk:
    """Joins between sessions and links."""

    def __init__(self) -> None:
        self.heard = True
        self.joins = Joins(lambda: self.heard, itertools.count(1))

    def link(self, name: str, **more: Any) -> FakeGameLink:
        link = FakeGameLink(name, **more)
        self.joins.link_up(link)
        self.joins.link_state(link)
        return link

    def links(self, count: int) -> list[FakeGameLink]:
        return [self.link(f"game-{number}") for number in range(1, count + 1)]

    def begin(self, **request: Any) -> Caller:
        caller = Caller()
        self.joins.begin(caller, join(**request), 0.8)
        return caller

    def says_no(self, link: FakeGameLink, code: str = nodes.NO_SUCH_PLACE, at: int = -1) -> bool:
        return self.joins.refused(link, nodes.Refused(link.calls[at], code, "the reason"))

    def has_it(self, link: FakeGameLink, at: int = -1) -> object:
        seat = nodes.Seated(link.calls[at], "game-1.x", "den", "p1", 1, 1, 0, "5ec7e7", [])
        return self.joins.seated(link, seat)

    def becomes(self, link: FakeGameLink, phase: str = "serving", *, silent: bool = False) -> None:
        link.becomes(phase)
        link.silent = silent
        self.joins.link_state(link)


@pytest.fixture
async def desk(nursery: trio.Nursery) -> Iterator[Desk]:
    desk = Desk()
    nursery.start_soon(desk.joins.sweep)
    yield desk
    await trio.sleep(11)
    assert len(desk.joins) == 0


def asked(*links: FakeGameLink) -> list[str]:
    """What each was asked last: a question for the key's seat, a join, or nothing."""
    last = [link.sent[-1] if link.sent else None for link in links]
    return ["-" if one is None else "key?" if one.seated_only else "join" for one in last]


GOODBYES = {"": nodes.Leave("game-1.x", "p1", 1), "k": nodes.Absent("game-1.x", "p1", 1)}


async def test_a_key_asks_all_others_first_at_the_same_time(autojump_clock, desk) -> None:
    one, two, three = desk.links(3)
    caller = desk.begin(key="k", name="me")
    assert asked(one, two, three) == ["-", "key?", "key?"]
    assert (two.sent[0].kind, two.sent[0].key) == ("den", "k")
    desk.says_no(two)
    assert asked(one) == ["-"]
    desk.says_no(three)
    assert asked(one) == ["join"]
    assert desk.has_it(one) is caller


async def test_a_seat_of_the_key_is_taken_wherever_it_is(autojump_clock, desk) -> None:
    one, two, three = desk.links(3)
    caller = desk.begin(key="k")
    assert desk.has_it(three) is caller
    assert desk.says_no(two)
    assert one.sent == []
    assert caller.told == []


async def test_a_second_seat_of_one_key_is_left_as_an_absence(autojump_clock, desk) -> None:
    _, two, three = desk.links(3)
    caller = desk.begin(key="k")
    assert desk.has_it(three) is caller
    assert desk.has_it(two) == GOODBYES["k"]


async def test_with_one_node_a_key_costs_no_question(autojump_clock, desk) -> None:
    (one,) = desk.links(1)
    caller = desk.begin(key="k")
    assert asked(one) == ["join"]
    assert desk.has_it(one) is caller


@pytest.mark.parametrize("request_", [{}, {"key": "k", "room": "game-1.x"}])
async def test_without_a_key_or_with_a_room_nobody_else_is_asked(
    autojump_clock, desk, request_: dict[str, str]
) -> None:
    one, two = desk.links(2)
    caller = desk.begin(**request_)
    assert asked(one, two) == ["join", "-"]
    assert desk.has_it(one) is caller


async def test_who_cannot_hold_the_seat_is_not_asked(autojump_clock, desk) -> None:
    """A node of the first wire version would not know the question, and make a seat."""
    one, two, three, four, five = desk.links(5)
    old = desk.link("game-6", wire=nodes.RESUMES - 1)
    desk.becomes(two, silent=True)
    desk.becomes(three, "stopped")
    four.state = nodes.NodeState(2, "serving", 0, {"another": 0})
    desk.joins.link_state(four)
    desk.becomes(five, "draining")
    caller = desk.begin(key="k")
    assert asked(one, two, three, four, five, old) == ["-", "-", "-", "-", "key?", "-"]
    assert desk.has_it(five) is caller


@pytest.mark.parametrize("how", ["silent", "down"])
async def test_a_node_that_does_not_answer_for_the_key_holds_nobody_up_once_that_is_seen(
    autojump_clock, desk, how: str
) -> None:
    one, two, three = desk.links(3)
    caller = desk.begin(key="k")
    desk.says_no(two)
    if how == "silent":
        desk.becomes(three, silent=True)
        assert desk.has_it(three) == GOODBYES["k"]
    else:
        desk.joins.link_down(three)
    assert asked(one) == ["join"]
    assert desk.has_it(one) is caller


async def test_a_node_that_lives_and_does_not_answer_for_the_key_costs_10_s(
    autojump_clock, desk
) -> None:
    one, two = desk.links(2)
    caller = desk.begin(key="k")
    await trio.sleep(9.9)
    assert asked(one, two) == ["-", "key?"]
    await trio.sleep(0.3)
    assert asked(one) == ["join"]
    assert desk.has_it(one) is caller


async def test_a_second_choice_asks_each_once_for_the_key(autojump_clock, desk) -> None:
    one, two, three = desk.links(3)
    caller = desk.begin(key="k")
    desk.says_no(two)
    desk.says_no(three)
    desk.becomes(one, "draining")
    desk.says_no(one, nodes.DRAINING)
    assert asked(one, two, three) == ["join", "join", "key?"]
    assert [len(link.sent) for link in (one, two, three)] == [1, 2, 1]
    assert desk.has_it(two) is caller


async def test_a_chosen_node_that_changes_meanwhile_is_asked_for_the_key(
    autojump_clock, desk
) -> None:
    one, two = desk.links(2)
    caller = desk.begin(key="k")
    assert asked(one, two) == ["-", "key?"]
    desk.becomes(one, "draining")
    desk.says_no(two)
    assert asked(one, two) == ["key?", "key?"]
    desk.says_no(one)
    assert asked(one, two) == ["key?", "join"]
    assert desk.has_it(two) is caller


async def test_a_seat_of_the_key_is_found_although_no_node_takes_rooms(
    autojump_clock, desk
) -> None:
    (one,) = desk.links(1)
    desk.becomes(one, "draining")
    caller = desk.begin(key="k")
    assert asked(one) == ["key?"]
    assert desk.has_it(one) is caller


async def test_without_a_node_that_takes_rooms_a_key_is_refused_within_1_s(
    autojump_clock, desk
) -> None:
    (one,) = desk.links(1)
    desk.becomes(one, "draining")
    silent, answered = desk.begin(key="k"), desk.begin(key="k2")
    desk.says_no(one)
    await trio.sleep(0.79)
    assert (silent.told, answered.told) == ([], [])
    await trio.sleep(0.2)
    assert (silent.told, answered.told) == (["no_game_node"], ["no_game_node"])
    assert desk.has_it(one, at=0) == GOODBYES["k"]


async def test_a_node_that_comes_while_the_key_is_asked_for_gets_the_join(
    autojump_clock, desk
) -> None:
    (one,) = desk.links(1)
    desk.becomes(one, "draining")
    caller = desk.begin(key="k")
    two = desk.link("game-2")
    assert asked(one, two) == ["key?", "-"]
    await trio.sleep(2)
    assert caller.told == []
    desk.says_no(one)
    assert asked(two) == ["join"]
    assert len(one.sent) == 1
    assert desk.has_it(two) is caller


async def test_an_unknown_kind_with_a_key_is_told_at_once(autojump_clock, desk) -> None:
    desk.links(2)
    assert desk.begin(kind="poker", key="k").told == ["no_such_kind"]


# A session that has gone.


@pytest.mark.parametrize("key", ["", "k"])
async def test_a_seat_for_a_session_that_has_gone_is_given_up_unless_its_key_can_find_it(
    autojump_clock, desk, key: str
) -> None:
    (one,) = desk.links(1)
    caller = desk.begin(key=key)
    desk.joins.forget(caller)
    assert desk.has_it(one) == GOODBYES[key]
    assert caller.told == []


@pytest.mark.parametrize("key", ["", "k"])
async def test_a_seat_that_a_silent_node_makes_after_all_is_given_up_unless_it_has_a_key(
    autojump_clock, desk, key: str
) -> None:
    one, two = desk.links(2)
    caller = desk.begin(key=key)
    if key:
        desk.says_no(two)
    desk.becomes(one, silent=True)
    assert desk.has_it(two) is caller
    assert desk.has_it(one) == GOODBYES[key]


async def test_one_who_goes_while_the_key_is_asked_for_joins_nowhere(autojump_clock, desk) -> None:
    one, two = desk.links(2)
    desk.joins.forget(desk.begin(key="k"))
    assert desk.says_no(two)
    assert one.sent == []


async def test_a_seat_that_nobody_asked_for_is_an_absence(autojump_clock, desk) -> None:
    one, two = desk.links(2)
    caller = desk.begin()
    two.sent.append(one.sent[0])
    assert desk.has_it(two) == GOODBYES["k"]
    assert not desk.says_no(two)
    assert desk.has_it(one) is caller


async def test_who_goes_cancels_all_that_the_nodes_have_not_answered(autojump_clock, desk) -> None:
    links = desk.links(3)
    caller = desk.begin(key="k")
    first, second = (link for link in links if link.sent)  # the third waits for their answers
    desk.says_no(first)
    for _ in range(2):
        desk.joins.forget(caller)
        assert [link.cancelled for link in links if link is not second] == [[], []]
        assert second.cancelled == second.calls


async def test_who_has_his_seat_cancels_nothing_when_he_goes(autojump_clock, desk) -> None:
    (one,) = desk.links(1)
    caller = desk.begin(key="k")
    assert desk.has_it(one) is caller
    desk.joins.forget(caller)
    assert one.cancelled == []


async def test_a_silent_node_and_one_without_an_answer_for_10_s_are_not_waited_for(
    autojump_clock, desk
) -> None:
    one, two = desk.links(2)
    desk.begin()
    desk.becomes(one, silent=True)
    assert one.cancelled == one.calls
    assert (len(two.calls), two.cancelled) == (1, [])
    await trio.sleep(10.2)
    assert two.cancelled == two.calls


async def test_a_join_of_one_who_has_gone_still_counts_until_it_is_answered(
    autojump_clock, desk
) -> None:
    one, two = desk.links(2)
    desk.joins.forget(desk.begin(new=True))
    other = desk.begin(new=True)
    assert asked(one, two) == ["join", "join"]
    assert desk.has_it(one) == GOODBYES[""]
    assert desk.has_it(two) is other

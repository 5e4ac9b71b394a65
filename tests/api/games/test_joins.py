"""Pending joins: how many rooms one client may open, and where the seat of a key is looked for."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from lastcall.api.games.calls import sweep_often
from lastcall.api.games.joins import Joins
from lastcall.api.games.moved_rooms import MovedRooms
from lastcall.api.limits import ClientLimits
from lastcall.core.edge.missing_nodes import MissingNodes
from lastcall.errors import JoinRefused
from lastcall.limits import Limits, Rate
from lastcall.reasons import ErrorCode
from lastcall.wire import nodes
from tests.api.fake_links import Caller, FakeGameLink, join
from tests.harness import orders
from tests.harness.cluster import cluster


@pytest.mark.usefixtures("schedule")
@orders(1)
async def test_one_client_cannot_open_unlimited_rooms(autojump_clock: MockClock) -> None:
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


@pytest.mark.usefixtures("schedule")
@orders(2)
async def test_a_stranger_at_any_node_gets_no_seat_in_a_private_room_and_a_friend_does(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, game = await c.one_of_each()
        other = c.api("api-2")
        await c.ready(other)
        ann, stranger, friend = [await c.client(node) for node in (api, other, other)]
        kept = await ann.join(kind="tictactoe", private=True)
        waiting = await stranger.join(kind="tictactoe")
        assert waiting.room != kept.room
        assert game.node.host.running.open_rooms.seats()["tictactoe"] == 1
        assert (await friend.join(room=kept.room)).room == kept.room


# The seat of a key.


class JoinsHarness:
    """A ``Joins`` between fake sessions and fake links."""

    def __init__(self) -> None:
        self.all_met = True
        self.missing = MissingNodes(any_place=False)
        self.joins = Joins(
            lambda: self.all_met,
            itertools.count(1),
            ClientLimits(Limits(failed_resumes=Rate(2, 1)), Counter()),
            lambda: self.missing,
            MovedRooms(),
        )

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

    def refuse(self, link: FakeGameLink, code: str = nodes.NO_SUCH_PLACE, at: int = -1) -> bool:
        return self.joins.refused(link, nodes.Refused(link.calls[at], code, "the reason"))

    def seat(self, link: FakeGameLink, at: int = -1) -> object:
        seat = nodes.Seated(link.calls[at], "game-1.x", "den", "p1", 1, 1, 0, "5ec7e7", [])
        return self.joins.seated(link, seat)

    def set_state(
        self, link: FakeGameLink, phase: str = "serving", *, silent: bool = False
    ) -> None:
        link.becomes(phase)
        link.silent = silent
        self.joins.link_state(link)


@pytest.fixture
async def harness(nursery: trio.Nursery) -> Iterator[JoinsHarness]:
    harness = JoinsHarness()
    nursery.start_soon(sweep_often, harness.joins)
    yield harness
    await trio.sleep(11)
    assert len(harness.joins) == 0


def last_requests(*links: FakeGameLink) -> list[str]:
    """The last request on each link: ``key?`` (looks for the key's seat), ``join`` or ``-``."""
    last = [link.sent[-1] if link.sent else None for link in links]
    return ["-" if one is None else "key?" if one.seated_only else "join" for one in last]


REPLY_TO_UNWANTED_SEAT = {
    "": nodes.Leave("game-1.x", "p1", 1, "5ec7e7"),
    "k": nodes.Absent("game-1.x", "p1", 1),
}


async def test_a_join_with_a_key_asks_all_other_nodes_first_and_at_once(
    autojump_clock, harness
) -> None:
    one, two, three = harness.links(3)
    caller = harness.begin(key="k", name="me")
    assert last_requests(one, two, three) == ["-", "key?", "key?"]
    assert (two.sent[0].kind, two.sent[0].key) == ("den", "k")
    harness.refuse(two)
    assert last_requests(one) == ["-"]
    harness.refuse(three)
    assert last_requests(one) == ["join"]
    assert harness.seat(one) is caller


async def test_a_join_gets_the_seat_of_its_key_from_any_node(autojump_clock, harness) -> None:
    one, two, three = harness.links(3)
    caller = harness.begin(key="k")
    assert harness.seat(three) is caller
    assert harness.refuse(two)
    assert one.sent == []
    assert caller.told == []


async def test_a_second_seat_of_one_key_is_reported_absent(autojump_clock, harness) -> None:
    _, two, three = harness.links(3)
    caller = harness.begin(key="k")
    assert harness.seat(three) is caller
    assert harness.seat(two) == REPLY_TO_UNWANTED_SEAT["k"]


async def test_with_one_node_a_key_causes_no_extra_request(autojump_clock, harness) -> None:
    (one,) = harness.links(1)
    caller = harness.begin(key="k")
    assert last_requests(one) == ["join"]
    assert harness.seat(one) is caller


@pytest.mark.parametrize("request_", [{}, {"key": "k", "room": "game-1.x"}])
async def test_a_join_without_a_key_or_with_a_room_asks_one_node_only(
    autojump_clock, harness, request_: dict[str, str]
) -> None:
    one, two = harness.links(2)
    caller = harness.begin(**request_)
    assert last_requests(one, two) == ["join", "-"]
    assert harness.seat(one) is caller


async def test_nodes_that_cannot_hold_the_seat_of_a_key_are_not_asked(
    autojump_clock, harness
) -> None:
    """A node of the first wire version does not know the request, and would make a seat."""
    one, two, three, four, five = harness.links(5)
    old = harness.link("game-6", wire=nodes.RESUMES - 1)
    harness.set_state(two, silent=True)
    harness.set_state(three, "stopped")
    four.state = nodes.NodeState(2, "serving", 0, {"another": 0})
    harness.joins.link_state(four)
    harness.set_state(five, "draining")
    caller = harness.begin(key="k")
    assert last_requests(one, two, three, four, five, old) == ["-", "-", "-", "-", "key?", "-"]
    assert harness.seat(five) is caller


@pytest.mark.parametrize("how", ["silent", "down"])
async def test_a_join_does_not_wait_for_a_node_that_is_silent_or_down_to_answer_for_the_key(
    autojump_clock, harness, how: str
) -> None:
    one, two, three = harness.links(3)
    caller = harness.begin(key="k")
    harness.refuse(two)
    if how == "silent":
        harness.set_state(three, silent=True)
        assert harness.seat(three) == REPLY_TO_UNWANTED_SEAT["k"]
    else:
        harness.joins.link_down(three)
    assert last_requests(one) == ["join"]
    assert harness.seat(one) is caller


async def test_a_live_node_that_does_not_answer_for_the_key_delays_the_join_by_10_s(
    autojump_clock, harness
) -> None:
    one, two = harness.links(2)
    caller = harness.begin(key="k")
    await trio.sleep(9.9)
    assert last_requests(one, two) == ["-", "key?"]
    await trio.sleep(0.3)
    assert last_requests(one) == ["join"]
    assert harness.seat(one) is caller


async def test_a_join_that_moves_to_another_node_asks_each_node_once_for_the_key(
    autojump_clock, harness
) -> None:
    one, two, three = harness.links(3)
    caller = harness.begin(key="k")
    harness.refuse(two)
    harness.refuse(three)
    harness.set_state(one, "draining")
    harness.refuse(one, nodes.DRAINING)
    assert last_requests(one, two, three) == ["join", "join", "key?"]
    assert [len(link.sent) for link in (one, two, three)] == [1, 2, 1]
    assert harness.seat(two) is caller


async def test_a_chosen_node_that_starts_to_drain_is_asked_for_the_key(
    autojump_clock, harness
) -> None:
    one, two = harness.links(2)
    caller = harness.begin(key="k")
    assert last_requests(one, two) == ["-", "key?"]
    harness.set_state(one, "draining")
    harness.refuse(two)
    assert last_requests(one, two) == ["key?", "key?"]
    harness.refuse(one)
    assert last_requests(one, two) == ["key?", "join"]
    assert harness.seat(two) is caller


async def test_the_seat_of_a_key_is_found_even_if_no_node_accepts_rooms(
    autojump_clock, harness
) -> None:
    (one,) = harness.links(1)
    harness.set_state(one, "draining")
    caller = harness.begin(key="k")
    assert last_requests(one) == ["key?"]
    assert harness.seat(one) is caller


async def test_a_join_with_a_key_is_refused_within_1_s_if_no_node_accepts_rooms(
    autojump_clock, harness
) -> None:
    (one,) = harness.links(1)
    harness.set_state(one, "draining")
    silent, answered = harness.begin(key="k"), harness.begin(key="k2")
    harness.refuse(one)
    await trio.sleep(0.79)
    assert (silent.told, answered.told) == ([], [])
    await trio.sleep(0.2)
    assert (silent.told, answered.told) == (["no_game_node"], ["no_game_node"])
    assert harness.seat(one, at=0) == REPLY_TO_UNWANTED_SEAT["k"]


async def test_a_node_that_appears_during_the_key_lookup_gets_the_join(
    autojump_clock, harness
) -> None:
    (one,) = harness.links(1)
    harness.set_state(one, "draining")
    caller = harness.begin(key="k")
    two = harness.link("game-2")
    assert last_requests(one, two) == ["key?", "-"]
    await trio.sleep(2)
    assert caller.told == []
    harness.refuse(one)
    assert last_requests(two) == ["join"]
    assert len(one.sent) == 1
    assert harness.seat(two) is caller


async def test_a_join_with_a_key_and_an_unknown_kind_is_refused_at_once(
    autojump_clock, harness
) -> None:
    harness.links(2)
    assert harness.begin(kind="poker", key="k").told == ["no_such_kind"]


# Sessions that have closed.


@pytest.mark.parametrize("key", ["", "k"])
async def test_a_seat_for_a_closed_session_is_given_up_unless_it_has_a_key(
    autojump_clock, harness, key: str
) -> None:
    (one,) = harness.links(1)
    caller = harness.begin(key=key)
    harness.joins.forget(caller)
    assert harness.seat(one) == REPLY_TO_UNWANTED_SEAT[key]
    assert caller.told == []


@pytest.mark.parametrize("key", ["", "k"])
async def test_a_late_seat_from_a_silent_node_is_given_up_unless_it_has_a_key(
    autojump_clock, harness, key: str
) -> None:
    one, two = harness.links(2)
    caller = harness.begin(key=key)
    if key:
        harness.refuse(two)
    harness.set_state(one, silent=True)
    assert harness.seat(two) is caller
    assert harness.seat(one) == REPLY_TO_UNWANTED_SEAT[key]


async def test_a_session_that_closes_during_the_key_lookup_joins_nowhere(
    autojump_clock, harness
) -> None:
    one, two = harness.links(2)
    harness.joins.forget(harness.begin(key="k"))
    assert harness.refuse(two)
    assert one.sent == []


async def test_a_seat_that_nobody_requested_is_reported_absent(autojump_clock, harness) -> None:
    one, two = harness.links(2)
    caller = harness.begin()
    two.sent.append(one.sent[0])
    assert harness.seat(two) == REPLY_TO_UNWANTED_SEAT["k"]
    assert not harness.refuse(two)
    assert harness.seat(one) is caller


async def test_a_session_that_closes_cancels_all_unanswered_requests(
    autojump_clock, harness
) -> None:
    links = harness.links(3)
    caller = harness.begin(key="k")
    first, second = (
        link for link in links if link.sent
    )  # the third link waits for the answers of these two
    harness.refuse(first)
    for _ in range(2):
        harness.joins.forget(caller)
        assert [link.cancelled for link in links if link is not second] == [[], []]
        assert second.cancelled == second.calls


async def test_a_seated_session_that_closes_cancels_nothing(autojump_clock, harness) -> None:
    (one,) = harness.links(1)
    caller = harness.begin(key="k")
    assert harness.seat(one) is caller
    harness.joins.forget(caller)
    assert one.cancelled == []


async def test_a_join_is_cancelled_at_a_silent_node_and_at_one_that_does_not_answer_for_10_s(
    autojump_clock, harness
) -> None:
    one, two = harness.links(2)
    harness.begin()
    harness.set_state(one, silent=True)
    assert one.cancelled == one.calls
    assert (len(two.calls), two.cancelled) == (1, [])
    await trio.sleep(10.2)
    assert two.cancelled == two.calls


async def test_a_join_of_a_closed_session_counts_as_load_until_it_is_answered(
    autojump_clock, harness
) -> None:
    one, two = harness.links(2)
    harness.joins.forget(harness.begin(new=True))
    other = harness.begin(new=True)
    assert last_requests(one, two) == ["join", "join"]
    assert harness.seat(one) == REPLY_TO_UNWANTED_SEAT[""]
    assert harness.seat(two) is other


async def test_a_join_by_id_is_refused_when_no_missing_node_can_have_the_room_any_more(
    autojump_clock, nursery
) -> None:
    tier = JoinsHarness()
    nursery.start_soon(sweep_often, tier.joins)
    (one,) = tier.links(1)
    tier.missing = MissingNodes(any_place=False, names=frozenset({"game-2"}))
    caller, other = tier.begin(room="game-2.den"), tier.begin(room="game-3.den")
    for call in one.calls:
        tier.joins.refused(one, nodes.Refused(call, ErrorCode.NO_SUCH_ROOM, "no such room"))
    assert (caller.told, len(other.told)) == ([], 1)
    tier.missing = MissingNodes(any_place=False)
    await trio.sleep(0.2)
    assert len(caller.told) == 1

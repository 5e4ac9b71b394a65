"""Places whose room survives its game node: they are looked for at all others. Virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio

from lastcall.api.games.suspended_places import RENEWAL_SECONDS
from lastcall.links.link_counts import Loss
from lastcall.policy import LinkPolicy
from lastcall.wire import nodes
from tests.api.conftest import Client, House
from tests.api.game_nodes import PLACE, SECRET, GameNodes, NodeLink, say_numbers, settle

in_any_order = pytest.mark.usefixtures("schedule")


@pytest.fixture
async def tier(house: House) -> AsyncIterator[GameNodes]:
    tier = GameNodes(house)
    yield tier
    await trio.sleep(RENEWAL_SECONDS + 2)  # renewals without an answer are forgotten
    assert tier.kept == 0


async def survivor(tier: GameNodes, player: str = "p1") -> Client:
    """A client with a place in a room that survives."""
    return await tier.seat(player, survives=True)


@in_any_order
async def test_the_client_does_not_notice_that_its_room_goes_on_at_another_node(
    autojump_clock, house, tier
) -> None:
    two, three = tier.up(NodeLink(2)), tier.up(NodeLink(3))
    client = await survivor(tier)
    await say_numbers(client, 1)
    tier.down(tier.one, Loss.GONE)
    await trio.sleep(0.15)
    assert (two.renewed, three.renewed) == (["p1"], [])
    tier.refuse(two)
    assert three.renewed == ["p1"]
    tier.grant(three, n=0, survives=True)
    assert [say.n for say in three.of(nodes.Say)] == [1]
    tier.says(three, 1, "on", epoch=2)
    assert (await client.next())["d"] == "on"
    await trio.sleep(10)
    assert tier.moved == []


async def test_a_plain_room_is_lost_at_once_while_another_survives(
    autojump_clock, house, tier
) -> None:
    two = tier.up(NodeLink(2))
    await survivor(tier, "s1")
    plain = await house.client("bar")
    start = trio.current_time()
    tier.down(tier.one, Loss.GONE)
    assert (await plain.next())["reason"] == "node_lost"
    assert trio.current_time() == start
    await trio.sleep(0.15)
    assert two.renewed == ["s1"]
    tier.grant(two)


async def test_a_node_that_may_not_go_on_yet_is_asked_7_to_11_times_in_2_s(
    autojump_clock, house, tier
) -> None:
    two = tier.up(NodeLink(2))
    client = await survivor(tier)
    tier.down(tier.one, Loss.GONE)
    answered = 0
    for _ in range(200):
        await trio.sleep(0.01)
        while answered < len(two.renewed):
            tier.refuse(two, at=answered, retry=True)
            answered += 1
    assert 7 <= answered <= 11
    await trio.sleep(0.35)
    tier.grant(two)
    tier.says(two, 1, "on", epoch=2)
    assert (await client.next())["d"] == "on"


async def test_without_a_node_that_has_the_room_the_client_is_moved_at_3_s_and_lost_at_6(
    autojump_clock, house, tier
) -> None:
    two, three = tier.up(NodeLink(2)), tier.up(NodeLink(3))
    client = await survivor(tier)
    start = trio.current_time()
    tier.down(tier.one, Loss.GONE)
    for link in (two, three):
        house.nursery.start_soon(tier.refuse_all, link)
    assert (await client.next())["reason"] == "node_lost"
    [(at, sessions)] = tier.moved
    assert (at - start, sessions) == (pytest.approx(3.3, abs=0.3), house.sessions)
    assert trio.current_time() - start == pytest.approx(6.6, abs=0.5), "without time for answers"
    assert (len(two.renewed), len(three.renewed)) == (6, 6)


async def test_a_node_that_answers_everything_but_the_question_costs_the_client_its_socket_at_90_s(
    autojump_clock, house, tier
) -> None:
    """Its link stands: it may be busy, and no time passes for the search until then."""
    tier.up(NodeLink(2))
    client = await survivor(tier)
    start = trio.current_time()
    tier.down(tier.one, Loss.GONE)
    assert await client.end() == ([{"t": "move", "after": 0}], 1012)
    assert trio.current_time() - start == pytest.approx(90, abs=0.3)
    assert tier.moved == []


async def test_without_any_other_node_it_is_lost_at_6_s(autojump_clock, house, tier) -> None:
    client = await survivor(tier)
    start = trio.current_time()
    tier.down(tier.one, Loss.GONE)
    assert (await client.next())["reason"] == "node_lost"
    assert trio.current_time() - start == pytest.approx(6, abs=0.2)


async def test_a_node_that_attaches_during_the_search_is_asked(autojump_clock, house, tier) -> None:
    client = await survivor(tier)
    tier.down(tier.one, Loss.GONE)
    await trio.sleep(2)
    two = tier.up(NodeLink(2))
    await trio.sleep(0.15)
    tier.grant(two)
    tier.says(two, 1, "on", epoch=2)
    assert (await client.next())["d"] == "on"


async def test_after_one_place_is_found_the_rooms_others_are_renewed_there_at_once(
    autojump_clock, house, tier
) -> None:
    """Also one that another node is being asked for."""
    links = [tier.up(NodeLink(number)) for number in (2, 3)]
    for player in ("p1", "p2"):
        await survivor(tier, player)
    tier.down(tier.one, Loss.GONE)
    await trio.sleep(0.15)
    two, three = links
    tier.refuse(two, at=0)
    assert (two.renewed, three.renewed) == (["p1", "p2"], ["p1"])
    tier.grant(three)
    assert three.renewed == ["p1", "p2"]
    tier.refuse(two, at=1)
    tier.grant(three)
    assert [place.player for place in _places(house)] == ["p1", "p2"]
    assert tier.moved == []


def _places(house: House) -> list:
    return [session.place for session in house.sessions]


async def test_a_silent_node_is_left_for_the_next_and_may_still_answer(
    autojump_clock, house, tier
) -> None:
    two, three = tier.up(NodeLink(2)), tier.up(NodeLink(3))
    client = await survivor(tier)
    tier.down(tier.one, Loss.GONE)
    await trio.sleep(0.15)
    two.silent = True
    await trio.sleep(0.15)
    tier.refuse(three)
    await trio.sleep(0.15)
    assert (two.renewed, three.renewed) == (["p1"], ["p1"])
    tier.grant(two)
    tier.says(two, 1, "on", epoch=2)
    assert (await client.next())["d"] == "on"


async def test_a_reset_of_the_link_that_was_asked_does_not_end_the_search(
    autojump_clock, house, tier
) -> None:
    two, three = tier.up(NodeLink(2)), tier.up(NodeLink(3))
    client = await survivor(tier)
    tier.down(tier.one, Loss.GONE)
    await trio.sleep(0.15)
    assert two.renewed == ["p1"]
    tier.down(two)
    await trio.sleep(0.15)
    tier.refuse(three)
    again = tier.up(NodeLink(2))
    await trio.sleep(0.15)
    tier.grant(again)
    tier.says(again, 1, "on", epoch=2)
    assert (await client.next())["d"] == "on"


@pytest.mark.parametrize("loss", [Loss.GONE, Loss.LOST, Loss.FAREWELL])
async def test_the_loss_of_a_node_that_was_asked_does_not_end_the_search(
    autojump_clock, house, tier, loss
) -> None:
    two, three = tier.up(NodeLink(2)), tier.up(NodeLink(3))
    await survivor(tier)
    tier.down(tier.one, Loss.GONE)
    await trio.sleep(0.15)
    tier.down(two, loss)
    await trio.sleep(0.15)
    assert three.renewed == ["p1"]
    tier.grant(three)


async def test_a_node_that_says_that_the_room_moved_to_the_lost_one_does_not_hold_up_the_search(
    autojump_clock, house, tier
) -> None:
    two, three, four = [tier.up(NodeLink(number)) for number in (2, 3, 4)]
    await survivor(tier)
    tier.down(tier.one, Loss.GONE)
    await trio.sleep(0.15)
    tier.refuse(two, nodes.MOVED, to=1)
    assert three.renewed == ["p1"]
    tier.refuse(three, nodes.MOVED, to=4)
    assert four.renewed == ["p1"]
    tier.grant(four)


async def test_a_room_whose_node_no_link_reaches_for_6_s_is_looked_for_elsewhere(
    autojump_clock, house, tier
) -> None:
    two = tier.up(NodeLink(2))
    await survivor(tier)
    tier.down(tier.one, Loss.RESET)
    await trio.sleep(5.9)
    assert two.renewed == []
    await trio.sleep(0.4)
    tier.grant(two)


async def test_a_node_that_has_lost_its_vote_is_asked_again_and_so_are_the_others(
    autojump_clock, house, tier
) -> None:
    """The old node lives, but may not go on: its link was reset meanwhile."""
    two = tier.up(NodeLink(2))
    await survivor(tier)
    tier.down(tier.one, Loss.RESET)
    again = tier.up(NodeLink(1))
    tier.refuse(again, retry=True)
    assert two.renewed == ["p1"]
    tier.refuse(two, retry=True)
    await trio.sleep(0.35)
    tier.refuse(again, retry=True)
    tier.grant(two)


# The client goes.


async def test_a_client_that_leaves_during_the_search_leaves_where_the_room_is(
    autojump_clock, house, tier
) -> None:
    two = tier.up(NodeLink(2))
    client = await survivor(tier)
    tier.down(tier.one, Loss.GONE)
    await client.say({"t": "leave"})
    assert (await client.until("ended"))["reason"] == "left"
    await trio.sleep(0.15)
    tier.grant(two)
    assert two.of(nodes.Leave) == [nodes.Leave(*PLACE, SECRET)]


async def test_a_socket_that_dies_during_the_search_is_absent_where_the_room_is(
    autojump_clock, house, tier
) -> None:
    two = tier.up(NodeLink(2))
    client = await survivor(tier)
    tier.down(tier.one, Loss.GONE)
    await trio.sleep(0.15)
    await client.socket.aclose()
    await trio.sleep(0.15)
    tier.grant(two)
    assert two.of(nodes.Absent) == [nodes.Absent(*PLACE)]
    assert house.relays.rooms == 0


async def test_a_place_at_a_node_that_falls_silent_is_searched_for_and_its_client_not_moved(
    autojump_clock, house, tier
) -> None:
    two = tier.up(NodeLink(2))
    client = await survivor(tier)
    tier.one.silent = True
    tier.games.link_state(tier.one)
    await trio.sleep(0.15)
    assert two.renewed == ["p1"]
    tier.refuse(two, nodes.MOVED, to=1, retry=True)
    await trio.sleep(0.35)
    assert two.renewed == ["p1", "p1"], "it names the silent node, and is asked again"
    tier.grant(two, survives=True)
    tier.says(two, 1, "on", epoch=2)
    assert (await client.next())["d"] == "on"
    assert [sessions for _, sessions in tier.moved if sessions] == []


async def test_a_silent_node_that_answers_again_and_has_the_room_is_asked_too(
    autojump_clock, house, tier
) -> None:
    client = await survivor(tier)
    tier.one.silent = True
    tier.games.link_state(tier.one)
    await trio.sleep(1)
    assert tier.one.renewed == []
    tier.one.silent = False
    tier.games.link_state(tier.one)
    await trio.sleep(0.15)
    assert tier.one.renewed == ["p1"]
    tier.grant(tier.one, epoch=1, survives=True)
    tier.says(tier.one, 1, "on", epoch=1)
    assert (await client.next())["d"] == "on"


async def test_a_place_whose_node_is_asked_leaves_the_queue_of_another(
    autojump_clock, house
) -> None:
    tier = GameNodes(house, LinkPolicy(renewals_at_once=1))
    two, three = tier.up(NodeLink(2)), tier.up(NodeLink(3))
    for player in ("p1", "p2"):
        await survivor(tier, player)
    tier.down(tier.one, Loss.GONE)
    await trio.sleep(0.15)
    tier.refuse(two)
    assert (two.renewed, three.renewed) == (["p1", "p2"], ["p1"])
    two.silent = True
    tier.games.link_state(two)
    await trio.sleep(0.15)  # p2 waits in the queue of three
    two.silent = False
    tier.games.link_state(two)
    tier.move(two, to=2)
    tier.refuse(three, at=0)
    assert three.renewed == ["p1"]
    for at in (1, 2):
        tier.grant(two, at=at)
    await settle()
    assert [session.connection.close_code for session in house.sessions] == [None, None]

"""Places whose room moves to another game node: they are renewed there. Virtual time."""

from __future__ import annotations

import msgspec
import pytest
import structlog.testing
import trio

from lastcall.links.link_counts import Loss
from lastcall.policy import LinkPolicy
from lastcall.wire import nodes
from tests.api.conftest import House
from tests.api.game_nodes import (
    DEN,
    PLACE,
    SECRET,
    GameNodes,
    NodeLink,
    say_numbers,
    settle,
)

in_any_order = pytest.mark.usefixtures("schedule")
LEAVE = nodes.Leave(*PLACE, SECRET)


@pytest.fixture
async def tier(house: House) -> GameNodes:
    return GameNodes(house)


# Everything goes well.


@in_any_order
async def test_the_client_does_not_notice_that_its_room_moves(autojump_clock, house, tier) -> None:
    two = tier.up(NodeLink(2))
    client = await house.client("den")
    tier.says(tier.one, 1, "from one", epoch=1)
    await say_numbers(client, 1, 2)
    tier.games.link_item(tier.one, nodes.Acks([(DEN, "p1", 1)]))
    tier.move(tier.one, to=2)
    await say_numbers(client, 3)
    asked = tier.renewal(two)
    assert (asked.room, asked.player, asked.session, asked.secret) == (*PLACE, SECRET)
    assert asked.seen == 1
    assert (len(tier.one.of(nodes.Say)), two.of(nodes.Say)) == (2, [])
    tier.grant(two, n=1)
    assert [say.n for say in two.of(nodes.Say)] == [2, 3]
    tier.games.link_item(two, nodes.Replay(*PLACE, [(2, b'"missed"')]))
    tier.says(tier.one, 2, "of the time before", epoch=1)
    tier.says(two, 3, "from two", epoch=2)
    heard = [await client.next() for _ in range(4)]
    assert {"t": "ack", "n": 1} in heard
    assert [frame["d"] for frame in heard if "d" in frame] == ["from one", "missed", "from two"]
    assert (tier.moved, tier.kept) == ([], 0)


async def test_only_the_rooms_that_move_are_suspended(autojump_clock, house, tier) -> None:
    two = tier.up(NodeLink(2))
    await house.client("den")
    other = await house.client("bar")
    tier.move(tier.one, to=2)
    assert two.renewed == ["p1"]
    await say_numbers(other, 1)
    assert [say.room for say in tier.one.of(nodes.Say)] == ["game-1.bar"]


async def test_rooms_that_move_together_are_renewed_in_larger_numbers_than_those_of_a_reset_link(
    autojump_clock, house
) -> None:
    tier = GameNodes(house, LinkPolicy(resumes_at_once=2, renewals_at_once=5))
    two = tier.up(NodeLink(2))
    for _ in range(8):
        await house.client("den")
    tier.move(tier.one, to=2)
    assert len(two.renewed) == 5
    for number in range(3):
        tier.grant(two, at=number)
    assert len(two.renewed) == 8
    tier.down(two)  # the three that were live there may have missed a whole history
    again = tier.up(NodeLink(2))
    assert len(again.renewed) == 5 + 2


@in_any_order
async def test_places_wait_for_a_node_that_is_not_attached_yet(autojump_clock, house, tier) -> None:
    client = await house.client("den")
    tier.move(tier.one, to=2)
    await trio.sleep(2.5)
    two = tier.up(NodeLink(2))
    tier.grant(two)
    await say_numbers(client, 1)
    assert [say.n for say in two.of(nodes.Say)] == [1]
    assert (tier.moved, tier.kept) == ([], 0)


async def test_clients_whose_room_is_at_a_node_that_never_attaches_are_moved_and_then_lost(
    autojump_clock, house, tier
) -> None:
    client = await house.client("den")
    start = trio.current_time()
    tier.move(tier.one, to=2)
    assert (await client.next())["reason"] == "node_lost"
    assert trio.current_time() - start == pytest.approx(6, abs=0.2)
    [(at, sessions)] = tier.moved
    assert (at - start, sessions) == (pytest.approx(3, abs=0.2), house.sessions)
    assert tier.kept == 0


async def test_clients_whose_room_is_at_a_silent_node_are_moved_at_once(
    autojump_clock, house, tier
) -> None:
    two = tier.up(NodeLink(2))
    two.silent = True
    await house.client("den")
    tier.move(tier.one, to=2)
    assert [sessions for _, sessions in tier.moved] == [house.sessions]


async def test_a_process_that_is_attached_by_another_address_keeps_its_places(
    autojump_clock, house
) -> None:
    tier = GameNodes(house, LinkPolicy(resumes_at_once=1))
    for player in ("p1", "p2"):
        await tier.seat(player)
    by_another_address = NodeLink(1)
    by_another_address.address = "tcp://other:7101"
    tier.up(by_another_address)
    tier.down(tier.one, Loss.RESET)
    new = NodeLink(3)
    new.address = tier.one.address
    tier.up(new)
    for at in range(2):
        tier.grant(by_another_address, at, epoch=1)
    assert by_another_address.renewed == ["p1", "p2"]
    assert (tier.moved, tier.kept) == ([], 0)


# A move that is not heard, since the link was over.


@in_any_order
async def test_a_room_that_moved_within_a_reset_is_found_when_another_process_is_at_the_address(
    autojump_clock, house, tier
) -> None:
    two = tier.up(NodeLink(2))
    client = await tier.seat(can_move=True)
    tier.down(tier.one, Loss.RESET)
    await say_numbers(client, 1)
    again = NodeLink(3)
    again.address = tier.one.address
    tier.up(again)
    await trio.sleep(0.15)
    assert (two.renewed, again.renewed) == (["p1"], [])
    tier.grant(two)
    assert [say.n for say in two.of(nodes.Say)] == [1]
    assert (tier.moved, tier.kept) == ([], 0)


async def test_a_room_that_moved_within_a_reset_is_found_when_the_process_is_not_attached_again(
    autojump_clock, house, tier
) -> None:
    two = tier.up(NodeLink(2))
    await tier.seat(can_move=True)
    tier.down(tier.one, Loss.RESET)
    await trio.sleep(5.8)
    assert two.renewed == []
    await trio.sleep(0.5)
    assert two.renewed == ["p1"]
    tier.grant(two)
    assert tier.kept == 0


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("phase", ["draining", "serving"])
@pytest.mark.parametrize("can_move", [True, False])
@in_any_order
async def test_a_process_that_is_heard_until_its_end_has_moved_only_rooms_that_can_and_in_its_drain(
    autojump_clock, tier, can_move, phase, again
) -> None:
    two = tier.up(NodeLink(2))
    client = await tier.seat(can_move=can_move)
    if again:  # its renewal is not answered
        tier.down(tier.one, Loss.RESET)
        tier.up(tier.one)
    tier.one.state = msgspec.structs.replace(tier.one.state, phase=phase)
    start = trio.current_time()
    tier.down(tier.one, Loss.GONE)
    if can_move and phase == "draining":
        await trio.sleep(0.15)
        assert two.renewed == ["p1"]
        tier.grant(two)
    else:
        assert (await client.next())["reason"] == "node_lost"
        assert (trio.current_time(), two.renewed) == (start, [])
    assert tier.kept == 0


# A move before, between and after the ends of links.


@pytest.mark.parametrize("loss", [Loss.FAREWELL, Loss.GONE, Loss.LOST, Loss.RESET])
@pytest.mark.parametrize("attached", [True, False])
@in_any_order
async def test_the_end_of_the_old_node_does_not_touch_places_that_have_moved(
    autojump_clock, house, tier, loss, attached
) -> None:
    client = await house.client("den")
    two = NodeLink(2)
    if attached:
        tier.up(two)
    tier.move(tier.one, to=2)
    tier.down(tier.one, loss)
    if not attached:
        await trio.sleep(1)
        tier.up(two)
    assert two.renewed == ["p1"]
    tier.grant(two)
    tier.says(two, 1, "on", epoch=2)
    assert (await client.next())["d"] == "on"
    await trio.sleep(8)  # longer than the places of a lost node are kept
    assert (tier.moved, tier.kept) == ([], 0)


async def test_a_renewal_that_is_refused_since_the_room_has_moved_goes_to_the_new_node(
    autojump_clock, house, tier
) -> None:
    """Moved was lost with the old node's first link."""
    two = tier.up(NodeLink(2))
    client = await house.client("den")
    tier.down(tier.one)
    again = tier.up(NodeLink(1))
    tier.refuse(again, nodes.MOVED, to=2, name="game-2")
    tier.grant(two)
    tier.says(two, 1, "on", epoch=2)
    assert (await client.next())["d"] == "on"
    assert tier.kept == 0


async def test_places_that_wait_for_the_old_node_or_were_asked_of_it_go_to_the_new_one(
    autojump_clock, house, tier
) -> None:
    two = tier.up(NodeLink(2))
    for _ in range(33):
        await house.client("den")
    tier.down(tier.one)
    again = tier.up(NodeLink(1))
    assert len(again.renewed) == 32
    tier.move(again, to=2)
    assert len(two.renewed) == 32
    tier.refuse(again, nodes.MOVED, at=0, to=2)
    tier.down(again, Loss.FAREWELL)
    for at in range(33):
        tier.grant(two, at=at)
    assert sorted(two.renewed) == sorted({f"p{number}" for number in range(1, 34)})
    assert len(again.renewed) == 32
    assert tier.kept == 0


async def test_a_reset_of_the_new_node_during_a_renewal_is_repaired_on_its_next_link(
    autojump_clock, house, tier
) -> None:
    client = await house.client("den")
    two = tier.up(NodeLink(2))
    tier.move(tier.one, to=2)
    tier.down(two)
    tier.move(tier.one, to=2)
    two = tier.up(NodeLink(2))
    assert two.renewed == ["p1"]
    tier.grant(two)
    tier.says(two, 1, "on", epoch=2)
    assert (await client.next())["d"] == "on"


@pytest.mark.parametrize("loss", [Loss.FAREWELL, Loss.GONE, Loss.LOST])
async def test_a_new_node_that_is_lost_during_the_renewal_takes_the_place_with_it(
    autojump_clock, house, tier, loss
) -> None:
    client = await house.client("den")
    two = tier.up(NodeLink(2))
    tier.move(tier.one, to=2)
    tier.down(two, loss)
    assert (await client.next())["reason"] == "node_lost"
    assert tier.kept == 0


async def test_a_room_that_has_moved_on_is_followed(autojump_clock, house, tier) -> None:
    two, three = tier.up(NodeLink(2)), tier.up(NodeLink(3))
    client = await house.client("den")
    tier.move(tier.one, to=2)
    tier.refuse(two, nodes.MOVED, to=3, name="game-3")
    tier.grant(three, epoch=3)
    tier.says(two, 1, "of the time before", epoch=2)
    tier.says(three, 1, "on", epoch=3)
    assert (await client.next())["d"] == "on"


async def test_a_circle_of_nodes_that_name_each_other_ends_after_8_moves(
    autojump_clock, house, tier
) -> None:
    two = tier.up(NodeLink(2))
    client = await house.client("den")
    tier.move(tier.one, to=2)
    with structlog.testing.capture_logs() as events:
        for _ in range(3):
            tier.refuse(two, nodes.MOVED, to=1)
            tier.refuse(tier.one, nodes.MOVED, to=2)
        tier.refuse(two, nodes.MOVED, to=1)
        assert tier.kept > 0
        tier.refuse(tier.one, nodes.MOVED, to=2)
    assert [event["event"] for event in events] == ["room.moves_without_end", "place.lost"]
    assert (await client.next())["reason"] == "node_lost"
    assert tier.kept == 0


async def test_a_moved_that_is_older_than_what_is_known_changes_nothing(
    autojump_clock, house, tier
) -> None:
    two, three = tier.up(NodeLink(2)), tier.up(NodeLink(3))
    await house.client("den")
    tier.move(tier.one, to=2, epoch=2)
    tier.grant(two, epoch=2)
    tier.move(tier.one, to=3, epoch=2)
    tier.move(tier.one, to=3, epoch=1)
    assert three.sent == []


# Another client of the room is at the new node before the old one has said that the room moved.


@in_any_order
async def test_a_place_at_the_old_node_misses_nothing_if_another_is_resumed_at_the_new_one_first(
    autojump_clock, house, tier
) -> None:
    two = tier.up(NodeLink(2))
    late = await house.client("den")
    tier.says(tier.one, 1, "both", epoch=1)
    first = await house.client()
    await first.resume("game-1.den/p9/5ec7e7", seen=0)
    session, ticket, _ = house.games.resumes.pop()
    place = nodes.Resumed(7, DEN, ticket.player, 2, 2, 1, 0, "0ther", complete=True)
    tier.games.reattacher.renewals.renew(house.relays.seat(two, place, session))
    tier.says(tier.one, 2, "too late", epoch=1)
    tier.says(two, 3, "from two", epoch=2)
    assert two.renewed == ["p1"]
    assert tier.renewal(two).seen == 1
    tier.move(tier.one, to=2)
    assert two.renewed == ["p1"]
    tier.grant(two, seq=1)
    tier.games.link_item(two, nodes.Replay(*PLACE, [(2, b'"replayed"'), (3, b'"from two"')]))
    assert [(await late.next())["d"] for _ in range(3)] == ["both", "replayed", "from two"]
    assert [(await first.next())["t"] for _ in range(2)] == ["resumed", "msg"]


async def test_a_message_of_the_new_node_does_not_pass_the_ones_that_a_place_at_the_old_one_lacks(
    autojump_clock, house, tier
) -> None:
    two = tier.up(NodeLink(2))
    client = await house.client("den")
    tier.says(two, 5, "out of turn", epoch=2)
    assert tier.renewal(two).seen == 0
    tier.grant(two, seq=0)
    tier.games.link_item(two, nodes.Replay(*PLACE, [(4, b'"missed"'), (5, b'"in turn"')]))
    assert [(await client.next())["d"] for _ in range(2)] == ["missed", "in turn"]


async def test_a_seat_that_the_old_node_gave_before_the_move_is_renewed_at_the_new_one(
    autojump_clock, house, tier
) -> None:
    """Its answer comes by the slower of two links."""
    two = tier.up(NodeLink(2))
    await house.client("den")
    tier.says(two, 1, "from two", epoch=2)
    tier.grant(two, seq=1)
    client = await house.client()
    house.games.hold = True
    await client.say({"t": "join", "kind": "den"})
    await settle()
    [(session, _)] = house.games.kept
    seat = nodes.Seated(9, DEN, "den", "p9", 1, 1, 0, SECRET, [])
    tier.games.reattacher.renewals.renew(house.relays.seat(tier.one, seat, session))
    assert two.renewed == ["p1", "p9"]
    tier.says(two, 2, "live", epoch=2)
    tier.grant(two, seq=0)
    tier.games.link_item(two, nodes.Replay(DEN, "p9", 1, [(1, b"1"), (2, b"2")]))
    assert [(await client.next()).get("seq") for _ in range(3)] == [0, 1, 2]


async def test_a_renewal_that_the_old_node_granted_before_the_move_goes_on_to_the_new_one(
    autojump_clock, house, tier
) -> None:
    two = tier.up(NodeLink(2))
    client = await house.client("den")
    tier.down(tier.one)
    again = tier.up(NodeLink(1))
    tier.says(two, 1, "from two", epoch=2)
    tier.grant(again, epoch=1)
    assert two.renewed == ["p1"]
    tier.says(again, 1, "of the time before", epoch=1)
    tier.grant(two)
    tier.games.link_item(two, nodes.Replay(*PLACE, [(1, b'"from two"')]))
    assert (await client.next())["d"] == "from two"
    assert again.of(nodes.Absent) == []


async def test_the_end_that_the_old_node_tells_after_the_move_is_not_the_rooms(
    autojump_clock, house, tier
) -> None:
    two = tier.up(NodeLink(2))
    client = await house.client("den")
    tier.move(tier.one, to=2)
    tier.games.link_item(tier.one, nodes.Ended(DEN, 1, "cut"))
    tier.grant(two)
    tier.games.link_item(two, nodes.Ended(DEN, 2, "finished"))
    assert (await client.next())["reason"] == "finished"


# How a renewal at the new node may end.


@pytest.mark.parametrize(("ended", "code"), [(True, 4004), (False, None)])
async def test_a_place_that_the_new_node_never_had_is_lost_and_one_that_is_over_is_unknown(
    autojump_clock, house, tier, ended, code
) -> None:
    two = tier.up(NodeLink(2))
    client = await house.client("den")
    tier.move(tier.one, to=2)
    tier.refuse(two, ended=ended)
    if code is None:
        assert (await client.next())["reason"] == "node_lost"
    else:
        assert await client.end() == ([], code)
    assert house.relays.rooms == 0


async def test_a_newer_socket_at_the_new_node_takes_the_place_over(
    autojump_clock, house, tier
) -> None:
    two = tier.up(NodeLink(2))
    client = await house.client("den")
    tier.move(tier.one, to=2)
    tier.refuse(two, nodes.TAKEN_OVER)
    assert await client.end() == ([], 4005)


@in_any_order
async def test_a_client_whose_room_is_about_to_move_and_has_too_many_waiting_comes_again(
    autojump_clock, house, tier
) -> None:
    two = tier.up(NodeLink(2))
    client = await house.client("den")
    tier.move(tier.one, to=2)
    tier.refuse(two, "no_game_node")
    frames, code = await client.end()
    assert (frames[-1]["t"], code) == ("move", 1012)
    await settle()
    assert (house.relays.rooms, tier.kept) == (0, 0)


@in_any_order
async def test_a_socket_that_dies_before_the_new_node_has_answered_is_absent_there(
    autojump_clock, house, tier
) -> None:
    two = tier.up(NodeLink(2))
    client = await house.client("den")
    tier.move(tier.one, to=2)
    await client.socket.aclose()
    await settle()
    tier.grant(two)
    assert two.of(nodes.Absent) == [nodes.Absent(*PLACE)]
    assert (house.relays.rooms, tier.kept) == (0, 0)


# Leaves.


async def test_a_leave_that_waits_for_the_rooms_inputs_is_told_to_the_new_node(
    autojump_clock, house, tier
) -> None:
    two = tier.up(NodeLink(2))
    client = await house.client("den")
    await say_numbers(client, 1)
    await client.say({"t": "leave"})
    await settle()
    tier.move(tier.one, to=2)
    tier.grant(two, n=0)
    assert two.sent[-1] == nodes.Say(*PLACE, 1, b"1")
    tier.games.link_item(two, nodes.Acks([(DEN, "p1", 1)]))
    assert two.sent[-1] == LEAVE
    assert (await client.until("ended"))["reason"] == "left"


@in_any_order
async def test_a_leave_that_reached_the_old_node_while_its_room_was_at_rest_is_said_again(
    autojump_clock, house, tier
) -> None:
    two = tier.up(NodeLink(2))
    client, bar = await house.client("den"), await house.client("bar")
    for one in (client, bar):
        await one.say({"t": "leave"})
    await settle()
    tier.move(tier.one, to=2)
    assert two.sent == [LEAVE]
    assert tier.kept == 0


async def test_a_leave_while_the_new_node_is_not_attached_is_told_to_it(
    autojump_clock, house, tier
) -> None:
    client = await house.client("den")
    tier.move(tier.one, to=2)
    await client.say({"t": "leave"})
    assert (await client.until("ended"))["reason"] == "left"
    two = tier.up(NodeLink(2))
    assert two.sent == [LEAVE]
    assert tier.kept == 0


async def test_a_leave_during_a_renewal_follows_the_room_that_has_moved_on(
    autojump_clock, house, tier
) -> None:
    two, three = tier.up(NodeLink(2)), tier.up(NodeLink(3))
    client = await house.client("den")
    tier.move(tier.one, to=2)
    await client.say({"t": "leave"})
    await settle()
    tier.refuse(two, nodes.MOVED, to=3)
    assert three.sent == [LEAVE]
    assert tier.kept == 0

"""Places whose link was reset are kept, renewed on the next link, or given up. Virtual time."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from lastcall.api.games.calls import sweep_often
from lastcall.api.games.reattach import PlaceReattacher
from lastcall.api.sessions.session import Session
from lastcall.links.link_counts import Loss
from lastcall.policy import LinkPolicy
from lastcall.wire import nodes
from tests.api.conftest import Client, FakeLink, House

in_any_order = pytest.mark.usefixtures("schedule")

DEN = "game-1.den"
STATE = nodes.NodeState(1, "serving", 0, {})


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()


class ReattachLink(FakeLink):
    """A link to one process; it records the items that are sent."""

    def __init__(self, incarnation: int = 1, address: str = "game-1", wire: int = nodes.WIRE):
        super().__init__()
        self.address = address
        self.unsent: list[nodes.Up] = []
        self.state = STATE
        self.node = nodes.Welcome(wire, 1, "game-1", incarnation, "1", 0.0, STATE)


class ReattachHarness:
    """The clients of an api node, and its links to a game node that the test plays."""

    def __init__(self, house: House, **policy: Any) -> None:
        self.house = house
        self.moved: list[tuple[float, list[Session]]] = []
        self.reattacher = PlaceReattacher(
            house.relays,
            numbers=itertools.count(100),
            policy=LinkPolicy(**policy),
            move=lambda sessions: self.moved.append((trio.current_time(), list(sessions))),
        )
        self.link = self.up()
        house.nursery.start_soon(sweep_often, self.reattacher)

    def up(self, link: ReattachLink | None = None) -> ReattachLink:
        self.link = self.house.games.link = self.house.link = link or ReattachLink()
        self.reattacher.link_up(self.link)
        return self.link

    def down(self, loss: Loss = Loss.RESET) -> None:
        self.reattacher.link_down(self.link, loss)

    @property
    def renewals(self) -> list[nodes.Renew]:
        return self.link.of(nodes.Renew)

    def grant(self, resume: nodes.Renew, n: int = 0, **more: Any) -> None:
        """The game node grants the renewal on this link."""
        item = nodes.Resumed(
            call=resume.call,
            room=resume.room,
            player=resume.player,
            session=resume.session,
            epoch=1,
            seq=resume.seen,
            n=n,
            secret=resume.secret,
            complete=more.pop("complete", True),
        )
        assert self.reattacher.renewals.resumed(self.link, item)

    def refuse(self, resume: nodes.Renew, code: str) -> None:
        assert self.reattacher.renewals.refused(self.link, nodes.Refused(resume.call, code, "no"))

    def take(self, item: nodes.Down) -> None:
        self.house.relays.take(self.link, item)


@pytest.fixture
def make_harness(house: House) -> Callable[..., ReattachHarness]:
    def make(**policy: Any) -> ReattachHarness:
        return ReattachHarness(house, **policy)

    return make


@pytest.fixture
def harness(make_harness: Callable[..., ReattachHarness]) -> ReattachHarness:
    return make_harness()


async def say_numbers(client: Client, *numbers: int) -> None:
    for n in numbers:
        await client.say({"t": "say", "n": n, "d": n})
    await settle()


@in_any_order
async def test_the_client_does_not_notice_a_reset_of_the_link(
    autojump_clock, house, harness
) -> None:
    client = await house.client("den")
    house.room_says("den", 1, "before")
    harness.down()
    await trio.sleep(1)
    harness.up()
    [resume] = harness.renewals
    assert (resume.room, resume.player, resume.seen, resume.session) == (DEN, "p1", 1, 1)
    assert resume.secret == "5ec7e7"  # noqa: S105
    harness.grant(resume)
    harness.take(nodes.Replay(DEN, "p1", 1, [(2, b'"missed"')]))
    house.room_says("den", 3, "live")
    assert [(await client.next())["seq"] for _ in range(3)] == [1, 2, 3]
    await client.say({"t": "leave"})
    await settle()
    assert harness.link.of(nodes.Leave) == [nodes.Leave(DEN, "p1", 1, "5ec7e7")]
    assert harness.moved == []


@in_any_order
async def test_inputs_of_a_suspended_place_are_kept_and_sent_again_if_the_room_lacks_them(
    autojump_clock, house, harness
) -> None:
    client = await house.client("den")
    await say_numbers(client, 1, 2, 3)
    harness.down()
    await say_numbers(client, 4, 5)
    harness.up()
    assert harness.link.of(nodes.Say) == []
    harness.grant(harness.renewals[0], n=2)
    assert [(say.session, say.n) for say in harness.link.of(nodes.Say)] == [(1, 3), (1, 4), (1, 5)]
    await say_numbers(client, 6)
    assert harness.link.of(nodes.Say)[-1].n == 6
    assert await client.next() == {"t": "ack", "n": 2}


@in_any_order
async def test_a_blocked_socket_outlives_5_s_of_suspension_and_then_has_5_s_more(
    autojump_clock, house, harness
) -> None:
    client = await house.client("den")
    await say_numbers(client, *range(1, 70))
    await trio.sleep(2)
    harness.down()
    await trio.sleep(5.9)
    harness.up()
    assert house.sessions[0].connection.close_code is None
    harness.grant(harness.renewals[0], n=0)
    assert [say.n for say in harness.link.of(nodes.Say)] == list(range(1, 65))
    await trio.sleep(4.9)
    assert house.sessions[0].connection.close_code is None
    assert (await client.end())[1] == 4101


@in_any_order
async def test_the_inputs_kept_while_suspended_are_bounded(autojump_clock, house, harness) -> None:
    client = await house.client("den")
    harness.down()
    await say_numbers(client, *range(1, 200))
    await trio.sleep(1)
    harness.up()
    harness.grant(harness.renewals[0], n=0)
    assert len(harness.link.of(nodes.Say)) == 64
    harness.take(nodes.Acks([(DEN, "p1", 64)]))
    await settle()
    assert [say.n for say in harness.link.of(nodes.Say)] == list(range(1, 129))


async def test_a_live_message_does_not_reach_a_suspended_place_before_its_replay(
    autojump_clock, house, harness
) -> None:
    first, second = await house.client("den"), await house.client("den")
    house.room_says("den", 1, "before")
    harness.down()
    harness.up()
    harness.grant(harness.renewals[0])
    house.room_says("den", 2, "first is back")
    harness.grant(harness.renewals[1])
    harness.take(nodes.Replay(DEN, "p2", 1, [(2, b'"replayed"')]))
    house.room_says("den", 3, "both are")
    assert [resume.seen for resume in harness.renewals] == [1, 1]
    assert [(await first.next())["seq"] for _ in range(3)] == [1, 2, 3]
    assert [(await second.next())["d"] for _ in range(3)] == ["before", "replayed", "both are"]


async def test_a_place_joined_later_counts_earlier_messages_as_seen(
    autojump_clock, house, harness
) -> None:
    await house.client("den")
    house.room_says("den", 1, "hm")
    late = await house.client()
    house.games.hold = True
    await late.say({"t": "join", "kind": "den"})
    await settle()
    seat = nodes.Seated(1, DEN, "den", "p9", 1, 1, 40, "5ec7e7", [])
    house.relays.seat(harness.link, seat, house.sessions[1])
    await late.until("joined")
    harness.down()
    harness.up()
    assert [(resume.player, resume.seen) for resume in harness.renewals] == [("p1", 40), ("p9", 40)]


async def test_after_a_reset_during_a_replay_only_the_rest_is_requested(
    autojump_clock, house, harness
) -> None:
    await house.client("den")
    await house.client("den")
    house.room_says("den", 5, "hm")
    harness.down()
    harness.up()
    harness.grant(harness.renewals[0])
    house.room_says("den", 30, "to the first alone, as long as the second is not back")
    harness.grant(harness.renewals[1])
    harness.take(nodes.Replay(DEN, "p2", 1, [(6, b"1"), (7, b"2")]))
    harness.down()
    harness.up()
    assert [(resume.player, resume.seen) for resume in harness.renewals] == [("p1", 30), ("p2", 7)]


async def test_a_replay_to_one_player_is_not_repeated_because_another_has_seen_less(
    autojump_clock, house, harness
) -> None:
    """The second resume sets the room to 15 on this link; the first player is at 20 already."""
    for player, seq in (("p1", 10), ("p2", 15)):
        await (await house.client()).resume()
        resumed = nodes.Resumed(1, DEN, player, 2, 1, seq, 0, "5ec7e7", complete=True)
        house.relays.seat(harness.link, resumed, house.sessions[-1])
        missed = [(number, b"1") for number in range(seq + 1, 21)]
        harness.take(nodes.Replay(DEN, player, 2, missed))
    harness.down()
    harness.up()
    assert [(resume.player, resume.seen) for resume in harness.renewals] == [("p1", 20), ("p2", 20)]


async def test_a_confirmed_ticket_is_confirmed_again_and_an_unconfirmed_one_is_not(
    autojump_clock, house, harness
) -> None:
    first, _ = await house.client("den"), await house.client("den")
    await first.say({"t": "got", "seq": 0})
    await settle()
    harness.down()
    harness.up()
    for resume in harness.renewals:
        harness.grant(resume)
    assert harness.link.of(nodes.Confirm) == [nodes.Confirm(DEN, "p1", 1)]


async def test_a_ticket_that_is_confirmed_while_suspended_is_confirmed_on_the_next_link(
    autojump_clock, house, harness
) -> None:
    client = await house.client("den")
    harness.down()
    await client.say({"t": "got", "seq": 0})
    await settle()
    harness.up()
    harness.grant(harness.renewals[0])
    assert harness.link.of(nodes.Confirm) == [nodes.Confirm(DEN, "p1", 1)]


async def test_renewals_under_way_are_bounded_and_in_order(
    autojump_clock, house, make_harness
) -> None:
    harness = make_harness(resumes_at_once=2)
    for _ in range(5):
        await house.client("den")
    harness.down()
    harness.up()
    assert [resume.player for resume in harness.renewals] == ["p1", "p2"]
    harness.grant(harness.renewals[0])
    assert [resume.player for resume in harness.renewals] == ["p1", "p2", "p3"]
    harness.refuse(harness.renewals[1], nodes.NO_SUCH_PLACE)
    assert [resume.player for resume in harness.renewals] == ["p1", "p2", "p3", "p4"]


async def test_after_a_second_reset_the_renewals_that_were_under_way_come_first(
    autojump_clock, house, make_harness
) -> None:
    harness = make_harness(resumes_at_once=2)
    for _ in range(4):
        await house.client("den")
    harness.down()
    first = harness.up()
    harness.grant(harness.renewals[0])
    harness.down()
    harness.up()
    assert [(resume.player, resume.session) for resume in harness.renewals] == [
        ("p2", 1),
        ("p3", 1),
    ]
    late = nodes.Resumed(first.of(nodes.Renew)[1].call, DEN, "p2", 2, 1, 0, 0, "x", True)
    assert not harness.reattacher.renewals.resumed(harness.link, late)
    for index in range(4):
        harness.grant(harness.renewals[index])
    assert [resume.player for resume in harness.renewals] == ["p2", "p3", "p4", "p1"]


@in_any_order
async def test_a_client_whose_history_is_incomplete_is_moved_and_resumes_by_itself(
    autojump_clock, house, harness
) -> None:
    client = await house.client("den")
    harness.down()
    harness.up()
    harness.grant(harness.renewals[0], complete=False)
    frames, code = await client.end()
    assert (frames[-1], code) == ({"t": "move", "after": 0}, 1012)
    await settle()
    assert harness.link.of(nodes.Absent) == [nodes.Absent(DEN, "p1", 1)]


async def test_a_renewal_of_a_place_that_a_newer_socket_has_closes_4005(
    autojump_clock, house, harness
) -> None:
    client = await house.client("den")
    harness.down()
    harness.up()
    harness.refuse(harness.renewals[0], nodes.TAKEN_OVER)
    assert await client.end() == ([], 4005)
    await settle()
    assert harness.link.of(nodes.Absent) == []
    assert house.relays.rooms == 0


async def test_a_renewal_of_a_place_that_no_longer_exists_closes_4004_like_a_resume(
    autojump_clock, house, harness
) -> None:
    """The player was kicked while the link was down: the node lives and is not reported lost."""
    client = await house.client("den")
    harness.down()
    harness.up()
    harness.refuse(harness.renewals[0], nodes.NO_SUCH_PLACE)
    assert await client.end() == ([], 4004)
    await settle()
    assert harness.link.of(nodes.Absent) == []
    assert house.relays.rooms == 0


@in_any_order
async def test_without_a_link_the_clients_are_moved_after_3_s_and_lost_after_6(
    autojump_clock, house, harness
) -> None:
    client = await house.client("den")
    start = trio.current_time()
    harness.down()
    assert (await client.next())["reason"] == "node_lost"
    assert trio.current_time() - start == pytest.approx(6, abs=0.2)
    [(at, sessions)] = harness.moved
    assert at - start == pytest.approx(3, abs=0.2)
    assert sessions == house.sessions


async def test_suspended_places_are_lost_when_another_process_answers_at_the_address(
    autojump_clock, house, harness
) -> None:
    client = await house.client("den")
    harness.down()
    start = trio.current_time()
    harness.up(ReattachLink(incarnation=2))
    assert (await client.next())["reason"] == "node_lost"
    assert trio.current_time() == start
    assert harness.renewals == []


async def test_another_process_at_another_address_changes_nothing(
    autojump_clock, house, harness
) -> None:
    await house.client("den")
    harness.down()
    harness.up(ReattachLink(incarnation=2, address="game-2"))
    harness.up()
    assert [resume.player for resume in harness.renewals] == ["p1"]


@pytest.mark.parametrize("loss", [Loss.LOST, Loss.FAREWELL])
async def test_a_lost_link_ends_all_places_during_their_renewals(
    autojump_clock, house, make_harness, loss
) -> None:
    harness = make_harness(resumes_at_once=2)
    clients = [await house.client("den") for _ in range(4)]
    harness.down()
    harness.up()
    harness.grant(harness.renewals[0])
    harness.down(loss)
    for client in clients:
        assert (await client.next())["reason"] == "node_lost"


async def test_places_of_a_node_of_the_first_wire_version_end_without_a_renewal(
    autojump_clock, house, harness
) -> None:
    harness.up(ReattachLink(wire=1))
    client = await house.client("den")
    harness.down()
    assert (await client.next())["reason"] == "node_lost"


async def test_clients_are_told_nothing_when_the_api_node_itself_detaches(
    autojump_clock, house, harness
) -> None:
    await house.client("den")
    frames_before = house.gateway.counts.frames_out
    harness.down(Loss.DETACHED)
    await trio.sleep(8)
    assert house.gateway.counts.frames_out == frames_before
    assert harness.moved == []


@in_any_order
async def test_a_leave_while_suspended_is_sent_on_the_next_link(
    autojump_clock, house, harness
) -> None:
    client = await house.client("den")
    await house.client("den")
    harness.down()
    await client.say({"t": "leave"})
    assert (await client.next())["reason"] == "left"
    assert (await client.join("bar"))["t"] == "joined"
    harness.up()
    assert [resume.player for resume in harness.renewals] == ["p2"]
    assert harness.link.of(nodes.Leave) == [nodes.Leave(DEN, "p1", 1, "5ec7e7")]
    house.room_says("den", 1, "not to the one who left")
    await settle()
    assert house.sessions[0].place is not None
    assert house.sessions[0].place.relay.room == "game-1.bar"


async def test_a_leave_that_was_lost_with_the_link_is_sent_again(
    autojump_clock, house, harness
) -> None:
    client = await house.client("den")
    await client.say({"t": "leave"})
    await settle()
    harness.link.unsent = [nodes.Say(DEN, "p1", 1, 1, b"0"), *harness.link.sent]
    harness.down()
    harness.up()
    assert harness.link.sent == [nodes.Leave(DEN, "p1", 1, "5ec7e7")]
    assert len(harness.reattacher) == 0


async def test_a_leave_during_the_renewal_is_sent_after_it(autojump_clock, house, harness) -> None:
    client = await house.client("den")
    harness.down()
    harness.up()
    await client.say({"t": "leave"})
    assert (await client.next())["reason"] == "left"
    harness.grant(harness.renewals[0])
    assert harness.link.of(nodes.Leave) == [nodes.Leave(DEN, "p1", 1, "5ec7e7")]
    assert house.relays.rooms == 0


@in_any_order
async def test_a_leave_waits_for_the_inputs_that_were_lost_with_the_link(
    autojump_clock, house, harness
) -> None:
    client = await house.client("den")
    await say_numbers(client, 1)
    harness.down()
    await say_numbers(client, 2)
    await client.say({"t": "leave"})
    await trio.sleep(5.5)
    harness.up()
    harness.grant(harness.renewals[0], n=1)
    await trio.sleep(1)
    assert harness.link.of(nodes.Leave) == []
    harness.take(nodes.Acks([(DEN, "p1", 2)]))
    assert harness.link.sent[-2:] == [
        nodes.Say(DEN, "p1", 1, 2, b"2"),
        nodes.Leave(DEN, "p1", 1, "5ec7e7"),
    ]
    assert (await client.until("ended"))["reason"] == "left"
    assert house.relays.rooms == 0


@in_any_order
async def test_a_leave_is_sent_with_a_renewal_that_confirms_all_inputs(
    autojump_clock, house, harness
) -> None:
    """Then the client is not moved either, although its history is incomplete."""
    client = await house.client("den")
    await say_numbers(client, 1)
    harness.down()
    await client.say({"t": "leave"})
    await settle()
    harness.up()
    harness.grant(harness.renewals[0], n=1, complete=False)
    assert harness.link.sent[-1] == nodes.Leave(DEN, "p1", 1, "5ec7e7")
    assert (await client.until("ended"))["reason"] == "left"
    assert (await client.join("bar"))["room"] == "game-1.bar"


@in_any_order
async def test_a_pending_leave_of_a_place_that_no_longer_exists_counts_as_left(
    autojump_clock, house, harness
) -> None:
    client = await house.client("den")
    await say_numbers(client, 1)
    harness.down()
    await client.say({"t": "leave"})
    await settle()
    harness.up()
    refused = nodes.Refused(harness.renewals[0].call, nodes.NO_SUCH_PLACE, "no such place")
    assert harness.reattacher.renewals.refused(harness.link, refused)
    assert (await client.until("ended"))["reason"] == "left"
    assert (await client.join("bar"))["room"] == "game-1.bar"


@in_any_order
async def test_a_pending_leave_ends_with_node_lost_6_s_after_the_process_is_lost(
    autojump_clock, house, harness
) -> None:
    client = await house.client("den")
    await say_numbers(client, 1)
    harness.down()
    start = trio.current_time()
    await client.say({"t": "leave"})
    assert (await client.until("ended"))["reason"] == "node_lost"
    assert trio.current_time() - start == pytest.approx(6, abs=0.6)
    assert (await client.join("bar"))["room"] == "game-1.bar"


@in_any_order
async def test_a_client_that_leaves_while_suspended_and_closes_leaves_on_the_next_link(
    autojump_clock, house, harness
) -> None:
    client = await house.client("den")
    await say_numbers(client, 1)
    harness.down()
    await client.say({"t": "leave"})
    await settle()
    house.sessions[0].connection.close(4003)
    await house.gateway.wait_empty()
    harness.up()
    assert harness.link.sent == [nodes.Leave(DEN, "p1", 1, "5ec7e7")]


async def test_a_socket_that_dies_while_suspended_is_not_renewed(
    autojump_clock, house, harness
) -> None:
    client = await house.client("den")
    harness.down()
    await client.socket.aclose()
    await settle()
    harness.up()
    assert harness.link.sent == []
    assert house.relays.rooms == 0


@in_any_order
async def test_a_socket_that_dies_during_its_renewal_is_absent_after_the_answer(
    autojump_clock, house, harness
) -> None:
    client = await house.client("den")
    harness.down()
    harness.up()
    await client.socket.aclose()
    await settle()
    harness.grant(harness.renewals[0])
    assert harness.link.of(nodes.Absent) == [nodes.Absent(DEN, "p1", 1)]


async def test_the_last_messages_of_a_room_that_ends_meanwhile_come_before_the_end(
    autojump_clock, house, harness
) -> None:
    """The second place is not renewed yet: its player learns of the end by the renewal."""
    first, second = await house.client("den"), await house.client("den")
    harness.down()
    harness.up()
    harness.grant(harness.renewals[0])
    house.room_says("den", 1, "mate")
    harness.take(nodes.Ended(DEN, 1, "finished"))
    harness.grant(harness.renewals[1])
    harness.take(nodes.Replay(DEN, "p2", 1, [(1, b'"mate"')]))
    harness.take(nodes.Out(DEN, "p2", "finished", 1))
    for client in (first, second):
        assert [(await client.next())["t"] for _ in range(2)] == ["msg", "ended"]
    assert house.relays.rooms == 0


async def test_a_newer_socket_takes_over_a_suspended_place(autojump_clock, house, harness) -> None:
    old = await house.client("den")
    harness.down()
    harness.up()
    new = await house.client()
    await new.resume()
    item = nodes.Resumed(7, DEN, "p1", 2, 1, 0, 0, "5ec7e8", True)
    house.relays.seat(harness.link, item, house.sessions[1])
    harness.refuse(harness.renewals[0], nodes.TAKEN_OVER)
    assert await old.end() == ([], 4005)
    house.room_says("den", 1, "hm")
    assert [(await new.next())["t"] for _ in range(2)] == ["resumed", "msg"]


async def test_without_an_answer_to_its_renewal_the_client_is_moved_after_90_s(
    autojump_clock, house, harness
) -> None:
    """The node may hold the room, which comes to it, for 60 s."""
    client = await house.client("den")
    harness.down()
    harness.up()
    start = trio.current_time()
    assert await client.end() == ([{"t": "move", "after": 0}], 1012)
    assert trio.current_time() - start == pytest.approx(90, abs=0.2)
    late = nodes.Resumed(harness.renewals[0].call, DEN, "p1", 2, 1, 0, 0, "x", True)
    assert not harness.reattacher.renewals.resumed(harness.link, late)


async def test_places_of_a_process_with_two_addresses_are_renewed_on_the_remaining_link(
    autojump_clock, house, harness
) -> None:
    await house.client("den")
    old, alias = harness.link, ReattachLink(address="alias")
    harness.up(alias)
    harness.reattacher.link_down(old, Loss.RESET)
    assert [resume.player for resume in alias.of(nodes.Renew)] == ["p1"]


async def test_nothing_is_remembered_when_all_places_are_renewed(
    autojump_clock, house, harness
) -> None:
    for _ in range(50):
        await house.client("den")
    harness.down()
    harness.up()
    for index in range(50):
        harness.grant(harness.renewals[index])
    assert len(harness.reattacher) == 0

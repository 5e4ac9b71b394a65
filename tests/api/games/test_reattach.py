"""Places whose link was reset: kept, renewed on the next link, or given up. Virtual time."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from lastcall.api.games.link import Loss
from lastcall.api.games.reattach import PlaceReattacher
from lastcall.api.sessions.session import Session
from lastcall.policy import LinkPolicy
from lastcall.wire import nodes
from tests.api.conftest import Client, FakeLink, House

in_any_order = pytest.mark.usefixtures("schedule")

DEN = "game-1.den"
STATE = nodes.NodeState(1, "serving", 0, {})


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()


class ReattachLink(FakeLink):
    """A link to one process; what is sent is written down."""

    def __init__(self, incarnation: int = 1, address: str = "game-1", wire: int = nodes.WIRE):
        super().__init__()
        self.address = address
        self.unsent: list[nodes.Up] = []
        self.node = nodes.Welcome(wire, 1, "game-1", incarnation, "1", 0.0, STATE)


class Desk:
    """An api node's clients, and the links to a game node that the test plays."""

    def __init__(self, house: House, **policy: Any) -> None:
        self.house = house
        self.moved: list[tuple[float, list[Session]]] = []
        self.renewals = PlaceReattacher(
            house.relays,
            numbers=itertools.count(100),
            policy=LinkPolicy(**policy),
            move=lambda sessions: self.moved.append((trio.current_time(), list(sessions))),
        )
        self.link = self.up()
        house.nursery.start_soon(self.renewals.sweep)

    def up(self, link: ReattachLink | None = None) -> ReattachLink:
        self.link = self.house.games.link = self.house.link = link or ReattachLink()
        self.renewals.link_up(self.link)
        return self.link

    def down(self, loss: Loss = Loss.RESET) -> None:
        self.renewals.link_down(self.link, loss)

    @property
    def asked(self) -> list[nodes.Renew]:
        return self.link.of(nodes.Renew)

    def grant(self, resume: nodes.Renew, n: int = 0, **more: Any) -> None:
        """The game node takes the place over to this link."""
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
        assert self.renewals.resumed(self.link, item)

    def refuse(self, resume: nodes.Renew, code: str) -> None:
        assert self.renewals.refused(self.link, nodes.Refused(resume.call, code, "no"))

    def take(self, item: nodes.Down) -> None:
        self.house.relays.take(self.link, item)


@pytest.fixture
def make_desk(house: House) -> Callable[..., Desk]:
    def make(**policy: Any) -> Desk:
        return Desk(house, **policy)

    return make


@pytest.fixture
def desk(make_desk: Callable[..., Desk]) -> Desk:
    return make_desk()


async def said(client: Client, *numbers: int) -> None:
    for n in numbers:
        await client.say({"t": "say", "n": n, "d": n})
    await settle()


@in_any_order
async def test_a_reset_is_not_seen_by_the_client(autojump_clock, house, desk) -> None:
    client = await house.client("den")
    house.room_says("den", 1, "before")
    desk.down()
    await trio.sleep(1)
    desk.up()
    [resume] = desk.asked
    assert (resume.room, resume.player, resume.seen, resume.session) == (DEN, "p1", 1, 1)
    assert resume.secret == "5ec7e7"  # noqa: S105
    desk.grant(resume)
    desk.take(nodes.Replay(DEN, "p1", 1, [(2, b'"missed"')]))
    house.room_says("den", 3, "live")
    assert [(await client.next())["seq"] for _ in range(3)] == [1, 2, 3]
    await client.say({"t": "leave"})
    await settle()
    assert desk.link.of(nodes.Leave) == [nodes.Leave(DEN, "p1", 1)]
    assert desk.moved == []


@in_any_order
async def test_inputs_of_a_suspended_place_are_kept_and_what_the_room_lacks_is_said_again(
    autojump_clock, house, desk
) -> None:
    client = await house.client("den")
    await said(client, 1, 2, 3)
    desk.down()
    await said(client, 4, 5)
    desk.up()
    assert desk.link.of(nodes.Say) == []
    desk.grant(desk.asked[0], n=2)
    assert [(say.session, say.n) for say in desk.link.of(nodes.Say)] == [(1, 3), (1, 4), (1, 5)]
    await said(client, 6)
    assert desk.link.of(nodes.Say)[-1].n == 6
    assert await client.next() == {"t": "ack", "n": 2}


@in_any_order
async def test_a_held_socket_outlives_5_s_of_suspension_and_then_has_its_5_s(
    autojump_clock, house, desk
) -> None:
    client = await house.client("den")
    await said(client, *range(1, 70))
    await trio.sleep(2)
    desk.down()
    await trio.sleep(5.9)
    desk.up()
    assert house.sessions[0].connection.close_code is None
    desk.grant(desk.asked[0], n=0)
    assert [say.n for say in desk.link.of(nodes.Say)] == list(range(1, 65))
    await trio.sleep(4.9)
    assert house.sessions[0].connection.close_code is None
    assert (await client.end())[1] == 4101


@in_any_order
async def test_what_is_kept_while_suspended_is_bounded(autojump_clock, house, desk) -> None:
    client = await house.client("den")
    desk.down()
    await said(client, *range(1, 200))
    await trio.sleep(1)
    desk.up()
    desk.grant(desk.asked[0], n=0)
    assert len(desk.link.of(nodes.Say)) == 64
    desk.take(nodes.Acks([(DEN, "p1", 64)]))
    await settle()
    assert [say.n for say in desk.link.of(nodes.Say)] == list(range(1, 129))


async def test_a_live_message_does_not_reach_a_suspended_place_before_its_replay(
    autojump_clock, house, desk
) -> None:
    first, second = await house.client("den"), await house.client("den")
    house.room_says("den", 1, "before")
    desk.down()
    desk.up()
    desk.grant(desk.asked[0])
    house.room_says("den", 2, "first is back")
    desk.grant(desk.asked[1])
    desk.take(nodes.Replay(DEN, "p2", 1, [(2, b'"replayed"')]))
    house.room_says("den", 3, "both are")
    assert [resume.seen for resume in desk.asked] == [1, 1]
    assert [(await first.next())["seq"] for _ in range(3)] == [1, 2, 3]
    assert [(await second.next())["d"] for _ in range(3)] == ["before", "replayed", "both are"]


async def test_one_who_joined_later_has_seen_what_was_before_him(
    autojump_clock, house, desk
) -> None:
    await house.client("den")
    house.room_says("den", 1, "hm")
    late = await house.client()
    house.games.hold = True
    await late.say({"t": "join", "kind": "den"})
    await settle()
    seat = nodes.Seated(1, DEN, "den", "p9", 1, 1, 40, "5ec7e7", [])
    house.relays.seat(desk.link, seat, house.sessions[1])
    await late.until("joined")
    desk.down()
    desk.up()
    assert [(resume.player, resume.seen) for resume in desk.asked] == [("p1", 40), ("p9", 40)]


async def test_a_reset_in_the_middle_of_a_replay_asks_for_the_rest_of_it(
    autojump_clock, house, desk
) -> None:
    await house.client("den")
    await house.client("den")
    house.room_says("den", 5, "hm")
    desk.down()
    desk.up()
    desk.grant(desk.asked[0])
    house.room_says("den", 30, "to the first alone, as long as the second is not back")
    desk.grant(desk.asked[1])
    desk.take(nodes.Replay(DEN, "p2", 1, [(6, b"1"), (7, b"2")]))
    desk.down()
    desk.up()
    assert [(resume.player, resume.seen) for resume in desk.asked] == [("p1", 30), ("p2", 7)]


async def test_what_was_replayed_to_one_is_not_asked_for_again_since_another_came_with_less(
    autojump_clock, house, desk
) -> None:
    """The second resume brings the room to 15 on this link: the first has come to 20 already."""
    for player, seq in (("p1", 10), ("p2", 15)):
        await (await house.client()).resume()
        resumed = nodes.Resumed(1, DEN, player, 2, 1, seq, 0, "5ec7e7", complete=True)
        house.relays.resume(desk.link, resumed, house.sessions[-1])
        missed = [(number, b"1") for number in range(seq + 1, 21)]
        desk.take(nodes.Replay(DEN, player, 2, missed))
    desk.down()
    desk.up()
    assert [(resume.player, resume.seen) for resume in desk.asked] == [("p1", 20), ("p2", 20)]


async def test_a_confirmed_ticket_is_confirmed_again_and_an_unconfirmed_one_is_not(
    autojump_clock, house, desk
) -> None:
    first, _ = await house.client("den"), await house.client("den")
    await first.say({"t": "got", "seq": 0})
    await settle()
    desk.down()
    desk.up()
    for resume in desk.asked:
        desk.grant(resume)
    assert desk.link.of(nodes.Confirm) == [nodes.Confirm(DEN, "p1", 1)]


async def test_a_ticket_that_is_confirmed_while_suspended_is_confirmed_on_the_next_link(
    autojump_clock, house, desk
) -> None:
    client = await house.client("den")
    desk.down()
    await client.say({"t": "got", "seq": 0})
    await settle()
    desk.up()
    desk.grant(desk.asked[0])
    assert desk.link.of(nodes.Confirm) == [nodes.Confirm(DEN, "p1", 1)]


async def test_only_so_many_renewals_are_under_way_and_they_go_in_order(
    autojump_clock, house, make_desk
) -> None:
    desk = make_desk(resumes_at_once=2)
    for _ in range(5):
        await house.client("den")
    desk.down()
    desk.up()
    assert [resume.player for resume in desk.asked] == ["p1", "p2"]
    desk.grant(desk.asked[0])
    assert [resume.player for resume in desk.asked] == ["p1", "p2", "p3"]
    desk.refuse(desk.asked[1], nodes.NO_SUCH_PLACE)
    assert [resume.player for resume in desk.asked] == ["p1", "p2", "p3", "p4"]


async def test_a_second_reset_begins_with_those_who_were_under_way(
    autojump_clock, house, make_desk
) -> None:
    desk = make_desk(resumes_at_once=2)
    for _ in range(4):
        await house.client("den")
    desk.down()
    first = desk.up()
    desk.grant(desk.asked[0])
    desk.down()
    desk.up()
    assert [(resume.player, resume.session) for resume in desk.asked] == [("p2", 1), ("p3", 1)]
    late = nodes.Resumed(first.of(nodes.Renew)[1].call, DEN, "p2", 2, 1, 0, 0, "x", True)
    assert not desk.renewals.resumed(desk.link, late)
    for index in range(4):
        desk.grant(desk.asked[index])
    assert [resume.player for resume in desk.asked] == ["p2", "p3", "p4", "p1"]


@in_any_order
async def test_history_that_was_too_short_moves_the_client_which_resumes_by_itself(
    autojump_clock, house, desk
) -> None:
    client = await house.client("den")
    desk.down()
    desk.up()
    desk.grant(desk.asked[0], complete=False)
    frames, code = await client.end()
    assert (frames[-1], code) == ({"t": "move", "after": 0}, 1012)
    await settle()
    assert desk.link.of(nodes.Absent) == [nodes.Absent(DEN, "p1", 1)]


async def test_a_renewal_of_a_place_that_a_newer_socket_has_elsewhere_closes_4005(
    autojump_clock, house, desk
) -> None:
    client = await house.client("den")
    desk.down()
    desk.up()
    desk.refuse(desk.asked[0], nodes.TAKEN_OVER)
    assert await client.end() == ([], 4005)
    await settle()
    assert desk.link.of(nodes.Absent) == []
    assert house.relays.rooms == 0


async def test_a_renewal_of_a_place_that_is_no_more_closes_4004_as_a_resume_would(
    autojump_clock, house, desk
) -> None:
    """He was kicked, say, while the link was down: the node lives, and must not be called lost."""
    client = await house.client("den")
    desk.down()
    desk.up()
    desk.refuse(desk.asked[0], nodes.NO_SUCH_PLACE)
    assert await client.end() == ([], 4004)
    await settle()
    assert desk.link.of(nodes.Absent) == []
    assert house.relays.rooms == 0


@in_any_order
async def test_without_a_link_the_clients_are_moved_after_3_s_and_lost_after_6(
    autojump_clock, house, desk
) -> None:
    client = await house.client("den")
    start = trio.current_time()
    desk.down()
    assert (await client.next())["reason"] == "node_lost"
    assert trio.current_time() - start == pytest.approx(6, abs=0.2)
    [(at, sessions)] = desk.moved
    assert at - start == pytest.approx(3, abs=0.2)
    assert sessions == house.sessions


async def test_another_process_at_the_address_means_that_the_suspended_are_lost(
    autojump_clock, house, desk
) -> None:
    client = await house.client("den")
    desk.down()
    start = trio.current_time()
    desk.up(ReattachLink(incarnation=2))
    assert (await client.next())["reason"] == "node_lost"
    assert trio.current_time() == start
    assert desk.asked == []


async def test_another_process_elsewhere_changes_nothing(autojump_clock, house, desk) -> None:
    await house.client("den")
    desk.down()
    desk.up(ReattachLink(incarnation=2, address="game-2"))
    desk.up()
    assert [resume.player for resume in desk.asked] == ["p1"]


@pytest.mark.parametrize("loss", [Loss.LOST, Loss.FAREWELL])
async def test_a_loss_while_renewals_are_under_way_ends_them_all(
    autojump_clock, house, make_desk, loss
) -> None:
    desk = make_desk(resumes_at_once=2)
    clients = [await house.client("den") for _ in range(4)]
    desk.down()
    desk.up()
    desk.grant(desk.asked[0])
    desk.down(loss)
    for client in clients:
        assert (await client.next())["reason"] == "node_lost"


async def test_a_node_of_the_first_wire_version_knows_of_no_renewal(
    autojump_clock, house, desk
) -> None:
    desk.up(ReattachLink(wire=1))
    client = await house.client("den")
    desk.down()
    assert (await client.next())["reason"] == "node_lost"


async def test_our_own_leaving_tells_the_clients_nothing(autojump_clock, house, desk) -> None:
    await house.client("den")
    said_before = house.gateway.counts.frames_out
    desk.down(Loss.DETACHED)
    await trio.sleep(8)
    assert house.gateway.counts.frames_out == said_before
    assert desk.moved == []


@in_any_order
async def test_a_seat_that_is_given_up_while_suspended_is_given_up_there_too(
    autojump_clock, house, desk
) -> None:
    client = await house.client("den")
    await house.client("den")
    desk.down()
    await client.say({"t": "leave"})
    assert (await client.next())["reason"] == "left"
    assert (await client.join("bar"))["t"] == "joined"
    desk.up()
    assert [resume.player for resume in desk.asked] == ["p2"]
    assert desk.link.of(nodes.Leave) == [nodes.Leave(DEN, "p1", 1)]
    house.room_says("den", 1, "not to the one who left")
    await settle()
    assert house.sessions[0].place is not None
    assert house.sessions[0].place.relay.room == "game-1.bar"


async def test_a_leave_that_was_lost_with_the_link_is_said_again(
    autojump_clock, house, desk
) -> None:
    client = await house.client("den")
    await client.say({"t": "leave"})
    await settle()
    desk.link.unsent = [nodes.Say(DEN, "p1", 1, 1, b"0"), *desk.link.sent]
    desk.down()
    desk.up()
    assert desk.link.sent == [nodes.Leave(DEN, "p1", 1)]
    assert len(desk.renewals) == 0


async def test_a_seat_that_is_given_up_during_its_renewal_is_given_up_there_too(
    autojump_clock, house, desk
) -> None:
    client = await house.client("den")
    desk.down()
    desk.up()
    await client.say({"t": "leave"})
    assert (await client.next())["reason"] == "left"
    desk.grant(desk.asked[0])
    assert desk.link.of(nodes.Leave) == [nodes.Leave(DEN, "p1", 1)]
    assert house.relays.rooms == 0


@in_any_order
async def test_a_leave_waits_for_what_was_lost_with_the_link(autojump_clock, house, desk) -> None:
    client = await house.client("den")
    await said(client, 1)
    desk.down()
    await said(client, 2)
    await client.say({"t": "leave"})
    await trio.sleep(5.5)
    desk.up()
    desk.grant(desk.asked[0], n=1)
    await trio.sleep(1)
    assert desk.link.of(nodes.Leave) == []
    desk.take(nodes.Acks([(DEN, "p1", 2)]))
    assert desk.link.sent[-2:] == [nodes.Say(DEN, "p1", 1, 2, b"2"), nodes.Leave(DEN, "p1", 1)]
    assert (await client.until("ended"))["reason"] == "left"
    assert house.relays.rooms == 0


@in_any_order
async def test_a_leave_goes_with_the_renewal_that_says_that_the_room_has_it_all(
    autojump_clock, house, desk
) -> None:
    """Neither is the client moved, then, for what its history lacks."""
    client = await house.client("den")
    await said(client, 1)
    desk.down()
    await client.say({"t": "leave"})
    await settle()
    desk.up()
    desk.grant(desk.asked[0], n=1, complete=False)
    assert desk.link.sent[-1] == nodes.Leave(DEN, "p1", 1)
    assert (await client.until("ended"))["reason"] == "left"
    assert (await client.join("bar"))["room"] == "game-1.bar"


@in_any_order
async def test_who_is_about_to_leave_a_place_that_is_no_more_has_left_it(
    autojump_clock, house, desk
) -> None:
    client = await house.client("den")
    await said(client, 1)
    desk.down()
    await client.say({"t": "leave"})
    await settle()
    desk.up()
    refused = nodes.Refused(desk.asked[0].call, nodes.NO_SUCH_PLACE, "no such place")
    assert desk.renewals.refused(desk.link, refused)
    assert (await client.until("ended"))["reason"] == "left"
    assert (await client.join("bar"))["room"] == "game-1.bar"


@in_any_order
async def test_who_is_about_to_leave_a_process_that_is_lost_is_told_so_after_6_s(
    autojump_clock, house, desk
) -> None:
    client = await house.client("den")
    await said(client, 1)
    desk.down()
    begin = trio.current_time()
    await client.say({"t": "leave"})
    assert (await client.until("ended"))["reason"] == "node_lost"
    assert trio.current_time() - begin == pytest.approx(6, abs=0.6)
    assert (await client.join("bar"))["room"] == "game-1.bar"


@in_any_order
async def test_who_says_leave_while_suspended_and_hangs_up_leaves_on_the_next_link(
    autojump_clock, house, desk
) -> None:
    client = await house.client("den")
    await said(client, 1)
    desk.down()
    await client.say({"t": "leave"})
    await settle()
    house.sessions[0].connection.close(4003)
    await house.gateway.wait_empty()
    desk.up()
    assert desk.link.sent == [nodes.Leave(DEN, "p1", 1)]


async def test_a_socket_that_dies_while_suspended_is_away_already(
    autojump_clock, house, desk
) -> None:
    client = await house.client("den")
    desk.down()
    await client.socket.aclose()
    await settle()
    desk.up()
    assert desk.link.sent == []
    assert house.relays.rooms == 0


@in_any_order
async def test_a_socket_that_dies_during_its_renewal_is_away_when_that_is_answered(
    autojump_clock, house, desk
) -> None:
    client = await house.client("den")
    desk.down()
    desk.up()
    await client.socket.aclose()
    await settle()
    desk.grant(desk.asked[0])
    assert desk.link.of(nodes.Absent) == [nodes.Absent(DEN, "p1", 1)]


async def test_a_room_that_ends_meanwhile_says_its_last_words_first(
    autojump_clock, house, desk
) -> None:
    """One was renewed, the other not yet: he hears of the end with his renewal."""
    first, second = await house.client("den"), await house.client("den")
    desk.down()
    desk.up()
    desk.grant(desk.asked[0])
    house.room_says("den", 1, "mate")
    desk.take(nodes.Ended(DEN, 1, "finished"))
    desk.grant(desk.asked[1])
    desk.take(nodes.Replay(DEN, "p2", 1, [(1, b'"mate"')]))
    desk.take(nodes.Out(DEN, "p2", "finished", 1))
    for client in (first, second):
        assert [(await client.next())["t"] for _ in range(2)] == ["msg", "ended"]
    assert house.relays.rooms == 0


async def test_a_newer_socket_takes_a_suspended_place_over(autojump_clock, house, desk) -> None:
    old = await house.client("den")
    desk.down()
    desk.up()
    new = await house.client()
    await new.resume()
    item = nodes.Resumed(7, DEN, "p1", 2, 1, 0, 0, "5ec7e8", True)
    house.relays.resume(desk.link, item, house.sessions[1])
    desk.refuse(desk.asked[0], nodes.TAKEN_OVER)
    assert await old.end() == ([], 4005)
    house.room_says("den", 1, "hm")
    assert [(await new.next())["t"] for _ in range(2)] == ["resumed", "msg"]


async def test_a_renewal_without_an_answer_ends_after_10_s(autojump_clock, house, desk) -> None:
    client = await house.client("den")
    desk.down()
    desk.up()
    start = trio.current_time()
    assert (await client.until("ended"))["reason"] == "node_lost"
    assert trio.current_time() - start == pytest.approx(10, abs=0.2)
    late = nodes.Resumed(desk.asked[0].call, DEN, "p1", 2, 1, 0, 0, "x", True)
    assert not desk.renewals.resumed(desk.link, late)


async def test_a_process_known_by_two_addresses_has_its_places_renewed_on_the_link_that_stands(
    autojump_clock, house, desk
) -> None:
    await house.client("den")
    old, alias = desk.link, ReattachLink(address="alias")
    desk.up(alias)
    desk.renewals.link_down(old, Loss.RESET)
    assert [resume.player for resume in alias.of(nodes.Renew)] == ["p1"]


async def test_nothing_is_remembered_when_all_is_renewed(autojump_clock, house, desk) -> None:
    for _ in range(50):
        await house.client("den")
    desk.down()
    desk.up()
    for index in range(50):
        desk.grant(desk.asked[index])
    assert len(desk.renewals) == 0

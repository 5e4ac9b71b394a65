"""A player takes his place again: what he must show, what he gets, and what the room notices."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from lastcall import Joined, Kind, Room, Said, room
from lastcall.policy import RoomPolicy
from lastcall.reasons import ErrorCode
from lastcall.wire import nodes
from tests.host.house import EAST, NORTH, SOUTH, House, opened, watched

pytestmark = pytest.mark.usefixtures("schedule")


async def talk(house: House, seat: nodes.Seated | nodes.Resumed, *words: object) -> None:
    """``seat`` says each word, counting on from 1, and the room repeats it."""
    for n, word in enumerate(words, 1):
        house.say(seat, n, word)
    await wait_all_tasks_blocked()


async def test_a_resume_brings_what_was_missed_in_order_and_then_what_is_live() -> None:
    kind, seen = watched()
    async with opened(kind) as house:
        ann, bob = house.join(kind), house.join(kind, link=SOUTH)
        await talk(house, bob, "one", "two", "three")
        house.lose(ann)
        again = house.resume(ann, 1, link=EAST)
        assert (again.room, again.player, again.session) == (ann.room, ann.player, 2)
        assert (again.seq, again.n, again.complete, again.state) == (1, 0, True, b"")
        house.say(bob, 4, "four")
        await wait_all_tasks_blocked()
        kinds = [type(item) for link, item in house.sent if link == EAST]
        assert kinds == [nodes.Resumed, nodes.Replay, nodes.Message]
        assert house.replayed() == [(2, "two"), (3, "three")]
        assert [m.seq for m in house.all_of(nodes.Message, EAST)] == [4]
        assert [type(event) for event in seen] == [Joined, Joined, Said, Said, Said, Said]
        assert house.host.resumes == 1


async def test_who_has_missed_nothing_gets_no_replay() -> None:
    kind, _ = watched()
    async with opened(kind) as house:
        ann = house.join(kind)
        await talk(house, ann, "one")
        house.lose(ann)
        house.resume(ann, 1)
        assert len(house.told) == 1


async def test_what_is_private_is_replayed_to_its_player_alone() -> None:
    kind, _ = watched()
    async with opened(kind) as house:
        ann, bob, cid = (house.join(kind) for _ in range(3))
        house.lose(ann)
        house.lose(bob)
        await talk(house, cid, ["to", ann.player, "psst"], "hi", ["to", bob.player, "hush"])
        house.resume(ann)
        assert house.replayed() == [(1, "psst"), (2, "hi")]
        house.resume(bob)
        assert house.replayed() == [(2, "hi"), (3, "hush")]
        house.resume(cid)
        assert house.replayed() == [(2, "hi")]


async def test_what_was_said_before_he_sat_down_is_not_for_him() -> None:
    kind, _ = watched()
    async with opened(kind) as house:
        await talk(house, house.join(kind), "one", "two")
        bob = house.join(kind, key="k")
        assert bob.seq == 2
        assert house.resume(bob, 0).seq == 2
        assert house.replayed() == []
        assert house.join(kind, key="k").seq == 2


async def test_a_replay_goes_in_items_of_64_kib() -> None:
    kind, _ = watched()
    async with opened(kind) as house:
        ann = house.join(kind)
        words = ["x" * 30_000] * 5 + ["y" * 100_000, "z"]
        await talk(house, ann, *words)
        house.resume(ann, link=SOUTH)
        items = [item for _, item in house.told if isinstance(item, nodes.Replay)]
        assert [[seq for seq, _ in item.messages] for item in items] == [
            *([1, 2], [3, 4], [5], [6], [7])
        ]
        assert {(item.player, item.session) for item in items} == {(ann.player, 2)}


async def test_inputs_count_on_from_what_the_room_has() -> None:
    kind, _ = watched()
    async with opened(kind) as house:
        ann = house.join(kind)
        await talk(house, ann, "one", "two")
        house.lose(ann)
        house.say(ann, 3, "from a socket that is lost")
        again = house.resume(ann, 0)
        assert again.n == 2
        house.say(again, 2, "two")
        house.say(again, 3, "three")
        house.say(ann, 4, "a late batch of the old api node", session=1)
        await wait_all_tasks_blocked()
        assert house.said()[2:] == ["three"]


async def test_inputs_that_were_held_at_the_old_socket_are_taken_from_the_new_one() -> None:
    kind, _ = watched()
    async with opened(kind, policy=RoomPolicy(inbox_events=4)) as house:
        ann = house.join(kind)
        for n in range(1, 9):
            house.say(ann, n, n)
        again = house.resume(ann, link=SOUTH)
        for n in range(again.n + 1, 9):
            await wait_all_tasks_blocked()
            house.say(again, n, n)
        await wait_all_tasks_blocked()
        assert house.all_of(nodes.BadInput) == []
        assert house.said(SOUTH) == list(range(1, 9))
        assert house.all_of(nodes.Wanted, NORTH) == []


async def test_an_ack_that_waits_for_the_old_socket_is_not_said_to_the_new_one() -> None:
    """A join said twice counts its inputs from 1 again: an old ack would take them for had."""
    kind, _ = watched()
    async with opened(kind) as house:
        ann, bob = house.join(kind, key="k"), house.join(kind)
        house.say(ann, 1, "one")
        house.say(bob, 1, "uno")
        house.lose(ann)
        house.join(kind, key="k")
        assert house.acked() == [(bob.room, bob.player, 1)]


# Two sockets


@pytest.mark.parametrize("link", [NORTH, SOUTH])
async def test_the_newer_socket_has_the_place_and_the_older_is_told_first(link: int) -> None:
    kind, seen = watched()
    async with opened(kind) as house:
        ann = house.join(kind)
        house.resume(ann, link=link)
        out = nodes.Out(ann.room, ann.player, nodes.TAKEN_OVER, session=1)
        assert house.told[0] == (NORTH, out)
        assert isinstance(house.told[1][1], nodes.Resumed)
        house.say(ann, 1, "I was first")
        house.leave(ann)
        await wait_all_tasks_blocked()
        assert seen == [Joined(ann.player)]
        assert house.host.players == 1


async def test_a_socket_that_is_lost_is_not_told_that_it_was_taken_over() -> None:
    kind, _ = watched()
    async with opened(kind) as house:
        ann = house.join(kind)
        house.lose(ann)
        house.resume(ann, link=SOUTH)
        assert house.all_of(nodes.Out) == []


# What he must show


async def test_a_ticket_is_good_once_it_is_confirmed_that_the_next_has_come() -> None:
    kind, _ = watched()
    async with opened(kind) as house:
        ann = house.join(kind)
        again = house.resume(ann)
        assert again.secret != ann.secret
        house.confirm(again)
        assert house.resume(ann).code == nodes.NO_SUCH_PLACE
        assert house.resume(again).session == 3


async def test_a_resume_whose_answer_was_lost_can_be_said_again() -> None:
    kind, _ = watched()
    async with opened(kind) as house:
        ann = house.join(kind)
        lost = house.resume(ann)
        again = house.resume(ann)
        assert len({ann.secret, lost.secret, again.secret}) == 3
        assert again.session == 3
        assert house.resume(lost).code == nodes.NO_SUCH_PLACE
        house.confirm(lost)  # of a session that is over: nothing
        assert house.resume(ann).session == 4


async def test_an_input_confirms_a_ticket_too() -> None:
    kind, _ = watched()
    async with opened(kind) as house:
        ann = house.join(kind)
        again = house.resume(ann)
        house.say(again, 1, "hi")
        assert house.resume(ann).code == nodes.NO_SUCH_PLACE


@pytest.mark.parametrize(
    "wrong",
    [
        {"room": "game-1.nowhere"},
        {"room": ""},
        {"player": "pnobody"},
        {"secret": ""},
        {"secret": "0" * 32},
        {"secret": "ö"},
    ],
)
async def test_a_guess_is_refused_and_costs_the_room_nothing(wrong: dict[str, str]) -> None:
    kind, seen = watched()
    async with opened(kind) as house:
        ann = house.join(kind)
        await talk(house, ann, "one")
        before = list(seen)
        assert house.resume(ann, **wrong).code == nodes.NO_SUCH_PLACE
        assert house.told == [(NORTH, house.told[0][1])]
        house.say(ann, 2, "two")
        await wait_all_tasks_blocked()
        assert house.said() == ["one", "two"]
        assert seen == [*before, Said(ann.player, "two")]
        assert house.host.resumes == 0


async def test_the_ticket_of_one_player_does_not_take_the_place_of_another() -> None:
    kind, _ = watched()
    async with opened(kind) as house:
        ann, bob, far = house.join(kind), house.join(kind), house.join(kind, new=True)
        assert house.resume(ann, player=bob.player).code == nodes.NO_SUCH_PLACE
        assert house.resume(ann, room=far.room).code == nodes.NO_SUCH_PLACE


async def test_a_number_that_the_room_has_not_come_to_is_refused_in_a_sentence() -> None:
    kind, _ = watched()
    async with opened(kind) as house:
        ann = house.join(kind)
        await talk(house, ann, "one")
        refused = house.resume(ann, 99)
        assert refused.code == ErrorCode.BAD_FRAME
        assert refused.message == "seen is 99, but the room has come to 1"
        assert house.resume(ann, 1).secret != ann.secret
        assert house.resume(ann, 2, secret="").code == nodes.NO_SUCH_PLACE


async def test_who_has_left_has_no_place() -> None:
    kind, _ = watched()
    async with opened(kind) as house:
        ann, _bob = house.join(kind), house.join(kind)
        house.leave(ann)
        assert house.resume(ann).code == nodes.NO_SUCH_PLACE


# PlaceReattacher


async def test_an_api_node_renews_a_place_and_the_ticket_stays_as_it_is() -> None:
    kind, _ = watched()
    async with opened(kind) as house:
        ann = house.join(kind)
        await talk(house, ann, "one")
        house.host.drop_link(NORTH)
        again = house.resume(ann, 1, link=SOUTH, session=1)
        assert (again.secret, again.session, again.complete) == (ann.secret, 1, True)
        assert house.resume(ann, 1, link=EAST).session == 2  # the client's ticket is still good


async def test_a_renewal_whose_answer_was_lost_with_its_link_can_be_asked_for_again() -> None:
    kind, _ = watched()
    async with opened(kind) as house:
        ann = house.join(kind)
        for lost, link in [(NORTH, SOUTH), (SOUTH, NORTH)]:
            house.host.drop_link(lost)
            again = house.resume(ann, link=link, session=1)
            assert (again.secret, again.session) == (ann.secret, 1)


async def test_a_renewal_of_a_place_that_a_newer_socket_has_is_refused() -> None:
    kind, _ = watched()
    async with opened(kind) as house:
        ann = house.join(kind)
        again = house.resume(ann, link=SOUTH)
        house.confirm(again)
        assert house.resume(ann, session=1).code == nodes.TAKEN_OVER
        assert house.resume(again, session=1).code == nodes.TAKEN_OVER
        assert house.resume(ann, session=2).code == nodes.NO_SUCH_PLACE
        house.say(again, 1, "still mine")
        await wait_all_tasks_blocked()
        assert house.said(SOUTH) == ["still mine"]


# A history that is too short


def short(**fields: Any) -> Kind:
    return watched(history_messages=2, **fields)[0]


async def test_of_a_short_history_he_gets_what_is_left_after_the_number_before() -> None:
    kind = short()
    async with opened(kind) as house:
        ann = house.join(kind)
        await talk(house, ann, *"abcde")
        again = house.resume(ann, 1)
        assert (again.complete, again.seq, again.state) == (False, 3, b"")
        assert house.replayed() == [(4, "d"), (5, "e")]
        assert house.resume(again, 3).complete


async def test_the_bytes_of_a_history_are_the_kinds_or_the_policys() -> None:
    policy = RoomPolicy(history_messages=3, history_bytes=1000)
    for fields, left in (({}, 3), ({"history_messages": 4}, 4), ({"history_bytes": 7}, 2)):
        kind, _ = watched(**fields)
        async with opened(kind, policy=policy) as house:
            ann = house.join(kind)
            await talk(house, ann, *"abcdef")
            house.resume(ann)
            assert len(house.replayed()) == left


def drawn(draw: Any) -> Kind:
    """A kind with two messages of history whose picture is what ``draw(table, player)`` says."""

    @room("drawn", seats=4, history_messages=2)
    async def kind(table: Room) -> Any:
        table.state_for = lambda player: draw(table, player)
        async for event in table:
            if isinstance(event, Said):
                table.broadcast(event.input)

    return kind


async def test_a_room_that_draws_a_picture_gives_it_in_place_of_a_short_history() -> None:
    kind = drawn(lambda _, player: {"for": player})
    async with opened(kind) as house:
        ann = house.join(kind)
        await talk(house, ann, *"abcde")
        again = house.resume(ann, 1)
        assert (again.complete, again.seq) == (False, 5)
        assert msgspec.json.decode(again.state) == {"for": ann.player}
        assert house.replayed() == []
        again = house.resume(again, 4)
        assert (again.complete, again.seq, again.state) == (True, 4, b"")


def raises(*_: Any) -> Any:
    raise KeyError("no such")


def exits(*_: Any) -> Any:
    raise SystemExit


@pytest.mark.parametrize("draw", [raises, exits, lambda *_: object(), lambda *_: "x" * 300_000])
async def test_a_picture_that_fails_is_logged_and_he_is_served_as_if_there_were_none(
    draw: Any,
) -> None:
    kind = drawn(draw)
    async with opened(kind) as house:
        ann = house.join(kind)
        await talk(house, ann, *"abcde")
        with capture_logs() as logs:
            again = house.resume(ann, 1)
        assert (again.complete, again.seq, again.state) == (False, 3, b"")
        assert house.replayed() == [(4, "d"), (5, "e")]
        [log] = logs
        assert (log["event"], log["room"], log["kind"]) == ("room.state_failed", ann.room, "drawn")
        house.say(again, again.n + 1, "the room goes on")
        await wait_all_tasks_blocked()
        assert house.said()[-1] == "the room goes on"


async def test_a_picture_that_says_something_leaves_no_hole_and_no_overlap() -> None:
    def chatty(table: Room, _: str) -> str:
        table.broadcast("somebody is back")
        return "picture"

    kind = drawn(chatty)
    async with opened(kind) as house:
        ann = house.join(kind)
        await talk(house, ann, *"abc")
        house.lose(ann)
        again = house.resume(ann, link=SOUTH)
        assert (again.seq, house.replayed(), house.said(SOUTH)) == (4, [], [])


async def test_a_picture_that_speaks_and_fails_leaves_no_hole_either() -> None:
    def clumsy(table: Room, _: str) -> str:
        table.broadcast("oh")
        raise RuntimeError

    kind = drawn(clumsy)
    async with opened(kind) as house:
        ann = house.join(kind)
        await talk(house, ann, *"abc")
        house.lose(ann)
        with capture_logs():
            again = house.resume(ann, link=SOUTH)
        assert (again.seq, house.replayed()) == (2, [(3, "c"), (4, "oh")])


async def test_who_is_kicked_by_his_own_picture_has_no_place() -> None:
    kind = drawn(lambda table, player: table.kick(player))
    async with opened(kind) as house:
        ann = house.join(kind)
        await talk(house, ann, *"abc")
        assert house.resume(ann, link=SOUTH).code == nodes.NO_SUCH_PLACE
        assert house.host.players == 0


# Joins that are said twice


async def test_a_join_said_twice_is_one_seat_and_brings_what_was_said_since() -> None:
    kind, seen = watched()
    async with opened(kind) as house:
        bob = house.join(kind)
        house.say(bob, 1, "before")
        await wait_all_tasks_blocked()
        ann = house.join(kind, key="k")
        house.say(bob, 2, "since")
        house.say(ann, 1, "an input of the first socket")
        await wait_all_tasks_blocked()
        before = len(house.sent)
        again = house.join(kind, key="k", link=SOUTH)
        assert (again.player, again.session, again.seq) == (ann.player, 2, 1)
        told = house.sent[before:]
        assert [(link, type(item)) for link, item in told] == [
            (NORTH, nodes.Out),
            (SOUTH, nodes.Seated),
            (SOUTH, nodes.Replay),
        ]
        assert told[0][1] == nodes.Out(ann.room, ann.player, nodes.TAKEN_OVER, session=1)
        house.say(again, 1, "counted from 1")
        await wait_all_tasks_blocked()
        assert house.said(SOUTH) == ["counted from 1"]
        assert len([event for event in seen if isinstance(event, Joined)]) == 2


async def test_a_join_said_twice_in_a_short_history_brings_what_is_left() -> None:
    kind = short()
    async with opened(kind) as house:
        ann = house.join(kind, key="k")
        await talk(house, ann, *"abcde")
        assert house.join(kind, key="k").seq == 3


async def test_a_join_for_a_seat_that_was_taken_before_opens_nothing_and_takes_no_other() -> None:
    kind, _ = watched()
    async with opened(kind) as house:
        assert house.join(kind, key="k", seated_only=True).code == nodes.NO_SUCH_PLACE
        assert house.join(kind, seated_only=True).code == nodes.NO_SUCH_PLACE
        assert house.join(room="nowhere", key="k", seated_only=True).code == nodes.NO_SUCH_PLACE
        assert house.host.rooms == 0
        ann = house.join(kind, key="k")
        assert house.join(kind, key="l", seated_only=True).code == nodes.NO_SUCH_PLACE
        by_room = house.join(room=ann.room, key="l", seated_only=True)
        assert by_room.code == nodes.NO_SUCH_PLACE
        assert house.join(kind, key="k", seated_only=True).session == 2
        assert house.join(room=ann.room, key="k", seated_only=True).session == 3
        assert house.host.players == 1


async def test_a_seat_taken_before_is_found_whatever_the_house_is_doing() -> None:
    kind, _ = watched()
    async with opened(kind) as house:
        ann = house.join(kind, key="k")
        house.say(ann, 1, "hi")
        house.host.close_doors()
        assert house.join(kind, key="k", seated_only=True).player == ann.player
        house.host.drain(trio.current_time() + 30)
        assert house.join(kind, key="k", seated_only=True).player == ann.player


# The end


async def test_a_room_that_is_ending_takes_its_players_back_and_tells_them_its_end(
    autojump_clock: MockClock,
) -> None:
    @room("winding", seats=2)
    async def winding(table: Room) -> Any:
        try:
            await trio.sleep(3)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
                table.broadcast("goodbye")

    async with opened(winding) as house:
        ann = house.join(winding, key="k")
        house.lose(ann)
        await wait_all_tasks_blocked()
        house.host.cut()
        again = house.resume(ann, link=SOUTH)
        assert house.join(winding, key="k", link=EAST).player == ann.player
        await trio.sleep(2)
        assert (again.session, house.said(EAST)) == (2, ["goodbye"])
        assert house.all_of(nodes.Ended, EAST) == [nodes.Ended(ann.room, 0, "cut")]
        assert house.all_of(nodes.Ended, SOUTH) == house.all_of(nodes.Ended, NORTH) == []


async def test_the_end_is_told_only_where_somebody_is() -> None:
    kind, _ = watched()
    async with opened(kind) as house:
        ann, bob = house.join(kind), house.join(kind, link=SOUTH)
        house.lose(ann)
        house.say(bob, 1, "end")
        await wait_all_tasks_blocked()
        assert house.all_of(nodes.Ended, NORTH) == []
        assert len(house.all_of(nodes.Ended, SOUTH)) == 1

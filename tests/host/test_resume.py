"""A player resumes: the ticket, the missed messages, and the events that the room gets."""

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
from tests.harness.counts import players_in
from tests.host.host_harness import EAST, NORTH, SOUTH, HostHarness, open_host, recording_kind

pytestmark = pytest.mark.usefixtures("schedule")


async def talk(harness: HostHarness, seat: nodes.Seated | nodes.Resumed, *inputs: object) -> None:
    """Sends the inputs, numbered from 1, and waits until the room has broadcast them."""
    for n, body in enumerate(inputs, 1):
        harness.say(seat, n, body)
    await wait_all_tasks_blocked()


async def test_a_resume_replays_the_missed_messages_in_order_before_the_live_ones() -> None:
    kind, seen = recording_kind()
    async with open_host(kind) as harness:
        ann, bob = harness.join(kind), harness.join(kind, link=SOUTH)
        await talk(harness, bob, "one", "two", "three")
        harness.lose(ann)
        again = harness.resume(ann, 1, link=EAST)
        assert (again.room, again.player, again.session) == (ann.room, ann.player, 2)
        assert (again.seq, again.n, again.complete, again.state) == (1, 0, True, b"")
        harness.say(bob, 4, "four")
        await wait_all_tasks_blocked()
        kinds = [type(item) for link, item in harness.sent if link == EAST]
        assert kinds == [nodes.Resumed, nodes.Replay, nodes.Message]
        assert harness.replayed() == [(2, "two"), (3, "three")]
        assert [m.seq for m in harness.all_of(nodes.Message, EAST)] == [4]
        assert [type(event) for event in seen] == [Joined, Joined, Said, Said, Said, Said]
        assert harness.host.places.resumes == 1


async def test_a_player_who_missed_nothing_gets_no_replay() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        await talk(harness, ann, "one")
        harness.lose(ann)
        harness.resume(ann, 1)
        assert len(harness.resume_items) == 1


async def test_a_private_message_is_replayed_only_to_its_player() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann, bob, cid = (harness.join(kind) for _ in range(3))
        harness.lose(ann)
        harness.lose(bob)
        await talk(harness, cid, ["to", ann.player, "psst"], "hi", ["to", bob.player, "hush"])
        harness.resume(ann)
        assert harness.replayed() == [(1, "psst"), (2, "hi")]
        harness.resume(bob)
        assert harness.replayed() == [(2, "hi"), (3, "hush")]
        harness.resume(cid)
        assert harness.replayed() == [(2, "hi")]


async def test_messages_from_before_the_join_are_not_replayed() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        await talk(harness, harness.join(kind), "one", "two")
        bob = harness.join(kind, key="k")
        assert bob.seq == 2
        assert harness.resume(bob, 0).seq == 2
        assert harness.replayed() == []
        assert harness.join(kind, key="k").seq == 2


async def test_a_replay_is_sent_in_items_of_64_kib() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        bodies = ["x" * 30_000] * 5 + ["y" * 100_000, "z"]
        await talk(harness, ann, *bodies)
        harness.resume(ann, link=SOUTH)
        items = [item for _, item in harness.resume_items if isinstance(item, nodes.Replay)]
        assert [[seq for seq, _ in item.messages] for item in items] == [
            *([1, 2], [3, 4], [5], [6], [7])
        ]
        assert {(item.player, item.session) for item in items} == {(ann.player, 2)}


async def test_inputs_continue_after_the_last_one_that_the_room_has() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        await talk(harness, ann, "one", "two")
        harness.lose(ann)
        harness.say(ann, 3, "from a socket that is lost")
        again = harness.resume(ann, 0)
        assert again.n == 2
        harness.say(again, 2, "two")
        harness.say(again, 3, "three")
        harness.say(ann, 4, "a late batch of the old api node", session=1)
        await wait_all_tasks_blocked()
        assert harness.messages()[2:] == ["three"]


async def test_inputs_that_were_blocked_on_the_old_socket_are_accepted_from_the_new_one() -> None:
    kind, _ = recording_kind()
    async with open_host(kind, policy=RoomPolicy(inbox_events=4)) as harness:
        ann = harness.join(kind)
        for n in range(1, 9):
            harness.say(ann, n, n)
        again = harness.resume(ann, link=SOUTH)
        for n in range(again.n + 1, 9):
            await wait_all_tasks_blocked()
            harness.say(again, n, n)
        await wait_all_tasks_blocked()
        assert harness.all_of(nodes.BadInput) == []
        assert harness.messages(SOUTH) == list(range(1, 9))
        assert harness.all_of(nodes.Wanted, NORTH) == []


async def test_a_pending_ack_for_the_old_socket_is_not_sent_to_the_new_one() -> None:
    """A repeated join numbers its inputs from 1 again: an old ack would cover new inputs."""
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann, bob = harness.join(kind, key="k"), harness.join(kind)
        harness.say(ann, 1, "one")
        harness.say(bob, 1, "uno")
        harness.lose(ann)
        harness.join(kind, key="k")
        assert harness.acked() == [(bob.room, bob.player, 1)]


# Two sockets


@pytest.mark.parametrize("link", [NORTH, SOUTH])
async def test_the_newer_socket_gets_the_place_after_the_older_one_gets_out(link: int) -> None:
    kind, seen = recording_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        harness.resume(ann, link=link)
        out = nodes.Out(ann.room, ann.player, nodes.TAKEN_OVER, session=1)
        assert harness.resume_items[0] == (NORTH, out)
        assert isinstance(harness.resume_items[1][1], nodes.Resumed)
        harness.say(ann, 1, "I was first")
        harness.leave(ann)
        await wait_all_tasks_blocked()
        assert seen == [Joined(ann.player)]
        assert players_in(harness.host) == 1


async def test_a_lost_socket_gets_no_out_when_its_place_is_resumed() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        harness.lose(ann)
        harness.resume(ann, link=SOUTH)
        assert harness.all_of(nodes.Out) == []


# The ticket


async def test_a_ticket_is_refused_once_the_next_one_is_confirmed() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        again = harness.resume(ann)
        assert again.secret != ann.secret
        harness.confirm(again)
        assert harness.resume(ann).code == nodes.NO_SUCH_PLACE
        assert harness.resume(again).session == 3


async def test_a_resume_whose_answer_was_lost_can_be_repeated() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        lost = harness.resume(ann)
        again = harness.resume(ann)
        assert len({ann.secret, lost.secret, again.secret}) == 3
        assert again.session == 3
        assert harness.resume(lost).code == nodes.NO_SUCH_PLACE
        harness.confirm(lost)  # the session is over: ignored
        assert harness.resume(ann).session == 4


async def test_an_input_also_confirms_a_ticket() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        again = harness.resume(ann)
        harness.say(again, 1, "hi")
        assert harness.resume(ann).code == nodes.NO_SUCH_PLACE


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
async def test_a_guessed_ticket_is_refused_and_does_not_affect_the_room(
    wrong: dict[str, str],
) -> None:
    kind, seen = recording_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        await talk(harness, ann, "one")
        before = list(seen)
        assert harness.resume(ann, **wrong).code == nodes.NO_SUCH_PLACE
        assert harness.resume_items == [(NORTH, harness.resume_items[0][1])]
        harness.say(ann, 2, "two")
        await wait_all_tasks_blocked()
        assert harness.messages() == ["one", "two"]
        assert seen == [*before, Said(ann.player, "two")]
        assert harness.host.places.resumes == 0


async def test_the_ticket_of_one_player_does_not_take_the_place_of_another() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann, bob, far = harness.join(kind), harness.join(kind), harness.join(kind, new=True)
        assert harness.resume(ann, player=bob.player).code == nodes.NO_SUCH_PLACE
        assert harness.resume(ann, room=far.room).code == nodes.NO_SUCH_PLACE


async def test_a_seen_number_beyond_the_rooms_last_is_refused_with_a_message() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        await talk(harness, ann, "one")
        refused = harness.resume(ann, 99)
        assert refused.code == ErrorCode.BAD_FRAME
        assert refused.message == "seen is 99, but the room has come to 1"
        assert harness.resume(ann, 1).secret != ann.secret
        assert harness.resume(ann, 2, secret="").code == nodes.NO_SUCH_PLACE


async def test_a_player_who_left_cannot_resume() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann, _bob = harness.join(kind), harness.join(kind)
        harness.leave(ann)
        assert harness.resume(ann).code == nodes.NO_SUCH_PLACE


# Renewals by an api node


async def test_a_renewal_by_an_api_node_does_not_change_the_ticket() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        await talk(harness, ann, "one")
        harness.host.drop_link(NORTH)
        again = harness.resume(ann, 1, link=SOUTH, session=1)
        assert (again.secret, again.session, again.complete) == (ann.secret, 1, True)
        assert harness.resume(ann, 1, link=EAST).session == 2  # the client's ticket is still valid


async def test_a_renewal_whose_answer_was_lost_with_its_link_can_be_repeated() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        for lost, link in [(NORTH, SOUTH), (SOUTH, NORTH)]:
            harness.host.drop_link(lost)
            again = harness.resume(ann, link=link, session=1)
            assert (again.secret, again.session) == (ann.secret, 1)


async def test_a_renewal_of_a_place_that_a_newer_socket_has_is_refused() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        again = harness.resume(ann, link=SOUTH)
        harness.confirm(again)
        assert harness.resume(ann, session=1).code == nodes.TAKEN_OVER
        assert harness.resume(again, session=1).code == nodes.TAKEN_OVER
        assert harness.resume(ann, session=2).code == nodes.NO_SUCH_PLACE
        harness.say(again, 1, "still mine")
        await wait_all_tasks_blocked()
        assert harness.messages(SOUTH) == ["still mine"]


# A history that is too short


def kind_with_short_history(**fields: Any) -> Kind:
    return recording_kind(history_messages=2, **fields)[0]


async def test_a_resume_with_a_short_history_replays_the_messages_that_are_left() -> None:
    kind = kind_with_short_history()
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        await talk(harness, ann, *"abcde")
        again = harness.resume(ann, 1)
        assert (again.complete, again.seq, again.state) == (False, 3, b"")
        assert harness.replayed() == [(4, "d"), (5, "e")]
        assert harness.resume(again, 3).complete


async def test_the_limits_of_a_history_are_the_kinds_or_the_policys() -> None:
    policy = RoomPolicy(history_messages=3, history_bytes=1000)
    for fields, left in (({}, 3), ({"history_messages": 4}, 4), ({"history_bytes": 7}, 2)):
        kind, _ = recording_kind(**fields)
        async with open_host(kind, policy=policy) as harness:
            ann = harness.join(kind)
            await talk(harness, ann, *"abcdef")
            harness.resume(ann)
            assert len(harness.replayed()) == left


def kind_with_state(state_for: Any) -> Kind:
    """A kind with two messages of history, which calls ``state_for(table, player)``."""

    @room("drawn", seats=4, history_messages=2)
    async def kind(table: Room) -> Any:
        table.state_for = lambda player: state_for(table, player)
        async for event in table:
            if isinstance(event, Said):
                table.broadcast(event.input)

    return kind


async def test_a_room_with_state_for_sends_the_state_in_place_of_a_short_history() -> None:
    kind = kind_with_state(lambda _, player: {"for": player})
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        await talk(harness, ann, *"abcde")
        again = harness.resume(ann, 1)
        assert (again.complete, again.seq) == (False, 5)
        assert msgspec.json.decode(again.state) == {"for": ann.player}
        assert harness.replayed() == []
        again = harness.resume(again, 4)
        assert (again.complete, again.seq, again.state) == (True, 4, b"")


def raises(*_: Any) -> Any:
    raise KeyError("no such")


def exits(*_: Any) -> Any:
    raise SystemExit


@pytest.mark.parametrize(
    "state_for", [raises, exits, lambda *_: object(), lambda *_: "x" * 300_000]
)
async def test_a_state_for_that_fails_is_logged_and_the_history_is_replayed(
    state_for: Any,
) -> None:
    kind = kind_with_state(state_for)
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        await talk(harness, ann, *"abcde")
        with capture_logs() as logs:
            again = harness.resume(ann, 1)
        assert (again.complete, again.seq, again.state) == (False, 3, b"")
        assert harness.replayed() == [(4, "d"), (5, "e")]
        [log] = logs
        assert (log["event"], log["room"], log["kind"]) == (
            "room.picture_failed",
            ann.room,
            "drawn",
        )
        harness.say(again, again.n + 1, "the room goes on")
        await wait_all_tasks_blocked()
        assert harness.messages()[-1] == "the room goes on"


async def test_messages_sent_by_state_for_are_neither_lost_nor_repeated() -> None:
    def chatty(table: Room, _: str) -> str:
        table.broadcast("somebody is back")
        return "state"

    kind = kind_with_state(chatty)
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        await talk(harness, ann, *"abc")
        harness.lose(ann)
        again = harness.resume(ann, link=SOUTH)
        assert (again.seq, harness.replayed(), harness.messages(SOUTH)) == (4, [], [])


async def test_messages_sent_by_a_state_for_that_fails_are_not_lost() -> None:
    def clumsy(table: Room, _: str) -> str:
        table.broadcast("oh")
        raise RuntimeError

    kind = kind_with_state(clumsy)
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        await talk(harness, ann, *"abc")
        harness.lose(ann)
        with capture_logs():
            again = harness.resume(ann, link=SOUTH)
        assert (again.seq, harness.replayed()) == (2, [(3, "c"), (4, "oh")])


async def test_a_player_kicked_by_state_for_cannot_resume() -> None:
    kind = kind_with_state(lambda table, player: table.kick(player))
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        await talk(harness, ann, *"abc")
        assert harness.resume(ann, link=SOUTH).code == nodes.NO_SUCH_PLACE
        assert players_in(harness.host) == 0


# Repeated joins


async def test_a_repeated_join_gets_the_same_seat_and_the_messages_since_the_first() -> None:
    kind, seen = recording_kind()
    async with open_host(kind) as harness:
        bob = harness.join(kind)
        harness.say(bob, 1, "before")
        await wait_all_tasks_blocked()
        ann = harness.join(kind, key="k")
        harness.say(bob, 2, "since")
        harness.say(ann, 1, "an input of the first socket")
        await wait_all_tasks_blocked()
        before = len(harness.sent)
        again = harness.join(kind, key="k", link=SOUTH)
        assert (again.player, again.session, again.seq) == (ann.player, 2, 1)
        sent = harness.sent[before:]
        assert [(link, type(item)) for link, item in sent] == [
            (NORTH, nodes.Out),
            (SOUTH, nodes.Seated),
            (SOUTH, nodes.Replay),
        ]
        assert sent[0][1] == nodes.Out(ann.room, ann.player, nodes.TAKEN_OVER, session=1)
        harness.say(again, 1, "counted from 1")
        await wait_all_tasks_blocked()
        assert harness.messages(SOUTH) == ["counted from 1"]
        assert len([event for event in seen if isinstance(event, Joined)]) == 2


async def test_a_repeated_join_with_a_short_history_gets_the_messages_that_are_left() -> None:
    kind = kind_with_short_history()
    async with open_host(kind) as harness:
        ann = harness.join(kind, key="k")
        await talk(harness, ann, *"abcde")
        assert harness.join(kind, key="k").seq == 3


async def test_a_seated_only_join_opens_no_room_and_takes_no_other_seat() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        assert harness.join(kind, key="k", seated_only=True).code == nodes.NO_SUCH_PLACE
        assert harness.join(kind, seated_only=True).code == nodes.NO_SUCH_PLACE
        assert harness.join(room="nowhere", key="k", seated_only=True).code == nodes.NO_SUCH_PLACE
        assert harness.host.rooms == 0
        ann = harness.join(kind, key="k")
        assert harness.join(kind, key="l", seated_only=True).code == nodes.NO_SUCH_PLACE
        by_room = harness.join(room=ann.room, key="l", seated_only=True)
        assert by_room.code == nodes.NO_SUCH_PLACE
        assert harness.join(kind, key="k", seated_only=True).session == 2
        assert harness.join(room=ann.room, key="k", seated_only=True).session == 3
        assert players_in(harness.host) == 1


async def test_a_seated_only_join_finds_its_seat_even_in_a_drain() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind, key="k")
        harness.say(ann, 1, "hi")
        harness.host.matchmaker.doors_open = False
        assert harness.join(kind, key="k", seated_only=True).player == ann.player
        harness.host.drain(trio.current_time() + 30)
        assert harness.join(kind, key="k", seated_only=True).player == ann.player


# The end


async def test_players_can_resume_a_room_that_is_ending_and_get_its_end(
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

    async with open_host(winding) as harness:
        ann = harness.join(winding, key="k")
        harness.lose(ann)
        await wait_all_tasks_blocked()
        harness.host.cut()
        again = harness.resume(ann, link=SOUTH)
        assert harness.join(winding, key="k", link=EAST).player == ann.player
        await trio.sleep(2)
        assert (again.session, harness.messages(EAST)) == (2, ["goodbye"])
        assert harness.all_of(nodes.Ended, EAST) == [nodes.Ended(ann.room, 0, "cut")]
        assert harness.all_of(nodes.Ended, SOUTH) == harness.all_of(nodes.Ended, NORTH) == []


async def test_the_end_is_sent_only_on_links_with_connected_players() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann, bob = harness.join(kind), harness.join(kind, link=SOUTH)
        harness.lose(ann)
        harness.say(bob, 1, "end")
        await wait_all_tasks_blocked()
        assert harness.all_of(nodes.Ended, NORTH) == []
        assert len(harness.all_of(nodes.Ended, SOUTH)) == 1

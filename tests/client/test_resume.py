"""A place over several sockets, with a server in memory and in virtual time."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from lastcall.client import Ended, Message, Picture, PlaceState, connect, open_client
from lastcall.errors import (
    ConnectFailed,
    ConnectionLost,
    JoinRefused,
    LocalProtocolError,
    PlaceLost,
)
from lastcall.reasons import EndReason
from tests.harness import orders

pytestmark = pytest.mark.usefixtures("schedule")

A, B, C = "ws://a:8080/", "ws://b:8080/", "ws://c:8080/"
ROOM = "game-1.r1"
ENDED = {"t": "ended", "room": ROOM, "reason": "finished"}


class FixedRandom:
    """A RandomSource that always returns one value."""

    def __init__(self, value=0.5):
        self.value = value

    def random(self):
        return self.value


class Setup:
    """A scripted server, and a client that records the states of its place."""

    def __init__(self, server):
        self.server = server
        self.states = []

    def on_state(self, _place, state):
        self.states.append((trio.current_time(), str(state)))

    @asynccontextmanager
    async def place(self, *scripts, urls=(A, B), **options):
        """A place with one script for each socket; the first script runs after the join."""

        async def first(peer):
            await peer.seat()
            await scripts[0](peer)

        self.server.scripts = [first, *scripts[1:]]
        settings = {"dice": FixedRandom(), "on_state": self.on_state, **options}
        async with connect(
            urls, kind="k", open_stream=self.server.open_stream, **settings
        ) as place:
            yield place


@pytest.fixture
async def setup(server):
    return Setup(server)


def seated(script):
    async def join_first(peer):
        await peer.seat()
        await script(peer)

    return join_first


async def vanishes(peer):
    await peer.vanish()


async def moves(peer):
    await peer.send(t="move", after=0)
    await peer.close(1012)


async def resumes_and_ends(peer):
    await peer.resume()
    await peer.send(**ENDED)
    await peer.rest()


def frames(rest, *kinds):
    return [frame for frame in rest if frame["t"] in kinds]


# When the client reconnects, and to which node.


async def test_after_an_unannounced_loss_the_client_waits_up_to_800_ms_for_the_next_url(
    setup, autojump_clock
):
    async with setup.place(vanishes, resumes_and_ends) as place:
        await place.wait_over()
    assert place.ended == Ended(EndReason.FINISHED)
    assert setup.server.opened == [A, B]
    assert setup.server.opened_at == [0, 0.4]
    assert setup.states == [(0, "away"), (0.4, "here"), (0.4, "over")]
    assert (place.resumes, place.away_seconds, place.away_since) == (1, 0.4, None)


@pytest.mark.parametrize("value", [0, 0.25, 0.999])
async def test_the_wait_after_a_loss_is_random(setup, autojump_clock, value):
    async with setup.place(vanishes, resumes_and_ends, dice=FixedRandom(value)) as place:
        await place.wait_over()
    assert setup.server.opened_at == [0, pytest.approx(0.8 * value)]


async def test_with_the_default_random_source_the_wait_is_800_ms_at_most(setup, autojump_clock):
    async with setup.place(vanishes, resumes_and_ends, dice=None) as place:
        await place.wait_over()
    assert 0 <= setup.server.opened_at[1] <= 0.8


@pytest.mark.parametrize("announced", [True, False])
async def test_after_a_move_or_a_1012_the_client_resumes_at_once(setup, autojump_clock, announced):
    async def closes(peer):
        await peer.close(1012)

    async with setup.place(moves if announced else closes, resumes_and_ends) as place:
        await place.wait_over()
    assert setup.server.opened_at == [0, 0]
    assert place.away_seconds == 0


async def test_after_a_move_any_end_of_the_socket_counts_as_announced(setup, autojump_clock):
    async def announces_a_move(peer):
        await peer.send(t="move", after=1.5)
        await trio.sleep(1.5)
        await peer.vanish()

    async with setup.place(announces_a_move, resumes_and_ends) as place:
        await place.wait_over()
    assert setup.server.opened_at == [0, 1.5]


@pytest.mark.parametrize("code", [1013, 4100, 4101])
async def test_a_client_that_is_turned_away_backs_off(setup, autojump_clock, code):
    async def closes(peer):
        await peer.close(code)

    async def turns_away(peer):
        await peer.next()
        await peer.close(code)

    async with setup.place(closes, turns_away, turns_away, resumes_and_ends) as place:
        await place.wait_over()
    assert setup.server.opened_at == [0, 0.125, 0.375, 0.875]
    assert setup.server.opened == [A, B, A, B]


async def test_a_node_that_is_down_is_skipped_at_once(setup, autojump_clock):
    tried = []

    async def b_is_down(url):
        tried.append(url)
        if url == B:
            raise ConnectionRefusedError("refused")
        return await setup.server.open_stream(url)

    setup.server.scripts = [seated(moves), resumes_and_ends]
    async with connect([A, B, C], kind="k", open_stream=b_is_down) as place:
        await place.wait_over()
    assert tried == [A, B, C]
    assert trio.current_time() == 0


async def test_a_node_that_accepts_and_sends_nothing_is_left_after_three_seconds(
    setup, autojump_clock
):
    kept = []

    async def b_is_silent(url):
        if url == B:
            ours, theirs = memory_stream_pair()
            kept.append(ours)
            return theirs
        return await setup.server.open_stream(url)

    setup.server.scripts = [seated(moves), resumes_and_ends]
    async with connect([A, B], kind="k", open_stream=b_is_silent) as place:
        await place.wait_over()
    assert trio.current_time() == 3
    assert setup.server.opened == [A, A]


async def test_when_all_nodes_are_down_the_client_backs_off_between_rounds(setup, autojump_clock):
    tried = []

    async def all_down_for_2_seconds(url):
        tried.append((trio.current_time(), url))
        if 0 < trio.current_time() < 2:
            raise ConnectionRefusedError("refused")
        return await setup.server.open_stream(url)

    setup.server.scripts = [seated(vanishes), resumes_and_ends]
    async with connect(
        [A, B], kind="k", dice=FixedRandom(), open_stream=all_down_for_2_seconds
    ) as place:
        await place.wait_over()
    rounds = [0.4, 0.4 + 0.125, 0.525 + 0.25, 0.775 + 0.5, 1.275 + 1]
    assert [url for _, url in tried] == [A, B, A, B, A, B, A, B, A, B]
    assert [time for time, url in tried if url == B] == pytest.approx(rounds)


async def test_a_server_without_a_beat_is_left_after_25_seconds(setup, autojump_clock):
    async def freezes(peer):
        await trio.sleep(60)

    async with setup.place(freezes, resumes_and_ends) as place:
        await place.wait_state(PlaceState.AWAY)
        assert trio.current_time() == 25
        await place.wait_over()
    assert setup.server.opened_at == [0, 25.4]


async def test_a_server_that_does_not_answer_a_resume_is_left_after_8_seconds(
    setup, autojump_clock
):
    async def no_answer(peer):
        await peer.rest()

    async with setup.place(moves, no_answer, resumes_and_ends) as place:
        await place.wait_over()
    assert setup.server.opened_at == [0, 0, 8.125]
    assert setup.server.opened == [A, B, A]


# Messages and inputs before and after a lost socket.


async def test_after_a_resume_messages_go_on_without_loss_or_repeat(setup, autojump_clock):
    resumes = []

    async def two_messages_then_vanishes(peer):
        await peer.send(t="msg", seq=1, d="one")
        await peer.send(t="msg", seq=2, d="two")
        await peer.vanish()

    async def replays(peer):
        resumes.append(await peer.resume())
        for seq, text in ((2, "two"), (3, "three"), (4, "four")):
            await peer.send(t="msg", seq=seq, d=text)
        await peer.send(**ENDED)
        await peer.rest()

    async with setup.place(two_messages_then_vanishes, replays) as place:
        heard = [item.data async for item in place]
    assert heard == ["one", "two", "three", "four"]
    assert resumes == [{"t": "resume", "ticket": "tk", "seen": 2}]
    assert (place.progress.repeats, place.progress.holes) == (1, 0)


async def test_inputs_that_the_room_does_not_have_are_sent_again_once_and_in_order(
    setup, autojump_clock
):
    heard = []

    async def acks_one_input(peer):
        heard.extend([(await peer.next())["n"] for _ in range(4)])
        await peer.send(t="ack", n=1)
        await peer.vanish()

    async def acks_the_rest(peer):
        await peer.resume(n=2)
        heard.extend([(await peer.next())["d"] for _ in range(3)])
        await peer.send(t="ack", n=5)
        await peer.send(**ENDED)
        heard.extend(frames(await peer.rest(), "say"))

    async with setup.place(acks_one_input, acks_the_rest) as place:
        for number in range(1, 5):
            await place.say(f"input {number}")
        await place.wait_state(PlaceState.AWAY)
        await place.say("input 5")
        await place.wait_over()
    assert heard == [1, 2, 3, 4, "input 3", "input 4", "input 5"]
    assert place.unacked == 0


async def test_a_say_waits_while_the_place_is_away_and_sends_nothing_if_cancelled(
    setup, autojump_clock
):
    heard = []

    async def listens(peer):
        await peer.resume()
        heard.append(await peer.next())
        await peer.send(**ENDED)
        await peer.rest()

    async with setup.place(vanishes, listens) as place:
        await place.wait_state(PlaceState.AWAY)
        with trio.move_on_after(0.1) as scope:
            await place.say("never")
        assert scope.cancelled_caught
        await place.say("later")
        assert trio.current_time() == 0.4
        await place.wait_over()
    assert heard == [{"t": "say", "n": 1, "d": "later"}]


async def test_got_is_the_first_frame_after_resumed_and_comes_every_32_messages(
    setup, autojump_clock
):
    gots = []

    async def talks(peer):
        await peer.resume()  # asserts that got comes first, with an input waiting
        assert (await peer.next())["t"] == "say"
        for seq in range(1, 71):
            await peer.send(t="msg", seq=seq, d=seq)
        await peer.send(**ENDED)
        gots.extend(frames(await peer.rest(), "got"))

    async with setup.place(vanishes, talks) as place:
        await place.say("before the loss is known")
        assert len([item async for item in place]) == 70
    assert [got["seq"] for got in gots] == [32, 64]


async def test_a_resume_whose_answer_is_lost_is_sent_again_with_the_same_ticket(
    setup, autojump_clock
):
    resumes = []

    async def vanishes_before_the_answer(peer):
        resumes.append(await peer.next())
        await peer.vanish()

    async def answers(peer):
        resumes.append(await peer.resume(ticket="tk2"))
        await peer.vanish()

    async def answers_again(peer):
        resumes.append(await peer.resume(ticket="tk3"))
        await peer.send(**ENDED)
        await peer.rest()

    scripts = (vanishes, vanishes_before_the_answer, answers, answers_again)
    async with setup.place(*scripts) as place:
        await place.wait_over()
    assert [resume["ticket"] for resume in resumes] == ["tk", "tk", "tk2"]
    assert (place.progress.ticket, place.resumes) == ("tk3", 2)


async def test_a_resume_that_fails_with_an_error_is_tried_on_another_socket(setup, autojump_clock):
    closed_at = []

    async def refuses_the_resume(peer):
        await peer.next()
        await peer.send(t="error", code="too_many", message="slowly", retry=True)
        await peer.rest()
        closed_at.append(trio.current_time())

    async with setup.place(moves, refuses_the_resume, resumes_and_ends) as place:
        await place.wait_over()
    assert setup.server.opened_at == [0, 0, 0.125]
    assert closed_at == [0]


async def test_messages_before_resumed_are_ignored(setup, autojump_clock):
    async def too_early(peer):
        await peer.next()
        await peer.send(t="msg", seq=2, d="live")
        await peer.resumed(n=0, ticket="tk2", seq=0)
        await peer.send(t="msg", seq=1, d="missed")
        await peer.send(t="msg", seq=2, d="live")
        await peer.send(**ENDED)
        await peer.rest()

    async with setup.place(vanishes, too_early) as place:
        assert [item.data async for item in place] == ["missed", "live"]


async def test_after_an_absence_longer_than_the_history_a_picture_replaces_the_messages(
    setup, autojump_clock
):
    async def one_message_then_vanishes(peer):
        await peer.send(t="msg", seq=1, d="one")
        await peer.vanish()

    async def history_too_short(peer):
        await peer.resume(complete=False, seq=900, state={"board": "X"})
        await peer.send(t="msg", seq=901, d="next")
        await peer.vanish()

    async def history_too_short_without_picture(peer):
        await peer.resume(complete=False, seq=990)
        await peer.send(**ENDED)
        await peer.rest()

    async with setup.place(
        one_message_then_vanishes, history_too_short, history_too_short_without_picture
    ) as place:
        heard = [item async for item in place]
    assert heard == [
        Message(1, "one"),
        Picture(900, {"board": "X"}),
        Message(901, "next"),
        Picture(990, None),
    ]
    assert (place.incomplete, place.picture, place.progress.holes) == (2, heard[-1], 0)


async def test_a_place_that_is_regrouped_while_away_goes_on_in_the_new_room(setup, autojump_clock):
    heard = []

    async def regroups(peer):
        await peer.next()
        await peer.joined("game-2.r9", "p9", seq=4)
        heard.append(await peer.next())
        await peer.send(t="msg", seq=5, d="of the new room")
        await peer.send(t="ended", room="game-2.r9", reason="finished")
        await peer.rest()

    async with setup.place(vanishes, regroups) as place:
        await place.say("to the old room")
        await place.wait_state(PlaceState.AWAY)
        await place.say("to the new room")
        assert [item.data async for item in place] == ["of the new room"]
    assert heard == [{"t": "say", "n": 1, "d": "to the new room"}]
    assert (place.room, place.you, place.regroups) == ("game-2.r9", "p9", 1)


async def test_the_result_of_a_room_that_ended_meanwhile_is_received(setup, autojump_clock):
    async def ended_already(peer):
        await peer.next()
        await peer.send(**ENDED, result={"winner": "p1"})
        await peer.rest()

    async with setup.place(vanishes, ended_already) as place:
        assert [item async for item in place] == []
    assert place.ended == Ended(EndReason.FINISHED, {"winner": "p1"})


# How a place ends.


@pytest.mark.parametrize("code", [4001, 4002, 4003, 4004, 4005])
async def test_a_final_close_code_ends_the_place(setup, autojump_clock, code):
    async def refuses(peer):
        await peer.next()
        await peer.close(code, "why")

    async with setup.place(vanishes, refuses) as place:
        with pytest.raises(PlaceLost) as lost:
            await anext(place)
        with pytest.raises(PlaceLost):
            await place.say("anybody?")
        assert place.state is PlaceState.OVER
        assert place.ended is None
    assert (lost.value.code, lost.value.reason) == (code, "why")
    assert len(setup.server.opened) == 2


async def test_a_client_whose_place_is_taken_over_does_not_reconnect(setup, autojump_clock):
    async def loses_the_seat(peer):
        await peer.send(t="msg", seq=1, d="before")
        await peer.close(4005)

    async with setup.place(loses_the_seat) as place:
        await wait_all_tasks_blocked()
        assert (await anext(place)).data == "before"
        with pytest.raises(PlaceLost):
            await anext(place)
    assert setup.server.opened == [A]


async def test_the_client_gives_up_after_give_up_seconds(setup, autojump_clock):
    async def all_down(url):
        if trio.current_time() > 0:
            raise ConnectionRefusedError("refused")
        return await setup.server.open_stream(url)

    setup.server.scripts = [seated(vanishes)]
    async with connect([A, B], kind="k", give_up_seconds=30, open_stream=all_down) as place:
        with pytest.raises(PlaceLost, match="not back within 30 s") as lost:
            async for _ in place:
                pass
    assert lost.value.code == 1006
    assert trio.current_time() == 30


async def test_leaving_while_away_sends_the_pending_inputs_and_the_leave(setup, autojump_clock):
    heard = []

    async def acks_nothing(peer):
        await peer.next()
        await peer.vanish()

    async def answers_the_leave(peer):
        await peer.resume()
        heard.extend([await peer.next(), await peer.next()])
        await peer.send(t="ended", room=ROOM, reason="left")
        await peer.rest()

    async with setup.place(acks_nothing, answers_the_leave) as place:
        await place.say("a last word")
        await place.wait_state(PlaceState.AWAY)
    assert heard == [{"t": "say", "n": 1, "d": "a last word"}, {"t": "leave"}]
    assert place.ended == Ended(EndReason.LEFT)
    assert trio.current_time() == 0.4


async def test_a_leave_that_was_lost_with_its_socket_is_sent_again(setup, autojump_clock):
    async def vanishes_at_the_leave(peer):
        assert (await peer.next())["t"] == "leave"
        await peer.vanish()

    async def answers_the_leave(peer):
        await peer.resume()
        assert (await peer.next())["t"] == "leave"
        await peer.send(t="ended", room=ROOM, reason="left")
        await peer.rest()

    async with setup.place(vanishes_at_the_leave, answers_the_leave) as place:
        await place.leave()
        assert place.ended == Ended(EndReason.LEFT)


async def test_a_leave_succeeds_when_its_answer_was_lost_and_the_place_no_longer_exists(
    setup, autojump_clock
):
    async def vanishes_after_the_leave(peer):
        assert (await peer.next())["t"] == "leave"
        await peer.vanish()

    async def has_no_such_place(peer):
        await peer.next()
        await peer.close(4004, "no such place")

    async with setup.place(vanishes_after_the_leave, has_no_such_place) as place:
        await place.leave()
        assert (place.ended, place.lost) == (Ended(EndReason.LEFT), None)
        assert [item async for item in place] == []
    assert trio.current_time() == 0.4


async def test_a_place_that_is_being_left_can_be_taken_over(setup, autojump_clock):
    async def loses_the_seat(peer):
        assert (await peer.next())["t"] == "leave"
        await peer.close(4005)

    async with setup.place(loses_the_seat) as place:
        await place.leave()
        assert place.ended is None
        with pytest.raises(PlaceLost):
            await anext(place)


async def test_leaving_an_unreachable_place_takes_two_seconds(setup, autojump_clock):
    async def all_down(url):
        if trio.current_time() > 0:
            raise ConnectionRefusedError("refused")
        return await setup.server.open_stream(url)

    setup.server.scripts = [seated(vanishes)]
    async with connect([A], kind="k", open_stream=all_down) as place:
        await place.wait_state(PlaceState.AWAY)
    assert trio.current_time() == 2


@pytest.mark.parametrize("after", [0, 0.2, 0.4, 1, 3])
async def test_a_block_that_is_cancelled_at_any_moment_ends_within_two_and_a_half_seconds(
    setup, autojump_clock, after
):
    async def silent(peer):
        await peer.resume()
        await trio.sleep(60)

    with trio.move_on_after(after) as scope:
        async with setup.place(vanishes, silent) as place:
            async for _ in place:
                pass
    assert scope.cancelled_caught
    assert trio.current_time() <= after + 2.5


async def test_a_block_that_is_cancelled_while_here_still_leaves_and_closes(setup, autojump_clock):
    heard = []

    async def answers_the_leave(peer):
        heard.append(await peer.next())
        await trio.sleep(1)
        await peer.send(t="ended", room=ROOM, reason="left")
        heard.extend(await peer.rest())

    with trio.move_on_after(5):
        async with setup.place(answers_the_leave) as place:
            await trio.sleep_forever()
    assert heard == [{"t": "leave"}]
    assert place.ended == Ended(EndReason.LEFT)
    assert trio.current_time() == 6


async def test_a_join_that_is_cancelled_ends_within_half_a_second(setup, autojump_clock):
    async def silent(peer):
        await peer.next()
        await trio.sleep(60)

    setup.server.script = silent
    with trio.move_on_after(1) as scope:
        async with connect(A, kind="k", open_stream=setup.server.open_stream):
            raise AssertionError("there is no place")
    assert scope.cancelled_caught
    assert trio.current_time() <= 1.5


async def test_an_error_in_the_block_is_raised_unchanged_while_away(setup, autojump_clock):
    async def fails():
        async with setup.place(vanishes, resumes_and_ends) as place:
            await place.wait_state(PlaceState.AWAY)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await fails()


async def test_an_error_of_on_state_is_raised_from_the_block(setup, autojump_clock):
    def broken(place, state):
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        async with setup.place(vanishes, resumes_and_ends, on_state=broken):
            await trio.sleep(60)


# Joining.


async def test_an_unanswered_join_is_sent_again_with_the_same_key(setup, autojump_clock):
    joins = []

    async def vanishes_without_an_answer(peer):
        joins.append(await peer.next())
        await peer.vanish()

    async def seats(peer):
        joins.append(await peer.seat())
        await peer.send(**ENDED)
        await peer.rest()

    setup.server.scripts = [vanishes_without_an_answer, seats]
    async with connect([A, B], kind="k", open_stream=setup.server.open_stream) as place:
        await place.wait_over()
    assert joins[0] == joins[1]
    assert len(joins[0]["key"]) >= 16
    assert setup.server.opened == [A, B]


async def test_a_join_without_an_answer_is_sent_to_another_node_after_8_seconds(
    setup, autojump_clock
):
    joins = []

    async def no_answer(peer):
        joins.append(await peer.next())
        await peer.rest()

    async def seats(peer):
        joins.append(await peer.seat())
        await peer.send(**ENDED)
        await peer.rest()

    setup.server.scripts = [no_answer, seats]
    async with connect(
        [A, B], kind="k", dice=FixedRandom(), open_stream=setup.server.open_stream
    ) as place:
        await place.wait_over()
    assert joins[0] == joins[1]
    assert setup.server.opened_at == [0, 8.4]


async def test_each_join_has_its_own_key_unless_one_is_given(setup, autojump_clock):
    keys = []

    async def seats(peer):
        keys.append((await peer.seat())["key"])
        await peer.send(**ENDED)
        await peer.rest()

    setup.server.script = seats
    for key in ("", "", "mine"):
        async with connect(A, kind="k", key=key, open_stream=setup.server.open_stream) as place:
            await place.wait_over()
    assert keys[0] != keys[1]
    assert keys[2] == "mine"


async def refuses(peer):
    while True:
        assert (await peer.next())["t"] == "join"
        await peer.send(t="error", code="no_game_node", message="none", retry=True)


async def test_a_join_refused_with_retry_is_tried_with_back_off_for_10_s(setup, autojump_clock):
    setup.server.script = refuses
    with pytest.raises(JoinRefused):
        async with connect(A, kind="k", dice=FixedRandom(), open_stream=setup.server.open_stream):
            pass
    assert trio.current_time() == 0.125 + 0.25 + 0.5 + 1 + 2 + 4  # and 5 more would be over 10
    assert setup.server.opened == [A]


async def test_a_refusal_without_retry_is_raised_at_once(setup, autojump_clock):
    async def never(peer):
        await peer.next()
        await peer.send(t="error", code="no_such_kind", message="what?", retry=False)
        await peer.rest()

    setup.server.script = never
    with pytest.raises(JoinRefused, match="what"):
        async with connect(A, kind="k", open_stream=setup.server.open_stream):
            pass
    assert trio.current_time() == 0


async def test_unreachable_servers_are_tried_for_join_seconds(autojump_clock):
    tried = []

    async def down(url):
        tried.append(url)
        raise ConnectionRefusedError("refused")

    with pytest.raises(ConnectFailed, match="refused"):
        async with connect([A, B], kind="k", join_seconds=1, dice=FixedRandom(), open_stream=down):
            pass
    assert tried == [A, B] * 4
    assert trio.current_time() == 0.875


async def test_a_client_takes_one_place_after_the_other_on_one_socket(setup, autojump_clock):
    async def twice(peer):
        for room in ("game-1.r1", "game-1.r2"):
            await peer.seat(room=room)
            await peer.send(t="ended", room=room, reason="finished")
        await peer.rest()

    setup.server.script = twice
    async with open_client(A, open_stream=setup.server.open_stream) as client:
        for _ in range(2):
            place = await client.join(kind="k")
            await place.wait_over()
        assert (client.opened, place.room) == (1, "game-1.r2")


async def test_an_error_for_a_leave_after_the_end_does_not_refuse_the_next_join(
    setup, autojump_clock
):
    async def refuses_the_late_leave(peer):
        await peer.seat(room="game-1.r1")
        await peer.send(t="ended", room="game-1.r1", reason="finished")
        assert [(await peer.next())["t"] for _ in range(2)] == ["leave", "join"]
        await peer.send(t="error", code="not_in_a_room", message="none to leave", retry=False)
        await peer.joined("game-1.r2", "p1")
        await peer.rest()

    setup.server.script = refuses_the_late_leave
    async with open_client(A, open_stream=setup.server.open_stream) as client:
        place = await client.join(kind="k")
        place.leave_soon()
        await place.wait_over()
        assert place.ended == Ended(EndReason.FINISHED)
        assert (await client.join(kind="k")).room == "game-1.r2"
        assert [error.code for error in client.connection.errors] == ["not_in_a_room"]


async def test_a_client_that_is_moved_between_two_places_joins_another_node_at_once(
    setup, autojump_clock
):
    async def moves_at_the_join(peer):
        await peer.seat()
        await peer.send(**ENDED)
        await peer.next()
        await moves(peer)

    async def seats(peer):
        await peer.seat(room="game-1.r2")
        await peer.send(t="ended", room="game-1.r2", reason="finished")
        await peer.rest()

    setup.server.scripts = [moves_at_the_join, seats]
    async with open_client(
        [A, B], dice=FixedRandom(), open_stream=setup.server.open_stream
    ) as client:
        for _ in range(2):
            place = await client.join(kind="k")
            await place.wait_over()
        assert trio.current_time() == 0
        assert (client.opened, place.room) == (2, "game-1.r2")


@pytest.mark.parametrize(("after", "joined_at"), [(0.1, 0.4), (7, 7)])
async def test_a_client_that_lost_its_socket_between_two_places_waits_its_random_time_once(
    setup, autojump_clock, after, joined_at
):
    async def ends_and_vanishes(peer):
        await peer.seat()
        await peer.send(**ENDED)
        await peer.vanish()

    async def seats(peer):
        await peer.seat()
        await peer.send(**ENDED)
        await peer.rest()

    setup.server.scripts = [ends_and_vanishes, seats]
    async with open_client(
        [A, B], dice=FixedRandom(), open_stream=setup.server.open_stream
    ) as client:
        place = await client.join(kind="k")
        await place.wait_over()
        await trio.sleep(after)
        await client.join(kind="k")
    assert setup.server.opened_at == [0, joined_at]


async def test_a_client_has_one_place_even_while_it_is_away(setup, autojump_clock):
    setup.server.scripts = [seated(vanishes)]
    async with open_client(A, open_stream=setup.server.open_stream) as client:
        place = await client.join(kind="k")
        await place.wait_state(PlaceState.AWAY)
        with pytest.raises(LocalProtocolError, match="leave it first"):
            await client.join(kind="k")


async def test_a_final_close_code_at_the_join_is_raised(setup, autojump_clock):
    async def not_allowed(peer):
        await peer.next()
        await peer.close(4001, "no")

    setup.server.script = not_allowed
    with pytest.raises(ConnectionLost) as lost:
        async with connect(A, kind="k", open_stream=setup.server.open_stream):
            pass
    assert lost.value.code == 4001
    assert setup.server.opened == [A]


# Unread messages.


@orders(3)
async def test_a_client_that_does_not_read_is_held_back_over_a_resume_and_loses_nothing(
    setup, autojump_clock
):
    async def floods(peer):
        for seq in range(1, 601):
            await peer.send(t="msg", seq=seq, d=seq)
        await peer.vanish()

    async def floods_on(peer):
        resume = await peer.resume()
        for seq in range(resume["seen"] + 1, 3001):
            await peer.send(t="msg", seq=seq, d="x" * 2000)
        await peer.send(**ENDED)
        await peer.rest()

    async with setup.place(floods, floods_on) as place:
        await trio.sleep(10)
        assert place.seq == 1024
        assert [item.seq async for item in place] == list(range(1, 3001))

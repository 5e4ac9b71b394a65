"""A place in a room, with a server in memory and in virtual time."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from lastcall.client import Ended, Message, Picture, PlaceState, connect, open_connection
from lastcall.errors import ConnectionLost, MessageTooBig
from lastcall.reasons import EndReason

URL = "ws://somewhere:8080/"
ROOM = "game-1.r1"


@asynccontextmanager
async def seated(server, script):
    """A place whose server runs ``script`` after the join."""

    async def join_first(peer):
        await peer.seat()
        await script(peer)

    server.script = join_first
    async with connect(URL, kind="k", open_stream=server.open_stream) as place:
        yield place


async def test_messages_come_in_order_until_the_place_has_ended(server, autojump_clock):
    async def script(peer):
        await peer.send(t="msg", seq=1, d={"board": "X"})
        await peer.send(t="msg", seq=2, d=[1, 2])
        await peer.send(t="ended", room=ROOM, reason="finished", result={"winner": "p1"})
        await peer.rest()

    async with seated(server, script) as place:
        heard = [(message.seq, message.data) async for message in place]
    assert heard == [(1, {"board": "X"}), (2, [1, 2])]
    assert place.ended == Ended(EndReason.FINISHED, {"winner": "p1"})


async def test_inputs_are_numbered_from_one(server, autojump_clock):
    said = []

    async def script(peer):
        said.extend([await peer.next(), await peer.next()])
        await peer.send(t="ended", room=ROOM, reason="finished")
        await peer.rest()

    async with seated(server, script) as place:
        await place.say({"cell": 4})
        await place.say("well")
        async for _ in place:
            pass
    assert said == [{"t": "say", "n": 1, "d": {"cell": 4}}, {"t": "say", "n": 2, "d": "well"}]


async def test_a_65th_unacknowledged_input_waits_and_is_not_sent_if_cancelled(
    server, autojump_clock
):
    heard = []

    async def script(peer):
        heard.extend([(await peer.next())["n"] for _ in range(64)])
        await trio.sleep(5)
        await peer.send(t="ack", n=1)
        heard.append((await peer.next())["d"])
        await peer.rest()

    async with seated(server, script) as place:
        for number in range(64):
            await place.say(number)
        with trio.move_on_after(1) as scope:
            await place.say("never said")
        assert scope.cancelled_caught
        await place.say("the 65th")
        assert trio.current_time() == 5
        assert place.unacked == 64
        await wait_all_tasks_blocked()
    assert heard == [*range(1, 65), "the 65th"]


async def test_repeats_are_dropped_and_counted_and_holes_are_counted(server, autojump_clock):
    async def script(peer):
        for seq in (1, 2, 2, 1, 5):
            await peer.send(t="msg", seq=seq, d=seq)
        await peer.send(t="ended", room=ROOM, reason="finished")
        await peer.rest()

    async with seated(server, script) as place:
        assert [message.data async for message in place] == [1, 2, 5]
    assert (place.progress.repeats, place.progress.holes, place.seq) == (2, 2, 5)


async def test_a_refused_input_is_recorded_on_the_place(server, autojump_clock):
    async def script(peer):
        await peer.next()
        await peer.send(t="error", code="bad_input", message="cell is 9", retry=False, n=1)
        await peer.send(t="ack", n=1)
        await peer.send(t="ended", room=ROOM, reason="finished")
        await peer.rest()

    async with seated(server, script) as place:
        await place.say({"cell": 9})
        async for _ in place:
            pass
    assert place.refused == 1
    assert [(error.n, error.code, error.message) for error in place.errors] == [
        (1, "bad_input", "cell is 9")
    ]


async def test_leave_waits_for_the_answer_and_drops_messages_before_it(server, autojump_clock):
    async def script(peer):
        assert await peer.next() == {"t": "leave"}
        await trio.sleep(2)
        await peer.send(t="msg", seq=1, d="too late")
        await peer.send(t="ended", room=ROOM, reason="left")
        await peer.rest()

    async with seated(server, script) as place:
        await place.leave()
        assert trio.current_time() == 2
        assert place.ended == Ended(EndReason.LEFT)
        assert [message async for message in place] == []


async def test_leaving_the_block_leaves_the_place(server, autojump_clock):
    rest = []

    async def script(peer):
        rest.extend(await peer.rest())

    async with seated(server, script):
        pass
    await wait_all_tasks_blocked()
    assert rest == [{"t": "leave"}]


async def test_an_input_after_the_end_is_dropped_silently(server, autojump_clock):
    rest = []

    async def script(peer):
        await peer.send(t="ended", room=ROOM, reason="cut")
        rest.extend(await peer.rest())

    async with seated(server, script) as place:
        await place.wait_over()
        await place.say("too late")
    await wait_all_tasks_blocked()
    assert rest == []


async def test_after_the_end_the_socket_can_take_another_place(server, autojump_clock):
    async def script(peer):
        for room in ("game-1.r1", "game-2.r2"):
            await peer.seat(room=room)
            await peer.send(t="ended", room=room, reason="finished", result=room)
        await peer.rest()

    server.script = script
    async with open_connection(URL, open_stream=server.open_stream) as connection:
        results = []
        for _ in range(2):
            place = await connection.join(kind="k")
            await place.wait_over()
            assert place.ended is not None
            results.append(place.ended.result)
    assert results == ["game-1.r1", "game-2.r2"]


async def test_a_regrouped_place_starts_again_in_the_new_room(server, autojump_clock):
    said = []

    async def script(peer):
        said.append(await peer.next())
        await peer.send(t="msg", seq=1, d="of the old room")
        await peer.joined("game-2.r9", "p9", seq=4)
        said.append(await peer.next())
        await peer.send(t="ended", room=ROOM, reason="abandoned")  # late, about the old room
        await peer.send(t="msg", seq=5, d="of the new room")
        await peer.send(t="ended", room="game-2.r9", reason="finished")
        await peer.rest()

    async with seated(server, script) as place:
        await place.say("to the old room")
        await wait_all_tasks_blocked()
        assert (place.room, place.you, place.regroups) == ("game-2.r9", "p9", 1)
        await place.say("to the new room")
        assert [message.data async for message in place] == ["of the new room"]
    assert [frame["n"] for frame in said] == [1, 1]
    assert place.progress.holes == 0


async def test_received_messages_are_read_before_a_lost_socket_raises(server, autojump_clock):
    async def script(peer):
        await peer.seat()
        await peer.send(t="msg", seq=1, d="last")
        await peer.socket.aclose(1012)

    server.script = script
    async with open_connection(URL, open_stream=server.open_stream) as connection:
        place = await connection.join(kind="k")
        await wait_all_tasks_blocked()
        assert place.state is PlaceState.OVER
        assert (await anext(place)).data == "last"
        with pytest.raises(ConnectionLost) as lost:
            await anext(place)
        assert lost.value.code == 1012
        with pytest.raises(ConnectionLost):
            await place.say("anybody?")


async def test_a_client_that_does_not_read_holds_the_server_back(server, autojump_clock):
    sent = 0

    async def script(peer):
        nonlocal sent
        for seq in range(1, 5000):
            await peer.send(t="msg", seq=seq, d="x" * 1000)
            sent = seq
        await peer.rest()

    async with seated(server, script) as place:
        await trio.sleep(60)  # the server does not count as silent
        assert place.seq == 1024
        count = 0
        async for _ in place:
            count += 1
            if count == 4999:
                break
    assert sent == 4999
    assert place.progress.repeats == place.progress.holes == 0


async def test_an_input_over_the_limit_is_refused_by_the_client(server, autojump_clock):
    async def script(peer):
        await peer.rest()

    async with seated(server, script) as place:
        with pytest.raises(MessageTooBig, match="65536"):
            await place.say("x" * 65_536)
        with pytest.raises(TypeError):
            await place.say(object())


@pytest.mark.parametrize("state", [{"board": "X"}, None])
async def test_a_seat_taken_again_shows_that_messages_are_forgotten(server, autojump_clock, state):
    async def script(peer):
        await peer.next()
        drawn = {} if state is None else {"state": state}
        seat = {"room": ROOM, "kind": "k", "you": "p1", "players": [], "ticket": f"{ROOM}/p1/x"}
        await peer.send(t="joined", seq=7, complete=False, **seat, **drawn)
        await peer.send(t="msg", seq=8, d="live")
        await peer.send(t="ended", room=ROOM, reason="finished")
        await peer.rest()

    server.script = script
    async with connect(URL, kind="k", open_stream=server.open_stream) as place:
        read = [item async for item in place]
    assert read == [Picture(7, state), Message(8, "live")]
    assert (place.incomplete, place.progress.holes) == (1, 0)

"""What a client does wrong, what it gets for it, and that nobody else notices."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from tests.e2e.clients import Clients, Frame, raw_stream, text, undisturbed
from tests.e2e.nodes import Node, Nodes, http_get

pytestmark = pytest.mark.e2e

HANDSHAKE_SECONDS = 5.0
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def pair(shared_nodes: Nodes) -> tuple[Node, Node]:
    """An api node and a game node; whatever the tests do to them, they go on."""
    rooms = "game.examples,tests.e2e.odd_rooms"
    return trio.run(lambda: shared_nodes.one_of_each(rooms=rooms))


@pytest.fixture
def api(pair: tuple[Node, Node]) -> Node:
    return pair[0]


@asynccontextmanager
async def nobody_notices(clients: Clients, *nodes: Node) -> AsyncIterator[None]:
    """The bystanders talk on, and no node has a word of complaint."""
    before = [len(node.troubles) for node in nodes]
    async with undisturbed(clients, nodes[0]):
        yield
    assert [len(node.troubles) for node in nodes] == before


BAD_FRAMES: dict[str, tuple[str | Frame, str]] = {
    "malformed JSON": ('{"t":"join"', "bad_json"),
    "no JSON at all": ("hello", "bad_json"),
    "an empty frame": ("", "bad_json"),
    "deep nesting": ('{"t":"say","n":1,"d":' + "[" * 30_000 + "]" * 30_000 + "}", "bad_json"),
    "no object": ("[1,2]", "bad_frame"),
    "no type": ({"kind": "lounge"}, "bad_frame"),
    "a type that is no text": ({"t": 7}, "bad_frame"),
    "an unknown type": ({"t": "dance"}, "unknown_type"),
    "a frame of ours": ({"t": "msg", "seq": 1, "d": 1}, "unknown_type"),
    "a kind that is no text": ({"t": "join", "kind": 7}, "bad_frame"),
    "a join to nowhere": ({"t": "join"}, "bad_frame"),
    "a very long name": ({"t": "join", "kind": "lounge", "name": "x" * 200}, "bad_frame"),
    "options that are no object": ({"t": "join", "kind": "lounge", "options": 3}, "bad_frame"),
    "a say without a number": ({"t": "say", "d": 1}, "bad_frame"),
    "a say without a word": ({"t": "say", "n": 1}, "bad_frame"),
    "a say numbered 0": ({"t": "say", "n": 0, "d": 1}, "bad_frame"),
    "a say numbered by a text": ({"t": "say", "n": "1", "d": 1}, "bad_frame"),
    "a number without end": ({"t": "got", "seq": 2**80}, "bad_frame"),
}


async def test_each_bad_frame_gets_an_error_and_the_third_closes_4002(
    pair: tuple[Node, Node], clients: Clients
) -> None:
    async with nobody_notices(clients, *pair):
        for what, (frame, code) in BAD_FRAMES.items():
            sinner = await clients.connect(pair[0])
            for _ in range(3):
                await sinner.send(frame)
                error = await sinner.next()
                assert (error["t"], error["code"], error["retry"]) == ("error", code, False), what
                assert error["message"], what
            assert await sinner.close_code() == 4002, what


async def test_bad_frames_of_different_sorts_count_together(api: Node, clients: Clients) -> None:
    sinner = await clients.connect(api)
    await sinner.send("{", {"t": "dance"}, {"t": "say"})
    assert await sinner.close_code() == 4002
    codes = [frame["code"] for frame in sinner.heard if frame["t"] == "error"]
    assert codes == ["bad_json", "unknown_type", "bad_frame"]


async def test_two_bad_frames_cost_a_player_nothing(
    pair: tuple[Node, Node], clients: Clients
) -> None:
    async with nobody_notices(clients, *pair):
        ann = await clients.connect(pair[0])
        await ann.join(kind="lounge", new=True)
        await ann.send("{", {"t": "dance"})
        await ann.say("still here")
        assert (await ann.hear("msg"))["d"]["said"] == "still here"


async def test_what_needs_a_room_is_refused_outside_of_one(
    pair: tuple[Node, Node], clients: Clients
) -> None:
    async with nobody_notices(clients, *pair):
        ann = await clients.connect(pair[0])
        await ann.send({"t": "say", "n": 4, "d": 1})
        error = await ann.next()
        assert (error["code"], error["n"]) == ("not_in_a_room", 4)
        await ann.send({"t": "leave"})
        assert (await ann.next())["code"] == "not_in_a_room"
        await ann.join(kind="lounge")
        assert (await ann.refused(kind="lounge"))["code"] == "already_in_a_room"


async def test_a_say_out_of_order_is_an_error_and_the_room_hears_the_others(
    pair: tuple[Node, Node], clients: Clients
) -> None:
    async with nobody_notices(clients, *pair):
        ann = await clients.connect(pair[0])
        await ann.join(kind="lounge", new=True)
        await ann.send(
            {"t": "say", "n": 1, "d": "one"},
            {"t": "say", "n": 3, "d": "a gap"},
            {"t": "say", "n": 1, "d": "a repeat"},
            {"t": "say", "n": 2, "d": "two"},
        )
        error = await ann.hear("error")
        assert (error["code"], error["n"]) == ("bad_frame", 3)
        said = [(await ann.hear("msg"))["d"]["said"] for _ in range(2)]
        assert said == ["one", "two"]


async def test_joins_that_cannot_be_get_their_codes(
    pair: tuple[Node, Node], clients: Clients
) -> None:
    async with nobody_notices(clients, *pair):
        first, second = await clients.connect(pair[0]), await clients.connect(pair[0])
        late = await clients.connect(pair[0])
        duo = (await first.join(kind="duo", new=True))["room"]
        await second.join(room=duo)
        assert (await late.refused(room=duo))["code"] == "full"
        for player in (first, second):
            await player.send({"t": "leave"})
            await player.hear("ended")
        private = (await first.join(kind="private"))["room"]
        await first.hear("msg")
        assert (await late.refused(room=private))["code"] == "locked"
        assert (await late.refused(kind="chess"))["code"] == "no_such_kind"
        assert (await late.refused(room="game-1.none"))["code"] == "no_such_room"
        options = {"seconds": "many"}
        assert (await late.refused(kind="countdown", options=options))["code"] == "bad_input"
        assert (await late.join(kind="duo"))["kind"] == "duo"


async def test_an_input_that_the_room_does_not_take_is_an_error_and_counts_as_had(
    pair: tuple[Node, Node], clients: Clients
) -> None:
    async with nobody_notices(clients, *pair):
        ann, bob = await clients.connect(pair[0]), await clients.connect(pair[0])
        room = (await ann.join(kind="tictactoe", new=True))["room"]
        await bob.join(room=room)
        await ann.hear("msg")
        for d in ({"cell": 9}, {"cell": "0"}, "x", None):
            await ann.say(d)
            error = await ann.hear("error")
            assert (error["code"], error["n"]) == ("bad_input", (await ann.hear("ack"))["n"])
        await ann.say({"cell": 4})
        assert (await bob.hear("msg"))["seq"] == 1
        assert (await bob.hear("msg"))["d"]["board"] == "----X----"


async def test_a_room_that_crashes_ends_for_its_players_alone(
    pair: tuple[Node, Node], clients: Clients
) -> None:
    async with undisturbed(clients, pair[0]):
        ann = await clients.connect(pair[0])
        room = (await ann.join(kind="crasher", new=True))["room"]
        await ann.say("boom")
        assert await ann.hear("ended") == {"t": "ended", "room": room, "reason": "crashed"}
        await ann.join(kind="lounge")
    crash = pair[1].event("room.crashed")
    assert crash is not None
    assert (crash["room"], "said too much" in crash["traceback"]) == (room, True)


@pytest.mark.parametrize(
    ("frame", "code"),
    [("x" * 70_000, 1009), ("ä" * 33_000, 1009), (b'{"t":"leave"}', 1003)],
    ids=["over 64 KiB", "over 64 KiB of UTF-8", "binary"],
)
async def test_a_frame_that_is_no_frame_closes(
    pair: tuple[Node, Node], clients: Clients, frame: str | bytes, code: int
) -> None:
    async with nobody_notices(clients, *pair):
        for kind in (None, "lounge"):
            sinner = await clients.connect(pair[0])
            if kind:
                await sinner.join(kind=kind, new=True)
            await sinner.send(frame)
            assert await sinner.close_code() == code


async def test_a_frame_of_65_536_bytes_is_taken(api: Node, clients: Clients) -> None:
    ann = await clients.connect(api)
    await ann.join(kind="lounge", new=True)
    word = "x" * (65_536 - len('{"t": "say", "n": 1, "d": ""}'))
    await ann.say(word)
    assert (await ann.hear("msg"))["d"]["said"] == word


def sayings(count: int) -> bytes:
    return b"".join(text({"t": "say", "n": n, "d": n}) for n in range(1, count + 1))


def nothings(count: int) -> bytes:
    return text({"t": "got", "seq": 0}) * count


@pytest.mark.parametrize("burst", [sayings, nothings])
async def test_10_000_frames_in_a_burst_are_served_or_close_4101(
    pair: tuple[Node, Node], clients: Clients, burst: Callable[[int], bytes]
) -> None:
    async with nobody_notices(clients, *pair):
        flooder = await clients.connect(pair[0], max_queue=None)
        friend = await clients.connect(pair[0])
        room = (await flooder.join(kind="lounge", new=True))["room"]
        await friend.join(room=room)
        with contextlib.suppress(OSError):  # closed in the middle of it
            await flooder.send_raw(burst(10_000) + text({"t": "join", "kind": "lounge"}))
        last = await flooder.hear("error", within=20)
        assert last["code"] in {"too_many", "already_in_a_room"}
        if last["code"] == "too_many":
            assert last["retry"]
            assert await flooder.close_code() == 4101
        elif burst is sayings:
            while (await flooder.hear("ack", within=20))["n"] < 10_000:
                pass
        assert flooder.seqs == list(range(1, len(flooder.seqs) + 1))
        await friend.say("and I?")
        while (await friend.hear("msg"))["d"] != {"from": friend.heard[1]["you"], "said": "and I?"}:
            pass


async def read_to_the_end(stream: trio.SocketStream) -> bytes:
    """What comes until the server closes, in whatever way."""
    got = bytearray()
    with contextlib.suppress(trio.BrokenResourceError):
        async for some in stream:
            got += some
    return bytes(got)


async def test_a_socket_that_never_finishes_its_handshake_is_closed_after_5_s(
    pair: tuple[Node, Node], clients: Clients
) -> None:
    async def dawdle(begin: bytes) -> None:
        async with await raw_stream(pair[0].listen) as stream:
            start = trio.current_time()
            await stream.send_all(begin)
            with trio.fail_after(HANDSHAKE_SECONDS + 3):
                await read_to_the_end(stream)
            assert trio.current_time() - start > HANDSHAKE_SECONDS - 0.5

    async def drip() -> None:
        async with await raw_stream(pair[0].listen) as stream, trio.open_nursery() as nursery:
            nursery.start_soon(drop_by_drop, stream)
            with trio.fail_after(HANDSHAKE_SECONDS + 3):
                await read_to_the_end(stream)
            nursery.cancel_scope.cancel()

    async with nobody_notices(clients, *pair), trio.open_nursery() as nursery:
        nursery.start_soon(dawdle, b"")
        nursery.start_soon(dawdle, b"GET / HTTP/1.1\r\nHost: here\r\n")
        nursery.start_soon(drip)


async def drop_by_drop(stream: trio.SocketStream) -> None:
    """A header that grows and never ends."""
    with contextlib.suppress(trio.BrokenResourceError):
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: here\r\nX-Long: ")
        while True:
            await stream.send_all(b"x")
            await trio.sleep(0.1)


async def test_one_who_never_reads_is_closed_and_costs_a_bounded_memory(
    pair: tuple[Node, Node], clients: Clients
) -> None:
    api = pair[0]
    async with nobody_notices(clients, *pair):
        talker = await clients.connect(api)
        slow = await clients.connect(api, receive_buffer=4096, max_queue=1)
        room = (await talker.join(kind="lounge", new=True))["room"]
        await slow.join(room=room)
        before = api.resident_bytes
        said = 0
        with trio.fail_after(30):
            while (await api.status())["clients"] == 4:
                for _ in range(10):
                    await talker.say("x" * 60_000)
                    await talker.hear("msg")
                said += 10 * 60_000
        assert said > 1 * MIB, "a backlog of 1 MiB is not too slow"
        assert api.resident_bytes - before < 16 * MIB
        await talker.say("who is left?")
        assert (await talker.hear("msg"))["d"]["said"] == "who is left?"
    assert await slow.close_code() in {4100, 1006}, "whether it reads the last frame is its affair"


async def test_plain_http_on_the_client_port_gets_an_http_answer(
    pair: tuple[Node, Node], clients: Clients
) -> None:
    async with nobody_notices(clients, *pair):
        for path in ("/", "/readyz", "/../etc/passwd"):
            answer = await trio.to_thread.run_sync(http_get, pair[0].listen, path)
            assert 400 <= answer.status < 500
        async with await raw_stream(pair[0].listen) as stream:
            await stream.send_all(b"\x16\x03\x01\x02\x00 this is no HTTP\r\n\r\n")
            with trio.fail_after(HANDSHAKE_SECONDS + 3):
                await read_to_the_end(stream)


async def test_a_resume_finds_no_place_and_closes_4004(api: Node, clients: Clients) -> None:
    ann = await clients.connect(api)
    await ann.send({"t": "resume", "ticket": "game-1.x/p1/0", "seen": 0})
    assert await ann.close_code() == 4004

"""Bad input from a client: the client gets an error or is closed, and nobody else notices."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from tests.e2e.clients import Clients, Frame, raw_stream, text_frame, undisturbed
from tests.e2e.nodes import Node, Nodes, http_get

pytestmark = pytest.mark.e2e

HANDSHAKE_SECONDS = 5.0
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def pair(shared_nodes: Nodes) -> tuple[Node, Node]:
    """Returns an api node and a game node that serve all tests of this file."""
    rooms = "game.examples,tests.e2e.odd_rooms"
    return trio.run(lambda: shared_nodes.start_pair(rooms=rooms))


@pytest.fixture
def api(pair: tuple[Node, Node]) -> Node:
    return pair[0]


@asynccontextmanager
async def nobody_notices(clients: Clients, *nodes: Node) -> AsyncIterator[None]:
    """While the block runs, two bystanders talk undisturbed, and no node logs a warning."""
    before = [len(node.warnings) for node in nodes]
    async with undisturbed(clients, nodes[0]):
        yield
    assert [len(node.warnings) for node in nodes] == before


BAD_FRAMES: dict[str, tuple[str | Frame, str]] = {
    "malformed JSON": ('{"t":"join"', "bad_json"),
    "text that is not JSON": ("hello", "bad_json"),
    "an empty frame": ("", "bad_json"),
    "deep nesting": ('{"t":"got","seq":' + "[" * 30_000 + "]" * 30_000 + "}", "bad_json"),
    "a list": ("[1,2]", "bad_frame"),
    "no type": ({"kind": "lounge"}, "bad_frame"),
    "a type that is a number": ({"t": 7}, "bad_frame"),
    "an unknown type": ({"t": "dance"}, "unknown_type"),
    "a frame of the server": ({"t": "msg", "seq": 1, "d": 1}, "unknown_type"),
    "a kind that is a number": ({"t": "join", "kind": 7}, "bad_frame"),
    "a join without kind and room": ({"t": "join"}, "bad_frame"),
    "a very long name": ({"t": "join", "kind": "lounge", "name": "x" * 200}, "bad_frame"),
    "options that are a number": ({"t": "join", "kind": "lounge", "options": 3}, "bad_frame"),
    "a say without a number": ({"t": "say", "d": 1}, "bad_frame"),
    "a say without data": ({"t": "say", "n": 1}, "bad_frame"),
    "a say numbered 0": ({"t": "say", "n": 0, "d": 1}, "bad_frame"),
    "a say with a text as its number": ({"t": "say", "n": "1", "d": 1}, "bad_frame"),
    "a number over 64 bits": ({"t": "got", "seq": 2**80}, "bad_frame"),
}


async def test_each_bad_frame_gets_an_error_and_the_third_closes_the_socket_with_4002(
    pair: tuple[Node, Node], clients: Clients
) -> None:
    async with nobody_notices(clients, *pair):
        for case, (frame, code) in BAD_FRAMES.items():
            client = await clients.connect(pair[0])
            for _ in range(3):
                await client.send(frame)
                error = await client.next()
                assert (error["t"], error["code"], error["retry"]) == ("error", code, False), case
                assert error["message"], case
            assert await client.close_code() == 4002, case


async def test_bad_frames_of_different_kinds_count_together(api: Node, clients: Clients) -> None:
    client = await clients.connect(api)
    await client.send("{", {"t": "dance"}, {"t": "say"})
    assert await client.close_code() == 4002
    codes = [frame["code"] for frame in client.heard if frame["t"] == "error"]
    assert codes == ["bad_json", "unknown_type", "bad_frame"]


async def test_a_player_keeps_the_place_after_two_bad_frames(
    pair: tuple[Node, Node], clients: Clients
) -> None:
    async with nobody_notices(clients, *pair):
        ann = await clients.connect(pair[0])
        await ann.join(kind="lounge", new=True)
        await ann.send("{", {"t": "dance"})
        await ann.say("still here")
        assert (await ann.hear("msg"))["d"]["said"] == "still here"


async def test_say_and_leave_without_a_room_and_a_second_join_are_refused(
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
        assert (await ann.join_refused(kind="lounge"))["code"] == "already_in_a_room"


async def test_an_input_out_of_order_gets_an_error_and_the_room_gets_the_others(
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


async def test_each_refused_join_gets_its_error_code(
    pair: tuple[Node, Node], clients: Clients
) -> None:
    async with nobody_notices(clients, *pair):
        first, second = await clients.connect(pair[0]), await clients.connect(pair[0])
        late = await clients.connect(pair[0])
        duo = (await first.join(kind="duo", new=True))["room"]
        await second.join(room=duo)
        assert (await late.join_refused(room=duo))["code"] == "full"
        for player in (first, second):
            await player.send({"t": "leave"})
            await player.hear("ended")
        private = (await first.join(kind="private"))["room"]
        await first.hear("msg")
        assert (await late.join_refused(room=private))["code"] == "locked"
        assert (await late.join_refused(kind="chess"))["code"] == "no_such_kind"
        assert (await late.join_refused(room="game-1.none"))["code"] == "no_such_room"
        options = {"seconds": "many"}
        assert (await late.join_refused(kind="countdown", options=options))["code"] == "bad_input"
        assert (await late.join(kind="duo"))["kind"] == "duo"


async def test_an_input_that_the_room_rejects_gets_an_error_and_is_acknowledged(
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


async def test_a_crashed_room_ends_for_its_players_only(
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
async def test_a_frame_that_is_too_big_or_binary_closes_the_socket(
    pair: tuple[Node, Node], clients: Clients, frame: str | bytes, code: int
) -> None:
    async with nobody_notices(clients, *pair):
        for kind in (None, "lounge"):
            client = await clients.connect(pair[0])
            if kind:
                await client.join(kind=kind, new=True)
            await client.send(frame)
            assert await client.close_code() == code


async def test_a_frame_of_65_536_bytes_is_accepted(api: Node, clients: Clients) -> None:
    ann = await clients.connect(api)
    await ann.join(kind="lounge", new=True)
    longest = "x" * (65_536 - len('{"t": "say", "n": 1, "d": ""}'))
    await ann.say(longest)
    assert (await ann.hear("msg"))["d"]["said"] == longest


def say_frames(count: int) -> bytes:
    return b"".join(text_frame({"t": "say", "n": n, "d": n}) for n in range(1, count + 1))


def got_frames(count: int) -> bytes:
    return text_frame({"t": "got", "seq": 0}) * count


@pytest.mark.parametrize("burst", [say_frames, got_frames])
async def test_a_burst_of_10_000_frames_is_served_or_closes_the_socket_with_4101(
    pair: tuple[Node, Node], clients: Clients, burst: Callable[[int], bytes]
) -> None:
    async with nobody_notices(clients, *pair):
        flooder = await clients.connect(pair[0], max_queue=None)
        friend = await clients.connect(pair[0])
        room = (await flooder.join(kind="lounge", new=True))["room"]
        await friend.join(room=room)
        with contextlib.suppress(OSError):  # the server may close the socket during the burst
            await flooder.send_raw(burst(10_000) + text_frame({"t": "join", "kind": "lounge"}))
        last = await flooder.hear("error", within=20)
        assert last["code"] in {"too_many", "already_in_a_room"}
        if last["code"] == "too_many":
            assert last["retry"]
            assert await flooder.close_code() == 4101
        elif burst is say_frames:
            while (await flooder.hear("ack", within=20))["n"] < 10_000:
                pass
        assert flooder.seqs == list(range(1, len(flooder.seqs) + 1))
        await friend.say("me too")
        while (await friend.hear("msg"))["d"] != {"from": friend.heard[1]["you"], "said": "me too"}:
            pass


async def read_to_the_end(stream: trio.SocketStream) -> bytes:
    """Returns the bytes that the server sends before it closes or resets the connection."""
    received = bytearray()
    with contextlib.suppress(trio.BrokenResourceError):
        async for chunk in stream:
            received += chunk
    return bytes(received)


async def test_a_socket_that_never_finishes_its_handshake_is_closed_after_5_s(
    pair: tuple[Node, Node], clients: Clients
) -> None:
    async def stall(start_of_request: bytes) -> None:
        async with await raw_stream(pair[0].listen) as stream:
            start = trio.current_time()
            await stream.send_all(start_of_request)
            with trio.fail_after(HANDSHAKE_SECONDS + 3):
                await read_to_the_end(stream)
            assert trio.current_time() - start > HANDSHAKE_SECONDS - 0.5

    async def send_byte_by_byte() -> None:
        async with await raw_stream(pair[0].listen) as stream, trio.open_nursery() as nursery:
            nursery.start_soon(send_endless_header, stream)
            with trio.fail_after(HANDSHAKE_SECONDS + 3):
                await read_to_the_end(stream)
            nursery.cancel_scope.cancel()

    async with nobody_notices(clients, *pair), trio.open_nursery() as nursery:
        nursery.start_soon(stall, b"")
        nursery.start_soon(stall, b"GET / HTTP/1.1\r\nHost: here\r\n")
        nursery.start_soon(send_byte_by_byte)


async def send_endless_header(stream: trio.SocketStream) -> None:
    """Sends a header one byte at a time, without an end."""
    with contextlib.suppress(trio.BrokenResourceError):
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: here\r\nX-Long: ")
        while True:
            await stream.send_all(b"x")
            await trio.sleep(0.1)


async def test_a_client_that_never_reads_is_closed_and_uses_bounded_memory(
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
            while (await api.status())["clients"] == 4:  # two bystanders, talker and slow
                for _ in range(10):
                    await talker.say("x" * 60_000)
                    await talker.hear("msg")
                said += 10 * 60_000
        assert said > 1 * MIB, "the client may fall 1 MiB behind"
        assert api.resident_bytes - before < 64 * MIB, "at most 32 MiB wait for it"
        await talker.say("anybody here?")
        assert (await talker.hear("msg"))["d"]["said"] == "anybody here?"
    assert await slow.close_code() == 4100


async def test_plain_http_on_the_client_port_gets_an_http_response(
    pair: tuple[Node, Node], clients: Clients
) -> None:
    async with nobody_notices(clients, *pair):
        for path in ("/", "/readyz", "/../etc/passwd"):
            response = await trio.to_thread.run_sync(http_get, pair[0].listen, path)
            assert 400 <= response.status < 500
        async with await raw_stream(pair[0].listen) as stream:
            await stream.send_all(b"\x16\x03\x01\x02\x00 this is not HTTP\r\n\r\n")
            with trio.fail_after(HANDSHAKE_SECONDS + 3):
                await read_to_the_end(stream)


async def test_a_resume_with_an_unknown_ticket_closes_the_socket_with_4004(
    api: Node, clients: Clients
) -> None:
    ann = await clients.connect(api)
    await ann.send({"t": "resume", "ticket": "game-1.x/p1/0", "seen": 0})
    assert await ann.close_code() == 4004

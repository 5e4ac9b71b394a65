"""One socket of the Python client, with a server in memory and in virtual time."""

from __future__ import annotations

import pytest
import trio
from trio.testing import memory_stream_pair
from trio_websocket import ConnectionClosed, wrap_server_stream

from lastcall.client import State, open_connection
from lastcall.errors import (
    BadAddress,
    ConnectFailed,
    ConnectionLost,
    JoinRefused,
    LocalProtocolError,
)

URL = "ws://somewhere:8080/"


async def test_a_connection_knows_the_node_and_its_version(server, autojump_clock):
    async with open_connection(URL, open_stream=server.open_stream) as connection:
        assert (connection.node, connection.version) == ("api-1", "7")
        assert connection.state is State.OPEN
    assert connection.state is State.CLOSED


async def test_closing_takes_no_time_when_the_server_answers(server, autojump_clock):
    async with open_connection(URL, open_stream=server.open_stream):
        pass
    assert trio.current_time() == 0


async def test_closing_takes_half_a_second_when_the_server_does_not_answer(server, autojump_clock):
    async def never_answers(peer):
        await trio.sleep(60)

    async def open_deaf_stream(url):
        return DeafAfterHandshake(await server.open_stream(url))

    server.script = never_answers
    async with open_connection(URL, open_stream=open_deaf_stream) as connection:
        pass
    assert trio.current_time() == 0.5
    assert connection.lost is not None


class DeafAfterHandshake(trio.abc.Stream):
    """Drops what the client sends after the handshake."""

    def __init__(self, stream):
        self.stream, self.sent = stream, 0

    async def send_all(self, data):
        self.sent += 1
        if self.sent == 1:
            await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self):
        await self.stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes=None):
        return await self.stream.receive_some(max_bytes)

    async def aclose(self):
        await self.stream.aclose()


async def test_connecting_to_a_peer_that_closes_during_the_handshake_fails_at_once(
    nursery, autojump_clock
):
    async def closing(url):
        ours, theirs = memory_stream_pair()

        async def close_after_the_request():
            await ours.receive_some()
            await ours.aclose()

        nursery.start_soon(close_after_the_request)
        return theirs

    with pytest.raises(ConnectFailed, match="closed the connection during the handshake"):
        async with open_connection(URL, open_stream=closing):
            pass
    assert trio.current_time() == 0


async def test_connecting_to_a_silent_peer_fails_after_five_seconds(autojump_clock):
    kept = []

    async def silent(url):
        ours, theirs = memory_stream_pair()
        kept.append(ours)
        return theirs

    with pytest.raises(ConnectFailed, match="no answer in time"):
        async with open_connection(URL, open_stream=silent):
            pass
    assert trio.current_time() == 5


async def test_the_error_for_a_refused_handshake_has_its_status(nursery, autojump_clock):
    async def refusing(url):
        ours, theirs = memory_stream_pair()

        async def refuse():
            async with trio.open_nursery() as inner:
                request = await wrap_server_stream(inner, ours)
                await request.reject(503, extra_headers=[(b"Retry-After", b"1")])
                inner.cancel_scope.cancel()

        nursery.start_soon(refuse)
        return theirs

    with pytest.raises(ConnectFailed, match="the server answered 503"):
        async with open_connection(URL, open_stream=refusing):
            pass
    assert trio.current_time() == 0


async def test_the_next_url_is_tried_when_one_fails(server, autojump_clock):
    async def first_is_down(url):
        if "down" in url:
            raise ConnectionRefusedError("refused")
        return await server.open_stream(url)

    urls = ["ws://down:1/", URL]
    async with open_connection(urls, open_stream=first_is_down) as connection:
        assert connection.url == URL


async def test_when_all_urls_fail_the_error_has_each_reason(autojump_clock):
    async def down(url):
        raise ConnectionRefusedError(f"refused by {url[5:6]}")

    with pytest.raises(ConnectFailed, match=r"ws://a/: refused by a; ws://b/: refused by b"):
        async with open_connection(["ws://a/", "ws://b/"], open_stream=down):
            pass


@pytest.mark.parametrize("url", ["http://x/", "ws://", "x:8080", "ws://x:port/"])
async def test_an_address_that_is_not_a_websocket_url_is_refused(url):
    with pytest.raises(BadAddress):
        async with open_connection(url):
            pass


async def test_a_server_with_another_protocol_version_is_refused(server, autojump_clock):
    server.hello = {**server.hello, "v": 2}
    with pytest.raises(ConnectFailed, match="speaks version 2"):
        async with open_connection(URL, open_stream=server.open_stream):
            pass


async def test_an_error_in_the_block_is_raised_unchanged(server, autojump_clock):
    with pytest.raises(ValueError, match="mine"):
        async with open_connection(URL, open_stream=server.open_stream):
            raise ValueError("mine")


async def test_cancelling_the_block_closes_the_socket(server, autojump_clock):
    with trio.move_on_after(3):
        async with open_connection(URL, open_stream=server.open_stream) as connection:
            await trio.sleep_forever()
    assert connection.state is State.CLOSED
    assert trio.current_time() == 3


async def test_a_refused_join_carries_its_code(server, autojump_clock):
    async def full(peer):
        await peer.next()
        await peer.send(t="error", code="no_game_node", message="none serves", retry=True)
        await peer.rest()

    server.script = full
    async with open_connection(URL, open_stream=server.open_stream) as connection:
        with pytest.raises(JoinRefused, match="none serves") as refused:
            await connection.join(kind="k")
    assert (refused.value.code, refused.value.retry) == ("no_game_node", True)


async def test_the_join_frame_has_only_the_given_arguments(server, autojump_clock):
    joins = []

    async def script(peer):
        joins.append(await peer.seat())
        await peer.rest()

    server.script = script
    async with open_connection(URL, open_stream=server.open_stream) as connection:
        place = await connection.join(kind="k", options={"seconds": 3}, name="Ada", private=True)
        assert (place.room, place.kind, place.you, place.progress.ticket) == (
            "game-1.r1",
            "k",
            "p1",
            "tk",
        )
        assert [player.id for player in place.players] == ["p1"]
    expected = {"t": "join", "kind": "k", "options": {"seconds": 3}, "name": "Ada", "new": True}
    assert joins == [{**expected, "private": True}]


async def test_a_second_join_on_a_socket_is_refused(server, autojump_clock):
    async def script(peer):
        await peer.seat()
        await peer.rest()

    server.script = script
    async with open_connection(URL, open_stream=server.open_stream) as connection:
        await connection.join(kind="k")
        with pytest.raises(LocalProtocolError, match="leave it first"):
            await connection.join(kind="k")


async def test_a_seat_for_a_cancelled_join_is_given_up(server, autojump_clock):
    async def slow(peer):
        await peer.next()
        await trio.sleep(2)
        await peer.joined("game-1.r1", "p1")
        assert await peer.next() == {"t": "leave"}
        await peer.send(t="ended", room="game-1.r1", reason="left")
        await peer.seat(room="game-1.r2", you="p2")
        await peer.rest()

    server.script = slow
    async with open_connection(URL, open_stream=server.open_stream) as connection:
        with trio.move_on_after(1):
            await connection.join(kind="k")
        place = await connection.join(kind="k")
        assert place.room == "game-1.r2"
        assert trio.current_time() == 2


async def test_a_silent_server_is_lost_after_25_seconds(server, autojump_clock):
    async def frozen(peer):
        await peer.seat()
        await trio.sleep(20)
        await peer.send(t="beat")
        await trio.sleep(60)

    server.script = frozen
    async with open_connection(URL, open_stream=server.open_stream) as connection:
        await connection.join(kind="k")
        lost = await connection.wait_closed()
        assert trio.current_time() == 45
        assert "nothing heard" in str(lost)


async def test_draining_and_move_are_recorded_and_unknown_frames_are_ignored(
    server, autojump_clock
):
    async def leaving(peer):
        await peer.send(t="confetti", colour="red")
        await peer.send(t="draining", tier="api", seconds=22, later=1)
        await peer.send(t="move", after=1.5)
        await trio.sleep(1.5)
        await peer.socket.aclose(1012, "leaving")

    server.script = leaving
    async with open_connection(URL, open_stream=server.open_stream) as connection:
        await trio.sleep(1)
        assert connection.draining is not None
        assert (connection.draining.tier, connection.draining.seconds) == ("api", 22)
        assert connection.move is not None
        assert connection.state is State.MOVING
        lost = await connection.wait_closed()
        assert (lost.code, lost.reason) == (1012, "leaving")
        with pytest.raises(ConnectionLost):
            await connection.join(kind="k")


async def test_a_join_raises_when_the_socket_ends_before_the_answer(server, autojump_clock):
    async def leaving(peer):
        await peer.next()
        await peer.socket.aclose(1012)

    server.script = leaving
    async with open_connection(URL, open_stream=server.open_stream) as connection:
        with pytest.raises(ConnectionLost) as lost:
            await connection.join(kind="k")
    assert lost.value.code == 1012


async def test_a_frame_that_cannot_be_read_closes_the_socket(server, autojump_clock):
    closed = []

    async def broken(peer):
        await peer.send(t="msg", seq="seventeen")
        with pytest.raises(ConnectionClosed):
            await peer.next()
        closed.append(True)

    server.script = broken
    async with open_connection(URL, open_stream=server.open_stream) as connection:
        lost = await connection.wait_closed()
        assert lost.code == 1002
        await trio.testing.wait_all_tasks_blocked()
        assert closed == [True]

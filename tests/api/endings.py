"""Each way in which a client's connection begins and ends, over real sockets, in virtual time."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from lastcall.reasons import ClientEnd
from tests.api.conftest import UPGRADE
from tests.api.paths import BINARY, CLOSE, PING, Peer, closing, frame
from tests.api.world import World, close_code, say, until

CLIENT, NETWORK, PROTOCOL = ClientEnd.CLIENT, ClientEnd.NETWORK, ClientEnd.PROTOCOL
HANDSHAKE, REFUSED = ClientEnd.HANDSHAKE, ClientEnd.REFUSED


@dataclass(frozen=True)
class Ending:
    """A scene with clients, and the causes that their connections end for."""

    run: Callable[[World], Awaitable[None]]
    causes: tuple[ClientEnd, ...]


ENDINGS: dict[str, Ending] = {}


def ending(*causes: ClientEnd) -> Callable[[Callable[[World], Awaitable[None]]], None]:
    def add(run: Callable[[World], Awaitable[None]]) -> None:
        ENDINGS[run.__name__.replace("_", " ")] = Ending(run, causes)

    return add


def sends(*pieces: bytes, code: int | None, cause: ClientEnd) -> Ending:
    async def run(world: World) -> None:
        peer = await world.client()
        await peer.send(*pieces)
        assert await close_code(peer) == code

    return Ending(run, (cause,))


def opens_with(
    *pieces: bytes, cause: ClientEnd = HANDSHAKE, then: Callable[[Peer], object] = Peer.finish
) -> Ending:
    async def run(world: World) -> None:
        peer = world.dial()
        await peer.send(*pieces)
        then(peer)

    return Ending(run, (cause,))


def resets_after(data: bytes, cause: ClientEnd = HANDSHAKE) -> Ending:
    """The connection is reset before the node has read ``data``."""

    async def run(world: World) -> None:
        peer = world.dial() if cause is HANDSHAKE else await world.client()
        peer.send_nowait(data)
        peer.reset()

    return Ending(run, (cause,))


ENDINGS |= {
    "closes": sends(closing(1000), code=1000, cause=CLIENT),
    "closes without a code": sends(frame(b"", CLOSE), code=None, cause=CLIENT),
    "pings": sends(frame(b"", PING), closing(1000), code=1000, cause=CLIENT),
    "sends binary": sends(frame(b"x", BINARY), code=1003, cause=PROTOCOL),
    "breaks the protocol": sends(frame(b"x", 0x85), code=1002, cause=PROTOCOL),
    "sends bad UTF-8": sends(frame(b"\xff"), code=1007, cause=PROTOCOL),
    "sends too much": sends(frame(b"x" * 70_000), code=1009, cause=PROTOCOL),
    "fragments": sends(
        frame(b"{", 0x01), frame(b"}", 0x80), closing(1000), code=1000, cause=CLIENT
    ),
    "sends three bad frames": sends(frame(b"{}") * 3, code=4002, cause=PROTOCOL),
    "sends too many frames": sends(
        frame(b'{"t":"leave"}') * 400, code=4101, cause=ClientEnd.TOO_MANY
    ),
    "resumes nothing": sends(
        frame(b'{"t":"resume","ticket":"a.b/c/d","seen":0}'), code=4004, cause=ClientEnd.NO_PLACE
    ),
    "sends a malformed handshake": opens_with(b"\x00\x01\r\n\r\n"),
    "asks for no upgrade": opens_with(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"),
    "asks for another version": opens_with(UPGRADE.replace(b"13", b"12")),
    "sends half a handshake": opens_with(UPGRADE[:40]),
    "sends half a handshake and is silent": opens_with(UPGRADE[:40], then=id),
    "sends half a handshake and resets": opens_with(UPGRADE[:40], then=Peer.reset),
    "sends a handshake and resets": opens_with(UPGRADE, cause=NETWORK, then=Peer.reset),
    "sends frames with the handshake": opens_with(
        UPGRADE + frame(b'{"t":"leave"}') + closing(1000), cause=CLIENT
    ),
    "sends nothing": opens_with(),
    "sends a malformed handshake and resets": resets_after(b"\x00\x01\r\n\r\n"),
    "asks for no upgrade and resets": resets_after(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"),
    "resets before the answer": resets_after(UPGRADE),
    "resets before the answer to a frame": resets_after(frame(b"{}"), NETWORK),
    "closes and resets": resets_after(closing(1000), CLIENT),
    "breaks the protocol and resets": resets_after(frame(b"x", 0x85), PROTOCOL),
}


@ending(NETWORK)
async def ends_without_a_close(world: World) -> None:
    (await world.client()).finish()


@ending(NETWORK)
async def resets(world: World) -> None:
    (await world.client()).reset()


@ending(ClientEnd.PING)
async def falls_silent(world: World) -> None:
    await world.client()


@ending(REFUSED)
async def is_refused_a_handshake(world: World) -> None:
    world.api.node.gateway.handshakes.refuse = "cordoned"
    peer = world.dial()
    await peer.send(UPGRADE)
    assert b" 503 " in await peer.head()
    world.api.node.gateway.handshakes.refuse = None
    peer.finish()


@ending(NETWORK)
async def is_refused_a_join(world: World) -> None:
    peer = await world.client()
    await say(peer, {"t": "join", "kind": "nowhere"})
    await until(peer, "error")
    peer.finish()


@ending(NETWORK)
async def leaves(world: World) -> None:
    peer, _ = await world.seated()
    await say(peer, {"t": "say", "n": 1, "d": "hello"}, {"t": "leave"})
    await until(peer, "ended")
    peer.finish()


@ending(NETWORK)
async def is_there_when_the_room_ends(world: World) -> None:
    peer, _ = await world.seated()
    await say(peer, {"t": "say", "n": 1, "d": "end"})
    await until(peer, "ended")
    peer.finish()


@ending(NETWORK)
async def is_lost_in_a_room(world: World) -> None:
    peer, _ = await world.seated()
    peer.reset()


@ending(NETWORK)
async def is_kicked(world: World) -> None:
    peer, _ = await world.seated()
    await say(peer, {"t": "say", "n": 1, "d": "kick me"})
    await until(peer, "ended")
    peer.finish()


@ending(NETWORK, NETWORK)
async def resumes(world: World) -> None:
    peer, ticket = await world.seated(key="k")
    peer.finish()
    peer = await world.client()
    await say(peer, {"t": "resume", "ticket": ticket, "seen": 0})
    await until(peer, "resumed")
    await say(peer, {"t": "say", "n": 1, "d": "end"})
    await until(peer, "ended")
    peer.finish()


@ending(ClientEnd.REPLACED, NETWORK)
async def is_taken_over(world: World) -> None:
    older, ticket = await world.seated()
    await say(older, {"t": "got", "seq": 0})
    newer = await world.client()
    await say(newer, {"t": "resume", "ticket": ticket, "seen": 0})
    await until(newer, "resumed")
    assert await close_code(older) == 4005
    newer.finish()


@ending(ClientEnd.MOVED)
async def is_moved(world: World) -> None:
    peer, _ = await world.seated()
    [session] = world.api.node.gateway._sessions
    session.connection.move_now()
    del session
    assert await close_code(peer) == 1012


@ending(ClientEnd.SLOW_READER)
async def reads_too_slowly(world: World) -> None:
    peer, _ = await world.seated(buffer_bytes=4096)
    await say(peer, {"t": "say", "n": 1, "d": "flood"})
    while world.api.clients:
        await trio.sleep(1)
    peer.reset()


@ending(ClientEnd.TOO_MANY)
async def says_more_than_the_room_takes(world: World) -> None:
    peer, _ = await world.seated()
    await say(peer, {"t": "say", "n": 1, "d": "sleep"})
    await say(peer, *({"t": "say", "n": n, "d": "x"} for n in range(2, 190)))
    await trio.sleep(30)
    peer.finish()


@ending(NETWORK)
async def has_a_pending_join_cancelled(world: World) -> None:
    peer = await world.client()
    await say(peer, {"t": "join", "kind": "den", "room": "elsewhere.1"})
    peer.reset()


@ending(NETWORK)
async def loses_a_link(world: World) -> None:
    peer, _ = await world.seated()
    world.game.drop_links()
    await trio.sleep(5)
    await say(peer, {"t": "say", "n": 1, "d": "end"})
    await until(peer, "ended")
    peer.finish()


@ending(NETWORK)
async def loses_its_game_node(world: World) -> None:
    peer, _ = await world.seated()
    world.kill_game()
    world.start_game()
    await until(peer, "ended")
    await world.house.ready(world.game, world.api)
    peer.finish()


@ending(NETWORK, ClientEnd.UNAVAILABLE)
async def asks_while_there_is_no_game_node(world: World) -> None:
    world.kill_game()
    peer = await world.client()
    await say(peer, {"t": "join", "kind": "den"})
    assert (await until(peer, "error"))["code"] == "no_game_node"
    peer.finish()
    peer = await world.client()
    await say(peer, {"t": "resume", "ticket": "game-1.a/b/c", "seen": 0})
    assert await close_code(peer) == 1013
    world.start_game()
    await world.house.ready(world.game, world.api)


@ending(NETWORK, NETWORK)
async def gives_up_while_there_is_no_game_node(world: World) -> None:
    world.kill_game()
    joining, resuming = await world.client(), await world.client()
    await say(joining, {"t": "join", "kind": "den"})
    await say(resuming, {"t": "resume", "ticket": "game-1.a/b/c", "seen": 0})
    joining.reset()
    resuming.reset()
    await trio.sleep(4)
    world.start_game()
    await world.house.ready(world.game, world.api)


@ending(ClientEnd.MOVED)
async def is_moved_since_its_game_node_is_silent(world: World) -> None:
    peer, _ = await world.seated()
    world.house.bus.freeze("game-1")
    await until(peer, "move")
    assert await close_code(peer) == 1012
    world.house.bus.heal("game-1")
    await world.house.ready(world.api)


@ending(NETWORK)
async def joins_while_there_is_no_link(world: World) -> None:
    world.game.drop_links()
    (await world.seated())[0].finish()


@ending(NETWORK)
async def is_gone_while_it_joins(world: World) -> None:
    peer = await world.client()
    peer.send_nowait(frame(b'{"t":"join","kind":"den"}'))
    peer.reset()


@ending(NETWORK, NETWORK)
async def is_gone_while_it_resumes(world: World) -> None:
    peer, ticket = await world.seated()
    peer.reset()
    peer = await world.client()
    peer.send_nowait(frame(json.dumps({"t": "resume", "ticket": ticket, "seen": 0}).encode()))
    peer.reset()

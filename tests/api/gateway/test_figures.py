"""The figures of an api node, as a scrape of its metrics reads them."""

from __future__ import annotations

import json

import trio
from trio.testing import MockClock

from tests.api.world import hear, open_world, say, until


async def test_messages_that_wait_beyond_a_clients_share_are_measured_until_it_reads(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world:
        peer, _ = await world.seated(buffer_bytes=4096)
        await say(peer, {"t": "say", "n": 1, "d": "flood"})  # 20 messages of 60 kB
        await trio.sleep(1)
        assert 500_000 < world.api.node.figures().unsent_excess_bytes < 1_200_000
        for _ in range(20):
            await until(peer, "msg")
        await trio.sleep(1)
        assert world.api.node.figures().unsent_excess_bytes == 0


async def test_bytes_are_those_of_the_messages_in_and_of_the_frames_out(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world:
        speaker, _ = await world.seated()
        listener = await world.client()
        room = next(iter(world.game.node.host.running.by_id))
        await say(listener, {"t": "join", "room": room})
        await until(listener, "joined")
        await trio.sleep(1)
        before = world.api.node.figures()
        said = {"t": "say", "n": 1, "d": "grüße"}
        await say(speaker, said)
        heard = [await hear(peer) for peer in (speaker, speaker, listener)]
        assert sorted(frame["t"] for frame in heard) == ["ack", "msg", "msg"]
        await trio.sleep(1)  # the bytes of messages are counted once a second
        after = world.api.node.figures()
        assert after.messages_in - before.messages_in == 1
        assert after.bytes_in - before.bytes_in == len(json.dumps(said).encode())
        header = 2  # of a frame of less than 126 bytes
        frames = [header + len(compact(frame)) for frame in heard]
        assert after.messages_out - before.messages_out == len(frames)
        assert after.bytes_out - before.bytes_out == sum(frames)


def compact(frame: object) -> bytes:
    return json.dumps(frame, separators=(",", ":"), ensure_ascii=False).encode()

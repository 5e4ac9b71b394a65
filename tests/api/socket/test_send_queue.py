from __future__ import annotations

import trio
import trio.abc
import trio.testing

from lastcall.api.socket.backlog import Backlog
from lastcall.api.socket.batch_sizes import CHUNK_BYTES
from lastcall.api.socket.send_queue import SendQueue
from lastcall.policy import SocketPolicy


class Receiver(trio.abc.SendStream):
    """Notes each chunk, and what ``during`` does while it is being sent."""

    def __init__(self, during=lambda: None) -> None:
        self.chunks: list[bytes] = []
        self.during = during

    async def send_all(self, data: bytes) -> None:
        self.chunks.append(data)
        self.during()
        await trio.lowlevel.checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def test_only_the_first_addition_asks_for_a_flusher_until_the_queue_is_empty() -> None:
    queue, receiver = SendQueue(Backlog(SocketPolicy())), Receiver()
    assert [queue.add([b"a"]), queue.add([b"b", b"c"])] == [True, False]
    await queue.flush(receiver)
    assert (receiver.chunks, queue.size) == ([b"abc"], 0)
    assert queue.add([b"d"])


async def test_small_frames_are_joined_and_large_ones_are_sent_in_pieces() -> None:
    queue, receiver = SendQueue(Backlog(SocketPolicy())), Receiver()
    frame = b"x" * 40_000
    queue.add([frame] * 3)
    await queue.flush(receiver)
    rest = 80_000 - CHUNK_BYTES
    assert [len(chunk) for chunk in receiver.chunks] == [CHUNK_BYTES, rest, 40_000]
    assert queue.sent == 120_000


async def test_the_rest_of_a_write_is_sent_first_and_is_never_dropped() -> None:
    queue, receiver = SendQueue(Backlog(SocketPolicy())), Receiver()
    queue.add([], b"rest")
    queue.add([b"frame"])
    assert queue.size == 9
    queue.drop_unsent()
    assert queue.size == 4
    queue.add([b"close"])
    await queue.flush(receiver)
    assert receiver.chunks == [b"rest", b"close"]


async def test_a_queue_that_is_cleared_while_its_flusher_sends_ends_empty() -> None:
    queue = SendQueue(Backlog(SocketPolicy()))
    receiver = Receiver(during=queue.clear)
    queue.add([b"a"])
    await queue.flush(receiver)
    assert (receiver.chunks, queue.size) == ([b"a"], 0)
    await queue.wait_empty()


async def test_all_waiting_tasks_are_woken_when_the_queue_is_empty(nursery) -> None:
    queue = SendQueue(Backlog(SocketPolicy()))
    queue.add([b"a"])
    with trio.fail_after(1):
        async with trio.open_nursery() as waiting:
            waiting.start_soon(queue.wait_empty)
            waiting.start_soon(queue.wait_empty)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(queue.flush, Receiver())

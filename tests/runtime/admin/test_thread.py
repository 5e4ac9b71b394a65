"""The admin port's own thread, and its way to the node's loop. Threads need real time."""

from __future__ import annotations

import threading
import time

import pytest
import trio

from lastcall.runtime.admin.thread import NodeLoop, serve_in_thread

LIMIT_SECONDS = 10


class Stopped(Exception):
    """A server ended by itself."""


async def test_a_server_runs_in_another_thread_and_ends_when_it_is_cancelled() -> None:
    threads: list[int] = []
    ends: list[str] = []

    async def serve() -> None:
        threads.append(threading.get_ident())
        try:
            await trio.sleep_forever()
        finally:
            ends.append("cancelled")

    with trio.fail_after(LIMIT_SECONDS):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_in_thread, serve)
            nursery.cancel_scope.cancel()
    assert threads != [threading.get_ident()]
    assert ends == ["cancelled"]


async def test_an_error_of_the_server_ends_the_node() -> None:
    async def serve() -> None:
        raise Stopped

    with trio.fail_after(LIMIT_SECONDS), pytest.RaisesGroup(Stopped, flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_in_thread, serve)
            await trio.sleep_forever()


async def test_a_question_is_answered_or_fails_in_the_nodes_loop() -> None:
    node, here = NodeLoop(), threading.get_ident()
    answers: list[object] = []

    def fail() -> None:
        raise ZeroDivisionError

    async def serve() -> None:
        assert threading.get_ident() != here
        answers.append(await node.call(threading.get_ident))
        with pytest.raises(ZeroDivisionError):
            await node.call(fail)
        answers.append("failed")
        done.set()

    done = threading.Event()
    with trio.fail_after(LIMIT_SECONDS):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_in_thread, serve)
            await trio.to_thread.run_sync(done.wait)
            nursery.cancel_scope.cancel()
    assert answers == [here, "failed"]


async def test_a_question_can_be_given_up_while_the_nodes_loop_stands() -> None:
    node = NodeLoop()
    waited: list[float] = []
    standing, given_up = threading.Event(), threading.Event()

    async def serve() -> None:
        await trio.to_thread.run_sync(standing.wait)
        began = time.monotonic()
        with trio.move_on_after(0.05):
            await node.call(int)
        waited.append(time.monotonic() - began)
        given_up.set()
        await trio.sleep_forever()

    with trio.fail_after(LIMIT_SECONDS):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_in_thread, serve)
            standing.set()
            assert given_up.wait(LIMIT_SECONDS), "the loop stands here, and the thread goes on"
            nursery.cancel_scope.cancel()
    assert waited[0] >= 0.05

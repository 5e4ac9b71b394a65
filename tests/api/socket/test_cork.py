"""The frames of a step leave at its end; those of a long step leave in portions, in order."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterator

import pytest
import trio
import trio.abc
import trio.testing

from lastcall.api.socket.backlog import Backlog
from lastcall.api.socket.batch_sizes import CLIENTS_PER_STEP
from lastcall.api.socket.client_stream import ClientStream
from lastcall.api.socket.closing import abort
from lastcall.api.socket.cork import Cork, Output
from lastcall.api.socket.library_stream import LibraryStream
from lastcall.policy import SocketPolicy

MANY = 3 * CLIENTS_PER_STEP + 10


class Numbered(Output):
    """One of many that share a pipe, so that it shows in which order they wrote."""

    def __init__(self, descriptor: int, name: int) -> None:
        super().__init__(descriptor, 0.0)
        self.name = name

    def enqueue(self, frames: list[bytes]) -> None:
        raise AssertionError(f"the pipe is written to at once, and not {frames} queued")

    def written(self, data: bytes, sent: int) -> None:
        raise AssertionError(f"the pipe is full: {sent} of {len(data)}")


class Pipe:
    """Many outputs, and what they have written."""

    def __init__(self) -> None:
        self.reader, writer = os.pipe2(os.O_NONBLOCK)
        self.writer = writer
        self.outputs = [Numbered(writer, number) for number in range(MANY)]

    def read(self) -> list[str]:
        try:
            return os.read(self.reader, 65_536).decode().split()
        except BlockingIOError:
            return []

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.writer)


class Steps(trio.abc.Instrument):
    """The frames that each step of a task has written."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        self.wrote: list[list[str]] = []

    def after_task_step(self, _task: trio.lowlevel.Task) -> None:
        if words := self.pipe.read():
            self.wrote.append(words)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


@pytest.fixture
async def cork(nursery) -> Cork:
    """One that runs."""
    cork = Cork()
    nursery.start_soon(cork.run)
    await trio.testing.wait_all_tasks_blocked()
    return cork


def client(cork: Cork, nursery: trio.Nursery) -> tuple[ClientStream, socket.socket]:
    """A real stream, and its peer's end."""
    near, far = socket.socketpair()
    far.setblocking(False)
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(near))
    return ClientStream(stream, nursery, backlog=Backlog(SocketPolicy()), cork=cork), far


def say(cork: Cork, output: Output, word: str) -> None:
    """As a client's stream does while a cork is in."""
    assert cork.held
    cork.hold(output, f"{output.name}{word} ".encode())


def say_to_all(cork: Cork, pipe: Pipe, word: str = "a") -> None:
    with cork:
        for output in pipe.outputs:
            say(cork, output, word)


async def test_frames_of_one_step_to_many_clients_leave_in_portions_while_others_run(
    autojump_clock, cork, pipe
) -> None:
    steps = Steps(pipe)
    trio.lowlevel.add_instrument(steps)
    say_to_all(cork, pipe)
    turns = 0
    while cork.held:
        await trio.lowlevel.checkpoint()
        turns += 1
    trio.lowlevel.remove_instrument(steps)
    assert [len(step) for step in steps.wrote] == [
        CLIENTS_PER_STEP,
        CLIENTS_PER_STEP,
        CLIENTS_PER_STEP,
        10,
    ]
    assert [word for step in steps.wrote for word in step] == [f"{n}a" for n in range(MANY)]
    assert turns >= 4


async def test_frames_that_are_sent_meanwhile_follow_the_earlier_ones(
    autojump_clock, cork, pipe
) -> None:
    say_to_all(cork, pipe, "a")
    say_to_all(cork, pipe, "b")
    await cork.settled()
    words = pipe.read()
    assert not cork.held
    assert sorted(words) == sorted(f"{n}{word}" for n in range(MANY) for word in "ab")
    for number in (0, CLIENTS_PER_STEP, MANY - 1):
        assert words.index(f"{number}a") < words.index(f"{number}b")
    say_to_all(cork, pipe, "c")  # and it goes on as before
    await cork.settled()
    assert len(pipe.read()) == MANY


async def test_it_settles_although_some_client_always_has_frames_pending(
    autojump_clock, nursery, cork, pipe
) -> None:
    async def talk(output: Output) -> None:
        while True:
            with cork:
                say(cork, output, "x")
            await trio.lowlevel.checkpoint()

    async def read() -> None:
        while True:
            pipe.read()
            await trio.lowlevel.checkpoint()

    nursery.start_soon(read)
    for output in pipe.outputs[:10]:
        nursery.start_soon(talk, output)
    for _ in range(20):
        say_to_all(cork, pipe)
        for turns in itertools.count():
            if not cork.held:
                break
            await trio.lowlevel.checkpoint()
            assert turns < 100
    nursery.cancel_scope.cancel()


async def test_the_frames_of_a_short_step_leave_at_its_end(autojump_clock, cork, pipe) -> None:
    with cork:
        for output in pipe.outputs[:CLIENTS_PER_STEP]:
            say(cork, output, "a")
    assert len(pipe.read()) == CLIENTS_PER_STEP
    assert not cork.held
    with trio.fail_after(0.1):
        await cork.settled()


@pytest.mark.parametrize("runs", [False, True])
async def test_all_frames_leave_at_once_without_a_run_and_when_it_is_cancelled(
    autojump_clock, runs, pipe
) -> None:
    cork = Cork()
    async with trio.open_nursery() as nursery:
        if runs:
            nursery.start_soon(cork.run)
            await trio.testing.wait_all_tasks_blocked()
        say_to_all(cork, pipe)
        assert len(pipe.read()) == (0 if runs else MANY)
        nursery.cancel_scope.cancel()
    assert len(pipe.read()) == (MANY if runs else 0)
    assert not cork.held


async def test_a_graceful_close_sends_the_clients_pending_frames_first(
    autojump_clock, nursery, cork, pipe
) -> None:
    stream, far = client(cork, nursery)
    with cork:
        for output in pipe.outputs:
            say(cork, output, "a")
        stream.send_nowait(b"last words, ")
        stream.send_close(1012, "bye")
    await LibraryStream(stream).send_all(b"too late")
    assert far.recv(100) == b"last words, \x88\x05\x03\xf4bye"
    assert len(pipe.read()) < MANY
    await cork.settled()
    assert len(pipe.read()) > 0
    await abort(stream)
    far.close()


async def test_a_client_that_is_lost_with_frames_pending_does_not_affect_the_others(
    autojump_clock, nursery, cork, pipe
) -> None:
    stream, far = client(cork, nursery)
    with cork:
        for output in pipe.outputs:
            say(cork, output, "a")
        stream.send_nowait(b"never")
    descriptor = stream.descriptor
    far.close()
    await abort(stream)
    pair = socket.socketpair()  # the new owner of the number must not get the frame
    assert descriptor in {end.fileno() for end in pair}
    await cork.settled()
    assert len(pipe.read()) == MANY
    assert stream.queue.size == 0
    for end in pair:
        end.setblocking(False)
        with pytest.raises(BlockingIOError):
            end.recv(100)
    for end in pair:
        end.close()


async def test_what_waits_for_the_end_of_a_step_is_called_before_its_frames_leave() -> None:
    cork, pipe, calls = Cork(), Pipe(), list[str]()
    assert not cork.at_end(lambda: calls.append("never")), "no step is under way"

    def first() -> None:
        calls.append("first")
        assert cork.at_end(lambda: calls.append("then"))
        cork.hold(pipe.outputs[1], b"1 ")

    with cork:
        with cork:
            assert cork.at_end(first)
            cork.hold(pipe.outputs[0], b"0 ")
        assert (calls, pipe.read()) == ([], [])
    assert (calls, pipe.read()) == (["first", "then"], ["0", "1"])
    pipe.close()


async def test_a_step_that_many_frames_prolong_has_no_end_to_wait_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    cork, pipe = Cork(), Pipe()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(cork.run)
        await trio.testing.wait_all_tasks_blocked()
        with cork:
            for output in pipe.outputs:
                cork.hold(output, b"x ")
        assert cork.held
        assert not cork.at_end(lambda: None)
        await cork.settled()
        nursery.cancel_scope.cancel()
    pipe.close()

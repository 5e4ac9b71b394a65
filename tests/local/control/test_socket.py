"""The control socket: how callers find it, and that bad callers do not disturb others."""

from __future__ import annotations

import errno
import os
import socket
import stat
import threading
from contextlib import ExitStack, asynccontextmanager

import pytest
import trio

from lastcall.errors import ClusterFailed, RemoteProtocolError, UsageError
from lastcall.local.control.messages import (
    AskNodes,
    AskRoll,
    NodeEntry,
    NodeList,
    Progress,
    RollReport,
    decode_question,
    encode,
    parse_version,
)
from lastcall.local.control.paths import find, folder, open_control_socket, running
from lastcall.local.control.socket import ANSWER_SECONDS, open_call, serve_control

NODES = NodeList("ws://h/", (NodeEntry("api-1", "api", "1", "127.0.0.1:1", 42, "serving"),))
REPORT = RollReport("all", "2", 1.5, (), ("game-3",))


class FakeBackend:
    """A backend that answers every question; a roll has one step and a report."""

    def __init__(self):
        self.rolls = []
        self.refuse = ""

    async def nodes(self):
        return NODES

    def roll(self, order):
        if self.refuse:
            raise ClusterFailed(self.refuse)
        if order.tier == "api":
            raise RuntimeError("a bug")
        self.rolls.append(order)
        send, receive = trio.open_memory_channel(9)
        with send:
            send.send_nowait(Progress(0.5, "game-1", "1", "draining", "game-1 drains"))
            send.send_nowait(REPORT)
        return receive


@asynccontextmanager
async def serving(port=8123, backend=None, **settings):
    warnings = []
    with trio.fail_after(10):
        async with serve_control(
            port, backend or FakeBackend(), warnings.append, **settings
        ) as path:
            assert warnings == []
            yield path


async def ask_nodes(path):
    async with open_call(path, AskNodes()) as call:
        return await call.next()


async def test_a_caller_gets_the_list_of_nodes(runtime_folder):
    async with serving() as path:
        assert path == runtime_folder / "lastcall" / "up-8123.sock"
        assert await ask_nodes(path) == NODES


async def test_a_roll_streams_its_steps_and_its_report():
    backend = FakeBackend()
    async with serving(backend=backend) as path, open_call(path, AskRoll("game", "2")) as call:
        assert isinstance(await call.next(), Progress)
        assert await call.next() == REPORT
        with pytest.raises(ClusterFailed, match="has gone away"):
            await call.next()
    assert backend.rolls == [AskRoll("game", "2")]


async def test_a_refusal_raises_its_message():
    backend = FakeBackend()
    backend.refuse = "one at a time"
    async with serving(backend=backend) as path, open_call(path, AskRoll()) as call:
        with pytest.raises(ClusterFailed, match="one at a time"):
            await call.next()


@pytest.mark.parametrize(
    "question",
    [
        b"\n",
        b"\xff\xfe\x00\n",
        b'{"ask":"everything"}\n',
        b"[" * 2_000 + b"\n",
        b'{"ask":"roll","tier":"moon"}\n',
        b'{"ask":"roll","version":"--rooms"}\n',
        b'{"ask":"roll","version":"' + b"1" * 65 + b'"}\n',
        b"x" * 100_000,
        b'{"ask":"roll","tier":"api"}\n',
        b'{"ask":"nodes"',
        b"",
    ],
)
async def test_a_bad_question_harms_no_other_caller(question):
    async with serving() as path:
        stream = await trio.open_unix_socket(path)
        async with stream:
            try:
                await stream.send_all(question)
                await stream.send_eof()
                reply = b"".join([chunk async for chunk in stream])
            except trio.BrokenResourceError:
                reply = b""
            assert b'"is":"nodes"' not in reply
            assert reply == b"" or reply.startswith(b'{"is":"refused","message":')
        assert await ask_nodes(path) == NODES


async def test_callers_that_send_or_read_nothing_are_disconnected():
    send, receive = trio.open_memory_channel(100)
    for _ in range(100):
        send.send_nowait(Progress(0, "game-1", "1", "draining", "x" * 100_000))

    class ManySteps(FakeBackend):
        def roll(self, order):  # noqa: ARG002
            return receive

    async with serving(backend=ManySteps(), timeout_seconds=0.3) as path:
        silent = await trio.open_unix_socket(path)
        not_reading = await trio.open_unix_socket(path)
        await not_reading.send_all(encode(AskRoll()))
        assert await silent.receive_some() == b""
        while send.statistics().open_receive_channels:
            await trio.sleep(0.01)
        received = sum([len(chunk) async for chunk in not_reading])
        assert 0 < received < 5_000_000
        assert await ask_nodes(path) == NODES
        await silent.aclose()
        await not_reading.aclose()


async def test_too_many_callers_are_disconnected_and_later_ones_are_served():
    async with serving(callers_max=2) as path:
        streams = [await trio.open_unix_socket(path) for _ in range(3)]
        assert await streams[2].receive_some() == b""
        for stream in streams:
            await stream.aclose()
        while (reply := await ask_nodes_or_none(path)) is None:
            await trio.sleep(0.01)
        assert reply == NODES


async def ask_nodes_or_none(path):
    try:
        return await ask_nodes(path)
    except ClusterFailed:
        return None


async def test_the_socket_is_private_and_is_removed_with_the_cluster(runtime_folder):
    async with serving() as path:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list((runtime_folder / "lastcall").iterdir()) == []


async def test_a_stale_socket_is_recognised_and_replaced():
    with trio.socket.socket(trio.socket.AF_UNIX) as dead:
        stale = folder() / "up-8123.sock"
        await dead.bind(str(stale))
    assert running() == {}
    assert not stale.exists()
    stale.touch()
    async with serving() as path:
        assert await ask_nodes(path) == NODES


async def test_a_second_cluster_on_the_port_does_not_take_the_socket_away():
    warnings = []
    async with serving() as path:
        async with serve_control(8123, FakeBackend(), warnings.append) as second_path:
            assert second_path is None
        assert "another local cluster answers there" in warnings[0]
        assert await ask_nodes(path) == NODES


async def test_a_folder_that_others_may_enter_is_not_used(runtime_folder):
    (runtime_folder / "lastcall").mkdir(mode=0o755)
    warnings = []
    async with serve_control(8123, FakeBackend(), warnings.append) as path:
        assert path is None
    assert "nobody else may enter" in warnings[0]


async def test_without_a_runtime_folder_the_socket_is_in_a_private_folder_for_temporary_files(
    monkeypatch, runtime_folder
):
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr("tempfile.tempdir", str(runtime_folder))
    async with serving() as path:
        assert path.parent.parent == runtime_folder
        assert path.parent.name.startswith("lastcall-")


async def test_the_only_cluster_is_found_and_one_of_several_must_be_chosen():
    with pytest.raises(ClusterFailed, match=r"on port 8080; start one with: lastcall up$"):
        find(None)
    async with serving(8123) as path:
        assert find(None) == find(8123) == path
        with pytest.raises(ClusterFailed, match=r"on port 9; .* lastcall up --port 9$"):
            find(9)
        async with serving(8124) as other:
            assert find(8124) == other
            with pytest.raises(UsageError, match="8123, 8124: choose one with --port"):
                find(None)


async def test_a_call_to_a_stopped_cluster_raises_an_error():
    async with serving() as path:
        pass
    with pytest.raises(ClusterFailed, match="nobody listens there"):
        async with open_call(path, AskNodes()):
            pass


def test_an_invalid_question_is_not_decoded():
    assert decode_question(b'{"ask":"roll"}') == AskRoll("all", None)
    with pytest.raises(RemoteProtocolError):
        decode_question(b'{"ask":"roll","version":7}')


@pytest.mark.parametrize("text", ["", "-1", "a b", "1" * 65, "1\n"])
def test_an_invalid_version_is_a_usage_error(text):
    with pytest.raises(UsageError, match="is not a version"):
        parse_version(text)
    assert parse_version("0.1.0+1") == "0.1.0+1"


def test_a_socket_that_is_being_opened_is_not_taken_for_a_stale_one():
    done = threading.Event()

    def other_command():
        while not done.is_set():
            running()

    async def open_and_close(port):
        listener, path = open_control_socket(port)
        async with listener:
            assert port in running()
        path.unlink(missing_ok=True)

    thread = threading.Thread(target=other_command)
    thread.start()
    try:
        for port in range(1, 100):
            trio.run(open_and_close, port)
    finally:
        done.set()
        thread.join()


def test_a_cluster_that_accepts_no_caller_for_a_while_keeps_its_socket():
    path = folder() / "up-8123.sock"
    with ExitStack() as stack:
        busy = stack.enter_context(socket.socket(socket.AF_UNIX))
        busy.bind(str(path))
        busy.listen(1)
        full = False
        while not full:
            caller = stack.enter_context(socket.socket(socket.AF_UNIX))
            caller.setblocking(False)
            full = caller.connect_ex(str(path)) == errno.EAGAIN
        assert running() == {8123: path}


async def test_a_cluster_that_starts_removes_the_stale_sockets_of_others():
    stale = folder() / "up-8123.sock"
    with trio.socket.socket(trio.socket.AF_UNIX) as killed:
        await killed.bind(str(stale))
    async with serving(8124):
        assert [path.name for path in folder().iterdir()] == ["up-8124.sock"]


CONTINUE = rf"does not answer \(process {os.getpid()}\).*kill -CONT {os.getpid()}"
"""A stopped cluster accepts nobody; its kernel lets callers wait. Here it is this process."""


@pytest.mark.parametrize(
    ("question", "answers", "advice"),
    [(AskNodes(), 1, CONTINUE + "$"), (AskRoll(), 2, CONTINUE + "; the roll goes on then$")],
    ids=["nodes", "roll"],
)
async def test_a_cluster_that_is_stopped_is_given_up_with_the_command_that_continues_it(
    question, answers, advice, autojump_clock
):
    listener, path = open_control_socket(8123)
    async with listener, open_call(path, question) as call:
        started_at = trio.current_time()
        with pytest.raises(ClusterFailed, match=advice):
            await call.next()
        assert trio.current_time() - started_at == pytest.approx(answers * ANSWER_SECONDS)


async def test_a_cluster_that_has_let_too_many_callers_wait_is_given_up_at_once(autojump_clock):
    listener, path = open_control_socket(8123)
    async with listener:
        with ExitStack() as callers:
            full = False
            while not full:
                caller = callers.enter_context(socket.socket(socket.AF_UNIX))
                caller.setblocking(False)
                full = caller.connect_ex(str(path)) == errno.EAGAIN
            with pytest.raises(ClusterFailed, match=r"does not answer .*kill -CONT PID"):
                await ask_nodes(path)


async def test_a_step_of_a_roll_may_take_minutes_while_the_cluster_answers(autojump_clock):
    class SlowBackend(FakeBackend):
        def roll(self, order):  # noqa: ARG002
            nursery.start_soon(self.report_late)
            return replies

        async def report_late(self):
            await trio.sleep(299)
            await send.send(REPORT)

    send, replies = trio.open_memory_channel(0)
    async with (
        trio.open_nursery() as nursery,
        serve_control(8123, SlowBackend(), print) as path,
        open_call(path, AskRoll("game")) as call,
    ):
        assert await call.next() == REPORT
        assert trio.current_time() == pytest.approx(299)

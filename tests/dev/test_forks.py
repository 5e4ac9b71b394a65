"""The process that forks, and its forks: real ones, which get no further than their options."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from signal import SIGKILL

import trio

from lastcall.dev import warm
from lastcall.dev.forks import Fork, Forks, open_forks
from lastcall.local.child import environment
from lastcall.runtime.signals import LIFELINE

PATIENCE = 30.0


async def fork(forks: Forks, *command: str) -> Fork:
    ours, theirs = os.pipe()
    try:
        return await forks.spawn(command, [ours], {**environment(), LIFELINE: str(ours)})
    finally:
        os.close(ours)
        os.close(theirs)


async def read(made: Fork) -> str:
    text = b""
    async for data in made.stdout:
        text += data
    await made.stdout.aclose()
    await made.stdin.aclose()
    return text.decode()


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def runs(pid: int) -> bool:
    """Whether the process runs; one that has ended may wait for the first process to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_fork_writes_and_ends_as_a_process_and_they_are_forked_again_after_a_death() -> (
    None
):
    with trio.fail_after(PATIENCE):
        async with open_forks() as forks:
            wrong = await fork(forks, "--grace", "soon")
            assert "Error: Invalid value for '--grace'" in await read(wrong)
            assert await wrong.wait() == wrong.poll() == 2
            wrong.kill()  # it has ended: nobody else gets this

            stays = await fork(forks, "--rooms", "lastcall.game.examples", "--admin", "127.0.0.1:0")
            assert await stays.stdout.receive_some()
            assert os.getpgid(stays.pid) == stays.pid != os.getpgid(0)
            mother = parent(stays.pid)
            os.kill(mother, SIGKILL)
            assert await stays.wait() == -SIGKILL
            await read(stays)
            again = await fork(forks, "--help")
            assert "--rooms" in await read(again)
            assert await again.wait() == 0
            while runs(stays.pid):
                await trio.sleep(0.01)


def test_the_process_that_forks_ends_when_lastcall_dev_was_killed_before_it_heard_all() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        theirs.send(b"news")
        ours.close()
        assert warm._next_fork(theirs) is None

"""The api node under ``lastcall dev``: how it starts, and what the author is told of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from lastcall.bus.address import HostPort
from lastcall.dev.dev import auth_warning, keep_api
from lastcall.errors import ClusterFailed
from lastcall.local.cluster import open_cluster
from lastcall.local.plan import Plan
from tests.dev.fake_processes import FakeProcess

PLAN = Plan(1, 1, client=HostPort("127.0.0.1", 0), admin=HostPort("127.0.0.1", 0))


async def spawn(*_: object) -> FakeProcess:
    return FakeProcess()


async def test_an_api_node_that_never_gets_ready_is_told_as_such(autojump_clock) -> None:
    async with open_cluster(PLAN, print, spawns={"api": spawn, "game": spawn}) as cluster:
        with pytest.raises(
            ClusterFailed, match=r"not ready within 20 s: api-1 has not started.*\noutput of api-1:"
        ):
            await keep_api(cluster, trio.Event(), print)


async def test_an_api_node_that_ends_at_its_start_is_told_with_its_end(autojump_clock) -> None:
    made: list[FakeProcess] = []

    async def spawn_api(*_: object) -> FakeProcess:
        made.append(FakeProcess())
        return made[-1]

    async with open_cluster(PLAN, print, spawns={"api": spawn_api, "game": spawn}) as cluster:
        await trio.testing.wait_all_tasks_blocked()
        made[0].kill()
        with pytest.raises(ClusterFailed, match="api-1 was killed by SIGKILL while it started"):
            await keep_api(cluster, trio.Event(), print)


@pytest.mark.parametrize(
    ("auth", "file", "is_told"),
    [
        ("ours.entry:check", "ours/entry.py", True),
        ("ours:check", "ours/__init__.py", True),
        ("ours:check", "ours/entry.py", False),
        ("ours.entry:check", "below/ours/entry.py", False),
        ("jwt", "jwt.py", False),
        (None, "ours/entry.py", False),
    ],
)
def test_a_save_of_the_module_of_auth_is_told_to_need_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, auth: str | None, file: str, *, is_told: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ours").mkdir()
    warning = auth_warning(auth, [tmp_path.resolve() / file])
    assert ("start `lastcall dev` again" in warning) is is_told

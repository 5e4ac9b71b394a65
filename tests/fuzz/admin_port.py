"""The admin port: whatever a stranger sends, no command is carried out, and nothing is an ERROR."""

from __future__ import annotations

import re

import structlog.testing
import trio
import trio.testing
from prometheus_client import CollectorRegistry

from lastcall.runtime.admin.application import application
from lastcall.runtime.admin.auth import AdminAuth
from lastcall.runtime.loop_lag import Pulse
from lastcall.wire.reports import Status
from tests.runtime.admin.test_http import talk

ANSWER = re.compile(rb"HTTP/1\.1 [2345][0-9]{2} ")


class NodeView:
    """A node that nobody may command from where the requests of :func:`talk` come from."""

    ready = ""

    def __init__(self) -> None:
        self.auth = AdminAuth({"game-1"})
        self.pulse = Pulse()
        self.commands: list[str] = []

    def status(self) -> Status:
        return Status("game-1", "game", "1", "serving")

    def cordon(self) -> None:
        self.commands.append("cordon")

    def uncordon(self) -> None:
        self.commands.append("uncordon")

    def drain(self) -> None:
        self.commands.append("drain")


def target(data: bytes) -> None:
    """Sends ``data`` to an admin port in memory, and then the end; asserts how that ends."""
    with structlog.testing.capture_logs() as events:
        trio.run(_ask, data, clock=trio.testing.MockClock(autojump_threshold=0))
    assert events == []


async def _ask(data: bytes) -> None:
    view = NodeView()
    answer = await talk(data, application(view, CollectorRegistry(), {}))
    assert answer == b"" or ANSWER.match(answer), answer[:100]
    assert view.commands == []

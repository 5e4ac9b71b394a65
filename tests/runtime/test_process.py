from __future__ import annotations

import pytest

from lastcall.bus.address import HostPort
from lastcall.core.lifecycle import Event, Phase
from lastcall.errors import WrongEvent
from lastcall.ids import NodeName
from lastcall.policy import DrainPolicy
from lastcall.runtime.drain import Drain
from lastcall.runtime.options import NodeOptions
from lastcall.runtime.process import NodeAdmin
from lastcall.runtime.signals import StopRequests


class Unasked:
    """A node of which the commands need nothing."""


def served() -> tuple[Drain, StopRequests, NodeAdmin]:
    drain, stops = Drain(DrainPolicy(), end_process=lambda _code: None), StopRequests()
    drain._step(Event.READY)
    options = NodeOptions(NodeName("api-1"), HostPort("127.0.0.1", 0), "json", None, "1")
    return drain, stops, NodeAdmin(options, drain, Unasked(), stops)  # type: ignore[arg-type]


def test_a_second_drain_over_http_does_not_cut() -> None:
    _, stops, admin = served()
    admin.drain()
    admin.drain()
    assert stops.count == 1


def test_a_drain_after_a_signal_is_not_a_second_signal() -> None:
    _, stops, admin = served()
    stops.request()
    admin.drain()
    assert stops.count == 1


def test_a_repeated_command_changes_nothing() -> None:
    drain, _, admin = served()
    admin.cordon()
    admin.cordon()
    assert drain.phase is Phase.CORDONED
    admin.uncordon()
    admin.uncordon()
    assert drain.phase is Phase.SERVING


async def test_a_draining_node_refuses_a_cordon() -> None:
    drain, _, admin = served()
    drain.stop()
    with pytest.raises(WrongEvent):
        admin.cordon()

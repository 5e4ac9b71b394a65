"""Commands at the admin port of a node, and their effect on its drain."""

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


class UnusedNode:
    """Stands for the node, which these commands do not use."""


def serving_node() -> tuple[Drain, StopRequests, NodeAdmin]:
    drain, stops = Drain(DrainPolicy(), end_process=lambda _code: None), StopRequests()
    drain._step(Event.READY)
    options = NodeOptions(NodeName("api-1"), HostPort("127.0.0.1", 0), "json", None, "1")
    return drain, stops, NodeAdmin(options, drain, UnusedNode(), stops)  # type: ignore[arg-type]


def test_a_second_drain_command_does_not_cut() -> None:
    _, stops, admin = serving_node()
    admin.drain()
    admin.drain()
    assert stops.count == 1


def test_a_drain_command_after_a_signal_does_not_count_as_a_second_signal() -> None:
    _, stops, admin = serving_node()
    stops.request()
    admin.drain()
    assert stops.count == 1


def test_a_repeated_cordon_or_uncordon_changes_nothing() -> None:
    drain, _, admin = serving_node()
    admin.cordon()
    admin.cordon()
    assert drain.phase is Phase.CORDONED
    admin.uncordon()
    admin.uncordon()
    assert drain.phase is Phase.SERVING


async def test_a_draining_node_refuses_a_cordon() -> None:
    drain, _, admin = serving_node()
    drain.stop()
    with pytest.raises(WrongEvent):
        admin.cordon()

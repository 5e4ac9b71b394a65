"""Commands at the admin port of a node, and their effect on its drain."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio

from lastcall.bus.address import HostPort
from lastcall.core.lifecycle import Event, Phase
from lastcall.errors import WrongEvent
from lastcall.ids import NodeName
from lastcall.limits import Limit, Limits
from lastcall.policy import DrainPolicy
from lastcall.runtime.descriptors import NO_RESERVE
from lastcall.runtime.drain import Drain
from lastcall.runtime.figures import Figures
from lastcall.runtime.options import NodeOptions
from lastcall.runtime.process import NodeAdmin, _open_admin
from lastcall.runtime.signals import StopRequests


class UnusedNode:
    """Stands for the node, which these commands do not use."""


class FigureNode:
    """Stands for a node of which only the figures are asked."""

    def figures(self) -> Figures:
        return Figures(phase=Phase.SERVING)


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


async def test_the_admin_port_has_as_many_connections_as_the_limits_say_and_counts_the_others() -> (
    None
):
    drain, stops = Drain(DrainPolicy(), end_process=lambda _code: None), StopRequests()
    limits = Limits(admin_connections=1)
    where = HostPort("127.0.0.1", 0)
    options = NodeOptions(NodeName("api-1"), where, "json", None, "1", limits=limits)
    view = NodeAdmin(options, drain, FigureNode(), stops)  # type: ignore[arg-type]
    admin = await _open_admin(view, options, "api", NO_RESERVE)
    async with trio.open_nursery() as nursery:
        await nursery.start(admin.serve)
        first = await trio.open_tcp_stream("127.0.0.1", admin.address.port)
        while not len(view.slots):
            await trio.lowlevel.checkpoint()
        async with first, await trio.open_tcp_stream("127.0.0.1", admin.address.port):
            with suppress(trio.BrokenResourceError), trio.fail_after(10):
                assert await first.receive_some() == b""
            assert len(view.slots) == 1
            assert view.figures().limited[Limit.ADMIN_CONNECTIONS] == 1
        nursery.cancel_scope.cancel()

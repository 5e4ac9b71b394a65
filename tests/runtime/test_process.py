from __future__ import annotations

import pytest

from lastcall.core.lifecycle import Event, Phase
from lastcall.errors import WrongEvent
from lastcall.policy import DrainPolicy
from lastcall.runtime.drain import Drain
from lastcall.runtime.process import AdminControls
from lastcall.runtime.signals import StopRequests


def controls() -> tuple[Drain, StopRequests, AdminControls]:
    drain, stops = Drain(DrainPolicy(), end_process=lambda _code: None), StopRequests()
    drain._step(Event.READY)
    return drain, stops, AdminControls(drain, stops)


def test_a_second_drain_over_http_does_not_cut() -> None:
    _, stops, admin = controls()
    admin.drain()
    admin.drain()
    assert stops.count == 1


def test_a_drain_after_a_signal_is_not_a_second_signal() -> None:
    _, stops, admin = controls()
    stops.request()
    admin.drain()
    assert stops.count == 1


def test_a_repeated_command_changes_nothing() -> None:
    drain, _, admin = controls()
    admin.cordon()
    admin.cordon()
    assert drain.phase is Phase.CORDONED
    admin.uncordon()
    admin.uncordon()
    assert drain.phase is Phase.SERVING


async def test_a_draining_node_refuses_a_cordon() -> None:
    drain, _, admin = controls()
    drain.stop()
    with pytest.raises(WrongEvent):
        admin.cordon()

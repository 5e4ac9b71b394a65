from __future__ import annotations

import pytest

from lastcall.core.lifecycle import Event, Phase
from lastcall.errors import WrongEvent
from lastcall.policy import DrainPolicy
from lastcall.runtime.drain import Drain
from lastcall.runtime.process import _AdminControls
from lastcall.runtime.signals import StopRequests


def controls() -> tuple[Drain, StopRequests, _AdminControls]:
    life, stops = Drain(DrainPolicy(), end_process=lambda _code: None), StopRequests()
    life._step(Event.READY)
    return life, stops, _AdminControls(life, stops)


def test_a_drain_that_is_asked_for_twice_over_http_does_not_cut() -> None:
    _, stops, told = controls()
    told.drain()
    told.drain()
    assert stops.count == 1


def test_a_drain_after_a_signal_is_no_second_signal() -> None:
    _, stops, told = controls()
    stops.request()
    told.drain()
    assert stops.count == 1


def test_what_is_so_already_may_be_said_again() -> None:
    life, _, told = controls()
    told.cordon()
    told.cordon()
    assert life.phase is Phase.CORDONED
    told.uncordon()
    told.uncordon()
    assert life.phase is Phase.SERVING


def test_a_draining_node_takes_no_cordon() -> None:
    life, _, told = controls()
    life._life.on(Event.STOP)
    with pytest.raises(WrongEvent):
        told.cordon()

from __future__ import annotations

import pytest

from lastcall.core.lifecycle import TABLE, Event, Lifecycle, Phase, diagram
from lastcall.errors import WrongEvent


def phase_after(*events: Event) -> Phase:
    lifecycle = Lifecycle()
    for event in events:
        lifecycle.on(event)
    return lifecycle.phase


def test_a_node_serves_drains_and_stops() -> None:
    assert phase_after(Event.READY, Event.STOP, Event.EMPTIED) is Phase.STOPPED


def test_the_second_signal_cuts() -> None:
    assert phase_after(Event.READY, Event.STOP, Event.STOP) is Phase.CUTTING


def test_a_stop_while_starting_stops_the_node() -> None:
    assert phase_after(Event.STOP) is Phase.STOPPED


def test_a_cordon_is_reversible() -> None:
    assert phase_after(Event.READY, Event.CORDON, Event.UNCORDON) is Phase.SERVING


def test_an_event_without_a_step_raises_and_changes_nothing() -> None:
    lifecycle = Lifecycle()
    with pytest.raises(WrongEvent, match="deadline is for a node that is draining; this one is st"):
        lifecycle.on(Event.DEADLINE)
    assert lifecycle.phase is Phase.STARTING


def test_every_phase_can_reach_stopped() -> None:
    found = {Phase.STOPPED}
    while more := {p for p, steps in TABLE.items() if found & set(steps.values())} - found:
        found |= more
    assert found == set(Phase)


def test_the_diagram_has_each_step_of_the_table() -> None:
    lines = diagram().splitlines()
    steps = [f"    {p} --> {to}: {e}" for p, table in TABLE.items() for e, to in table.items()]
    assert [line for line in lines if ": " in line] == steps

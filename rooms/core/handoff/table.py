"""A table of states and events: one step in it, and its picture."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TypeVar

from lastcall.errors import WrongEvent

State = TypeVar("State", bound=enum.StrEnum)
Event = TypeVar("Event", bound=enum.StrEnum)


def step(table: Mapping[State, Mapping[Event, State]], state: State, event: Event) -> State:
    """The state after ``event``; raises :class:`WrongEvent` if the table has no such step."""
    if event not in table[state]:
        expected = ", ".join(table[state]) or "nothing more"
        raise WrongEvent(f"a hand-off that is {state} takes {expected}; not {event}")
    return table[state][event]


def diagram_of(table: Mapping[State, Mapping[Event, State]], first: State) -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {first}"]
    for state, steps in table.items():
        lines += [f"    {state} --> {after}: {event}" for event, after in steps.items()]
        if not steps:
            lines.append(f"    {state} --> [*]")
    return "\n".join(lines)

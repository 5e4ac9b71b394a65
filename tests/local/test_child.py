"""The environment of a node in a local cluster."""

from __future__ import annotations

import sys

import pytest
import trio

from lastcall.local.child import Child
from lastcall.wire.reports import HandOffRefusal

PRINT_VARIABLES = (
    "import os; print([os.environ.get(f'LASTCALL_{key}') for key in ('PUMP', 'GRACE')])"
)


async def test_a_node_inherits_lastcall_pump_and_no_other_option_of_the_cluster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LASTCALL_PUMP", "off")
    monkeypatch.setenv("LASTCALL_GRACE", "7")
    child = Child("api-1", "api", [sys.executable, "-c", PRINT_VARIABLES])
    with trio.fail_after(20):
        await child.run()
    assert list(child.output.lines) == ["['off', None]"]


REFUSE = """
import json
for number in range(40):
    for _ in range(2):
        refused = {"event": "handoff.refused", "at": "1", "level": "warning", "room": "r"}
        print(json.dumps(refused | {"kind": "den", "reason": f"reason {number}"}))
"""


async def test_the_reasons_why_other_nodes_refused_rooms_are_kept_once_each_up_to_a_bound() -> None:
    child = Child("game-1", "game", [sys.executable, "-c", REFUSE])
    with trio.fail_after(20):
        await child.run()
    assert list(child.refusals) == [HandOffRefusal("den", f"reason {n}") for n in range(16)]

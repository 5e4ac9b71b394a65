"""The environment of a node in a local cluster."""

from __future__ import annotations

import sys

import pytest
import trio

from lastcall.local.child import Child

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

"""The nodes of the bench, as real processes."""

from __future__ import annotations

import pytest
import trio

from lastcall.bench.nodes.fleet import FleetPlan, open_fleet

ROOMS = """
import warnings
from lastcall import room

@room("careless", seats=1)
async def careless(table):
    pass

warnings.warn("this module is careless")
"""


@pytest.mark.e2e
async def test_a_warning_of_a_node_is_shown_beside_the_figures(monkeypatch, tmp_path, capsys):
    (tmp_path / "careless_rooms.py").write_text(ROOMS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with trio.fail_after(30):
        async with open_fleet(FleetPlan(apis=1, games=1, rooms="careless_rooms")):
            pass
    out, err = capsys.readouterr()
    assert out == ""
    assert "UserWarning: this module is careless" in err
    assert err.startswith("game-1: ")

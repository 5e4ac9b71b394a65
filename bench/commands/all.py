"""``python -m bench all``: every scenario on nodes of the bench, short."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from lastcall.bench.commands.options import json_option
from lastcall.bench.commands.runner import Measure, run_scenarios
from lastcall.bench.scenarios.connecting import ConnectSettings, measure_connect
from lastcall.bench.scenarios.cut_sockets import CutSettings, measure_cut
from lastcall.bench.scenarios.drain import DrainSettings, measure_drain
from lastcall.bench.scenarios.hand_off import HandOffSettings, measure_hand_off
from lastcall.bench.scenarios.kill_api import KillSettings, measure_kill
from lastcall.bench.scenarios.latency import LatencySettings, measure_latency
from lastcall.bench.scenarios.loaded import (
    LoadedSettings,
    measure_loaded,
)
from lastcall.bench.scenarios.memory import MemorySettings, measure_memory
from lastcall.bench.scenarios.move_clients import MoveSettings, measure_move
from lastcall.bench.scenarios.resuming import ResumeSettings, measure_resume
from lastcall.bench.scenarios.scale import ScaleSettings, measure_scale

SCENARIOS: tuple[Measure, ...] = (
    *(
        partial(measure_loaded, name, LoadedSettings(seconds=4.0), ())
        for name in ("fanout", "inbound", "round")
    ),
    partial(measure_latency, LatencySettings(seconds=5.0), ()),
    partial(measure_connect, ConnectSettings(), ()),
    partial(measure_memory, MemorySettings()),
    partial(
        measure_drain,
        DrainSettings(runs=1, idle=2_000, spread_seconds=2.0, bots=40),
        ("ready", "gone", "move"),
    ),
    partial(measure_kill, KillSettings(calm_seconds=4.0)),
    partial(measure_cut, CutSettings(seconds=8)),
    partial(measure_move, MoveSettings(clients=2_000, spread_seconds=4.0)),
    partial(measure_hand_off, HandOffSettings(rooms=500)),
    partial(measure_resume, ResumeSettings(resumes=500)),
    partial(measure_scale, ScaleSettings(seconds=3.0)),
)


@click.command("all")
@json_option
def run_all(json_file: Path | None) -> int:
    """Every scenario on nodes of the bench, with short defaults: about five minutes.

    A scenario that fails does not stop the others. `peers` is not included.
    """
    return run_scenarios(SCENARIOS, json_file)

"""``python -m bench all``: each scenario of our own nodes, short."""

from __future__ import annotations

from pathlib import Path

import click

from lastcall.bench.commands.runner import Measure, json_option, run_scenarios
from lastcall.bench.scenarios.cut_sockets import CutSettings, measure_cut
from lastcall.bench.scenarios.drain import DrainSettings, measure_drain
from lastcall.bench.scenarios.kill_api import KillSettings, measure_kill
from lastcall.bench.scenarios.latency import LatencySettings, measure_latency
from lastcall.bench.scenarios.loaded import (
    ConnectSettings,
    LoadedSettings,
    measure_connect,
    measure_loaded,
)
from lastcall.bench.scenarios.memory import MemorySettings, measure_memory
from lastcall.bench.scenarios.move_clients import MoveSettings, measure_move
from lastcall.bench.scenarios.resuming import ResumeSettings, measure_resume
from lastcall.bench.scenarios.scale import ScaleSettings, measure_scale

__all__ = ["every"]

LOADED = LoadedSettings(seconds=4.0)
LATENCY = LatencySettings(seconds=5.0)
CONNECT = ConnectSettings()
MEMORY = MemorySettings()
DRAIN = DrainSettings(runs=1, idle=2_000, spread_seconds=2.0, bots=40)
DRAIN_PARTS = ("ready", "gone", "move")
KILL = KillSettings(calm_seconds=4.0)
CUT = CutSettings(seconds=8)
MOVE = MoveSettings(clients=2_000, spread_seconds=4.0)
RESUME = ResumeSettings(resumes=500)
SCALE = ScaleSettings(seconds=3.0)

SCENARIOS: tuple[Measure, ...] = (
    lambda progress: measure_loaded("fanout", LOADED, (), progress),
    lambda progress: measure_loaded("inbound", LOADED, (), progress),
    lambda progress: measure_loaded("round", LOADED, (), progress),
    lambda progress: measure_latency(LATENCY, (), progress),
    lambda progress: measure_connect(CONNECT, (), progress),
    lambda progress: measure_memory(MEMORY, progress),
    lambda progress: measure_drain(DRAIN, DRAIN_PARTS, progress),
    lambda progress: measure_kill(KILL, progress),
    lambda progress: measure_cut(CUT, progress),
    lambda progress: measure_move(MOVE, progress),
    lambda progress: measure_resume(RESUME, progress),
    lambda progress: measure_scale(SCALE, progress),
)


@click.command("all")
@json_option
def every(json_file: Path | None) -> None:
    """Every scenario on nodes of our own, with short defaults: some five minutes.

    One that fails does not end the others. `peers` is apart.
    """
    run_scenarios(SCENARIOS, json_file)

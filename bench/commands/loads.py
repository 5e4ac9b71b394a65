"""The commands of the scenarios that load nodes: our own, or a cluster that ``--url`` names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

from lastcall.bench.commands.runner import json_option, run_scenario
from lastcall.bench.rooms.kinds import RELAY
from lastcall.bench.scenarios.latency import LatencySettings, measure_latency
from lastcall.bench.scenarios.loaded import (
    ConnectSettings,
    LoadedSettings,
    measure_connect,
    measure_loaded,
)
from lastcall.bench.scenarios.scale import ScaleSettings, measure_scale
from lastcall.errors import UsageError

__all__ = ["LOADS"]

F = TypeVar("F", bound=Callable[..., Any])


def _check_urls(_context: click.Context, _option: click.Parameter, urls: Any) -> tuple[str, ...]:
    for url in urls:
        where = urlsplit(url)
        if where.scheme != "ws" or not where.hostname or not where.port:
            raise UsageError(f"--url {url}: it takes ws://HOST:PORT/ (no TLS; measure behind it)")
    return tuple(urls)


url_option = click.option(
    "--url",
    "urls",
    multiple=True,
    callback=_check_urls,
    metavar="ws://HOST:PORT/",
    help="Load this cluster instead of nodes of our own; repeat it for several api nodes.",
)
processes_option = click.option(
    "--processes",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Of the load, at most one for each room.",
)


kind_option = click.option(
    "--kind",
    default="",
    show_default=f"{RELAY}; lounge with --url",
    help="Of the rooms. It must repeat what is said to all in it, as `lounge` does.",
)


def _given(settings: dict[str, Any], urls: tuple[str, ...]) -> dict[str, Any]:
    """What was said; where it was not, the scenario knows. Other people's nodes have a lounge."""
    kind = settings["kind"] or ("lounge" if urls else "")
    return {key: value for key, value in (settings | {"kind": kind}).items() if value}


def _seconds(default: float, warm: float) -> Callable[[F], F]:
    def both(command: F) -> F:
        counted = click.option(
            "--seconds",
            type=click.FloatRange(1),
            default=default,
            show_default=True,
            help="That count.",
        )
        before = click.option(
            "--warm",
            "warm_seconds",
            type=click.FloatRange(0),
            default=warm,
            show_default=True,
            metavar="SECONDS",
            help="That go before them.",
        )
        return counted(before(command))

    return both


def _loaded(name: str, text: str) -> click.Command:
    @url_option
    @kind_option
    @click.option("--rooms", type=click.IntRange(1), metavar="N", help="How many.")
    @click.option("--seats", type=click.IntRange(1), metavar="N", help="Clients in each room.")
    @click.option(
        "--hz",
        type=click.FloatRange(0, min_open=True),
        metavar="N",
        help="So often does each speaker speak in a second.",
    )
    @_seconds(5.0, 2.0)
    @processes_option
    @json_option
    def command(json_file: Path | None, urls: tuple[str, ...], **settings: Any) -> None:
        chosen = LoadedSettings(**_given(settings, urls))
        run_scenario(lambda progress: measure_loaded(name, chosen, urls, progress), json_file)

    command.__doc__ = text
    return click.command(name)(command)


fanout = _loaded(
    "fanout",
    """One room of 500: what a delivery costs.

    Eight speakers have 32 inputs of 100 bytes under way, always, which the room repeats to all.
    With --hz they speak at that pace instead. A `lounge` has 50 seats: say --seats 50 with --url.
    """,
)
inbound = _loaded(
    "inbound",
    """1,000 clients that say 10 things a second: what a frame costs that goes no further.

    The frame is a `got` of 100 bytes, which ends in the session. `said` is the same with inputs of
    100 bytes to rooms that are silent: through both tiers, and nothing comes back but acks.
    """,
)
rounds = _loaded(
    "round",
    """250 rooms of 4 that say 10 things a second each: what an input costs that all 4 hear.

    Each client checks that it hears everybody's numbers in their order, once; else the run fails.
    """,
)


@click.command()
@url_option
@kind_option
@click.option("--rooms", type=click.IntRange(1), default=250, show_default=True, help="Under load.")
@click.option("--seats", type=click.IntRange(1), default=4, show_default=True, help="In each.")
@click.option(
    "--rate",
    "inputs_per_second",
    type=click.FloatRange(0),
    default=0.0,
    show_default="half of full load",
    metavar="N",
    help="Inputs in a second, under load.",
)
@_seconds(10.0, 2.0)
@processes_option
@json_option
def latency(json_file: Path | None, urls: tuple[str, ...], **settings: Any) -> None:
    """The time from a client's say to its own msg: one room at rest, and at half of full load.

    A message goes socket, api node, game node, room, and back to all in the room. Full load is
    where the busier node's core would be full, by what an input costs it.
    """
    run_scenario(
        lambda progress: measure_latency(LatencySettings(**_given(settings, urls)), urls, progress),
        json_file,
    )


@click.command()
@url_option
@kind_option
@click.option("--rooms", type=click.IntRange(1), default=1_000, show_default=True, help="New ones.")
@click.option("--seats", type=click.IntRange(1), default=4, show_default=True, help="In each.")
@processes_option
@json_option
def connect(json_file: Path | None, urls: tuple[str, ...], **settings: Any) -> None:
    """Clients that connect and join, 64 at a time: joins per second, and what one costs."""
    run_scenario(
        lambda progress: measure_connect(ConnectSettings(**_given(settings, urls)), urls, progress),
        json_file,
    )


def _numbers(_context: click.Context, option: click.Parameter, text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(one) for one in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1:
        raise UsageError(f"--{option.name} {text!r}: it takes numbers with commas, such as 1,2,4")
    return numbers


@click.command()
@click.option("--rooms", default="100,1000,10000", show_default=True, callback=_numbers)
@click.option("--apis", default="1,2,4", show_default=True, callback=_numbers, help="Api nodes.")
@click.option("--seats", type=click.IntRange(1), default=1, show_default=True, help="In each.")
@click.option(
    "--rate",
    "inputs_per_second",
    type=click.FloatRange(1),
    default=2_000.0,
    show_default=True,
    metavar="N",
    help="Inputs in a second, of all together, always the same.",
)
@_seconds(5.0, 2.0)
@processes_option
@json_option
def scale(json_file: Path | None, **settings: Any) -> None:
    """The same inputs per second over 100, 1,000 and 10,000 rooms, and over 1, 2 and 4 api nodes.

    With --seats the members of a room are on different api nodes. `grows to` is the dearest of
    the rooms' parts as a multiple of the first.
    """
    run_scenario(lambda progress: measure_scale(ScaleSettings(**settings), progress), json_file)


LOADS: tuple[click.Command, ...] = (fanout, inbound, rounds, latency, connect, scale)

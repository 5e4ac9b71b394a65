"""The commands of the scenarios that load nodes: the bench's own, or the cluster at ``--url``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from lastcall.bench.commands.options import F, amount, count, json_option, measured
from lastcall.bench.commands.runner import run_scenario
from lastcall.bench.rooms.kinds import RELAY
from lastcall.bench.scenarios.connecting import ConnectSettings, measure_connect
from lastcall.bench.scenarios.latency import LatencySettings, measure_latency
from lastcall.bench.scenarios.loaded import (
    LoadedSettings,
    measure_loaded,
    measure_tls,
)
from lastcall.bench.scenarios.scale import ScaleSettings, measure_scale
from lastcall.bench.scenarios.tokens import TokenSettings, measure_tokens
from lastcall.errors import UsageError


def _check_urls(_context: click.Context, _option: click.Parameter, urls: Any) -> tuple[str, ...]:
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme != "ws" or not parts.hostname or not parts.port:
            raise UsageError(f"--url {url}: it takes ws://HOST:PORT/ (no TLS; measure behind it)")
    return tuple(urls)


url_option = click.option(
    "--url",
    "urls",
    multiple=True,
    callback=_check_urls,
    metavar="ws://HOST:PORT/",
    help="Load this cluster instead of new nodes; repeat it for several api nodes.",
)
processes_option = count("--processes", 1, "Processes of the load, at most one for each room.")
kind_option = click.option(
    "--kind",
    default="",
    show_default=f"{RELAY}; lounge with --url",
    help="Kind of the rooms. It must repeat what is said to all in the room, as `lounge` does.",
)


def _given(settings: dict[str, Any], urls: tuple[str, ...]) -> dict[str, Any]:
    """The given options; the default kind on other clusters is the lounge."""
    kind = settings["kind"] or ("lounge" if urls else "")
    return {key: value for key, value in (settings | {"kind": kind}).items() if value}


def _loaded(name: str, text: str) -> click.Command:
    @url_option
    @click.option(
        "--tls",
        "tls_runs",
        type=click.IntRange(1, 99),
        metavar="RUNS",
        help="Compare with mutual TLS between the nodes: this many runs of each, by turns.",
    )
    @kind_option
    @click.option("--rooms", type=click.IntRange(1), metavar="N", help="Number of rooms.")
    @click.option("--seats", type=click.IntRange(1), metavar="N", help="Clients in each room.")
    @amount("--hz", "hz", None, "N", "Inputs per second of each speaker.", above=True)
    @measured(5.0, 2.0)
    @processes_option
    @json_option
    def command(
        json_file: Path | None, urls: tuple[str, ...], tls_runs: int | None, **settings: Any
    ) -> int:
        chosen = LoadedSettings(**_given(settings, urls))
        if tls_runs is None:
            return run_scenario(
                lambda progress: measure_loaded(name, chosen, urls, progress), json_file
            )
        if urls:
            raise UsageError("--tls starts nodes of its own, and takes no --url")
        return run_scenario(
            lambda progress: measure_tls(name, chosen, tls_runs, progress), json_file
        )

    command.__doc__ = text
    return click.command(name)(command)


fanout = _loaded(
    "fanout",
    """One room of 500: the cost of a delivery.

    Eight speakers always have 32 inputs of 100 bytes in flight, which the room repeats to all. With
    --hz they speak at that pace instead. A `lounge` has 50 seats: use --seats 50 with --url.
    """,
)
inbound = _loaded(
    "inbound",
    """1,000 clients, 10 frames a second each: the cost of a frame that only the api node handles.

    The frame is a `got` of 100 bytes, which ends in the session. `said` is the same with inputs of
    100 bytes to silent rooms: they go through both tiers, and only acks come back.
    """,
)
rounds = _loaded(
    "round",
    """250 rooms of 4 clients, 10 inputs a second each: the cost of an input that all 4 hear.

    Each client checks that it hears all inputs of its room in order and once; else the run fails.
    """,
)


@click.command()
@url_option
@click.option("--serve", is_flag=True, help="Measure `lastcall serve`, both tiers in one process.")
@kind_option
@count("--rooms", 250, "Number of rooms under load.")
@count("--seats", 4, "Clients in each room.")
@amount(
    *("--rate", "inputs_per_second", 0.0, "N", "Inputs per second, under load."),
    shown="half of full load",
)
@measured(10.0, 2.0)
@processes_option
@json_option
def latency(json_file: Path | None, urls: tuple[str, ...], **settings: Any) -> int:
    """The time from a client's say to its own msg, in one room at rest and at half of full load.

    A message goes through the socket, the api node, the game node and the room, and back to all in
    the room. Full load is the rate that would fill the busier node's core, by its cost of an input.
    """
    if urls and settings["serve"]:
        raise UsageError("--serve starts a node of its own, and takes no --url")
    return run_scenario(
        lambda progress: measure_latency(LatencySettings(**_given(settings, urls)), urls, progress),
        json_file,
    )


@click.command()
@url_option
@kind_option
@count("--rooms", 1_000, "Number of new rooms.")
@count("--seats", 4, "Clients in each room.")
@click.option(
    "--jwt",
    "token_runs",
    type=click.IntRange(1, 99),
    metavar="RUNS",
    help="Clients that only connect, anonymous ones and some with tokens (RS256, ES256).",
)
@processes_option
@json_option
def connect(
    json_file: Path | None, urls: tuple[str, ...], token_runs: int | None, **settings: Any
) -> int:
    """Clients that connect and join, 64 at a time: joins per second, and the cost of a join."""
    chosen = ConnectSettings(**_given(settings, urls))
    if token_runs is None:
        return run_scenario(lambda progress: measure_connect(chosen, urls, progress), json_file)
    if urls:
        raise UsageError("--jwt starts nodes of its own, and takes no --url")
    tokens = TokenSettings(chosen.clients, token_runs)
    return run_scenario(lambda progress: measure_tokens(tokens, progress), json_file)


def _numbers(_context: click.Context, option: click.Parameter, text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(one) for one in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1:
        raise UsageError(f"--{option.name} {text!r}: it takes numbers with commas, such as 1,2,4")
    return numbers


def _numbers_option(flag: str, default: str, text: str) -> Callable[[F], F]:
    return click.option(flag, default=default, show_default=True, callback=_numbers, help=text)


@click.command()
@_numbers_option("--rooms", "100,1000,10000", "Numbers of rooms to compare.")
@_numbers_option("--apis", "1,2,4", "Numbers of api nodes to compare.")
@count("--seats", 1, "Clients in each room.")
@amount(
    *("--rate", "inputs_per_second", 2_000.0, "N"),
    "Inputs per second of all clients together, in every comparison.",
    least=1,
)
@measured(5.0, 2.0)
@processes_option
@json_option
def scale(json_file: Path | None, **settings: Any) -> int:
    """The same inputs per second over 100, 1,000 and 10,000 rooms, and over 1, 2 and 4 api nodes.

    With --seats the clients of a room are on different api nodes. `grows to` is the highest cost of
    an input among the numbers of rooms, as a multiple of the first.
    """
    return run_scenario(
        lambda progress: measure_scale(ScaleSettings(**settings), progress), json_file
    )


LOADS: tuple[click.Command, ...] = (fanout, inbound, rounds, latency, connect, scale)

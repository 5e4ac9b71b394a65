"""The scenarios ``fanout``, ``inbound`` and ``round``: the cost of messages.

They run on nodes of the bench, or with ``--url`` on any cluster, whose processor time is unknown.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec
from rich.progress import Progress

from lastcall.bench.load.drive import Driven, drive
from lastcall.bench.load.messages import Job
from lastcall.bench.load.workloads import WORKLOADS, check, parts_micros
from lastcall.bench.nodes.certificates import write_certificates
from lastcall.bench.nodes.fleet import WIDE_LIMITS
from lastcall.bench.nodes.proc import allow_descriptors
from lastcall.bench.peers.contenders import open_service
from lastcall.bench.report.report import Figure, Report, percentiles_ms
from lastcall.local.private_folder import private_folder

TLS_TIMES = 1.35
"""How many times as much a message may cost over mutual TLS between the nodes."""
NOT_KNOWN = "The processor time of the cluster's nodes is not known here, and is left out."


class LoadedSettings(msgspec.Struct, frozen=True):
    """Changes to a workload's numbers; 0 and "" leave them as they are."""

    rooms: int = 0
    seats: int = 0
    hz: float = 0.0
    seconds: float = 5.0
    warm_seconds: float = 2.0
    processes: int = 1
    kind: str = ""


async def measure_loaded(
    name: str, settings: LoadedSettings, urls: Sequence[str], progress: Progress
) -> Report:
    """Runs the workload ``name``. Raises ``UsageError``, ``ClusterFailed`` and ``LoadFailed``."""
    figures: list[Figure] = []
    # ``said`` needs a silent room, which other clusters do not have.
    for workload in ["inbound", "said"] if name == "inbound" and not urls else [name]:
        job = _job(workload, settings)
        allow_descriptors(job.clients)
        async with open_service(urls) as service:
            job = msgspec.structs.replace(job, urls=service.urls)
            driven = await drive(job, service.read_cpu, progress, settings.processes)
        found = _figures(workload, check(driven, workload))
        figures += found if workload == name else renamed(workload, found)
    shown = ("rooms", "seats", "speakers", "hz", "window", "warm_seconds", "seconds")
    chosen = {key: getattr(job, key) for key in shown if getattr(job, key)}
    return Report(
        name, chosen | ({} if urls else WIDE_LIMITS), figures, (NOT_KNOWN,) if urls else ()
    )


async def measure_tls(name: str, settings: LoadedSettings, runs: int, progress: Progress) -> Report:
    """Runs the workload ``name`` plain and over mutual TLS between the nodes, by turns.

    Raises ``UsageError``, ``ClusterFailed`` and ``LoadFailed``.
    """
    job = _job(name, settings)
    allow_descriptors(job.clients)
    costs: dict[str, list[float]] = {"plain": [], "mutual TLS": []}
    with private_folder("lastcall-bench-") as folder:
        tls = ("--cluster-tls", str(write_certificates(folder)))
        for _ in range(runs):
            for way, options in (("plain", ()), ("mutual TLS", tls)):
                async with open_service(options=options) as service:
                    job = msgspec.structs.replace(job, urls=service.urls)
                    driven = await drive(job, service.read_cpu, progress, settings.processes)
                found = sum(parts_micros(check(driven, name), "input").values())
                costs[way].append(found)
    figures = [
        Figure(
            f"CPU per input, all nodes, {way}", statistics.median(found), "µs", runs=tuple(found)
        )
        for way, found in costs.items()
    ]
    plain, encrypted = figures
    times = encrypted.value / plain.value
    figures.append(Figure("mutual TLS costs", times, "times", limit=TLS_TIMES))
    return Report(name, {"runs": runs, "seconds": job.seconds}, figures)


def renamed(when: str, figures: Sequence[Figure]) -> list[Figure]:
    """The figures with ``when`` in front of their names."""
    return [msgspec.structs.replace(one, name=f"{when}: {one.name}") for one in figures]


def _job(name: str, settings: LoadedSettings) -> Job:
    usual = WORKLOADS[name].job
    given = {key: value for key, value in msgspec.structs.asdict(settings).items() if value}
    del given["processes"]
    given["warm_seconds"] = settings.warm_seconds
    job = msgspec.structs.replace(usual, **given, window=0 if settings.hz else usual.window)
    all_speak = usual.speakers == usual.seats
    speakers = job.seats if all_speak else min(job.speakers, job.seats)
    return msgspec.structs.replace(job, speakers=speakers)


def _figures(name: str, driven: Driven) -> list[Figure]:
    found, unit = driven.outcome, WORKLOADS[name].unit
    plural = {"delivery": "deliveries", "input": "inputs"}[unit]
    count = found.deliveries if unit == "delivery" else found.inputs
    figures = [
        Figure(f"CPU per {unit}, {node}", micros, "µs")
        for node, micros in parts_micros(driven, unit).items()
    ]
    if driven.cpu:
        figures.append(Figure(f"{plural} per CPU second", count / driven.cpu_seconds, "1/s"))
    figures.append(Figure("inputs", found.inputs / found.seconds, "1/s"))
    if driven.job.echo:
        figures.append(Figure("deliveries", found.deliveries / found.seconds, "1/s"))
        figures += own_message_figures(driven)
    return [*figures, *load_figures(driven)]


def own_message_figures(driven: Driven, limits: dict[str, float] | None = None) -> list[Figure]:
    """The times from a say to the speaker's own message; ``limits`` in ms by ``p50`` and so on."""
    words = ("p50", "p99", "max")
    times = percentiles_ms(driven.outcome.own_micros, 50, 99, 100)
    return [
        Figure(f"say to own msg, {word}", value, "ms", (limits or {}).get(word))
        for word, value in zip(words, times, strict=True)
    ]


def load_figures(driven: Driven) -> list[Figure]:
    """The load's own processor time and delay; neither is the servers' fault."""
    found = driven.outcome
    used = 100 * found.cpu_seconds / found.seconds
    figures = [Figure("the load itself, of a core", used, "%")]
    if found.late_micros:
        late = percentiles_ms(found.late_micros, 99)[0]
        figures.append(Figure("… was late by, p99", late, "ms"))
    return figures

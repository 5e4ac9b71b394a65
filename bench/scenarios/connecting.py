"""The scenario ``connect``: the cost of a client that connects and joins, perhaps with a token."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import jwt
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from rich.progress import Progress

from lastcall.bench.load.drive import Driven, ReadCpu, drive
from lastcall.bench.load.messages import MICROS, Job
from lastcall.bench.nodes.fleet import WIDE_LIMITS
from lastcall.bench.nodes.proc import allow_descriptors
from lastcall.bench.peers.contenders import Service, open_service
from lastcall.bench.report.report import Figure, Report
from lastcall.bench.rooms.kinds import RELAY
from lastcall.bench.scenarios.loaded import NOT_KNOWN
from lastcall.local.private_folder import private_folder

JOINS_LEAST = 1_500.0
CONNECTING_AT_ONCE = 64
TOKEN_MICROS = 150.0
"""How much more a client with a token may cost."""
ANONYMOUS = "anonymous"
KEYS: Mapping[str, Callable[[], ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey]] = {
    "RS256": partial(rsa.generate_private_key, 65_537, 2_048),
    "ES256": partial(ec.generate_private_key, ec.SECP256R1()),
}
"""The algorithms of most identity providers, with new keys."""


class ConnectSettings(msgspec.Struct, frozen=True):
    """The size of the run."""

    rooms: int = 1_000
    seats: int = 4
    processes: int = 1
    kind: str = RELAY

    @property
    def clients(self) -> int:
        """The number of all clients."""
        return self.rooms * self.seats


class Signed(msgspec.Struct, frozen=True):
    """A token for each client, and the environment of nodes that ask for it."""

    tokens: list[str]
    api_env: tuple[str, ...]


async def measure_connect(
    settings: ConnectSettings, urls: Sequence[str], progress: Progress
) -> Report:
    """Runs ``connect``. Raises ``UsageError``, ``ClusterFailed`` and ``LoadFailed``."""
    allow_descriptors(settings.clients)
    async with open_service(urls) as service:
        driven = await _connect(settings, service.urls, service.read_cpu, progress)
    joins = settings.clients / driven.seating_seconds
    shown = {key: value for key, value in msgspec.to_builtins(settings).items() if key != "kind"}
    return Report(
        "connect",
        shown | ({} if urls else WIDE_LIMITS),
        [
            Figure("joins", joins, "1/s", least=JOINS_LEAST),
            *(
                Figure(f"CPU per join, {node}", MICROS * used / settings.clients, "µs")
                for node, used in driven.seating_cpu.items()
            ),
        ],
        (NOT_KNOWN,) if urls else (),
    )


async def measure_tokens(settings: ConnectSettings, runs: int, progress: Progress) -> Report:
    """Runs ``connect`` in one service for anonymous clients, and in one for each algorithm, with a
    token of its own for each client. All run at the same time, and get room after room by turns: so
    whatever disturbs one disturbs all, and a run compares them.

    Raises ``UsageError``, ``ClusterFailed`` and ``LoadFailed``.
    """
    allow_descriptors(settings.clients)
    costs: dict[str, list[float]] = {way: [] for way in (ANONYMOUS, *KEYS)}
    with private_folder("lastcall-bench-") as folder:
        signed = {way: _sign(way, folder / f"{way}.pem", settings.clients) for way in KEYS}
        for _ in range(runs):
            used = await _connect_by_turns(settings, signed, progress)
            for way, micros in used.items():
                costs[way].append(micros)
    figures = [
        Figure(f"CPU per join, all nodes, {way}", statistics.median(found), "µs", runs=tuple(found))
        for way, found in costs.items()
    ]
    for way in KEYS:
        more = [
            known - anonymous for known, anonymous in zip(costs[way], costs[ANONYMOUS], strict=True)
        ]
        name = f"a token costs, {way}"
        value = statistics.median(more)
        figures.append(Figure(name, value, "µs", limit=TOKEN_MICROS, runs=tuple(more)))
    shown = {"runs": runs, "rooms": settings.rooms, "seats": settings.seats}
    return Report("connect", shown | WIDE_LIMITS, figures)


async def _connect_by_turns(
    settings: ConnectSettings, signed: Mapping[str, Signed], progress: Progress
) -> dict[str, float]:
    """The processor time of all nodes of a service for each join, in µs, by the way in."""
    ways = (ANONYMOUS, *KEYS)
    async with AsyncExitStack() as stack:
        services: dict[str, Service] = {}
        for way in ways:
            api_env = signed[way].api_env if way in signed else ()
            services[way] = await stack.enter_async_context(open_service(api_env=api_env))
        turns = [ways[client // settings.seats % len(ways)] for client in range(settings.clients)]
        urls = tuple(
            f"{services[way].urls[0]}?token={signed.get(way, signed['RS256']).tokens[client]}"
            for client, way in enumerate(turns)
        )

        def read_cpu() -> dict[str, float]:
            return {way: sum(service.read_cpu().values()) for way, service in services.items()}

        driven = await _connect(settings, urls, read_cpu, progress)
    return {way: MICROS * driven.seating_cpu[way] / turns.count(way) for way in ways}


def _sign(algorithm: str, file: Path, clients: int) -> Signed:
    """Tokens for an hour; ``file`` gets the key."""
    key = KEYS[algorithm]()
    file.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    claims = {"name": "Bench", "exp": int(time.time()) + 3600}
    tokens = [jwt.encode(claims | {"sub": f"player-{n}"}, key, algorithm) for n in range(clients)]
    return Signed(tokens, ("LASTCALL_AUTH=jwt", f"LASTCALL_JWT_KEY_FILE={file}"))


async def _connect(
    settings: ConnectSettings, urls: tuple[str, ...], read_cpu: ReadCpu, progress: Progress
) -> Driven:
    job = Job(
        urls=urls,
        rooms=settings.rooms,
        seats=settings.seats,
        kind=settings.kind,
        opening_at_once=CONNECTING_AT_ONCE,
    )
    return await drive(job, read_cpu, progress, settings.processes)

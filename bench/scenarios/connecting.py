"""The scenario ``connect``: the cost of a client that connects and joins, perhaps with a token."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
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
from lastcall.bench.peers.contenders import open_service
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
    """Runs ``connect`` with anonymous clients, and with the tokens of each algorithm, by turns.

    Raises ``UsageError``, ``ClusterFailed`` and ``LoadFailed``.
    """
    allow_descriptors(settings.clients)
    costs: dict[str, list[float]] = {way: [] for way in (ANONYMOUS, *KEYS)}
    with private_folder("lastcall-bench-") as folder:
        tokens = {way: _token(way, folder / f"{way}.pem") for way in KEYS}
        for _ in range(runs):
            for way, found in costs.items():
                token, api_env = tokens.get(way, (tokens["RS256"][0], ()))
                async with open_service(api_env=api_env) as service:
                    urls = tuple(f"{url}?token={token}" for url in service.urls)
                    driven = await _connect(settings, urls, service.read_cpu, progress)
                used = sum(driven.seating_cpu.values())
                found.append(MICROS * used / settings.clients)
    figures = [
        Figure(f"CPU per join, all nodes, {way}", statistics.median(found), "µs", runs=tuple(found))
        for way, found in costs.items()
    ]
    anonymous = figures[0].value
    figures += [
        Figure(f"a token costs, {way}", known.value - anonymous, "µs", limit=TOKEN_MICROS)
        for way, known in zip(KEYS, figures[1:], strict=True)
    ]
    shown = {"runs": runs, "rooms": settings.rooms, "seats": settings.seats}
    return Report("connect", shown | WIDE_LIMITS, figures)


def _token(algorithm: str, file: Path) -> tuple[str, tuple[str, ...]]:
    """A token for an hour, and the environment of nodes that ask for it; ``file`` gets the key."""
    key = KEYS[algorithm]()
    file.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    claims = {"sub": "bench", "name": "Bench", "exp": int(time.time()) + 3600}
    environment = ("LASTCALL_AUTH=jwt", f"LASTCALL_JWT_KEY_FILE={file}")
    return jwt.encode(claims, key, algorithm), environment


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

"""The scenario ``connect --jwt``: what a signed token adds to the cost of a client's connect."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import jwt
import msgspec
import trio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from rich.progress import Progress

from lastcall.bench.bots.visitor import Visitor
from lastcall.bench.load.messages import MICROS
from lastcall.bench.nodes.fleet import WIDE_LIMITS
from lastcall.bench.peers.contenders import Service, open_service
from lastcall.bench.report.report import Figure, Report
from lastcall.local.private_folder import private_folder

TOKEN_MICROS = 150.0
"""How much more a client with a token may cost."""
ANONYMOUS = "anonymous"
KEYS: Mapping[str, Callable[[], ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey]] = {
    "RS256": partial(rsa.generate_private_key, 65_537, 2_048),
    "ES256": partial(ec.generate_private_key, ec.SECP256R1()),
}
"""The algorithms of most identity providers, with new keys."""
WAYS = (ANONYMOUS, *KEYS)
AT_ONCE = 64
"""How many clients connect at a time, in one of the ways."""


class TokenSettings(msgspec.Struct, frozen=True):
    """The size: in each of the ``runs``, this number of ``clients`` connects in each way, after a
    tenth of them that does not count.
    """

    clients: int = 2_000
    runs: int = 1


class Signed(msgspec.Struct, frozen=True):
    """A token for each client, and the environment of nodes that ask for it."""

    tokens: list[str]
    api_env: tuple[str, ...]


async def measure_tokens(settings: TokenSettings, progress: Progress) -> Report:
    """Clients connect, hear ``hello`` and close: anonymous ones in one service, and in one for each
    algorithm some with a token of their own. They come to all services by turns, in any order: so
    whatever disturbs one disturbs all, and a run compares them.

    Raises ``UsageError``, ``ClusterFailed``, ``DialFailed`` and ``LoadFailed``.
    """
    costs: dict[str, list[float]] = {way: [] for way in WAYS}
    bar = progress.add_task("connecting", total=settings.runs * settings.clients)
    with private_folder("lastcall-bench-") as folder:
        signed = {way: _sign(way, folder / f"{way}.pem", settings.clients) for way in KEYS}
        for _ in range(settings.runs):
            used = await _visit_all(signed, settings.clients, partial(progress.advance, bar))
            for way, seconds in used.items():
                costs[way].append(MICROS * seconds / settings.clients)
    figures = [
        Figure(
            f"CPU per client, all nodes, {way}", statistics.median(found), "µs", runs=tuple(found)
        )
        for way, found in costs.items()
    ]
    for way in KEYS:
        more = [
            known - anonymous for known, anonymous in zip(costs[way], costs[ANONYMOUS], strict=True)
        ]
        name = f"a token costs, {way}"
        value = statistics.median(more)
        figures.append(Figure(name, value, "µs", limit=TOKEN_MICROS, runs=tuple(more)))
    return Report("connect --jwt", msgspec.to_builtins(settings) | WIDE_LIMITS, figures)


async def _visit_all(
    signed: Mapping[str, Signed], clients: int, done: Callable[[int], None]
) -> dict[str, float]:
    """The processor time, in seconds, of all nodes of a new service for each of :data:`WAYS`."""
    async with AsyncExitStack() as stack:
        services: dict[str, Service] = {}
        for way in WAYS:
            api_env = signed[way].api_env if way in signed else ()
            services[way] = await stack.enter_async_context(open_service(api_env=api_env))
        # the request of an anonymous client has the same bytes: its node does not read the token
        urls = {
            way: [
                f"{services[way].urls[0]}?token={token}"
                for token in signed.get(way, signed["RS256"]).tokens
            ]
            for way in WAYS
        }

        def read_cpu() -> dict[str, float]:
            return {way: sum(service.read_cpu().values()) for way, service in services.items()}

        await _visit(urls, range(-(-clients // 10)), lambda _: None)
        before = read_cpu()
        await _visit(urls, range(clients), done)
        return {way: used - before[way] for way, used in read_cpu().items()}


async def _visit(
    urls: Mapping[str, list[str]], clients: range, done: Callable[[int], None]
) -> None:
    for first in range(0, len(clients), AT_ONCE):
        some = clients[first : first + AT_ONCE]
        for way in random.sample(WAYS, len(WAYS)):
            async with trio.open_nursery() as nursery:
                for client in some:
                    nursery.start_soon(_visit_once, urls[way][client])
        done(len(some))


async def _visit_once(url: str) -> None:
    async with Visitor(url) as visitor:
        await visitor.until("hello")
        await visitor.close()


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

"""A cluster whose game nodes know each other, and players who talk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio

from lastcall.policy import DrainPolicy, SurvivalPolicy
from tests.harness.cluster import ApiProcess, Cluster, GameProcess
from tests.harness.player import Player
from tests.moves.rooms import KINDS

FOUND_SECONDS = 3.0
"""A name is asked for again after 2 s, and an address that refuses after 1 s at most."""
DRAIN = DrainPolicy(grace_seconds=10, farewell_seconds=4)
"""The cut is 6 s after the signal; rooms have 2 s from then to leave."""


async def start(
    c: Cluster,
    kinds: Mapping[str, Mapping[Any, Any]],
    *,
    drain: DrainPolicy = DRAIN,
    survival: SurvivalPolicy | None = None,
) -> tuple[ApiProcess, list[GameProcess]]:
    """Starts a game node for each name in ``kinds``, and an api node; all know each other.

    The first rooms are opened on the first node.
    """
    for name in kinds:
        c.address(name)
    games = [
        c.game(name, kinds=of_node, peers=True, drain=drain, survival=survival)
        for name, of_node in kinds.items()
    ]
    api = c.api()
    await c.ready(*games, api)
    await trio.sleep(FOUND_SECONDS)
    return api, games


async def two_nodes(c: Cluster, **options: Any) -> tuple[ApiProcess, GameProcess, GameProcess]:
    api, (one, two) = await start(c, {"game-1": KINDS, "game-2": KINDS}, **options)
    return api, one, two


async def players(c: Cluster, api: ApiProcess, kind: str, count: int) -> list[Player]:
    """``count`` players in one new room."""
    first = Player(c.nursery)
    await first.join(api, kind=kind, new=True)
    rest = [Player(c.nursery) for _ in range(count - 1)]
    for player in rest:
        await player.join(api, room=first.room)
    return [first, *rest]


async def talk(speakers: list[Player], said: object) -> dict[str, Any]:
    """The first player says something, and all hear it; returns what they hear."""
    await speakers[0].say(said)
    for player in speakers:
        while (frame := await player.socket.hear("msg"))["d"]["said"] != said:
            pass
    heard: dict[str, Any] = frame["d"]
    return heard


def undisturbed(speakers: list[Player]) -> bool:
    """Whether all still have their first socket, and heard each message once, in order."""
    return all(
        len(player.sockets) == 1 and player.socket.closed is None and player.heard_once
        for player in speakers
    )

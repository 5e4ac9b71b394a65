"""Rooms that outlive their nodes, clusters for them, and players who talk all the time."""

from __future__ import annotations

from typing import Any

import trio

from lastcall import Room, room
from lastcall.core.survival.actions import Protection
from lastcall.game.survival import Survival
from tests.harness.cluster import ApiProcess, Cluster, GameProcess
from tests.harness.player import Player
from tests.moves.rooms import KINDS, Talk, kinds, repeat
from tests.moves.talks import start


@room("ark", seats=8, state=Talk, survives=True)
async def ark(table: Room[Talk]) -> None:
    await repeat(table)


@room("raft", seats=8, state=Talk, survives=True, moves="at_once")
async def raft(table: Room[Talk]) -> None:
    await repeat(table)


SURVIVORS = KINDS | kinds(ark, raft)


async def two_nodes(c: Cluster, **options: Any) -> tuple[ApiProcess, GameProcess, GameProcess]:
    api, (one, two) = await start(c, {"game-1": SURVIVORS, "game-2": SURVIVORS}, **options)
    return api, one, two


async def three_nodes(
    c: Cluster, **options: Any
) -> tuple[ApiProcess, GameProcess, GameProcess, GameProcess]:
    names = dict.fromkeys(("game-1", "game-2", "game-3"), SURVIVORS)
    api, (one, two, three) = await start(c, names, **options)
    return api, one, two, three


def survival(game: GameProcess) -> Survival:
    assert game.node.survival is not None
    return game.node.survival


def standing(game: GameProcess, protection: Protection) -> int:
    """How many rooms of the node stand so."""
    return survival(game).standings.count(protection)


def holder(games: list[GameProcess]) -> GameProcess:
    """The node that has the only image."""
    (game,) = [game for game in games if len(survival(game).copies)]
    return game


async def protected(game: GameProcess, count: int) -> None:
    """Waits until ``count`` rooms of the node have a standby."""
    with trio.fail_after(5):
        while standing(game, Protection.PROTECTED) != count:
            await trio.sleep(0.02)


async def speak(player: Player, inputs: int, seconds: float) -> None:
    """Says inputs with an interval of ``seconds``."""
    for n in range(inputs):
        await player.say([player.you, n])
        await trio.sleep(seconds)


async def heard_all_once(speakers: list[Player], inputs: int) -> None:
    """Waits until each has heard all inputs of all; the same messages, in order and once."""
    expected = sorted([player.you, n] for player in speakers for n in range(inputs))
    with trio.fail_after(30):
        while any(len(player.messages) < len(expected) for player in speakers):
            await trio.sleep(0.05)
    await trio.sleep(2)
    histories = [player.messages for player in speakers]
    assert all(history == histories[0] for history in histories)
    said = [d["said"] for _, d in histories[0]]
    assert sorted(said) == expected
    assert [d["count"] for _, d in histories[0]] == list(range(1, len(expected) + 1))
    for player in speakers:
        assert player.heard_once
        assert [n for you, n in said if you == player.you] == list(range(inputs))


async def guest(c: Cluster, api: ApiProcess, room: str) -> Player:
    """A player at another api node, in that room."""
    player = Player(c.nursery)
    await player.join(api, room=room)
    return player

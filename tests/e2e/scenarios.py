"""What every client must live through, whatever its language: a list of scenarios.

Each is run against real nodes, by each driver of ``test_clients.py``. A driver plays clients and
nothing else; what is true is asserted here. To hold a client to this list, write a
:class:`ClientDriver` for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import Any, NamedTuple, Protocol

import msgspec
import trio

from tests.e2e.cable import cable
from tests.e2e.clients import Clients
from tests.e2e.nodes import LASTS, Node, Nodes

__all__ = ["SCENARIOS", "ClientDriver", "Heard", "Player", "Report", "Stage"]

PATIENCE_SECONDS = 15.0
POLL_SECONDS = 0.02
MOVES = ("--clients", "move", "--spread", "0.3", *LASTS)
FROZEN_SECONDS = 2.0
NO_SUCH_PLACE, TAKEN_OVER = 4004, 4005

Heard = tuple[int, Any]
"""A message as its reader had it: ``seq``, and the data."""


class Report(msgspec.Struct, frozen=True):
    """One place, as its client shows it."""

    state: str
    """``here``, ``away`` or ``over``; the last only when all messages are in the ledger."""
    room: str
    you: str
    node: str
    heard: int
    """How many messages are in the ledger."""
    resumes: int
    regroups: int
    incomplete: int
    repeats: int
    refused: int
    unacked: int
    ended: str | None = None
    """The reason, once the place has ended."""
    result: Any = None
    lost: int | None = None
    """The close code, when the place was lost."""
    failed: list[str] = []
    """What was said in vain."""


class Player(Protocol):
    """A client with a place, which it keeps by itself. All messages go into its ledger."""

    async def say(self, *values: object) -> None:
        """Says them in this order; does not wait for space among the unacknowledged."""

    async def report(self) -> Report:
        """How it is at this moment."""

    async def ledger(self) -> list[Heard]:
        """All that it has read, in the order in which it did."""

    async def leave(self) -> None:
        """Gives the seat up."""


class ClientDriver(Protocol):
    """Plays the clients of one test, and ends them with it."""

    async def begin(self, api: Node) -> None:
        """Called once, before the first join, with a node that is ready."""

    async def join(self, urls: Sequence[str], **request: object) -> Player:
        """A client that has its place. ``request``: ``kind room new options name``."""


class Stage(NamedTuple):
    """What a scenario is given."""

    driver: ClientDriver
    nodes: Nodes
    clients: Clients
    """Plain sockets, for whoever is not the client under test."""

    async def games(self, count: int = 1, *options: str) -> list[Node]:
        """Game nodes, ready."""
        games = [self.nodes.game(*LASTS, *options) for _ in range(count)]
        for game in games:
            await game.started()
        return games

    async def apis(self, games: Sequence[Node], count: int = 2) -> list[Node]:
        """Api nodes in front of them, ready; the first is where a page comes from."""
        urls = ",".join(game.listen for game in games)
        apis = [self.nodes.api(urls, *MOVES) for _ in range(count)]
        for api in apis:
            await api.ready()
        await self.driver.begin(apis[-1])
        return apis


Scenario = Callable[[Stage], Awaitable[None]]
SCENARIOS: dict[str, Scenario] = {}


def scenario(play: Scenario) -> Scenario:
    """Puts it on the list, under its name."""
    SCENARIOS[play.__name__] = play
    return play


# What the scenarios share.


def url(api: Node) -> str:
    return f"ws://{api.listen}"


async def until(player: Player, holds: Callable[[Report], bool]) -> Report:
    """Polls a player until what is wanted holds."""
    report = await player.report()
    try:
        with trio.fail_after(PATIENCE_SECONDS):
            while not holds(report):
                await trio.sleep(POLL_SECONDS)
                report = await player.report()
    except trio.TooSlowError:
        raise AssertionError(f"waited {PATIENCE_SECONDS} s; the last report: {report}") from None
    return report


async def back(player: Player, resumes: int = 1) -> Report:
    """Waits until a player has come back so many times, and is here."""
    return await until(player, lambda r: r.resumes >= resumes and r.state == "here")


class Talk:
    """Players of one lounge who talk, and what each has said so far."""

    def __init__(self, players: Sequence[Player]) -> None:
        self.players = players
        self.said: dict[str, list[int]] = {}
        self.stopped = trio.Event()

    async def speak(self, player: Player) -> None:
        """Says 1, 2, 3 … until it is stopped."""
        said = self.said[(await player.report()).you]
        while not self.stopped.is_set():
            with trio.CancelScope(shield=True):
                said.append(len(said) + 1)
                await player.say(said[-1])
            await trio.sleep(POLL_SECONDS)

    async def words(self, count: int) -> None:
        """Waits until everybody has said so many more."""
        goals = {you: len(said) + count for you, said in self.said.items()}
        with trio.fail_after(PATIENCE_SECONDS):
            while any(len(self.said[you]) < goal for you, goal in goals.items()):
                await trio.sleep(POLL_SECONDS)

    async def check(self) -> None:
        """Exactly once, both ways: all words of each, in order, in the ledger of each."""
        total = sum(map(len, self.said.values()))
        for player in self.players:
            report = await until(player, lambda r: r.heard >= total and r.unacked == 0)
            assert (report.incomplete, report.refused, report.failed) == (0, 0, [])
        ledgers = [await player.ledger() for player in self.players]
        for ledger in ledgers:
            assert len(ledger) == total
            assert all(one < two for (one, _), (two, _) in pairwise(ledger)), "seq rises"
            for you, said in self.said.items():
                assert [data["said"] for _, data in ledger if data["from"] == you] == said
        assert all(ledger == ledgers[0] for ledger in ledgers), "everybody saw the same"


@asynccontextmanager
async def talking(*players: Player) -> AsyncIterator[Talk]:
    """They talk while the block runs; then everything must have arrived exactly once."""
    talk = Talk(players)
    for player in players:
        talk.said[(await player.report()).you] = []
    async with trio.open_nursery() as nursery:
        for player in players:
            nursery.start_soon(talk.speak, player)
        await talk.words(5)
        yield talk
        await talk.words(5)
        talk.stopped.set()
    await talk.check()


async def two_in_a_lounge(
    stage: Stage, urls: Sequence[str], others: Sequence[str]
) -> tuple[Player, Player]:
    ann = await stage.driver.join(urls, kind="lounge", new=True, name="Ann")
    room = (await ann.report()).room
    return ann, await stage.driver.join(others, room=room, name="Bob")


# The scenarios.


@scenario
async def an_api_node_that_is_stopped_moves_its_clients(stage: Stage) -> None:
    one, two = await stage.apis(await stage.games())
    both = [url(one), url(two)]
    ann, bob = await two_in_a_lounge(stage, both, both)
    async with talking(ann, bob):
        one.signal()
        for player in (ann, bob):
            assert (await back(player)).node == two.name
        assert await one.exit_code(PATIENCE_SECONDS) == 0
    assert one.event("drain.finished")["clients_cut"] == 0  # type: ignore[index]


@scenario
async def an_api_node_that_is_killed_is_replaced_by_another(stage: Stage) -> None:
    one, two = await stage.apis(await stage.games())
    ann, bob = await two_in_a_lounge(stage, [url(one), url(two)], [url(two), url(one)])
    async with talking(ann, bob):
        one.signal(SIGKILL)
        assert (await back(ann)).node == two.name
    assert (await bob.report()).resumes == 0


@scenario
async def a_socket_is_cut_again_and_again(stage: Stage) -> None:
    (api,) = await stage.apis(await stage.games(), 1)
    async with cable(api.listen) as wire:
        ann, bob = await two_in_a_lounge(stage, [wire.url], [url(api)])
        async with talking(ann, bob):
            for times in range(1, 6):
                wire.cut()
                await back(ann, times)
        assert (await bob.report()).resumes == 0


@scenario
async def more_is_said_at_once_than_may_be_unacknowledged(stage: Stage) -> None:
    (api,) = await stage.apis(await stage.games(), 1)
    async with cable(api.listen) as wire:
        ann, bob = await two_in_a_lounge(stage, [wire.url], [url(api)])
        talk = Talk([ann, bob])
        talk.said[(await ann.report()).you] = list(range(500))
        await ann.say(*range(200))
        wire.cut(down=True)
        await ann.say(*range(200, 500))
        await until(ann, lambda report: report.state == "away")
        assert (await ann.report()).unacked <= 64
        wire.mend()
        await talk.check()


@scenario
async def an_api_node_is_frozen(stage: Stage) -> None:
    (api,) = await stage.apis(await stage.games(), 1)
    ann, bob = await two_in_a_lounge(stage, [url(api)], [url(api)])
    async with talking(ann, bob):
        await freeze(api)


@scenario
async def a_game_node_is_frozen(stage: Stage) -> None:
    (game,) = await stage.games()
    (api,) = await stage.apis([game], 1)
    ann, bob = await two_in_a_lounge(stage, [url(api)], [url(api)])
    async with talking(ann, bob):
        await freeze(game)


async def freeze(node: Node) -> None:
    node.signal(SIGSTOP)
    try:
        await trio.sleep(FROZEN_SECONDS)
    finally:
        node.signal(SIGCONT)


@scenario
async def an_api_node_starts_again_at_the_only_address(stage: Stage) -> None:
    (game,) = await stage.games()
    (api,) = await stage.apis([game], 1)
    ann, bob = await two_in_a_lounge(stage, [url(api)], [url(api)])
    async with talking(ann, bob):
        where = api.listen
        api.signal(SIGKILL)
        await api.exit_code(PATIENCE_SECONDS)
        again = stage.nodes.api(game.listen, "--listen", where, *MOVES)
        await again.started()
        for player in (ann, bob):
            assert (await back(player)).node == again.name


@scenario
async def a_room_ends_while_its_player_is_away(stage: Stage) -> None:
    (api,) = await stage.apis(await stage.games(), 1)
    async with cable(api.listen) as wire:
        options = {"seconds": 3}
        ann = await stage.driver.join([wire.url], kind="countdown", new=True, options=options)
        witness = await stage.driver.join([url(api)], room=(await ann.report()).room)
        await until(ann, lambda report: report.heard > 0)
        wire.cut(down=True)
        assert (await until(witness, lambda report: report.state == "over")).ended == "finished"
        assert (await ann.report()).state == "away"
        wire.mend()
        assert (await until(ann, lambda report: report.state == "over")).ended == "finished"
        ledger = await ann.ledger()
        assert [data["left"] for _, data in ledger] == list(range(ledger[0][1]["left"], -1, -1))
        missed = await witness.ledger()
        assert ledger[-len(missed) :] == missed


@scenario
async def a_match_that_had_not_started_is_regrouped(stage: Stage) -> None:
    games = await stage.games(2)
    (api,) = await stage.apis(games, 1)
    ann = await stage.driver.join([url(api)], kind="tictactoe")
    before = await ann.report()
    home = next(game for game in games if before.room.startswith(f"{game.name}."))
    home.signal()
    after = await until(ann, lambda report: report.regroups == 1)
    assert after.room != before.room
    assert await home.exit_code(PATIENCE_SECONDS) == 0
    bob = await stage.driver.join([url(api)], kind="tictactoe")
    assert (await bob.report()).room == after.room
    await until(ann, lambda report: report.heard == 1)
    (_, table), *_ = await ann.ledger()
    turn, other = (ann, bob) if table["turn"] == after.you else (bob, ann)
    await turn.say({"cell": 4})
    for player in (turn, other):
        await until(player, lambda report: report.heard == 2)
        assert [data["board"].count("-") for _, data in await player.ledger()] == [9, 8]
    assert (await until(turn, lambda report: report.unacked == 0)).refused == 0


@scenario
async def a_place_that_is_taken_over_is_over(stage: Stage) -> None:
    one, two = await stage.apis(await stage.games())
    async with cable(one.listen) as wire:
        ann = await stage.driver.join([wire.url], kind="lounge", new=True)
        thief = await stage.clients.connect(two)
        await take(thief, wire.tickets[-1])
        report = await until(ann, lambda report: report.state == "over")
        assert (report.lost, report.ended, report.resumes) == (TAKEN_OVER, None, 0)
        assert wire.opened == 1, "a final code: it does not come again"


@scenario
async def a_ticket_that_was_used_meanwhile_is_worth_nothing(stage: Stage) -> None:
    one, two = await stage.apis(await stage.games())
    async with cable(one.listen) as wire:
        ann = await stage.driver.join([wire.url], kind="lounge", new=True)
        wire.cut(down=True)
        await until(ann, lambda report: report.state == "away")
        thief = await stage.clients.connect(two)
        await take(thief, wire.tickets[-1])
        wire.mend()
        report = await until(ann, lambda report: report.state == "over")
        assert (report.lost, report.ended, report.resumes) == (NO_SUCH_PLACE, None, 0)


async def take(thief: Any, ticket: str) -> None:
    """Resumes another's place, and confirms, so that the ticket is used up."""
    await thief.send({"t": "resume", "ticket": ticket, "seen": 0})
    resumed = await thief.hear("resumed")
    await thief.send({"t": "got", "seq": resumed["seq"]})
    await thief.send({"t": "say", "n": resumed["n"] + 1, "d": "mine"})
    await thief.hear("msg")


@scenario
async def who_leaves_while_away_is_gone_at_once_when_back(stage: Stage) -> None:
    (api,) = await stage.apis(await stage.games(), 1)
    async with cable(api.listen) as wire:
        ann, bob = await two_in_a_lounge(stage, [wire.url], [url(api)])
        wire.cut()
        await until(ann, lambda report: report.state == "away" or report.resumes > 0)
        await ann.leave()
        assert (await until(ann, lambda report: report.state == "over")).ended == "left"
        await bob.leave()
        await api.has(PATIENCE_SECONDS, rooms=0)

"""The scenarios that every client library must pass.

``test_clients.py`` runs each scenario against real nodes with each driver. A driver only plays the
clients; the scenarios assert. To test another client library, write a :class:`ClientDriver` for it.
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
from tests.e2e.nodes import SHORT_GRACE, Node, Nodes

__all__ = ["SCENARIOS", "ClientDriver", "Heard", "Player", "Report", "Service", "Setup"]

TIMEOUT_SECONDS = 15.0
POLL_SECONDS = 0.02
MOVE_OPTIONS = ("--clients", "move", "--spread", "0.3", *SHORT_GRACE)
FROZEN_SECONDS = 2.0
NO_SUCH_PLACE, TAKEN_OVER = 4004, 4005

Heard = tuple[int, Any]
"""A message that the program has read: ``seq`` and the data."""


class Report(msgspec.Struct, frozen=True):
    """The state and the counts of one place, as its client shows them."""

    state: str
    """``here``, ``away`` or ``over``; ``over`` only after all messages are in the ledger."""
    room: str
    you: str
    node: str
    heard: int
    """The number of messages in the ledger."""
    resumes: int
    regroups: int
    incomplete: int
    repeats: int
    refused: int
    unacked: int
    ended: str | None = None
    """The reason, if the place has ended."""
    result: Any = None
    lost: int | None = None
    """The close code, if the place was lost."""
    failed: list[str] = []
    """The errors of inputs that the client could not send."""


class Player(Protocol):
    """A client with a place. It reconnects by itself, and adds all messages to its ledger."""

    async def say(self, *values: object) -> None:
        """Says the values in order, without waiting for acknowledgements."""

    async def report(self) -> Report:
        """The current report."""

    async def ledger(self) -> list[Heard]:
        """All messages that were read, in order."""

    async def leave(self) -> None:
        """Leaves the place."""


class ClientDriver(Protocol):
    """Plays the clients of one test, and ends them after it."""

    async def prepare(self, api: Node) -> None:
        """Is called once before the first join, with a node that stays ready."""

    async def join(self, urls: Sequence[str], **request: object) -> Player:
        """Returns a client with a place. ``request``: ``kind room new options name``."""


class Service(NamedTuple):
    """A game node and two api nodes, which scenarios share: none of them stops or freezes one."""

    game: Node
    one: Node
    two: Node


class Setup(NamedTuple):
    """The arguments of a scenario."""

    driver: ClientDriver
    service: Service
    nodes: Nodes
    """Starts nodes of this scenario, which it may end."""
    clients: Clients
    """Opens clients that are not under test."""

    async def games(self, count: int = 1) -> list[Node]:
        """Starts game nodes of this scenario, and waits until they are ready."""
        games = [self.nodes.game(*SHORT_GRACE) for _ in range(count)]
        for game in games:
            await game.wait_started()
        return games

    async def api(self, *games: Node) -> Node:
        """Starts an api node of this scenario for these game nodes, and waits until it is ready."""
        api = self.nodes.api(",".join(game.listen for game in games), *MOVE_OPTIONS)
        await api.wait_ready()
        return api


Scenario = Callable[[Setup], Awaitable[None]]
SCENARIOS: dict[str, Scenario] = {}


def scenario(run: Scenario) -> Scenario:
    """Adds a function to the scenarios, under its name."""
    SCENARIOS[run.__name__] = run
    return run


# Helpers of the scenarios.


def url(api: Node) -> str:
    return f"ws://{api.listen}"


async def wait_until(player: Player, holds: Callable[[Report], bool]) -> Report:
    """Polls the reports of a player until ``holds`` is true for one."""
    report = await player.report()
    try:
        with trio.fail_after(TIMEOUT_SECONDS):
            while not holds(report):
                await trio.sleep(POLL_SECONDS)
                report = await player.report()
    except trio.TooSlowError:
        raise AssertionError(f"waited {TIMEOUT_SECONDS} s; the last report: {report}") from None
    return report


async def wait_resumed(player: Player, resumes: int = 1) -> Report:
    """Waits until a player has resumed ``resumes`` times, and is here."""
    return await wait_until(player, lambda r: r.resumes >= resumes and r.state == "here")


class Conversation:
    """Players of one lounge who talk, and the inputs of each so far."""

    def __init__(self, players: Sequence[Player]) -> None:
        self.players = players
        self.said: dict[str, list[int]] = {}
        self.stopped = trio.Event()

    async def speak(self, player: Player) -> None:
        """Says 1, 2, 3 … until ``stopped`` is set."""
        said = self.said[(await player.report()).you]
        while not self.stopped.is_set():
            with trio.CancelScope(shield=True):
                said.append(len(said) + 1)
                await player.say(said[-1])
            await trio.sleep(POLL_SECONDS)

    async def wait_for_more(self, count: int) -> None:
        """Waits until each player has said ``count`` more inputs."""
        goals = {you: len(said) + count for you, said in self.said.items()}
        with trio.fail_after(TIMEOUT_SECONDS):
            while any(len(self.said[you]) < goal for you, goal in goals.items()):
                await trio.sleep(POLL_SECONDS)

    async def check_exactly_once(self) -> None:
        """Each input of each player is in each ledger exactly once, in order."""
        total = sum(map(len, self.said.values()))
        for player in self.players:
            report = await wait_until(player, lambda r: r.heard >= total and r.unacked == 0)
            assert (report.incomplete, report.refused, report.failed) == (0, 0, [])
        ledgers = [await player.ledger() for player in self.players]
        for ledger in ledgers:
            assert len(ledger) == total
            assert all(one < two for (one, _), (two, _) in pairwise(ledger)), "seq rises"
            for you, said in self.said.items():
                assert [data["said"] for _, data in ledger if data["from"] == you] == said
        assert all(ledger == ledgers[0] for ledger in ledgers), "all players have the same messages"


@asynccontextmanager
async def talking(*players: Player) -> AsyncIterator[Conversation]:
    """The players talk while the block runs; then each input must have arrived exactly once."""
    conversation = Conversation(players)
    for player in players:
        conversation.said[(await player.report()).you] = []
    async with trio.open_nursery() as nursery:
        for player in players:
            nursery.start_soon(conversation.speak, player)
        await conversation.wait_for_more(5)
        yield conversation
        await conversation.wait_for_more(5)
        conversation.stopped.set()
    await conversation.check_exactly_once()


async def join_lounge(
    setup: Setup, anns_urls: Sequence[str], bobs_urls: Sequence[str]
) -> tuple[Player, Player]:
    ann = await setup.driver.join(anns_urls, kind="lounge", new=True, name="Ann")
    room = (await ann.report()).room
    return ann, await setup.driver.join(bobs_urls, room=room, name="Bob")


# The scenarios.


@scenario
async def an_api_node_is_stopped_and_moves_its_clients(setup: Setup) -> None:
    one, two = await setup.api(setup.service.game), setup.service.two
    both = [url(one), url(two)]
    ann, bob = await join_lounge(setup, both, both)
    async with talking(ann, bob):
        one.signal()
        for player in (ann, bob):
            assert (await wait_resumed(player)).node == two.name
        assert await one.exit_code(TIMEOUT_SECONDS) == 0
    assert one.event("drain.finished")["clients_cut"] == 0  # type: ignore[index]


@scenario
async def an_api_node_is_killed_and_another_one_takes_over(setup: Setup) -> None:
    one, two = await setup.api(setup.service.game), setup.service.two
    ann, bob = await join_lounge(setup, [url(one), url(two)], [url(two), url(one)])
    async with talking(ann, bob):
        one.signal(SIGKILL)
        assert (await wait_resumed(ann)).node == two.name
    assert (await bob.report()).resumes == 0


@scenario
async def a_socket_is_cut_again_and_again(setup: Setup) -> None:
    api = setup.service.one
    async with cable(api.listen) as proxy:
        ann, bob = await join_lounge(setup, [proxy.url], [url(api)])
        async with talking(ann, bob):
            for times in range(1, 6):
                proxy.cut()
                await wait_resumed(ann, times)
        assert (await bob.report()).resumes == 0


@scenario
async def a_client_says_more_than_may_be_unacknowledged(setup: Setup) -> None:
    api = setup.service.one
    async with cable(api.listen) as proxy:
        ann, bob = await join_lounge(setup, [proxy.url], [url(api)])
        conversation = Conversation([ann, bob])
        conversation.said[(await ann.report()).you] = list(range(500))
        await ann.say(*range(200))
        proxy.cut(down=True)
        await ann.say(*range(200, 500))
        await wait_until(ann, lambda report: report.state == "away")
        assert (await ann.report()).unacked <= 64
        proxy.mend()
        await conversation.check_exactly_once()


@scenario
async def an_api_node_is_frozen(setup: Setup) -> None:
    api = await setup.api(setup.service.game)
    ann, bob = await join_lounge(setup, [url(api)], [url(api)])
    async with talking(ann, bob):
        await freeze(api)


@scenario
async def a_game_node_is_frozen(setup: Setup) -> None:
    (game,) = await setup.games()
    api = await setup.api(game)
    ann, bob = await join_lounge(setup, [url(api)], [url(api)])
    async with talking(ann, bob):
        await freeze(game)


async def freeze(node: Node) -> None:
    node.signal(SIGSTOP)
    try:
        await trio.sleep(FROZEN_SECONDS)
    finally:
        node.signal(SIGCONT)


@scenario
async def the_only_api_node_is_killed_and_restarts_at_its_address(setup: Setup) -> None:
    game = setup.service.game
    api = await setup.api(game)
    ann, bob = await join_lounge(setup, [url(api)], [url(api)])
    async with talking(ann, bob):
        address = api.listen
        api.signal(SIGKILL)
        await api.exit_code(TIMEOUT_SECONDS)
        restarted = setup.nodes.api(game.listen, "--listen", address, *MOVE_OPTIONS)
        await restarted.wait_started()
        for player in (ann, bob):
            assert (await wait_resumed(player)).node == restarted.name


@scenario
async def a_room_ends_while_its_player_is_away(setup: Setup) -> None:
    api = setup.service.one
    async with cable(api.listen) as proxy:
        options = {"seconds": 3}
        ann = await setup.driver.join([proxy.url], kind="countdown", new=True, options=options)
        witness = await setup.driver.join([url(api)], room=(await ann.report()).room)
        await wait_until(ann, lambda report: report.heard > 0)
        proxy.cut(down=True)
        assert (
            await wait_until(witness, lambda report: report.state == "over")
        ).ended == "finished"
        assert (await ann.report()).state == "away"
        proxy.mend()
        assert (await wait_until(ann, lambda report: report.state == "over")).ended == "finished"
        ledger = await ann.ledger()
        assert [data["left"] for _, data in ledger] == list(range(ledger[0][1]["left"], -1, -1))
        heard_by_witness = await witness.ledger()
        assert ledger[-len(heard_by_witness) :] == heard_by_witness


@scenario
async def a_match_is_regrouped_before_it_starts(setup: Setup) -> None:
    games = await setup.games(2)
    api = await setup.api(*games)
    ann = await setup.driver.join([url(api)], kind="tictactoe")
    before = await ann.report()
    draining = next(game for game in games if before.room.startswith(f"{game.name}."))
    draining.signal()
    after = await wait_until(ann, lambda report: report.regroups == 1)
    assert after.room != before.room
    assert await draining.exit_code(TIMEOUT_SECONDS) == 0
    bob = await setup.driver.join([url(api)], kind="tictactoe")
    assert (await bob.report()).room == after.room
    await wait_until(ann, lambda report: report.heard == 1)
    (_, table), *_ = await ann.ledger()
    turn, other = (ann, bob) if table["turn"] == after.you else (bob, ann)
    await turn.say({"cell": 4})
    for player in (turn, other):
        await wait_until(player, lambda report: report.heard == 2)
        assert [data["board"].count("-") for _, data in await player.ledger()] == [9, 8]
    assert (await wait_until(turn, lambda report: report.unacked == 0)).refused == 0


@scenario
async def a_place_is_taken_over(setup: Setup) -> None:
    _, one, two = setup.service
    async with cable(one.listen) as proxy:
        ann = await setup.driver.join([proxy.url], kind="lounge", new=True)
        thief = await setup.clients.connect(two)
        await take_over(thief, proxy.tickets[-1])
        report = await wait_until(ann, lambda report: report.state == "over")
        assert (report.lost, report.ended, report.resumes) == (TAKEN_OVER, None, 0)
        assert proxy.opened == 1, "the close code is final: the client does not reconnect"


@scenario
async def the_ticket_of_an_away_place_is_used_by_another_client(setup: Setup) -> None:
    _, one, two = setup.service
    async with cable(one.listen) as proxy:
        ann = await setup.driver.join([proxy.url], kind="lounge", new=True)
        proxy.cut(down=True)
        await wait_until(ann, lambda report: report.state == "away")
        thief = await setup.clients.connect(two)
        await take_over(thief, proxy.tickets[-1])
        proxy.mend()
        report = await wait_until(ann, lambda report: report.state == "over")
        assert (report.lost, report.ended, report.resumes) == (NO_SUCH_PLACE, None, 0)


async def take_over(thief: Any, ticket: str) -> None:
    """Resumes the place of another client, and confirms it, so that the old ticket is void."""
    await thief.send({"t": "resume", "ticket": ticket, "seen": 0})
    resumed = await thief.hear("resumed")
    await thief.send({"t": "got", "seq": resumed["seq"]})
    await thief.send({"t": "say", "n": resumed["n"] + 1, "d": "mine"})
    await thief.hear("msg")


@scenario
async def a_client_leaves_while_it_is_away(setup: Setup) -> None:
    api = await setup.api(setup.service.game)
    async with cable(api.listen) as proxy:
        ann, bob = await join_lounge(setup, [proxy.url], [url(api)])
        proxy.cut()
        await wait_until(ann, lambda report: report.state == "away" or report.resumes > 0)
        await ann.leave()
        assert (await wait_until(ann, lambda report: report.state == "over")).ended == "left"
        await bob.leave()
        await api.wait_for_status(TIMEOUT_SECONDS, rooms=0)

"""A hand-off in which a node dies, or the link between the two breaks, at any instant.

Each message takes up to 200 ms, and so a hand-off about half a second; the players talk all the
time. Whatever happens, each of them hears one history, in which each input counts once.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from tests.harness.cluster import CLEAN, CUT, ApiProcess, Cluster, GameProcess, cluster
from tests.harness.player import Player
from tests.moves.rooms import KINDS
from tests.moves.talks import players, start, two_nodes

in_any_order = pytest.mark.usefixtures("schedule")

DELAY_SECONDS = 0.2
THREE = {"game-1": KINDS, "game-2": KINDS, "game-3": KINDS}
INPUTS = 60


async def speak(player: Player) -> None:
    """Says something every 20 ms."""
    for n in range(INPUTS):
        await player.say([player.you, n])
        await trio.sleep(0.02)


async def hand_off_with(
    c: Cluster, rng: random.Random, fault: Callable[[list[GameProcess]], object]
) -> tuple[list[GameProcess], list[Player]]:
    """The first node drains, and ``fault`` happens within 0.5 s; returns 10 s later.

    By its name, the second node is asked first. Players who are moved have come back by then, or
    were told that their place is gone.
    """
    api: ApiProcess
    api, games = await start(c, THREE)
    speakers = await players(c, api, "hall", 2)
    c.bus.faults.delay_seconds = DELAY_SECONDS
    async with trio.open_nursery() as nursery:
        for player in speakers:
            nursery.start_soon(speak, player)
        await trio.sleep(0.1)
        games[0].signal()
        await trio.sleep(rng.uniform(0.0, 0.5))
        fault(games)
    await trio.sleep(10)
    for player in speakers:
        if player.socket.closed is not None:
            await player.send_resume(api)
    await trio.sleep(10)
    return games, speakers


def check_history(speakers: list[Player]) -> None:
    """All heard the same, in order and once, and each input counted once, in its player's order."""
    for player in speakers:
        assert player.heard_once
        heard = [d for _, d in player.messages]
        assert [d["count"] for d in heard] == list(range(1, len(heard) + 1))
        for one in speakers:
            said = [d["said"][1] for d in heard if d["said"][0] == one.you]
            assert said == list(range(len(said)))


def lost(speakers: list[Player]) -> bool:
    """Whether the players were told that their room is lost; all of them or nobody."""
    ends = {frame["reason"] for p in speakers for frame in p.socket.heard if frame["t"] == "ended"}
    assert ends <= {"node_lost"}
    codes = {player.socket.closed for player in speakers} - {None}
    assert codes <= {4004}
    return bool(ends or codes)


def all_heard(speakers: list[Player]) -> bool:
    return all(len(player.messages) == INPUTS * len(speakers) for player in speakers)


@in_any_order
async def test_a_link_that_is_reset_at_any_instant_loses_nothing(
    rng: random.Random, autojump_clock: MockClock
) -> None:
    def reset(games: list[GameProcess]) -> None:
        one, two, _ = games
        for link in list(two.links.values()):
            if link.incarnation == one.node.incarnation:
                two.drop_link(link.id)

    async with cluster() as c:
        (one, two, three), speakers = await hand_off_with(c, rng, reset)
        check_history(speakers)
        assert all_heard(speakers)
        assert [len(player.sockets) for player in speakers] == [1, 1]
        assert one.exit_code == CLEAN
        assert two.rooms + three.rooms == 1


@in_any_order
async def test_if_the_taker_dies_the_room_goes_elsewhere_or_was_the_takers_already(
    rng: random.Random, autojump_clock: MockClock
) -> None:
    async with cluster() as c:
        (one, _, three), speakers = await hand_off_with(c, rng, lambda games: games[1].kill())
        check_history(speakers)
        handoffs = one.node.moves.handoffs
        assert handoffs.moved + handoffs.lost == 1
        if lost(speakers):
            assert three.rooms == 0
        else:
            assert three.rooms == 1
            assert all_heard(speakers)
            assert one.exit_code == CLEAN


@in_any_order
async def test_if_the_giver_dies_the_players_are_at_the_taker_or_know_that_the_room_is_lost(
    rng: random.Random, autojump_clock: MockClock
) -> None:
    async with cluster() as c:
        (_, two, three), speakers = await hand_off_with(c, rng, lambda games: games[0].kill())
        check_history(speakers)
        assert two.node.moves.adoptions.held + three.node.moves.adoptions.held == 0
        running = [*two.node.host.running.by_id.values(), *three.node.host.running.by_id.values()]
        present = sum(room.state.roster.present for room in running)
        if lost(speakers):  # the room may be at the taker, if nobody was told so in time
            assert present == 0
        else:
            assert present == len(speakers)
            assert all_heard(speakers)


async def until(condition: Callable[[], object]) -> None:
    """Looks every millisecond."""
    with trio.fail_after(5):
        while not condition():
            await trio.sleep(0.001)


async def test_a_room_whose_taker_dies_before_it_has_confirmed_is_lost_and_counts_as_cut(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, one, two = await two_nodes(c)
        (player,) = await players(c, api, "hall", 1)
        c.bus.faults.delay_seconds = DELAY_SECONDS
        with capture_logs() as logs:
            one.signal()
            await until(one.node.moves.handoffs._offers.committed)
            why = "1 room(s) whose new nodes have not said that they run there"
            assert why in one.node.why()
            two.kill()
            await one.gone.wait()
        (lost,) = [line for line in logs if line["event"] == "handoff.lost"]
        assert (lost["room"], lost["kind"]) == (player.room, "hall")
        assert one.exit_code == CUT
        assert one.counts is not None
        assert (one.counts.rooms_handed_off, one.counts.rooms_cut) == (0, 1)
        assert (await player.socket.hear("ended"))["reason"] == "node_lost"


async def test_a_node_forgets_the_room_of_a_giver_that_dies_before_it_has_decided(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, one, two = await two_nodes(c)
        (player,) = await players(c, api, "hall", 1)
        c.bus.faults.delay_seconds = DELAY_SECONDS
        with capture_logs() as logs:
            one.signal()
            await until(lambda: two.node.moves.adoptions.held)
            one.kill()
            await until(lambda: not two.node.moves.adoptions.held)
        (line,) = [line for line in logs if line["event"] == "handoff.forgotten"]
        assert line["room"] == player.room
        assert two.rooms == 0


async def test_a_taker_that_stands_still_is_not_waited_for_and_does_not_run_the_room_later(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, (one, two, three) = await start(c, THREE)
        (player,) = await players(c, api, "hall", 1)
        c.bus.freeze("game-2")
        one.signal()
        await one.gone.wait()
        c.bus.heal("game-2")
        assert one.exit_code == CLEAN
        await trio.sleep(70)
        assert (two.rooms, two.node.moves.adoptions.held, three.rooms) == (0, 0, 1)
        await player.say("a")
        await player.hear_data({"said": "a", "count": 1, "moves": 1})

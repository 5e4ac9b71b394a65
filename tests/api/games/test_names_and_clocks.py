"""Game nodes whose names or clocks are wrong: they work, and the operator is told."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from tests.harness import orders
from tests.harness.cluster import cluster
from tests.harness.player import Player

pytestmark = pytest.mark.usefixtures("schedule")


def events(logs: list[Any], name: str) -> list[Any]:
    return [entry for entry in logs if entry["event"] == name]


@pytest.mark.parametrize("ahead", [-3_600.0, 3_600.0])
@orders(3)
async def test_a_new_version_gets_the_rooms_if_its_clock_or_the_old_one_is_an_hour_off(
    autojump_clock: MockClock, ahead: float
) -> None:
    async with cluster() as c:
        with capture_logs() as logs:
            old = c.game("game-1", version="1", clock_ahead=max(0.0, ahead))
            c.address("game-2")
            one, two = c.api("api-1"), c.api("api-2")
            await c.ready(old, one, two)
            await trio.sleep(60)
            new = c.game("game-2", version="2", clock_ahead=min(0.0, ahead))
            await c.ready(new)
            await trio.sleep(2)
        for api in (one, two):
            player = Player(c.nursery)
            await player.join(api, kind="lounge")
            assert player.room.startswith("game-2.")
        warnings = events(logs, "link.clocks_disagree")
        assert [entry["seconds_ahead"] for entry in warnings] == [pytest.approx(ahead, abs=1)] * 2


async def test_a_wrong_clock_is_logged_once_for_a_process_although_its_links_are_reset(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        with capture_logs() as logs:
            game = c.game(clock_ahead=100.0)
            api = c.api()
            await c.ready(game, api)
            for _ in range(3):
                game.drop_links()
                await trio.sleep(2)
        assert len(events(logs, "link.up")) == 4
        assert len(events(logs, "link.clocks_disagree")) == 1


async def test_nodes_whose_clocks_agree_are_not_logged(autojump_clock: MockClock) -> None:
    async with cluster() as c:
        with capture_logs() as logs:
            await c.two_games(clock_ahead=4.0)
        assert events(logs, "link.clocks_disagree") == []
        assert events(logs, "link.same_name") == []


async def test_a_second_node_of_the_same_name_is_logged_and_both_serve(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        with capture_logs() as logs:
            first, second = c.game("game-1", where="north"), c.game("game-1", where="south")
            api = c.api()
            await c.ready(first, second, api)
        (warning,) = events(logs, "link.same_name")
        assert warning["log_level"] == "warning"
        assert warning["game"] == "game-1"
        assert sorted(warning["addresses"]) == ["tcp://north:7101", "tcp://south:7101"]
        players = [Player(c.nursery) for _ in range(4)]
        for player in players:
            await player.join(api, kind="lounge", new=True)
        assert (first.rooms, second.rooms) == (2, 2)
        for player in players:
            player.socket.drop()
            await player.resume(api)


@orders(3)
async def test_resets_of_the_links_of_two_nodes_with_one_name_are_logged_at_most_5_times(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        with capture_logs() as logs:
            first, second = c.game("game-1", where="north"), c.game("game-1", where="south")
            api = c.api()
            await c.ready(first, second, api)
            for _ in range(20):
                second.drop_links()
                await trio.sleep(1)
        assert len(events(logs, "link.up")) == 22
        assert len(events(logs, "link.same_name")) == 5


async def test_a_node_that_takes_the_name_of_one_that_drains_is_not_logged(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        first = c.game("game-1", where="north")
        c.address("south")
        api = c.api()
        await c.ready(first, api)
        player = Player(c.nursery)
        await player.join(api, kind="lounge")
        first.signal()
        await trio.sleep(1)
        with capture_logs() as logs:
            second = c.game("game-1", where="south")
            await c.ready(second)
            await trio.sleep(2)
        assert len(events(logs, "link.up")) == 1
        assert events(logs, "link.same_name") == []


@orders(3)
async def test_a_second_api_node_of_the_same_name_is_logged_by_game_nodes_and_both_serve(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        with capture_logs() as logs:
            game = c.game()
            first, second = c.api("api-1", where="north"), c.api("api-1", where="south")
            await c.ready(game, first, second)
            await trio.sleep(60)
        (warning,) = events(logs, "link.same_name")
        assert (warning["log_level"], warning["api"]) == ("warning", "api-1")
        assert sorted(warning["addresses"]) == ["tcp://north:7001", "tcp://south:7001"]
        for api in (first, second):
            await Player(c.nursery).join(api, kind="lounge", new=True)
        assert game.rooms == 2


@orders(3)
async def test_resets_of_the_links_of_two_api_nodes_with_one_name_are_logged_at_most_5_times(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        with capture_logs() as logs:
            game = c.game()
            await c.ready(game, c.api("api-1", where="north"), c.api("api-1", where="south"))
            for _ in range(12):
                await trio.sleep(4)
                game.drop_links()
        assert len(events(logs, "link.same_name")) == 5


@orders(5)
async def test_an_api_node_that_takes_the_name_of_a_killed_one_is_not_logged(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        with capture_logs() as logs:
            game, first = c.game(), c.api("api-1", where="north")
            await c.ready(game, first)
            await trio.sleep(5)
            first.kill()
            second = c.api("api-1", where="south")
            await c.ready(second)
            await trio.sleep(60)
        assert len(events(logs, "link.attached")) == 2
        assert events(logs, "link.same_name") == []

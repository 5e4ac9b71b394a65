"""Joins and links in a whole cluster: which node is asked, and when it is asked again."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from lastcall.client import Connection, Place
from lastcall.core.edge.missing_nodes import NOTHING_KNOWN, MissingNodes
from lastcall.errors import JoinRefused
from lastcall.policy import DrainPolicy
from tests.harness import orders
from tests.harness.cluster import ApiProcess, Cluster, GameProcess, cluster
from tests.harness.counts import players_in
from tests.harness.player import Player

pytestmark = pytest.mark.usefixtures("schedule")

NOTHING_MISSING = MissingNodes(any_place=False)


async def refusal(client: Connection, **join: object) -> str:
    with pytest.raises(JoinRefused) as refused:
        await client.join(**join)  # type: ignore[arg-type]
    return refused.value.code


async def two_nodes_of_each_tier(c: Cluster) -> tuple[list[ApiProcess], list[GameProcess]]:
    games = [c.game("game-1"), c.game("game-2")]
    apis = [c.api("api-1"), c.api("api-2")]
    await c.ready(*games, *apis)
    return apis, games


async def join_together(*clients: Connection, kind: str) -> list[Place]:
    places: list[Place] = []

    async def join(client: Connection) -> None:
        places.append(await client.join(kind=kind))

    async with trio.open_nursery() as nursery:
        for client in clients:
            nursery.start_soon(join, client)
    return places


async def test_joins_through_two_api_nodes_at_the_same_moment_meet_in_one_room(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        apis, _ = await two_nodes_of_each_tier(c)
        clients = [await c.client(api) for api in apis]
        places = await join_together(*clients, kind="tictactoe")
        assert places[0].room == places[1].room


async def test_a_player_who_waits_on_one_api_node_is_found_through_another(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        apis, _ = await two_nodes_of_each_tier(c)
        first = await (await c.client(apis[0])).join(kind="tictactoe")
        await trio.sleep(0.1)
        second = await (await c.client(apis[1])).join(kind="tictactoe")
        assert first.room == second.room


async def test_new_rooms_are_spread_over_the_game_nodes(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        apis, games = await two_nodes_of_each_tier(c)
        for _ in range(10):
            await (await c.client(apis[0])).join(kind="lounge", new=True)
        await trio.sleep(0.1)
        assert [game.rooms for game in games] == [5, 5]


async def test_simultaneous_joins_are_spread_before_any_load_is_reported(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        apis, games = await two_nodes_of_each_tier(c)
        clients = [await c.client(apis[0]) for _ in range(10)]

        async with trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(lambda one=client: one.join(kind="lounge", new=True))
        assert [game.rooms for game in games] == [5, 5]


async def test_a_room_is_joined_by_its_id_through_another_api_node(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        apis, _ = await two_nodes_of_each_tier(c)
        first = await (await c.client(apis[0])).join(kind="lounge")
        second = await (await c.client(apis[1])).join(room=first.room)
        assert second.room == first.room


async def test_a_join_that_cannot_succeed_gets_its_error_code(autojump_clock: MockClock) -> None:
    async with cluster() as c:
        apis, _ = await two_nodes_of_each_tier(c)
        client, other, late = [await c.client(apis[0]) for _ in range(3)]
        assert await refusal(client, kind="poker") == "no_such_kind"
        assert await refusal(client, room="game-1.nothing") == "no_such_room"
        assert await refusal(client, room="elsewhere") == "no_such_room"
        assert await refusal(client, kind="countdown", options={"seconds": "x"}) == "bad_input"
        place = await client.join(kind="tictactoe")
        await other.join(room=place.room)
        assert await refusal(late, room=place.room) in {"full", "locked"}


async def test_a_join_that_crosses_a_stop_signal_is_seated_elsewhere_without_an_error(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        apis, games = await two_nodes_of_each_tier(c)
        first = await (await c.client(apis[0])).join(kind="lounge", new=True)
        assert first.room.startswith("game-1.")
        other = await (await c.client(apis[0])).join(kind="lounge", new=True)
        assert other.room.startswith("game-2.")
        client = await c.client(apis[0])
        c.bus.faults.delay_seconds = 0.05
        async with trio.open_nursery() as nursery:
            places: list[Place] = []

            async def join() -> None:
                places.append(await client.join(kind="tictactoe"))

            nursery.start_soon(join)
            await trio.sleep(
                0.02
            )  # the join is on its way to game-1, which has as few rooms as game-2
            games[0].signal()

        assert places[0].room.startswith("game-2.")
        c.bus.faults.delay_seconds = 0
        later = await (await c.client(apis[0])).join(kind="countdown", new=True)
        assert later.room.startswith("game-2.")


async def test_a_client_that_closes_during_its_join_leaves_no_seat_behind(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, game = await c.one_of_each()
        client = await c.client(api)
        c.bus.faults.delay_seconds = 0.2
        with trio.move_on_after(0.01):
            await client.join(kind="lounge")
        await client.aclose()
        await trio.sleep(2)
        assert players_in(game.node.host) == 0
        assert game.rooms == 0


async def test_a_join_at_a_game_node_that_falls_silent_is_asked_elsewhere_after_3_s(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        apis, _ = await two_nodes_of_each_tier(c)
        client = await c.client(apis[0])
        c.bus.freeze("game-1")
        start = trio.current_time()
        place = await client.join(kind="tictactoe")
        assert place.room.startswith("game-2.")
        assert trio.current_time() - start <= 4.5


async def test_a_join_at_a_game_node_that_is_killed_is_asked_elsewhere(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        apis, games = await two_nodes_of_each_tier(c)
        client = await c.client(apis[0])
        c.bus.freeze("game-1")
        async with trio.open_nursery() as nursery:
            places: list[Place] = []

            async def join() -> None:
                places.append(await client.join(kind="tictactoe"))

            nursery.start_soon(join)
            await trio.sleep(0.3)
            c.bus.heal("game-1")
            games[0].kill()
        assert places[0].room


async def test_a_link_failure_of_4_s_closes_the_socket_and_keeps_the_place(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, _ = await c.one_of_each()
        ann = Player(c.nursery)
        await ann.join(api, kind="lounge")
        c.bus.break_link("api-1")
        start = trio.current_time()
        assert await ann.socket.close_code() == 1012
        assert 2.5 <= trio.current_time() - start <= 4.5
        assert ann.socket.heard[-1]["t"] == "move"
        await trio.sleep_until(start + 4.5)
        c.bus.heal("api-1")
        await ann.resume(api)
        await ann.say("back")
        await ann.hear_data({"from": ann.you, "said": "back"})


@pytest.mark.parametrize("place", ["api-1", "game-1"])
async def test_a_freeze_of_2_s_on_either_side_loses_nothing(
    autojump_clock: MockClock, place: str
) -> None:
    async with cluster() as c:
        api, _ = await c.one_of_each()
        ann = Player(c.nursery)
        await ann.join(api, kind="lounge")
        c.bus.freeze(place)
        for number in range(100):  # more inputs than the window holds
            await ann.say(number)
        await trio.sleep(2)
        c.bus.heal(place)
        await ann.hear_data({"from": ann.you, "said": 99})
        assert [d["said"] for _, d in ann.messages] == list(range(100))
        assert ann.heard_once
        assert ann.socket.closed is None


async def test_a_game_node_that_is_frozen_for_4_s_keeps_its_places(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, _ = await c.one_of_each()
        players = [Player(c.nursery) for _ in range(3)]
        for player in players:
            await player.join(api, kind="lounge")
        c.bus.freeze("game-1")
        start = trio.current_time()
        codes = [await player.socket.close_code() for player in players]
        assert codes == [1012, 1012, 1012]
        await trio.sleep(0.1)
        assert (
            await (await players[0].send_resume(api)).close_code() == 1013
        )  # no other node could answer
        await trio.sleep_until(start + 5)
        c.bus.heal("game-1")
        for player in players:
            await player.resume(api)
        await players[0].say("all here")
        for player in players:
            await player.hear_data({"from": players[0].you, "said": "all here"})


async def test_a_game_node_that_stays_silent_moves_its_clients_once(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, _ = await c.one_of_each()
        moved: list[int] = []
        api.node.games._move = lambda sessions: moved.append(len(sessions))
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(api, kind="lounge")
        await bob.join(api, kind="lounge")
        for _ in range(2):
            c.bus.freeze("game-1")
            await trio.sleep(4.5)
            c.bus.heal("game-1")
            await trio.sleep(1)
        assert moved == [2, 2]
        c.bus.freeze("game-1")
        assert (await ann.socket.hear("ended"))["reason"] == "node_lost"


async def test_each_silence_of_a_link_moves_its_clients_once(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, _ = await c.one_of_each()
        moved: list[int] = []
        games = api.node.games
        games._move = lambda sessions: moved.append(len(sessions))
        for _ in range(2):
            await Player(c.nursery).join(api, kind="lounge")
        [link] = games.connectors._links.values()
        for silent in (
            True,
            True,
            False,
            True,
            True,
        ):  # a state may arrive by the feed during a silence
            link.silent = silent
            games.link_state(link)
        assert moved == [2, 2]


async def test_no_node_is_missing_when_each_answers_or_its_address_refuses(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        first, second = c.game("game-1"), c.game("game-2")
        api = c.api()
        await c.ready(first, second, api)
        missing = api.node.games.connectors.missing
        assert missing() == NOTHING_MISSING
        c.bus.freeze("game-2")
        await trio.sleep(4)
        assert missing().any_place  # it is silent
        await trio.sleep(4)
        assert missing().any_place  # lost, but the process may still be there
        c.bus.heal("game-2")
        await trio.sleep(2)
        assert missing() == NOTHING_MISSING
        second.kill()
        await trio.sleep(2)
        assert missing() == NOTHING_MISSING  # it is certainly not there
        first.kill()
        await trio.sleep(2)
        assert missing() == NOTHING_KNOWN  # no node is left that could refuse


@orders(3)
async def test_a_node_that_is_lost_is_missing_by_its_name_after_6_s_and_forgotten_after_30_s(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        first, second = c.game("game-1"), c.game("game-2")
        api = c.api()
        await c.ready(first, second, api)
        missing = api.node.games.connectors.missing
        c.bus.freeze("game-2")
        await trio.sleep(6 + 6 + 1)
        assert missing() == MissingNodes(any_place=False, names=frozenset({"game-2"}))
        await trio.sleep(30 - 6)
        assert missing() == NOTHING_MISSING


async def test_a_source_that_never_answers_is_like_an_address_that_never_does(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        game = c.game()
        started_at = trio.current_time()
        api = c.api()
        api.node.games.connectors._discovery._known.append(None)
        missing = api.node.games.connectors.missing
        await trio.sleep_until(started_at + 5.9)
        assert missing().any_place
        await trio.sleep_until(started_at + 6.1)
        assert missing() == MissingNodes(any_place=False, nameless=True)
        await trio.sleep_until(started_at + 30.1)
        assert missing() == NOTHING_MISSING
        assert game.links


async def test_a_node_with_two_addresses_does_not_make_the_others_uncertain(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        game, other = c.game("game-1"), c.game("game-2")
        api = c.api()
        await c.ready(game, other, api)
        connectors = api.node.games.connectors
        first = next(iter(connectors._connectors.values()))
        first.empty = True  # as after the reply that this node is attached twice
        del connectors._links[first.address]
        assert connectors.missing() == NOTHING_MISSING


async def test_players_of_a_reset_link_are_told_that_their_game_node_drains(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, game = await c.one_of_each()
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(api, kind="lounge")
        await bob.join(api, kind="lounge")
        c.bus.break_link("api-1")
        for link in list(game.node._links._links.values()):
            game.node._links.attachments.drop(link.id, "the test drops it")
        game.signal()
        await trio.sleep(1)
        c.bus.heal("api-1")
        for player in (ann, bob):
            notice = await player.socket.hear("draining")
            assert notice["tier"] == "game"


async def test_clients_of_an_api_node_are_moved_at_its_deadline(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        game = c.game("game-1")
        one, two = c.api("api-1", drain=DrainPolicy(grace_seconds=10)), c.api("api-2")
        await c.ready(game, one, two)
        players = [Player(c.nursery) for _ in range(6)]
        for player in players:
            await player.join(one, kind="lounge")
        one.signal()
        await one.gone.wait()
        assert (one.exit_code, one.counts.clients_moved, one.counts.clients_cut) == (0, 6, 0)
        for player in players:
            await player.resume(two)


async def test_an_api_node_becomes_ready_when_its_first_game_node_starts(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        c.address("game-1")
        api = c.api()
        await api.up.wait()
        await trio.sleep(5)
        assert api.node.unready
        client = await c.client(api)
        start = trio.current_time()
        assert await refusal(client, kind="lounge") == "no_game_node"
        assert trio.current_time() - start <= 1
        await c.ready(c.game("game-1"), api)
        assert (await client.join(kind="lounge")).room.startswith("game-1.")


async def test_an_api_node_waits_2_s_for_a_game_node_that_does_not_answer(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        c.address("game-0")
        game = c.game("game-1")
        api = c.api()
        await api.up.wait()
        start = trio.current_time()
        await c.ready(game, api)
        assert trio.current_time() - start == pytest.approx(2, abs=0.2)


async def test_a_join_waits_for_a_game_node_that_is_just_starting(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        c.address("game-1")
        api = c.api()
        await api.up.wait()
        client = await c.client(api)
        async with trio.open_nursery() as nursery:
            places: list[Place] = []

            async def join() -> None:
                places.append(await client.join(kind="lounge"))

            nursery.start_soon(join)
            await trio.sleep(0.3)
            c.game("game-1")
        assert places[0].room.startswith("game-1.")


async def test_a_killed_api_node_leaves_no_player_behind(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        apis, games = await two_nodes_of_each_tier(c)
        await (await c.client(apis[0])).join(kind="lounge")
        await trio.sleep(0.1)
        apis[0].kill()
        await trio.sleep(40)  # the seat of its player was kept for 30 s
        assert [players_in(game.node.host) for game in games] == [0, 0]
        assert [game.rooms for game in games] == [0, 0]


async def test_a_room_is_not_declared_dead_before_its_node_is_met(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        first, second = c.game("game-1"), c.game("game-2")
        old = c.api("api-1")
        await c.ready(first, second, old)
        place = await (await c.client(old)).join(kind="lounge", new=True)
        assert place.room.startswith("game-1.")
        c.bus.break_link("game-1", "api-2")
        new = c.api("api-2")
        await new.up.wait()
        client = await c.client(new)
        joined: list[Place] = []

        async def join() -> None:
            joined.append(await client.join(room=place.room))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(join)
            await trio.sleep(0.3)
            assert new.node.unready
            assert joined == []
            c.bus.heal("game-1")
        assert joined[0].room == place.room


async def test_an_unknown_room_is_refused_within_1_s_although_a_node_was_never_met(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        c.address("game-0")
        game = c.game("game-1")
        api = c.api()
        await api.up.wait()
        client = await c.client(api)
        await trio.sleep(0.5)
        start = trio.current_time()
        assert await refusal(client, room="game-1.nothing") == "no_such_room"
        assert trio.current_time() - start <= 1
        await c.ready(game, api)
        start = trio.current_time()
        assert await refusal(client, room="game-1.nothing") == "no_such_room"
        assert trio.current_time() - start <= 0.1

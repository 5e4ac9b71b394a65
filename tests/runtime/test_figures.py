"""The figures of nodes, against what has happened in a cluster."""

from __future__ import annotations

from collections import Counter

import pytest
import trio
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from trio.testing import MockClock

from lastcall.bus.address import HostPort
from lastcall.core.lifecycle import Phase
from lastcall.ids import NodeName
from lastcall.runtime.admin.metrics import node_registry
from lastcall.runtime.figures import KindFigures
from lastcall.runtime.options import NodeOptions
from lastcall.runtime.process import Node, NodeAdmin
from lastcall.runtime.signals import StopRequests
from tests.harness.cluster import Process, cluster
from tests.harness.player import Player
from tests.moves.talks import DRAIN, FOUND_SECONDS, players, talk, two_nodes, undisturbed
from tests.serve.nodes import ready, start

NO_KINDS = dict.fromkeys(("den", "hall", "cell"), KindFigures())


def admin_of(process: Process, node: Node) -> NodeAdmin:
    options = NodeOptions(NodeName(process.name), HostPort("127.0.0.1", 0), "json", None, "7")
    return NodeAdmin(options, process.drain, node, StopRequests())


def scraped(admin: NodeAdmin, tier: str) -> dict[tuple[str, ...], float]:
    """Each sample by its name and the values of its labels; none is there twice."""
    registry = node_registry(admin.figures, name="a", tier=tier, version="7")
    families = list(text_string_to_metric_families(generate_latest(registry).decode()))
    names = Counter(family.name for family in families)
    assert set(names.values()) == {1}
    samples = [
        ((one.name, *one.labels.values()), one.value)
        for family in families
        for one in family.samples
    ]
    assert len(samples) == len(dict(samples))
    return dict(samples)


async def test_joins_and_refusals_are_counted_as_clients_hear_them(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, one, _ = await two_nodes(c)
        speakers = await players(c, api, "den", 3)
        stranger = await Player(c.nursery).dial(api)
        for kind in ("chess", "chess", ""):
            await stranger.send(t="join", kind=kind)
            await stranger.hear("error")
        figures = api.node.figures()
        assert figures.joins == 3
        assert figures.refusals == {"no_such_kind": 2, "bad_frame": 1}
        assert one.node.figures().joins == 3
        await speakers[0].socket.send(t="leave")
        await speakers[0].socket.hear("ended")
        speakers[1].socket.drop()
        await speakers[1].resume(api)
        figures = api.node.figures()
        assert (figures.joins, figures.resumes, figures.places_ended) == (3, 1, {"left": 1})


async def test_rooms_and_players_are_counted_by_the_kinds_that_the_node_offers(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, one, two = await two_nodes(c)
        assert one.node.figures().kinds == NO_KINDS
        two.drain.cordon()
        await trio.sleep(1)
        await players(c, api, "den", 3)
        await players(c, api, "den", 1)
        await players(c, api, "hall", 2)
        figures = one.node.figures()
        assert figures.kinds == NO_KINDS | {"den": KindFigures(2, 4), "hall": KindFigures(1, 2)}
        assert (figures.rooms, figures.clients) == (3, 6)
        assert api.node.figures().kinds == {}


async def test_a_hand_off_is_counted_by_the_giver_the_taker_and_the_api_node(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, one, two = await two_nodes(c)
        speakers = await players(c, api, "hall", 2)
        one.signal()
        await talk(speakers, "a")
        await trio.sleep(1)
        giver, taker, follower = one.node.figures(), two.node.figures(), api.node.figures()
        assert (giver.rooms_handed_off, taker.rooms_adopted, follower.room_moves) == (1, 1, 1)
        assert (giver.handoffs_refused, giver.handoffs_lost) == (0, 0)
        await one.gone.wait()
        await trio.sleep(1)
        ends = {loss: count for loss, count in api.node.figures().link_ends.items() if count}
        assert ends == {"farewell": 1}
        assert (undisturbed(speakers), api.node.figures().places_ended) == (True, {})


async def test_a_room_that_can_go_nowhere_counts_as_cut_at_its_node_and_for_its_players(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, one, two = await two_nodes(c)
        await players(c, api, "den", 2)
        two.drain.cordon()
        one.signal()
        await one.gone.wait()
        assert one.node.figures().rooms_ended["cut"] == 1
        assert api.node.figures().places_ended == {"cut": 2}


async def test_players_of_a_node_that_is_killed_are_counted_as_lost_with_it(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, one, _ = await two_nodes(c)
        await players(c, api, "den", 2)
        one.kill()
        await trio.sleep(10)
        figures = api.node.figures()
        assert figures.places_ended == {"node_lost": 2}
        assert (figures.link_ends["gone"], figures.links) == (1, 1)


async def test_round_trips_are_those_of_requests_and_lost_items_are_counted_by_both_sides(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, one, _ = await two_nodes(c)
        speakers = await players(c, api, "den", 2)
        trips = api.node.figures().round_trips
        before, counted = trips.total, sum(trips.counts)
        c.bus.faults.delay_seconds = 0.04
        await trio.sleep(10)
        heartbeats = sum(trips.counts) - counted
        assert 2 * 10 / 0.6 < heartbeats < 2 * 10 / 0.4
        assert 0 < (trips.total - before) / heartbeats < 2 * 0.04
        assert (api.node.figures().feed_repairs, one.node.figures().feed_repeats) == (0, 0)
        c.bus.faults.drop = 0.3
        for number in range(20):
            await talk(speakers, number)
        assert api.node.figures().feed_repairs > 0
        assert one.node.figures().feed_repeats > 0


async def test_a_process_with_both_tiers_exports_each_figure_once(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        node = start(c, "one", alone=True)
        await ready(node)
        speakers = await players(c, node, "den", 2)  # type: ignore[arg-type]
        await talk(speakers, "a")
        admin = admin_of(node, node.node)
        api, game, both = node.node.api.figures(), node.node.game.figures(), admin.figures()
        assert (both.rooms, both.clients, both.joins) == (1, 2, 2)
        assert (api.rooms, game.rooms, api.clients, game.clients) == (1, 1, 2, 2)
        assert (both.messages_in, both.bytes_in) == (api.messages_in, api.bytes_in)
        assert both.round_trips.counts == api.round_trips.counts
        samples = scraped(admin, "serve")
        assert samples["lastcall_rooms",] == samples["lastcall_kind_rooms", "den"] == 1
        assert samples["lastcall_clients",] == samples["lastcall_joins_total",] == 2
        assert samples["lastcall_link_ends_total", "lost"] == 0


@pytest.mark.parametrize("seconds", [0, 2.5])
async def test_the_metrics_the_status_and_the_page_say_the_same(
    autojump_clock: MockClock, seconds: float
) -> None:
    async with cluster() as c:
        one, two = start(c, "one"), start(c, "two")
        await ready(one, two)
        await trio.sleep(FOUND_SECONDS)
        speakers = await players(c, one, "cell", 2)  # type: ignore[arg-type]
        await talk(speakers, "a")
        if seconds:
            one.signal()
            await trio.sleep(seconds)
        admin = admin_of(one, one.node)
        status, now, samples = admin.status(), admin.now(), scraped(admin, "serve")
        card, figures = now.card, now.figures
        assert status.phase == (Phase.DRAINING if seconds else Phase.SERVING)
        assert samples["lastcall_phase", status.phase] == 1
        assert samples["lastcall_ready",] == (not admin.unready) == (not seconds)
        assert samples["lastcall_rooms",] == status.rooms == card.rooms == figures.rooms
        assert samples["lastcall_clients",] == status.clients == card.clients == figures.clients
        assert samples["lastcall_messages_total", "in"] == figures.messages_in > 0
        assert samples["lastcall_messages_total", "out"] == figures.messages_out > 0
        limited = sum(value for (name, *_), value in samples.items() if "limited_total" in name)
        assert limited == figures.limited
        limit, lasted = samples["lastcall_drain_limit_seconds",], samples["lastcall_drain_seconds",]
        assert (limit, lasted) == (DRAIN.cut_seconds, seconds)
        left = limit - lasted if seconds else None
        assert status.seconds_left == card.seconds_left == left

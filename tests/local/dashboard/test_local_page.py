"""The page of a local cluster: its events and its commands. Nodes are scripts."""

from __future__ import annotations

from contextlib import asynccontextmanager

import httpx
import pytest
import trio

from lastcall.bus.address import HostPort, parse_host_port
from lastcall.local.bots.ledger import Ledger
from lastcall.local.cluster import open_cluster
from lastcall.local.dashboard.local import LocalPage, serving
from lastcall.local.plan import Plan
from lastcall.local.roll.service import Rolls
from lastcall.policy import DrainPolicy
from tests.harness.event_source import event_source

FREE = HostPort("127.0.0.1", 0)
DRAIN = DrainPolicy(grace_seconds=5, farewell_seconds=0.1)
LIMIT_SECONDS = 20
COMMAND = {"X-Lastcall": "1"}
TOKEN = "0123456789abcdef"  # noqa: S105 - a test's


class Seen:
    """A cluster, its page's port, and how it is asked."""

    def __init__(self, cluster, ledger, http):
        self.cluster = cluster
        self.ledger = ledger
        self.http = http
        self.address = parse_host_port(cluster.page.removeprefix("http://").rstrip("/"))

    async def post(self, verb, *, json=None, **headers):
        answer = await self.http.post(f"/cluster/{verb}", json=json, headers=COMMAND | headers)
        return answer.status_code, answer.text


@asynccontextmanager
async def running(start, **settings):
    plan = Plan(**({"apis": 1, "games": 1} | settings), client=FREE, admin=FREE, drain=DRAIN)
    ledger = Ledger(trio.current_time)
    with trio.fail_after(LIMIT_SECONDS):

        def on_death(child):
            page.on_death(child)

        def on_event(line):
            page.on_output(line)

        def on_step(node, text):
            page.on_roll(node, text)

        async with open_cluster(plan, on_death, start=start, on_event=on_event) as cluster:
            rolls = Rolls(cluster, ledger, 2, lambda *_: None, on_step)
            page = LocalPage(cluster, rolls, ledger)
            async with serving(page), trio.open_nursery() as nursery:
                nursery.start_soon(rolls.run, trio.Event())
                await cluster.wait_ready()
                url = cluster.page
                async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
                    yield Seen(cluster, ledger, http)
                    nursery.cancel_scope.cancel()


def phases(event):
    return {node["name"]: node["phase"] for node in event.data["nodes"]}


async def test_the_page_shows_all_nodes_with_their_processes(fake_nodes):
    async with running(fake_nodes()) as seen, event_source(seen.address) as source:
        first = await source.next("cluster")
        assert (first.data["about"], first.data["clients"]) == ("cluster", [seen.cluster.url])
        assert first.data["verbs"] == ["roll", "cordon", "uncordon", "drain", "kill"]
        assert phases(first) == {"api-1": "serving", "game-1": "serving"}
        pids = [node["pid"] for node in first.data["nodes"]]
        assert pids == [child.pid for child in seen.cluster.children]


async def test_figures_have_those_of_the_bots(fake_nodes):
    async with running(fake_nodes()) as seen, event_source(seen.address) as source:
        for milliseconds in range(1, 101):
            seen.ledger.answered(milliseconds / 1000)
        seen.ledger.refused()
        figures = (await source.next("figures")).data
        assert figures["nodes"]["game-1"]["rooms"] == 1
        assert figures["players"] == {
            "round_trip_p50": 0.05,
            "round_trip_p99": 0.099,
            "refused": 1,
            "cut": 0,
            "lost": 0,
            "repeated": 0,
        }


async def test_a_killed_node_is_shown_as_dead_and_its_end_is_told(fake_nodes):
    async with running(fake_nodes(), apis=2) as seen, event_source(seen.address) as source:
        await source.next("figures")
        assert await seen.post("kill", json={"node": "api-2"}) == (200, "{}")
        dead = next(child for child in seen.cluster.children if child.name == "api-2")
        await dead.ended.wait()
        assert dead.exit_code == -9
        while phases(news := await source.next("cluster"))["api-2"] != "dead":
            pass
        (card,) = [node for node in news.data["nodes"] if node["name"] == "api-2"]
        assert card["dead"] == "killed by SIGKILL"
        async with event_source(seen.address) as late:
            while (line := await late.next("log")).data["event"] != "node.ended":
                pass
            assert (line.data["node"], line.data["level"]) == ("api-2", "error")


async def test_a_roll_by_the_page_replaces_the_nodes_and_shows_its_steps(fake_nodes):
    async with running(fake_nodes()) as seen, event_source(seen.address) as source:
        first = await source.next("cluster")
        assert first.data["roll"] is None
        assert await seen.post("roll", json={"tier": "api"}) == (200, "{}")
        status, why = await seen.post("roll", json={"tier": "api"})
        assert status == 502
        assert "has been under way" in why
        rolling = await source.next("cluster")
        while rolling.data["roll"] is None:
            rolling = await source.next("cluster")
        assert rolling.data["roll"]["of"] == 1
        while rolling.data["roll"] is not None or "api-2" not in phases(rolling):
            rolling = await source.next("cluster")
        assert phases(rolling) == {"game-1": "serving", "api-2": "serving"}
        generations = {node["name"]: node["generation"] for node in rolling.data["nodes"]}
        assert generations == {"game-1": 0, "api-2": 1}


async def test_commands_reach_the_node_with_the_plan_s_token(fake_nodes, tmp_path):
    file = tmp_path / "token"
    file.write_text(TOKEN)
    async with running(fake_nodes(), admin_token_file=file) as seen:
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert await seen.post("cordon", json={"node": "game-1"}, **bearer) == (200, "{}")
        (line,) = [
            line for line in seen.cluster.children[1].output.lines if '"event": "command"' in line
        ]
        assert f'"authorization": "Bearer {TOKEN}"' in line
        again = await seen.post("cordon", json={"node": "game-1"}, **bearer)
        assert again[0] == 502
        assert "it is cordoned already" in again[1]


@pytest.mark.parametrize("verb", ["roll", "cordon", "uncordon", "drain", "kill"])
async def test_nothing_is_commanded_without_the_header_the_token_or_by_a_foreign_page(
    fake_nodes, tmp_path, verb
):
    file = tmp_path / "token"
    file.write_text(TOKEN)
    async with running(fake_nodes(), admin_token_file=file) as seen:
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        for headers in (
            {},
            {"Authorization": "Bearer " + "x" * 16},
            bearer | {"X-Lastcall": "0"},
            bearer | {"Origin": "http://evil.example"},
            bearer | {"Host": "evil.example"},
            bearer | {"Host": f"localhost:{seen.address.port + 1}"},
        ):
            status, _ = await seen.post(verb, json={"node": "game-1"}, **headers)
            assert status == 403
        await trio.sleep(0.1)
        assert [child.ended.is_set() for child in seen.cluster.children] == [False, False]
        commands = [line for child in seen.cluster.children for line in child.output.lines]
        assert not [line for line in commands if '"event": "command"' in line]


async def test_what_cannot_be_done_is_refused_with_the_reason(fake_nodes):
    async with running(fake_nodes()) as seen, event_source(seen.address) as source:
        assert await seen.post("kill", json={"node": "game-9"}) == (
            400,
            "no node 'game-9' runs here",
        )
        assert (await seen.post("roll", json={"tier": "both"}))[0] == 400
        assert (await seen.post("dance"))[0] == 404
        assert (await seen.post("cordon", json={"node": "game-1"}))[0] == 200
        while (line := (await source.next("log")).data)["event"] != "page.command":
            pass
        assert (line["node"], line["text"]) == ("game-1", "verb=cordon"), "what was refused is not"
        answer = await seen.http.get("/cluster/kinds")
        assert answer.json() == {"kinds": "game-1"}
        foreign = await seen.http.get("/cluster/events", headers={"Host": "evil.example"})
        assert foreign.status_code == 403

"""``lastcall dashboard`` in front of real admin ports."""

from __future__ import annotations

import signal
from contextlib import asynccontextmanager

import httpx
import pytest
import trio

from lastcall.bus.address import HostPort, parse_host_port
from lastcall.cli import cli
from lastcall.local.dashboard import remote
from lastcall.local.dashboard.remote import run_dashboard
from lastcall.runtime.admin.auth import AdminAuth
from lastcall.runtime.command import run_command
from tests.harness.event_source import event_source
from tests.runtime.admin.test_node_page import TOKEN, serving

FREE = HostPort("127.0.0.1", 0)
LIMIT_SECONDS = 20
COMMAND = {"X-Lastcall": "1"}
DRAIN = {"node": "game-1"}


@asynccontextmanager
async def dashboard_of(*admins, token_file=None):
    """A dashboard of these addresses: its own address, and an HTTP client of it."""
    urls = []
    async with trio.open_nursery() as nursery:
        auth = AdminAuth(["127.0.0.1"], token_file)
        nursery.start_soon(run_dashboard, admins, FREE, auth, urls.append)
        with trio.fail_after(LIMIT_SECONDS):
            while not urls:
                await trio.sleep(0.01)
            async with httpx.AsyncClient(base_url=urls[0], trust_env=False) as http:
                yield parse_host_port(urls[0].removeprefix("http://").rstrip("/")), http
        nursery.cancel_scope.cancel()


async def test_it_shows_the_nodes_and_those_that_do_not_answer():
    gone = HostPort("127.0.0.1", 1)
    async with serving() as node, dashboard_of(node.address, gone) as (at, http):
        async with event_source(at) as source:
            state = (await source.next("cluster")).data
            shown = {card["name"]: (card["phase"], card["admin"]) for card in state["nodes"]}
            assert shown == {
                "game-1": ("serving", str(node.address)),
                "127.0.0.1:1": ("no answer", "127.0.0.1:1"),
            }
            assert state["verbs"] == ["cordon", "uncordon", "drain"]
            assert (await source.next("figures")).data["nodes"]["game-1"]["rooms"] == 3
        (kind,) = (await http.get("/cluster/kinds")).json()
        assert kind["name"] == "dice"
        assert (await http.get("/")).headers["content-type"] == "text/html; charset=utf-8"
        assert (await http.get("/status")).status_code == 404


async def test_a_command_reaches_the_node_and_its_effect_the_page():
    async with (
        serving() as node,
        dashboard_of(node.address) as (at, http),
        event_source(at) as source,
    ):
        await source.next("cluster")
        done = await http.post("/cluster/drain", json=DRAIN, headers=COMMAND)
        assert (done.status_code, done.text) == (200, "{}")
        assert node.stops.count == 1
        (card,) = (await source.next("cluster")).data["nodes"]
        assert card["phase"] == "draining"


@pytest.mark.parametrize("knows_the_token", [False, True])
async def test_it_is_no_way_around_a_node_s_token(tmp_path, knows_the_token):
    file = tmp_path / "token"
    file.write_text(TOKEN)
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    token_file = file if knows_the_token else None
    async with (
        serving(file) as node,
        dashboard_of(node.address, token_file=token_file) as (_, http),
    ):
        for headers in ({}, {"Authorization": "Bearer " + "x" * 16}):
            refused = await http.post("/cluster/drain", json=DRAIN, headers=COMMAND | headers)
            assert refused.status_code == 403  # by which the page knows that it needs a token
            assert "token" in refused.text
        assert not node.stops.count
        done = await http.post("/cluster/drain", json=DRAIN, headers=COMMAND | bearer)
        assert done.status_code == 200
        assert node.stops.count == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Lastcall": "0"},
        {"Host": "evil.example"},
        {"Host": "localhost:1"},
        {"Origin": "http://evil.example"},
    ],
)
async def test_a_foreign_page_commands_nothing(headers):
    async with serving() as node, dashboard_of(node.address) as (_, http):
        refused = await http.post("/cluster/drain", json=DRAIN, headers=COMMAND | headers)
        assert refused.status_code == 403
        assert not node.stops.count


@pytest.mark.parametrize(
    ("more", "shown"), [((), "{url}\n"), (("--json",), '{{"is":"page","url":"{url}"}}\n')]
)
def test_the_command_prints_where_its_page_is(more, shown, monkeypatch, capsys):
    async def stopped(_sources, listen, _auth, show):
        show(f"http://{listen}/")
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(remote, "run_dashboard", stopped)
    with pytest.raises(SystemExit) as exit_:
        run_command(cli, ["dashboard", "--admin", "127.0.0.1:1", *more])
    assert exit_.value.code == 0
    assert capsys.readouterr().out == shown.format(url="http://127.0.0.1:9900/")

"""``lastcall serve``: real processes with both tiers."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest
import trio

from lastcall.client import Place, connect
from tests.e2e.nodes import ANY_PORT, ANY_URL, Node, Nodes, wait_until
from tests.e2e.test_survival import ROOMS, figures
from tests.promtool import promtool

pytestmark = pytest.mark.e2e

GRACE = ("--grace", "4", "--farewell", "3")


def start(nodes: Nodes, *options: str) -> Node:
    return nodes.start("lastcall.serve", "--listen", ANY_PORT, *options)


async def start_two(nodes: Nodes, *options: str) -> list[Node]:
    """Two nodes that know each other."""
    linked = ("--links", ANY_URL, "--games", nodes.games_file(), *options)
    pair = [start(nodes, *linked) for _ in range(2)]
    urls = []
    for node in pair:
        await node.wait_ready()
        event = node.event("node.links")
        assert event is not None
        urls.append(str(event["url"]))
    nodes.games_file(*urls)
    for node in pair:
        await wait_until(lambda node=node: knows_others(node), within=10)  # type: ignore[misc]
    return pair


def knows_others(node: Node) -> bool:
    """Whether its api half has a link to its own game half, and each half one to the other node."""
    ups = Counter(event["game"] for event in node.events if event["event"] == "link.up")
    return ups[node.name] >= 1 and ups.total() - ups[node.name] >= 2


def ports(node: Node) -> int:
    """How many TCP ports the process listens at."""
    sockets = set()
    for entry in Path(f"/proc/{node.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it has closed meanwhile
            sockets.add(str(entry.readlink()))
    lines = [line.split() for line in Path(f"/proc/{node.pid}/net/tcp").read_text().splitlines()]
    return sum(fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets for fields in lines[1:])


async def hear(place: Place, count: int) -> list[Any]:
    heard: list[Any] = []
    with trio.fail_after(15):
        while len(heard) < count:
            heard.append((await anext(place)).data)
    return heard


async def test_a_node_alone_opens_two_ports_and_a_stop_waits_for_the_match(nodes: Nodes) -> None:
    node = start(nodes)
    await node.wait_ready()
    assert ports(node) == 2
    page = node.event("node.page")
    assert page is not None
    assert page["url"] == f"http://{node.admin}/"
    url = f"ws://{node.listen}"
    async with (
        connect(url, kind="tictactoe") as first,
        connect(url, kind="tictactoe") as second,
    ):
        (board,) = await hear(first, 1)
        exported = (await node.get("/metrics")).body
        node.signal()
        await wait_until(lambda: node.event("drain.started"), within=5)
        turn = {first.you: first, second.you: second}
        for cell in (0, 3, 1, 4):
            await turn[board["turn"]].say({"cell": cell})
            (board,) = await hear(first, 1)
        assert board["board"] == "XX-OO----"
        await turn[board["turn"]].say({"cell": 2})
        with trio.fail_after(10):
            async for _ in first:
                pass
        assert first.ended is not None
        assert first.ended.reason == "finished"
        assert await node.exit_code(within=10) == 0
    report = node.event("drain.finished")
    assert report is not None
    assert (report["rooms_finished"], report["rooms_cut"], report["clients_cut"]) == (1, 0, 0)
    assert 'lastcall_kind_players{kind="tictactoe"} 2.0' in exported
    promtool("check", "metrics", stdin=exported)


async def test_a_roll_of_both_halves_takes_a_lounge_and_its_talkers_to_the_other_node(
    nodes: Nodes,
) -> None:
    one, two = await start_two(nodes, *GRACE)
    urls = [f"ws://{one.listen}", f"ws://{two.listen}"]
    async with connect(urls, kind="lounge") as place:
        if place.room.startswith(f"{two.name}."):
            one, two = two, one
        await place.say("before")
        assert [data["said"] for data in await hear(place, 1)] == ["before"]
        one.signal()
        await place.say("while it drains")
        assert await one.exit_code(within=8) == 0
        await place.say("after")
        assert [data["said"] for data in await hear(place, 2)] == ["while it drains", "after"]
        await two.wait_for_status(5, rooms=1, clients=1)
    report = one.event("drain.finished")
    assert report is not None
    assert (report["rooms_handed_off"], report["rooms_cut"]) == (1, 0)


async def test_a_node_that_is_killed_costs_no_message_of_a_room_that_survives(nodes: Nodes) -> None:
    """Its clients' sockets die with it: they resume at the other node, and so does the room."""
    one, two = await start_two(nodes, "--rooms", ROOMS)
    async with connect([f"ws://{one.listen}", f"ws://{two.listen}"], kind="choir") as place:
        if place.room.startswith(f"{two.name}."):
            one, two = two, one
        with trio.fail_after(20):
            while (await figures(one))["rooms_protected"] != 1:
                await trio.sleep(0.05)
        for n in range(1, 4):
            await place.say(n)
        assert [count for *_, count in await hear(place, 3)] == [1, 2, 3]
        one.signal(SIGKILL)
        await place.say(4)
        assert [count for *_, count in await hear(place, 1)] == [4]
        assert (await figures(two))["promotions_total"] == 1

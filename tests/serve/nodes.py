"""Nodes with both tiers, each as a process in a cluster in memory."""

from __future__ import annotations

import trio

from lastcall import Room, Said, room
from lastcall.api.node import ApiNode
from lastcall.api.options import ApiOptions
from lastcall.api.settings import ApiSettings
from lastcall.bus.address import HostPort
from lastcall.game.node import GameNode
from lastcall.game.settings import GameSettings
from lastcall.ids import NodeName
from lastcall.links.sources import GameUrl
from lastcall.policy import DrainPolicy
from lastcall.serve.bus import HERE, LocalFirstBus
from lastcall.serve.node import ServeNode
from tests.harness.cluster import Cluster, GameNames, MemoryListener, Process
from tests.moves.rooms import KINDS, kinds
from tests.moves.talks import FOUND_SECONDS

DRAIN = DrainPolicy(grace_seconds=10, farewell_seconds=4)
"""The cut is 6 s after the signal."""


@room("short", seats=2)
async def short(table: Room) -> str:
    """Ends when somebody says *end*."""
    async for event in table:
        if isinstance(event, Said) and event.input == "end":
            return "over"
    raise AssertionError


ALL_KINDS = KINDS | kinds(short)


class ServeProcess(Process):
    """One process: ``listener`` is its client port."""

    node: ServeNode
    listener: MemoryListener

    @property
    def rooms(self) -> int:
        return self.node.game.host.rooms


def start(c: Cluster, name: str, *, alone: bool = False) -> ServeProcess:
    """Starts a node; unless it is ``alone``, it finds all others within 2 s."""
    if not alone:
        trio.socket.set_custom_hostname_resolver(GameNames(c.addresses))
    others = () if alone else GameNames.SOURCE
    process = ServeProcess(name, c.bus.node(name), DRAIN)
    process.listener = MemoryListener()
    bus = LocalFirstBus(None if alone else process.bus)
    api = ApiSettings(
        name=NodeName(name),
        version="1",
        advertise=None,
        born=trio.current_time(),
        options=ApiOptions(
            listen=(HostPort(name, 8080),),
            feed=HostPort(name, 7001),
            games=(GameUrl(HERE), *others),
            clients="finish",
        ),
    )
    game = GameSettings(
        name=NodeName(name),
        version="1",
        listen=HERE if alone else c.address(name),
        born=trio.current_time(),
        games=others,
        feed=HostPort(name, 7002),
    )
    rng = c._rng(name)
    process.node = ServeNode(
        ApiNode(api, bus=bus, drain=process.drain, rng=rng, listeners=[process.listener]),
        GameNode(game, kinds=ALL_KINDS, bus=bus, drain=process.drain, rng=rng),
        DRAIN,
    )
    c.nursery.start_soon(process.run, process.node)
    return process


async def alone(c: Cluster) -> ServeProcess:
    """A node that knows no other one, and serves."""
    node = start(c, "one", alone=True)
    await ready(node)
    return node


async def two_nodes(c: Cluster) -> tuple[ServeProcess, ServeProcess]:
    """Two nodes that serve, and have found each other."""
    one, two = start(c, "one"), start(c, "two")
    await ready(one, two)
    await trio.sleep(FOUND_SECONDS)
    return one, two


async def ready(*processes: ServeProcess) -> None:
    """Waits until each node serves, and knows itself."""
    with trio.fail_after(30):
        for process in processes:
            await process.up.wait()
            while process.node.unready:
                await trio.sleep(0.01)

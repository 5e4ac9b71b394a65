"""A whole cluster in one process: real nodes and a real client; all connections are in memory."""

from __future__ import annotations

import random
import socket
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Literal

import pytest
import trio
import trio.testing

from lastcall.api.auth.entry import Auth
from lastcall.api.node import ApiNode
from lastcall.api.options import ApiOptions
from lastcall.api.settings import ApiSettings
from lastcall.bus.address import HostPort
from lastcall.bus.memory import MemoryBus
from lastcall.client import Connection, Place, open_connection
from lastcall.core.edge.addresses import TrustedProxies
from lastcall.core.link.secret import Secrets
from lastcall.game.feeds import Link
from lastcall.game.loader import load
from lastcall.game.node import GameNode
from lastcall.game.settings import GameSettings
from lastcall.ids import KindName, LinkId, NodeName
from lastcall.kind import Kind
from lastcall.links.sources import GameSource, GameUrl, parse_games
from lastcall.policy import DrainPolicy, LinkPolicy, RoomPolicy, SocketPolicy, SurvivalPolicy
from lastcall.reasons import ExitCode
from lastcall.runtime.drain import Drain
from lastcall.wire.reports import Counts
from tests import harness
from tests.harness.bugs import noted_bugs

EXAMPLES = load(["lastcall.game.examples"])
CLEAN = ExitCode.DRAINED
CUT = ExitCode.CUT


class GameNames(trio.abc.HostnameResolver):
    """A name server with one name for all game nodes of a cluster, those named later, too."""

    SOURCE = parse_games("dns://games:7101")

    def __init__(self, addresses: Sequence[HostPort]) -> None:
        self._addresses = addresses

    async def getaddrinfo(self, _host: str, port: int, *_rest: object) -> list[Any]:  # type: ignore[override]
        await trio.lowlevel.checkpoint()
        kind = socket.AF_INET, socket.SOCK_STREAM, 6, ""
        return [(*kind, (address.host, port)) for address in self._addresses]

    async def getnameinfo(self, *_: object) -> tuple[str, str]:  # type: ignore[override]
        raise NotImplementedError


class MemoryListener(trio.abc.Listener[trio.abc.Stream]):
    """A client port in memory; after it is closed it refuses connections, as a kernel does."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[trio.abc.Stream](1000)

    async def accept(self) -> trio.abc.Stream:
        return await self._receive.receive()

    async def aclose(self) -> None:
        self._receive.close()
        await trio.lowlevel.checkpoint()

    async def connect(self) -> trio.abc.Stream:
        ours, theirs = trio.testing.memory_stream_pair()
        try:
            await self._send.send(theirs)
        except trio.BrokenResourceError as error:
            raise ConnectionRefusedError("nobody listens") from error
        return ours


class Process:
    """One node as a process: it can be signalled or killed, and ends with an exit code."""

    def __init__(self, name: str, bus: MemoryBus, drain: DrainPolicy) -> None:
        self.name = name
        self.bus = bus
        self.drain = Drain(drain, end_process=self._end)
        self.exit_code: int | None = None
        self.exited_at = float("inf")
        self.counts: Counts | None = None
        self.scope = trio.CancelScope()
        self.up = trio.Event()
        self.gone = trio.Event()

    def signal(self) -> None:
        """Sends a signal to stop: a node treats SIGTERM and SIGINT alike."""
        self.drain.stop()

    def kill(self) -> None:
        """Sends SIGKILL: all sockets close without a message.

        A second one does nothing: by then another process may have the host.
        """
        if not self.scope.cancel_called:
            self.scope.cancel()
            self.bus.crash()

    def _end(self, code: int) -> None:
        if self.exit_code is None:
            self.exit_code = int(code)
            self.exited_at = trio.current_time()
            self.gone.set()
            self.kill()

    async def run(self, node: ApiNode | GameNode) -> None:
        try:
            with self.scope:
                code = await self.drain.run(node, self.up.set)
                self.counts = node.counts()
                self._end(code)
        except* trio.ClosedResourceError:
            if not self.scope.cancel_called:  # a killed process reports nothing
                raise


class GameProcess(Process):
    node: GameNode

    @property
    def rooms(self) -> int:
        return self.node.host.rooms

    @property
    def peers(self) -> set[str]:
        """The names of the game nodes to which this one has a link."""
        return {str(peer.name) for peer in self.node.others.peers.candidates}

    @property
    def links(self) -> dict[LinkId, Link]:
        """The links of the node, once it is up."""
        return self.node._links._links

    def drop_link(self, link: LinkId) -> None:
        """Drops a link, as if its api node had been silent."""
        self.node._links.attachments.drop(link, "the test drops it")

    def drop_links(self) -> None:
        for link in list(self.links):
            self.drop_link(link)


class ApiProcess(Process):
    node: ApiNode
    listener: MemoryListener

    @property
    def clients(self) -> int:
        return self.node.gateway.clients


class Cluster:
    """Starts nodes and clients; all of them end with ``nursery``."""

    def __init__(self, nursery: trio.Nursery, stack: AsyncExitStack, seed: int) -> None:
        self.nursery = nursery
        self.stack = stack
        self.seed = seed
        self.bus = MemoryBus()
        self.addresses: list[HostPort] = []
        self._starts = Counter[str]()

    def address(self, name: str) -> HostPort:
        """The address of the game node ``name``, which all api nodes that start later know."""
        where = HostPort(name, 7101)
        if where not in self.addresses:
            self.addresses.append(where)
        return where

    def game(
        self,
        name: str = "game-1",
        *,
        kinds: Mapping[KindName, Kind] = EXAMPLES,
        version: str = "1",
        drain: DrainPolicy | None = None,
        rooms: RoomPolicy | None = None,
        links: LinkPolicy | None = None,
        survival: SurvivalPolicy | None = None,
        clock_ahead: float = 0.0,
        where: str | None = None,
        peers: bool = False,
        secrets: Secrets = (),
    ) -> GameProcess:
        """Starts a game node; ``where`` is its host, which has the node's name otherwise.

        With ``peers`` it finds all other game nodes, also those that are named later, within 2 s.
        """
        where = where or name
        if peers:
            trio.socket.set_custom_hostname_resolver(GameNames(self.addresses))
        process = GameProcess(name, self.bus.node(where), drain or DrainPolicy())
        process.node = GameNode(
            GameSettings(
                name=NodeName(name),
                version=version,
                listen=self.address(where),
                born=trio.current_time() + clock_ahead,
                link_policy=links or LinkPolicy(),
                room_policy=rooms or RoomPolicy(),
                survival_policy=survival or SurvivalPolicy(),
                secrets=lambda: secrets,
                games=GameNames.SOURCE if peers else (),
                feed=HostPort(where, 7001),
            ),
            kinds=kinds,
            bus=process.bus,
            drain=process.drain,
            rng=self._rng(where),
        )
        self.nursery.start_soon(process.run, process.node)
        return process

    def api(
        self,
        name: str = "api-1",
        *,
        version: str = "1",
        drain: DrainPolicy | None = None,
        clients: Literal["finish", "move"] = "finish",
        links: LinkPolicy | None = None,
        sockets: SocketPolicy | None = None,
        games: Sequence[GameSource] = (),
        where: str | None = None,
        auth: Auth | None = None,
        proxies: TrustedProxies = TrustedProxies(),  # noqa: B008 - frozen
    ) -> ApiProcess:
        """Starts an api node; ``where`` is its host, which has the node's name otherwise.

        Without ``games`` it knows the addresses of all game nodes that were named until now.
        """
        where = where or name
        process = ApiProcess(name, self.bus.node(where), drain or DrainPolicy())
        process.listener = MemoryListener()
        settings = ApiSettings(
            name=NodeName(name),
            version=version,
            advertise=None,
            born=trio.current_time(),
            options=ApiOptions(
                listen=(HostPort(where, 8080),),
                feed=HostPort(where, 7001),
                games=tuple(games) or tuple(GameUrl(where) for where in self.addresses),
                clients=clients,
                trusted_proxies=proxies,
            ),
            link_policy=links or LinkPolicy(),
            socket_policy=sockets or SocketPolicy(),
        )
        process.node = ApiNode(
            settings,
            bus=process.bus,
            drain=process.drain,
            rng=self._rng(where),
            listeners=[process.listener],
            auth=auth,
        )
        self.nursery.start_soon(process.run, process.node)
        return process

    def _rng(self, where: str) -> random.Random:
        """Each process has its own: one that is started again is another incarnation."""
        self._starts[where] += 1
        again = self._starts[where] - 1
        return random.Random(f"{self.seed} {where}" + (f" {again}" if again else ""))

    async def ready(self, *processes: Process) -> None:
        """Waits until every node serves, and every api node is ready."""
        with trio.fail_after(30):
            for process in processes:
                await process.up.wait()
                while isinstance(process, ApiProcess) and process.node.unready:
                    await trio.sleep(0.01)

    async def client(self, api: ApiProcess) -> Connection:
        """Connects a client, which is closed at the end of the cluster."""

        async def open_stream(_url: str) -> trio.abc.Stream:
            return await api.listener.connect()

        return await self.stack.enter_async_context(
            open_connection(f"ws://{api.name}/", open_stream=open_stream)
        )

    async def one_of_each(self, **game_options: Any) -> tuple[ApiProcess, GameProcess]:
        """Starts one game node and one api node, and waits until they are ready."""
        game = self.game(**game_options)
        api = self.api()
        await self.ready(game, api)
        return api, game

    async def two_games(self, **game_options: Any) -> tuple[ApiProcess, GameProcess, GameProcess]:
        """Starts one api node and two game nodes, and waits until they are ready.

        The first rooms are opened on game-1.
        """
        first, second = (self.game(name, **game_options) for name in ("game-1", "game-2"))
        api = self.api()
        await self.ready(first, second, api)
        return api, first, second


@asynccontextmanager
async def cluster(seed: int | None = None, bugs: list[str] | None = None) -> AsyncIterator[Cluster]:
    """A cluster whose nodes must meet no bug of their own; or those that they meet are ``bugs``."""
    seed = harness.seed if seed is None else seed
    with noted_bugs() as found:
        async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
            yield Cluster(nursery, stack, seed)
            await stack.aclose()
            nursery.cancel_scope.cancel()
    if bugs is None:
        assert not found
    else:
        bugs += found


async def finished(place: Place) -> str:
    """Waits for the end of the place, skips all messages, and returns the reason of the end."""
    async for _ in place:
        pass
    assert place.ended is not None
    return place.ended.reason


def soon(seconds: float) -> object:
    """Compares equal to ``seconds`` within the heartbeat of the links."""
    return pytest.approx(seconds, abs=0.6)

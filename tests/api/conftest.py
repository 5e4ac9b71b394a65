"""An api node's client side over memory streams: real library, real relays, a fake game tier."""

import itertools
import json
import select
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import msgspec
import pytest
import structlog
import trio
import trio.testing
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from lastcall.api.gateway.gateway import Gateway
from lastcall.api.gateway.handshake import EntryRules
from lastcall.api.sessions.relay import Relay
from lastcall.api.sessions.relays import Relays
from lastcall.api.sessions.session import Session
from lastcall.ids import Ticket
from lastcall.policy import SocketPolicy
from lastcall.reasons import ErrorCode
from lastcall.runtime import logs
from lastcall.wire import frames, nodes
from tests.harness import use_plain_tracebacks

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


STATE = nodes.NodeState(1, "serving", 0, {})


class FakeLink:
    """Keeps what is sent to the game node."""

    def __init__(self) -> None:
        self.sent: list[nodes.Up] = []
        self.silent = False
        self.node = nodes.Welcome(nodes.WIRE, 1, "game-1", 1, "1", 0.0, STATE)

    def send(self, item: nodes.Up, *, pressing: bool = True) -> None:  # noqa: ARG002
        self.sent.append(item)

    def of(self, kind: type) -> list[Any]:
        return [item for item in self.sent if isinstance(item, kind)]


class FakeGames:
    """Seats each join at once, in the room that its kind names; or keeps it, with ``hold``.

    Resumes are kept, for the test to answer.
    """

    def __init__(self, relays: Relays, link: FakeLink) -> None:
        self.relays = relays
        self.link = link
        self.hold = False
        self.kept: list[tuple[Session, frames.Join]] = []
        self.resumes: list[tuple[Session, Ticket, int]] = []
        self.forgotten: list[Session] = []
        self._numbers = itertools.count(1)

    def join(self, session: Session, request: frames.Join) -> None:
        if self.hold:
            self.kept.append((session, request))
        elif request.kind == "nowhere":
            session.refused(ErrorCode.NO_SUCH_KIND, "no such kind: nowhere")
        else:
            self.seat(session, request)

    def seat(self, session: Session, request: frames.Join, player: str = "", **more: Any) -> None:
        seat = nodes.Seated(
            call=1,
            room=f"game-1.{request.kind}",
            kind=request.kind,
            player=player or f"p{next(self._numbers)}",
            session=more.get("number", 1),
            epoch=more.get("epoch", 1),
            seq=0,
            secret="5ec7e7",  # noqa: S106
            players=[nodes.Player("p1", "one")],
        )
        self.relays.seat(self.link, seat, session)

    def resume(self, session: Session, ticket: Ticket, seen: int) -> None:
        self.resumes.append((session, ticket, seen))

    def answer(self, **more: Any) -> None:
        """The resume that came first has its place again."""
        session, ticket, seen = self.resumes.pop(0)
        news = nodes.Resumed(
            call=1,
            room=ticket.room,
            player=ticket.player,
            session=2,
            epoch=1,
            seq=seen,
            n=more.pop("n", 0),
            secret="0ther",  # noqa: S106
            complete=more.pop("complete", True),
            **more,
        )
        self.relays.seat(self.link, news, session)

    def forget(self, session: Session) -> None:
        self.forgotten.append(session)


class Client:
    """A well-behaved client on the real library."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self.socket = socket

    async def say(self, *frames: dict[str, Any] | str | bytes) -> None:
        for frame in frames:
            plain = json.dumps(frame) if isinstance(frame, dict) else frame
            await self.socket.send_message(plain)

    async def next(self) -> dict[str, Any]:
        return json.loads(await self.socket.get_message())

    async def until(self, kind: str) -> dict[str, Any]:
        while (frame := await self.next())["t"] != kind:
            pass
        return frame

    async def join(self, kind: str = "den") -> dict[str, Any]:
        await self.say({"t": "join", "kind": kind})
        return await self.until("joined")

    async def resume(self, ticket: str = "game-1.den/p1/5ec7e7", seen: int = 0) -> None:
        """Asks for a place, and waits until that has arrived."""
        await self.say({"t": "resume", "ticket": ticket, "seen": seen})
        await trio.testing.wait_all_tasks_blocked()

    async def end(self) -> tuple[list[dict[str, Any]], int]:
        """All frames to the end, and the close code."""
        seen = []
        try:
            while True:
                seen.append(await self.next())
        except ConnectionClosed as closed:
            return seen, closed.reason.code


class House:
    """The client side of one api node."""

    def __init__(
        self, nursery: trio.Nursery, rules: EntryRules | None = None, **policy: Any
    ) -> None:
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, trio.testing.MockClock), "the test must ask for autojump_clock"
        self.nursery = nursery
        self.policy = SocketPolicy(**policy)
        self.link = FakeLink()
        self.tasks: list[Any] = []
        """The tasks that the relays have started, without those of the rooms."""
        self.rooms: list[str] = []
        """The rooms whose own task runs."""
        self.relays = Relays(self.policy, self._start)
        self.games = FakeGames(self.relays, self.link)
        self.gateway = Gateway(
            self.games,
            self.policy,
            hello=frames.Hello(1, "api-1", "7"),
            counts=self.relays.counts,
            rules=rules,
        )

    def _start(self, run: Callable[[], Awaitable[None]]) -> None:
        owner = getattr(run, "__self__", None)
        if isinstance(owner, Relay):
            self.nursery.start_soon(self._run_room, owner)
        else:
            self.tasks.append(run)
            self.nursery.start_soon(run)

    async def _run_room(self, relay: Relay) -> None:
        self.rooms.append(relay.room)
        await relay.run()
        self.rooms.remove(relay.room)

    def dial(self, pair: Callable = trio.testing.memory_stream_pair) -> trio.StapledStream:
        """A connection without a handshake; returns the client's end."""
        ours, theirs = pair()
        self.nursery.start_soon(self.gateway.serve_stream, theirs)
        return ours

    async def socket(self, pair: Callable = trio.testing.memory_stream_pair, **more: Any) -> Client:
        stream = self.dial(pair)
        socket = await wrap_client_stream(self.nursery, stream, "here", "/", **more)
        await socket._open_handshake.wait()
        return Client(socket)

    async def client(self, kind: str = "", **more: Any) -> Client:
        """A client that has had its hello, seated if a kind is named."""
        client = await self.socket(**more)
        assert (await client.next())["t"] == "hello"
        if kind:
            await client.join(kind)
        return client

    @property
    def sessions(self) -> list[Session]:
        return list(self.gateway._sessions)

    def room_says(self, kind: str, seq: int, body: object, **more: Any) -> None:
        item = nodes.Message(f"game-1.{kind}", 1, seq, msgspec.json.encode(body), **more)
        self.relays.take(self.link, item)


class Bystander:
    """Another client of the same node, in a room of its own, who must notice nothing."""

    def __init__(self, house: House, client: Client) -> None:
        self.house = house
        self.client = client
        self.turns = 0

    async def plays_on(self) -> None:
        """An input goes out, and a message comes back as the very next frame but beats."""
        self.turns += 1
        await self.client.say({"t": "say", "n": self.turns, "d": "mine"})
        await trio.testing.wait_all_tasks_blocked()
        assert self.house.link.sent[-1].n == self.turns
        assert self.house.link.sent[-1].room == "game-1.quiet"
        self.house.room_says("quiet", self.turns, "yours")
        frame = {"t": "beat"}
        while frame["t"] == "beat":
            frame = await self.client.next()
        assert frame == {"t": "msg", "seq": self.turns, "d": "yours"}


@pytest.fixture
async def house(nursery: trio.Nursery) -> House:
    return House(nursery)


@pytest.fixture
async def bystander(house: House) -> AsyncIterator[Bystander]:
    """Plays before the test's misdeed, and again after the test."""
    watcher = Bystander(house, await house.client("quiet"))
    await watcher.plays_on()
    yield watcher
    await watcher.plays_on()


@pytest.fixture
def make_house(nursery: trio.Nursery) -> Callable[..., House]:
    def make(**policy: Any) -> House:
        return House(nursery, **policy)

    return make


@pytest.fixture(params=["pump", "plain"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes read their clients' sockets with the pump, or through the library alone."""
    if request.param == "pump" and not hasattr(select, "epoll"):
        pytest.skip("no epoll here")
    monkeypatch.setenv("LASTCALL_PUMP", "on" if request.param == "pump" else "off")


@pytest.fixture
def log_lines() -> Iterator[list[bytes]]:
    """The log, one JSON object a line, with the events of the level debug."""
    lines: list[bytes] = []
    logs.configure("json", level="debug", write=lines.append)
    yield lines
    structlog.reset_defaults()
    use_plain_tracebacks()


@pytest.fixture
def upgrade() -> bytes:
    """A client's handshake, for tests that speak bytes."""
    return UPGRADE

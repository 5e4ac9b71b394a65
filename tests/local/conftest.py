"""A tic-tac-toe server in memory, correct or with one fault; and fake nodes, which are scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import trio
from trio.testing import memory_stream_pair
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream

LINES = ((0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6))


class Match:
    """One room: its sockets, its board, and the numbers of its inputs and messages."""

    def __init__(self, room: str) -> None:
        self.room = room
        self.sockets: list[WebSocketConnection] = []
        self.board, self.seq, self.over = "-" * 9, 0, False
        self.history: list[tuple[int, dict[str, str]]] = []
        self.inputs = [0, 0]
        self.moved = False

    @property
    def players(self) -> list[str]:
        return [f"p{seat}" for seat in range(len(self.sockets))]


class FakeServer:
    """Serves tic-tac-toe to any number of sockets; ``fault`` names the fault to show."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._waiting: dict[str, Match] = {}
        self._private: set[str] = set()
        self._tickets: dict[str, tuple[Match, int]] = {}
        self.rooms = 0
        self.fault = ""
        self.left = 0
        self.refuse_joins = 0
        self.join_seconds = 0.0
        self.die_in_joins = 0
        self.move_after_matches = False
        self.move_in_matches = False
        self.regroup_first = False

    async def open_stream(self, _url: str) -> trio.abc.Stream:
        ours, theirs = memory_stream_pair()
        self._nursery.start_soon(self._serve, ours)
        return theirs

    async def _serve(self, stream: trio.abc.Stream) -> None:
        async with trio.open_nursery() as nursery:
            request = await wrap_server_stream(nursery, stream)
            socket = await request.accept(subprotocol="lastcall.v1")
            await _send(socket, t="hello", v=1, node="api-1", version="1")
            with suppress(ConnectionClosed):
                await self._serve_frames(socket)
            nursery.cancel_scope.cancel()
        await trio.aclose_forcefully(stream)

    async def _serve_frames(self, socket: WebSocketConnection) -> None:
        match: Match | None = None
        seat = 0
        while True:
            frame = json.loads(await socket.get_message())
            if frame["t"] == "join" and self.refuse_joins:
                self.refuse_joins -= 1
                await _send(socket, t="error", code="no_game_node", message="-", retry=True)
            elif frame["t"] == "join" and self.die_in_joins:
                self.die_in_joins -= 1
                return
            elif frame.get("room") and frame["room"] not in self._waiting:
                await _send(socket, t="error", code="full", message="-", retry=False)
            elif frame["t"] == "join":
                match = await self._join(socket, frame)
                seat = match.sockets.index(socket)
            elif frame["t"] == "resume":
                if self.fault == "forgets":
                    await _close(socket, 4004)
                    return
                match, seat = self._tickets[frame["ticket"]]
                await self._resume(socket, match, seat, frame.get("seen", 0))
            elif frame["t"] == "say" and match is not None and not match.over:
                await self._on_input(match, seat, frame["n"], frame["d"]["cell"])
            elif frame["t"] == "leave" and match is not None:
                self.left += 1
                self._waiting.pop(match.room, None)
                await _send(socket, t="ended", room=match.room, reason="left")

    async def _join(self, socket: WebSocketConnection, frame: dict[str, Any]) -> Match:
        await trio.sleep(self.join_seconds)
        found = (room for room in self._waiting if room not in self._private)
        room = frame.get("room") or next(found, "")
        if frame.get("new") or not room:
            self.rooms += 1
            room = f"game-1.r{self.rooms}"
            self._waiting[room] = Match(room)
            if frame.get("private"):
                self._private.add(room)
            if self.regroup_first:
                first = {"room": f"game-1.b{self.rooms}", "kind": "tictactoe", "you": "p9"}
                await _send(socket, t="joined", ticket="t", players=[], seq=7, **first)
        match = self._waiting[room]
        match.sockets.append(socket)
        you = match.players[-1]
        complete = len(match.sockets) == 2
        if complete:
            del self._waiting[room]
        ticket = f"{match.room}/{you}"
        self._tickets[ticket] = match, len(match.sockets) - 1
        seat = {"room": match.room, "kind": "tictactoe", "you": you, "seq": match.seq}
        await _send(socket, t="joined", ticket=ticket, players=[{"id": you, "name": ""}], **seat)
        if complete:
            await self._send_board(match)
        return match

    async def _resume(
        self, socket: WebSocketConnection, match: Match, seat: int, seen: int
    ) -> None:
        match.sockets[seat] = socket
        place = {"room": match.room, "n": match.inputs[seat], "ticket": f"{match.room}/p{seat}"}
        await _send(socket, t="resumed", seq=seen, complete=True, **place)
        for seq, data in match.history:
            if seq > seen:
                await _send(socket, t="msg", seq=seq, d=data)

    async def _on_input(self, match: Match, seat: int, n: int, cell: int) -> None:
        if self.move_in_matches and not match.moved:
            match.moved = True
            await self._move_players(match)
        elif n == match.inputs[seat] + 1:
            match.inputs[seat] += 1
            await self._on_cell(match, cell)

    async def _move_players(self, match: Match) -> None:
        for socket in match.sockets:
            await _send(socket, t="move", after=0)
            self._nursery.start_soon(_close, socket)

    async def _on_cell(self, match: Match, cell: int) -> None:
        if self.fault == "silence":
            return
        mark = "XO"[9 - match.board.count("-") & 1]
        assert match.board[cell] == "-"
        match.board = match.board[:cell] + mark + match.board[cell + 1 :]
        if self.fault == "cheat":
            match.board = "X" * 9
        await self._send_board(match)
        won = any(match.board[a] == match.board[b] == match.board[c] != "-" for a, b, c in LINES)
        if won or "-" not in match.board:
            await self._end(match, match.players["XO".index(mark)] if won else None)

    async def _send_board(self, match: Match) -> None:
        turn = match.players[9 - match.board.count("-") & 1]
        match.seq += 2 if self.fault == "gap" else 1
        match.history.append((match.seq, {"board": match.board, "turn": turn}))
        for socket in match.sockets:
            for _ in range(2 if self.fault == "repeat" else 1):
                await _send(socket, t="msg", seq=match.seq, d={"board": match.board, "turn": turn})

    async def _end(self, match: Match, winner: str | None) -> None:
        match.over = True
        for seat, socket in enumerate(match.sockets):
            result = {"winner": winner, "board": match.board}
            if self.fault == "wrong winner":
                result["winner"] = "p1" if winner == "p0" else "p0"
            if self.fault == "two results" and seat == 1:
                result["board"] = "-" * 9
            await _send(socket, t="ended", room=match.room, reason="finished", result=result)
            if self.move_after_matches:
                await _send(socket, t="move", after=0)
                self._nursery.start_soon(_close, socket)


async def _close(socket: WebSocketConnection, code: int = 1012) -> None:
    with trio.move_on_after(0.1):
        await socket.aclose(code)


async def _send(socket: WebSocketConnection, **frame: Any) -> None:
    with suppress(ConnectionClosed):  # the player has closed the socket
        await socket.send_message(json.dumps(frame))


@pytest.fixture
async def fake_server(nursery: trio.Nursery) -> FakeServer:
    return FakeServer(nursery)


NODE = """
import http.server, json, os, signal, sys, threading, time
behaviour, tier, *options = sys.argv[1:]
options = dict(zip(options[::2], options[1::2]))
name = options["--name"]

def log(event, **fields):
    head = {"at": "now", "level": "info", "event": event, "node": name}
    line = json.dumps({**head, "time": time.monotonic(), **fields})
    print(line, file=sys.stderr, flush=True)
    with open(os.path.join(os.path.dirname(__file__), f"{name}.log"), "a") as file:
        print(line, file=file)

phase = "serving"

class Admin(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/cluster/"):
            self.answer(200 if self.path == "/cluster/kinds" else 404, kinds=name)
            return
        ready = behaviour != "never-ready" and (phase == "serving" or self.path != "/readyz")
        fields = {"version": options["--version"], "rooms": 1, "why": ["a lounge, 3 s old"]}
        if self.path == "/readyz" and not ready:
            self.answer(503, text="503 for ever")
            return
        self.answer(200 if ready else 503, name=name, tier=tier, phase=phase, **fields)
    def do_POST(self):
        global phase
        verb = self.path[1:]
        log("command", verb=verb, header=self.headers["X-Lastcall"],
            authorization=self.headers["Authorization"])
        phases = {"cordon": "cordoned", "uncordon": "serving", "drain": "draining"}
        if phases[verb] == phase:
            self.answer(409, error=f"it is {phase} already")
            return
        phase = phases[verb]
        self.answer(200, name=name, tier=tier, version=options["--version"], phase=phase)
    def answer(self, code, text="", **fields):
        body = text.encode() or json.dumps(fields).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass

cut = 0
def stop(number, frame):
    global cut
    log("stop", number=number)
    if behaviour in ("ignores-signals", "imports"):
        return
    if behaviour == "ignores-sigterm" and number == signal.SIGTERM:
        return
    cut = 3 if number == signal.SIGINT else 0
    log("drain.finished", rooms_finished=2, rooms_cut=cut // 3, clients_moved=4, seconds=0.5)
    os._exit(cut)

signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
if behaviour == "warns":
    log("room.slow_step", level="warning", kind="dice", seconds=0.06)
if behaviour == "usage-error":
    print("Error: --rooms nope cannot be imported", file=sys.stderr, flush=True)
    sys.exit(2)
if behaviour == "crashes":
    raise RuntimeError("the last line")
if behaviour == "imports":
    log("importing")
    while True:
        time.sleep(60)
def exit_with_parent():
    os.read(int(os.environ["LASTCALL_LIFELINE"]), 1)
    os._exit(0)
threading.Thread(target=exit_with_parent, daemon=True).start()
admin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Admin)
port = admin.server_port
inherited = [key for key in os.environ if key.startswith("LASTCALL_")]
log("node.ready", name=name, listen="tcp://127.0.0.1:7101", admin=f"127.0.0.1:{port}",
    options=options, inherited=inherited)
def exit_on_demand():
    while not os.path.exists(os.path.join(os.path.dirname(__file__), "die")):
        time.sleep(0.02)
    if behaviour == "drains-on-demand":
        stop(signal.SIGTERM, None)
    os._exit(7)
if behaviour in ("dies-on-demand", "drains-on-demand"):
    threading.Thread(target=exit_on_demand, daemon=True).start()
admin.serve_forever()
"""


@pytest.fixture
def fake_nodes(tmp_path: Path) -> Callable[..., Callable[..., list[str]]]:
    """``fake_nodes(behaviour)`` returns a ``start`` argument that starts fake nodes.

    In ``fake_nodes("x", game="y")`` game nodes behave differently; in ``fake_nodes("x", new="y")``
    nodes of a later version do.
    """
    script = tmp_path / "node.py"
    script.write_text(NODE)

    def start(behaviour: str = "good", new: str = "", **by_tier: str) -> Callable[..., list[str]]:
        def command(tier: str, *options: str) -> list[str]:
            later = "+" in options[options.index("--version") + 1]
            chosen = new if later and new else by_tier.get(tier, behaviour)
            return [sys.executable, str(script), chosen, tier, *options]

        return command

    return start


@pytest.fixture(autouse=True)
def runtime_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Gives the test a new folder for control sockets; its path is short, as sockets require."""
    with TemporaryDirectory(prefix="lc-") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder)

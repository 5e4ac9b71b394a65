"""``python-socketio`` on aiohttp: rooms, one process.

Run with the Python of the peers' folder: ``python socketio_server.py relay|sink``.
"""

import asyncio
import json
import socket
import sys
from urllib.parse import parse_qs

import socketio  # type: ignore[import-not-found]
from aiohttp import web  # type: ignore[import-not-found]

io = socketio.AsyncServer(async_mode="aiohttp", transports=["websocket"])
room_of: dict[str, str] = {}


async def connect(sid: str, environ: dict[str, str]) -> None:
    """Joins the room that the query names."""
    room_of[sid] = parse_qs(environ["QUERY_STRING"])["room"][0]
    await io.enter_room(sid, room_of[sid])


async def repeat(sid: str, text: str) -> None:
    """Repeats a text to all in the room."""
    await io.emit("m", text, room=room_of[sid])


async def ignore(sid: str, text: str) -> None:
    """Does nothing with a text."""


async def serve_clients(silent: bool) -> None:
    """Serves until it is killed."""
    io.on("connect", connect)
    io.on("m", ignore if silent else repeat)
    app = web.Application()
    io.attach(app)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    await web.SockSite(runner, listener).start()
    host, port = listener.getsockname()
    ready = {"event": "node.ready", "name": "python-socketio", "listen": f"{host}:{port}"}
    print(json.dumps(ready | {"admin": ""}), flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """The entry point of ``python socketio_server.py relay|sink``."""
    asyncio.run(serve_clients(sys.argv[1] == "sink"))


if __name__ == "__main__":
    main()

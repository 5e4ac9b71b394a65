"""``websockets`` on asyncio: no rooms, no tiers; ``broadcast`` for the fan-out.

Run with the Python of the peers' folder: ``python websockets_server.py relay|sink``.
"""

import asyncio
import json
import sys
from collections import defaultdict
from functools import partial

from websockets.asyncio.server import ServerConnection, broadcast, serve

rooms: defaultdict[str, set[ServerConnection]] = defaultdict(set)


async def handle(socket: ServerConnection, silent: bool) -> None:
    """Joins the room that the path names, and repeats texts to all in it, unless ``silent``."""
    assert socket.request is not None
    room = rooms[socket.request.path]
    room.add(socket)
    try:
        async for text in socket:
            if not silent:
                broadcast(room, text)
    finally:
        room.discard(socket)


async def serve_clients(silent: bool) -> None:
    """Serves until it is killed."""
    async with serve(partial(handle, silent=silent), "127.0.0.1", 0, compression=None) as server:
        host, port = next(iter(server.sockets)).getsockname()
        ready = {"event": "node.ready", "name": "websockets", "listen": f"{host}:{port}"}
        print(json.dumps(ready | {"admin": ""}), flush=True)
        await server.serve_forever()


def main() -> None:
    """The entry point of ``python websockets_server.py relay|sink``."""
    asyncio.run(serve_clients(sys.argv[1] == "sink"))


if __name__ == "__main__":
    main()

"""Little more than the kernel's part of the work: one loop that reads, and writes to all in a room.

It shows the lower bound for a Python server that reads or writes each message by itself: it has no
sessions, limits, JSON or unmasking (the load's masks are zero). Run as ``python kernel_server.py
relay|sink``; it expects a well-behaved load and fails on anything else.
"""

import json
import os
import select
import socket
import sys
from collections import defaultdict

READ_BYTES = 64 * 1024
EVENTS_PER_POLL = 512
ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
"""The answer to the load's only key, the example of RFC 6455 §1.3."""
rooms: defaultdict[bytes, list[int]] = defaultdict(list)
room_of: dict[int, list[int]] = {}


def shake_hands(descriptor: int, data: bytes) -> None:
    """Joins the room that the path names."""
    assert data.endswith(b"\r\n\r\n")
    room = room_of[descriptor] = rooms[data.split(b" ", 2)[1]]
    room.append(descriptor)
    os.write(descriptor, ANSWER)


def frames(data: bytes) -> bytes:
    """A client's text frames, as a server sends them."""
    out: list[bytes] = []
    at = 0
    while at < len(data):
        size, head = data[at + 1] & 0x7F, 2
        if size == 126:
            size, head = int.from_bytes(data[at + 2 : at + 4], "big"), 4
        stop = at + head + 4 + size
        assert data[at] == 0x81
        assert stop <= len(data)
        out += data[at : at + 1], bytes([data[at + 1] & 0x7F]), data[at + 2 : at + head]
        out.append(data[at + head + 4 : stop])
        at = stop
    return b"".join(out)


def main() -> None:
    """Serves until it is killed."""
    silent = sys.argv[1] == "sink"
    server = socket.create_server(("127.0.0.1", 0), backlog=1024)
    epoll = select.epoll()
    epoll.register(server.fileno(), select.EPOLLIN)
    sockets: dict[int, socket.socket] = {}
    host, port = server.getsockname()
    ready = {"event": "node.ready", "name": "kernel", "listen": f"{host}:{port}", "admin": ""}
    print(json.dumps(ready), flush=True)
    while True:
        for descriptor, _ in epoll.poll(-1, EVENTS_PER_POLL):
            if descriptor == server.fileno():
                client, _ = server.accept()
                client.setblocking(False)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sockets[client.fileno()] = client
                epoll.register(client.fileno(), select.EPOLLIN)
                continue
            data = os.read(descriptor, READ_BYTES)
            if not data:
                if room := room_of.pop(descriptor, None):
                    room.remove(descriptor)
                sockets.pop(descriptor).close()
            elif (room := room_of.get(descriptor)) is None:
                shake_hands(descriptor, data)
            elif not silent:
                said = frames(data)
                for listener in room:
                    assert os.write(listener, said) == len(said)


if __name__ == "__main__":
    main()

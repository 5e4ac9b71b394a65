"""Builds and reads a client's WebSocket frames, as far as a load needs them (RFC 6455 §5).

All masks are zero: a legal mask that costs the load no arithmetic. The server unmasks as with any
other.
"""

from __future__ import annotations

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
_FINAL = 0x80
_MASKED = 0x80
_NO_MASK = b"\0\0\0\0"


def upgrade_request(
    host: str, subprotocol: str, path: str = "/", *, compression: bool = True
) -> bytes:
    """The opening handshake with all headers that a browser adds, since a server may keep them.

    The key is the RFC's own example: no client here checks the answer. An empty ``subprotocol`` or
    ``compression=False`` offers none; :func:`take_frames` reads no compressed frames, which some
    servers would send.
    """
    headers = {
        "Host": host,
        "Connection": "Upgrade",
        "Pragma": "no-cache",
        "Cache-Control": "no-cache",
        "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/131.0.0.0 Safari/537.36",
        "Upgrade": "websocket",
        "Origin": f"http://{host}",
        "Sec-WebSocket-Version": "13",
        "Accept-Encoding": "gzip, deflate, br, zstd",
        "Accept-Language": "en-US,en;q=0.9",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    if compression:
        headers["Sec-WebSocket-Extensions"] = "permessage-deflate; client_max_window_bits"
    if subprotocol:
        headers["Sec-WebSocket-Protocol"] = subprotocol
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode("ascii")


def masked(opcode: int, payload: bytes) -> bytes:
    """A whole frame from a client to a server."""
    first, size = _FINAL | opcode, len(payload)
    if size < 126:
        head = bytes((first, _MASKED | size))
    elif size < 65_536:
        head = bytes((first, _MASKED | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, _MASKED | 127)) + size.to_bytes(8, "big")
    return head + _NO_MASK + payload


def take_frames(buffer: bytearray) -> list[tuple[int, bytes]]:
    """Removes the whole frames from the head of ``buffer``: opcode and payload of each.

    Raises ``ValueError`` for frames that these servers never send: fragments, masked frames.
    """
    frames: list[tuple[int, bytes]] = []
    begin, end = 0, len(buffer)
    while end - begin >= 2:
        first, size = buffer[begin], buffer[begin + 1]
        if not first & _FINAL or size & _MASKED:
            raise ValueError(f"a fragment or a masked frame from the server ({first:#x} {size:#x})")
        body = begin + 2
        if size >= 126:
            width = 2 if size == 126 else 8
            if end - body < width:
                break
            size = int.from_bytes(buffer[body : body + width], "big")
            body += width
        if end - body < size:
            break
        frames.append((first & 0x0F, bytes(buffer[body : body + size])))
        begin = body + size
    del buffer[:begin]
    return frames

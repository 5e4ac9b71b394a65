"""Finds the address of another node's feed, and looks up names for that, away from the loop."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress

import trio

from lastcall.bus.address import HostPort, parse_url
from lastcall.core.link.feed_address import AllowedApis, Answer, feed_host
from lastcall.errors import BadAddress
from lastcall.peer import Peer
from lastcall.wire import nodes

LOOKUPS_AT_ONCE = 4
LOOKUPS_WAITING = 16
"""More names at once have to be asked again."""
LOOKUP_SECONDS = 2.0
FRESH_SECONDS = 10.0
NAMES_MAX = 256


class FeedHosts:
    """Which feeds this node dials: see :mod:`lastcall.core.link.feed_address`."""

    def __init__(self, allowed: AllowedApis) -> None:
        self._allowed = allowed
        self._found: OrderedDict[str, tuple[float, list[str]]] = OrderedDict()
        self._wanted, self._lookups = trio.open_memory_channel[str](LOOKUPS_WAITING)

    def find(self, feed: str, peer: Peer | None) -> tuple[str, str] | nodes.Unsupported:
        """The URL to dial, and the name of its host; or the refusal of the attach."""
        if peer is None:
            return feed, ""
        try:
            where = parse_url(feed, dialled=True)
        except BadAddress as error:
            return nodes.Unsupported(f"cannot dial the feed: {error}")
        host = feed_host(where.host, peer, self._allowed, self._resolved(where.host))
        if host is Answer.LOOK_UP:
            return self._look_up(where.host)
        if host is Answer.REFUSE:
            return nodes.Unsupported(
                f"the feed is at {where.host}, and the attach came from {peer.host or 'nowhere'}: "
                "this node dials the hosts of --apis, and otherwise only back"
            )
        return HostPort(str(host), where.port).url, where.host

    def _resolved(self, host: str) -> list[str] | None:
        until, addresses = self._found.get(host, (0.0, []))
        return addresses if trio.current_time() < until else None

    def _look_up(self, host: str) -> nodes.Unsupported:
        with suppress(trio.WouldBlock):  # the name is asked for again
            self._wanted.send_nowait(host)
        return nodes.Unsupported(f"looking up {host}", retry=True)

    async def run(self) -> None:
        """Looks names up, until cancelled."""
        async with trio.open_nursery() as nursery:
            for _ in range(LOOKUPS_AT_ONCE):
                nursery.start_soon(self._work)

    async def _work(self) -> None:
        while True:
            host = await self._lookups.receive()
            if self._resolved(host) is None:
                addresses = await _addresses(host)
                self._found.pop(host, None)
                self._found[host] = trio.current_time() + FRESH_SECONDS, addresses
                if len(self._found) > NAMES_MAX:
                    self._found.popitem(last=False)


async def _addresses(host: str) -> list[str]:
    with trio.move_on_after(LOOKUP_SECONDS):
        try:
            found = await trio.socket.getaddrinfo(host, None, type=trio.socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return []
        return list(dict.fromkeys(str(where[0]) for *_, where in found))
    return []

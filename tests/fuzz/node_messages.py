"""Messages between nodes: the three decoders, and a whole game node that is asked."""

from __future__ import annotations

from contextlib import suppress

import structlog.testing
import trio
import trio.testing

from lastcall.errors import RemoteProtocolError
from lastcall.ids import Incarnation, LinkId, NodeName
from lastcall.wire import nodes
from tests.api.world import den
from tests.harness.cluster import cluster

HEAD = nodes.encode(
    nodes.Attach(
        wire=nodes.WIRE,
        link=LinkId(7),
        attempt=1,
        api=NodeName("api-1"),
        incarnation=Incarnation("i"),
        feed="tcp://api-1:7001",
        version="1",
    )
)
"""Opens the link ``7``, so that a batch on it is applied."""


class Unknown:
    """The end of a request whose sender is not known."""

    peer = None


def target(data: bytes) -> None:
    """Decodes ``data`` in each way, and asks a game node with it, twice."""
    for decode in (nodes.decode_request, nodes.decode_reply, nodes.decode_feed):
        with suppress(RemoteProtocolError):
            decode(data)
    with structlog.testing.capture_logs() as events:
        trio.run(_ask, data, clock=trio.testing.MockClock(autojump_threshold=0))
    assert [one for one in events if one["log_level"] == "error"] == []


async def _ask(data: bytes) -> None:
    """Each request has an answer that can be read; the node goes on."""
    async with cluster(7) as house:
        game = house.game(kinds={"den": den})
        await house.ready(game)
        for request in (HEAD, data, data, HEAD):
            nodes.decode_reply(game.node._links._answer(Unknown(), request))
            await trio.sleep(0.1)
        assert not game.gone.is_set()

"""A node with the page, for all tests of a file."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.e2e.nodes import ANY_PORT, POLL_SECONDS, SHORT_GRACE, START_SECONDS, Node, Nodes

ROOMS = "game.examples,tests.page.author_rooms"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Starts ``lastcall serve`` with the example rooms and an author's kind."""
    nodes = Nodes(tmp_path_factory.mktemp("nodes"))
    node = nodes.start("lastcall.serve", "--listen", ANY_PORT, "--rooms", ROOMS, *SHORT_GRACE)
    deadline = time.monotonic() + START_SECONDS
    while node.event("node.ready") is None and time.monotonic() < deadline:
        assert node.running, node.stderr_text
        time.sleep(POLL_SECONDS)
    yield node
    nodes.kill_all()

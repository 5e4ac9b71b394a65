"""A node with the page, for all tests of a file."""

from __future__ import annotations

import pytest
import trio

from tests.e2e.conftest import pytest_runtest_makereport, shared_nodes
from tests.e2e.nodes import ANY_PORT, SHORT_GRACE, Node, Nodes

__all__ = ["pytest_runtest_makereport", "served", "shared_nodes"]

ROOMS = "game.examples,tests.page.author_rooms"


@pytest.fixture(scope="module")
def served(shared_nodes: Nodes) -> Node:
    """Starts ``lastcall serve`` with the example rooms and an author's kind."""
    options = ("--listen", ANY_PORT, "--rooms", ROOMS, *SHORT_GRACE)
    node = shared_nodes.start("lastcall.serve", *options)
    trio.run(node.wait_started)
    return node

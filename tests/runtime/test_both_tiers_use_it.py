"""The law of ``rooms/runtime``: at least two of the tiers and ``lastcall up`` use each module."""

from __future__ import annotations

import functools

import grimp
import pytest

USERS = ("lastcall.api", "lastcall.game", "lastcall.local")


@functools.cache
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("lastcall", cache_dir=None)


def modules() -> list[str]:
    graph = imports()
    found = graph.find_descendants("lastcall.runtime")
    return sorted(module for module in found if not graph.find_children(module))


def users_of(module: str) -> set[str]:
    """The users that import the module, directly or through other modules."""
    importers = imports().find_downstream_modules(module)
    return {user for user in USERS if any(f"{one}.".startswith(f"{user}.") for one in importers)}


@pytest.mark.parametrize("module", modules())
def test_a_runtime_module_is_used_by_two_of_the_tiers_and_the_local_cluster(module: str) -> None:
    assert len(users_of(module)) >= 2, f"{module} belongs to {users_of(module)}"

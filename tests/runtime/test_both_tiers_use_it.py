"""Each module of ``rooms/runtime`` has at least two users: the two tiers, ``lastcall up`` and
``lastcall dev``.
"""

from __future__ import annotations

import functools

import grimp
import pytest

USERS = ("lastcall.api", "lastcall.game", "lastcall.local", "lastcall.dev")


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
    return {user for user in USERS if any(f"{name}.".startswith(f"{user}.") for name in importers)}


@pytest.mark.parametrize("module", modules())
def test_a_runtime_module_has_at_least_two_users(module: str) -> None:
    assert len(users_of(module)) >= 2, f"only {users_of(module)} uses {module}"

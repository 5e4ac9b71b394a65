"""Decides the next step of a roll from the nodes and their stages, as a pure function.

* The tiers are rolled one after the other, in the order given, with one node more than before.
* A new node is started; once it is ready, one old node is told to stop. The roll does not wait for
  that drain before it starts the next new node, so several generations may drain at once.
* As soon as the first new api node is ready, all old api nodes are cordoned: a client must not be
  moved to a node that leaves next. So a client hops once in a roll.
* A new node that fails, before or after it was ready, ends the roll; the old nodes go on.
* The roll is over when every old node has ended.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import msgspec


class Stage(enum.StrEnum):
    """How far the roll is with a node."""

    SERVING = "serving"
    """An old node that has had no command yet."""
    CORDONED = "cordoned"
    """An old node that refuses new work, and was not told to stop yet."""
    DRAINING = "draining"
    ENDED = "ended"
    STARTING = "starting"
    READY = "ready"
    """A new node that serves."""
    FAILED = "failed"
    """A new node that was not ready in time, or has ended."""


class Seen(msgspec.Struct, frozen=True):
    """One node. ``new`` is true if the roll has started it."""

    name: str
    tier: str
    new: bool
    stage: Stage


class Start(msgspec.Struct, frozen=True):
    """Start a new node of this tier."""

    tier: str


class Cordon(msgspec.Struct, frozen=True):
    """Cordon these old nodes."""

    names: tuple[str, ...]


class Stop(msgspec.Struct, frozen=True):
    """Tell this old node to drain."""

    name: str


class Wait(msgspec.Struct, frozen=True):
    """Wait until a node's stage changes."""


class GiveUp(msgspec.Struct, frozen=True):
    """This new node has failed: end it, and uncordon the old nodes."""

    name: str


class Finish(msgspec.Struct, frozen=True):
    """Every old node has ended: the roll is over."""


Step: TypeAlias = Start | Cordon | Stop | Wait | GiveUp | Finish

NOT_STOPPED = frozenset({Stage.SERVING, Stage.CORDONED})


def next_step(tiers: Iterable[str], nodes: Sequence[Seen]) -> Step:
    """The next step. Call it again after each step, and after ``Wait`` when a stage changes."""
    for node in nodes:
        if node.stage is Stage.FAILED:
            return GiveUp(node.name)
    tiers = tuple(tiers)
    for tier in tiers:
        step = _step_of_tier(tier, [node for node in nodes if node.tier == tier])
        if step is not None:
            return step
    old = (node for node in nodes if node.tier in tiers and not node.new)
    return Finish() if all(node.stage is Stage.ENDED for node in old) else Wait()


def _step_of_tier(tier: str, nodes: Sequence[Seen]) -> Step | None:
    """None when every old node of the tier was told to stop."""
    old = [node for node in nodes if not node.new]
    remaining = [node for node in old if node.stage in NOT_STOPPED]
    if not remaining:
        return None
    new = [node for node in nodes if node.new]
    if any(node.stage is Stage.STARTING for node in new):
        return Wait()
    if new and tier == "api":
        not_cordoned = tuple(node.name for node in remaining if node.stage is Stage.SERVING)
        if not_cordoned:
            return Cordon(not_cordoned)
    # A node that left by itself is replaced too: each old node gets a successor before it stops.
    stopped = len(old) - len(remaining)
    return Stop(remaining[0].name) if len(new) > stopped else Start(tier)


def next_version(running: Iterable[str]) -> str:
    """The version after those that run: ``0.1.0`` → ``0.1.0+1`` → ``0.1.0+2``.

    The number is the version's local part (PEP 440). A local part of another form gets one more
    component: ``2.0+blue`` → ``2.0+blue.1``.
    """
    return _incremented(max(running, key=_rank))


def _rank(version: str) -> tuple[int, str]:
    number = version.partition("+")[2].rpartition(".")[2]
    return (int(number) if _is_number(number) else 0, version)


def _incremented(version: str) -> str:
    _, plus, local = version.partition("+")
    if not plus:
        return f"{version}+1"
    number = local.rpartition(".")[2]
    if not _is_number(number):
        return f"{version}.1"
    return f"{version.removesuffix(number)}{int(number) + 1}"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()

"""What a roll does next: a pure function of the nodes that it sees.

* One tier after the other, in the order given; one node more than before at any moment.
* A new node is started; once it is ready, one old node is told to stop. Nobody waits for its drain:
  the next new node is started while it lasts, so many generations may drain at once.
* As soon as the first new api node is ready, all old ones of that tier are cordoned: a client that
  is moved must not land on a node that is next. So it hops once a roll.
* A new node that fails, before or after it was ready, ends the roll; the old ones go on.
* The roll is over when every old node has ended.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import msgspec

__all__ = [
    "Cordon",
    "Finish",
    "GiveUp",
    "Seen",
    "Stage",
    "Start",
    "Step",
    "Stop",
    "Wait",
    "next_step",
    "next_version",
]


class Stage(enum.StrEnum):
    """How far a node is, as the roll sees it."""

    SERVING = "serving"
    """An old node that was told nothing yet."""
    CORDONED = "cordoned"
    """An old node that takes nobody new, and was not told to stop yet."""
    DRAINING = "draining"
    ENDED = "ended"
    STARTING = "starting"
    READY = "ready"
    """A new node that serves."""
    FAILED = "failed"
    """A new node that was not ready in time, or has ended."""


class Seen(msgspec.Struct, frozen=True):
    """One node. ``new`` if the roll has started it."""

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
    """Nothing to do until a node's stage is another."""


class GiveUp(msgspec.Struct, frozen=True):
    """The roll has failed at this new node: end it, and take the cordons away."""

    name: str


class Finish(msgspec.Struct, frozen=True):
    """Every old node has ended."""


Step: TypeAlias = Start | Cordon | Stop | Wait | GiveUp | Finish

UNTOLD = frozenset({Stage.SERVING, Stage.CORDONED})


def next_step(tiers: Iterable[str], nodes: Sequence[Seen]) -> Step:
    """What to do now. To be asked again after each step, and, after ``Wait``, at each change."""
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
    """None when every old node of the tier has been told."""
    old = [node for node in nodes if not node.new]
    untold = [node for node in old if node.stage in UNTOLD]
    if not untold:
        return None
    new = [node for node in nodes if node.new]
    if any(node.stage is Stage.STARTING for node in new):
        return Wait()
    if new and tier == "api":
        open_still = tuple(node.name for node in untold if node.stage is Stage.SERVING)
        if open_still:
            return Cordon(open_still)
    # One that left by itself is replaced too: each old node has its new one before it goes.
    told = len(old) - len(untold)
    return Stop(untold[0].name) if len(new) > told else Start(tier)


def next_version(running: Iterable[str]) -> str:
    """What comes after the versions that run: ``0.1.0`` → ``0.1.0+1`` → ``0.1.0+2``.

    The number is a version's local part (PEP 440); a local part of another form gets one more
    component: ``2.0+blue`` → ``2.0+blue.1``.
    """
    return _one_up(max(running, key=_rank))


def _rank(version: str) -> tuple[int, str]:
    number = version.partition("+")[2].rpartition(".")[2]
    return (int(number) if _is_number(number) else 0, version)


def _one_up(version: str) -> str:
    _, plus, local = version.partition("+")
    if not plus:
        return f"{version}+1"
    number = local.rpartition(".")[2]
    if not _is_number(number):
        return f"{version}.1"
    return f"{version.removesuffix(number)}{int(number) + 1}"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()

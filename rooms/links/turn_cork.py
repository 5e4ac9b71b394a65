"""A turn of this node, and what waits for its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import trio


class TurnCork(Protocol):
    """Brackets a turn: holds back what it makes this node send, until the turn ends."""

    waited: bool
    """Whether the turn under way has waited for more: what it says need not wait again."""

    @property
    def full(self) -> bool:
        """Whether the reader has to wait before it passes on more."""

    def __enter__(self) -> None:
        """Begins a turn, which has no ``await``."""

    def __exit__(self, *_: object) -> None:
        """Ends the turn."""

    def at_end(self, act: Callable[[], None]) -> bool:
        """Calls ``act`` at the end of the turn under way; returns False if there is none."""

    async def settled(self) -> None:
        """Waits until what was held back has left; always a checkpoint."""


class NoCork:
    """For a node whose turns send nothing that must be held back."""

    full = False
    waited = False

    def __enter__(self) -> None:
        """Begins a turn."""

    def __exit__(self, *_: object) -> None:
        """Ends the turn."""

    def at_end(self, act: Callable[[], None]) -> bool:  # noqa: ARG002 - the Protocol's
        """Calls nothing."""
        return False

    async def settled(self) -> None:
        """Lets others run."""
        await trio.lowlevel.checkpoint()

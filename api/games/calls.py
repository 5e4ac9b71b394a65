"""Calls to game nodes as joins, resumes and reattachments make them: sent, cancelled, given up.

A node that nobody waits for any more is told so with ``Cancel``. A call that reaches it late,
because it or the link stood still, must not take a seat that the player has by then through
another api node.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

import trio

from lastcall.api.games.link import GameLink
from lastcall.core.edge.calls import Call, Calls
from lastcall.wire import nodes

SWEEP_SECONDS = 0.1
ANSWER_SECONDS = 10.0
"""A game node whose link lives answers at once. One that has not answered by then never will."""

Request = TypeVar("Request", bound=Hashable)
Tag = TypeVar("Tag", bound=Hashable)


class GameCalls(Generic[Request, Tag]):
    """:class:`lastcall.core.edge.calls.Calls` in trio's time, with links that carry them."""

    def __init__(self, numbers: Iterator[int]) -> None:
        self._calls: Calls[Request, GameLink, Tag] = Calls(numbers, ANSWER_SECONDS)
        self.open = self._calls.open
        self.answered = self._calls.answered
        self.unanswered = self._calls.unanswered
        self.link_lost = self._calls.link_lost

    def __len__(self) -> int:
        return len(self._calls)

    def ask(
        self,
        request: Request,
        link: GameLink,
        item: Callable[[int], nodes.Up],
        tag: Tag | None = None,
    ) -> int:
        """Sends ``item(number)`` for ``request``, and returns the number."""
        number = self._calls.ask(request, link, trio.current_time(), tag)
        link.send(item(number))
        return number

    def cancel(self, request: Request) -> None:
        """Nobody waits for ``request`` any more."""
        _cancel(self._calls.cancel(request))

    def abandon(self, link: GameLink) -> list[Call[Request, GameLink, Tag]]:
        """``link`` is silent: returns the calls whose requests other nodes should be asked for."""
        return _cancel(self._calls.abandon(link))

    def due(self) -> list[Call[Request, GameLink, Tag]]:
        """Gives up the calls that were not answered in time, and returns them."""
        return _cancel(self._calls.due(trio.current_time()))


def _cancel(calls: list[Call[Request, GameLink, Tag]]) -> list[Call[Request, GameLink, Tag]]:
    for call in calls:
        call.link.send(nodes.Cancel(call.number))
    return calls

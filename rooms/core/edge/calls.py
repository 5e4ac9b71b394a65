"""Calls to game nodes that are under way: which link was asked for which request, until when.

* Only the link that was asked can answer a call, and only once.
* A call is *abandoned* when its request is asked for elsewhere. The answer can still come, and is
  told from a stranger's: a seat that comes too late must be given back.
* A call counts as open, abandoned or not, until it is answered, due, or its link is dropped.
* A call that is not answered within ``answer_seconds`` is due once, and then forgotten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from itertools import takewhile
from typing import Generic, TypeVar

import msgspec

Request = TypeVar("Request", bound=Hashable)
Link = TypeVar("Link", bound=Hashable)
Tag = TypeVar("Tag", bound=Hashable)


class Call(msgspec.Struct, Generic[Request, Link, Tag], eq=False):
    """One question to one link. ``tag`` is what :meth:`Calls.open` counts it by; None: not."""

    number: int
    request: Request
    link: Link
    expires_at: float
    tag: Tag | None
    abandoned: bool = False


class Calls(Generic[Request, Link, Tag]):
    """All calls of one sort; ``numbers`` numbers them, and those of other sorts, too.

    Times are in seconds of any clock. The number of calls is bounded by what is asked of links.
    """

    def __init__(self, numbers: Iterator[int], answer_seconds: float) -> None:
        self._numbers = numbers
        self._answer_seconds = answer_seconds
        self._calls: dict[int, Call[Request, Link, Tag]] = {}
        """In the order of asking, which is the order of the deadlines, too."""
        self._of_request: dict[Request, dict[int, Call[Request, Link, Tag]]] = {}
        self._open: dict[Link, Counter[Tag]] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def open(self, link: Link) -> Mapping[Tag, int]:
        """How many calls ``link`` has not answered, by tag."""
        return self._open.get(link) or {}

    def ask(self, request: Request, link: Link, now: float, tag: Tag | None = None) -> int:
        """Notes a call for ``request`` and returns its number."""
        number = next(self._numbers)
        call = Call(number, request, link, now + self._answer_seconds, tag)
        self._calls[number] = call
        self._of_request.setdefault(request, {})[number] = call
        if tag is not None:
            self._open.setdefault(link, Counter())[tag] += 1
        return number

    def answered(self, link: Link, number: int) -> Call[Request, Link, Tag] | None:
        """The call that ``link`` has answered; None if it was not asked that."""
        call = self._calls.get(number)
        if call is None or call.link is not link:
            return None
        return self._forget(call)

    def cancel(self, request: Request) -> list[Call[Request, Link, Tag]]:
        """Nobody waits for ``request``: the calls whose links should be told."""
        calls = self._of_request.get(request, {}).values()
        return [call for call in calls if not call.abandoned]

    def abandon(self, link: Link) -> list[Call[Request, Link, Tag]]:
        """``link`` is not waited for: abandons its calls and returns those that were not yet."""
        calls = self.unanswered(link)
        for call in calls:
            call.abandoned = True
        return calls

    def abandon_request(self, request: Request) -> None:
        """``request`` is asked for elsewhere: abandons its calls."""
        for call in self.cancel(request):
            call.abandoned = True

    def link_lost(self, link: Link) -> list[Call[Request, Link, Tag]]:
        """No answer can come from ``link``: forgets its calls, returns those not abandoned."""
        lost = self.unanswered(link)
        for call in [call for call in self._calls.values() if call.link is link]:
            self._forget(call)
        self._open.pop(link, None)
        return lost

    def due(self, now: float) -> list[Call[Request, Link, Tag]]:
        """Forgets the calls that are too late and returns those that were not abandoned."""
        late = list(takewhile(lambda call: call.expires_at <= now, self._calls.values()))
        return [call for call in map(self._forget, late) if not call.abandoned]

    def unanswered(self, link: Link) -> list[Call[Request, Link, Tag]]:
        """The calls to ``link`` that are not abandoned, in the order of asking."""
        calls = self._calls.values()
        return [call for call in calls if call.link is link and not call.abandoned]

    def _forget(self, call: Call[Request, Link, Tag]) -> Call[Request, Link, Tag]:
        del self._calls[call.number]
        if call.tag is not None:
            self._open[call.link][call.tag] -= 1
        calls = self._of_request[call.request]
        del calls[call.number]
        if not calls:
            del self._of_request[call.request]
        return call

"""Errors that nodes log because they have met a bug of their own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import trio
from structlog.typing import EventDict


@contextmanager
def noted_bugs() -> Iterator[list[str]]:
    """The events that come with an exception which the program did not expect, in the block.

    An error of a bus that is closed does not count: a process that was killed runs to the end of
    its turn here.
    """
    found: list[str] = []

    def note(_logger: object, _method: str, event: EventDict) -> EventDict:
        error = sys.exc_info()[1]
        is_caught = event.get("exc_info") is True  # log.exception()
        if is_caught and not isinstance(error, trio.ClosedResourceError):
            found.append(f"{event['event']}: {error!r}")
        return event

    processors = structlog.get_config()["processors"]
    processors.insert(0, note)
    try:
        yield found
    finally:
        if note in processors:
            processors.remove(note)

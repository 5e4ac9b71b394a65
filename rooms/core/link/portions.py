"""What is too much for one message between nodes goes in several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

__all__ = ["portions"]

T = TypeVar("T")


def portions(items: Iterable[T], bytes_of: Callable[[T], int], bytes_max: int) -> Iterator[list[T]]:
    """``items`` in order, in lists that hold at most ``bytes_max`` each by ``bytes_of``.

    An item that alone holds more has a list of its own.
    """
    portion: list[T] = []
    left = bytes_max
    for item in items:
        size = bytes_of(item)
        if portion and size > left:
            yield portion
            portion, left = [], bytes_max
        portion.append(item)
        left -= size
    if portion:
        yield portion

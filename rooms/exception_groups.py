"""Unwraps exception groups: a nursery wraps even a single exception in a group."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["lone_error", "unwrap_single"]

E = TypeVar("E", bound=BaseException)


@contextmanager
def lone_error() -> Iterator[None]:
    """Around a nursery: raises the exception of a group of one; larger groups pass unchanged.

    Only for nurseries whose tasks handle their own errors, so that a single one is the body's.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        if len(group.exceptions) != 1:
            raise
        error = group.exceptions[0]
        raise error from error.__cause__


def unwrap_single(error: BaseException, kind: type[E]) -> E | None:
    """The first exception in ``error`` (itself, or in its groups) if all are of ``kind``.

    None if any of them, however deep, is of another kind.
    """
    if isinstance(error, BaseExceptionGroup):
        found = [unwrap_single(one, kind) for one in error.exceptions]
        return None if None in found else found[0]
    return error if isinstance(error, kind) else None

"""A nursery wraps even a lone exception in a group; callers want the exception itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["lone_error", "unwrap_single"]

E = TypeVar("E", bound=BaseException)


@contextmanager
def lone_error() -> Iterator[None]:
    """Put around a nursery: a group of one leaves as that one, larger groups as they are.

    Only for nurseries whose tasks swallow their own errors, so that the one is the body's.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        if len(group.exceptions) != 1:
            raise
        error = group.exceptions[0]
        raise error from error.__cause__


def unwrap_single(error: BaseException, kind: type[E]) -> E | None:
    """``error``, or the first one in it if it is a group, when there is nothing but ``kind``.

    None when anything in it, however deep, is of another kind.
    """
    if isinstance(error, BaseExceptionGroup):
        found = [unwrap_single(one, kind) for one in error.exceptions]
        return None if None in found else found[0]
    return error if isinstance(error, kind) else None

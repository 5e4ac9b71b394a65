"""A nursery wraps even a lone exception in a group; callers want the exception itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["lone_error"]


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

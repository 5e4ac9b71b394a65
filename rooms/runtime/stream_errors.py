"""Errors of lost connections, without the frames of those who have met them.

trio raises :class:`trio.BrokenResourceError` from the system's error, in a ``@contextmanager``.
Since Python 3.12 that error and its traceback hold each other (CPython issue 129280), and the
frames hold all that the connection had. A node collects the oldest generation once in hours: until
then they would stay.
"""

from __future__ import annotations

from types import TracebackType


class WithoutFrames:
    """``with WITHOUT_FRAMES:`` around the calls of a stream; the error itself keeps its traceback.

    A class, since a ``@contextmanager`` would be the next who has met the error.
    """

    def __enter__(self) -> None:
        """Nothing has happened yet."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Drops the tracebacks of the errors from which ``error`` was raised."""
        while error is not None and (error := error.__cause__) is not None:
            error.__traceback__ = None


WITHOUT_FRAMES = WithoutFrames()

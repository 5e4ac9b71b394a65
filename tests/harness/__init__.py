"""Tools for the tests of whole clusters."""

import pytest
import structlog

seed = 0
"""The default seed of the random sources of a cluster's nodes. The fixture ``schedule`` sets it."""


def orders(count: int) -> pytest.MarkDecorator:
    """Runs a test under ``count`` of the 20 orders of ``schedule``.

    For a test of long waits or of many clients that has no race: its times and numbers are the
    same in every order.
    """
    return pytest.mark.parametrize("schedule", range(count), indirect=True)


def use_plain_tracebacks() -> None:
    """Makes structlog print tracebacks without the locals, which take seconds on a busy machine."""
    renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], renderer])


use_plain_tracebacks()

"""Commands whose output nobody reads any more, and whose terminal is closed."""

from __future__ import annotations

import os
from signal import SIGHUP, SIGINT, SIGTERM

import pytest
import trio

from lastcall.local.console import CommandConsole, print_text
from lastcall.local.stopping import count_signals


def test_a_console_whose_terminal_is_closed_prints_no_more_and_raises_nothing():
    ours, its = os.openpty()
    console = CommandConsole()
    with os.fdopen(its, "w") as console.file:
        print_text(console, "one\n:warning: two")
        assert os.read(ours, 100).decode().split() == ["one", ":warning:", "two"]
        os.close(ours)
        print_text(console, "three")
        print_text(console, "four")
        assert console.quiet


@pytest.mark.parametrize(
    ("numbers", "is_cut"),
    [([SIGINT, SIGHUP, SIGHUP], False), ([SIGHUP, SIGTERM], True), ([SIGINT, SIGINT], True)],
)
async def test_a_second_signal_cuts_unless_it_says_that_the_terminal_is_closed(numbers, is_cut):
    async def signals():
        for number in numbers:
            yield number

    stop, cut = trio.Event(), trio.Event()
    await count_signals(signals(), stop, cut)
    assert (stop.is_set(), cut.is_set()) == (True, is_cut)

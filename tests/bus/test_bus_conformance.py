"""One suite for both buses: the memory bus in virtual time, nng in real time on free ports."""

from __future__ import annotations

import pytest
import trio.testing

from lastcall.bus.memory import MemoryBus
from lastcall.bus.nng import NngBus
from lastcall.testing.bus_suite import CHECKS, Check

NAMES = [check.__name__.removeprefix("check_") for check in CHECKS]


@pytest.mark.parametrize("check", CHECKS, ids=NAMES)
async def test_on_the_memory_bus(check: Check, autojump_clock: trio.testing.MockClock) -> None:
    await check(MemoryBus())


@pytest.mark.parametrize("check", CHECKS, ids=NAMES)
async def test_on_nng(check: Check) -> None:
    await check(NngBus())

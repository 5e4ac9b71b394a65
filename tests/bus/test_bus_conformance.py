"""All buses pass one suite: those in memory in virtual time, nng in real time on free ports."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from lastcall.bus.memory import MemoryBus
from lastcall.bus.nng import NngBus
from lastcall.serve.bus import LocalFirstBus
from lastcall.testing.bus_suite import CHECKS, Check

NAMES = [check.__name__.removeprefix("check_") for check in CHECKS]


@pytest.mark.parametrize("check", CHECKS, ids=NAMES)
async def test_the_memory_bus_conforms(check: Check, autojump_clock: MockClock) -> None:
    await check(MemoryBus())


@pytest.mark.parametrize("check", CHECKS, ids=NAMES)
async def test_the_nng_bus_conforms(check: Check) -> None:
    await check(NngBus())


@pytest.mark.parametrize("check", CHECKS, ids=NAMES)
async def test_the_bus_of_both_tiers_conforms(check: Check, autojump_clock: MockClock) -> None:
    await check(LocalFirstBus(MemoryBus()))

"""Watches for a suspend of the computer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

import trio

from lastcall.core.client.suspends import CHECK_SECONDS, SuspendDetector

SecondsAsleep: TypeAlias = Callable[[], float]
"""How long the computer has slept, in seconds since any fixed time."""


def _seconds_asleep() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


seconds_asleep: SecondsAsleep | None = _seconds_asleep if hasattr(time, "CLOCK_BOOTTIME") else None
"""As Linux knows it; None where there is no clock that goes on during a suspend."""


async def watch_suspends(asleep: SecondsAsleep, on_woken: Callable[[], None]) -> None:
    """Calls ``on_woken`` within 2 s after each sleep of 10 s or more. Runs until cancelled."""
    detector = SuspendDetector(asleep())
    while True:
        await trio.sleep(CHECK_SECONDS)
        if detector.slept(asleep()):
            on_woken()

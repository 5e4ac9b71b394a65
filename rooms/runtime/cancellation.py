"""Tells the cancellation of a task from an error that only looks like one."""

from __future__ import annotations

import math

import trio

from lastcall.runtime.error_text import members


def is_own_cancellation(error: BaseException) -> bool:
    """Whether ``error`` is the cancellation of the current task, and nothing else."""
    return trio.current_effective_deadline() == -math.inf and is_cancelled(error)


def is_cancelled(error: BaseException) -> bool:
    """Whether ``error`` is ``trio.Cancelled``, or a group of nothing else."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_cancelled(one) for one in members(error))
    return isinstance(error, trio.Cancelled)

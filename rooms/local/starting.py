"""Waits until nodes serve, and says why one does not."""

from __future__ import annotations

import os
from collections.abc import Collection

import httpx
import trio

from lastcall.errors import ClusterFailed, UsageError
from lastcall.local.admin_client import why_not_ready
from lastcall.local.child import Child
from lastcall.local.output import REFUSAL
from lastcall.local.text_table import counted
from lastcall.reasons import ExitCode

POLL_SECONDS = 0.05
BY_ADMIN = "with --admin HOST:PORT"
"""The end of the advice to choose another port."""


async def wait_serving(child: Child, client: httpx.AsyncClient) -> None:
    """Returns when ``/readyz`` is 200. Raises :class:`UsageError` or :class:`ClusterFailed` when
    the node ends before.
    """
    await child.became_ready.wait()
    while not child.ended.is_set() and child.ready is not None:
        child.lacks = await why_not_ready(client, child.ready.admin)
        if not child.lacks:
            return
        await trio.sleep(POLL_SECONDS)
    await child.ended.wait()
    raise failure_of(child)


def failure_of(child: Child) -> UsageError | ClusterFailed:
    """Why a node that has ended never served."""
    if child.exit_code == ExitCode.USAGE and child.output.lines:
        message = child.output.lines[-1].removeprefix(REFUSAL)
        hint = f" {BY_ADMIN}" if "choose another port" in message else ""
        return UsageError(f"{child.name}: {message}{hint}")
    return ClusterFailed(
        f"{child.how_it_ended()} while it started; its last output:\n{child.last_output()}"
    )


def not_ready(waiting: Collection[Child], seconds: float) -> ClusterFailed:
    """Says what each of these nodes lacks; or each that has not started, if there is one, since the
    others may only wait for it.
    """
    stuck = [child for child in waiting if child.ready is None] or list(waiting)
    stuck.sort(key=lambda child: child.name)
    names = ", ".join(f"{child.name} {_lack(child)}" for child in stuck)
    output = "".join(f"\noutput of {child.name}:\n{child.last_output()}" for child in stuck)
    return ClusterFailed(f"not ready within {seconds:g} s: {names}. {_advice()}{output}")


def _lack(child: Child) -> str:
    if child.ready is None:
        return "has not started"
    return f"says {child.lacks!r}" if child.lacks else "has not answered"


def _advice() -> str:
    load, processors = os.getloadavg()[0], os.cpu_count() or 1
    busy = f" (the load is {load:.0f}, with {counted(processors, 'processor')})"
    return (
        f"On a busy machine{busy if load > processors else ''}, start the cluster with a longer "
        "--start-timeout, or with fewer nodes"
    )

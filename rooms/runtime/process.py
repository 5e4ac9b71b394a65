"""Runs a node as a process: signals, clock, admin port and exit code around its tier."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

import msgspec
import structlog
import trio

from lastcall.core.histogram import Histogram
from lastcall.core.lifecycle import Phase
from lastcall.errors import UsageError
from lastcall.exception_groups import unwrap_single
from lastcall.limits import Limit
from lastcall.policy import DrainPolicy
from lastcall.reasons import ExitCode
from lastcall.runtime import logs
from lastcall.runtime.address import is_loopback
from lastcall.runtime.admin.auth import AdminAuth
from lastcall.runtime.admin.metrics import node_registry
from lastcall.runtime.admin.node_page import NodePage
from lastcall.runtime.admin.page_files import page_files
from lastcall.runtime.admin.server import AdminPort, Slots
from lastcall.runtime.admin.thread import serve_in_thread
from lastcall.runtime.descriptors import Reserve
from lastcall.runtime.drain import Drain, Tier, nothing_drained
from lastcall.runtime.exposure import Exposure, warn
from lastcall.runtime.figures import Figures
from lastcall.runtime.loop_lag import LAG_SECONDS, Pulse, SlowSteps, watch_lag
from lastcall.runtime.node_look import Lags, figures_now, node_now
from lastcall.runtime.options import NodeOptions
from lastcall.runtime.signals import StopRequests, ignore_signals
from lastcall.runtime.variables import not_named_yet
from lastcall.wire.reports import Status
from lastcall.wire.views import KindView, NodeNow

log = structlog.get_logger()

YOUNG_OBJECTS, YOUNG_PASSES, MIDDLE_PASSES = 10_000, 3, 700
"""A full collection takes 60 ms at 3 000 connections, so objects of the start are frozen, and the
others are seldom collected. With 20 young passes to a middle one, a middle one took 110 ms while
10 000 clients connected; with 3 it takes about 20 ms."""


class Node(Tier, Protocol):
    """A tier, with what the admin port shows of it."""

    tier: str
    is_whole_service: bool
    """Whether clients need no other node, so that people look at its page."""
    listen: str
    """The address that it listens on; once started, with the real port."""
    client_urls: list[str]
    """Where clients connect; only once started."""

    @property
    def unready(self) -> str:
        """Why it could not serve now, apart from its phase; empty if it could."""

    def figures(self) -> Figures:
        """The figures for ``/metrics`` and ``/status``."""

    def kinds(self) -> list[KindView]:
        """The kinds of rooms that it runs."""


class NodeAdmin:
    """The admin port's view of a node, and the commands that it passes on.

    A drain is a stop request like a signal, with its watchdog. A repeated command changes nothing.
    In particular, a second drain does not cut, as a second signal does, since proxies and clients
    may repeat an HTTP request.
    """

    def __init__(
        self,
        options: NodeOptions,
        drain: Drain,
        node: Node,
        stops: StopRequests,
    ) -> None:
        self._options = options
        self._drain = drain
        self._node = node
        self._stops = stops
        self.slots = Slots(options.limits.admin_connections)
        """The connections of the admin port."""
        hosts = {options.name, options.admin.host, *options.admin_hosts}
        if options.advertise:
            hosts.add(options.advertise)
        self.auth = AdminAuth(hosts, options.admin_token_file)
        self.pulse = Pulse()
        self.lags = Lags()
        self._lag = Histogram(LAG_SECONDS)

    def late(self, seconds: float) -> None:
        """The loop was late by these seconds."""
        self._lag.observe(seconds)
        self.lags.add(seconds)

    def figures(self) -> Figures:
        """The node's figures at this moment: the one source of all that its admin port shows."""
        figures = self._node.figures()
        figures.ready = not self.unready
        figures.drain_seconds = self._drain.seconds
        figures.drain_limit_seconds = self._drain.policy.cut_seconds
        figures.loop_lag = self._lag
        gave_way = {Limit.ADMIN_CONNECTIONS: self.slots.gave_way}
        figures.limited = dict(figures.limited) | gave_way
        return figures

    @property
    def unready(self) -> str:
        """Why balancers may not send clients here; empty if they may."""
        if self._drain.phase is not Phase.SERVING:
            return self._drain.phase
        return self._node.unready

    def cordon(self) -> None:
        """Refuses new work, if the node is not cordoned yet."""
        if self._drain.phase is not Phase.CORDONED:
            self._drain.cordon()

    def uncordon(self) -> None:
        """Serves again, if the node does not serve yet."""
        if self._drain.phase is not Phase.SERVING:
            self._drain.uncordon()

    def drain(self) -> None:
        """Requests a stop, if none was requested yet."""
        if not self._stops.count:
            self._stops.request()

    def status(self) -> Status:
        """The node's status at this moment."""
        return self._status(self.figures())

    def _status(self, figures: Figures) -> Status:
        left = self._drain.seconds_left
        return Status(
            name=self._options.name,
            tier=self._node.tier,
            version=self._options.version,
            phase=self._drain.phase,
            rooms=figures.rooms,
            clients=figures.clients,
            seconds_left=None if left is None else round(left, 3),
            why=tuple(self._node.why()),
        )

    def now(self) -> NodeNow:
        """The node as its page shows it."""
        figures = self.figures()
        shown = figures_now(figures, self.lags)
        return node_now(self._status(figures), shown, self._drain, self._node.client_urls)

    def kinds(self) -> list[KindView]:
        """The kinds of rooms that it runs."""
        return self._node.kinds()


def prepare(options: NodeOptions, policy: DrainPolicy, stops: StopRequests) -> None:
    """Configures the log, and sets the deadlines of ``stops``.

    Call it before anything that may take long; :func:`run_node` calls it, too.
    """
    logs.configure(options.log_format, node=options.name, level=options.log_level)
    _arm(options, policy, stops, nothing_drained)


def _arm(
    options: NodeOptions,
    policy: DrainPolicy,
    stops: StopRequests,
    report: Callable[[float], Mapping[str, object]],
) -> None:
    stops.arm(
        policy.grace_seconds,
        policy.farewell_seconds,
        timeout_message=logs.timeout_message(options.log_format, options.name),
        report_message=logs.report_message(options.log_format, options.name, report),
        early_stop_message=logs.early_stop_message(options.log_format, options.name),
    )


def _warn_of_variables() -> None:
    for name, near in not_named_yet(os.environ).items():
        log.warning("node.unknown_variable", variable=name, nearest=near)


def run_node(
    make: Callable[[Drain], Node],
    options: NodeOptions,
    policy: DrainPolicy,
    stops: StopRequests,
    *,
    exposure: Exposure,
) -> ExitCode:
    """Runs a node to its end and returns its exit code.

    ``exposure`` tells what the node offers to strangers at its other ports. Raises
    :class:`UsageError` for an error that the operator can correct. ``stops`` stays armed, so the
    process ends with grace even if something blocks its exit.
    """
    prepare(options, policy, stops)
    _warn_of_variables()
    try:
        return trio.run(partial(_run, make, options, policy, stops, exposure=exposure))
    except BaseException as error:
        if unwrap_single(error, UsageError) is not None:
            raise
        log.critical("node.crashed", exc_info=error)
        return ExitCode.CRASHED
    finally:
        ignore_signals()


async def _run(
    make: Callable[[Drain], Node],
    options: NodeOptions,
    policy: DrainPolicy,
    stops: StopRequests,
    *,
    exposure: Exposure,
) -> ExitCode:
    reserve = Reserve.keep()
    drain = Drain(policy, end_process=os._exit)
    token = trio.lowlevel.current_trio_token()

    def stop() -> None:
        gc.freeze()  # a drain needs no collection, and one with 10 000 clients takes 100 ms
        first_at = stops.first_at
        drain.stop(0.0 if first_at is None else time.monotonic() - first_at)

    stops.subscribe(lambda: token.run_sync_soon(stop))
    node = make(drain)
    _arm(options, policy, stops, partial(drain.overrun, node))
    view = NodeAdmin(options, drain, node, stops)
    admin = await _open_admin(view, options, node.tier, reserve)
    if node.is_whole_service:
        log.info("node.page", url=f"http://{admin.address.from_here}/")

    def ready() -> None:
        stops.started()
        _collect_seldom()
        log.info("node.ready", name=options.name, listen=node.listen, admin=str(admin.address))
        exposed = not is_loopback(admin.address.host)
        token_wanted = options.admin_token_file is not None
        warn(msgspec.structs.replace(exposure, admin_port=exposed, admin_token=token_wanted))

    trio.lowlevel.add_instrument(SlowSteps())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_lag, view.late, view.pulse)
        await nursery.start(serve_in_thread, admin.serve)
        code = await drain.run(node, ready)
        nursery.cancel_scope.cancel()
    return code


async def _open_admin(
    view: NodeAdmin, options: NodeOptions, tier: str, reserve: Reserve
) -> AdminPort:
    registry = node_registry(view.figures, name=options.name, tier=tier, version=options.version)
    return await AdminPort.open(
        options.admin,
        view,
        registry,
        page_files(),
        reserve=reserve,
        slots=view.slots,
        page=partial(NodePage, view),
    )


def _collect_seldom() -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_PASSES, MIDDLE_PASSES)

"""The command ``lastcall-api``, whose options make an api node."""

from __future__ import annotations

import random

import click

from lastcall.api.auth.chosen import chosen_auth
from lastcall.api.node import ApiNode
from lastcall.api.options import ApiOptions, api_options
from lastcall.api.settings import api_exposure, api_settings
from lastcall.policy import DrainPolicy
from lastcall.reasons import ExitCode
from lastcall.runtime.auth_options import AuthOptions, auth_options
from lastcall.runtime.cluster_options import ClusterOptions, cluster_options
from lastcall.runtime.command import epilog
from lastcall.runtime.node_bus import nng_bus
from lastcall.runtime.options import NodeOptions, drain_options, node_options
from lastcall.runtime.process import prepare, run_node
from lastcall.runtime.signals import StopRequests


@click.command(
    "lastcall-api",
    epilog=epilog(
        "lastcall-api --games tcp://127.0.0.1:7101",
        "lastcall-api --listen 0.0.0.0:8080 --feed tcp://0.0.0.0:7001 --advertise 10.0.0.5 "
        "--games dns://game:7101",
    ),
)
@node_options("api")
@drain_options
@cluster_options
@api_options
@auth_options
@click.pass_obj
def command(
    stops: StopRequests,
    *,
    node: NodeOptions,
    drain: DrainPolicy,
    cluster: ClusterOptions,
    api: ApiOptions,
    auth: AuthOptions,
) -> ExitCode:
    """Runs an api node: clients' WebSockets in front of the game nodes.

    SIGTERM or SIGINT drains it: no new clients; those without a room are moved, the others as their
    rooms end, or at once too (--clients move); the process ends with the last one, or at the end of
    grace. Clients that are left at the cut, or at a second signal, are moved then. A moved client
    keeps its place, and resumes on another api node. Exit code 0: nothing was cut; 3: something
    was.

    Plain sockets are read by the pump where the system has epoll. LASTCALL_PUMP=off in the
    environment has the protocol library read them all: slower, otherwise the same.
    """
    prepare(node, drain, stops)  # grace also bounds the import of an author's module
    rule = chosen_auth(auth)
    settings = api_settings(node, cluster, api)
    bus, rng = nng_bus(node, cluster), random.SystemRandom()
    return run_node(
        lambda lifecycle: ApiNode(settings, bus=bus, drain=lifecycle, rng=rng, auth=rule),
        node,
        drain,
        stops,
        exposure=api_exposure(api, rule, cluster, links=[api.feed]),
    )

"""The settings of an api node, as its options and its start give them."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterable

import msgspec

from lastcall.api.auth.entry import Auth
from lastcall.api.options import ApiOptions
from lastcall.bus.address import HostPort
from lastcall.core.link.secret import Secrets
from lastcall.ids import NodeName
from lastcall.limits import Limits
from lastcall.policy import LinkPolicy, SocketPolicy
from lastcall.runtime.cluster_options import ClusterOptions
from lastcall.runtime.cluster_secret import no_secrets
from lastcall.runtime.exposure import Exposure
from lastcall.runtime.listeners import is_exposed
from lastcall.runtime.options import NodeOptions


class ApiSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of an api node."""

    name: NodeName
    version: str
    advertise: str | None
    options: ApiOptions
    born: float
    """The time of its start in seconds since 1970, to check the clocks of game nodes."""
    secrets: Callable[[], Secrets] = no_secrets
    link_policy: LinkPolicy = LinkPolicy()
    socket_policy: SocketPolicy = msgspec.field(default_factory=SocketPolicy)


def api_settings(node: NodeOptions, cluster: ClusterOptions, api: ApiOptions) -> ApiSettings:
    """The settings that the options of a command ask for."""
    return ApiSettings(
        name=node.name,
        version=node.version,
        advertise=node.advertise,
        options=api,
        born=time.time(),
        socket_policy=policy_that_fits(node.limits),
        secrets=cluster.secrets,
    )


def api_exposure(
    api: ApiOptions, auth: Auth | None, cluster: ClusterOptions, *, links: Iterable[HostPort]
) -> Exposure:
    """The ports that these options open to strangers; ``links`` are those for other nodes."""
    return Exposure(
        client_port=any(map(is_exposed, api.listen)),
        auth=auth is not None,
        origins=api.origins is not None,
        link_port=any(map(is_exposed, links)),
        cluster_protected=cluster.protected,
    )


def policy_that_fits(limits: Limits) -> SocketPolicy:
    """The limits, but only as many clients as there are descriptors for, less what links, feeds and
    the admin port need.

    A node that runs out of descriptors cannot reach any game node: a 503 before that is better.
    """
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    usual = SocketPolicy(limits=limits)
    if descriptors == resource.RLIM_INFINITY:
        return usual
    free = descriptors - min(256, descriptors // 2)
    clients = max(1, min(limits.sockets, int(free / (1 + usual.half_open_share))))
    return msgspec.structs.replace(usual, limits=msgspec.structs.replace(limits, sockets=clients))

"""Says at the start what a node offers to strangers, and which option would change that."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import structlog

log = structlog.get_logger()


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """Which ports are open to strangers, and how they are protected.

    The three ports are whether each is bound beyond loopback; the others are whether that
    protection is configured.
    """

    admin_port: bool = False
    admin_token: bool = False
    client_port: bool = False
    auth: bool = False
    origins: bool = False
    link_port: bool = False
    cluster_protected: bool = False
    """By ``--cluster-tls`` or ``--cluster-secret-file``."""


def warnings(exposure: Exposure) -> Iterator[str]:
    """A sentence for each port beyond loopback that anybody may use: what they can do, and what
    stops them.
    """
    if exposure.admin_port and not exposure.admin_token:
        yield (
            "the admin port is bound beyond loopback without a token: everybody who reaches it can "
            "read /status and /metrics, and operators on other machines cannot drain this node. "
            "Set --admin-token-file FILE and let only operators, probes and Prometheus reach the "
            "port; or bind it to loopback (--admin 127.0.0.1:PORT)"
        )
    if exposure.client_port and not exposure.auth:
        yield (
            "clients beyond loopback are anonymous: everybody who reaches the port may play. "
            "Set --auth jwt, or --auth package.module:function"
        )
    if exposure.client_port and not exposure.origins:
        yield (
            "pages of every origin may connect to the client port, in their visitors' names. Set "
            "--origins https://your.site"
        )
    if exposure.link_port and not exposure.cluster_protected:
        yield (
            "the port for other nodes is bound beyond loopback without protection: everybody who "
            "reaches it can speak for every player. Set --cluster-tls DIR or --cluster-secret-file "
            "FILE on every node"
        )


def warn(exposure: Exposure) -> None:
    """Logs each sentence once, as ``node.exposed``."""
    for sentence in warnings(exposure):
        log.warning("node.exposed", hint=sentence)

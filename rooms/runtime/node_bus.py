"""The bus by which a node speaks with others, as its options say."""

from __future__ import annotations

from lastcall.bus.connections import ConnectionBounds
from lastcall.bus.nng import NngBus
from lastcall.runtime.cluster_options import ClusterOptions
from lastcall.runtime.options import NodeOptions


def nng_bus(node: NodeOptions, cluster: ClusterOptions) -> NngBus:
    """With the certificates of the cluster, and bounds for the connections of strangers."""
    bounds = ConnectionBounds(node.limits.links, node.limits.links_per_address)
    return NngBus(cluster.tls, bounds)

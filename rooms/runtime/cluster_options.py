"""The options by which the nodes of a cluster know each other; both tiers have them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from lastcall.bus.address import is_host
from lastcall.bus.tls import ClusterTls, read_cluster_tls
from lastcall.errors import UsageError
from lastcall.runtime.cluster_secret import SecretFile, no_secrets
from lastcall.runtime.command import Command, gathered


class ClusterOptions(msgspec.Struct, frozen=True):
    """How this node proves to other nodes who it is, and how they prove it."""

    tls: ClusterTls | None = None
    secrets: Callable[[], tuple[bytes, ...]] = no_secrets

    @property
    def protected(self) -> bool:
        """Whether a process has to prove that it is a node."""
        return self.tls is not None or bool(self.secrets())


def cluster_options(command: Command) -> Command:
    """Adds the options, gathered into ``cluster: ClusterOptions``."""
    options: dict[str, dict[str, Any]] = {
        "--cluster-tls": {
            "type": click.Path(file_okay=False, path_type=Path),
            "metavar": "DIR",
            "help": "A folder with ca.pem, cert.pem and key.pem: links between nodes are encrypted "
            "(mutual TLS), and each side verifies the other. URLs stay tcp://. All nodes need it.",
        },
        "--cluster-tls-name": {
            "metavar": "NAME",
            "default": "",
            "show_default": "the host that is dialled",
            "help": "The name that the certificates of other nodes must bear, where nodes are "
            "dialled by addresses that change.",
        },
        "--cluster-secret-file": {
            "type": click.Path(dir_okay=False, path_type=Path),
            "metavar": "FILE",
            "help": "A file with a secret that all nodes share (two lines while it is changed): "
            "a link needs proof of it. It authenticates nodes, and does not encrypt.",
        },
    }
    return gathered("cluster", _read, options)(command)


def _read(
    cluster_tls: Path | None, cluster_tls_name: str, cluster_secret_file: Path | None
) -> ClusterOptions:
    if cluster_tls_name and cluster_tls is None:
        raise UsageError("--cluster-tls-name needs --cluster-tls")
    if cluster_tls_name and not is_host(cluster_tls_name):
        raise UsageError(f"--cluster-tls-name {cluster_tls_name!r} is not a host name")
    tls = None if cluster_tls is None else read_cluster_tls(cluster_tls, cluster_tls_name)
    file = None if cluster_secret_file is None else SecretFile(cluster_secret_file)
    return ClusterOptions(tls, no_secrets if file is None else file.secrets)

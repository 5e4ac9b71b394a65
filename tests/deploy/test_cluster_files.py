"""The nodes of deploy/ protect the links between them, with files that the manifests mount."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.test_kubernetes import (  # noqa: F401 - the fixtures of the manifests
    Find,
    Manifest,
    both_tiers,
    container_of,
    find,
    kustomization,
    manifests,
    read,
)

NEEDED = {"tls/ca.pem": "ca.crt", "tls/cert.pem": "tls.crt", "tls/key.pem": "tls.key"}


@pytest.fixture
def certificate(deploy: Path) -> Manifest:
    documents = yaml.safe_load_all((deploy / "cert-manager.yaml").read_text())
    [found] = [one for one in documents if one["metadata"]["name"] == "lastcall-cluster"]
    return dict(found["spec"])


@both_tiers
def test_nodes_in_pods_use_mutual_tls_and_a_secret(
    tier: str,
    read: Callable[[str], Any],  # noqa: F811
    certificate: Manifest,
) -> None:
    cluster = read(tier).cluster
    assert cluster.protected
    assert [cluster.tls.name] == certificate["dnsNames"]
    assert len(cluster.secrets()) == 1


@both_tiers
def test_the_mounted_files_are_those_of_the_certificate_and_only_the_node_reads_them(
    tier: str,
    find: Find,  # noqa: F811
    certificate: Manifest,
) -> None:
    deployment = find("Deployment", tier)
    spec = deployment["spec"]["template"]["spec"]
    [volume] = [one for one in spec["volumes"] if one["name"] == "cluster"]
    [mount] = [m for m in container_of(deployment)["volumeMounts"] if m["name"] == "cluster"]
    assert (mount["mountPath"], mount["readOnly"]) == ("/run/lastcall", True)
    assert volume["projected"]["defaultMode"] == 0o440
    assert spec["securityContext"]["fsGroup"] == spec["securityContext"]["runAsGroup"]
    tls, secret = (source["secret"] for source in volume["projected"]["sources"])
    assert tls["name"] == certificate["secretName"]
    assert {item["path"]: item["key"] for item in tls["items"]} == NEEDED
    assert [item["path"] for item in secret["items"]] == ["secret"]


def test_a_node_shows_its_certificate_as_server_and_as_client(certificate: Manifest) -> None:
    assert {"server auth", "client auth"} <= set(certificate["usages"])


@both_tiers
def test_the_units_say_how_to_protect_links_between_machines(tier: str, deploy: Path) -> None:
    text = (deploy / "systemd" / f"lastcall-{tier}@.service").read_text()
    assert "LASTCALL_CLUSTER_TLS=%d LASTCALL_CLUSTER_SECRET_FILE=%d/secret" in text
    for name in ("ca.pem", "cert.pem", "key.pem", "secret"):
        assert f"LoadCredential={name}:/etc/lastcall/" in text

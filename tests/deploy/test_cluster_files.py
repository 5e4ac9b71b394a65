"""The nodes of deploy/ protect the links between them, with files that the manifests mount."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lastcall.api.auth.chosen import chosen_auth
from lastcall.limits import Limits
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
    tls, secret, *_ = (source["secret"] for source in volume["projected"]["sources"][:2])
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


@both_tiers
def test_nodes_in_pods_have_limits_and_a_token_for_commands(
    tier: str,
    read: Callable[[str], Any],  # noqa: F811
    mounted: Path,
) -> None:
    node = read(tier).node
    assert node.admin_token_file == mounted / "admin-token"
    assert node.limits.sockets_per_address < Limits().sockets_per_address
    assert node.limits.rooms_opened.per_second < Limits().rooms_opened.per_second


def test_api_nodes_in_pods_know_their_clients(
    read: Callable[[str], Any],  # noqa: F811
) -> None:
    api = read("api")
    assert chosen_auth(api.auth) is not None
    assert api.api.origins == {"https://play.example.com"}
    assert api.api.trusted_proxies.trusts("10.1.2.3")


@both_tiers
def test_every_option_that_names_a_mounted_file_has_one(
    tier: str,
    find: Find,  # noqa: F811
) -> None:
    deployment = find("Deployment", tier)
    sources = deployment["spec"]["template"]["spec"]["volumes"][0]["projected"]["sources"]
    items = [item["path"] for source in sources for item in next(iter(source.values()))["items"]]
    named = [arg.partition("/run/lastcall/")[2] for arg in container_of(deployment)["args"]]
    files = {name for name in named if name and name != "tls"}
    assert files == {path for path in items if not path.startswith("tls/")}

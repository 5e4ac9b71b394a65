"""The Kubernetes manifests are valid and consistent, and allow enough time for a drain."""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from lastcall.bus.address import HostPort
from lastcall.links.sources import GameDns

Manifest = dict[str, Any]
Find = Callable[[str, str], Manifest]

MARGIN_SECONDS = 10
"""The minimum time between the end of the grace and SIGKILL."""
AUTOSCALER_SECONDS = 600
"""The default time for which the cluster autoscaler waits for a pod to stop."""
EVERY_INTERFACE = "0.0.0.0"  # noqa: S104 (a setting of a node in a pod; the test only reads it)
POD = {"status.podIP": "10.1.2.3", "metadata.name": "lastcall-5d4f7c-x2z9k"}
HASH = "metadata.labels['pod-template-hash']"

both_tiers = pytest.mark.parametrize("tier", ["api", "game"])


def documents(file: Path) -> list[Manifest]:
    return [document for document in yaml.safe_load_all(file.read_text()) if document]


@pytest.fixture
def kustomization(deploy: Path) -> Manifest:
    return documents(deploy / "kubernetes" / "kustomization.yaml")[0]


@pytest.fixture
def manifests(deploy: Path, kustomization: Manifest) -> list[Manifest]:
    files = [deploy / "kubernetes" / name for name in kustomization["resources"]]
    return [document for file in files for document in documents(file)]


@pytest.fixture
def find(manifests: list[Manifest]) -> Find:
    def manifest_of(kind: str, tier: str) -> Manifest:
        names = (kind, f"lastcall-{tier}")
        [found] = [m for m in manifests if (m["kind"], m["metadata"]["name"]) == names]
        return found

    return manifest_of


@pytest.fixture
def read(find: Find, parse_settings: Any) -> Callable[[str], Any]:
    """Reads the settings of a tier's node, with the downward API's values filled in."""

    def settings(tier: str) -> Any:
        container = container_of(find("Deployment", tier))
        environment = {entry["name"]: value_of(entry) for entry in container["env"]}
        args = [with_variables(arg, environment) for arg in container["args"]]
        return parse_settings(tier, args, environment)

    return settings


def container_of(deployment: Manifest) -> Manifest:
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    return dict(container)


def value_of(entry: Manifest) -> str:
    if "value" in entry:
        return str(entry["value"])
    return {**POD, HASH: "5d4f7c"}[entry["valueFrom"]["fieldRef"]["fieldPath"]]


def with_variables(arg: str, environment: dict[str, str]) -> str:
    return re.sub(r"\$\((\w+)\)", lambda found: environment[found[1]], arg)


def ports_of(deployment: Manifest) -> dict[str, int]:
    return {port["name"]: port["containerPort"] for port in container_of(deployment)["ports"]}


def validation_error(manifest: Manifest, version: str) -> str | None:
    try:
        kubernetes_validate.validate(manifest, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"{manifest['kind']} {manifest['metadata']['name']}: {error.message}"
    return None


@pytest.mark.parametrize("version", ["1.30", "1.32", kubernetes_validate.latest_version()])
def test_every_manifest_is_valid_against_the_strict_schema(
    manifests: list[Manifest], version: str
) -> None:
    errors = [validation_error(manifest, version) for manifest in manifests]
    assert [error for error in errors if error is not None] == []


def test_the_schema_rejects_a_misspelt_field(find: Find) -> None:
    deployment = copy.deepcopy(find("Deployment", "api"))
    deployment["spec"]["template"]["spec"]["terminationGracePeriodSecond"] = 560
    assert "terminationGracePeriodSecond" in str(validation_error(deployment, "1.32"))


def test_the_kustomization_lists_every_file(deploy: Path, kustomization: Manifest) -> None:
    files = {file.name for file in (deploy / "kubernetes").iterdir()}
    [config] = kustomization["configMapGenerator"]
    assert files == {*kustomization["resources"], *config["files"], "kustomization.yaml"}


def test_the_base_names_no_namespace(manifests: list[Manifest], kustomization: Manifest) -> None:
    assert "namespace" not in kustomization
    assert not [m for m in manifests if "namespace" in m["metadata"]]


def test_an_api_pod_moves_its_clients_instead_of_waiting_for_matches(
    deploy: Path, find: Find, read: Callable[[str], Any]
) -> None:
    settings = read("api")
    drain = settings.drain
    assert settings.api.clients == "move"
    assert drain.spread_seconds < drain.cut_seconds - drain.lame_duck_seconds
    page = (deploy.parent / "docs" / "rolling-updates.md").read_text()
    api, game = (find("Deployment", tier)["spec"]["template"]["spec"] for tier in ("api", "game"))
    kill_seconds = [spec["terminationGracePeriodSeconds"] for spec in (game, api)]
    assert "| {} | SIGKILL would come here (for an api pod, at {}) |".format(*kill_seconds) in page


@both_tiers
def test_the_grace_period_covers_pre_stop_and_grace_and_a_margin(
    tier: str, find: Find, read: Callable[[str], Any]
) -> None:
    pod = find("Deployment", tier)["spec"]["template"]["spec"]
    pre_stop = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    shortest = pre_stop + read(tier).drain.grace_seconds + MARGIN_SECONDS
    assert shortest <= pod["terminationGracePeriodSeconds"] < AUTOSCALER_SECONDS


@both_tiers
def test_an_old_pod_stops_only_after_a_new_one_serves(tier: str, find: Find) -> None:
    spec = find("Deployment", tier)["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert spec["replicas"] >= 2
    assert spec["minReadySeconds"] > 0


def test_a_new_game_pod_is_available_only_after_every_api_node_has_found_it(find: Find) -> None:
    dns_cache_seconds = 30
    assert find("Deployment", "game")["spec"]["minReadySeconds"] >= dns_cache_seconds


@both_tiers
def test_the_probes_use_the_admin_port(tier: str, find: Find, read: Callable[[str], Any]) -> None:
    deployment = find("Deployment", tier)
    container, admin = container_of(deployment), read(tier).node.admin
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness")}
    assert probes == {name: {"path": "/livez", "port": "admin"} for name in probes}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "admin"}
    assert admin == HostPort(EVERY_INTERFACE, ports_of(deployment)["admin"])


@both_tiers
def test_one_failed_readiness_probe_removes_a_pod_from_the_service(tier: str, find: Find) -> None:
    probe = container_of(find("Deployment", tier))["readinessProbe"]
    assert (probe["periodSeconds"], probe["failureThreshold"]) == (1, 1)


@both_tiers
def test_a_pod_that_is_alive_but_slow_is_not_killed(tier: str, find: Find) -> None:
    probe = container_of(find("Deployment", tier))["livenessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 60


def test_the_nodes_listen_on_the_declared_ports(find: Find, read: Callable[[str], Any]) -> None:
    api, game = read("api").api, read("game").game
    assert ports_of(find("Deployment", "game"))["feed"] == game.feed.port
    assert ports_of(find("Deployment", "api")).items() >= {
        ("clients", api.listen[0].port),
        ("feed", api.feed.port),
    }
    assert ports_of(find("Deployment", "game"))["links"] == game.listen.port


def test_nodes_of_both_tiers_find_every_game_node_even_a_draining_one(
    find: Find, read: Callable[[str], Any]
) -> None:
    service = find("Service", "game")
    [port] = service["spec"]["ports"]
    sources = (GameDns(HostPort(service["metadata"]["name"], port["port"])),)
    assert (read("api").api.games, read("game").game.games) == (sources, sources)
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    # A headless name resolves to pods, so the Service's port must be the pod's port.
    assert port["port"] == ports_of(find("Deployment", "game"))[port["targetPort"]]


@both_tiers
def test_game_nodes_dial_the_address_of_the_pod(tier: str, read: Callable[[str], Any]) -> None:
    assert read(tier).node.advertise == POD["status.podIP"]


def test_the_network_policy_lets_nodes_reach_each_other(find: Find) -> None:
    """Requests go to the links of game nodes, and they dial the feeds of those who ask."""
    callers = {("api", "links"), ("game", "links"), ("game", "feed")}
    assert callers_of(find("NetworkPolicy", "game")) == callers
    assert callers_of(find("NetworkPolicy", "api")) == {("game", "feed")}


def callers_of(policy: Manifest) -> set[tuple[str, str]]:
    """Which tier may connect to which port."""
    return {
        (peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"], port["port"])
        for rule in policy["spec"]["ingress"]
        for peer in rule.get("from", [])
        for port in rule["ports"]
        if port["port"] in {"links", "feed"}
    }


@both_tiers
def test_a_node_is_named_after_its_pod_and_its_rollout(
    tier: str, read: Callable[[str], Any]
) -> None:
    node = read(tier).node
    assert (node.name, node.version) == (POD["metadata.name"], "5d4f7c")
    assert node.log_format == "json"


@both_tiers
@pytest.mark.parametrize("kind", ["Service", "PodDisruptionBudget", "NetworkPolicy"])
def test_each_selector_selects_the_pods_of_the_deployment(kind: str, tier: str, find: Find) -> None:
    spec = find(kind, tier)["spec"]
    selector = {
        "Service": lambda: spec["selector"],
        "PodDisruptionBudget": lambda: spec["selector"]["matchLabels"],
        "NetworkPolicy": lambda: spec["podSelector"]["matchLabels"],
    }[kind]()
    deployment = find("Deployment", tier)["spec"]
    assert selector == deployment["template"]["metadata"]["labels"]
    assert selector == deployment["selector"]["matchLabels"]


@both_tiers
def test_evictions_take_one_pod_at_a_time(tier: str, find: Find) -> None:
    assert find("PodDisruptionBudget", tier)["spec"]["maxUnavailable"] == 1


@both_tiers
def test_the_network_policy_covers_each_port_and_opens_only_the_client_port_to_all(
    tier: str, find: Find
) -> None:
    rules = find("NetworkPolicy", tier)["spec"]["ingress"]
    named = [port["port"] for rule in rules for port in rule["ports"]]
    open_to_all = [port["port"] for rule in rules if "from" not in rule for port in rule["ports"]]
    assert sorted(named) == sorted(ports_of(find("Deployment", tier)))
    assert open_to_all == (["clients"] if tier == "api" else [])


@both_tiers
def test_a_node_runs_without_root_writable_files_or_privileges(tier: str, find: Find) -> None:
    pod = find("Deployment", tier)["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@both_tiers
def test_the_image_starts_the_program_as_process_1(
    tier: str, deploy: Path, find: Find, kustomization: Manifest
) -> None:
    lines = (deploy / "Containerfile").read_text().splitlines()
    assert not [line for line in lines if line.startswith("ENTRYPOINT")]
    container = container_of(find("Deployment", tier))
    assert container["command"] == [f"lastcall-{tier}"]  # a list: no shell in between
    scripts = tomllib.loads((deploy.parent / "pyproject.toml").read_text())["project"]["scripts"]
    assert f"lastcall-{tier}" in scripts
    assert container["image"] == kustomization["images"][0]["name"]


def test_the_image_copies_existing_files_and_all_folders_of_the_wheel(deploy: Path) -> None:
    lines = (deploy / "Containerfile").read_text().splitlines()
    copied = [line.split()[1:-1] for line in lines if re.match(r"COPY (?!--from)", line)]
    sources = [source for each in copied for source in each]
    assert [s for s in sources if not (deploy.parent / s).exists()] == []
    pyproject = tomllib.loads((deploy.parent / "pyproject.toml").read_text())
    wheel = pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(wheel["only-include"]) <= set(sources)

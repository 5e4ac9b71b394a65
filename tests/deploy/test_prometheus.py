"""Prometheus accepts the files, the alerts' tests pass, and nodes export what alerts ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lastcall.runtime.admin.metrics import BUILD_LABELS
from tests.deploy.exported import TARGET, Labels, exported, faults, selectors
from tests.deploy.test_kubernetes import container_of, documents
from tests.promtool import promtool
from tests.test_docs import anchors

Rule = dict[str, Any]


@pytest.fixture(scope="module")
def known() -> dict[str, Labels]:
    return exported()


@pytest.fixture
def rules(deploy: Path) -> list[Rule]:
    groups = yaml.safe_load((deploy / "prometheus" / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_promtool_finds_no_fault_in_the_rules_and_their_tests_pass(deploy: Path) -> None:
    promtool("check", "rules", str(deploy / "prometheus" / "alerts.yml"))
    promtool("test", "rules", str(deploy / "prometheus" / "alerts_test.yml"))


def test_every_alert_has_a_test_in_which_it_fires(deploy: Path, rules: list[Rule]) -> None:
    tests = yaml.safe_load((deploy / "prometheus" / "alerts_test.yml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    fired = {case["alertname"] for case in cases if case.get("exp_alerts")}
    names = [rule["alert"] for rule in rules]
    assert len(names) == len(set(names))
    assert fired == set(names)


def test_every_alert_has_a_section_in_the_docs_and_no_section_is_without_one(
    deploy: Path, rules: list[Rule]
) -> None:
    page = deploy.parent / "docs" / "metrics.md"
    sections = {anchor for anchor in anchors(page) if anchor.startswith("lastcall")}
    assert sections == {rule["alert"].lower() for rule in rules}
    for rule in rules:
        link = f"docs/metrics.md#{rule['alert'].lower()}"
        assert rule["annotations"].keys() == {"summary", "runbook_url"}
        assert rule["annotations"]["runbook_url"] == link
        assert rule["labels"]["severity"] in {"warning", "critical"}


def test_the_alerts_ask_only_for_what_nodes_export(
    rules: list[Rule], known: dict[str, Labels]
) -> None:
    for rule in rules:
        assert list(selectors(rule["expr"])), rule["alert"]
        assert faults(rule["expr"], known) == [], rule["alert"]


def test_a_misspelt_metric_label_or_value_is_found(known: dict[str, Labels]) -> None:
    assert faults("lastcall_room > 0", known) == ["lastcall_room"]
    assert faults('lastcall_phase{phase="drained"}', known) == ['lastcall_phase{phase="drained"}']
    assert faults('lastcall_rooms{kind="lounge"}', known) == ['lastcall_rooms{kind="lounge"}']
    assert faults('rate(lastcall_refusals_total{code=~"full|other"}[5m])', known) == []


def test_the_labels_that_are_joined_are_those_of_every_target_and_of_the_build(
    known: dict[str, Labels],
) -> None:
    assert known["lastcall_build_info"].keys() == {*TARGET, *BUILD_LABELS}


def test_prometheus_accepts_the_configuration(deploy: Path, tmp_path: Path) -> None:
    """Debian's promtool is built without the discovery of pods, which the first job uses."""
    config = yaml.safe_load((deploy / "prometheus" / "prometheus.yml").read_text())
    [job] = config["scrape_configs"]
    assert job.pop("kubernetes_sd_configs") == [{"role": "pod"}]
    job["static_configs"] = [{"targets": ["10.0.0.5:9001"]}]
    config["rule_files"] = [str(deploy / "prometheus" / name) for name in config["rule_files"]]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    promtool("check", "config", str(tmp_path / "prometheus.yml"))
    assert job["job_name"] == "lastcall"


def test_the_pods_are_found_by_their_labels_and_the_name_of_their_admin_port(deploy: Path) -> None:
    monitor = documents(deploy / "prometheus" / "pod-monitor.yaml")[0]["spec"]
    [job] = yaml.safe_load((deploy / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    app, port = (rule["regex"] for rule in job["relabel_configs"] if rule.get("action") == "keep")
    assert monitor["selector"]["matchLabels"] == {"app.kubernetes.io/name": app}
    [endpoint] = monitor["podMetricsEndpoints"]
    assert endpoint["port"] == port
    for tier in ("api", "game"):
        pods = documents(deploy / "kubernetes" / f"{tier}.yaml")[0]
        labels = pods["spec"]["template"]["metadata"]["labels"]
        assert labels[monitor["jobLabel"]] == app == "lastcall"
        assert port in {one["name"] for one in container_of(pods)["ports"]}

"""The dashboard is what its script makes, and each expression is one that Prometheus can answer."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml

from lastcall.core.lifecycle import Phase
from lastcall.runtime.admin.metrics import FAMILIES
from tests.deploy.exported import exported, faults, selectors, series_of
from tests.promtool import promtool

VARIABLES = {"$namespace": ".*", "$job": ".*", "$__rate_interval": "5m"}
WIDTH = 24


@pytest.fixture
def dashboard(deploy: Path) -> dict[str, Any]:
    return dict(json.loads((deploy / "grafana" / "lastcall.json").read_text()))


@pytest.fixture
def expressions(dashboard: dict[str, Any]) -> list[str]:
    targets = [one for panel in dashboard["panels"] for one in panel.get("targets", [])]
    return [one["expr"] for one in targets + dashboard["annotations"]["list"]]


def test_the_file_is_what_the_script_makes(deploy: Path) -> None:
    script = runpy.run_path(str(deploy / "grafana" / "dashboard.py"))
    text = (deploy / "grafana" / "lastcall.json").read_text()
    assert script["text"]() == text, "run python deploy/grafana/dashboard.py"


@pytest.fixture
def rules(expressions: list[str], tmp_path: Path) -> Path:
    """A file of rules, of which each records an expression as ``panel:NUMBER``."""
    rules = []
    for number, expression in enumerate(expressions):
        for variable, value in VARIABLES.items():
            expression = expression.replace(variable, value)  # noqa: PLW2901
        assert "$" not in expression
        rules.append({"record": f"panel:{number}", "expr": expression})
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    return file


def test_promtool_can_parse_every_expression(rules: Path, expressions: list[str]) -> None:
    assert f"{len(expressions)} rules found" in promtool("check", "rules", str(rules))


def test_every_expression_finds_something_of_nodes_of_both_tiers_that_drain(
    rules: Path, expressions: list[str], tmp_path: Path
) -> None:
    """Joins that fit the wrong number of series fail only when they are evaluated."""
    found = [
        {"labels": f'{{__name__="panel:{number}"}}', "value": 1}
        for number in range(len(expressions))
    ]
    case = {
        "expr": 'group by (__name__) ({__name__=~"panel:.+"})',
        "eval_time": "9m",
        "exp_samples": found,
    }
    nodes = [one for tier in ("api", "game") for one in series_of(tier, Phase.DRAINING)]
    test = {"interval": "1m", "input_series": nodes, "promql_expr_test": [case]}
    tests = {"rule_files": [rules.name], "evaluation_interval": "1m", "tests": [test]}
    file = tmp_path / "rules_test.yml"
    file.write_text(yaml.safe_dump(tests))
    promtool("test", "rules", str(file))


def test_every_expression_asks_only_for_what_nodes_export(expressions: list[str]) -> None:
    known = exported()
    for expression in expressions:
        assert faults(expression, known) == [], expression


def test_every_expression_keeps_to_the_namespace_and_the_job_that_are_chosen(
    expressions: list[str],
) -> None:
    for expression in expressions:
        for _, matchers in selectors(expression):
            assert {"namespace", "job"} <= matchers.keys(), expression


def test_every_metric_has_a_panel(expressions: list[str]) -> None:
    shown = {metric for expression in expressions for metric, _ in selectors(expression)}
    for family in FAMILIES:
        suffix = {"counter": "_total", "histogram": "_bucket", "gauge": ""}[family.type]
        assert family.name + suffix in shown


def test_the_variables_are_the_data_source_the_namespace_and_the_job(
    dashboard: dict[str, Any],
) -> None:
    variables = dashboard["templating"]["list"]
    assert [one["name"] for one in variables] == ["datasource", "namespace", "job"]
    for panel in dashboard["panels"]:
        if "targets" in panel:
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_no_panel_covers_another(dashboard: dict[str, Any]) -> None:
    taken: dict[tuple[int, int], str] = {}
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= WIDTH
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in taken, (panel["title"], taken[x, y])
                taken[x, y] = panel["title"]

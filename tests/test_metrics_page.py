"""docs/metrics.md lists the metrics that nodes export, and no others."""

from __future__ import annotations

import re

from lastcall.reasons import ClientEnd
from lastcall.runtime.admin.metrics import BUILD_INFO, BUILD_LABELS, FAMILIES
from tests.test_docs import ROOT, code, table


def test_the_table_has_every_metric_with_its_type_and_its_labels() -> None:
    rows = table("metrics.md", "| metric | type | label |")
    documented = [(code(row[0]), row[1], row[2]) for row in rows]
    exported = [
        (
            family.name + ("_total" if family.type == "counter" else ""),
            family.type,
            f"`{family.label}`" if family.label else "",
        )
        for family in FAMILIES
    ]
    labels = ", ".join(f"`{label}`" for label in BUILD_LABELS)
    assert documented == [*exported, (BUILD_INFO, "gauge", labels)]
    assert all(row[3] for row in rows)


def test_every_metric_that_a_page_names_is_exported() -> None:
    suffixes = {"gauge": [""], "counter": ["_total"], "histogram": ["", "_bucket", "_count"]}
    known = {BUILD_INFO} | {one.name + end for one in FAMILIES for end in suffixes[one.type]}
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        named = set(re.findall(r"\blastcall_[a-z_]*[a-z]\b", page.read_text(encoding="utf-8")))
        assert named <= known, page


def test_the_table_of_ends_has_every_cause() -> None:
    assert [code(row[0]) for row in table("metrics.md", "| cause |")] == list(ClientEnd)

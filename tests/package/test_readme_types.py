"""The room in the README passes the strict type check unchanged."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.package.environment import ROOT, run
from tests.test_readme import block

pytestmark = pytest.mark.e2e


def test_the_room_in_the_readme_passes_the_strict_type_check(tmp_path: Path) -> None:
    (tmp_path / "dice.py").write_text(block("python", "@room("), encoding="utf-8")
    mypy = (sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "dice.py")
    assert "no issues found" in run(*mypy, cwd=tmp_path, env={"MYPYPATH": str(ROOT)})

"""In a checkout, where links lead to the same files by two ways, each module has one name."""

from __future__ import annotations

import ast
import json
import subprocess
import sys

import pytest

from tests.package.environment import ROOT, clean_environment, run

pytestmark = pytest.mark.e2e

WALK = (ROOT / "tests" / "package" / "walk.py").read_text(encoding="utf-8")
FOLDERS = ("api", "game", "bench")
HOLDERS = (
    *(ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda),
    *(ast.Assign, ast.AnnAssign, ast.AugAssign, ast.NamedExpr),
)


def test_no_module_is_loaded_under_two_names_but_the_tops_of_the_three_folders() -> None:
    twice = json.loads(run(sys.executable, "-c", WALK, *FOLDERS, "lastcall", cwd=ROOT))
    assert twice == {f"{name}/__init__.py": [name, f"lastcall.{name}"] for name in FOLDERS}


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_top_of_a_folder_holds_nothing_that_two_names_could_make_twice(folder: str) -> None:
    tree = ast.parse((ROOT / folder / "__init__.py").read_text(encoding="utf-8"))
    assert [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, HOLDERS)] == []


def test_the_folder_rooms_is_no_package_and_says_what_to_import() -> None:
    for name in ("rooms", "rooms.author"):
        done = subprocess.run(
            [sys.executable, "-c", f"import {name}"],
            cwd=ROOT,
            env=clean_environment(),
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        said = done.stderr.splitlines()[-1]
        assert said.startswith("ImportError: ")
        assert "is the package lastcall: import that" in said

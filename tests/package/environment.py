"""The files of a release, and virtual environments in which to install them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_SECONDS = 120


class Built(NamedTuple):
    """The sdist and the wheel of a release, and a wheel that was built from the sdist."""

    sdist: Path
    wheel: Path
    wheel_of_sdist: Path

    @property
    def version(self) -> str:
        """The version in the wheel's file name."""
        return self.wheel.name.split("-")[1]


def run(*command: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """Runs a command and returns its output; if it fails, the test fails with that output."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**clean_environment(), **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def clean_environment() -> dict[str, str]:
    """The environment without variables that lead to this checkout, its venv or other options."""
    return {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("LASTCALL_", "PYTHON", "PYTEST_", "VIRTUAL_ENV", "MYPY"))
    }


class Environment:
    """A new virtual environment in ``folder``, without pip: the caller's pip installs into it."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, clear=True, symlinks=True)
        self.folder = folder
        self.scripts = folder / "bin"
        self.python = self.scripts / "python"

    def install(self, *requirements: str | Path) -> None:
        self._pip("install", "--no-compile", *requirements)

    def uninstall(self, name: str) -> None:
        self._pip("uninstall", "--yes", name)

    def _pip(self, *arguments: str | Path) -> None:
        pip = (sys.executable, "-m", "pip", "--python", self.python, "--quiet")
        run(*pip, *arguments, cwd=self.folder)

    def files(self) -> dict[Path, str]:
        """Returns the hash of each file in the environment, by its path."""
        return {
            path.relative_to(self.folder): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.folder.rglob("*")
            if path.is_file() and not path.is_relative_to(self.folder / "lib64")
        }

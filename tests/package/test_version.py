"""Whoever asks the installed package for its version hears the wheel's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.package.environment import Built, Environment, run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

COMMANDS = {
    "the console script": ("bin/lastcall", "--version"),
    "the module": ("bin/python", "-m", "lastcall", "--version"),
    "the attribute": ("bin/python", "-c", "import lastcall; print(lastcall.__version__)"),
}


@pytest.mark.parametrize("asked", COMMANDS)
def test_the_version_is_the_wheels(
    asked: str, built: Built, installed: Environment, tmp_path: Path
) -> None:
    program, *arguments = COMMANDS[asked]
    said = run(installed.folder / program, *arguments, cwd=tmp_path)
    assert said.split()[-1] == built.version

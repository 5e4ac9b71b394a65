"""The installed package reports the version of the wheel."""

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


@pytest.mark.parametrize("command", COMMANDS)
def test_the_reported_version_is_that_of_the_wheel(
    command: str, built: Built, installed: Environment, tmp_path: Path
) -> None:
    program, *arguments = COMMANDS[command]
    output = run(installed.folder / program, *arguments, cwd=tmp_path)
    assert output.split()[-1] == built.version

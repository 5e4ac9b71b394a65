"""The command line: what is wrong with it is one line and exit code 2."""

from __future__ import annotations

import pytest

from rooms.cli import cli
from rooms.runtime.command import run_command


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["up", "--port", "70000"], "--port"),
        (["up", "--apis", "0"], "--apis"),
        (["up", "--admin", "9000"], "HOST:PORT"),
        (["up", "--seconds", "0"], "--seconds"),
        (["up", "--grace", "1"], "--grace"),
        (["up", "--bot", "3"], "--bot"),
        (["sideways"], "sideways"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments, word, capsys):
    with pytest.raises(SystemExit) as exit_:
        run_command(cli, arguments)
    said = capsys.readouterr()
    assert exit_.value.code == 2
    assert said.err.startswith("Error: ")
    assert said.err.count("\n") == 1
    assert word in said.err


def test_the_help_tells_the_exit_codes(capsys):
    with pytest.raises(SystemExit) as exit_:
        run_command(cli, ["up", "--help"])
    assert exit_.value.code == 0
    assert "Exit code 0" in capsys.readouterr().out

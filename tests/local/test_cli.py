"""The command line: usage errors, help, environment variables and files."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import click
import pytest

from lastcall.api.command import command as api
from lastcall.cli import cli
from lastcall.game.command import command as game
from lastcall.limits import Limits
from lastcall.runtime.command import run_command
from lastcall.serve.command import command as node

COMMANDS = sorted(cli.commands.keys() - {"serve"})
"""Those without ``serve``, which only passes its arguments on to the command of a node."""


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
def test_wrong_usage_prints_one_line_and_exits_with_2(arguments, word, capsys):
    with pytest.raises(SystemExit) as exit_:
        run_command(cli, arguments)
    printed = capsys.readouterr()
    assert exit_.value.code == 2
    assert printed.err.startswith("Error: ")
    assert printed.err.count("\n") == 1
    assert word in printed.err


@click.command()
@click.option("--in-a-nursery", is_flag=True)
def interrupted(in_a_nursery):
    if in_a_nursery:
        raise BaseExceptionGroup("", [KeyboardInterrupt()])
    raise KeyboardInterrupt


@pytest.mark.parametrize("arguments", [[], ["--in-a-nursery"]])
def test_ctrl_c_prints_one_line_and_exits_with_130(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        run_command(interrupted, arguments)
    assert exit_.value.code == 130
    assert capsys.readouterr().err.split() == ["Interrupted."]


def test_the_list_of_commands_shows_whole_sentences(capsys):
    with pytest.raises(SystemExit):
        run_command(cli, ["--help"])
    assert "..." not in capsys.readouterr().out.partition("Commands:")[2]


def test_without_a_command_the_help_is_shown_as_it_is(capsys):
    with pytest.raises(SystemExit) as exited:
        run_command(cli, [])
    out, err = capsys.readouterr()
    assert (exited.value.code, err) == (2, "")
    assert out.startswith("Usage: ")
    assert "\n  up " in out


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_lists_its_exit_codes(name, capsys):
    with pytest.raises(SystemExit):
        run_command(cli, [name, "--help"])
    printed = capsys.readouterr().out
    for code in ("Exit code 0:", "1:", "2:", "130:"):
        assert code in printed


def test_serve_has_the_help_of_a_node():
    """In a process of its own, since its signal handlers would stay here."""
    printed = subprocess.check_output(
        [sys.executable, "-m", "lastcall", "serve", "--help"], text=True
    )
    assert printed.startswith("Usage: lastcall serve [OPTIONS]")
    assert "3: something was" in " ".join(printed.split())


def test_the_help_of_up_lists_the_exit_codes(capsys):
    with pytest.raises(SystemExit) as exit_:
        run_command(cli, ["up", "--help"])
    assert exit_.value.code == 0
    assert "Exit code 0" in capsys.readouterr().out


def environment_of(command: click.Command) -> dict[str, Any]:
    """The environment variable of each option."""
    options = [option for option in command.params if isinstance(option, click.Option)]
    return {option.opts[0]: option.envvar for option in options}


PROGRAMS = {command.name: command for command in (api, game, node)} | {
    f"lastcall {name}": cli.commands[name] for name in COMMANDS
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_option_has_an_environment_variable_and_every_command_reads_a_file(name):
    variables = environment_of(PROGRAMS[name])
    for option, variable in variables.items():
        assert variable == "LASTCALL_" + option[2:].replace("-", "_").upper()
    assert "--config" in variables


def usage_error(capsys, *arguments):
    with pytest.raises(SystemExit) as exit_:
        run_command(cli, arguments)
    assert exit_.value.code == 2
    return capsys.readouterr().err


def test_the_keys_of_a_file_are_the_names_of_the_options(tmp_path, capsys):
    file = tmp_path / "lastcall.toml"
    file.write_text('json = "perhaps"')
    assert "'--json': 'perhaps'" in usage_error(capsys, "status", "--config", str(file))
    file.write_text("as_json = true")
    line = usage_error(capsys, "status", "--config", str(file))
    assert "no program has an option 'as-json'; did you mean 'json'?" in line


def test_several_values_are_a_list_in_a_file_and_separated_by_commas_in_the_environment(
    tmp_path, monkeypatch, capsys
):
    file = tmp_path / "lastcall.toml"
    file.write_text('admin = ["127.0.0.1:1", "there"]')
    assert "'there' is not an address" in usage_error(capsys, "cordon", "--config", str(file))
    monkeypatch.setenv("LASTCALL_ADMIN", "127.0.0.1:1, here")
    assert "'here' is not an address" in usage_error(capsys, "cordon")


@pytest.fixture
def ups(monkeypatch):
    """The plan and the settings of each ``lastcall up``; nothing is started."""
    started = []

    class NeverStarted:
        def __init__(self, plan, **settings):
            started.append((plan, settings))

        async def run(self, _signals):
            return 0

    monkeypatch.setattr("lastcall.local.up.Up", NeverStarted)
    return started


@pytest.mark.parametrize(
    ("arguments", "bots"),
    [
        ([], 50),
        (["--rooms", "mine.rooms"], 0),
        (["--rooms", "mine.rooms,lastcall.game.examples"], 50),
        (["--rooms", "mine.rooms", "--bots", "3"], 3),
        (["--auth", "mine:who"], 0),
        (["--bots", "0"], 0),
    ],
)
def test_up_starts_bots_where_their_game_is(arguments, bots, ups):
    with pytest.raises(SystemExit) as exit_:
        run_command(cli, ["up", *arguments])
    assert exit_.value.code == 0
    assert ups[0][1]["bots"] == bots


def test_the_table_limits_of_the_file_of_up_reaches_its_plan(tmp_path, ups):
    file = tmp_path / "lastcall.toml"
    file.write_text("apis = 3\n[limits]\nsockets = 9\n")
    with pytest.raises(SystemExit) as exit_:
        run_command(cli, ["up", "--config", str(file)])
    assert exit_.value.code == 0
    plan, _ = ups[0]
    assert (plan.limits, plan.apis) == (Limits(sockets=9), 3)


def test_a_wrong_limit_in_the_file_of_up_is_refused_before_anything_starts(tmp_path, capsys):
    file = tmp_path / "lastcall.toml"
    file.write_text("[limits]\nsocket = 9")
    assert "no limit 'socket'; did you mean 'sockets'?" in usage_error(
        capsys, "up", "--config", str(file)
    )

"""The words that a shell gets after TAB, and ``--version``."""

from __future__ import annotations

from importlib import metadata

import click
import pytest
from click.shell_completion import ShellComplete, get_completion_class

from lastcall.api.command import command as api
from lastcall.cli import cli
from lastcall.game.command import command as game
from lastcall.runtime.command import run_command
from lastcall.serve.command import command as serve

PROGRAMS = {"lastcall": cli, "lastcall-api": api, "lastcall-game": game}


def offered(program, *words):
    """The words that a shell shows for the last one, which is not complete."""
    *before, incomplete = words
    complete = ShellComplete(PROGRAMS[program], {}, program, "_COMPLETE")
    return [item.value for item in complete.get_completions(before, incomplete)]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_script_comes_out_for_each_shell(program, shell, monkeypatch, capsys):
    if shell == "bash":  # its version is not asked here
        monkeypatch.setattr(
            get_completion_class("bash"), "_check_version", staticmethod(lambda: None)
        )
    variable = f"_{program.replace('-', '_').upper()}_COMPLETE"
    monkeypatch.setenv(variable, f"{shell}_source")
    with pytest.raises(SystemExit) as exit_:
        run_command(PROGRAMS[program], [], name=program)
    assert exit_.value.code == 0
    script = capsys.readouterr().out
    assert f"{variable}={shell}_complete" in script
    assert f"{program}" in script


def test_commands_options_and_choices_are_offered():
    assert offered("lastcall", "ro") == ["roll"]
    assert offered("lastcall", "roll", "--ti") == ["--tier"]
    assert offered("lastcall", "roll", "--tier", "") == ["game", "api", "all"]
    assert offered("lastcall-api", "--clients", "m") == ["move"]
    assert offered("lastcall", "serve", "--game") == ["--games", "--game-feed"]


def test_modules_of_the_current_folder_are_offered_as_rooms(tmp_path, monkeypatch):
    (tmp_path / "shop").mkdir()
    for file in ("chess.py", "shop/__init__.py", "shop/rooms.py"):
        (tmp_path / file).write_text("")
    monkeypatch.chdir(tmp_path)
    for program in (("lastcall-game",), ("lastcall", "up"), ("lastcall", "serve")):
        assert offered(*program, "--rooms", "") == ["lastcall.game.examples", "chess", "shop"]
        assert offered(*program, "--rooms", "chess,shop.r") == ["chess,shop.rooms"]


def test_nothing_is_offered_for_nodes_without_a_cluster(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert offered("lastcall", "drain", "game") == []


@pytest.mark.parametrize("command", [api, game, serve], ids=lambda command: command.name)
def test_version_alone_prints_the_program_s_and_needs_no_other_option(command, capsys, monkeypatch):
    monkeypatch.delenv("LASTCALL_GAMES", raising=False)
    with pytest.raises(SystemExit) as exit_:
        run_command(command, ["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"{command.name} {metadata.version('lastcall')}\n"


def test_the_help_says_what_version_does_without_a_value():
    (option,) = (param for param in api.params if param.name == "version")
    assert isinstance(option, click.Option)
    assert option.to_info_dict()["help"].endswith("prints the program's, and ends.")

"""Variables of the environment that no program reads."""

from __future__ import annotations

from collections import defaultdict

import click
import pytest
from structlog.testing import capture_logs

from lastcall.api.command import command as api
from lastcall.cli import cli
from lastcall.game.command import command as game
from lastcall.runtime import process, variables
from lastcall.runtime.command import run_command
from lastcall.runtime.programs import ALL_OPTIONS, OPTIONS_OF
from lastcall.runtime.variables import not_named_yet, unknown_variables
from lastcall.serve.command import command as serve

COMMANDS = {**cli.commands, "api": api, "game": game, "serve": serve}

READ_ALIKE = {"MODULES": "text", "V": "text"}
"""Types of values that are read by other words, and mean the same."""


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch):
    monkeypatch.setattr(variables, "_named", set())


def test_the_list_of_all_programs_has_the_options_of_the_commands():
    options = {
        name: {param.opts[0][2:] for param in command.params if isinstance(param, click.Option)}
        for name, command in COMMANDS.items()
    }
    assert {name: sorted(had - {"config"}) for name, had in options.items()} == {
        name: sorted(listed) for name, listed in OPTIONS_OF.items()
    }


def test_a_name_means_the_same_to_all_programs_but_for_those_that_the_documentation_names():
    """The programs share one environment, and the keys above the tables of one file."""
    meanings = defaultdict(set)
    for command in COMMANDS.values():
        for param in command.params:
            if isinstance(param, click.Option):
                named = READ_ALIKE.get(param.type.name, param.type.name)
                meanings[param.opts[0][2:]].add((named, param.multiple))
    differing = {name for name, all_of_it in meanings.items() if len(all_of_it) > 1}
    assert differing == {"admin", "apis", "games", "listen"}


def test_a_variable_of_any_program_is_known_and_a_misspelt_one_is_named_with_the_nearest():
    known = {f"LASTCALL_{option.replace('-', '_').upper()}": "1" for option in ALL_OPTIONS}
    known |= dict.fromkeys(("LASTCALL_CONFIG", "LASTCALL_PUMP", "LASTCALL_LIFELINE", "PATH"), "1")
    wrong = {"LASTCALL_GRCAE": "60", "LASTCALL_ROMS": "mine", "LASTCALL_XYZZY": "1"}
    assert unknown_variables(known | wrong) == {
        "LASTCALL_GRCAE": "LASTCALL_GRACE",
        "LASTCALL_ROMS": "LASTCALL_ROOMS",
        "LASTCALL_XYZZY": "",
    }


def test_what_kubernetes_sets_for_services_is_not_named():
    of_services = {
        "LASTCALL_SERVICE_HOST": "10.96.0.7",
        "LASTCALL_GAME_SERVICE_HOST": "10.96.0.8",
        "LASTCALL_GAME_SERVICE_PORT": "7101",
        "LASTCALL_GAME_SERVICE_PORT_LINKS": "7101",
        "LASTCALL_API_PORT": "tcp://10.96.0.9:8080",
        "LASTCALL_API_PORT_8080_TCP": "tcp://10.96.0.9:8080",
        "LASTCALL_API_PORT_8080_TCP_PROTO": "tcp",
        "LASTCALL_API_PORT_8080_TCP_PORT": "8080",
        "LASTCALL_API_PORT_8080_TCP_ADDR": "10.96.0.9",
        "LASTCALL_DNS_PORT_53_UDP": "udp://10.96.0.9:53",
    }
    assert unknown_variables(of_services) == {}
    assert unknown_variables({"LASTCALL_API_PORT": "8080"}) != {}


def test_each_is_named_once():
    assert not_named_yet({"LASTCALL_GRCAE": "60"}) == {"LASTCALL_GRCAE": "LASTCALL_GRACE"}
    assert not_named_yet({"LASTCALL_GRCAE": "60"}) == {}


def test_a_node_names_it_in_its_log(monkeypatch):
    monkeypatch.setenv("LASTCALL_GRCAE", "60")
    with capture_logs() as events:
        process._warn_of_variables()
    (event,) = [one for one in events if one["variable"] == "LASTCALL_GRCAE"]
    assert (event["event"], event["nearest"]) == ("node.unknown_variable", "LASTCALL_GRACE")


@pytest.mark.parametrize("command", [cli, api], ids=["lastcall", "lastcall-api"])
def test_a_command_that_is_refused_names_it_before_its_error(command, capsys, monkeypatch):
    monkeypatch.delenv("LASTCALL_GAMES", raising=False)
    monkeypatch.setenv("LASTCALL_GAMS", "tcp://10.0.0.1:7101")
    with pytest.raises(SystemExit):
        run_command(command, ["status", "--port", "x"] if command is cli else [])
    warning, error = capsys.readouterr().err.splitlines()
    assert warning == ("Warning: no program reads LASTCALL_GAMS; did you mean LASTCALL_GAMES?")
    assert error.startswith("Error: ")

"""The options of ``lastcall serve`` that do not fit together."""

from __future__ import annotations

import click
import pytest

from lastcall.runtime.command import run_command
from lastcall.serve.options import ServeOptions, serve_options

LINKED = ("--links", "tcp://10.0.0.7:7101", "--games", "tcp://10.0.0.8:7101")
FEED, GAME_FEED = ("--feed", "tcp://10.0.0.7:7001"), ("--game-feed", "tcp://10.0.0.7:7002")


@click.command()
@serve_options
def command(serve: ServeOptions) -> None:
    raise AssertionError(serve)


def error(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as exit_:
        run_command(command, arguments)
    assert exit_.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--games", "tcp://10.0.0.8:7101"), "give --links, too"),
        ((*LINKED, *GAME_FEED), "such as --feed tcp://10.0.0.7:7001"),
        ((*LINKED, *FEED), "such as --game-feed tcp://10.0.0.7:7001"),
        ((*LINKED, *FEED, "--game-feed", "tcp://0.0.0.0:7002"), "--game-feed tcp://0.0.0.0:7002"),
        ((*LINKED, *GAME_FEED, "--feed", "tcp://[::]:7001"), "--feed tcp://[::]:7001 binds"),
    ],
)
def test_an_address_that_others_cannot_reach_is_refused_and_the_error_names_another(
    arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert says in error(capsys, *arguments)

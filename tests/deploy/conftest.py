"""Reads the settings in the deployment files with the programs' own options."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click
import pytest

from lastcall.api.options import ApiOptions, api_options
from lastcall.game.options import GameOptions, game_options
from lastcall.policy import DrainPolicy
from lastcall.runtime.options import NodeOptions, drain_options, node_options


class NodeSettings:
    """The settings of one node; it has ``api`` or ``game``, depending on its tier."""

    node: NodeOptions
    drain: DrainPolicy
    api: ApiOptions
    game: GameOptions


ParseSettings = Callable[[str, Sequence[str], Mapping[str, str]], NodeSettings]


@pytest.fixture
def deploy() -> Path:
    """The folder deploy/."""
    return Path(__file__).resolve().parents[2] / "deploy"


@pytest.fixture
def parse_settings(monkeypatch: pytest.MonkeyPatch) -> ParseSettings:
    """Parses arguments and environment like the tier's program; a bad value fails the test."""

    def parse(tier: str, args: Sequence[str], environment: Mapping[str, str]) -> NodeSettings:
        for name in [name for name in os.environ if name.startswith("LASTCALL_")]:
            monkeypatch.delenv(name)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        settings = NodeSettings()
        _command(tier, settings).main(list(args), standalone_mode=False)
        return settings

    return parse


def _command(tier: str, settings: NodeSettings) -> click.Command:
    @click.command("api")
    @node_options("api")
    @drain_options
    @api_options
    def api(node: NodeOptions, drain: DrainPolicy, api: ApiOptions) -> None:
        settings.node, settings.drain, settings.api = node, drain, api

    @click.command("game")
    @node_options("game")
    @drain_options
    @game_options
    def game(node: NodeOptions, drain: DrainPolicy, game: GameOptions) -> None:
        settings.node, settings.drain, settings.game = node, drain, game

    return {"api": api, "game": game}[tier]

"""What the deployment's files tell the programs, as the programs' own options read it."""

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


class Told:
    """The settings of one node; ``api`` or ``game`` is there, by its tier."""

    node: NodeOptions
    drain: DrainPolicy
    api: ApiOptions
    game: GameOptions


Tell = Callable[[str, Sequence[str], Mapping[str, str]], Told]


@pytest.fixture
def deploy() -> Path:
    """The folder."""
    return Path(__file__).resolve().parents[2] / "deploy"


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch) -> Tell:
    """Reads a tier's arguments and environment as the tier does; a bad one fails the test."""

    def read(tier: str, args: Sequence[str], environment: Mapping[str, str]) -> Told:
        for name in [name for name in os.environ if name.startswith("LASTCALL_")]:
            monkeypatch.delenv(name)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        told = Told()
        _command(tier, told).main(list(args), standalone_mode=False)
        return told

    return read


def _command(tier: str, told: Told) -> click.Command:
    @click.command("api")
    @node_options("api")
    @drain_options
    @api_options
    def api(node: NodeOptions, drain: DrainPolicy, api: ApiOptions) -> None:
        told.node, told.drain, told.api = node, drain, api

    @click.command("game")
    @node_options("game")
    @drain_options
    @game_options
    def game(node: NodeOptions, drain: DrainPolicy, game: GameOptions) -> None:
        told.node, told.drain, told.game = node, drain, game

    return {"api": api, "game": game}[tier]

"""Reads the settings in the deployment files with the programs' own options."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click
import pytest
import trustme

from lastcall.api.options import ApiOptions, api_options
from lastcall.game.options import GameOptions, game_options
from lastcall.policy import DrainPolicy
from lastcall.runtime.auth_options import AuthOptions, auth_options
from lastcall.runtime.cluster_options import ClusterOptions, cluster_options
from lastcall.runtime.options import NodeOptions, drain_options, node_options


class NodeSettings:
    """The settings of one node; it has ``api`` or ``game``, depending on its tier."""

    node: NodeOptions
    drain: DrainPolicy
    cluster: ClusterOptions
    auth: AuthOptions
    api: ApiOptions
    game: GameOptions


DEPLOY = Path(__file__).resolve().parents[2] / "deploy"

ParseSettings = Callable[[str, Sequence[str], Mapping[str, str]], NodeSettings]


@pytest.fixture
def deploy() -> Path:
    """The folder deploy/."""
    return DEPLOY


@pytest.fixture(scope="session")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that stands for /run/lastcall in a pod, with what is mounted there."""
    folder = tmp_path_factory.mktemp("lastcall")
    (folder / "tls").mkdir()
    ca = trustme.CA()
    cert = ca.issue_cert("lastcall")
    ca.cert_pem.write_to_path(folder / "tls" / "ca.pem")
    cert.cert_chain_pems[0].write_to_path(folder / "tls" / "cert.pem")
    cert.private_key_pem.write_to_path(folder / "tls" / "key.pem")
    (folder / "secret").write_text("0123456789abcdef0123456789abcdef")
    (folder / "admin-token").write_text("0123456789abcdef")
    (folder / "jwt-keys").write_text("0123456789abcdef0123456789abcdef")
    shutil.copy(DEPLOY / "kubernetes" / "lastcall.toml", folder)
    return folder


@pytest.fixture
def parse_settings(monkeypatch: pytest.MonkeyPatch, mounted: Path) -> ParseSettings:
    """Parses arguments and environment like the tier's program; a bad value fails the test."""

    def parse(tier: str, args: Sequence[str], environment: Mapping[str, str]) -> NodeSettings:
        for name in [name for name in os.environ if name.startswith("LASTCALL_")]:
            monkeypatch.delenv(name)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        settings = NodeSettings()
        found = [arg.replace("/run/lastcall", str(mounted)) for arg in args]
        _command(tier, settings).main(found, standalone_mode=False)
        return settings

    return parse


def _command(tier: str, settings: NodeSettings) -> click.Command:
    @click.command("api")
    @node_options("api")
    @drain_options
    @cluster_options
    @api_options
    @auth_options
    def api(
        node: NodeOptions,
        drain: DrainPolicy,
        cluster: ClusterOptions,
        api: ApiOptions,
        auth: AuthOptions,
    ) -> None:
        settings.node, settings.drain, settings.api = node, drain, api
        settings.cluster, settings.auth = cluster, auth

    @click.command("game")
    @node_options("game")
    @drain_options
    @cluster_options
    @game_options
    def game(
        node: NodeOptions, drain: DrainPolicy, cluster: ClusterOptions, game: GameOptions
    ) -> None:
        settings.node, settings.drain, settings.game = node, drain, game
        settings.cluster = cluster

    return {"api": api, "game": game}[tier]

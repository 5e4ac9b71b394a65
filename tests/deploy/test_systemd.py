"""systemd and the programs accept the units, and the units allow enough time for a drain."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lastcall.runtime.address import InheritedSocket

Unit = dict[str, list[str]]

INSTALLED = "/opt/lastcall/bin"
MARGIN_SECONDS = 10
both_tiers = pytest.mark.parametrize("tier", ["api", "game"])


def unit(file: Path) -> Unit:
    """Returns the settings in ``file``, each with all of its values."""
    settings: Unit = defaultdict(list)
    for line in file.read_text().splitlines():
        key, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            settings[key].append(value)
    return settings


@pytest.fixture
def service(deploy: Path) -> Callable[[str], Unit]:
    return lambda tier: unit(deploy / "systemd" / f"lastcall-{tier}@.service")


@pytest.fixture
def read(service: Callable[[str], Unit], parse_settings: Any) -> Callable[[str], Any]:
    """Reads the settings of the first node of a tier."""

    def settings(tier: str) -> Any:
        lines = [
            line.replace("%i", "1").replace("%l", "host") for line in service(tier)["Environment"]
        ]
        program, *args = shlex.split(service(tier)["ExecStart"][0])
        assert program == f"{INSTALLED}/lastcall-{tier}"
        return parse_settings(tier, args, dict(line.split("=", 1) for line in lines))

    return settings


@both_tiers
def test_systemd_waits_longer_than_grace(
    tier: str, service: Callable[[str], Unit], read: Callable[[str], Any]
) -> None:
    [stop_seconds] = service(tier)["TimeoutStopSec"]
    assert int(stop_seconds) >= read(tier).drain.grace_seconds + MARGIN_SECONDS


@both_tiers
def test_only_the_node_gets_the_signal(tier: str, service: Callable[[str], Unit]) -> None:
    settings = service(tier)
    assert settings["KillMode"] == ["mixed"]
    assert settings["KillSignal"] == ["SIGTERM"]
    assert settings["Type"] == ["exec"]


@both_tiers
def test_systemd_does_not_restart_a_node_after_wrong_usage(
    tier: str, service: Callable[[str], Unit]
) -> None:
    assert service(tier)["Restart"] == ["on-failure"]
    assert service(tier)["RestartPreventExitStatus"] == ["2"]


def test_systemd_owns_the_client_port_so_it_outlives_the_node(
    deploy: Path, service: Callable[[str], Unit], read: Callable[[str], Any]
) -> None:
    assert service("api")["Sockets"] == ["lastcall-api.socket"]
    assert read("api").api.listen == (InheritedSocket(3),)
    assert len(unit(deploy / "systemd" / "lastcall-api.socket")["ListenStream"]) == 1


def test_an_api_node_moves_its_clients_instead_of_waiting_for_matches(
    read: Callable[[str], Any],
) -> None:
    assert read("api").api.clients == "move"


def test_nodes_of_both_tiers_find_the_game_nodes_of_their_machine(
    read: Callable[[str], Any],
) -> None:
    game = read("game").game
    assert game.listen in [source.address for source in game.games]
    assert read("api").api.games == game.games
    assert game.feed.port not in {game.listen.port, read("api").api.feed.port}


def test_systemd_analyze_reports_nothing(deploy: Path, tmp_path: Path) -> None:
    """Reads the output, because ``verify`` exits with 0 even after a complaint."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")
    here = str(Path(sys.executable).parent)
    for file in (deploy / "systemd").iterdir():
        copied = tmp_path / file.name.replace("@.", "@1.")
        copied.write_text(file.read_text().replace(INSTALLED, here))
    units = sorted(str(file) for file in tmp_path.iterdir())
    assert len(units) == 3
    verified = subprocess.run(
        [analyze, "verify", "--man=no", *units],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    complaints = [line for line in verified.stderr.splitlines() if "lastcall" in line]
    assert complaints == []

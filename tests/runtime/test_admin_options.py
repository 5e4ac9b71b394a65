"""The options of the admin port, as a node and a local cluster get them."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from lastcall.bus.address import HostPort
from lastcall.core.lifecycle import Event
from lastcall.ids import NodeName
from lastcall.local.plan import Plan
from lastcall.policy import DrainPolicy
from lastcall.runtime.command import run_command
from lastcall.runtime.drain import Drain
from lastcall.runtime.options import NodeOptions, node_options
from lastcall.runtime.process import NodeAdmin
from lastcall.runtime.signals import StopRequests


def parsed(*arguments: str) -> NodeOptions:
    received: list[NodeOptions] = []

    @click.command()
    @node_options("game")
    def command(node: NodeOptions) -> None:
        received.append(node)

    with pytest.raises(SystemExit):
        run_command(command, arguments)
    return received[0]


def test_further_hosts_are_none_or_comma_separated_or_a_list_in_the_file(tmp_path: Path) -> None:
    assert parsed().admin_hosts == ()
    assert parsed("--admin-hosts", "a.example, b").admin_hosts == ("a.example", "b")
    file = tmp_path / "game.toml"
    file.write_text('admin-hosts = ["a.example", "b"]\n')
    assert parsed("--config", str(file)).admin_hosts == ("a.example", "b")


def test_a_host_with_a_port_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(IndexError):
        parsed("--admin-hosts", "a.example:80")
    assert "--admin-hosts" in capsys.readouterr().err


def test_the_hosts_of_a_node_are_its_name_its_admin_address_and_what_it_advertises() -> None:
    drain = Drain(DrainPolicy(), end_process=lambda _code: None)
    drain._step(Event.READY)
    options = NodeOptions(
        NodeName("game-1"),
        HostPort("admin.internal", 9101),
        "json",
        "game.internal",
        "1",
        admin_hosts=("ops.example",),
    )
    admin = NodeAdmin(options, drain, object(), StopRequests())  # type: ignore[arg-type]
    for host in ("game-1", "admin.internal", "game.internal:9101", "ops.example"):
        assert admin.auth.host_refusal(host) is None
    assert admin.auth.host_refusal("other.example") is not None


def test_a_local_cluster_passes_its_token_file_to_every_node() -> None:
    plan = Plan(admin_token_file=Path("/run/token"))
    assert plan.node_arguments()[-2:] == ["--admin-token-file", "/run/token"]
    assert "--admin-token-file" not in Plan().node_arguments()

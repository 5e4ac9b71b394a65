"""``lastcall up --auth``: its api nodes ask who clients are, and no bots play."""

from __future__ import annotations

import pytest
import trio
from msgspec.structs import replace

from lastcall.cli import cli
from lastcall.local.cluster import open_cluster
from lastcall.runtime.auth_options import AuthOptions
from lastcall.runtime.command import run_command
from tests.local.test_cluster import PLAN, ready_event


async def test_api_nodes_get_the_options_and_game_nodes_do_not(fake_nodes, tmp_path):
    auth = AuthOptions("jwt", tmp_path / "key", ("ES256",), ("game",))
    plan = replace(PLAN, auth=auth)
    with trio.fail_after(20):
        async with open_cluster(plan, lambda _: None, start=fake_nodes()) as cluster:
            await cluster.wait_ready()
            api, game = (ready_event(cluster.children[number])["options"] for number in (0, 2))
            new = cluster.launch("api", "2")
            await new.became_ready.wait()
            newer = ready_event(new)["options"]
    assert {name: api[name] for name in api if "auth" in name or "jwt" in name} == {
        "--auth": "jwt",
        "--jwt-key-file": str(tmp_path / "key"),
        "--jwt-algorithms": "ES256",
        "--jwt-audience": "game",
    }
    assert {name: newer[name] for name in api if "jwt" in name} == {
        name: api[name] for name in api if "jwt" in name
    }, "those that a roll starts get them, too"
    assert not [name for name in game if "auth" in name or "jwt" in name]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--auth", "jwt"], "--auth jwt needs --jwt-key-file FILE"),
        (["--auth", "mine:auth", "--bots", "3"], "--bots have no tokens"),
        (["--jwt-algorithms", "none"], "'none' is not one of RS256"),
        (["--jwt-leeway", "-1"], "--jwt-leeway is -1"),
    ],
)
def test_options_that_cannot_be_right_are_one_line(arguments, says, capsys):
    with pytest.raises(SystemExit) as exit_:
        run_command(cli, ["up", *arguments])
    printed = capsys.readouterr().err
    assert exit_.value.code == 2
    assert says in printed
    assert printed.count("\n") == 1

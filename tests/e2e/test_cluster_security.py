"""Real nodes with a secret and with mutual TLS; and strangers at their ports."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trustme

from lastcall.client import connect
from tests.e2e.nodes import Node, Nodes, wait_until
from tests.e2e.test_usage import API, GAME, assert_usage_error

pytestmark = pytest.mark.e2e


def certificates(folder: Path, ca: trustme.CA, *names: str) -> Path:
    folder.mkdir()
    cert = ca.issue_cert(*names)
    ca.cert_pem.write_to_path(folder / "ca.pem")
    cert.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "cert.pem").write_bytes(b"".join(one.bytes() for one in cert.cert_chain_pems))
    return folder


async def play(api: Node) -> None:
    """A client joins, says something, and hears it."""
    with trio.fail_after(20):
        async with connect(f"ws://{api.listen}/", kind="lounge") as place:
            await place.say("hello")
            async for message in place:
                assert message.data["said"] == "hello"
                break


async def test_a_cluster_with_tls_and_a_secret_plays_and_refuses_others(nodes: Nodes) -> None:
    ca, other = trustme.CA(), trustme.CA()
    tls = certificates(nodes.folder / "tls", ca, "lastcall")
    strange = certificates(nodes.folder / "strange", other, "lastcall")
    secret, wrong = nodes.folder / "secret", nodes.folder / "wrong"
    secret.write_text("a secret of the cluster\n")
    wrong.write_text("the secret of another one\n")
    name = ("--cluster-tls-name", "lastcall")
    good = ("--cluster-tls", str(tls), *name, "--cluster-secret-file", str(secret))
    api, game = await nodes.start_pair(*good, game_options=good)
    await play(api)

    def start(*options: str) -> Node:
        return nodes.api(game.listen, *options)

    without, plain = start("--cluster-tls", str(tls), *name), start()
    guessing = start("--cluster-tls", str(tls), *name, "--cluster-secret-file", str(wrong))
    foreign = start("--cluster-tls", str(strange), *name, "--cluster-secret-file", str(secret))
    misnamed = start("--cluster-tls", str(tls), "--cluster-secret-file", str(secret))
    reasons = {
        without: "give --cluster-secret-file",
        guessing: "the secrets of --cluster-secret-file differ",
        foreign: "TLS fails",
        misnamed: "TLS fails",
        plain: "only one side has --cluster-tls",
    }
    for node, why in reasons.items():
        await wait_until(lambda node=node: node.event("link.refused"), within=20)
        assert why in node.warnings[0]["why"]
        answer = await node.get("/readyz")
        assert (answer.status, why in answer.body) == (503, True)
    await wait_until(lambda: game.event("links.tls_refused"), within=20)
    assert {event["level"] for event in game.warnings} == {"warning"}
    assert (await game.status())["rooms"] == 0
    await play(api)


async def test_wrong_files_stop_the_start_with_one_line(nodes: Nodes) -> None:
    tls = certificates(nodes.folder / "tls", trustme.CA(), "lastcall")
    (tls / "key.pem").unlink()
    short = nodes.folder / "short"
    short.write_text("short")
    cases = {
        ("game", *GAME, "--cluster-tls", str(tls)): ["--cluster-tls", "key.pem cannot be read"],
        ("api", *API, "--cluster-tls", str(tls)): ["--cluster-tls", "key.pem cannot be read"],
        ("game", *GAME, "--cluster-tls-name", "x"): ["--cluster-tls-name needs --cluster-tls"],
        ("api", *API, "--cluster-secret-file", str(short)): ["at least 16", "openssl rand"],
        ("game", *GAME, "--cluster-secret-file", "nowhere"): ["nowhere", "No such file"],
        ("game", *GAME, "--apis", "10.0.0.0/99"): ["--apis", "10.0.0.0/99"],
    }
    started = {arguments: nodes.start(*arguments) for arguments in cases}
    for arguments, phrases in cases.items():
        await assert_usage_error(started[arguments], *phrases)

"""Real nodes that ask who clients are: signed tokens, an author's function, and wrong usage."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import trio
from trio_websocket import open_websocket_url

from lastcall.client import connect
from lastcall.errors import AuthRefused
from tests.api.auth.conftest import EC, OTHER_EC, pem, token
from tests.api.conftest import UPGRADE
from tests.e2e.nodes import ANY_PORT, ANY_URL, Node, Nodes

pytestmark = pytest.mark.e2e

MINE = """
from lastcall import Handshake, Identity, Refuse, Room, Said, room

async def auth(handshake: Handshake) -> Identity:
    if handshake.token == "crash":
        raise SystemExit(handshake.token)
    if handshake.token != "let-me-in":
        raise Refuse(403, "members only")
    return Identity("ann", name="Ann", claims={"rank": 3})

def not_async(handshake): ...

@room("who", seats=4, one_seat_each=True)
async def who(table: Room) -> None:
    async for event in table:
        if isinstance(event, Said):
            identity = table.identity(event.player)
            table.send(event.player, [identity.id, table.name_of(event.player), identity.claims])
"""


@pytest.fixture
def folder(nodes: Nodes) -> Path:
    """The author's folder, in which the nodes are started."""
    (nodes.folder / "mine.py").write_text(MINE)
    (nodes.folder / "public.pem").write_bytes(pem(EC))
    return nodes.folder


async def status(api: Node, path: str) -> int:
    """The HTTP status of the answer to a handshake."""
    host, _, port = api.listen.rpartition(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        await stream.send_all(UPGRADE.replace(b"GET / ", f"GET {path} ".encode()))
        return int((await stream.receive_some()).split()[1])


async def says_who(url: str, **how: object) -> object:
    async with connect([url], kind="who", **how) as place:  # type: ignore[arg-type]
        await place.say("who am I?")
        return (await place.__anext__()).data


async def test_players_with_good_tokens_play_and_no_token_is_written_anywhere(
    nodes: Nodes, folder: Path
) -> None:
    api, game = await nodes.start_pair(
        *("--auth", "jwt", "--jwt-key-file", "public.pem", "--log-level", "debug"), rooms="mine"
    )
    url = f"ws://{api.listen}/"
    good = token(name="Ann", rank=3)
    bad = token(OTHER_EC)
    with trio.fail_after(30):
        assert await says_who(url, token=lambda: good, name="Eve") == ["ann", "Ann", {"rank": 3}]
        for where in (f"{url}?token={good}", url):
            offered = ["lastcall.v1"] + ([] if "?" in where else [f"bearer.{good}"])
            async with open_websocket_url(where, subprotocols=offered) as socket:
                assert json.loads(await socket.get_message())["t"] == "hello"
                assert socket.subprotocol == "lastcall.v1"
        with pytest.raises(AuthRefused):
            await says_who(url, token=bad)
        assert [await status(api, path) for path in ("/", f"/?token={bad}")] == [401, 401]
    written = api.stderr_text + game.stderr_text
    assert "client.closed" in written
    assert "node.page" not in written, "that is for people who start one node"
    written += "".join([(await api.get(path)).body for path in ("/status", "/metrics")])
    for secret in (good, bad):
        assert secret not in written
        assert secret.split(".")[2] not in written
    assert not [event for event in api.events if event["level"] == "error"]


async def test_an_authors_function_from_the_authors_folder_says_who_comes_in(
    nodes: Nodes, folder: Path
) -> None:
    api, _ = await nodes.start_pair("--auth", "mine:auth", rooms="mine")
    url = f"ws://{api.listen}/"
    with trio.fail_after(30):
        assert await says_who(url, token="let-me-in") == ["ann", "Ann", {"rank": 3}]  # noqa: S106
        with pytest.raises(AuthRefused, match="members only"):
            await says_who(url, token="me")  # noqa: S106
        assert await status(api, "/?token=crash") == 503
        assert await says_who(url, token="let-me-in") == ["ann", "Ann", {"rank": 3}]  # noqa: S106
    assert [event["event"] for event in api.warnings] == ["auth.failed"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--auth", "mine:nothing"), "mine has no 'nothing'"),
        (("--auth", "mine:not_async"), "not_async is not an async function"),
        (("--auth", "nothing:auth"), "cannot import 'nothing'"),
        (("--auth", "jwt"), "--auth jwt needs --jwt-key-file FILE"),
        (("--auth", "jwt", "--jwt-key-file", "nothing.pem"), "No such file"),
        (("--auth", "jwt", "--jwt-key-file", "public.pem", "--jwt-algorithms", "HS256"), "HS256"),
        (("--jwt-algorithms", "none"), "'none' is not one of"),
    ],
)
async def test_what_cannot_serve_ends_the_node_with_one_line_and_2(
    nodes: Nodes, folder: Path, options: tuple[str, ...], says: str
) -> None:
    listen = ("--listen", ANY_PORT, "--feed", ANY_URL, "--games", "tcp://127.0.0.1:9")
    node = nodes.start("api", *listen, *options)
    assert await node.exit_code(within=15) == 2
    (line,) = node.stderr_text.splitlines()
    assert line.startswith("Error: ")
    assert says in line


async def test_a_key_file_is_replaced_while_the_node_runs(nodes: Nodes, folder: Path) -> None:
    api, _ = await nodes.start_pair(
        *("--auth", "jwt", "--jwt-key-file", "public.pem"), rooms="mine"
    )
    url = f"ws://{api.listen}/"
    begin = time.monotonic()
    (folder / "new.pem").write_bytes(pem(OTHER_EC))
    (folder / "new.pem").replace(folder / "public.pem")
    newer = token(OTHER_EC)
    with trio.fail_after(20):
        while not api.event("auth.keys_read"):
            await trio.sleep(0.05)
        assert time.monotonic() - begin <= 10
        assert await says_who(url, token=newer, name="Ann") == ["ann", "Ann", {}]
        with pytest.raises(AuthRefused):
            await says_who(url, token=token())

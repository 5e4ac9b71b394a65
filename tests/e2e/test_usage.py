"""Wrong usage: exit code 2, and one line on stderr that says what and where."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.e2e.clients import Clients
from tests.e2e.nodes import ANY_PORT, ANY_URL, Node, Nodes

pytestmark = pytest.mark.e2e

GAME = ("--listen", ANY_URL, "--rooms", "game.examples")
API = ("--listen", ANY_PORT, "--feed", ANY_URL, "--games", "tcp://127.0.0.1:9")


async def complaint(node: Node) -> str:
    """The one line of a node that has ended with 2."""
    assert await node.exit_code(within=10) == 2
    lines = [line for line in node.words.splitlines() if '"level":"info"' not in line]
    assert len(lines) == 1, "one line"
    assert lines[0].startswith("Error: ")
    assert node.event("node.ready") is None if lines == [] else True
    return lines[0]


@pytest.fixture
def taken() -> Iterator[str]:
    """An address where somebody listens already."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield f"127.0.0.1:{sock.getsockname()[1]}"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (None, ["author.rooms", "No module named"]),
        ("def broken(:\n", ["author.rooms", "SyntaxError", "rooms.py, line 1"]),
        ("\n1 / 0\n", ["author.rooms", "ZeroDivisionError", "rooms.py:2"]),
        ("raise SystemExit('no')\n", ["author.rooms", "SystemExit: no", "rooms.py:1"]),
        ("import author.nothing\n", ["author.rooms", "'author.nothing'", "rooms.py:1"]),
        ("x = 1\n", ["no rooms in author.rooms"]),
        (
            "from rooms import room\n@room('a')\nasync def one(t): ...\n"
            "@room('a')\nasync def two(t): ...\n",
            ["'a' is defined twice", "author.rooms.one:2", "author.rooms.two:4"],
        ),
        ("from rooms import room\n@room('a', seats=0)\nasync def a(t): ...\n", ["seats", "py:2"]),
    ],
    ids=[
        "no such module",
        "a syntax error",
        "it raises",
        "it exits",
        "it imports what is not there",
        "no rooms in it",
        "a kind defined twice",
        "a kind without seats",
    ],
)
async def test_an_authors_module_that_cannot_be_served(
    nodes: Nodes, source: str | None, words: list[str]
) -> None:
    package = nodes.folder / "path" / "author"
    package.mkdir(parents=True)
    package.joinpath("__init__.py").touch()
    if source is not None:
        package.joinpath("rooms.py").write_text(source)
    path = {"PYTHONPATH": str(package.parent)}
    line = await complaint(nodes.game(rooms="author.rooms", env=path))
    for word in words:
        assert word in line


async def test_kinds_of_one_name_in_two_modules_are_told_with_both_places(nodes: Nodes) -> None:
    text = "from rooms import room\n@room('tictactoe')\nasync def mine(table): ...\n"
    nodes.folder.joinpath("mine.py").write_text(text)
    line = await complaint(nodes.game(rooms="game.examples,mine"))
    assert "'tictactoe' is defined twice: game.examples.tictactoe.tictactoe:" in line
    assert "mine.mine:2" in line


@pytest.mark.parametrize(
    ("tier", "options", "option"),
    [
        ("api", API, "--listen"),
        ("api", API, "--admin"),
        ("api", API, "--feed"),
        ("game", GAME, "--listen"),
        ("game", GAME, "--admin"),
    ],
)
async def test_a_port_in_use(
    nodes: Nodes, taken: str, tier: str, options: tuple[str, ...], option: str
) -> None:
    url = option == "--feed" or (tier, option) == ("game", "--listen")
    address = f"tcp://{taken}" if url else taken
    line = await complaint(nodes.start(tier, *options, option, address))
    assert taken in line
    assert "in use" in line or "listens there already" in line


@pytest.mark.parametrize(
    ("tier", "options", "words"),
    [
        ("api", ("--games", "localhost"), ["--games", "'localhost'", "tcp://HOST:PORT"]),
        ("api", ("--games", "tcp://127.0.0.1:port"), ["--games", "127.0.0.1:port"]),
        ("api", ("--games", "http://127.0.0.1:80"), ["--games", "http://127.0.0.1:80"]),
        ("api", (), ["--games"]),
        ("api", (*API, "--listen", "fd:77"), ["fd:77"]),
        ("api", (*API, "--clients", "stay"), ["--clients", "stay"]),
        ("game", ("--listen", ANY_URL), ["--rooms"]),
        ("game", (*GAME, "--rooms", "game/examples"), ["--rooms", "game/examples"]),
        ("game", (*GAME, "--greace", "3"), ["--greace"]),
        ("game", (*GAME, "--grace", "-1"), ["--grace", "-1"]),
        ("game", (*GAME, "--grace", "soon"), ["--grace", "soon"]),
        ("game", (*GAME, "--grace", "2", "--farewell", "3"), ["--farewell 3", "--grace 2"]),
        ("game", (*GAME, "--name", "a b"), ["--name", "a b"]),
        ("game", (*GAME, "--config", "nowhere.toml"), ["nowhere.toml", "No such file"]),
        ("game", (*GAME, "surplus"), ["surplus"]),
    ],
)
async def test_an_option_that_cannot_be(
    nodes: Nodes, tier: str, options: tuple[str, ...], words: list[str]
) -> None:
    line = await complaint(nodes.start(tier, *options))
    for word in words:
        assert word in line


async def test_a_config_file_with_an_unknown_key_a_bad_value_or_no_toml(nodes: Nodes) -> None:
    texts = {"key.toml": "greace = 3\n", "value.toml": "grace = 'soon'\n", "no.toml": "grace 3\n"}
    started = {}
    for name, text in texts.items():
        nodes.folder.joinpath(name).write_text(text)
        started[name] = nodes.start("game", *GAME, "--config", name)
    for name, word in {"key.toml": "'greace'", "value.toml": "soon", "no.toml": "TOML"}.items():
        line = await complaint(started[name])
        assert name in line
        assert word in line


async def test_a_bad_value_in_the_environment_is_told_with_its_variable(nodes: Nodes) -> None:
    line = await complaint(nodes.start("game", *GAME, env={"LASTCALL_GRACE": "soon"}))
    assert "LASTCALL_GRACE" in line


async def test_flags_win_over_environment_over_file(nodes: Nodes) -> None:
    nodes.folder.joinpath("node.toml").write_text(
        'version = "file"\ngrace = 7\nrooms = ["game.examples"]\nlog-format = "json"\n'
    )
    config = ("--config", "node.toml", "--listen", ANY_URL)
    environment = {"LASTCALL_VERSION": "environment"}
    alone = nodes.start("game", *config)
    over_file = nodes.start("game", *config, env=environment)
    over_both = nodes.start("game", *config, "--version", "flag", env=environment)
    for node, version in ((alone, "file"), (over_file, "environment"), (over_both, "flag")):
        await node.started()
        assert (await node.status())["version"] == version
        node.signal()
    for node in (alone, over_file, over_both):
        assert await node.exit_code(within=5) == 0
        started = node.event("drain.started")
        assert started is not None
        assert started["grace"] == 7, "what neither flag nor environment says is the file's"


async def test_help_names_every_option_and_exits_0(nodes: Nodes) -> None:
    for tier, option in (("api", "--games"), ("game", "--rooms")):
        node = nodes.start(tier, "--help")
        assert await node.exit_code(within=10) == 0
        assert node.words == "", "help is what was asked for: stdout"
        assert option

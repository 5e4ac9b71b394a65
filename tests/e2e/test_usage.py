"""Wrong usage: exit code 2, and one line on stderr that says what and where.

Every word of every complaint has a test of its own beside the parser; here it is that they get out
of a real process. The cases of a test run at the same time.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from signal import SIGINT

import pytest

from tests.e2e.nodes import ANY_PORT, ANY_URL, Node, Nodes, until

pytestmark = pytest.mark.e2e

GAME = ("--listen", ANY_URL, "--rooms", "lastcall.game.examples")
API = ("--listen", ANY_PORT, "--feed", ANY_URL, "--games", "tcp://127.0.0.1:9")


async def complains(node: Node, *words: str) -> None:
    """The node ends with 2 and has said one line, with these words in it."""
    assert await node.exit_code(within=15) == 2
    (line,) = node.words.splitlines()
    assert line.startswith("Error: ")
    for word in words:
        assert word in line


@pytest.fixture
def taken() -> Iterator[str]:
    """An address where somebody listens already."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield f"127.0.0.1:{sock.getsockname()[1]}"


LASTCALL = "from lastcall.entry import main; main()"


@pytest.mark.parametrize("slow", ["click", "rich"], ids=["of the command", "of its subcommand"])
async def test_ctrl_c_in_the_middle_of_an_import_is_one_line_and_130(
    nodes: Nodes, slow: str
) -> None:
    source = "import pathlib, time\npathlib.Path('imports').touch()\ntime.sleep(300)\n"
    nodes.folder.joinpath(f"{slow}.py").write_text(source)
    path = {"PYTHONPATH": str(nodes.folder)}
    process = nodes.run("lastcall", sys.executable, "-c", LASTCALL, "roll", env=path)
    await until(lambda: nodes.folder.joinpath("imports").exists(), within=10)
    process.signal(SIGINT)
    assert await process.exit_code(within=5) == 130
    assert process.words.split() == ["Interrupted."]


ROOM = "from lastcall import room\n@room('tictactoe', seats=2)\nasync def mine(table): ...\n"


async def test_an_authors_module_that_cannot_be_served(nodes: Nodes) -> None:
    folder = nodes.folder / "authors"
    folder.mkdir()
    sources = {"broken": "def broken(:\n", "raising": "\n1 / 0\n", "same": ROOM}
    for name, source in sources.items():
        folder.joinpath(f"{name}.py").write_text(source)
    path = {"PYTHONPATH": str(folder)}
    cases = {
        "nowhere.rooms": ["'nowhere.rooms'", "No module named 'nowhere'"],
        "broken": ["'broken'", "SyntaxError", "broken.py:1"],
        "raising": ["'raising'", "ZeroDivisionError", "raising.py:2"],
        "game.examples,same": [
            "'tictactoe' is defined twice",
            "game.examples.tictactoe.tictactoe:",
            "same.mine:2",
        ],
    }
    started = {rooms: nodes.game(rooms=rooms, env=path) for rooms in cases}
    for rooms, words in cases.items():
        await complains(started[rooms], *words)


async def test_a_port_in_use(nodes: Nodes, taken: str) -> None:
    cases = [
        nodes.start("api", *API, "--listen", taken),
        nodes.start("api", *API, "--admin", taken),
        nodes.start("api", *API, "--feed", f"tcp://{taken}"),
        nodes.start("game", *GAME, "--listen", f"tcp://{taken}"),
        nodes.start("game", *GAME, "--admin", taken),
    ]
    for node in cases:
        await complains(node, taken)
        assert "in use" in node.words or "listens there already" in node.words


async def test_an_option_that_cannot_be(nodes: Nodes) -> None:
    nodes.folder.joinpath("key.toml").write_text("greace = 3\n")
    cases = {
        ("api", "--games", "localhost"): ["--games", "'localhost'", "tcp://HOST:PORT"],
        ("api", *API, "--listen", "fd:77"): ["fd:77", "descriptor 77"],
        ("game", *GAME, "--greace", "3"): ["--greace"],
        ("game", *GAME, "--grace", "-1"): ["--grace", "-1"],
        ("game", *GAME, "--grace", "inf"): ["--grace is inf", "a finite number of seconds"],
        ("game", *GAME, "--grace", "2", "--farewell", "3"): ["--farewell 3", "--grace 2"],
        ("game", *GAME, "--config", "nowhere.toml"): ["nowhere.toml", "No such file"],
        ("game", *GAME, "--config", "key.toml"): ["key.toml", "'greace'"],
    }
    started = {arguments: nodes.start(*arguments) for arguments in cases}
    for arguments, words in cases.items():
        await complains(started[arguments], *words)


async def test_flags_win_over_environment_over_file(nodes: Nodes) -> None:
    nodes.folder.joinpath("node.toml").write_text(
        'version = "file"\ngrace = 7\nrooms = ["lastcall.game.examples"]\n'
    )
    config = ("--config", "node.toml", "--listen", ANY_URL)
    environment = {"LASTCALL_VERSION": "environment"}
    versions = {
        "file": nodes.start("game", *config),
        "environment": nodes.start("game", *config, env=environment),
        "flag": nodes.start("game", *config, "--version", "flag", env=environment),
    }
    for version, node in versions.items():
        await node.started()
        assert (await node.status())["version"] == version
        node.signal()
    for node in versions.values():
        assert await node.exit_code(within=5) == 0
        started = node.event("drain.started")
        assert started is not None
        assert started["grace"] == 7, "what neither flag nor environment says is the file's"

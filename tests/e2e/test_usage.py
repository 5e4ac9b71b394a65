"""Wrong usage of real processes: exit code 2, and one line on stderr that names the mistake.

The tests of the parsers check each message; these tests check that a process prints it. The
processes of one test run at the same time.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from signal import SIGINT

import pytest

from tests.e2e.nodes import ANY_PORT, ANY_URL, Node, Nodes, wait_until

pytestmark = pytest.mark.e2e

GAME = ("--listen", ANY_URL, "--rooms", "lastcall.game.examples")
API = ("--listen", ANY_PORT, "--feed", ANY_URL, "--games", "tcp://127.0.0.1:9")


async def assert_usage_error(node: Node, *phrases: str) -> None:
    """The node exits with 2 and prints one line that contains each phrase."""
    assert await node.exit_code(within=15) == 2
    lines = node.stderr_text.splitlines()
    (line,) = (line for line in lines if "loop.slow_step" not in line)  # on a busy machine
    assert line.startswith("Error: ")
    for phrase in phrases:
        assert phrase in line


@pytest.fixture
def used_address() -> Iterator[str]:
    """An address on which a socket listens already."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield f"127.0.0.1:{sock.getsockname()[1]}"


LASTCALL = "from lastcall.entry import main; main()"


@pytest.mark.parametrize("module", ["click", "rich"], ids=["of the command", "of its subcommand"])
async def test_ctrl_c_during_an_import_prints_one_line_and_exits_130(
    nodes: Nodes, module: str
) -> None:
    source = "import pathlib, time\npathlib.Path('imports').touch()\ntime.sleep(300)\n"
    nodes.folder.joinpath(f"{module}.py").write_text(source)
    path = {"PYTHONPATH": str(nodes.folder)}
    process = nodes.run("lastcall", sys.executable, "-c", LASTCALL, "roll", env=path)
    await wait_until(lambda: nodes.folder.joinpath("imports").exists(), within=10)
    process.signal(SIGINT)
    assert await process.exit_code(within=5) == 130
    assert process.stderr_text.split() == ["Interrupted."]


TICTACTOE = "from lastcall import room\n@room('tictactoe', seats=2)\nasync def mine(table): ...\n"


async def test_a_rooms_module_that_cannot_be_served_is_a_usage_error(nodes: Nodes) -> None:
    folder = nodes.folder / "authors"
    folder.mkdir()
    sources = {"broken": "def broken(:\n", "raising": "\n1 / 0\n", "same": TICTACTOE}
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
    for rooms, phrases in cases.items():
        await assert_usage_error(started[rooms], *phrases)


async def test_a_port_in_use_is_a_usage_error(nodes: Nodes, used_address: str) -> None:
    cases = [
        nodes.start("api", *API, "--listen", used_address),
        nodes.start("api", *API, "--admin", used_address),
        nodes.start("api", *API, "--feed", f"tcp://{used_address}"),
        nodes.start("game", *GAME, "--listen", f"tcp://{used_address}"),
        nodes.start("game", *GAME, "--admin", used_address),
    ]
    for node in cases:
        await assert_usage_error(node, used_address)
        assert "in use" in node.stderr_text or "listens there already" in node.stderr_text


async def test_an_invalid_option_is_a_usage_error(nodes: Nodes) -> None:
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
    for arguments, phrases in cases.items():
        await assert_usage_error(started[arguments], *phrases)


async def test_a_flag_overrides_the_environment_which_overrides_the_file(nodes: Nodes) -> None:
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
        await node.wait_started()
        assert (await node.status())["version"] == version
        node.signal()
    for node in versions.values():
        assert await node.exit_code(within=5) == 0
        started = node.event("drain.started")
        assert started is not None
        assert started["grace"] == 7, "only the file sets it"

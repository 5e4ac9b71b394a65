from collections.abc import Callable
from pathlib import Path

import click
import pytest

from lastcall.api.options import ApiOptions, api_options
from lastcall.bus.address import HostPort
from lastcall.errors import AddressInUse, UsageError
from lastcall.game.options import GameOptions, game_options
from lastcall.limits import Limits, Rate
from lastcall.links.sources import GameDns, GameFile, GameUrl
from lastcall.policy import DrainPolicy
from lastcall.runtime.address import InheritedSocket
from lastcall.runtime.command import epilog, run_command
from lastcall.runtime.options import NodeOptions, drain_options, node_options


class Received:
    """The settings that a command got."""

    node: NodeOptions
    drain: DrainPolicy
    api: ApiOptions
    game: GameOptions


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GRACE", "GAMES", "NAME", "CONFIG", "LAME_DUCK", "LISTEN"):
        monkeypatch.delenv(f"LASTCALL_{name}", raising=False)


@pytest.fixture
def received() -> Received:
    return Received()


@pytest.fixture
def api(received: Received) -> click.Command:
    @click.command("api", epilog=epilog("python -m api --games tcp://127.0.0.1:7101"))
    @node_options("api")
    @drain_options
    @api_options
    def command(node: NodeOptions, drain: DrainPolicy, api: ApiOptions) -> None:
        """Holds clients."""
        received.node, received.drain, received.api = node, drain, api

    return command


@pytest.fixture
def game(received: Received) -> click.Command:
    @click.command("game")
    @node_options("game")
    @drain_options
    @game_options
    def command(node: NodeOptions, drain: DrainPolicy, game: GameOptions) -> int:
        """Runs rooms."""
        received.node, received.drain, received.game = node, drain, game
        return 3

    return command


def run(command: click.Command, *args: str) -> int:
    with pytest.raises(SystemExit) as ended:
        run_command(command, args)
    assert isinstance(ended.value.code, int)
    return ended.value.code


Refused = Callable[..., str]


@pytest.fixture
def refused(capfd: pytest.CaptureFixture[str]) -> Refused:
    """Runs a command that must be refused in one line; returns that line."""

    def run_refused(command: click.Command, *args: str) -> str:
        capfd.readouterr()
        assert run(command, *args) == 2
        out, line = capfd.readouterr()
        assert out == ""
        assert line.startswith("Error: ")
        assert line.endswith("\n")
        assert line.count("\n") == 1
        return line.removesuffix("\n")

    return run_refused


GAMES = ("--games", "tcp://10.0.0.1:7101")


def test_an_api_node_gets_parsed_values(api: click.Command, received: Received) -> None:
    args = ["--name", "api-1", "--listen", "[::1]:8080", "--feed", "tcp://127.0.0.1:0"]
    args += ["--games", "tcp://a:1, dns://game.svc:7101,file:///run/games"]
    args += [
        "--admin",
        "127.0.0.1:0",
        "--clients",
        "move",
        "--version",
        "7",
        "--log-format",
        "json",
    ]
    assert run(api, *args) == 0
    assert received.node == NodeOptions("api-1", HostPort("127.0.0.1", 0), "json", None, "7")  # type: ignore[arg-type]
    assert received.api == ApiOptions(
        listen=(HostPort("::1", 8080),),
        feed=HostPort("127.0.0.1", 0),
        games=(
            GameUrl(HostPort("a", 1)),
            GameDns(HostPort("game.svc", 7101)),
            GameFile("/run/games"),
        ),
        clients="move",
    )


def test_a_game_node_gets_parsed_values_and_its_return_value_is_the_exit_code(
    game: click.Command, received: Received
) -> None:
    assert run(game, "--rooms", "game.examples,mine", "--listen", "tcp://10.0.0.2:7101") == 3
    assert received.game.listen == HostPort("10.0.0.2", 7101)
    assert received.game.rooms == ("game.examples", "mine")


def test_the_defaults_are_the_documented_ones(api: click.Command, received: Received) -> None:
    assert run(api, *GAMES) == 0
    assert received.drain == DrainPolicy(25, 0, 3, 5)
    assert received.api.clients == "finish"
    assert received.api.listen == (HostPort("127.0.0.1", 8080),)
    assert received.node.name.startswith("api-")
    assert received.node.version


def test_flags_override_the_environment_the_file_and_the_defaults_in_this_order(
    api: click.Command, received: Received, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "node.toml"
    file.write_text('grace = 50\nlame-duck = 2\nspread = 7.5\ngames = ["tcp://a:1", "tcp://b:2"]\n')
    monkeypatch.setenv("LASTCALL_CONFIG", str(file))
    monkeypatch.setenv("LASTCALL_GRACE", "60")
    monkeypatch.setenv("LASTCALL_LAME_DUCK", "4")

    assert run(api, "--grace", "70") == 0

    assert received.drain == DrainPolicy(70, 4, 3, 7.5)
    assert received.api.games == (GameUrl(HostPort("a", 1)), GameUrl(HostPort("b", 2)))


def test_keys_of_the_file_may_have_underscores(
    api: click.Command, received: Received, tmp_path: Path
) -> None:
    file = tmp_path / "node.toml"
    file.write_text("lame_duck = 2")
    assert run(api, *GAMES, "--config", str(file)) == 0
    assert received.drain.lame_duck_seconds == 2


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("graze = 1", "no program has an option 'graze'; did you mean 'grace'?"),
        ("romms = 'mine'", "no program has an option 'romms'; did you mean 'rooms'?"),
        ("config = 'x'", "no program has an option 'config'; the options here: admin, "),
        ("[api]\ngraze = 1", "[api]: api has no option 'graze'; did you mean 'grace'?"),
        ("[api]\nrooms = 'mine'", "api has no option 'rooms'; it is one of [game], [serve], [up]"),
        ("[api]\ngrace = 'soon'", "Invalid value for '--grace': 'soon'"),
        ("[api]\ngrace = {}", "[api]: 'grace' is a table"),
        ("[gmae]\nrooms = 'mine'", "no program reads the table [gmae]; did you mean 'game'?"),
        ("[shop]\nopen = true", "no program reads the table [shop]; the tables: api, game, "),
        ("game = 'mine'", "'game' is a table: write [game]"),
        ("lame-duck = 1\nlame_duck = 2", "'lame_duck' is set twice"),
        ("[grace]\nseconds = 1", "'grace' is a table"),
        ("grace = \n", "is not valid TOML"),
        ("grace = 'soon'", "Invalid value for '--grace': 'soon'"),
        ("grace = true", "Invalid value for '--grace'"),
    ],
)
def test_an_invalid_file_is_refused_and_the_error_names_it(
    text: str, complaint: str, api: click.Command, refused: Refused, tmp_path: Path
) -> None:
    file = tmp_path / "node.toml"
    file.write_text(text)
    line = refused(api, *GAMES, "--config", str(file))
    assert complaint in line
    assert str(file) in line


def test_one_file_is_for_both_tiers_and_the_table_of_a_tier_wins(
    api: click.Command, game: click.Command, received: Received, tmp_path: Path
) -> None:
    file = tmp_path / "lastcall.toml"
    file.write_text(
        "grace = 40\nlame-duck = 2\ngames = 'tcp://a:1'\nrooms = 'mine'\norigins = 'https://a.example'\n"
        "[api]\ngrace = 20\nlisten = ['[::1]:8080', 'fd:3']\n"
        "[game]\nlisten = 'tcp://10.0.0.2:7101'\nlame_duck = 5\n"
        "[up]\nbots = 3\n[limits]\nsockets = 9\n"
    )
    assert run(api, "--config", str(file)) == 0
    assert (received.drain, received.node.limits) == (DrainPolicy(20, 2), Limits(sockets=9))
    assert received.api.listen == TWO
    assert received.api.origins == {"https://a.example"}
    assert run(game, "--config", str(file)) == 3
    assert (received.drain, received.node.limits) == (DrainPolicy(40, 5), Limits(sockets=9))
    assert received.game.listen == HostPort("10.0.0.2", 7101)
    assert received.game.rooms == ("mine",)


def test_the_tables_of_other_programs_are_not_looked_into(
    game: click.Command, received: Received, tmp_path: Path
) -> None:
    file = tmp_path / "lastcall.toml"
    file.write_text("[api]\ngraze = 1\ngrace = 'soon'\n[game]\nrooms = 'mine'\n")
    assert run(game, "--config", str(file)) == 3
    assert received.game.rooms == ("mine",)


def test_a_missing_file_is_refused(api: click.Command, refused: Refused) -> None:
    assert refused(api, "--config", "/nowhere.toml") == (
        "Error: --config /nowhere.toml cannot be read: No such file or directory"
    )


def test_the_error_for_a_bad_value_names_its_environment_variable(
    api: click.Command, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LASTCALL_GAMES", "game-1")
    line = refused(api)
    assert "'--games': 'game-1' is not a URL" in line
    assert "such as tcp://127.0.0.1:7101" in line
    assert line.endswith("(from the environment: LASTCALL_GAMES)")


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        ((), "Missing option '--games'"),
        ((*GAMES, "--gracee", "1"), "No such option '--gracee'"),
        ((*GAMES, "more"), "unexpected extra argument (more)"),
        ((*GAMES, "--grace", "x"), "'--grace': 'x' is not a valid float"),
        ((*GAMES, "--grace", "nan"), "--grace is nan"),
        ((*GAMES, "--farewell", "25"), "leave nothing of --grace 25"),
        ((*GAMES, "--clients", "kick"), "'kick' is not one of 'finish', 'move'"),
        ((*GAMES, "--admin", "9001"), "'--admin': '9001' is not an address of the form HOST:PORT"),
        ((*GAMES, "--listen", "fd:x"), "give fd:N"),
        ((*GAMES, "--listen", "fd:3", "--listen", "fd:3"), "--listen fd:3 is given twice"),
        ((*GAMES, "--name", "a/b"), "'a/b' is not a valid node name"),
        ((*GAMES, "--advertise", "host:1"), "'host:1' is not a host"),
        ((*GAMES, "--feed", "127.0.0.1:7001"), "of the form tcp://HOST:PORT"),
        ((*GAMES, "--feed", "tcp://0.0.0.0:7001"), "say with --advertise HOST"),
        (("--games", "tcp://a:1,,b"), "'b' is not a URL"),
        (("--games", ""), "names no game node"),
        (("--games", "tcp://a:0"), "port 0 cannot be dialled"),
    ],
)
def test_wrong_options_are_refused_in_one_line(
    args: tuple[str, ...], complaint: str, api: click.Command, refused: Refused
) -> None:
    assert complaint in refused(api, *args)


@pytest.mark.parametrize("rooms", ["game/examples.py", "", "a,,b", "a..b"])
def test_rooms_that_are_not_modules_are_refused(
    rooms: str, game: click.Command, refused: Refused
) -> None:
    assert "is not a module's name" in refused(game, "--rooms", rooms)


def test_a_wildcard_feed_is_accepted_with_a_host_to_dial(
    api: click.Command, received: Received
) -> None:
    assert run(api, *GAMES, "--feed", "tcp://0.0.0.0:0", "--advertise", "10.0.0.9") == 0
    assert received.api.feed.dialled(received.node.advertise, 7001).url == "tcp://10.0.0.9:7001"


def test_a_game_node_knows_no_others_unless_it_is_told_where_they_are(
    game: click.Command, received: Received
) -> None:
    assert run(game) == 3
    assert (received.game.games, received.game.feed) == ((), HostPort("127.0.0.1", 0))
    assert run(game, *GAMES, "--feed", "tcp://10.0.0.2:7001") == 3
    assert received.game.games == (GameUrl(HostPort("10.0.0.1", 7101)),)
    assert received.game.feed == HostPort("10.0.0.2", 7001)


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        ((*GAMES, "--feed", "tcp://0.0.0.0:7001"), "say with --advertise HOST"),
        (("--games", "tcp://a:0"), "port 0 cannot be dialled"),
        (("--games", ""), "names no game node"),
    ],
)
def test_wrong_addresses_of_other_game_nodes_are_refused(
    args: tuple[str, ...], complaint: str, game: click.Command, refused: Refused
) -> None:
    assert complaint in refused(game, *args)


def test_listen_accepts_the_number_of_an_inherited_socket(
    api: click.Command, received: Received
) -> None:
    assert run(api, *GAMES, "--listen", "fd:7") == 0
    assert received.api.listen == (InheritedSocket(7),)


TWO = (HostPort("::1", 8080), InheritedSocket(3))


def test_clients_may_connect_at_several_addresses(
    api: click.Command, received: Received, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(api, *GAMES, "--listen", "[::1]:8080", "--listen", "fd:3") == 0
    assert received.api.listen == TWO
    file = tmp_path / "node.toml"
    for value in ('"[::1]:8080, fd:3"', '["[::1]:8080", "fd:3"]'):
        file.write_text(f"listen = {value}")
        assert run(api, *GAMES, "--config", str(file)) == 0
        assert received.api.listen == TWO
    monkeypatch.setenv("LASTCALL_LISTEN", "[::1]:8080, fd:3")
    assert run(api, *GAMES) == 0
    assert received.api.listen == TWO
    assert run(api, *GAMES, "--listen", "fd:7", "--config", str(file)) == 0
    assert received.api.listen == (InheritedSocket(7),), "a flag replaces the others"


def test_help_shows_units_examples_defaults_and_environment_variables(
    api: click.Command, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(api, "--help") == 0
    text = capfd.readouterr().out
    for word in ("--grace SECONDS", "python -m api --games", "LASTCALL_LAME_DUCK", "25.0"):
        assert word in text


def command_that_raises(error: BaseException) -> click.Command:
    @click.command()
    def command() -> None:
        raise error

    return command


def test_a_usage_error_from_nested_nurseries_is_also_one_line(refused: Refused) -> None:
    inner = ExceptionGroup("", [AddressInUse("127.0.0.1:80 is in use:\n another listens there")])
    line = refused(command_that_raises(ExceptionGroup("", [inner])))
    assert line == "Error: 127.0.0.1:80 is in use: another listens there"


def test_a_bug_beside_a_usage_error_is_not_hidden() -> None:
    mixed = ExceptionGroup("", [UsageError("wrong"), ValueError("a bug")])
    with pytest.raises(ExceptionGroup):
        run_command(command_that_raises(mixed), [])
    with pytest.raises(ZeroDivisionError):
        run_command(command_that_raises(ZeroDivisionError()), [])


def test_the_table_limits_of_the_file_sets_limits_and_the_others_keep_their_defaults(
    api: click.Command, received: Received, tmp_path: Path
) -> None:
    file = tmp_path / "limits.toml"
    file.write_text("grace = 40\n[limits]\nsockets = 9\njoins = {burst = 3, per-second = 0.5}\n")
    assert run(api, *GAMES, "--config", str(file)) == 0
    assert received.node.limits == Limits(sockets=9, joins=Rate(3, 0.5))
    assert received.drain.grace_seconds == 40


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("limits = 3", "'limits' is a table"),
        ("[limits]\nsocket = 9", "[limits]: there is no limit 'socket'; did you mean 'sockets'?"),
        ("[limits]\nxyz = 9", "[limits]: there is no limit 'xyz'; its keys: sockets, "),
        ("[limits]\nsockets = 0", "sockets is 0; it is at least 1"),
        ("[limits]\njoins = 5", "Expected `object`, got `int` - at `$.joins`"),
        ("[limits]\njoins = {burst = 5, per-second = 0}", "per-second above 0"),
    ],
)
def test_wrong_limits_are_refused_in_one_line_that_names_the_file(
    api: click.Command, refused: Refused, tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "limits.toml"
    file.write_text(text)
    line = refused(api, *GAMES, "--config", str(file))
    assert str(file) in line
    assert message in line

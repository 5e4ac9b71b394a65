from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio
from trio.testing import MockClock

from lastcall.errors import BadAddress
from lastcall.links.discovery import Discovery
from lastcall.links.sources import parse_games


class FakeResolver(trio.abc.HostnameResolver):
    """A name server whose answers the test sets."""

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self.lookups = 0

    async def getaddrinfo(self, _host: str, port: int, *_rest: object) -> list[Any]:  # type: ignore[override]
        self.lookups += 1
        await trio.lowlevel.checkpoint()
        if not self.addresses:
            raise socket.gaierror(socket.EAI_AGAIN, "the name server is away")
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in self.addresses
        ]

    async def getnameinfo(self, *_: object) -> tuple[str, str]:  # type: ignore[override]
        raise NotImplementedError


@asynccontextmanager
async def discover(text: str) -> AsyncIterator[tuple[Discovery, list[set[str]]]]:
    reported: list[set[str]] = []
    discovery = Discovery(parse_games(text))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(discovery.run, lambda found: reported.append(set(found)))
        yield discovery, reported
        nursery.cancel_scope.cancel()


async def test_addresses_are_reported_once(autojump_clock: MockClock) -> None:
    async with discover("tcp://a:1,tcp://b:2") as (discovery, reported):
        await trio.sleep(10)
        assert discovery.complete
        assert reported[-1] == {"tcp://a:1", "tcp://b:2"}
        assert len(reported) <= 2


async def test_a_name_is_looked_up_every_2_s(autojump_clock: MockClock) -> None:
    resolver = FakeResolver()
    trio.socket.set_custom_hostname_resolver(resolver)
    resolver.addresses = ["10.0.0.1"]
    async with discover("dns://game:7101") as (_, reported):
        await trio.sleep(1)
        resolver.addresses = ["10.0.0.1", "10.0.0.2"]
        await trio.sleep(0.9)
        assert reported == [{"tcp://10.0.0.1:7101"}]
        await trio.sleep(0.2)
        assert reported[-1] == {"tcp://10.0.0.1:7101", "tcp://10.0.0.2:7101"}
        assert resolver.lookups == 2


async def test_known_addresses_are_kept_while_the_name_server_is_unreachable(
    autojump_clock: MockClock,
) -> None:
    resolver = FakeResolver()
    trio.socket.set_custom_hostname_resolver(resolver)
    async with discover("dns://game:7101") as (discovery, reported):
        await trio.sleep(1)
        assert not discovery.complete
        resolver.addresses = ["10.0.0.1"]
        await trio.sleep(2)
        resolver.addresses = []
        await trio.sleep(10)
        assert reported == [{"tcp://10.0.0.1:7101"}]
        assert discovery.complete


async def wait_for(reported: list[set[str]], expected: set[str]) -> None:
    with trio.fail_after(10):
        while not reported or reported[-1] != expected:
            await trio.sleep(0.02)


async def test_a_file_is_read_again_and_a_bad_line_keeps_the_known_addresses(
    tmp_path: Path,
) -> None:
    """Runs in real time: a thread reads the file, and a virtual clock does not wait for threads."""
    games_file = tmp_path / "games"
    async with discover(f"file://{games_file}") as (discovery, reported):
        games_file.write_text("tcp://a:1\n\n# the old one\ntcp://b:2  # soon gone\n")
        await wait_for(reported, {"tcp://a:1", "tcp://b:2"})
        games_file.write_text("tcp://a:1\nnonsense\n")
        await trio.testing.wait_all_tasks_blocked()
        games_file.write_text("tcp://a:1\n")
        await wait_for(reported, {"tcp://a:1"})
        assert discovery.complete
        assert {"tcp://a:1", "nonsense"} not in reported


async def test_the_log_names_the_source_that_fails(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text("tcp://a:1\n")
    bad.write_text("nonsense\n")
    with structlog.testing.capture_logs() as logs:
        async with discover(f"file://{good},file://{bad}") as (_, reported):
            await wait_for(reported, {"tcp://a:1"})
            with trio.fail_after(10):
                while not logs:
                    await trio.sleep(0.02)
    assert [(line["event"], line["source"]) for line in logs] == [
        ("discovery.failed", f"file://{bad}")
    ]


@pytest.mark.parametrize("text", ["tcp://a:1", "dns://game:7101", "file:///run/games"])
def test_a_source_is_shown_as_it_is_written(text: str) -> None:
    assert [str(source) for source in parse_games(text)] == [text]


def test_a_relative_path_is_refused_with_an_example_of_the_right_form() -> None:
    with pytest.raises(
        BadAddress, match=r"'file://games' .* file:///PATH, such as file:///.*games"
    ):
        parse_games("file://games")


async def test_sources_can_be_mixed(tmp_path: Path) -> None:
    games_file = tmp_path / "games"
    games_file.write_text("tcp://b:2\n")
    async with discover(f"tcp://a:1,file://{games_file}") as (_, reported):
        await wait_for(reported, {"tcp://a:1", "tcp://b:2"})

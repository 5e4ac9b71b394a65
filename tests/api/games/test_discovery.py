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

from lastcall.api.games.discovery import Discovery
from lastcall.api.games.sources import parse_games
from lastcall.errors import BadAddress


class Names(trio.abc.HostnameResolver):
    """A name server whose answers the test sets."""

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self.asked = 0

    async def getaddrinfo(self, _host: str, port: int, *_rest: object) -> list[Any]:  # type: ignore[override]
        self.asked += 1
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
async def following(text: str) -> AsyncIterator[tuple[Discovery, list[set[str]]]]:
    told: list[set[str]] = []
    discovery = Discovery(parse_games(text))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(discovery.run, lambda found: told.append(set(found)))
        yield discovery, told
        nursery.cancel_scope.cancel()


async def test_addresses_are_told_once(autojump_clock: MockClock) -> None:
    async with following("tcp://a:1,tcp://b:2") as (discovery, told):
        await trio.sleep(10)
        assert discovery.complete
        assert told[-1] == {"tcp://a:1", "tcp://b:2"}
        assert len(told) <= 2


async def test_a_name_is_asked_again_every_2_s(autojump_clock: MockClock) -> None:
    names = Names()
    trio.socket.set_custom_hostname_resolver(names)
    names.addresses = ["10.0.0.1"]
    async with following("dns://game:7101") as (_, told):
        await trio.sleep(1)
        names.addresses = ["10.0.0.1", "10.0.0.2"]
        await trio.sleep(0.9)
        assert told == [{"tcp://10.0.0.1:7101"}]
        await trio.sleep(0.2)
        assert told[-1] == {"tcp://10.0.0.1:7101", "tcp://10.0.0.2:7101"}
        assert names.asked == 2


async def test_a_name_server_that_is_away_does_not_make_a_node_forget(
    autojump_clock: MockClock,
) -> None:
    names = Names()
    trio.socket.set_custom_hostname_resolver(names)
    async with following("dns://game:7101") as (discovery, told):
        await trio.sleep(1)
        assert not discovery.complete
        names.addresses = ["10.0.0.1"]
        await trio.sleep(2)
        names.addresses = []
        await trio.sleep(10)
        assert told == [{"tcp://10.0.0.1:7101"}]
        assert discovery.complete


async def until(told: list[set[str]], wanted: set[str]) -> None:
    with trio.fail_after(10):
        while not told or told[-1] != wanted:
            await trio.sleep(0.02)


async def test_a_file_is_read_again_and_a_bad_line_keeps_what_was_known(tmp_path: Path) -> None:
    """In real time: a file is read in a thread, which the virtual clock does not wait for."""
    listed = tmp_path / "games"
    async with following(f"file://{listed}") as (discovery, told):
        listed.write_text("tcp://a:1\n\n# the old one\ntcp://b:2  # soon gone\n")
        await until(told, {"tcp://a:1", "tcp://b:2"})
        listed.write_text("tcp://a:1\nnonsense\n")
        await trio.testing.wait_all_tasks_blocked()
        listed.write_text("tcp://a:1\n")
        await until(told, {"tcp://a:1"})
        assert discovery.complete
        assert {"tcp://a:1", "nonsense"} not in told


async def test_a_source_that_fails_is_named(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text("tcp://a:1\n")
    bad.write_text("nonsense\n")
    with structlog.testing.capture_logs() as logs:
        async with following(f"file://{good},file://{bad}") as (_, told):
            await until(told, {"tcp://a:1"})
            with trio.fail_after(10):
                while not logs:
                    await trio.sleep(0.02)
    assert [(line["event"], line["source"]) for line in logs] == [
        ("discovery.failed", f"file://{bad}")
    ]


@pytest.mark.parametrize("text", ["tcp://a:1", "dns://game:7101", "file:///run/games"])
def test_a_source_is_shown_as_it_is_written(text: str) -> None:
    assert [str(source) for source in parse_games(text)] == [text]


def test_a_relative_path_is_refused_with_the_right_form() -> None:
    with pytest.raises(
        BadAddress, match=r"'file://games' .* file:///PATH, such as file:///.*games"
    ):
        parse_games("file://games")


async def test_sources_mix(tmp_path: Path) -> None:
    listed = tmp_path / "games"
    listed.write_text("tcp://b:2\n")
    async with following(f"tcp://a:1,file://{listed}") as (_, told):
        await until(told, {"tcp://a:1", "tcp://b:2"})

"""``lastcall dev``: an author saves their rooms in the middle of matches. Real processes."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGINT
from typing import Any

import httpx
import msgspec
import pytest
import trio

from lastcall.client import Place, connect
from tests.e2e.nodes import ANY_PORT, Nodes, Process, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

PATIENCE = 30.0
COMMAND = ("sh", "-c", 'exec "$@" >&2', "sh", sys.executable, "-m", "lastcall", "dev")
ROOMS = """
import msgspec
from lastcall import Alarm, Joined, Room, Said, room
from ours.words import WORD

class Count(msgspec.Struct):
    ticks: int = 0

async def count(table: Room[Count]) -> None:
    table.every("tick", 0.05)
    async for event in table:
        match event:
            case Alarm("tick"):
                table.state.ticks += 1
                table.broadcast([table.state.ticks, WORD, len(table.players)])
            case Said(player, said):
                table.broadcast({"said": said, "word": WORD})

ticker = room("ticker", seats=4, state=Count)(count)
keeper = room("keeper", seats=4, state=Count, survives=True)(count)

@room("den", seats=2)
async def den(table: Room) -> None:
    async for event in table:
        match event:
            case Said(player, said):
                table.broadcast({"said": said, "word": WORD})
"""


class PageEvents:
    """The events of the page."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._rest = b""

    async def problem(self, *, there: bool) -> dict[str, Any]:
        """The problem that the page shows, or an empty one as soon as it shows none."""
        with trio.fail_after(PATIENCE):
            while True:
                line = await self._line()
                if line.startswith(b'data: {"at":') and b'"problem":' in line:
                    now = msgspec.json.decode(line.removeprefix(b"data: "))
                    if bool(now["problem"]) is there:
                        return dict(now["problem"] or {})

    async def _line(self) -> bytes:
        while b"\n" not in self._rest:
            data = await self._stream.receive_some()
            assert data, "the events have ended"
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line


class Author:
    """They write the rooms, with ``lastcall dev`` in a terminal beside."""

    def __init__(self, folder: Path, process: Process) -> None:
        self.folder = folder
        self.process = process

    @property
    def terminal(self) -> str:
        return self.process.stderr_text

    def save(self, name: str, text: str) -> None:
        """As editors do it: the new file takes the place of the old one."""
        new = self.folder / ".new"
        new.write_text(text)
        new.replace(self.folder / name)

    def say_word(self, word: str) -> None:
        self.save("ours/words.py", f"WORD = {word!r}\n")

    async def reads(self, *texts: str, count: int = 1) -> None:
        def shown() -> bool:
            assert self.process.running or count == 0, self.terminal
            return all(self.terminal.count(text) >= count for text in texts)

        with trio.fail_after(PATIENCE):
            await wait_until(shown, PATIENCE)

    @property
    def url(self) -> str:
        return re.findall(r"Clients connect to (ws://\S+/)", self.terminal)[0]

    @property
    def page(self) -> str:
        assert self.terminal.startswith("See and play: ")
        return self.terminal.split()[3]

    @asynccontextmanager
    async def events(self) -> AsyncIterator[PageEvents]:
        """The events of the page, from now on."""
        host, port = httpx.URL(self.page).host, httpx.URL(self.page).port or 80
        async with await trio.open_tcp_stream(host, port) as stream:
            request = f"GET /cluster/events HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"
            await stream.send_all(request.encode())
            yield PageEvents(stream)


def children(pid: int) -> list[int]:
    """The processes that ``pid`` has started."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(one) for task in tasks for one in task.read_text().split()]


def runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def dev(nodes: Nodes, *options: str, words: str = "WORD = 'one'\n") -> Author:
    (nodes.folder / "ours").mkdir()
    (nodes.folder / "ours/rooms.py").write_text(ROOMS)
    (nodes.folder / "ours/words.py").write_text(words)
    ports = ("--listen", ANY_PORT, "--admin", ANY_PORT)
    process = nodes.run("dev", *COMMAND, "--rooms", "ours.rooms", *ports, *options)
    return Author(nodes.folder, process)


@pytest.fixture(scope="module")
def author(shared_nodes: Nodes) -> Author:
    """One ``lastcall dev`` for the tests of this file that end with code that runs."""
    return dev(shared_nodes, "--grace", "60")


async def hear(place: Place, word: str) -> list[list[Any]]:
    """The ticks up to the first one with ``word``."""
    heard: list[list[Any]] = []
    with trio.fail_after(PATIENCE):
        while not heard or heard[-1][1] != word:
            heard.append((await anext(place)).data)
    return heard


def check_one_match(*heard: list[list[Any]]) -> None:
    """No tick is missing, and none came twice."""
    ticks = [tick for part in heard for tick, _, _ in part]
    assert ticks == list(range(ticks[0], ticks[0] + len(ticks)))


async def test_a_save_takes_a_match_into_the_new_code_and_its_player_notices_nothing(
    author: Author,
) -> None:
    await author.reads("Clients connect", "the new code runs")
    async with (
        connect(author.url, kind="ticker") as place,
        connect(author.url, kind="keeper") as kept,
        connect(author.url, kind="den") as den,
    ):
        before = [await hear(one, "one") for one in (place, kept)]
        author.say_word("two")
        after = [await hear(one, "two") for one in (place, kept)]
        for heard in zip(before, after, strict=True):
            check_one_match(*heard)
            words = [word for _, word, _ in heard[1]]
            assert words == ["one"] * (len(words) - 1) + ["two"]
        await author.reads("saved ours/words.py", "2 rooms moved into it", "1 den room cannot move")
        await den.say("here?")
        assert (await anext(den)).data == {"said": "here?", "word": "one"}
        await place.say("here, too")
        with trio.fail_after(PATIENCE):
            while (said := (await anext(place)).data) != {"said": "here, too", "word": "two"}:
                assert isinstance(said, list)


async def test_code_with_an_error_leaves_the_match_and_says_file_and_line_until_it_is_mended(
    author: Author,
) -> None:
    await author.reads("Clients connect", "the new code runs")
    author.say_word("before")
    async with connect(author.url, kind="ticker") as place, author.events() as events:
        await hear(place, "before")
        author.save("ours/words.py", "WORD = 'broken\n")
        file = str(author.folder / "ours/words.py")
        await author.reads("The new code does not run; the old code goes on", f'"{file}", line 1')
        problem = await events.problem(there=True)
        assert (problem["file"], problem["line"]) == (file, 1)
        assert "unterminated string literal" in problem["text"]
        assert "ours/rooms.py" in problem["text"], "who imports it"
        assert "importlib" not in problem["text"]
        author.say_word("mended")
        check_one_match(await hear(place, "mended"))
        await events.problem(there=False)


async def test_a_room_whose_state_the_new_code_cannot_read_stays_until_a_save_that_can(
    author: Author,
) -> None:
    await author.reads("Clients connect", "the new code runs")
    author.say_word("old")
    async with (
        connect(author.url, kind="ticker") as place,
        connect(author.url, kind="keeper") as kept,
        author.events() as events,
    ):
        first = [await hear(one, "old") for one in (place, kept)]
        other_type = ROOMS.replace("ticks: int = 0", "ticks: list[int] = []")
        other_type = other_type.replace("ticks += 1", "ticks.append(0)")
        other_type = other_type.replace("[table.state.ticks, ", "[len(table.state.ticks), ")
        author.save("ours/rooms.py", other_type)
        await author.reads("cannot move into the new code")
        problem = await events.problem(there=True)
        file, line = problem["file"], problem["line"]
        assert (file, line) == (str(author.folder / "ours/rooms.py"), 6)
        why = "the state does not fit its kind: ValidationError: Expected `array`, got `int`"
        told = {f"1 {kind} room: {why}" for kind in ("ticker", "keeper")}
        while not all(
            one in problem["text"] for one in told
        ):  # one may be refused before the other
            problem = await events.problem(there=True)
        author.say_word("young")
        await author.reads("cannot move into the new code", count=2)
        async with connect(author.url, kind="ticker") as other:
            assert other.room != place.room
            assert (await hear(other, "young"))[0][0] < 20
        author.save("ours/rooms.py", ROOMS)
        for one, before in zip((place, kept), first, strict=True):
            check_one_match(before, await hear(one, "young"))
        await events.problem(there=False)


async def test_the_last_of_many_quick_saves_is_the_code_that_runs(author: Author) -> None:
    await author.reads("Clients connect", "the new code runs")
    async with connect(author.url, kind="ticker") as place:
        served = author.terminal.count("the new code runs")
        for number in range(12):
            author.say_word(f"quick {number}")
            with trio.move_on_after(0.15):
                async for _ in place:
                    pass
        check_one_match(await hear(place, "quick 11"))
        assert 1 <= author.terminal.count("the new code runs") - served < 12


async def test_code_that_never_ran_waits_for_a_save_and_ctrl_c_leaves_no_process(
    nodes: Nodes,
) -> None:
    (nodes.folder / "cards").mkdir()
    author = dev(nodes, "--reload-dir", "cards", words="WORD = 'one\n")
    await author.reads("nothing runs until the next save", "SyntaxError")
    author.say_word("two")
    await author.reads("Clients connect", "the new code runs")
    for name in ("ours/.words.py.swp", "ours/words.py~", "ours/notes.txt", "cards/deck.txt~"):
        (nodes.folder / name).write_text("no source")
    async with connect(author.url, kind="ticker") as place:
        await hear(place, "two")
        (nodes.folder / "cards/deck.txt").write_text("hearts")
        await author.reads("saved cards/deck.txt", "1 room moved into it")
        assert author.terminal.count("  saved ") == 2
    started = children(author.process.pid)
    assert len(started) >= 2
    author.process.signal(SIGINT)
    assert await author.process.exit_code(PATIENCE) == 0
    assert not list(filter(runs, started))


async def test_a_module_that_is_not_there_is_wrong_usage(nodes: Nodes) -> None:
    author = dev(nodes, "--rooms", "ours.rules")
    assert await author.process.exit_code(PATIENCE) == 2
    assert author.terminal.splitlines()[-1].startswith("Error: game-1: cannot import 'ours.rules'")

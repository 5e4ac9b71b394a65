"""The author's saves, in a real folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from lastcall.dev import watch as module
from lastcall.dev.watch import Watch

PATIENCE = 20.0


class Heard:
    """The saves and the words of one watch."""

    def __init__(self, trees: tuple[Path, ...] = ()) -> None:
        self.saves: list[list[Path]] = []
        self.shown: list[str] = []
        self.watch = Watch(self.saves.append, self.shown.append, trees)

    def names(self) -> set[str]:
        return {file.name for files in self.saves for file in files}

    async def waits_for(self, *names: str) -> None:
        with trio.fail_after(PATIENCE):
            while not set(names) <= self.names():
                await trio.sleep(0.01)


@asynccontextmanager
async def watching(*folders: Path, trees: tuple[Path, ...] = ()) -> AsyncIterator[Heard]:
    heard = Heard(trees)
    heard.watch.follow(folders)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(heard.watch.run)
        await trio.sleep(2 * module.OVERLAP_SECONDS)
        yield heard
        nursery.cancel_scope.cancel()


async def test_python_files_of_the_folder_count_and_others_and_droppings_do_not(
    tmp_path: Path,
) -> None:
    below = tmp_path / "below"
    below.mkdir()
    async with watching(tmp_path) as heard:
        for name in (".rooms.py.swp", "rooms.py~", ".#rooms.py", "notes.txt", "below/deep.py"):
            (tmp_path / name).touch()
        (tmp_path / "rooms.py").write_text("1")
        await heard.waits_for("rooms.py")
        (tmp_path / "new.py").write_text("1")
        await heard.waits_for("new.py")
        (tmp_path / ".new").write_text("2")
        (tmp_path / ".new").replace(tmp_path / "rooms.py")
        heard.watch.follow([below])
        await trio.sleep(3 * module.OVERLAP_SECONDS)
        (below / "deep.py").write_text("3")
        await heard.waits_for("deep.py")
    assert heard.names() == {"rooms.py", "new.py", "deep.py"}


async def test_any_file_below_a_tree_counts_but_what_tools_write(tmp_path: Path) -> None:
    (tmp_path / "cards" / "red").mkdir(parents=True)
    async with watching(trees=(tmp_path / "cards",)) as heard:
        (tmp_path / "cards" / "red" / "deck.txt~").touch()
        (tmp_path / "cards" / "red" / "deck.txt").write_text("hearts")
        await heard.waits_for("deck.txt")
    assert heard.names() == {"deck.txt"}


async def test_a_folder_that_is_made_anew_is_watched_again_and_counts_as_saved(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "ours"
    folder.mkdir()
    async with watching(folder) as heard:
        numbers = {folder.stat().st_ino}
        for _ in range(3):  # the system would soon give the same number again
            folder.rmdir()
            folder.mkdir()
            numbers.add(folder.stat().st_ino)
        assert len(numbers) > 1
        await heard.waits_for("ours")
        (folder / "rooms.py").write_text("1")
        await heard.waits_for("rooms.py")


async def test_when_the_system_watches_no_more_files_they_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = module.awatch

    def awatch_at_the_limit(*paths: Path, force_polling: bool | None, **options: object):
        if not force_polling and not options["ignore_permission_denied"]:
            raise OSError(28, "No space left on device")
        return library(*paths, force_polling=True, **options)

    monkeypatch.setattr(module, "awatch", awatch_at_the_limit)
    cards = tmp_path / "cards"
    cards.mkdir()
    async with watching(tmp_path, trees=(cards,)) as heard:
        (tmp_path / "rooms.py").write_text("1")
        (cards / "deck.txt").write_text("hearts")
        await heard.waits_for("rooms.py", "deck.txt")
    (shown,) = heard.shown
    assert "No space left on device" in shown
    assert "sysctl fs.inotify.max_user_watches" in shown

"""The code of the guide to rooms that move runs unchanged, and what it says is so."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import trio

from lastcall import Kind
from lastcall.core.handoff.offers import NOBODY, TOO_LATE
from lastcall.errors import StateFailed
from lastcall.policy import RoomPolicy
from lastcall.testing import play

PAGE = Path(__file__).parent.parent / "docs" / "moving-rooms.md"


def files() -> dict[str, str]:
    """The blocks of code; the first line of each is the name of its file."""
    blocks = re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return dict(blocks)


@pytest.fixture
def kinds(tmp_path: Path) -> dict[str, Kind]:
    """The kind of each auction, by the name of its file."""
    found = {}
    for name in ("auction_before.py", "auction.py"):
        (tmp_path / name).write_text(files()[name], encoding="utf-8")
        spec = spec_from_file_location(name.removesuffix(".py"), tmp_path / name)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        found[name] = module.auction
    return found


def test_the_tests_of_the_guide_pass(tmp_path: Path) -> None:
    for name, text in files().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "trio_mode=true"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert "3 passed" in done.stdout, done.stdout


@pytest.mark.parametrize("name", ["auction_before.py", "auction.py"])
async def test_both_auctions_of_the_guide_say_the_same(
    name: str, kinds: dict[str, Kind], autojump_clock: object
) -> None:
    async with play(kinds[name]) as table:
        ann = table.join("Ann")
        await trio.sleep(1)
        table.say(ann, {"amount": 5})
        assert await table.ended() == {"buyer": ann, "price": 5}
        bid = {"highest": 5, "by": ann}
        assert table.heard_by(ann) == [{"for sale": "a lamp"}, bid, {"highest": 5}, {"highest": 5}]


async def test_the_auction_of_the_guide_cannot_move_before_it_has_a_state(
    kinds: dict[str, Kind], autojump_clock: object
) -> None:
    async with play(kinds["auction_before.py"]) as table:
        table.join("Ann")
        await table.messages()
        with pytest.raises(StateFailed, match="never move"):
            await table.move()
        table.cut()


def test_the_guide_names_the_reasons_and_the_bounds_of_the_code() -> None:
    page = PAGE.read_text()
    policy = RoomPolicy()
    assert f"`{NOBODY}`" in page
    assert f"`{TOO_LATE}`" in page
    assert f"is the state ({policy.state_bytes >> 10} KiB at the most)" in " ".join(page.split())
    assert f"history ({policy.history_bytes >> 10} KiB" in page

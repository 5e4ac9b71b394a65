"""A test of this project's room, in virtual time."""

from game.rooms import toast
from trio.testing import MockClock

from lastcall.testing import play


async def test_a_toast_ends_after_three_inputs(autojump_clock: MockClock) -> None:
    async with play(toast) as table:
        ada = table.join("Ada")
        for word in ("one", "two", "three"):
            table.say(ada, word)
        assert await table.ended() == {ada: 3}
        assert table.heard_by(ada) == ["welcome, Ada", "Ada: one", "Ada: two", "Ada: three"]

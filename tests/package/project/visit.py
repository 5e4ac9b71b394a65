"""Joins the room, says enough to end it, and prints its messages and its result."""

import sys

import trio

from bench import WORDS
from lastcall.client import connect


async def main(url: str) -> None:
    """Plays one room to its end."""
    async with connect(url, kind="toast", name="Ada") as place:
        for number in range(WORDS):
            await place.say(f"word {number}")
        async for message in place:
            sys.stdout.write(f"{message.data}\n")
        assert place.ended is not None
        sys.stdout.write(f"{place.ended.reason}: {list(place.ended.result.values())}\n")


if __name__ == "__main__":
    trio.run(main, sys.argv[1])

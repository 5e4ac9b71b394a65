"""The end of a run: waits for inputs and messages in flight, and checks every ledger."""

from __future__ import annotations

import trio
from rich.progress import Progress

from lastcall.bench.bots.bot import Bot
from lastcall.bench.bots.crowd import Crowd, wait_until
from lastcall.bench.rooms.ledger import Verdict, check_room

QUIET_SECONDS = 20.0
"""The limit for the last acks and messages, from the last input."""
REPEAT_SECONDS = 0.5
"""The wait for messages that arrive a second time, after everything has arrived once."""
TALLY_SECONDS = 10.0


async def settle(crowd: Crowd, progress: Progress) -> Verdict:
    """Waits until all is acked and heard, asks each room for its tally, and checks the ledgers."""
    bar = progress.add_task("settling", total=3)
    await wait_until(lambda: all(map(_is_quiet, crowd.rooms)), QUIET_SECONDS)
    unacked = sum(bot.place.unacked for bot in crowd.bots)
    homeless = sum(not bot.live for bot in crowd.bots)
    progress.advance(bar)
    await trio.sleep(REPEAT_SECONDS)
    await ask_tallies(crowd)
    progress.advance(bar)
    complaints = list(crowd.complaints)
    if homeless:
        complaints.append(f"{homeless} bots did not get their place back")
    if unacked:
        complaints.append(f"{unacked} inputs were not acked within {QUIET_SECONDS:g} s")
    verdict = Verdict(complaints=tuple(complaints))
    for room in crowd.rooms:
        tally = next((bot.place.tally for bot in room if bot.place.tally is not None), None)
        verdict = verdict.plus(check_room([bot.place.ledger for bot in room], tally))
    progress.advance(bar)
    return verdict


async def ask_tallies(crowd: Crowd) -> None:
    """One bot of each room asks for its tally; returns once all have an answer, or after 10 s."""
    live = [[bot for bot in room if bot.live] for room in crowd.rooms]
    askers = [bots[0] for bots in live if bots]
    for asker in askers:
        asker.say(tally=True)
    places = [asker.place for asker in askers]
    await wait_until(
        lambda: all(place.tally is not None and not place.unacked for place in places),
        TALLY_SECONDS,
    )


def _is_quiet(room: list[Bot]) -> bool:
    """True if every player has all acks and has heard all inputs; dead bots are ignored."""
    said = sum(len(bot.place.ledger.said) for bot in room)
    return all(
        bot.dead or (bot.live and not bot.place.unacked and bot.place.ledger.broadcasts >= said)
        for bot in room
    )

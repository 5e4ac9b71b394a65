"""A bot that talks in a lounge."""

from __future__ import annotations

import msgspec
import trio

from lastcall.client import Place
from lastcall.errors import RemoteProtocolError
from lastcall.local.bots.bot import STALL_SECONDS, Bot
from lastcall.reasons import EndReason

TALK_SECONDS = (0.2, 0.4)


class _Repeated(msgspec.Struct, frozen=True):
    """A message of a lounge."""

    speaker: str = msgspec.field(name="from")
    said: int


class Talker(Bot):
    """Talks in a lounge: says one number after the other, and waits until it hears each."""

    kind = "lounge"

    async def _play(self, place: Place) -> None:
        said = 0
        while not self._crowd.stopping and place.ended is None:
            said += 1
            said_at = trio.current_time()
            await place.say(said)
            with trio.fail_after(STALL_SECONDS):
                await self._hear(place, said)
            self._ledger.answered(trio.current_time() - said_at)
            await trio.sleep(self._rng.uniform(*TALK_SECONDS))
        if place.ended is None:
            await place.leave()
        elif place.ended.reason is EndReason.CUT:
            self._ledger.was_cut()
        else:
            raise RemoteProtocolError(f"the lounge ended with {place.ended.reason}")

    async def _hear(self, place: Place, said: int) -> None:
        """Waits until the lounge repeats what the bot said; or for the lounge's end."""
        async for message in place:
            try:
                heard = msgspec.convert(message.data, _Repeated)
            except msgspec.ValidationError as error:
                raise RemoteProtocolError(f"{message.data!r} is not said: {error}") from error
            if heard.speaker == place.you:
                if heard.said != said:
                    raise RemoteProtocolError(f"the bot said {said}, and heard {heard.said}")
                return

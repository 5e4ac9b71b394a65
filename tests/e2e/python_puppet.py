"""Plays clients of ``lastcall.client`` for a test that says what they do, by lines of JSON."""

from __future__ import annotations

import json
import os
import sys
from collections import deque
from typing import Any

import trio

from lastcall.client import Place, PlaceState, connect
from lastcall.errors import ClientError

SHOWN = (
    "room",
    "you",
    "node",
    "resumes",
    "regroups",
    "incomplete",
    "repeats",
    "refused",
    "unacked",
)


class Player:
    """One place, its ledger, and what is still to be said."""

    def __init__(self) -> None:
        self.place: Place
        self.ledger: list[tuple[int, Any]] = []
        self.failed: list[str] = []
        self.lost: int | None = None
        self.over = False
        self._said: deque[object] = deque()
        self._more = trio.lowlevel.ParkingLot()

    async def run(self, urls: list[str], request: dict[str, Any], *, task_status: Any) -> None:
        try:
            async with connect(urls, **request) as self.place, trio.open_nursery() as nursery:
                task_status.started(self)
                nursery.start_soon(self._speak)
                await self._listen()
        except ClientError as error:
            if not hasattr(self, "place"):
                raise
            self.failed.append(repr(error))

    async def _listen(self) -> None:
        try:
            async for item in self.place:
                self.ledger.append((item.seq, item.data))
        except ClientError as error:
            self.lost = getattr(error, "code", 0)
        self.over = True

    async def _speak(self) -> None:
        while True:
            while self._said:
                try:
                    await self.place.say(self._said.popleft())
                except ClientError as error:
                    self.failed.append(repr(error))
            await self._more.park()

    def say(self, values: list[object]) -> None:
        self._said.extend(values)
        self._more.unpark_all()

    def report(self) -> dict[str, Any]:
        place = self.place
        shown = {field: getattr(place, field) for field in SHOWN}
        state = "here" if place.state is PlaceState.OVER and not self.over else place.state
        end = {"ended": None, "result": None}
        if place.ended is not None:
            end = {"ended": place.ended.reason, "result": place.ended.result}
        tally = {"heard": len(self.ledger), "failed": self.failed, "lost": self.lost}
        return {"state": state, **shown, **end, **tally}


class Puppet:
    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._players: list[Player] = []

    async def do(self, verb: str, player: int = 0, **order: Any) -> object:
        if verb == "join":
            self._players.append(
                await self._nursery.start(Player().run, order["urls"], order["request"])
            )
            return len(self._players) - 1
        found = self._players[player]
        match verb:
            case "say":
                found.say(order["values"])
            case "report":
                return found.report()
            case "ledger":
                return found.ledger
            case "leave":
                await found.place.leave()
        return None


async def main() -> None:
    async with trio.open_nursery() as nursery:
        puppet = Puppet(nursery)
        while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
            try:
                answer = {"done": await puppet.do(**json.loads(line))}
            except Exception as error:  # noqa: BLE001 - the test shows it
                answer = {"failed": repr(error)}
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
        os._exit(0)  # the nodes are gone by now: nobody is there to leave


if __name__ == "__main__":
    trio.run(main)

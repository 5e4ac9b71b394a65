"""The puppet for the Python client: lines of JSON on stdin tell it what its players do."""

from __future__ import annotations

import json
import os
import sys
from collections import deque
from typing import Any

import trio

from lastcall.client import Place, PlaceState, connect
from lastcall.errors import ClientError

REPORTED = (
    "room",
    "you",
    "node",
    "resumes",
    "regroups",
    "incomplete",
    "refused",
    "unacked",
)


class Player:
    """One place, the ledger of its messages, and the inputs that are not sent yet."""

    def __init__(self) -> None:
        self.place: Place
        self.ledger: list[tuple[int, Any]] = []
        self.failed: list[str] = []
        self.lost: int | None = None
        self.read_to_the_end = False
        self._unsent: deque[object] = deque()
        self._wakeup = trio.lowlevel.ParkingLot()

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
        self.read_to_the_end = True

    async def _speak(self) -> None:
        while True:
            while self._unsent:
                try:
                    await self.place.say(self._unsent.popleft())
                except ClientError as error:
                    self.failed.append(repr(error))
            await self._wakeup.park()

    def say(self, values: list[object]) -> None:
        self._unsent.extend(values)
        self._wakeup.unpark_all()

    def report(self) -> dict[str, Any]:
        place = self.place
        fields = {field: getattr(place, field) for field in REPORTED}
        fields["repeats"] = place.progress.repeats
        state = (
            "here" if place.state is PlaceState.OVER and not self.read_to_the_end else place.state
        )
        end = {"ended": None, "result": None}
        if place.ended is not None:
            end = {"ended": place.ended.reason, "result": place.ended.result}
        counts = {"heard": len(self.ledger), "failed": self.failed, "lost": self.lost}
        return {"state": state, **fields, **end, **counts}


class Puppet:
    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._players: list[Player] = []

    async def do(self, verb: str, player: int = 0, **arguments: Any) -> object:
        if verb == "join":
            self._players.append(
                await self._nursery.start(Player().run, arguments["urls"], arguments["request"])
            )
            return len(self._players) - 1
        chosen = self._players[player]
        match verb:
            case "say":
                chosen.say(arguments["values"])
            case "report":
                return chosen.report()
            case "ledger":
                return chosen.ledger
            case "leave":
                await chosen.place.leave()
        return None


async def main() -> None:
    async with trio.open_nursery() as nursery:
        puppet = Puppet(nursery)
        while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
            try:
                response = {"done": await puppet.do(**json.loads(line))}
            except Exception as error:  # noqa: BLE001 - the test reports it
                response = {"failed": repr(error)}
            sys.stdout.write(json.dumps(response) + "\n")
            sys.stdout.flush()
        os._exit(0)  # the nodes have exited: leaving the places would only take time


if __name__ == "__main__":
    trio.run(main)

"""Rooms that outlive their nodes, and clusters for them."""

from __future__ import annotations

from typing import Any

import trio

from lastcall import Room, Said, room
from tests.harness.cluster import ApiProcess, Cluster, GameProcess
from tests.harness.player import Player
from tests.moves.rooms import KINDS, Talk, kinds, repeat
from tests.moves.talks import start


@room("ark", seats=8, state=Talk, survives=True)
async def ark(table: Room[Talk]) -> None:
    await repeat(table)


SURVIVORS = KINDS | kinds(ark)

"""Game nodes as an api node's links show them, and sessions that only note what they are told."""

from __future__ import annotations

from typing import Any

import msgspec

from lastcall.api.sessions.guest import Guest
from lastcall.identity import Identity
from lastcall.wire import frames, nodes


class FakeGameLink:
    """Keeps what is sent to the game node; the test says what the node is like."""

    def __init__(self, name: str, *, wire: int = nodes.WIRE, incarnation: int = 0) -> None:
        self.address = f"tcp://{name}:7101"
        self.silent = False
        self.wanted = True
        self.sent: list[Any] = []
        self.cancelled: list[int] = []
        """The calls of which it was told that nobody waits for them any more."""
        self.state = nodes.NodeState(1, "serving", 0, {"den": 0}, sizes={"den": 2})
        self.node = nodes.Welcome(
            wire=wire,
            link=1,
            name=name,
            incarnation=incarnation or hash(name),
            version="1",
            born=1.0,
            state=self.state,
        )

    def __repr__(self) -> str:
        return self.node.name

    def send(self, item: nodes.Up, *, pressing: bool = True) -> None:  # noqa: ARG002
        if isinstance(item, nodes.Cancel):
            self.cancelled.append(item.call)
        else:
            self.sent.append(item)

    def becomes(self, phase: str) -> None:
        self.state = msgspec.structs.replace(self.state, phase=phase)

    @property
    def calls(self) -> list[int]:
        """The numbers of the calls that it was sent."""
        return [item.call for item in self.sent]


class Caller:
    """A session that is told how its join or resume has ended."""

    def __init__(self, address: str = "", identity: Identity | None = None) -> None:
        self.guest = Guest(address, identity)
        self.leaving = False
        self.told: list[str] = []
        self.why = ""

    def lose(self, close: int, why: str = "") -> None:
        self.told.append(str(int(close)))
        self.why = why

    def refused(self, code: str, message: str) -> None:
        self.told.append(message if code == "bad_frame" else str(code))


def join(**more: Any) -> frames.Join:
    return frames.Join(**{"kind": "den"} | more)

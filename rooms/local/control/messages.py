"""What is said on the control socket of ``lastcall up``: JSON objects, one a line.

A caller asks one thing on each connection: ``{"ask":"nodes"}`` is answered by one line, and
``{"ask":"roll","tier":"all"}`` by a line for each thing that happens, and at the end the report.
What cannot be done is answered by ``{"is":"refused","message":…}``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Literal, TypeAlias, TypeVar

import msgspec

from lastcall.errors import RemoteProtocolError, UsageError
from lastcall.reasons import ExitCode
from lastcall.wire.reports import DrainFinished

__all__ = [
    "AskNodes",
    "AskRoll",
    "DeadNode",
    "NodeEntry",
    "NodeList",
    "NodeReport",
    "Players",
    "Progress",
    "Question",
    "Refused",
    "Reply",
    "RollReport",
    "RollTier",
    "decode_question",
    "decode_reply",
    "encode",
    "parse_version",
]

RollTier: TypeAlias = Literal["game", "api", "all"]

VERSION = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$"
Version: TypeAlias = Annotated[str, msgspec.Meta(pattern=VERSION)]


def parse_version(text: str) -> str:
    """A version as ``--version`` takes it; raises :class:`UsageError` for anything else."""
    if not re.search(VERSION, text) or text.endswith("\n"):
        raise UsageError(
            f"{text!r} is no version: it takes 1 to 64 letters, digits, dots, dashes, plus signs "
            "and underscores, such as 1.2.0 or 0.1.0+2"
        )
    return text


class AskNodes(msgspec.Struct, frozen=True, tag_field="ask", tag="nodes"):
    """Which nodes run?"""


class AskRoll(msgspec.Struct, frozen=True, tag_field="ask", tag="roll"):
    """Roll this tier. ``version`` is what the new nodes say they are; None: one up."""

    tier: RollTier = "all"
    version: Version | None = None


class NodeEntry(msgspec.Struct, frozen=True):
    """One node that runs. ``admin`` is empty until it is ready."""

    name: str
    tier: str
    version: str
    admin: str
    pid: int
    phase: str


class DeadNode(msgspec.Struct, frozen=True):
    """A node that nobody told to end; ``how`` it did, such as ``killed by SIGKILL``."""

    name: str
    version: str
    pid: int
    how: str


class NodeList(msgspec.Struct, frozen=True, tag_field="is", tag="nodes"):
    """The nodes that run. ``url`` is where clients connect; ``dead`` are those that ended by
    themselves, without a drain: name and how, in the order of their start.
    """

    url: str
    nodes: tuple[NodeEntry, ...]
    dead: tuple[DeadNode, ...] = ()


class Progress(msgspec.Struct, frozen=True, tag_field="is", tag="progress"):
    """A node has come to another stage, so many seconds after the roll began."""

    at: float
    node: str
    version: str
    stage: str
    text: str
    admin: str = ""


class NodeReport(msgspec.Struct, frozen=True):
    """What became of a node that the roll has replaced. ``exit_code`` is None while it drains,
    and ``finished`` until it has told how the drain went.
    """

    name: str
    version: str
    exit_code: int | None
    finished: DrainFinished | None = None

    @property
    def in_peace(self) -> bool:
        """Whether it ended with 0, and has cut nothing."""
        cut = 0 if self.finished is None else self.finished.cut
        return self.exit_code == ExitCode.DRAINED and not cut


class Players(msgspec.Struct, frozen=True):
    """What the bots saw from the roll's start to its end.

    ``refused``: joins refused, whether or not they may pass later, and sockets that would not open.
    ``cut``: matches ended by a deadline. ``lost``: messages missing, places and rooms lost, results
    that differ. ``repeated``: messages that came twice. A place that was taken again is a hop.
    Waits are seconds from asking to join to ``joined``: a refusal to be tried again, and a move
    that answers instead, are in it; a reconnect before the asking is not.
    """

    bots: int
    refused: int = 0
    cut: int = 0
    lost: int = 0
    repeated: int = 0
    matches: int = 0
    joins: int = 0
    hops_max: int = 0
    hops_mean: float = 0.0
    wait_p50: float = 0.0
    wait_p99: float = 0.0
    wait_max: float = 0.0
    troubles: tuple[str, ...] = ()

    @property
    def noticed(self) -> int:
        """How often a player noticed."""
        return self.refused + self.cut + self.lost + self.repeated


class RollReport(msgspec.Struct, frozen=True, tag_field="is", tag="report"):
    """How a roll went. ``failure`` says why it stopped half-way; ``players`` is None without bots.

    ``nodes`` are the old ones, ``started`` the names of the new ones that serve.
    """

    tier: RollTier
    version: str
    seconds: float
    nodes: tuple[NodeReport, ...]
    started: tuple[str, ...]
    players: Players | None = None
    failure: str | None = None

    @property
    def exit_code(self) -> ExitCode:
        """1 when it stopped half-way, 3 when anybody noticed or anything was cut, else 0."""
        if self.failure is not None:
            return ExitCode.CRASHED
        noticed = self.players.noticed if self.players else 0
        in_peace = all(node.in_peace for node in self.nodes)
        return ExitCode.DRAINED if in_peace and not noticed else ExitCode.CUT


class Refused(msgspec.Struct, frozen=True, tag_field="is", tag="refused"):
    """It cannot be done; ``message`` is a sentence."""

    message: str


Question: TypeAlias = AskNodes | AskRoll
Reply: TypeAlias = NodeList | Progress | RollReport | Refused

M = TypeVar("M")

_questions: msgspec.json.Decoder[Question] = msgspec.json.Decoder(Question)
_replies: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)


def encode(message: Question | Reply) -> bytes:
    """One line."""
    return msgspec.json.encode(message) + b"\n"


def decode_question(line: bytes) -> Question:
    """Raises :class:`RemoteProtocolError` with what is wrong."""
    return _decoded(_questions.decode, line)


def decode_reply(line: bytes) -> Reply:
    """Raises :class:`RemoteProtocolError` with what is wrong."""
    return _decoded(_replies.decode, line)


def _decoded(decode: Callable[[bytes], M], line: bytes) -> M:
    try:
        return decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RemoteProtocolError(str(error)) from error
    except RecursionError as error:  # msgspec's, on deep nesting
        raise RemoteProtocolError("nested too deeply") from error

"""The messages on the control socket of ``lastcall up``: JSON objects, one a line.

A caller asks one question on each connection. The answer to ``{"ask":"nodes"}`` is one line; the
answer to ``{"ask":"roll","tier":"all"}`` is a line for each step, and then the report. A question
that cannot be answered gets ``{"is":"refused","message":…}``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Literal, TypeAlias, TypeVar

import msgspec

from lastcall.errors import RemoteProtocolError, UsageError
from lastcall.reasons import ExitCode
from lastcall.wire.reports import DrainFinished, HandOffRefusal

RollTier: TypeAlias = Literal["game", "api", "all"]

VERSION = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$"
Version: TypeAlias = Annotated[str, msgspec.Meta(pattern=VERSION)]


def parse_version(text: str) -> str:
    """Checks a version for ``--version``; raises :class:`UsageError` if it is not valid."""
    if not re.search(VERSION, text) or text.endswith("\n"):
        raise UsageError(
            f"{text!r} is not a version: it needs 1 to 64 letters, digits, dots, dashes, plus "
            "signs and underscores, such as 1.2.0 or 0.1.0+2"
        )
    return text


class AskNodes(msgspec.Struct, frozen=True, tag_field="ask", tag="nodes"):
    """Asks which nodes run."""


class AskRoll(msgspec.Struct, frozen=True, tag_field="ask", tag="roll"):
    """Orders a roll of this tier. ``version`` is that of the new nodes; None: the next one."""

    tier: RollTier = "all"
    version: Version | None = None


class NodeEntry(msgspec.Struct, frozen=True):
    """A node that runs. ``admin`` is empty until it is ready."""

    name: str
    tier: str
    version: str
    admin: str
    pid: int
    phase: str


class DeadNode(msgspec.Struct, frozen=True):
    """A node that died. ``how`` says how, such as ``killed by SIGKILL``."""

    name: str
    version: str
    pid: int
    how: str


class NodeList(msgspec.Struct, frozen=True, tag_field="is", tag="nodes"):
    """The nodes that run, and in ``dead`` those that ended without a drain, in the order of their
    start. ``url`` is where clients connect.
    """

    url: str
    nodes: tuple[NodeEntry, ...]
    dead: tuple[DeadNode, ...] = ()


class Progress(msgspec.Struct, frozen=True, tag_field="is", tag="progress"):
    """A node has reached another stage, ``at`` seconds after the roll began."""

    at: float
    node: str
    version: str
    stage: str
    text: str
    admin: str = ""


class Output(msgspec.Struct, frozen=True, tag_field="is", tag="output"):
    """A node's warning or error, or what one of its rooms printed, while the roll is under way."""

    text: str


class NodeReport(msgspec.Struct, frozen=True):
    """How a node that the roll replaced has ended. ``exit_code`` is None while the node drains, and
    ``finished`` until it has reported its drain. ``refusals``: why other nodes did not take rooms.
    """

    name: str
    version: str
    exit_code: int | None
    finished: DrainFinished | None = None
    refusals: tuple[HandOffRefusal, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether the node ended with exit code 0 and cut nothing."""
        cut = 0 if self.finished is None else self.finished.cut
        return self.exit_code == ExitCode.DRAINED and not cut


class Players(msgspec.Struct, frozen=True):
    """The bots' experience from the roll's start to its end.

    ``refused``: joins refused, for now or for good, and connections that failed. ``cut``: matches
    that a deadline ended. ``lost``: missing messages, lost places and rooms, results that differ.
    ``repeated``: messages that came twice. Resuming a place is a hop. Waits are seconds from the
    first request to join to ``joined``: further tries and moves count, a reconnect before the
    request does not.
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
        """How often a player noticed the roll."""
        return self.refused + self.cut + self.lost + self.repeated


class RollReport(msgspec.Struct, frozen=True, tag_field="is", tag="report"):
    """How a roll went. ``failure`` says why it stopped half-way; ``players`` is None without bots.

    ``nodes`` are the old nodes, ``started`` the names of the new ones that serve.
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
        """1 if the roll stopped half-way, 3 if a player noticed or something was cut, else 0."""
        if self.failure is not None:
            return ExitCode.CRASHED
        noticed = self.players.noticed if self.players else 0
        clean = all(node.clean for node in self.nodes)
        return ExitCode.DRAINED if clean and not noticed else ExitCode.CUT


class Refused(msgspec.Struct, frozen=True, tag_field="is", tag="refused"):
    """The question cannot be answered; ``message`` says why, in a sentence."""

    message: str


Question: TypeAlias = AskNodes | AskRoll
Reply: TypeAlias = NodeList | Progress | Output | RollReport | Refused

M = TypeVar("M")

_questions: msgspec.json.Decoder[Question] = msgspec.json.Decoder(Question)
_replies: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)


def encode(message: Question | Reply) -> bytes:
    """The message as one line."""
    return msgspec.json.encode(message) + b"\n"


def decode_question(line: bytes) -> Question:
    """Raises :class:`RemoteProtocolError`, which says what is wrong."""
    return _decoded(_questions.decode, line)


def decode_reply(line: bytes) -> Reply:
    """Raises :class:`RemoteProtocolError`, which says what is wrong."""
    return _decoded(_replies.decode, line)


def _decoded(decode: Callable[[bytes], M], line: bytes) -> M:
    try:
        return decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RemoteProtocolError(str(error)) from error
    except RecursionError as error:  # msgspec's, on deep nesting
        raise RemoteProtocolError("nested too deeply") from error

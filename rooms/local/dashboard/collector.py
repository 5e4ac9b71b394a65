"""Asks many nodes at the same time what they are, each for one second at most."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
import msgspec
import trio
from msgspec.structs import replace

from lastcall.errors import ClusterFailed
from lastcall.local.admin_client import ANSWER_SECONDS, ask_all, fetch, status
from lastcall.wire import UNREADABLE
from lastcall.wire.reports import Status
from lastcall.wire.views import NodeCard, NodeFigures, NodeNow

NODES_MAX = 100
LOOK_SECONDS = 1.0
LEAST_SECONDS = 0.25
"""Between two events ``cluster``."""
LINES_MAX, CHARS_MAX, ID_CHARS_MAX = 500, 1_000, 100
"""This much is kept of an answer: log lines, the text of each, and the id to ask for later ones."""


class Collector:
    """The answers of nodes. Remembers how much of each one's log it has."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._last_ids: dict[str, str] = {}

    async def ask(self, admins: Sequence[str]) -> dict[str, NodeNow | None]:
        """Each node as it is now; None for one that does not answer within a second."""
        answers = dict(zip(admins, await ask_all(admins, self._ask), strict=True))
        self._last_ids = {
            admin: now.last_id for admin, now in answers.items() if now and _may_be_id(now.last_id)
        } | {admin: self._last_ids[admin] for admin in self._silent(answers)}
        return answers

    def _silent(self, answers: dict[str, NodeNow | None]) -> list[str]:
        return [admin for admin in self._last_ids if admin in answers and answers[admin] is None]

    async def _ask(self, admin: str) -> NodeNow | None:
        with trio.move_on_after(ANSWER_SECONDS):
            return await self._look(admin)
        return None

    async def _look(self, admin: str) -> NodeNow | None:
        headers = {"Last-Event-ID": self._last_ids.get(admin, "")}
        try:
            answer = await fetch(self._client, "GET", admin, "cluster/node", headers=headers)
            if answer.status_code == httpx.codes.NOT_FOUND:  # a node of version 0.1
                return _of_status(await status(self._client, admin))
            return _bounded(msgspec.json.decode(answer.content, type=NodeNow))
        except (httpx.HTTPError, *UNREADABLE):
            return None


def _bounded(now: NodeNow) -> NodeNow:
    """``now`` with its newest log lines alone, and with the beginnings of their texts."""
    lines = (
        replace(line, node=line.node[:CHARS_MAX], text=line.text[:CHARS_MAX])
        for line in now.logs[-LINES_MAX:]
    )
    return replace(now, logs=tuple(lines))


def _may_be_id(text: str) -> bool:
    """Whether it can be sent back in a header."""
    return len(text) <= ID_CHARS_MAX and text.isascii() and text.isprintable()


def _of_status(now: Status | None) -> NodeNow | None:
    if now is None:
        return None
    card = NodeCard(
        now.name,
        now.tier,
        now.version,
        now.phase,
        now.rooms,
        now.clients,
        now.seconds_left,
        why=now.why,
    )
    return NodeNow(card, NodeFigures(rooms=now.rooms, clients=now.clients))


async def ask_kinds(client: httpx.AsyncClient, cards: Sequence[NodeCard]) -> bytes:
    """The kinds of rooms, as JSON, from the first of these nodes that answers; raises
    :class:`ClusterFailed`.
    """
    for card in cards:
        try:
            answer = await fetch(client, "GET", card.admin, "cluster/kinds")
        except httpx.HTTPError:
            continue
        if answer.status_code == httpx.codes.OK:
            return answer.content
    raise ClusterFailed("no game node answers")

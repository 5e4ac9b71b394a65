"""A node as its page shows it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from lastcall.core.lifecycle import Phase
from lastcall.runtime.drain import Drain
from lastcall.runtime.figures import Figures
from lastcall.wire.reports import Status
from lastcall.wire.views import NodeCard, NodeFigures, NodeNow

WHY_SHOWN = 10
WHY_CHARS = 200
LAGS_KEPT = 100
"""Ten seconds of them."""


class Lags:
    """How late the loop was, ten times a second, for as long as is remembered."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=LAGS_KEPT)
        self.add = self._seconds.append

    @property
    def p99(self) -> float | None:
        """The lag that 99 of 100 did not exceed; None before the first."""
        ordered = sorted(self._seconds)
        return round(ordered[99 * (len(ordered) - 1) // 100], 6) if ordered else None


def node_now(
    status: Status, figures: NodeFigures, drain: Drain, client_urls: Sequence[str]
) -> NodeNow:
    """The node at this moment. While it serves, nobody asks why it is still up."""
    card = NodeCard(
        name=status.name,
        tier=status.tier,
        version=status.version,
        phase=status.phase,
        rooms=status.rooms,
        clients=status.clients,
        seconds_left=status.seconds_left,
        grace=None if status.seconds_left is None else drain.policy.cut_seconds,
        why=() if status.phase == Phase.SERVING else _short(status.why),
    )
    return NodeNow(card, figures, tuple(client_urls))


def _short(why: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sentence[:WHY_CHARS] for sentence in why[:WHY_SHOWN])


def figures_now(figures: Figures, lags: Lags) -> NodeFigures:
    """The figures that are shown of a node's own."""
    return NodeFigures(
        messages_in=figures.messages_in,
        messages_out=figures.messages_out,
        rooms=figures.rooms,
        clients=figures.clients,
        limited=sum(figures.limited.values()),
        rooms_cut=figures.rooms_ended.get("cut", 0),
        lag_p99=lags.p99,
    )

"""What the scenarios that lose sockets report alike: the verdict, the returns, who spent what."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lastcall.bench.bots.bot import Return
from lastcall.bench.report.report import Figure, percentile
from lastcall.bench.rooms.ledger import Verdict
from lastcall.bench.scenarios.moving import most_within

__all__ = [
    "failure_of",
    "of_busiest",
    "of_cpu",
    "of_dials",
    "of_times",
    "of_verdict",
    "of_waits",
    "peak_ratio",
]

WINDOW_SECONDS = 0.1
PEAK_LIMIT = 2.0


def of_verdict(verdict: Verdict) -> list[Figure]:
    """What was said and heard, and what was wrong with it."""
    return [
        Figure("inputs", verdict.inputs, ""),
        Figure("messages heard", verdict.messages, ""),
        Figure("lost", verdict.lost, "", limit=0),
        Figure("twice", verdict.twice, "", limit=0),
        Figure("out of order", verdict.disordered, "", limit=0),
        Figure("wrongly addressed", verdict.stray, "", limit=0),
    ]


def failure_of(verdict: Verdict) -> str:
    """The sentence with which the run has failed; empty when all was well."""
    if verdict.clean:
        return ""
    told = "; ".join(verdict.complaints)
    return (
        f"{verdict.lost} lost, {verdict.twice} twice, {verdict.disordered} out of order, "
        f"{verdict.stray} wrongly addressed: {told}"
    )


def of_times(
    name: str, seconds: Sequence[float], limits: Mapping[str, float] | None = None
) -> list[Figure]:
    """p50, p99 and max, in seconds; ``limits`` by these words."""
    ordered, limits = sorted(seconds), limits or {}
    return [
        Figure(f"{name}, {word}", percentile(ordered, share), "s", limits.get(word))
        for word, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
    ]


def of_waits(when: str, seconds: Sequence[float]) -> list[Figure]:
    """From a say to the speaker's own message."""
    return [
        Figure(one.name, 1000 * one.value, "ms")
        for one in of_times(f"{when}: say to own msg", seconds)
    ]


def of_dials(returns: Sequence[Return]) -> list[Figure]:
    """What of it is the servers' part: connect, upgrade, resume, the answer."""
    *figures, _ = of_times("dial to resumed", [one.back_at - one.dialled_at for one in returns])
    most = max((one.dials for one in returns), default=0)
    return [*figures, Figure("dials for one resume, most", most, "")]


def peak_ratio(times: Sequence[float], window: float = WINDOW_SECONDS) -> float:
    """The fullest ``window`` among ``times``, as a multiple of the mean from first to last."""
    ordered = sorted(times)
    if len(ordered) < 2 or ordered[-1] - ordered[0] <= window:
        return math.nan
    mean = len(ordered) * window / (ordered[-1] - ordered[0])
    return most_within(window, ordered) / mean


def of_busiest(what: str, times: Sequence[float]) -> list[Figure]:
    """How crowded the fullest 100 ms was, wherever it begins."""
    return [
        Figure(what, len(times), ""),
        Figure(f"{what} in the busiest 100 ms", most_within(WINDOW_SECONDS, sorted(times)), ""),
        Figure("… as a multiple of the mean", peak_ratio(times), "x", PEAK_LIMIT),
    ]


def of_cpu(when: str, percents: Mapping[str, float]) -> list[Figure]:
    """Percent of a core, of each node and of the bots."""
    return [Figure(f"{when}: processor, {name}", used, "%") for name, used in percents.items()]

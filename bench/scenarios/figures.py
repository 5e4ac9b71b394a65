"""The figures that several scenarios report: times, peaks, the verdict, processor time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lastcall.bench.bots.bot import Return
from lastcall.bench.report.report import Figure, percentile
from lastcall.bench.rooms.ledger import Verdict

MIB = 1024 * 1024
WINDOW_SECONDS = 0.1
PEAK_LIMIT = 2.0
BACK_LIMITS = {"p50": 0.5, "p99": 2.0}
"""Seconds from the loss of a socket to the resume."""
BACK_SECONDS = 30.0
"""The limit for the last bot to return."""


def of_verdict(verdict: Verdict) -> list[Figure]:
    """The numbers of inputs, messages and errors."""
    return [
        Figure("inputs", verdict.inputs, ""),
        Figure("messages heard", verdict.messages, ""),
        Figure("lost", verdict.lost, "", limit=0),
        Figure("twice", verdict.twice, "", limit=0),
        Figure("out of order", verdict.disordered, "", limit=0),
        Figure("wrongly addressed", verdict.stray, "", limit=0),
    ]


def failure_of(verdict: Verdict) -> str:
    """The sentence that says why the run has failed; empty if all was well."""
    if verdict.clean:
        return ""
    return (
        f"{verdict.lost} lost, {verdict.twice} twice, {verdict.disordered} out of order, "
        f"{verdict.stray} wrongly addressed: {'; '.join(verdict.complaints)}"
    )


def times(
    name: str,
    seconds: Sequence[float],
    limits: Mapping[str, float] | None = None,
    *,
    unit: str = "s",
) -> list[Figure]:
    """p50, p99 and max in ``unit`` (``s`` or ``ms``), with ``limits`` by these names."""
    ordered, limits, scale = sorted(seconds), limits or {}, 1000 if unit == "ms" else 1
    return [
        Figure(f"{name}, {word}", scale * percentile(ordered, share), unit, limits.get(word))
        for word, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
    ]


def waits(when: str, seconds: Sequence[float]) -> list[Figure]:
    """The times from a say to the speaker's own message."""
    return times(f"{when}: say to own msg", seconds, unit="ms")


def dials(returns: Sequence[Return]) -> list[Figure]:
    """The servers' part of a return: connect, upgrade, resume, the answer."""
    *figures, _ = times("dial to resumed", [one.back_at - one.dialled_at for one in returns])
    most = max((one.dials for one in returns), default=0)
    return [*figures, Figure("dials for one resume, most", most, "")]


def most_within(window: float, ordered: Sequence[float]) -> int:
    """The largest number of the rising ``ordered`` that lie within any one ``window``."""
    most = first = 0
    for index, at in enumerate(ordered):
        while at - ordered[first] > window:
            first += 1
        most = max(most, index - first + 1)
    return most


def peak_ratio(times: Sequence[float], window: float = WINDOW_SECONDS) -> float:
    """The fullest ``window`` among ``times``, as a multiple of the mean from first to last."""
    ordered = sorted(times)
    if len(ordered) < 2 or ordered[-1] - ordered[0] <= window:
        return math.nan
    mean = len(ordered) * window / (ordered[-1] - ordered[0])
    return most_within(window, ordered) / mean


def peaks(what: str, times: Sequence[float]) -> list[Figure]:
    """The number of events, and of those in the fullest 100 ms, wherever it begins."""
    return [
        Figure(what, len(times), ""),
        Figure(f"{what} in the busiest 100 ms", most_within(WINDOW_SECONDS, sorted(times)), ""),
        Figure("… as a multiple of the mean", peak_ratio(times), "x", PEAK_LIMIT),
    ]


def cpu(when: str, percents: Mapping[str, float]) -> list[Figure]:
    """Percent of a core, of each node and of the bots."""
    return [Figure(f"{when}: processor, {name}", used, "%") for name, used in percents.items()]

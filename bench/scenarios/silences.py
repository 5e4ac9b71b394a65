"""The cost of a hand-off: the silence that players notice, and how late a loop was."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from prometheus_client.parser import text_string_to_metric_families

from lastcall.bench.bots.bot import Bot
from lastcall.bench.bots.place import SALT_BITS

LAG = "lastcall_loop_lag_seconds_bucket"


def longest_silence(
    heard: Sequence[tuple[float, float]], begin: float, end: float = math.inf
) -> float:
    """The longest time between two messages, less the time between their inputs, in seconds.

    ``heard`` are the messages of one player in their order: when each was said, and when it was
    heard. A silence counts if it ends between ``begin`` and ``end``.
    """
    longest = 0.0
    for (said, before), (next_said, after) in pairwise(heard):
        if begin < after <= end:
            longest = max(longest, after - before - max(0.0, next_said - said))
    return longest


def silences(rooms: Sequence[Sequence[Bot]], begin: float, end: float = math.inf) -> list[float]:
    """The longest silence of each player between the two times."""
    return [longest_silence(list(_heard(bot, room)), begin, end) for room in rooms for bot in room]


def _heard(bot: Bot, room: Sequence[Bot]) -> Iterator[tuple[float, float]]:
    """When each message to all was said, and when ``bot`` heard it."""
    said_at = {other.place.ledger.player: other.place.said_at for other in room}
    told = (message for message in bot.place.ledger.heard if not message[1])
    for (_, _, speaker, value), heard_at in zip(told, bot.place.heard_at, strict=True):
        yield said_at[speaker][(value >> SALT_BITS) - 1], heard_at


def loop_held(before: str, after: str) -> float:
    """How late a node's loop was at most between two readings of ``/metrics``, in seconds.

    It is the upper bound of the metric's bucket; infinite above the last one.
    """
    was, now = _buckets(before), _buckets(after)
    late = now[math.inf] - was[math.inf]
    return min(bound for bound, count in now.items() if count - was[bound] == late)


def _buckets(text: str) -> Mapping[float, float]:
    """How many times the loop was at most so late, by its bounds in seconds."""
    return {
        float(sample.labels["le"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == LAG
    }

"""Percentiles of times, by HdrHistogram."""

from __future__ import annotations

import math
from collections.abc import Mapping

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

__all__ = ["percentiles_ms"]

HIGHEST_MICROS = 60_000_000
DIGITS = 3


def percentiles_ms(micros: Mapping[int, int], *shares: float) -> list[float]:
    """The times in ms that so many percent do not exceed; ``micros``: how often so many µs.

    NaN without any. 100 is the greatest of all. Below 1 µs counts as 1.
    """
    histogram = HdrHistogram(1, HIGHEST_MICROS, DIGITS)
    for value, count in micros.items():
        histogram.record_value(min(max(1, value), HIGHEST_MICROS), count)
    if not micros:
        return [math.nan] * len(shares)
    return [histogram.get_value_at_percentile(share) / 1000 for share in shares]

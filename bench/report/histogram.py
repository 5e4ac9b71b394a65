"""Percentiles of times, by HdrHistogram."""

from __future__ import annotations

import math
from collections.abc import Mapping

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

HIGHEST_MICROS = 60_000_000
DIGITS = 3


def percentiles_ms(micros: Mapping[int, int], *shares: float) -> list[float]:
    """For each of ``shares``, the time in ms that so many percent do not exceed (100: the maximum).

    ``micros`` are counts by µs; below 1 µs counts as 1. NaN without any.
    """
    histogram = HdrHistogram(1, HIGHEST_MICROS, DIGITS)
    for value, count in micros.items():
        histogram.record_value(min(max(1, value), HIGHEST_MICROS), count)
    if not micros:
        return [math.nan] * len(shares)
    return [histogram.get_value_at_percentile(share) / 1000 for share in shares]

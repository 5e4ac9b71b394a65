"""The table ``[limits]``: what is written is what is read."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from lastcall.limits import Limits, Rate, read_limits, write_limits

RATES = st.builds(Rate, st.floats(1, 1e300), st.floats(1e-300, 1e300))
COUNTS = st.integers(1, 1 << 40)


@given(
    st.builds(
        Limits, sockets=COUNTS, joins=RATES, rooms_opened=RATES, accounts=COUNTS, inputs=RATES
    )
)
def test_limits_that_were_written_are_read_as_they_were(limits: Limits) -> None:
    table = tomllib.loads(write_limits(limits))
    assert read_limits(table["limits"], "a file") == limits

"""The close codes that wsproto does not know: it refuses them as a protocol error.

IANA's registry of close codes has 1014 (bad gateway) as well; the list of wsproto 1.3 ends at 1013.
:func:`learn_codes` teaches it the rest, by the hook that ``enum`` has for values that are missing:
a wsproto that knows them does not ask. Both ends need it, since a proxy may close with 1014, too.
"""

from __future__ import annotations

from wsproto.frame_protocol import CloseReason

NAMES = {1014: "BAD_GATEWAY"}


def learn_codes() -> None:
    """Has wsproto accept the registered codes, in this process; may be called again."""
    CloseReason._missing_ = classmethod(_missing)  # type: ignore[assignment]


def _missing(_enum: type[CloseReason], value: object) -> CloseReason | None:
    if not isinstance(value, int) or value not in NAMES:
        return None
    code = int.__new__(CloseReason, value)
    code._name_, code._value_ = NAMES[value], value
    return code

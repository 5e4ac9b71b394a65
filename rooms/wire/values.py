"""Authors' and players' values as JSON: one rule for everything that a room or a player sends.

JSON's own rule (RFC 8259) is one that every reader agrees with: no NaN and no Infinity, no half of
a surrogate pair, and not too deep. A value beyond it is refused where it is said, since the reader
would get something else, or nothing.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode


def encode_value(value: Any) -> bytes:
    """``value`` as JSON; raises ``TypeError``, with a sentence, for what JSON cannot hold."""
    try:
        body = _encode(value)
        if b"null" in body:  # msgspec writes null for NaN and Infinity
            json.dumps(msgspec.to_builtins(value, str_keys=True), allow_nan=False)
    except TypeError:
        raise
    except UnicodeEncodeError as error:
        raise TypeError("JSON cannot hold half of a surrogate pair (half an emoji)") from error
    except RecursionError as error:
        raise TypeError("JSON cannot hold a value that contains itself, or is so deep") from error
    except (ValueError, OverflowError) as error:
        raise TypeError(f"JSON cannot hold NaN, Infinity or such a number: {error}") from error
    return body

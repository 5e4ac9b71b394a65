"""A kind of room as a node serves it: with the decoders of what its clients send."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from lastcall.author import Kind
from lastcall.errors import BadFrame, BadRooms
from lastcall.reasons import ErrorCode

__all__ = ["KindCodec"]


class KindCodec:
    """One kind. Raises :class:`BadRooms` for inputs or options that msgspec cannot decode."""

    __slots__ = ("_decode_input", "_decode_options", "hears", "kind")

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.hears = kind.inputs is not None
        """Whether its players may say anything at all."""
        self._decode_input = _decoder("inputs", kind.inputs)
        self._decode_options = _decoder("options", kind.options)

    def read_input(self, body: bytes) -> Any:
        """An input; raises :class:`BadFrame` with ``bad_input`` for what the kind does not take."""
        if not self.hears:
            raise BadFrame(ErrorCode.BAD_INPUT, "this kind takes no inputs")
        try:
            return self._decode_input(body)
        except BaseException as error:  # an author's types may raise anything
            raise _refusal(error) from error

    def read_options(self, body: bytes) -> Any:
        """Options; raises :class:`BadFrame` with ``bad_input`` for what the kind does not take."""
        try:
            return self._decode_options(body)
        except BaseException as error:  # an author's types may raise anything
            raise _refusal(error, "options: ") from error


def _decoder(name: str, what: Any) -> Callable[[bytes], Any]:
    try:
        if isinstance(msgspec.inspect.type_info(what), msgspec.inspect.CustomType):
            raise BadRooms(
                f"{name}: {what.__name__} cannot be read from JSON: make it a msgspec.Struct"
            )
        return msgspec.json.Decoder(what).decode
    except TypeError as error:
        raise BadRooms(
            f"{name}: {error}; it takes a type that msgspec can decode, such as a msgspec.Struct"
        ) from error


def _refusal(error: BaseException, what: str = "") -> BadFrame:
    """What the client may read of ``error``: nothing of the author's own code."""
    reason = "not what the kind takes"
    if isinstance(error, msgspec.MsgspecError):
        reason = str(error).encode(errors="replace").decode()  # an author's words may be odd
    elif isinstance(error, RecursionError):  # msgspec raises it for deep nesting
        reason = "nested too deeply"
    return BadFrame(ErrorCode.BAD_INPUT, what + reason)

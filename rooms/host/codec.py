"""A kind of room with the decoders for its inputs and its options, and the codec of its state."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from lastcall.errors import BadFrame, BadRooms, StateUnreadable
from lastcall.host.state_codec import REASON_CHARS_MAX, StateCodec
from lastcall.kind import Kind
from lastcall.policy import RoomPolicy
from lastcall.reasons import ErrorCode


class KindCodec:
    """One kind. Raises :class:`BadRooms` for inputs, options or a state that msgspec cannot decode.

    A room's state may have ``state_bytes``.
    """

    __slots__ = ("_decode_input", "_decode_options", "_state", "kind", "takes_inputs")

    def __init__(self, kind: Kind, *, state_bytes: int = RoomPolicy().state_bytes) -> None:
        self.kind = kind
        self._state = None if kind.state is None else StateCodec(kind.state, state_bytes)
        self.takes_inputs = kind.inputs is not None
        """Whether its players may send inputs at all."""
        self._decode_input = _decoder("inputs", kind.inputs)
        self._decode_options = _decoder("options", kind.options)

    def read_input(self, body: bytes) -> Any:
        """An input; raises :class:`BadFrame` with ``bad_input`` if it does not fit the kind."""
        if not self.takes_inputs:
            raise BadFrame(ErrorCode.BAD_INPUT, "this kind takes no inputs")
        if not body:  # see lastcall.wire.frames.decode
            raise BadFrame(ErrorCode.BAD_INPUT, "not JSON: NaN, half an emoji, or too deep")
        try:
            return self._decode_input(body)
        except BaseException as error:  # an author's types may raise anything
            raise _refusal(error) from error

    def read_options(self, body: bytes) -> Any:
        """Options; raises :class:`BadFrame` with ``bad_input`` if they do not fit the kind."""
        try:
            return self._decode_options(body)
        except BaseException as error:  # an author's types may raise anything
            raise _refusal(error, "options: ") from error

    def fresh_state(self, options: Any) -> Any:
        """A new room's state; :data:`msgspec.UNSET` for a kind without. Raises what it raises."""
        return msgspec.UNSET if self._state is None else self._state.fresh(options)

    def encode_state(self, state: Any) -> bytes:
        """The state, as msgpack; empty for a kind without. Raises :class:`StateFailed` for another
        type than the kind's, for what msgpack cannot hold, and over the policy's ``state_bytes``.
        """
        return b"" if self._state is None else self._state.encode(state)

    def read_state(self, data: bytes) -> Any:
        """The state that :meth:`encode_state` has encoded, maybe of other code; raises
        :class:`StateUnreadable` if it does not fit the kind.
        """
        if self._state is not None:
            return self._state.read(data)
        if data:
            raise StateUnreadable(f"kind {self.kind.name!r} has no state here")
        return msgspec.UNSET


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
    """The message for the client, which reveals nothing of the author's own code."""
    reason = "not what the kind takes"
    if isinstance(error, msgspec.MsgspecError):
        with suppress(BaseException):  # an author's subclass may raise anything
            reason = str(error)[:REASON_CHARS_MAX].encode(errors="replace").decode()
    elif isinstance(error, RecursionError):  # msgspec raises it for deep nesting
        reason = "nested too deeply"
    return BadFrame(ErrorCode.BAD_INPUT, what + reason)

"""The state of a kind's rooms: made fresh, encoded, and read again, maybe by other code."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from lastcall.errors import BadRooms, StateFailed, StateUnreadable
from lastcall.kind import is_state_function

REASON_CHARS_MAX = 500
"""Of an author's own text about a value that does not fit."""

_encode = msgspec.msgpack.Encoder().encode


class StateCodec:
    """The state of one kind. Raises :class:`BadRooms` for a type that msgspec cannot decode."""

    __slots__ = ("_decode", "_make", "_of_options", "_size_max", "_types")

    def __init__(self, state: Callable[..., Any], size_max: int) -> None:
        self._make = state
        self._of_options = is_state_function(state)
        self._size_max = size_max
        its_type = _returned(state) if self._of_options else state
        self._types = _classes(its_type)
        """The classes that a state may have; a subclass would lose its own fields."""
        self._decode = _decoder(its_type)

    def fresh(self, options: Any) -> Any:
        """The state of a new room."""
        return self._make(options) if self._of_options else self._make()

    def encode(self, state: Any) -> bytes:
        """See :meth:`lastcall.host.codec.KindCodec.encode_state`."""
        if self._types and type(state) not in self._types:
            says = " or ".join(each.__name__ for each in self._types)
            raise StateFailed(
                f"the state has the type {type(state).__name__}; its kind says {says}"
            )
        try:
            data = _encode(state)
        except BaseException as error:  # an author's types may raise anything
            raise StateFailed(f"the state cannot be encoded: {_text(error)}") from error
        if len(data) > self._size_max:
            raise StateFailed(
                f"the state is {len(data)} bytes long; the limit is {self._size_max} bytes"
            )
        return data

    def read(self, data: bytes) -> Any:
        """See :meth:`lastcall.host.codec.KindCodec.read_state`."""
        try:
            return self._decode(data)
        except BaseException as error:  # an author's types may raise anything
            raise StateUnreadable(f"the state does not fit its kind: {_text(error)}") from error


def _decoder(state: Any) -> Callable[[bytes], Any]:
    try:
        for part in _parts(msgspec.inspect.type_info(state), set()):
            if isinstance(part, msgspec.inspect.CustomType):
                name = getattr(part.cls, "__name__", part.cls)
                raise BadRooms(f"state: {name} cannot be encoded: make it a msgspec.Struct")
        return msgspec.msgpack.Decoder(state).decode
    except (TypeError, NameError) as error:
        raise BadRooms(
            f"state: {error}; it takes a type that msgspec can decode, such as a msgspec.Struct"
        ) from error


def _parts(info: Any, seen: set[int]) -> Iterator[msgspec.inspect.Type]:
    """A type and all that it is made of: the types of its fields, its items, its keys."""
    if id(info) in seen:
        return
    seen.add(id(info))
    if isinstance(info, tuple):
        for part in info:
            yield from _parts(part, seen)
    elif isinstance(info, msgspec.inspect.Field):
        yield from _parts(info.type, seen)
    elif isinstance(info, msgspec.inspect.Type):
        yield info
        for field in info.__struct_fields__:
            yield from _parts(getattr(info, field), seen)


def _returned(state: Callable[..., Any]) -> Any:
    """The type that a function says it returns."""
    try:
        returned = get_type_hints(state)["return"]
    except NameError as error:
        raise BadRooms(f"state: the type that {state.__name__} returns: {error}") from None
    if returned in (Any, type(None)):
        raise BadRooms(f"state: {state.__name__} does not say which type it returns")
    return returned


def _classes(state: Any) -> tuple[type, ...]:
    """The classes of the values of a type; empty if that cannot be said, as of a ``NewType``."""
    origin = get_origin(state)
    if origin is Annotated:
        return _classes(get_args(state)[0])
    if origin in (Union, types.UnionType):
        found = [_classes(one) for one in get_args(state)]
        return tuple(each for one in found for each in one) if all(found) else ()
    if isinstance(origin or state, type):
        return (origin or state,)
    return ()


def _text(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"[:REASON_CHARS_MAX]
    except BaseException:  # noqa: BLE001 - an author's __str__ may raise anything
        return type(error).__name__

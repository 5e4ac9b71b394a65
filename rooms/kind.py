"""A kind of room: what :func:`lastcall.room` makes of an author's function, and what it checks."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Literal, ParamSpec, TypeAlias, TypeVar, get_args, get_origin

import msgspec

from lastcall.errors import BadRooms
from lastcall.ids import KindName

P = ParamSpec("P")
R = TypeVar("R")

SEATS_MAX = 10_000

HISTORY_MESSAGES_MAX = 8_192
HISTORY_BYTES_MAX = 512 * 1024
"""Half of what may always wait for a client (1 MiB), since a resume sends a whole history at once.
32 of them, which one link may carry at once, are half of its ring."""

RESUME_SECONDS_MAX = 24 * 3600

RoomFunction: TypeAlias = Callable[..., Awaitable[Any]]
"""An author's async function; it is called with the :class:`lastcall.Room` alone."""
Moves: TypeAlias = Literal["deadline", "at_once", "never"]


class Kind(msgspec.Struct, frozen=True):
    """A named type of room: the author's function and its settings; see :func:`room`."""

    name: KindName
    function: RoomFunction
    seats: int
    starts: int
    inputs: Any
    options: Any
    history_messages: int | None = None
    history_bytes: int | None = None
    resume_seconds: float | None = None
    one_seat_each: bool = False
    state: Any = None
    """A type, or a function of the options that returns a fresh one; None: there is no state."""
    survives: bool = False
    moves: Moves = "never"

    @property
    def can_move(self) -> bool:
        """Whether a room can go on in another process, from its image."""
        return self.survives or self.moves != "never"


def check_arguments(room: Callable[P, R]) -> Callable[P, R]:
    """Raises :class:`BadRooms` with a plain message where Python would raise ``TypeError``."""
    known = list(inspect.signature(room).parameters)

    @functools.wraps(room)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        name = args[0] if args else kwargs.get("name")
        if not isinstance(name, str):
            raise BadRooms('a kind has a name first, such as @room("dice", seats=4)')
        for argument in kwargs:
            if argument not in known:
                takes = ", ".join(known[1:])
                raise BadRooms(f"kind {name!r}: @room takes no {argument!r}; it takes {takes}")
        if "seats" not in kwargs:
            raise BadRooms(
                f"kind {name!r}: it does not say for how many players it is, "
                f'such as @room("{name}", seats=4)'
            )
        return room(*args, **kwargs)

    return checked


def check_number(name: str, field: str, number: object, least: int, most: int) -> None:
    """Raises :class:`BadRooms` for another type, or for a number out of range."""
    numbers = (int, float) if field.endswith("_seconds") else (int,)
    if type(number) not in numbers or not least <= number <= most:  # type: ignore[operator]
        what = "a number" if float in numbers else "a whole number"
        raise BadRooms(f"kind {name!r}: {field} is {what} from {least} to {most}; got {number!r}")


def check_name(name: str) -> None:
    """Raises :class:`BadRooms` for a name that a kind cannot have."""
    if not name or len(name) > 128 or not name.isprintable():
        raise BadRooms(
            f"a kind's name has 1 to 128 printable characters; {name[:140]!r} has {len(name)}"
        )


def check_kept(
    name: str, messages: int | None, size: int | None, resume_seconds: float | None
) -> None:
    """Raises :class:`BadRooms` for a bound of what is kept for players who come back."""
    for field, number, most in (
        ("history_messages", messages, HISTORY_MESSAGES_MAX),
        ("history_bytes", size, HISTORY_BYTES_MAX),
        ("resume_seconds", resume_seconds, RESUME_SECONDS_MAX),
    ):
        if number is not None:
            check_number(name, field, number, 0, most)


def check_function(name: str, function: RoomFunction) -> None:
    """Raises :class:`BadRooms` unless ``function`` is async and can be called with the room."""
    called = getattr(function, "__name__", type(function).__name__)
    form = f"it begins with: async def {called}(table: Room)"
    if inspect.isfunction(function) and not inspect.iscoroutinefunction(function):
        raise BadRooms(f"kind {name!r}: {called} is not an async function; {form}")
    try:
        inspect.signature(function).bind(None)
    except TypeError as error:
        raise BadRooms(
            f"kind {name!r}: {called} cannot be called with the room alone ({error}); {form}"
        ) from error


def check_state(name: str, state: object, *, survives: object, moves: object) -> None:
    """Raises :class:`BadRooms` for another setting, and unless ``state`` makes a fresh one.

    Whether msgspec can encode its type is for the codec to say.
    """
    if moves not in (None, *get_args(Moves)):
        known = ", ".join(repr(one) for one in get_args(Moves))
        raise BadRooms(f"kind {name!r}: moves is one of {known}; got {moves!r}")
    if type(survives) is not bool:
        raise BadRooms(f"kind {name!r}: survives is True or False; got {survives!r}")
    if state is not None:
        _check_fresh(name, state)


def is_state_function(state: object) -> bool:
    """Whether ``state`` is a function of the room's options, and not the state's type itself."""
    return inspect.isfunction(state) or inspect.ismethod(state)


def _check_fresh(name: str, state: Any) -> None:
    called = getattr(state, "__name__", repr(state))
    if is_state_function(state):
        if "return" not in getattr(state, "__annotations__", {}):
            raise BadRooms(
                f"kind {name!r}: {called} does not say what it returns; it begins with: "
                f"def {called}(options: Options) -> Board"
            )
        takes: tuple[None, ...] = (None,)
    elif isinstance(state, type) or get_origin(state) is not None:
        takes = ()
    else:
        raise BadRooms(
            f"kind {name!r}: state is a type, or a function of the room's options; got {state!r}"
        )
    try:
        inspect.signature(state).bind(*takes)
    except TypeError as error:
        what = "the options alone" if takes else "nothing: give each field a default"
        raise BadRooms(
            f"kind {name!r}: a fresh state comes from {called}, called with {what} ({error})"
        ) from error
    except ValueError:  # a built-in type has no signature; without arguments it makes an empty one
        return

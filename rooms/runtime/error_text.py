"""The text of an error that anybody's code may have raised, guarded and bounded.

An author's error may hold 100 MB of text, which takes a second to copy, and its methods may raise
anything. A node must neither stand still nor end because it shows such an error.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator

TEXT_CHARS_MAX = 10 * 1024
"""The longest text of an error."""
ERRORS_MAX = 64
FRAMES_MAX = 20


def is_short(error: BaseException) -> bool:
    """Whether the texts in ``error``, its causes and its members are short. Copies none of them."""
    return sum(map(_text_chars, _with_causes(error))) <= TEXT_CHARS_MAX


def render(error: BaseException) -> str:
    """The traceback of ``error``, or the part of it that fits. Never raises, and never is long."""
    try:
        if is_short(error):
            lines: Iterator[str] = traceback.TracebackException.from_exception(error).format()
        else:
            where = traceback.format_tb(error.__traceback__, -FRAMES_MAX)
            lines = iter([*where, f"{object.__repr__(error)}: its text is too long to show"])
        return _clip(lines)
    except BaseException as problem:  # noqa: BLE001 - the error's own methods may raise anything
        return f"{object.__repr__(error)} cannot be shown: {object.__repr__(problem)}"


def _clip(lines: Iterator[str]) -> str:
    text = ""
    for line in lines:
        text += line[: TEXT_CHARS_MAX - len(text)]
        if len(text) == TEXT_CHARS_MAX:
            return text + " …"
    return text


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """``error``, what it follows from, and the members of its groups: at most 64 errors."""
    waiting, seen = [error], set[int]()
    while waiting and len(seen) < ERRORS_MAX:
        one = waiting.pop()
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += filter(None, (one.__cause__, one.__context__))
            waiting += members(one)


def members(error: BaseException) -> tuple[BaseException, ...]:
    """The exceptions of a group, whatever its class makes of the attribute; else nothing."""
    if not isinstance(error, BaseExceptionGroup):
        return ()
    found: tuple[BaseException, ...] = BaseExceptionGroup.exceptions.__get__(error)
    return found


def _text_chars(error: BaseException) -> int:
    return sum(len(one) for one in error.args if isinstance(one, str | bytes))

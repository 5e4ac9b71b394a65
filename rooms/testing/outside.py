"""Finds variables in which a room keeps something that another node would lack.

A test has one process. So what a game keeps in a variable of its module, or of the function around
its own, would still be there after the loss of a node, in the test alone.
"""

from __future__ import annotations

import copy
import inspect
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from types import CodeType, FunctionType, NoneType
from typing import Any

import msgspec

from lastcall.errors import StateFailed

VALUES = (dict, list, set, deque, bytearray, int, float, str, bytes, tuple, NoneType)
KEPT = (*VALUES, msgspec.Struct)
"""The types that may hold a game's state; locks, loggers and such cannot be compared."""


class Outside:
    """The variables that ``function``, and the functions of its module that it names, share with
    other rooms, as they are now.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = inspect.unwrap(function)
        self._before = _copies(_shared(self._function))

    def check(self, may_forget: Collection[str]) -> None:
        """Raises :class:`StateFailed` if one of the variables has changed since, that the game
        ``may_forget``.
        """
        now = _shared(self._function)
        for name, before in self._before.items():
            if name not in may_forget and name in now and not _same(now[name], before):
                raise StateFailed(
                    f"the room has changed {name!r}, which is not in its state: the node that goes "
                    "on with the room does not have that. Keep it in table.state; or, if the game "
                    f"does not need it, say lose_node(may_forget={{{name!r}}})"
                )


def _shared(function: object) -> dict[str, Any]:
    """The variables by name."""
    module = getattr(function, "__module__", None)
    found: dict[str, Any] = {}
    seen, todo = set(), [function]
    while todo:
        one = todo.pop()
        if isinstance(one, FunctionType) and one not in seen and one.__module__ == module:
            seen.add(one)
            variables = dict(_variables(one))
            todo.extend(variables.values())
            found |= variables
    return found


def _variables(function: FunctionType) -> Iterator[tuple[str, Any]]:
    code, shared = function.__code__, function.__globals__
    for name in sorted(set(_names(code)) & shared.keys()):
        yield name, shared[name]
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # it has no value yet
            yield name, cell.cell_contents


def _names(code: CodeType) -> Iterator[str]:
    """The names of variables and attributes, also in the functions inside."""
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)


def _copies(variables: dict[str, Any]) -> dict[str, Any]:
    """Copies of those that can be compared."""
    copies = {}
    for name, value in variables.items():
        if isinstance(value, KEPT):
            with suppress(Exception):  # an author's types may raise anything
                copied = copy.deepcopy(value)
                if copied == value:
                    copies[name] = copied
    return copies


def _same(value: object, before: object) -> bool:
    try:
        return bool(value == before)
    except Exception:  # noqa: BLE001 - an author's types may raise anything
        return True

"""Texts of others as a terminal may show them: without what moves its cursor or sets its title."""

from __future__ import annotations

from typing import Any


def printable(text: str) -> str:
    """``text`` on one line: a space for each line end, and ``?`` for what cannot be printed."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text)


def all_printable(value: Any) -> Any:
    """A value of JSON whose texts are :func:`printable`."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [all_printable(one) for one in value]
    if isinstance(value, dict):
        return {printable(name): all_printable(one) for name, one in value.items()}
    return value

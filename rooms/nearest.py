"""The nearest right word to a wrong one, for messages that say what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Sequence


def nearest(word: str, known: Sequence[str]) -> str:
    """The one of ``known`` that looks most like ``word``; ``""`` if none does."""
    return next(iter(difflib.get_close_matches(word, known, n=1)), "")


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """The end of a message about ``word``; ``""`` if none of ``known`` looks like it."""
    found = nearest(word, known)
    return f"; did you mean {found!r}?" if found else ""

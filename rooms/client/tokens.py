"""The client's token: a text, or a function that the client asks anew for each socket."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TypeAlias

import trio

from lastcall.errors import AuthRefused, ConnectFailed

Token: TypeAlias = str | Callable[[], str | Awaitable[str]]
"""Says who the client is: a text of visible ASCII characters, or a function that returns one."""

_VISIBLE_ASCII = re.compile(r"[!-~]+")


class TokenSource:
    """Gives the token for the next socket; no error and no ``repr`` shows it.

    A token that was refused is not sent again within one absence: :meth:`may_differ`.
    """

    def __init__(self, token: Token | None) -> None:
        if not (token is None or isinstance(token, str) or callable(token)):
            raise TypeError(f"a token is a text or a function, not {type(token).__name__}")
        self._token = _checked(token) if isinstance(token, str) else token
        self._last: str | None = None
        self._refused: str | None = None
        self._refusal: AuthRefused | None = None
        """The first one in this absence."""
        self.failure: Exception | None = None
        """The last error of the function, or that it took too long."""

    async def ask(self, seconds: float) -> str | None:
        """The token; None without one. Raises what the function raises, :class:`ConnectFailed` if
        it takes longer than ``seconds``, and the refusal if a refused token comes again.
        """
        if self._token is None or isinstance(self._token, str):
            return self._token
        try:
            token = await _call(self._token, seconds)
        except Exception as error:
            self.failure = error
            raise
        if self._refusal is not None and token == self._refused:
            raise self._refusal
        self._last = token
        return token

    def may_differ(self, refusal: AuthRefused) -> bool:
        """Whether to ask once more after ``refusal``: a function, once in each absence."""
        if not callable(self._token) or self._refusal is not None:
            return False
        self._refused, self._refusal = self._last, refusal
        return True

    def accepted(self) -> None:
        """The client has its place: its next absence is another one."""
        self._refusal = None


async def _call(function: Callable[[], str | Awaitable[str]], seconds: float) -> str:
    with trio.move_on_after(seconds):
        given = function()
        return _checked(await given if isawaitable(given) else given)
    raise ConnectFailed(f"the token function took longer than {seconds:g} s")


def _checked(token: object) -> str:
    if not isinstance(token, str):
        raise TypeError(f"the token function returned no text, but {type(token).__name__}")
    if not _VISIBLE_ASCII.fullmatch(token):
        raise ValueError("a token is visible ASCII characters without spaces, at least one")
    return token

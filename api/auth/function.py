"""``--auth package.module:function``: an author's function says who a client is.

Whatever the function does, it lets nobody in by accident: an error, a wrong answer and no answer
within 5 s are a 503. It runs in a task of its own, apart from the connection's: a function that
does not end when it is cancelled holds up no client, and one that leaves its nurseries or scopes
in disorder ends with an error.
"""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import trio

from lastcall.api.auth.entry import (
    UNAVAILABLE,
    Clock,
    Denial,
    Entry,
    Question,
    as_sent,
    entry,
    one_line,
)
from lastcall.api.auth.request import handshake_of
from lastcall.core.accounts import Tally
from lastcall.core.edge.opening_request import OpeningRequest
from lastcall.errors import UsageError
from lastcall.identity import Handshake, Identity, Refuse
from lastcall.limits import address_account
from lastcall.runtime.author_code import import_module
from lastcall.runtime.cancellation import is_own_cancellation
from lastcall.runtime.error_text import render
from lastcall.runtime.rated_log import RatedLog

ANSWER_SECONDS = 5.0
AT_ONCE = 1_000
"""How many calls may be under way, those included that do not end."""
SHARE = 250
"""Of those, for one address: a stranger whose token keeps the function busy keeps nobody out."""
BUSY = Denial(503, "too many clients ask at once")
SECRET_CHARS_MIN = 8
"""Shorter texts of a request are not looked for in an error's text: they are everywhere."""

AuthFunction = Callable[[Handshake], Awaitable[Identity]]

_NAME = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)", re.ASCII)


def load_function(name: str) -> AuthFunction:
    """The function that ``name`` (``package.module:function``) names.

    Raises :class:`UsageError`, in one line, if it is not there, is not async, or cannot be called
    with the handshake alone.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise UsageError(f"--auth {name}: it takes jwt, or package.module:function")
    module = import_module(match[1])
    function: object = getattr(module, match[2], None)
    form = f"it begins with: async def {match[2]}(handshake: Handshake) -> Identity"
    if function is None:
        raise UsageError(f"--auth {name}: {match[1]} has no {match[2]!r}; {form}")
    if not (callable(function) and _is_async(function)):
        raise UsageError(f"--auth {name}: {match[2]} is not an async function; {form}")
    try:
        inspect.signature(function).bind(None)
    except TypeError as error:
        raise UsageError(
            f"--auth {name}: {match[2]} cannot be called with the handshake alone ({error}); {form}"
        ) from error
    found: AuthFunction = function
    return found


def _is_async(function: Callable[..., object]) -> bool:
    """Whether it is an async function, or an object that is called like one."""
    called = type(function).__call__
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


@dataclass(eq=False)
class _Call:
    """One call of the function for a client of that account, and what came of it."""

    account: str
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    done: trio.Event = field(default_factory=trio.Event)
    answer: object = None
    error: BaseException | None = None


class FunctionAuth:
    """Asks ``function``, whose ``name`` is for the log. ``wall`` tells the seconds since 1970."""

    def __init__(self, function: AuthFunction, name: str, *, wall: Clock = time.time) -> None:
        self._function = function
        self._name = name
        self._wall = wall
        self._tasks: trio.Nursery | None = None
        self._under_way = 0
        self._of_addresses = Tally(SHARE)
        self._failures = RatedLog("auth.failed")

    async def run(self) -> None:
        """Runs the function's tasks, until cancelled."""
        async with trio.open_nursery() as self._tasks:
            await trio.sleep_forever()

    def admit(self, request: OpeningRequest, address: str) -> Question:
        """The question is :meth:`ask`."""
        return partial(self.ask, handshake_of(request, address))

    async def ask(self, handshake: Handshake) -> Entry | Denial:
        """The function's answer; 503 if it has none."""
        account = address_account(handshake.address)
        free = self._under_way < AT_ONCE and self._of_addresses.admits(account)
        if self._tasks is None or not free:
            await trio.lowlevel.checkpoint()
            return BUSY
        call = _Call(account)
        self._under_way += 1
        self._of_addresses.add(account)
        self._tasks.start_soon(self._run, handshake, call)
        try:
            with trio.move_on_after(ANSWER_SECONDS) as patience:
                await call.done.wait()
        finally:
            call.scope.cancel()
        if patience.cancelled_caught:
            self._failures.warning(function=self._name, error=f"no answer in {ANSWER_SECONDS:g} s")
            return UNAVAILABLE
        return self._read(handshake, call)

    async def _run(self, handshake: Handshake, call: _Call) -> None:
        try:
            with call.scope:
                async with trio.open_nursery() as border:
                    border.start_soon(self._ask, handshake, call)
        except BaseException as error:
            if is_own_cancellation(error):
                raise
            call.error = error
        finally:
            self._under_way -= 1
            self._of_addresses.remove(call.account)
            call.done.set()

    async def _ask(self, handshake: Handshake, call: _Call) -> None:
        """Around the function is a nursery in its own task, which finds what it left open."""
        try:
            async with trio.open_nursery() as own:
                try:
                    call.answer = await self._function(handshake)
                except BaseException as error:
                    if is_own_cancellation(error):
                        raise
                    call.error = error
                own.cancel_scope.cancel()
        except BaseException as error:
            if is_own_cancellation(error):
                raise
            call.error = error

    def _read(self, handshake: Handshake, call: _Call) -> Entry | Denial:
        """Reads the function's answer or its error; anything wrong is *not now*."""
        error, call.error = call.error, None  # its traceback holds the call
        if isinstance(error, Refuse):
            return Denial(error.status, one_line(error.reason))
        if error is None:
            try:
                return entry(as_sent(_identity(call.answer)), self._wall())
            except Exception as wrong:  # noqa: BLE001 - claims may be of any type
                error = wrong
        self._failures.warning(
            function=self._name, error=_without_secrets(render(error), handshake)
        )
        return UNAVAILABLE


def _identity(answer: object) -> Identity:
    if not isinstance(answer, Identity):
        what = type(answer).__name__
        raise TypeError(f"the function returns an Identity or raises Refuse; got {what}")
    return answer


def _without_secrets(text: str, handshake: Handshake) -> str:
    """``text`` without what a client has sent to prove who they are."""
    headers = handshake.headers
    secrets = [*handshake.tokens, *handshake.query.values(), *handshake.subprotocols]
    secrets += [headers.get(name, "") for name in ("authorization", "cookie")]
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SECRET_CHARS_MIN:
            text = text.replace(secret, "[secret]")
    return text

"""An author's function as ``--auth``: what it may answer, and what becomes of its mistakes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
import structlog
import trio
import trio.testing

from lastcall.api.auth.entry import UNAVAILABLE, Denial, Entry
from lastcall.api.auth.function import AT_ONCE, BUSY, SHARE, FunctionAuth
from lastcall.identity import Handshake, Identity, Refuse
from tests.api.auth.conftest import handshake

NOW = 1_000_000.0
Function = Callable[[Handshake], Awaitable[Any]]
Ask = Callable[[Function], Awaitable[Entry | Denial]]


def start(nursery: trio.Nursery, function: Function) -> FunctionAuth:
    auth = FunctionAuth(function, "mine:auth", wall=lambda: NOW)
    nursery.start_soon(auth.run)
    return auth


@pytest.fixture
def ask(nursery: trio.Nursery) -> Ask:
    """Asks a function once, on behalf of a client with a token."""

    async def ask(function: Function) -> Entry | Denial:
        auth = start(nursery, function)
        await trio.testing.wait_all_tasks_blocked()
        return await auth.ask(handshake("a.secret.token"))

    return ask


def returns(answer: object) -> Function:
    async def function(_: Handshake) -> object:
        return answer

    return function


def raises(error: BaseException) -> Function:
    async def function(_: Handshake) -> object:
        raise error

    return function


# Its good answers.


async def test_the_identity_that_it_returns_comes_in(autojump_clock, ask: Ask) -> None:
    ann = Identity("ann", "Ann", {"rank": 3}, NOW + 60)
    entry = await ask(returns(ann))
    assert isinstance(entry, Entry)
    assert entry.identity == ann
    assert 60 <= entry.until - trio.current_time() <= 65


async def test_an_identity_without_an_end_is_in_for_ever(ask: Ask) -> None:
    entry = await ask(returns(Identity("ann")))
    assert entry == Entry(Identity("ann"), float("inf"))


async def test_it_is_given_the_handshake(ask: Ask) -> None:
    given: list[Handshake] = []

    async def function(shown: Handshake) -> Identity:
        given.append(shown)
        return Identity("ann")

    await ask(function)
    assert given == [handshake("a.secret.token")]


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_has_its_status_and_one_line_of_120_bytes(ask: Ask, status: Any) -> None:
    assert await ask(raises(Refuse(status, "not\n\nyou"))) == Denial(status, "not you")
    assert await ask(raises(Refuse(status))) == Denial(status, "")
    denial = await ask(raises(Refuse(status, "ü" * 100)))
    assert denial == Denial(status, "ü" * 60)


@pytest.mark.parametrize("until", [NOW, NOW - 1, 0])
async def test_an_identity_whose_time_is_over_is_refused(ask: Ask, until: float) -> None:
    denial = await ask(returns(Identity("ann", until=until)))
    assert denial == Denial(401, "the token has expired")


# Its mistakes.


class Unfriendly(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Sly(Identity, frozen=True):
    """An identity of another class is read as an identity."""

    admin: bool = True


async def leaves_a_scope_open(_: Handshake) -> Identity:
    trio.CancelScope().__enter__()
    return Identity("ann")


async def leaves_a_nursery_open(_: Handshake) -> Identity:
    nursery = await trio.open_nursery().__aenter__()
    nursery.start_soon(trio.sleep_forever)
    return Identity("ann")


async def crashes_beside(_: Handshake) -> Identity:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(raises(ValueError("beside")), _)
    return Identity("ann")


async def raises_a_kept_cancelled(_: Handshake) -> Identity:
    kept: list[BaseException] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.sleep_forever()
        except trio.Cancelled as cancelled:
            kept.append(cancelled)
            raise
    raise kept[0]


WRONG: dict[str, Function] = {
    "an error": raises(ValueError("wrong")),
    "a BaseException": raises(BaseException("wrong")),
    "the end of the process": raises(SystemExit(0)),
    "an interrupt": raises(KeyboardInterrupt()),
    "the end of a generator": raises(GeneratorExit()),
    "a group": raises(BaseExceptionGroup("two", [SystemExit(), ValueError()])),
    "a refusal in a group": raises(ExceptionGroup("one", [Refuse(403)])),
    "an error without a text": raises(Unfriendly()),
    "an error of 10 MB": raises(ValueError("x" * 10_000_000)),
    "a kept cancellation": raises_a_kept_cancelled,
    "a scope left open": leaves_a_scope_open,
    "a nursery left open": leaves_a_nursery_open,
    "a task that crashes": crashes_beside,
    "None": returns(None),
    "True": returns(True),
    "a text": returns("ann"),
    "a dict": returns({"id": "ann"}),
    "the class": returns(Identity),
    "claims that cannot be sent": returns(Identity("ann", claims={"x": object()})),
    "claims with other keys": returns(Identity("ann", claims={7: 7})),  # type: ignore[dict-item]
    "claims with a huge number": returns(Identity("ann", claims={"x": 2**64})),
    "claims of 5 KiB": returns(Identity("ann", claims={"x": "y" * 5_000})),
    "a refusal returned": returns(Refuse(403)),
}


@pytest.mark.parametrize("function", WRONG.values(), ids=WRONG)
async def test_whatever_it_does_wrong_is_a_503_and_an_event_and_the_next_client_comes_in(
    autojump_clock, nursery: trio.Nursery, function: Function
) -> None:
    good = False

    async def sometimes(shown: Handshake) -> object:
        return Identity("ann") if good else await function(shown)

    auth = start(nursery, sometimes)
    await trio.testing.wait_all_tasks_blocked()
    with structlog.testing.capture_logs() as logs:
        assert await auth.ask(handshake()) == UNAVAILABLE
    assert [(line["event"], line["log_level"]) for line in logs] == [("auth.failed", "warning")]
    assert logs[0]["function"] == "mine:auth"
    assert len(logs[0]["error"]) <= 10_250
    good = True
    assert isinstance(await auth.ask(handshake()), Entry)


async def test_an_identity_of_a_class_of_its_own_is_read_as_an_identity(ask: Ask) -> None:
    entry = await ask(returns(Sly("ann")))
    assert isinstance(entry, Entry)
    assert type(entry.identity) is Identity


async def test_claims_that_the_function_keeps_and_changes_do_not_change_later(ask: Ask) -> None:
    claims = {"rank": 1}
    entry = await ask(returns(Identity("ann", claims=claims)))
    claims["rank"] = 2
    assert entry.identity.claims == {"rank": 1}  # type: ignore[union-attr]


async def test_what_a_client_sent_is_not_in_the_log(autojump_clock, nursery: trio.Nursery) -> None:
    async def function(shown: Handshake) -> Identity:
        raise KeyError(f"{shown.token} {shown.headers} {shown.query} {shown.subprotocols}")

    auth = start(nursery, function)
    await trio.testing.wait_all_tasks_blocked()
    shown = Handshake(
        {"authorization": "Bearer first-secret", "cookie": "session=second-secret"},
        "/",
        {"token": "third-secret", "ticket": "fourth-secret"},
        "192.0.2.1",
        ("lastcall.v1", "bearer.fifth-secret"),
    )
    with structlog.testing.capture_logs() as logs:
        await auth.ask(shown)
    assert "secret]" in logs[0]["error"]
    assert "-secret" not in str(logs)


async def test_a_thousand_mistakes_in_a_minute_are_a_few_lines(
    autojump_clock, nursery: trio.Nursery
) -> None:
    async def function(_: Handshake) -> Identity:
        raise ValueError("wrong")

    auth = start(nursery, function)
    await trio.testing.wait_all_tasks_blocked()
    with structlog.testing.capture_logs() as logs:
        for _ in range(1_000):
            await auth.ask(handshake())
            await trio.sleep(0.06)
    assert 5 <= len(logs) <= 8
    assert sum(1 + line.get("left_out", 0) for line in logs) >= 600, "up to 20 s are not told yet"


# How long it may take.


async def test_a_function_that_does_not_answer_within_5_s_is_a_503(
    autojump_clock, ask: Ask
) -> None:
    ended: list[bool] = []

    async def function(_: Handshake) -> Identity:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(True)
        raise AssertionError

    begin = trio.current_time()
    with structlog.testing.capture_logs() as logs:
        assert await ask(function) == UNAVAILABLE
    assert trio.current_time() - begin == 5
    await trio.testing.wait_all_tasks_blocked()
    assert ended == [True]
    assert [line["error"] for line in logs] == ["no answer in 5 s"]


async def test_a_function_that_answers_after_4_9_s_is_heard(autojump_clock, ask: Ask) -> None:
    async def function(_: Handshake) -> Identity:
        await trio.sleep(4.9)
        return Identity("ann")

    assert isinstance(await ask(function), Entry)


async def test_an_answer_that_comes_too_late_lets_nobody_in(autojump_clock, ask: Ask) -> None:
    async def function(_: Handshake) -> Identity:
        with trio.CancelScope(shield=True):
            await trio.sleep(6)
        return Identity("ann")

    begin = trio.current_time()
    assert await ask(function) == UNAVAILABLE
    assert trio.current_time() - begin == 5, "although the function does not end"


async def test_a_function_that_holds_a_thousand_calls_is_not_called_again(
    autojump_clock, nursery: trio.Nursery
) -> None:
    called = 0

    async def function(_: Handshake) -> Identity:
        nonlocal called
        called += 1
        with trio.CancelScope(shield=True):
            await trio.sleep(60)
        return Identity("ann")

    auth = start(nursery, function)
    await trio.testing.wait_all_tasks_blocked()
    for number in range(AT_ONCE):
        nursery.start_soon(auth.ask, replace(handshake(), address=f"10.0.0.{number // SHARE}"))
    await trio.testing.wait_all_tasks_blocked()
    assert await auth.ask(handshake()) == BUSY
    assert called == AT_ONCE
    await trio.sleep(61)
    nursery.start_soon(auth.ask, handshake())
    await trio.testing.wait_all_tasks_blocked()
    assert called == AT_ONCE + 1


async def test_an_address_whose_calls_do_not_end_keeps_no_other_one_out(
    autojump_clock, nursery: trio.Nursery
) -> None:
    async def function(shown: Handshake) -> Identity:
        if shown.address.startswith("2001:db8:0:7:"):
            with trio.CancelScope(shield=True):
                await trio.sleep(60)
        return Identity("ann")

    auth = start(nursery, function)
    await trio.testing.wait_all_tasks_blocked()
    for number in range(AT_ONCE):
        shown = replace(handshake(), address=f"2001:db8:0:7::{number:x}")
        nursery.start_soon(auth.ask, shown)
    await trio.sleep(1)
    assert await auth.ask(shown) == BUSY
    assert isinstance(await auth.ask(handshake()), Entry)
    await trio.sleep(60)
    assert auth._under_way == len(auth._of_addresses) == 0


async def test_a_client_that_is_gone_ends_its_call(autojump_clock, nursery: trio.Nursery) -> None:
    ended_at: list[float] = []

    async def function(_: Handshake) -> Identity:
        try:
            await trio.sleep_forever()
        finally:
            ended_at.append(trio.current_time())
        raise AssertionError

    auth = start(nursery, function)
    await trio.testing.wait_all_tasks_blocked()
    begin = trio.current_time()
    with trio.move_on_after(1):
        await auth.ask(handshake())
    await trio.testing.wait_all_tasks_blocked()
    assert ended_at == [begin + 1]


async def test_before_it_runs_nobody_comes_in() -> None:
    assert await FunctionAuth(returns(Identity("ann")), "mine:auth").ask(handshake()) == BUSY

"""Errors of authors, each of which must end its own room and no other: see ``test_slips.py``.

As a module of rooms it has a kind for each of them: ``slip-0``, ``slip-1`` and so on.
"""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NoReturn

import trio

from lastcall import Room, room

Slip = Callable[[Room], Awaitable[object]]


class Unprintable(Exception):
    """An error whose every method raises."""

    def __repr__(self) -> NoReturn:
        raise ValueError("no repr")

    def __str__(self) -> NoReturn:
        raise KeyError("no str")

    def __eq__(self, _: object) -> NoReturn:
        raise IndexError("no eq")

    def __hash__(self) -> NoReturn:
        raise TypeError("no hash")


class ExitsWhenShown(Exception):
    def __repr__(self) -> NoReturn:
        raise SystemExit(9)

    __str__ = __repr__


class OddGroup(ExceptionGroup[Exception]):
    """A group whose methods fail; trio and the host must not call them unguarded."""

    def split(self, _: object) -> NoReturn:  # type: ignore[override]
        raise ValueError("no split")

    def derive(self, _: object) -> NoReturn:  # type: ignore[override]
        raise ValueError("no derive")

    def __repr__(self) -> NoReturn:
        raise ValueError("no repr")


async def fail(error: BaseException) -> NoReturn:
    raise error


async def numbers_with_a_nursery() -> AsyncIterator[int]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        for number in range(10):
            yield number


async def numbers_with_a_scope() -> AsyncIterator[int]:
    with trio.CancelScope():
        for number in range(10):
            yield number


async def kept_cancelled() -> BaseException:
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as cancelled:
            return cancelled
    raise AssertionError


def nested_group() -> BaseException:
    error: Exception = ValueError("innermost")
    for _ in range(200):
        error = ExceptionGroup("nested", [error])
    return error


def endless_recursion() -> int:
    return 1 + endless_recursion()


ERRORS: dict[str, Callable[[], BaseException]] = {
    "an error": lambda: ValueError("plain"),
    "an error of 100 MB": lambda: ValueError("x" * 100_000_000),
    "SystemExit": lambda: SystemExit(0),
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "StopAsyncIteration": StopAsyncIteration,
    "a base exception": lambda: BaseException("base"),
    "asyncio's cancellation": lambda: __import__("asyncio").CancelledError(),
    "trio's own errors": lambda: trio.TrioInternalError("not really"),
    "an error that cannot be shown": Unprintable,
    "an error that exits when it is shown": ExitsWhenShown,
    "a group": lambda: ExceptionGroup("two", [ValueError("a"), KeyError("b")]),
    "a group of what cannot be shown": lambda: ExceptionGroup("one", [Unprintable()]),
    "a group whose methods fail": lambda: OddGroup("odd", [ValueError("a")]),
    "a group of SystemExit": lambda: BaseExceptionGroup("exits", [SystemExit(1)]),
    "200 nested groups": nested_group,
}
"""Errors that may be raised in any task."""


def in_the_function(error: Callable[[], BaseException]) -> Slip:
    async def slip(_: Room) -> None:
        raise error()

    return slip


def in_the_rooms_nursery(error: Callable[[], BaseException]) -> Slip:
    async def slip(table: Room) -> None:
        table.nursery.start_soon(fail, error())
        await trio.sleep_forever()

    return slip


def in_a_nursery_of_its_own(error: Callable[[], BaseException]) -> Slip:
    async def slip(_: Room) -> None:
        async with trio.open_nursery() as outer, trio.open_nursery() as nursery:
            outer.start_soon(trio.sleep_forever)
            nursery.start_soon(fail, error())

    return slip


def in_a_task_of_a_task(error: Callable[[], BaseException]) -> Slip:
    async def slip(table: Room) -> None:
        table.nursery.start_soon(in_a_nursery_of_its_own(error), table)
        await trio.sleep_forever()

    return slip


def in_a_system_task(error: Callable[[], BaseException]) -> Slip:
    async def slip(_: Room) -> None:
        trio.lowlevel.spawn_system_task(fail, error())
        await trio.sleep_forever()

    return slip


def while_it_is_cut_short(error: Callable[[], BaseException]) -> Slip:
    async def slip(table: Room) -> None:
        async def late() -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise error()

        table.nursery.start_soon(late)
        await trio.lowlevel.checkpoint()

    return slip


PLACES = [
    in_the_function,
    in_the_rooms_nursery,
    in_a_nursery_of_its_own,
    in_a_task_of_a_task,
    in_a_system_task,
    while_it_is_cut_short,
]


async def leaves_a_generator_with_a_nursery(_: Room) -> None:
    async for _number in numbers_with_a_nursery():
        break


async def leaves_a_generator_and_waits(_: Room) -> None:
    generator = numbers_with_a_nursery()
    await anext(generator)
    del generator
    gc.collect()
    await trio.sleep(1)


@asynccontextmanager
async def a_task_beside() -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        nursery = await stack.enter_async_context(trio.open_nursery())
        nursery.start_soon(trio.sleep_forever)
        yield


async def numbers_beside_a_task() -> AsyncIterator[int]:
    async with a_task_beside():
        for number in range(10):
            yield number


async def leaves_a_generator_with_a_context_manager(_: Room) -> None:
    await anext(numbers_beside_a_task())
    gc.collect()
    await trio.sleep(1)


async def leaves_a_generator_in_a_task(table: Room) -> None:
    table.nursery.start_soon(leaves_a_generator_with_a_nursery, table)
    await trio.sleep_forever()


async def leaves_a_nursery_open(_: Room) -> None:
    await trio.open_nursery().__aenter__()


async def closes_scopes_in_the_wrong_order(_: Room) -> None:
    first, second = trio.CancelScope(), trio.CancelScope()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)


async def closes_the_scope_of_the_rooms_nursery(table: Room) -> None:
    table.nursery.cancel_scope.__exit__(None, None, None)


async def raises_a_kept_cancelled(_: Room) -> None:
    raise await kept_cancelled()


async def raises_a_kept_cancelled_in_a_group(_: Room) -> None:
    raise BaseExceptionGroup("kept", [await kept_cancelled()])


async def raises_a_kept_cancelled_in_a_task(table: Room) -> None:
    table.nursery.start_soon(raises_a_kept_cancelled, table)
    await trio.sleep_forever()


async def raises_a_kept_cancelled_in_a_system_task(table: Room) -> None:
    trio.lowlevel.spawn_system_task(raises_a_kept_cancelled, table)
    await trio.sleep_forever()


async def recurses(_: Room) -> None:
    endless_recursion()


async def recurses_in_a_task(table: Room) -> None:
    table.nursery.start_soon(recurses, table)
    await trio.sleep_forever()


async def returns_what_cannot_be_shown(_: Room) -> object:
    return Unprintable()


async def sends_to_what_cannot_be_hashed(table: Room) -> None:
    table.send(Unprintable(), "hi")  # type: ignore[arg-type]


async def kicks_what_cannot_be_hashed(table: Room) -> None:
    table.kick(Unprintable())  # type: ignore[arg-type]


async def starts_too_many_tasks(table: Room) -> None:
    for _ in range(20_000):
        table.nursery.start_soon(trio.lowlevel.checkpoint)
    await trio.sleep_forever()


async def starts_too_many_tasks_from_a_task(table: Room) -> None:
    table.nursery.start_soon(starts_too_many_tasks, table)
    await trio.sleep_forever()


async def starts_too_many_tasks_in_its_own_nursery(_: Room) -> None:
    async with trio.open_nursery() as nursery:
        for _number in range(20_000):
            nursery.start_soon(trio.lowlevel.checkpoint)


async def broadcasts_without_waiting(table: Room) -> None:
    while True:
        table.broadcast("hello")


async def sends_without_waiting(table: Room) -> None:
    while True:
        table.send(table.players[0], "x" * 200_000)


async def starts_what_is_not_a_function(table: Room) -> None:
    table.nursery.start_soon(Unprintable())  # type: ignore[arg-type]


SLIPS: dict[str, Slip] = {
    f"{name}, {place.__name__}": place(error) for place in PLACES for name, error in ERRORS.items()
} | {
    slip.__name__: slip
    for slip in (
        leaves_a_generator_with_a_nursery,
        leaves_a_generator_and_waits,
        leaves_a_generator_with_a_context_manager,
        leaves_a_generator_in_a_task,
        leaves_a_nursery_open,
        closes_scopes_in_the_wrong_order,
        closes_the_scope_of_the_rooms_nursery,
        raises_a_kept_cancelled,
        raises_a_kept_cancelled_in_a_group,
        raises_a_kept_cancelled_in_a_task,
        raises_a_kept_cancelled_in_a_system_task,
        recurses,
        recurses_in_a_task,
        returns_what_cannot_be_shown,
        sends_to_what_cannot_be_hashed,
        kicks_what_cannot_be_hashed,
        starts_what_is_not_a_function,
        starts_too_many_tasks,
        starts_too_many_tasks_from_a_task,
        starts_too_many_tasks_in_its_own_nursery,
        broadcasts_without_waiting,
        sends_without_waiting,
    )
}

KINDS = {
    f"slip-{number}": room(f"slip-{number}", seats=1)(slip)
    for number, slip in enumerate(SLIPS.values())
}
globals().update(KINDS)

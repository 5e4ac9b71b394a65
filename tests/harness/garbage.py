"""The objects that only a full collection finds: a node makes one in hours, and so they leak."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Awaitable, Callable


async def left_by(work: Callable[[], Awaitable[None]], *packages: str) -> Counter[str]:
    """The types of the objects that ``work`` leaves for the collector, with their numbers: all, or
    those of ``packages``, since a test's own streams are often cycles.

    It is done twice, since the first time may fill caches. ``gc.garbage`` would not do: a cycle
    with a generator is freed by the generator's finalizer, and is not counted.
    """
    await work()
    gc.collect()
    gc.disable()
    try:
        await work()
        before = _tracked()
        gc.collect()
        left = before - _tracked()
    finally:
        gc.enable()
    return Counter({name: n for name, n in left.items() if name.startswith(packages or "")})


def _tracked() -> Counter[str]:
    """The types of the collector's objects, but for tuples and dicts: it stops to look at some."""
    kinds = [type(one) for one in gc.get_objects() if not isinstance(one, tuple | dict)]
    return Counter(f"{kind.__module__}.{kind.__qualname__}" for kind in kinds)

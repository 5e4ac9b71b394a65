"""The scenario ``latency``: from a client's ``say`` to its own ``msg``, and what an input costs.

Pairs sit in rooms that repeat what is said to both; everybody speaks in turn at an even pace.
"""

from __future__ import annotations

import time

import msgspec
import trio
from rich.progress import Progress

from bench.accounting import cpu_seconds
from bench.load import Client, Load
from bench.report import Figure, Report, percentile
from bench.servers import Servers, allow_descriptors, open_servers
from rooms.ids import PlayerId
from rooms.wire import frames

__all__ = ["LatencySettings", "measure_latency"]

PAD = "x" * 64
"""With the stamp around it, about 100 bytes of payload."""
LAST_ANSWERS_SECONDS = 0.5


class LatencySettings(msgspec.Struct, frozen=True):
    """How much of it. ``warm_seconds`` go before the ``seconds`` that count."""

    pairs: int = 50
    every_ms: float = 100.0
    seconds: float = 10.0
    warm_seconds: float = 2.0

    @property
    def clients(self) -> int:
        """How many clients there are in all."""
        return 2 * self.pairs


class _Stamp(msgspec.Struct, frozen=True):
    at: float
    pad: str = PAD


class _Said(msgspec.Struct, frozen=True):
    speaker: PlayerId = msgspec.field(name="from")
    said: _Stamp


_read_said = msgspec.json.Decoder(_Said).decode


class _Speaker:
    """One client: says its stamp, and notes how long it took to hear itself."""

    __slots__ = ("_client", "_n", "_tally")

    def __init__(self, client: Client, tally: Tally) -> None:
        self._client = client
        self._n = 0
        self._tally = tally
        client.on_message = self._hear

    def speak(self) -> None:
        self._n += 1
        stamp = msgspec.json.encode(_Stamp(time.perf_counter()))
        self._client.send(b'{"t":"say","n":%d,"d":%b}' % (self._n, stamp))
        self._tally.inputs += 1

    def _hear(self, message: frames.Message) -> None:
        now = time.perf_counter()
        heard = _read_said(message.d)
        if heard.said.at >= self._tally.since:
            self._tally.deliveries += 1
            if heard.speaker == self._client.player:
                self._tally.seconds.append(now - heard.said.at)


class Tally:
    """What has been said and heard since the start, or since :meth:`reset`."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Counting begins now; answers to what was said before do not count."""
        self.since = time.perf_counter()
        self.inputs = 0
        self.deliveries = 0
        self.late_seconds = 0.0
        """By how much the load itself was late at worst: the servers are not to blame for it."""
        self.seconds: list[float] = []


async def measure_latency(settings: LatencySettings, progress: Progress) -> Report:
    """Runs the scenario. Raises :class:`UsageError`, ``ClusterFailed`` and ``LoadFailed``."""
    allow_descriptors(settings.clients)
    async with open_servers() as servers, trio.open_nursery() as nursery:
        load = Load(servers.url)
        nursery.start_soon(load.run)
        tally = Tally()
        speakers = [
            _Speaker(client, tally)
            for _ in progress.track(range(settings.pairs), description="seating pairs")
            for client in await _seat_pair(load)
        ]
        await _speak(speakers, tally, settings.every_ms / 1000, settings.warm_seconds)
        tally.reset()
        before = _cpu(servers)
        bar = progress.add_task("speaking (s)", total=settings.seconds)
        for second in range(1, 1 + round(settings.seconds)):
            await _speak(speakers, tally, settings.every_ms / 1000, 1.0)
            progress.update(bar, completed=second)
        spent = [now - then for now, then in zip(_cpu(servers), before, strict=True)]
        await trio.sleep(LAST_ANSWERS_SECONDS)
        nursery.cancel_scope.cancel()
    return _report(settings, tally, *spent)


async def _seat_pair(load: Load) -> tuple[Client, Client]:
    first = await load.connect()
    await first.join(kind="lounge")
    second = await load.connect()
    await second.join(room=first.room)
    return first, second


async def _speak(
    speakers: list[_Speaker], tally: Tally, every_seconds: float, seconds: float
) -> None:
    """Everybody in turn, evenly, each once in ``every_seconds``."""
    gap = every_seconds / len(speakers)
    begin = trio.current_time()
    for turn in range(round(seconds / gap)):
        due = begin + turn * gap
        if due > trio.current_time():
            await trio.sleep_until(due)
        tally.late_seconds = max(tally.late_seconds, trio.current_time() - due)
        speakers[turn % len(speakers)].speak()


def _cpu(servers: Servers) -> tuple[float, float]:
    return cpu_seconds(servers.api), cpu_seconds(servers.game)


def _report(settings: LatencySettings, tally: Tally, api: float, game: float) -> Report:
    ordered = sorted(tally.seconds)
    per_input = 1e6 / max(1, tally.inputs)
    return Report(
        scenario="latency",
        settings=msgspec.to_builtins(settings),
        figures=[
            Figure("say to own msg, p50", percentile(ordered, 0.5) * 1e3, "ms"),
            Figure("say to own msg, p99", percentile(ordered, 0.99) * 1e3, "ms"),
            Figure("say to own msg, max", percentile(ordered, 1) * 1e3, "ms"),
            Figure("processor per input, api node", api * per_input, "µs"),
            Figure("processor per input, game node", game * per_input, "µs"),
            Figure("inputs", tally.inputs / settings.seconds, "1/s"),
            Figure("deliveries", tally.deliveries / settings.seconds, "1/s"),
            Figure("unanswered", tally.inputs - len(ordered), "inputs", 0),
            Figure("the load itself was late by, max", tally.late_seconds * 1e3, "ms"),
        ],
    )

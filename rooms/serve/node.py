"""Both tiers of one process, as the drain drives them."""

from __future__ import annotations

from collections import Counter

import msgspec
import structlog
import trio

from lastcall.api.node import ApiNode
from lastcall.game.node import GameNode
from lastcall.policy import DrainPolicy
from lastcall.runtime.figures import Figures
from lastcall.serve.bus import HERE
from lastcall.wire.reports import Counts
from lastcall.wire.views import KindView

log = structlog.get_logger()


class ServeNode:
    """An api node and a game node with one lifecycle; ``api`` finds ``game`` by its bus.

    Rooms and clients keep it up: it waits for its rooms, while the api node delivers their last
    words, and then for the clients.
    """

    tier = "serve"
    is_whole_service = True

    def __init__(self, api: ApiNode, game: GameNode, policy: DrainPolicy) -> None:
        self.api = api
        self.game = game
        self._last_words_seconds = policy.farewell_seconds / 3
        self._cut = False
        self.listen = api.listen
        """Where clients connect, comma separated; once started, with the real ports."""
        self.client_urls = api.client_urls
        """The same as URLs; none before the start."""

    def kinds(self) -> list[KindView]:
        """The kinds of rooms, in the order of their definition."""
        return self.game.kinds()

    @property
    def unready(self) -> str:
        """Why a client that comes now would find no room; empty if it would."""
        return self.api.unready

    async def start(self, services: trio.Nursery) -> None:
        """Listens for other nodes, if there may be any, and then for clients.

        Raises :class:`lastcall.errors.AddressInUse`.
        """
        await self.game.start(services)
        if self.game.listen != HERE.url:
            log.info("node.links", url=self.game.listen)
        await self.api.start(services)
        self.listen, self.client_urls = self.api.listen, self.api.client_urls

    async def keep_doors_open(self, work: trio.Nursery) -> None:
        """Accepts clients and opens rooms, each a task in ``work``, until cancelled."""
        async with trio.open_nursery() as doors:
            doors.start_soon(self.game.keep_doors_open, work)
            doors.start_soon(self.api.keep_doors_open, work)

    def phase_changed(self) -> None:
        """A cordon keeps out new clients, and new rooms of other nodes' clients."""
        self.game.phase_changed()
        self.api.phase_changed()

    def begin_drain(self, seconds_left: float) -> None:
        """Rooms and clients learn the seconds left; those leave that need not stay."""
        self.game.begin_drain(seconds_left)
        self.api.begin_drain(seconds_left)

    @property
    def left(self) -> int:
        """How many rooms run, and clients are connected."""
        return self.game.left + self.api.left

    async def wait_empty(self) -> None:
        """Waits until the last room is gone, and then the last client.

        After the cut, clients hear first how their rooms have ended or where they have moved, for a
        third of the farewell; then those that are left are moved, over half of it.
        """
        if self._cut:
            with trio.move_on_after(self._last_words_seconds):
                await self.game.wait_empty()
            self.api.cut()
        await self.game.wait_empty()
        await self.api.wait_empty()

    def cut(self) -> None:
        """Cancels the rooms that do not move; :meth:`wait_empty` moves the clients."""
        self._cut = True
        self.game.cut()

    async def farewell(self) -> None:
        """The other nodes confirm that this one has stopped."""
        await self.game.farewell()
        await self.api.farewell()

    def counts(self) -> Counts:
        """How rooms and clients have gone since the drain began."""
        game, api = self.game.counts(), self.api.counts()
        return Counts(
            *(getattr(game, name) + getattr(api, name) for name in Counts.__struct_fields__)
        )

    def why(self) -> list[str]:
        """The rooms, then the clients that keep the node up."""
        return self.game.why() + self.api.why()

    def figures(self) -> Figures:
        """Rooms as a game node counts them, and clients and messages as an api node does."""
        game, api = self.game.figures(), self.api.figures()
        return msgspec.structs.replace(
            game,
            clients=api.clients,
            links=game.links + api.links,
            link_ends={loss: n + api.link_ends[loss] for loss, n in game.link_ends.items()},
            round_trips=game.round_trips + api.round_trips,
            feed_repairs=game.feed_repairs + api.feed_repairs,
            messages_in=api.messages_in,
            messages_out=api.messages_out,
            bytes_in=api.bytes_in,
            bytes_out=api.bytes_out,
            joins=api.joins,
            refusals=api.refusals,
            resumes=api.resumes,
            places_ended=api.places_ended,
            room_moves=api.room_moves,
            unsent_excess_bytes=game.unsent_excess_bytes + api.unsent_excess_bytes,
            votes=api.votes,
            client_ends=api.client_ends,
            limited=Counter(game.limited) + Counter(api.limited),
        )

"""The client port: from a stream to a session, and out again.

Each connection is one task with two nested nurseries. The inner one holds the protocol library,
whose reader task may fail in its own ways; the outer one holds the stream's flusher, so that a
close frame still leaves when the library is done with. Around both stands a border that no
exception passes: what happens to one client does not happen to another.

Lifetimes: the accept loop (:meth:`Gateway.serve`) ends when its scope is cancelled, the
connections live on in the nursery that was given for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import structlog
import trio
import trio.abc
from trio_websocket import ConnectionClosed, WebSocketConnection

from lastcall.api.gateway.arrivals import Arrival, has_gone, peer_address
from lastcall.api.gateway.blocked import wait_unblocked
from lastcall.api.gateway.handshake import Accepted, EntryRules, Handshakes
from lastcall.api.gateway.moving import ClientMoves, each_connected, what_is_left
from lastcall.api.gateway.opening import Opening
from lastcall.api.limits import ClientLimits
from lastcall.api.sessions.client_connection import LOST, ClientCounts
from lastcall.api.sessions.session import GameTier, Session
from lastcall.api.socket.backlog import Backlog
from lastcall.api.socket.client_stream import ClientStream
from lastcall.api.socket.closing import abort, close_gracefully
from lastcall.api.socket.cork import Cork
from lastcall.api.socket.frame_builder import text_frame
from lastcall.api.socket.odd_frames import OddFrames
from lastcall.api.socket.pump import Pump
from lastcall.api.socket.pumped_stream import PumpedStream
from lastcall.policy import SocketPolicy
from lastcall.reasons import ClientEnd, Close
from lastcall.runtime.ticks import next_tick
from lastcall.wire import frames

SWEEP_SECONDS = 1.0
MESSAGE_SECONDS = 60.0
"""From the first byte of a message to its last: what has come of it takes memory."""
FRAGMENTS_MAX = 1_000
"""Of one message: each costs the node 80 bytes and more, however little is in it."""
COME_BACK = "your token has ended: come back with a new one"

log = structlog.get_logger("lastcall.api.gateway.gateway")


class Gateway:
    """All clients of an api node.

    Counts from :meth:`close_doors` on: ``clients_moved`` (had a move and 1012, in a room or not:
    its place is found again), ``clients_finished`` (all who went otherwise, by themselves or for a
    reason of their own) and ``clients_cut`` (the socket was taken away under them).
    """

    def __init__(
        self,
        games: GameTier,
        policy: SocketPolicy,
        *,
        hello: frames.Hello,
        limits: ClientLimits | None = None,
        counts: ClientCounts | None = None,
        cork: Cork | None = None,
        pump: Pump | None = None,
        rules: EntryRules | None = None,
    ) -> None:
        self._games = games
        self._policy = policy
        self.backlog = Backlog(policy)
        self._cork = cork or Cork()
        self._pump = pump
        self._turns = trio.Lock()
        """See :meth:`LibraryStream.count_by`."""
        self._hello = text_frame(frames.encode(hello))
        self._sessions: dict[Session, Accepted] = {}
        self.moves = ClientMoves(self._sessions)
        self._connections = 0
        self._emptied = trio.Event()
        self._draining = False
        self.counts = counts or ClientCounts()
        self._limits = limits or ClientLimits(policy.limits, self.counts.limited)
        self.handshakes = Handshakes(
            policy, self.counts, lambda: self.clients, rules or EntryRules(), self._limits
        )
        self.clients_moved = 0
        self.clients_finished = 0
        self.clients_cut = 0

    # Connections.

    async def serve(
        self,
        listeners: Sequence[trio.abc.Listener[trio.abc.Stream]],
        *,
        handler_nursery: trio.Nursery,
    ) -> None:
        """Accepts until cancelled; each connection runs in ``handler_nursery``."""
        await trio.serve_listeners(
            self.serve_stream, list(listeners), handler_nursery=handler_nursery
        )

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serves one connection to its end and closes ``stream``.

        Raises nothing but ``Cancelled``; cancelling cuts the client.
        """
        peer = peer_address(stream)
        full = self._connections >= self._policy.max_connections
        if full or not self.handshakes.admits(peer):
            self.counts.refused += 1
            self._note_end(ClientEnd.REFUSED, None, trio.current_time())
            await trio.aclose_forcefully(stream)
            return
        if has_gone(stream):
            self._note_end(ClientEnd.HANDSHAKE, None, trio.current_time())
            await trio.aclose_forcefully(stream)
            return
        self._connections += 1
        try:
            began = trio.current_time()
            arrival = await self.handshakes.arrive(stream, peer)
            if isinstance(arrival, ClientEnd):
                self._note_end(arrival, None, began)
            else:
                await self._serve(arrival)
        except* Exception:  # the border: other clients must not notice
            log.exception("client.internal_error")
        finally:
            self._connections -= 1
            if not self._connections:
                self._emptied.set()
                self._emptied = trio.Event()
            await trio.aclose_forcefully(stream)

    async def _serve(self, arrival: Arrival) -> None:
        async with trio.open_nursery() as nursery:
            output = ClientStream(
                self._pumped(arrival.stream), nursery, backlog=self.backlog, cork=self._cork
            )
            try:
                if await self._converse(output, arrival.peer):
                    await close_gracefully(output, self._policy)
            finally:
                await abort(output)
            nursery.cancel_scope.cancel()

    def _pumped(self, stream: trio.abc.Stream) -> trio.abc.Stream:
        """Lets the pump read a plain socket, which is faster; returns any other stream as it is."""
        if self._pump is None or not isinstance(stream, trio.SocketStream):
            return stream
        return PumpedStream(stream, self._pump, frame_bytes=self._policy.frame_bytes)

    async def _converse(self, output: ClientStream, peer: str) -> bool:
        """Runs the handshake and the session; returns whether the peer may wait for a close."""
        session: Session | None = None
        cause, began = ClientEnd.NODE, trio.current_time()
        opening = Opening(output, self._policy.frame_bytes)
        try:
            async with trio.open_nursery() as library:
                accepted = await self.handshakes.perform(opening, peer, library)
                if isinstance(accepted, ClientEnd):
                    cause = accepted
                else:
                    session = Session(
                        output,
                        self._games,
                        self._policy,
                        self.counts,
                        library.cancel_scope.cancel,
                        limits=self._limits,
                        guest=accepted.guest,
                    )
                    await self._talk(accepted, output, session, library)
                library.cancel_scope.cancel()
        except* ConnectionClosed:  # the library's reader task could not send its answer
            cause = ClientEnd.HANDSHAKE
        except* Exception:  # the library's reader task fails in many ways
            log.exception("client.internal_error")
        finally:
            opening.forget()
            code = None
            if session is not None:
                self._limits.disconnected(session.guest)
                cause, code = session.connection.cause, session.connection.close_code
            self._note_end(cause, code, began)
        return session is None or code not in {None, LOST}

    def _note_end(self, cause: ClientEnd, code: int | None, began: float) -> None:
        self.counts.ends[cause] += 1
        seconds = round(trio.current_time() - began, 3)
        log.debug("client.closed", cause=cause, code=code, seconds=seconds)

    async def _talk(
        self,
        accepted: Accepted,
        output: ClientStream,
        session: Session,
        nursery: trio.Nursery,
    ) -> None:
        output.overflowed = session.connection.too_slow
        socket, self._sessions[session] = accepted.socket, accepted
        self.counts.opened += 1
        accepted.stream.count_by(OddFrames(session.connection.count_odd), self._turns)
        pumped, early = output.pumped, accepted.stream.opened()
        try:
            session.connection.send_built(self._hello)
            if self.moves.leaving:  # it connected while the drain began
                session.connection.move_now()
            if pumped is not None:
                wait = partial(nursery.start_soon, wait_unblocked, session, nursery, pumped)
                pumped.start_reading(session, wait, early)
            while True:
                if not session.hear(await socket.get_message(), trio.current_time()):
                    await wait_unblocked(session, nursery)
        except ConnectionClosed as closed:
            if pumped is None or not pumped.gave_up:
                reason = closed.reason
                session.connection.closed_by_peer(
                    1002 if reason is None else reason.code, (reason and reason.reason) or ""
                )
        finally:
            if pumped is not None:
                pumped.stop_reading()
            del self._sessions[session]
            self._score(session)
            session.closed()

    def _score(self, session: Session) -> None:
        code = session.connection.close_code
        self.counts.closed[LOST if code is None else code] += 1
        if not self._draining:
            return
        if code is None:
            self.clients_cut += 1
        elif code == Close.SERVICE_RESTART:
            self.clients_moved += 1
        else:
            self.clients_finished += 1

    async def sweep(self) -> None:
        """Checks and pings all clients, until cancelled: one task in place of a timer for each."""
        while True:
            await next_tick(SWEEP_SECONDS)
            await each_connected(self._sessions, self._look_after)

    def _look_after(self, session: Session) -> None:
        now = trio.current_time()
        session.connection.tick(now)
        if session.guest.until <= now:
            session.connection.move_now(COME_BACK)
        accepted = self._sessions[session]
        if now - accepted.stream.unfinished_since > MESSAGE_SECONDS:
            session.connection.close(Close.TRY_AGAIN_LATER, "a message took too long to come")
        if _fragments(accepted.socket) > FRAGMENTS_MAX:
            session.connection.close(Close.TOO_BIG, f"a message in over {FRAGMENTS_MAX} fragments")

    # For the drain.

    @property
    def clients(self) -> int:
        """How many clients are connected."""
        return len(self._sessions)

    def close_doors(self, reason: str = "draining") -> None:
        """Answers new clients and half-open handshakes with 503; these have a second to end.

        The accept loop ends by its scope. From here on the ends of clients are counted by kind.
        """
        self.handshakes.refuse = reason
        self.handshakes.hurry()
        self._draining = True

    async def wait_empty(self) -> None:
        """Waits until no connection is left, half-open and parting ones included."""
        while self._connections:
            await self._emptied.wait()

    def why(self) -> list[str]:
        """The reasons why the node still runs, one sentence each."""
        return what_is_left(self._sessions, self._connections, trio.current_time())


def _fragments(socket: WebSocketConnection) -> int:
    """The number of fragments of an incomplete message: a client may send empty ones for ever.

    The library keeps each as a text of its own, and counts only their bytes. Its attribute is
    private: with a version that renames it this limit is lost, which a test would show, but the
    node works.
    """
    return len(getattr(socket, "_message_parts", ()))

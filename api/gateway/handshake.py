"""From an accepted connection to a WebSocket, or to a refusal (RFC 6455 §4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType

import msgspec
import trio
import trio.abc
from trio_websocket import ConnectionClosed, WebSocketConnection

from lastcall.api.auth.entry import UNAVAILABLE, Auth, Denial, Entry, Question
from lastcall.api.gateway.arrivals import Arrival, BadProxyHeader, arrive
from lastcall.api.gateway.opening import Opening
from lastcall.api.gateway.tls import ServerTls
from lastcall.api.limits import ClientLimits
from lastcall.api.sessions.client_connection import ClientCounts
from lastcall.api.sessions.guest import Guest
from lastcall.api.socket.library_stream import LibraryStream
from lastcall.core.edge.addresses import FORWARDED, X_FORWARDED_FOR, TrustedProxies
from lastcall.core.edge.opening_request import OpeningRequest, Refusal
from lastcall.core.edge.origins import admits
from lastcall.limits import Limit, address_account
from lastcall.policy import SocketPolicy
from lastcall.reasons import ClientEnd

HURRIED_SECONDS = 1.0
"""For a handshake once the doors are closed: its answer is a 503."""
ASK_SECONDS = 1.0
"""How much longer than for another step a handshake waits for the answer who the client is: that
has a limit of its own (:mod:`lastcall.api.auth.function`), and a 503 must be able to follow."""
TOO_MANY = Denial(503, "too many connections of your address or identity; try again later")
ANSWERS = (Entry, Denial)
LOST = (ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError)
"""The peer had no patience: it is gone before our answer."""


class EntryRules(msgspec.Struct, frozen=True):
    """The rules for new clients; by default everybody may come in, and no header is believed."""

    origins: frozenset[str] | None = None
    """The origins of the web pages that may connect; None for any."""
    proxies: TrustedProxies = TrustedProxies()
    tls: ServerTls | None = None
    auth: Auth | None = None
    """Says who a client is; None: everybody is anonymous."""


class Accepted(msgspec.Struct, frozen=True):
    """A WebSocket, and whose it is."""

    socket: WebSocketConnection
    stream: LibraryStream
    guest: Guest


class Handshakes:
    """The connections of an api node that are half-open; ``clients()`` counts those that are not.

    Counts in ``counts.refused``. A peer has ``handshake_seconds`` until its request can begin (a
    PROXY header, TLS), as long for its request, and the answer has as long again, as has the
    question who the client is.
    """

    def __init__(
        self,
        policy: SocketPolicy,
        counts: ClientCounts,
        clients: Callable[[], int],
        rules: EntryRules,
        limits: ClientLimits,
    ) -> None:
        self._policy = policy
        self._counts = counts
        self._clients = clients
        self._rules = rules
        self._limits = limits
        self._half_open: set[trio.CancelScope] = set()
        self._seconds = policy.handshake_seconds
        self.refuse: str | None = None
        """Why new clients get 503; None while they are welcome."""

    def hurry(self) -> None:
        """From now on each has a second to end, those that are under way too."""
        self._seconds = HURRIED_SECONDS
        deadline = trio.current_time() + HURRIED_SECONDS
        for patience in self._half_open:
            patience.deadline = min(patience.deadline, deadline)

    def admits(self, peer: str) -> bool:
        """Whether the peer may begin another handshake now."""
        return self._limits.may_begin(self._account(peer))

    async def arrive(self, stream: trio.abc.Stream, peer: str) -> Arrival | ClientEnd:
        """The stream of the request, and its peer; or why there is none."""
        rules, arrival = self._rules, None
        if rules.tls is None and not rules.proxies.trusts(peer):
            return Arrival(stream, peer)  # the request comes first
        under_way = self._under_way(self._account(peer))
        with self._patience(), under_way, suppress(*LOST, BadProxyHeader):
            arrival = await arrive(stream, peer, rules.proxies, rules.tls)
        if arrival is None:
            return ClientEnd.HANDSHAKE
        if arrival.peer != peer and not self._limits.may_begin(self._account(arrival.peer)):
            self._counts.refused += 1
            return ClientEnd.REFUSED
        return arrival

    async def perform(
        self, opening: Opening, peer: str, library: trio.Nursery
    ) -> Accepted | ClientEnd:
        """A WebSocket; or why it is none, and the peer has had its answer if it deserves one."""
        request: OpeningRequest | Refusal | None = None
        done: Accepted | ClientEnd = ClientEnd.HANDSHAKE
        try:
            with self._under_way(self._account(peer)):
                with self._patience():
                    request = await opening.read()
                if isinstance(request, OpeningRequest):
                    answer = await self._admit(request, peer)
                    with self._patience():
                        done = await self._answer(opening, request, answer, library)
                elif request is not None:
                    with self._patience():
                        await opening.answer(request)
        except LOST:
            pass
        return done

    async def _admit(self, request: OpeningRequest, peer: str) -> Guest | Denial:
        """Decides who comes in, and as whom."""
        rules = self._rules
        if busy := self._busy():
            return Denial(503, busy)
        if not admits(rules.origins, request.values("origin")):
            return Denial(403, "pages of this origin may not connect")
        address = rules.proxies.client(
            peer, request.values(FORWARDED), request.values(X_FORWARDED_FOR)
        )
        account = address_account(address)
        if not self._limits.take_handshake(account):
            return TOO_MANY
        guest: Guest | Denial = Guest(account)
        if rules.auth is not None:
            guest = await self._identify(rules.auth, request, address, account=account, peer=peer)
        allowed = isinstance(guest, Denial) or self._limits.may_connect(guest)
        return guest if allowed else TOO_MANY

    async def _identify(
        self, auth: Auth, request: OpeningRequest, address: str, *, account: str, peer: str
    ) -> Guest | Denial:
        """Decides as whom the client at ``address`` comes in; ``account`` is that of the address.

        The checkpoints part a wave of clients into three turns: all requests are read, then all
        tokens checked, then all sockets accepted. So each step finds its code in the processor's
        caches: a token costs some 10 µs less, as far as that can be measured.
        """
        await trio.lowlevel.checkpoint()
        answer = auth.admit(request, address)
        if isinstance(answer, ANSWERS):
            await trio.lowlevel.checkpoint()
        else:
            answer = await self._ask(answer, account if account != self._account(peer) else "")
        if isinstance(answer, Denial):
            return answer
        if busy := self._busy():  # since a moment ago
            return Denial(503, busy)
        return Guest(account, answer.identity, answer.until)

    async def _ask(self, question: Question, behind_proxy: str) -> Entry | Denial:
        """The answer to the question who a client is; its account counts if it is not the peer."""
        if not self._limits.may_begin(behind_proxy):
            return TOO_MANY
        with self._under_way(behind_proxy), self._patience(ASK_SECONDS) as patience:
            answer = await question()
        if patience.cancelled_caught:
            return UNAVAILABLE
        return answer

    def _busy(self) -> str:
        """Why nobody may come in now; empty if they may."""
        full = self._clients() >= self._policy.limits.sockets
        if full:
            self._limits.refused[Limit.SOCKETS] += 1
        return self.refuse or ("full" if full else "")

    async def _answer(
        self,
        opening: Opening,
        request: OpeningRequest,
        answer: Guest | Denial,
        library: trio.Nursery,
    ) -> Accepted | ClientEnd:
        """Accepts or refuses a right request: 401 and 403 are final; 503 means later."""
        if isinstance(answer, Guest):
            self._limits.connected(answer)
            try:
                return Accepted(await opening.accept(request, library), opening.stream, answer)
            except BaseException:
                self._limits.disconnected(answer)
                raise
        self._counts.refused += 1
        later = (("Retry-After", "1"),) if answer.status == 503 else ()
        await opening.refuse(request, Refusal(answer.status, answer.reason, later), library)
        return ClientEnd.REFUSED

    def _account(self, peer: str) -> str:
        """The account of a peer whose handshake is under way; none for a proxy of many clients."""
        return "" if self._rules.proxies.trusts(peer) else address_account(peer)

    @contextmanager
    def _under_way(self, account: str) -> Iterator[None]:
        self._limits.half_open.add(account)
        try:
            yield
        finally:
            self._limits.half_open.remove(account)

    def _patience(self, more_seconds: float = 0) -> _Patience:
        return _Patience(self._half_open, self._seconds + more_seconds)


class _Patience:
    """Around one step of a handshake, which is one of ``half_open``: cancels it when its time is
    over.

    A class, for the reason of :mod:`lastcall.runtime.stream_errors`.
    """

    def __init__(self, half_open: set[trio.CancelScope], seconds: float) -> None:
        self._half_open = half_open
        self._scope = trio.move_on_after(seconds)

    def __enter__(self) -> trio.CancelScope:
        self._half_open.add(self._scope)
        return self._scope.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self._half_open.discard(self._scope)
        return self._scope.__exit__(kind, error, traceback)

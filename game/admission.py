"""Decides whether an attach is accepted, before the node does anything for it."""

from __future__ import annotations

import random
from collections.abc import Callable

from lastcall.core.link.feed_address import AllowedApis
from lastcall.core.link.secret import (
    NONCE_BYTES,
    Challenges,
    Secrets,
    calling_side,
    proof,
    proven_by,
)
from lastcall.game.feed_hosts import FeedHosts
from lastcall.game.feeds import caller_of
from lastcall.ids import Incarnation
from lastcall.peer import Peer
from lastcall.runtime.cluster_secret import no_secrets
from lastcall.runtime.rated_log import RatedLog
from lastcall.wire import nodes

NO_SECRET = "this node takes nodes with its secret only: give --cluster-secret-file"  # noqa: S105
WRONG_SECRET = "the secrets of --cluster-secret-file differ"  # noqa: S105


class Admission:
    """The conditions of a game node: the caller knows the cluster's secret, if there is one, and
    its feed is at an address that this node may dial.
    """

    def __init__(
        self,
        me: Incarnation,
        *,
        rng: random.Random,
        secrets: Callable[[], Secrets] = no_secrets,
        apis: AllowedApis = AllowedApis(),  # noqa: B008 - frozen
    ) -> None:
        self._me = me
        self._rng = rng
        self._secrets = secrets
        self.feeds = FeedHosts(apis)
        self._challenges = Challenges()
        self._refused = RatedLog("link.refused")

    def check(self, attach: nodes.Attach, *, known: bool) -> nodes.Reply | None:
        """The refusal or the challenge; None if the caller has proven itself.

        ``known``: the link stands already, and its attach was repeated on the way.
        """
        if attach.link <= 0 or attach.tier not in {nodes.API, nodes.GAME}:
            return nodes.Unsupported("a link's id is a positive number, and its tier api or game")
        secrets = self._secrets()
        if not secrets:
            return None
        if not attach.nonce:
            return nodes.Unsupported(NO_SECRET)
        if not known and not (attach.proof and self._challenges.answered(attach)):
            nonce = self._rng.randbytes(NONCE_BYTES)
            self._challenges.issue(attach.link, nonce)
            return nodes.Challenge(self._me, nonce)
        if self._secret_of(attach) is None:
            return nodes.Unsupported(WRONG_SECRET)
        return None

    def proof(self, attach: nodes.Attach) -> bytes:
        """This node's proof, by the secret that the caller has used."""
        secret = self._secret_of(attach)
        return b"" if secret is None else proof(secret, "game", attach, self._me)

    def _secret_of(self, attach: nodes.Attach) -> bytes | None:
        side = calling_side(attach)
        return proven_by(self._secrets(), side, attach.proof, attach, self._me)

    def note_refusal(self, attach: nodes.Attach, peer: Peer | None, reply: nodes.Reply) -> None:
        """Logs a refused attach, unless the caller asks again at once, or its connection has closed
        meanwhile: nothing is known of where it came from then, and nobody reads the answer.
        """
        if peer is not None and not peer.host:
            return
        if isinstance(reply, nodes.Unsupported) and not reply.retry:
            host = peer.host if peer is not None else ""
            self._refused.warning(**caller_of(attach), peer=host, why=reply.message)

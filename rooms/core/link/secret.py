"""The proof that both ends of a link know the cluster's secret, without sending it.

::

    caller                                    game node
        ── attach: link, own incarnation, nonce ──▶
        ◀── challenge: own incarnation, nonce ──
        ── attach: the same, with its proof ──▶
        ◀── welcome, with the game node's proof ──

A proof is HMAC-SHA-256 (RFC 2104) over its side's name, the link's id, both incarnations and both
nonces. So one of another link, another process or an earlier moment is worth nothing, and neither
side can be sent its own proof: a game node that calls another proves as a *peer*. Each nonce is
good for one proof. The caller proves first: it dials configured addresses, while strangers may dial
the game node.

This proves who attaches. It encrypts nothing: somebody who reads the network between the nodes sees
the link's id, and can then speak on the link.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal

from lastcall.ids import Incarnation, LinkId
from lastcall.wire import nodes

Side = Literal["api", "peer", "game"]
"""An api node or a game node that calls, and the game node that answers."""
Secrets = Sequence[bytes]
"""Any is accepted, and the first is used; empty: the node has none."""
NONCE_BYTES = 16
CHALLENGES_MAX = 1_024
"""Attaches that have not answered yet; over it the oldest is forgotten, and tries again."""


def calling_side(attach: nodes.Attach) -> Side:
    """The side of the caller."""
    return "peer" if attach.tier == nodes.GAME else "api"


def proof(secret: bytes, side: Side, attach: nodes.Attach, game: Incarnation) -> bytes:
    """The proof of ``side``; ``attach`` has both nonces, and is that of the caller."""
    ids = (attach.link, attach.incarnation, game)
    words = [side.encode(), *(str(number).encode() for number in ids)]
    nonces = [attach.nonce.hex().encode(), attach.challenge.hex().encode()]
    return hmac.digest(secret, b"lastcall link 1|" + b"|".join(words + nonces), "sha256")


def proven_by(
    secrets: Secrets, side: Side, shown: bytes, attach: nodes.Attach, game: Incarnation
) -> bytes | None:
    """The secret with which ``side`` made the proof ``shown``; takes the same time for any."""
    found = None
    for secret in secrets:
        if hmac.compare_digest(shown, proof(secret, side, attach, game)):
            found = secret
    return found


class Challenges:
    """The game node's nonces that are not answered yet, by link. Bounded; each is good once."""

    def __init__(self) -> None:
        self._open: OrderedDict[LinkId, bytes] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def issue(self, link: LinkId, nonce: bytes) -> None:
        """The link's attach has to answer ``nonce``; an earlier one is void."""
        self._open.pop(link, None)
        self._open[link] = nonce
        if len(self._open) > CHALLENGES_MAX:
            self._open.popitem(last=False)

    def answered(self, attach: nodes.Attach) -> bool:
        """Whether ``attach`` answers the nonce that its link was given; it is void after that."""
        nonce = self._open.pop(attach.link, None)
        return nonce is not None and hmac.compare_digest(nonce, attach.challenge)

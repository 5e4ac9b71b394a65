"""How a link between two nodes begins and ends: the requests, and the replies to them."""

from __future__ import annotations

import msgspec

from lastcall.ids import Incarnation, LinkId, NodeName
from lastcall.wire.items import NodeState

API, GAME = "api", "game"
"""The tiers."""


class Envelope(msgspec.Struct, frozen=True, tag_field="t", omit_defaults=True, gc=False):
    """The base of requests and replies."""


class Attach(Envelope, frozen=True, tag="attach"):
    """Asks for a new link. ``attempt`` rises, so that a delayed one cannot replace a later one.

    The new link replaces the one that the node still holds for the same process and address:
    ``dialled`` is the address, as the caller dialled it. A node that has a link from this process
    by another address answers :class:`Twice`, and so does a node that has called itself. For nodes
    before 0.2, ``replaces`` is the last link that was asked for at that address, or 0.
    """

    wire: int
    link: LinkId
    attempt: int
    api: NodeName
    """The caller's name, of whichever tier it is."""
    incarnation: Incarnation
    feed: str
    """The URL of the caller's subscriber, as the game node can dial it."""
    version: str = ""
    replaces: LinkId = LinkId(0)
    dialled: str = ""
    nonce: bytes = b""
    """Of a caller that has a secret: the game node answers :class:`Challenge`."""
    challenge: bytes = b""
    """The nonce of the game node's challenge, in the second attach; ``proof`` answers it."""
    proof: bytes = b""
    tier: str = API
    """The caller's tier. A node of version 0.1 takes every caller for an api node."""


class Detach(Envelope, frozen=True, tag="detach"):
    """The caller leaves: its players on this link are away, and its feed can be freed."""

    link: LinkId


class Welcome(Envelope, frozen=True, tag="welcome"):
    """The link is attached. ``born`` is when the node started, in seconds since 1970.

    ``age_seconds`` is how long ago that was; its clock may be wrong. Version 0.1 does not say it.
    """

    wire: int
    link: LinkId
    name: NodeName
    incarnation: Incarnation
    version: str
    born: float
    state: NodeState
    age_seconds: float | None = None
    proof: bytes = b""
    """The game node's proof, for a caller that has given its own."""


class Challenge(Envelope, frozen=True, tag="challenge"):
    """The node has a secret: the caller attaches once more, with its answer to ``nonce``.

    See :mod:`lastcall.core.link.secret`. Only an attach with a nonce gets this.
    """

    incarnation: Incarnation
    nonce: bytes


class UnknownLink(Envelope, frozen=True, tag="unknown_link"):
    """The node does not know the link and applied nothing: the caller attaches again."""

    incarnation: Incarnation


class Twice(Envelope, frozen=True, tag="twice"):
    """The caller is attached to this node by another address, or is this node. Nothing changed."""

    incarnation: Incarnation


class Unsupported(Envelope, frozen=True, tag="unsupported"):
    """The request was refused: its type is unknown, it cannot be read, or ``message`` says why.

    With ``retry``, the node has to find something out first, and wants the same request again soon.
    """

    message: str = ""
    retry: bool = False

"""Decides the next step of a join or a resume that has no place yet."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from lastcall.core.edge.missing_nodes import MissingNodes
from lastcall.core.edge.placement import Candidate, knows_kind
from lastcall.reasons import ErrorCode
from lastcall.wire.frames import Join


class Ask(msgspec.Struct, frozen=True):
    """Ask this node."""

    node: Candidate


class Wait(msgspec.Struct, frozen=True):
    """Wait until a node comes, changes or answers; a ``suspect`` looks like a guess until then."""

    suspect: bool = False


class Refuse(msgspec.Struct, frozen=True):
    """Tell the client no."""

    code: ErrorCode
    message: str


class NotThere(msgspec.Struct, frozen=True):
    """No game node can have the place."""


def next_join_step(
    request: Join,
    node: Candidate | None,
    known: Collection[Candidate],
    refusal: Refuse | None,
    *,
    may_change: bool,
) -> Ask | Wait | Refuse:
    """The step of a join for which placement has chosen ``node`` of ``known``, or none.

    ``may_change``: a game node is still to be met, or to say whether it has the key's seat.
    ``refusal`` is the last one, if every node that could be asked has refused.
    """
    if node is not None:
        return Ask(node)
    if may_change:
        return Wait()
    if refusal is None and known and not request.room and not knows_kind(known, request.kind):
        return Refuse(ErrorCode.NO_SUCH_KIND, f"no game node has {request.kind!r}")
    return refusal or Wait()


def next_resume_step(
    rest: Sequence[Candidate],
    hint: str,
    missing: MissingNodes,
    *,
    hint_answers: bool,
    may_appear: bool,
    may_regroup: bool,
) -> Ask | Wait | NotThere:
    """The step of a resume that all attached nodes but ``rest`` have refused.

    ``rest`` is in the order to ask. ``hint`` is the node that the ticket names, and
    ``hint_answers`` whether a node of that name is attached and not silent.

    A place is declared unknown only when each attached node has said so (``rest`` is empty), no
    ``missing`` node may have it, the ticket does not name a node that may still appear
    (``may_appear``), and no node may have got the place since it refused (``may_regroup``). A
    ticket that the node it names has refused looks like a guess, and so does one in the last two
    cases.
    """
    for node in rest:
        if not node.silent:
            return Ask(node)
    if rest or missing.may_have(hint, hint_answers=hint_answers):
        return Wait(suspect=hint_answers)
    return Wait(suspect=True) if may_appear or may_regroup else NotThere()

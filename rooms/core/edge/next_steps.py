"""Decides the next step of a join or a resume that has no place yet."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from lastcall.core.edge.missing_nodes import MissingNodes
from lastcall.core.edge.placement import Candidate, choose, choose_for_room, knows_kind
from lastcall.ids import Incarnation
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


def node_for_join(
    request: Join,
    known: Collection[Candidate],
    refused_by: Collection[Incarnation],
    moved_to: Incarnation | None,
    *,
    expected: bool,
) -> Candidate | None:
    """The node of ``known`` that may seat the player next, if any.

    ``moved_to`` has the named room by now, and is asked first. ``expected``: a node has said where
    the seat of the key is, or may be soon. Then the player gets no other seat.
    """
    if request.room:
        return choose_for_room(known, request.room, refused_by, moved_to)
    if expected:
        return None
    return choose(known, request.kind, new=request.new, without=refused_by)


def next_join_step(
    request: Join,
    node: Candidate | None,
    known: Collection[Candidate],
    refusal: Refuse | None,
    *,
    may_change: bool,
) -> Ask | Wait | Refuse:
    """The step of a join for which placement has chosen ``node`` of ``known``, or none.

    ``may_change``: a game node is still to be met, or to say whether it has the key's seat, or a
    node is expected to have the room or the seat.
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
    expected: bool,
) -> Ask | Wait | NotThere:
    """The step of a resume that all attached nodes but ``rest`` have refused.

    ``rest`` is in the order to ask. ``hint`` is the node that the ticket names, and
    ``hint_answers`` whether a node of that name is attached and not silent.

    A place is declared unknown only when each attached node has said so (``rest`` is empty), no
    ``missing`` node may have it, the ticket does not name a node that may still appear
    (``may_appear``), and no node may have got the place since it refused (``may_regroup``). A
    ticket that the node it names has refused looks like a guess, and so does one in the last two
    cases.

    ``expected``: a node has said which one has the room, or may have it soon, and that one cannot
    be asked now. Then the place is not unknown, and nothing looks like a guess.
    """
    for node in rest:
        if not node.silent:
            return Ask(node)
    if expected:
        return Wait()
    if rest or missing.may_have(hint, hint_answers=hint_answers):
        return Wait(suspect=hint_answers)
    return Wait(suspect=True) if may_appear or may_regroup else NotThere()

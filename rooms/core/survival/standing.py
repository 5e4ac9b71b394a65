"""How a surviving room stands, in a sentence for ``status.why``."""

from __future__ import annotations

from lastcall.core.survival.actions import Protection
from lastcall.core.survival.line import Line
from lastcall.core.survival.links import View
from lastcall.ids import Incarnation

GETS_IMAGE = "a standby gets its image"
NO_WITNESS = "no api node has a link to its node and to the one of its standby"


def standing(line: Line, view: View, usable: tuple[Incarnation, ...]) -> tuple[Protection, str]:
    """The room's protection, and why it is not better; ``usable`` may be its witnesses."""
    if view.withheld:
        return Protection.UNPROTECTED, view.withheld
    if not line.config.standbys:
        return Protection.UNPROTECTED, _no_standby(line, view)
    if not line.whole:
        return Protection.WAITING, "the standby is gone, and the witness has not voted yet"
    if not line.heirs:
        return Protection.UNPROTECTED, GETS_IMAGE
    if not usable:
        return Protection.UNPROTECTED, NO_WITNESS
    return Protection.PROTECTED, ""


def _no_standby(line: Line, view: View) -> str:
    if not view.witnesses:
        return "there is no api node to be its witness"
    if line.candidate is not None:
        return NO_WITNESS if line.candidate.ready else GETS_IMAGE
    if not any(node != line.config.primary for node in view.takers):
        return "there is no other game node to be its standby"
    return "no other game node takes its image"

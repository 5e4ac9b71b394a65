"""Describes kinds of rooms for a page that can play any of them: by JSON schemas of their types."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from lastcall.kind import Kind
from lastcall.wire.views import KindView

ABOUT_CHARS = 200


def kind_views(kinds: Iterable[Kind]) -> list[KindView]:
    """The kinds in their order."""
    return [_view(kind) for kind in kinds]


def _view(kind: Kind) -> KindView:
    about = inspect.getdoc(kind.function) or ""
    return KindView(
        name=kind.name,
        seats=kind.seats,
        starts=kind.starts,
        survives=kind.survives,
        moves=kind.moves,
        about=about.partition("\n")[0][:ABOUT_CHARS],
        inputs=_schema(kind.inputs),
        options=_schema(kind.options),
    )


def _schema(what: Any) -> Mapping[str, Any] | None:
    """The JSON schema of a type; None without a type, or without a schema that is JSON.

    An author's type may have hooks, defaults and metadata of any sort, so anything may be raised.
    """
    if what is None:
        return None
    try:
        schema = msgspec.json.schema(what)
        msgspec.json.encode(schema)
    except Exception:  # noqa: BLE001 - see above
        return None
    return schema

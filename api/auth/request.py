"""The parts of an opening request that tell who a client is."""

from __future__ import annotations

from urllib.parse import parse_qsl

from lastcall.core.edge.opening_request import OpeningRequest
from lastcall.identity import Handshake, bearer_tokens


def handshake_of(request: OpeningRequest, address: str) -> Handshake:
    """The request as an ``--auth`` function sees it; ``address`` is the client's."""
    headers = dict(request.headers)
    if len(headers) < len(request.headers):
        headers = {name: ", ".join(request.values(name)) for name in headers}
    query: dict[str, str] = {}
    for name, value in parse_qsl(request.query, keep_blank_values=True):
        query.setdefault(name, value)
    return Handshake(headers, request.path, query, address, request.subprotocols)


def token_of(request: OpeningRequest) -> str | None:
    """The :attr:`Handshake.token` of the request, without what only a function needs."""
    authorization = ", ".join(request.values("authorization"))
    given = bearer_tokens(authorization, request.subprotocols)
    return given[0] if given else _token_in(request.query)


def _token_in(query: str) -> str | None:
    if "%" in query or "+" in query:
        pairs = parse_qsl(query, keep_blank_values=True)
        return next((value for name, value in pairs if name == "token"), "") or None
    for one in query.split("&"):
        name, _, value = one.partition("=")
        if name == "token":
            return value or None
    return None

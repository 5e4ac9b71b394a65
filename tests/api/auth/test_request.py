"""The token in an opening request, and the handshake that an author's function is given."""

from __future__ import annotations

from urllib.parse import urlencode

from hypothesis import given
from hypothesis import strategies as st

from lastcall.api.auth.request import handshake_of, token_of
from lastcall.core.edge.opening_request import OpeningRequest

NAMES = st.sampled_from(["token", "Token", "t%6Fken", "to+ken", "other", ""])
VALUES = st.sampled_from(["", "a.b.c", "a%2Eb", "a+b", "=", "x=y", "\xe9"])
PARTS = st.one_of(st.builds("{}={}".format, NAMES, VALUES), NAMES, st.just("&"))
QUERIES = st.lists(PARTS, max_size=4).map("&".join)
AUTHORIZATIONS = st.sampled_from(["Bearer a", "bearer  b ", "Bearer", "Basic x", "", "BEARER c, d"])
HEADERS = st.lists(
    st.tuples(st.sampled_from(["authorization", "cookie"]), AUTHORIZATIONS), max_size=3
)
OFFERED = st.lists(st.sampled_from(["lastcall.v1", "bearer.x", "bearer.", "Bearer.y"]), max_size=3)


def request(
    query: str = "",
    headers: list[tuple[str, str]] | None = None,
    offered: list[str] | None = None,
) -> OpeningRequest:
    return OpeningRequest("/", query, tuple(headers or ()), tuple(offered or ()), "")


@given(query=QUERIES, headers=HEADERS, offered=OFFERED)
def test_the_token_is_the_one_that_a_function_would_be_given(
    query: str, headers: list[tuple[str, str]], offered: list[str]
) -> None:
    asked = request(query, headers, offered)
    assert token_of(asked) == handshake_of(asked, "192.0.2.1").token


def test_a_token_in_the_query_may_be_escaped() -> None:
    assert token_of(request(urlencode({"a": "b", "token": "x+y=&"}))) == "x+y=&"


def test_a_handshake_has_the_first_value_of_a_parameter_and_all_of_a_header() -> None:
    found = handshake_of(request("a=1&a=2", [("x", "1"), ("x", "2")], ["lastcall.v1"]), "192.0.2.1")
    assert (found.query, found.headers, found.address) == ({"a": "1"}, {"x": "1, 2"}, "192.0.2.1")

"""The values that an ``--auth`` function is given and answers."""

import pytest

from lastcall import Handshake, Identity, Refuse

TOKEN = "a.secret.token"  # noqa: S105


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"id": ""}, ValueError),
        ({"id": "x" * 257}, ValueError),
        ({"id": 7}, TypeError),
        ({"id": None}, TypeError),
        ({"id": "\ud83d"}, ValueError),
        ({"id": "ann", "name": 7}, TypeError),
        ({"id": "ann", "name": "\ud83d"}, ValueError),
        ({"id": "ann", "claims": [1]}, TypeError),
        ({"id": "ann", "until": "soon"}, ValueError),
        ({"id": "ann", "until": True}, ValueError),
        ({"id": "ann", "until": float("nan")}, ValueError),
        ({"id": "ann", "until": float("inf")}, ValueError),
    ],
)
def test_an_identity_of_another_form_is_an_error(
    fields: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        Identity(**fields)  # type: ignore[arg-type]


def test_a_name_of_more_than_64_characters_is_cut() -> None:
    assert Identity("ann", name="x" * 65).name == "x" * 64


@pytest.mark.parametrize("status", [200, 404, 503, "401"])
def test_refuse_takes_401_and_403(status: int) -> None:
    with pytest.raises(ValueError, match="401 or 403"):
        Refuse(status)  # type: ignore[arg-type]


def hand(
    authorization: str = "", subprotocols: tuple[str, ...] = (), query: dict[str, str] | None = None
) -> Handshake:
    headers = {"authorization": authorization} if authorization else {}
    return Handshake(headers, "/play", query or {}, "192.0.2.1", subprotocols)


@pytest.mark.parametrize(
    ("request_", "token"),
    [
        (hand("Bearer T"), "T"),
        (hand("bearer   T "), "T"),
        (hand("Basic T"), None),
        (hand("Bearer"), None),
        (hand(subprotocols=("lastcall.v1", "bearer.T.T.T")), "T.T.T"),
        (hand(subprotocols=("bearer.",)), None),
        (hand(query={"token": "T"}), "T"),
        (hand(query={"token": ""}), None),
        (hand("Basic T", ("bearer.U",), {"token": "V"}), "U"),
        (hand("Bearer T", ("bearer.U",), {"token": "V"}), "T"),
        (hand(), None),
    ],
)
def test_a_token_is_in_the_header_a_subprotocol_or_the_query(
    request_: Handshake, token: str | None
) -> None:
    assert request_.token == token


def test_the_text_of_a_handshake_shows_no_token() -> None:
    shown = repr(hand(f"Bearer {TOKEN}", (f"bearer.{TOKEN}",), {"token": TOKEN}))
    assert TOKEN not in shown
    assert "192.0.2.1" in shown

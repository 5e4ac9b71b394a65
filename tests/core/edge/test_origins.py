import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.edge.origins import admits, normalized, parse_origins
from lastcall.errors import UsageError

PLAY = parse_origins("https://play.example, http://localhost:8000,null,https://[2001:db8::1]:444")

CASES = {
    "https://play.example": True,
    "https://play.example:443": True,
    "HTTPS://PLAY.example": True,
    "http://localhost:8000": True,
    "null": True,
    "https://[2001:DB8:0::1]:444": True,
    "http://play.example": False,
    "https://play.example:444": False,
    "https://play.example.evil.example": False,
    "https://evil.example/https://play.example": False,
    "https://play.example/": False,
    "https://play.example@evil.example": False,
    "https://play.example evil": False,
    "https://xplay.example": False,
    "http://localhost": False,
    "http://localhost:8000, https://evil.example": False,
    "https://[2001:db8::2]:444": False,
    "NULL": False,
    "": False,
}


@pytest.mark.parametrize(("origin", "passes"), CASES.items())
def test_an_origin_passes_if_scheme_host_and_port_are_listed(origin: str, *, passes: bool) -> None:
    assert admits(PLAY, [origin]) is passes


def test_a_request_without_an_origin_passes_and_one_with_two_does_not() -> None:
    assert admits(PLAY, [])
    assert not admits(PLAY, ["https://play.example", "https://play.example"])
    assert admits(None, ["https://play.example", "https://evil.example"])


@pytest.mark.parametrize(
    "text",
    [
        *("", "play.example", "https://play.example/", "*", "https://*.example"),
        *("https://bücher.example", "https://play.example,", "https://a.example:65536"),
        *("https://[::1", "https://[1:2]"),
    ],
)
def test_a_text_that_is_not_an_origin_is_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(UsageError, match=r"such as https://play\.example"):
        parse_origins(text)


@given(st.text() | st.from_regex(r"[a-z]+://[a-z.\[\]:0-9]+(:[0-9]+)?", fullmatch=True))
def test_normalizing_twice_changes_nothing_more(text: str) -> None:
    once = normalized(text)
    assert once is None or normalized(once) == once

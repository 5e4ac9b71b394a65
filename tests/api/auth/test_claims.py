"""The moments at which the claims of a token begin and end to count."""

from __future__ import annotations

import pytest

from lastcall.api.auth.claims import EXPIRED, NOT_YET, BadToken, ClaimRules

LEEWAY = 60
RULES = ClaimRules((), (), LEEWAY)


def test_a_token_counts_until_its_exp_and_the_leeway() -> None:
    claims = {"sub": "ann", "exp": 1_000}
    RULES.check(claims, 1_000 + LEEWAY - 0.001)
    with pytest.raises(BadToken, match=EXPIRED):
        RULES.check(claims, 1_000 + LEEWAY)


@pytest.mark.parametrize("begin", ["nbf", "iat"])
def test_a_token_counts_from_its_nbf_and_iat_less_the_leeway(begin: str) -> None:
    claims = {"sub": "ann", "exp": 9_000, begin: 1_000}
    RULES.check(claims, 1_000 - LEEWAY)
    with pytest.raises(BadToken, match=NOT_YET):
        RULES.check(claims, 1_000 - LEEWAY - 0.001)

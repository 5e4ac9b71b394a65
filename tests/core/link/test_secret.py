"""A proof is good for one link, one pair of processes, one side and one pair of nonces."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.link.secret import CHALLENGES_MAX, Challenges, proof, proven_by
from lastcall.ids import Incarnation, LinkId, NodeName
from lastcall.wire import nodes

SECRET, OTHER = b"s" * 16, b"o" * 16
GAME = Incarnation(4)
ATTACH = nodes.Attach(
    wire=2,
    link=LinkId(7),
    attempt=1,
    api=NodeName("api-1"),
    incarnation=Incarnation(9),
    feed="tcp://127.0.0.1:7001",
    nonce=b"n" * 16,
    challenge=b"c" * 16,
)


def test_each_side_accepts_the_others_proof_by_any_of_its_secrets() -> None:
    shown = proof(SECRET, "api", ATTACH, GAME)
    assert proven_by([SECRET], "api", shown, ATTACH, GAME) == SECRET
    assert proven_by([OTHER, SECRET], "api", shown, ATTACH, GAME) == SECRET
    assert proven_by([OTHER], "api", shown, ATTACH, GAME) is None
    assert proven_by([], "api", shown, ATTACH, GAME) is None


def test_a_proof_is_never_good_for_the_other_side() -> None:
    shown = proof(SECRET, "api", ATTACH, GAME)
    assert proven_by([SECRET], "game", shown, ATTACH, GAME) is None


@given(
    st.sampled_from(["link", "incarnation", "nonce", "challenge", "game"]),
    st.integers(10, 2**63 - 1),
)
def test_a_proof_of_another_link_process_or_moment_is_worth_nothing(name: str, other: int) -> None:
    shown = proof(SECRET, "api", ATTACH, GAME)
    changed, game = ATTACH, GAME
    if name == "game":
        game = Incarnation(other)
    else:
        value = other.to_bytes(16, "big") if name in ("nonce", "challenge") else other
        changed = msgspec.structs.replace(ATTACH, **{name: value})
    assert proven_by([SECRET], "api", shown, changed, game) is None


@given(st.binary(max_size=40))
def test_no_bytes_but_the_proof_are_accepted(shown: bytes) -> None:
    assert proven_by([SECRET, OTHER], "api", shown, ATTACH, GAME) is None


def test_a_challenge_is_answered_once() -> None:
    challenges = Challenges()
    challenges.issue(ATTACH.link, ATTACH.challenge)
    assert challenges.answered(ATTACH)
    assert not challenges.answered(ATTACH)


def test_a_wrong_answer_uses_the_challenge_up() -> None:
    challenges = Challenges()
    challenges.issue(ATTACH.link, b"another")
    assert not challenges.answered(ATTACH)
    assert len(challenges) == 0


def test_challenges_of_strangers_take_a_bounded_space() -> None:
    challenges = Challenges()
    for link in range(1, 2 * CHALLENGES_MAX):
        challenges.issue(LinkId(link), b"n")
    assert len(challenges) == CHALLENGES_MAX

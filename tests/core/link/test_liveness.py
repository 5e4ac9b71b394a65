from __future__ import annotations

from lastcall.core.link.liveness import Liveness, StallDetector, Verdict
from lastcall.policy import LinkPolicy

POLICY = LinkPolicy()


def turn_regularly(liveness: Liveness, start: float, end: float) -> None:
    now = start
    while now < end:
        liveness.turned(now)
        now += 0.25
    liveness.turned(end)


def test_a_peer_is_silent_after_3_s_and_lost_after_6_s() -> None:
    peer = Liveness(POLICY, now=0.0)
    turn_regularly(peer, 0.0, 2.9)
    assert peer.verdict(2.9) is Verdict.ALIVE
    turn_regularly(peer, 2.9, 3.0)
    assert peer.verdict(3.0) is Verdict.SILENT
    turn_regularly(peer, 3.0, 6.0)
    assert peer.verdict(6.0) is Verdict.LOST


def test_any_sign_of_the_peer_ends_the_silence() -> None:
    peer = Liveness(POLICY, now=0.0)
    turn_regularly(peer, 0.0, 5.0)
    peer.heard(5.0)
    assert peer.verdict(5.0) is Verdict.ALIVE


def test_a_stall_of_10_s_in_this_process_does_not_count_as_silence_of_the_peer() -> None:
    peer = Liveness(POLICY, now=0.0)
    turn_regularly(peer, 0.0, 1.0)
    peer.turned(11.0)
    assert peer.verdict(11.0) is Verdict.ALIVE
    turn_regularly(peer, 11.0, 12.75)
    assert peer.verdict(12.75) is Verdict.ALIVE
    turn_regularly(peer, 12.75, 13.0)
    assert peer.verdict(13.0) is Verdict.SILENT


def test_after_a_stall_the_peer_gets_the_time_of_one_request_even_near_the_limit() -> None:
    peer = Liveness(POLICY, now=0.0)
    turn_regularly(peer, 0.0, 5.9)
    peer.turned(7.0)
    assert peer.verdict(7.4) is Verdict.ALIVE
    turn_regularly(peer, 7.0, 7.5)
    assert peer.verdict(7.5) is not Verdict.ALIVE


def test_a_stream_that_advances_or_is_complete_is_not_stalled() -> None:
    feed = StallDetector()
    for position in range(20):
        feed.look(position, behind=True, seconds=0.25)
    assert feed.seconds == 0
    for _ in range(20):
        feed.look(19, behind=False, seconds=0.25)
    assert feed.seconds == 0


def test_a_stalled_stream_crosses_a_limit_once_with_any_step() -> None:
    for step in (0.05, 0.1, 0.25, 0.3):
        feed, crossings = StallDetector(), 0
        for _ in range(200):
            feed.look(0, behind=True, seconds=step)
            crossings += feed.crossed(3.0, step)
        assert crossings == 1
        feed.look(1, behind=True, seconds=step)
        assert feed.seconds == 0

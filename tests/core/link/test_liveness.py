from __future__ import annotations

from lastcall.core.link.liveness import Liveness, StallDetector, Verdict
from lastcall.policy import LinkPolicy

POLICY = LinkPolicy()


def turning(liveness: Liveness, start: float, end: float) -> None:
    now = start
    while now < end:
        liveness.turned(now)
        now += 0.25
    liveness.turned(end)


def test_a_peer_is_silent_after_3_s_and_lost_after_6() -> None:
    peer = Liveness(POLICY, now=0.0)
    turning(peer, 0.0, 2.9)
    assert peer.verdict(2.9) is Verdict.ALIVE
    turning(peer, 2.9, 3.0)
    assert peer.verdict(3.0) is Verdict.SILENT
    turning(peer, 3.0, 6.0)
    assert peer.verdict(6.0) is Verdict.LOST


def test_one_word_ends_the_silence() -> None:
    peer = Liveness(POLICY, now=0.0)
    turning(peer, 0.0, 5.0)
    peer.heard(5.0)
    assert peer.verdict(5.0) is Verdict.ALIVE


def test_our_own_stall_of_10_s_is_not_the_peers_silence() -> None:
    peer = Liveness(POLICY, now=0.0)
    turning(peer, 0.0, 1.0)
    peer.turned(11.0)
    assert peer.verdict(11.0) is Verdict.ALIVE
    turning(peer, 11.0, 12.75)
    assert peer.verdict(12.75) is Verdict.ALIVE
    turning(peer, 12.75, 13.0)
    assert peer.verdict(13.0) is Verdict.SILENT


def test_after_a_stall_one_whole_request_is_tried_even_if_the_silence_was_nearly_over() -> None:
    peer = Liveness(POLICY, now=0.0)
    turning(peer, 0.0, 5.9)
    peer.turned(7.0)
    assert peer.verdict(7.4) is Verdict.ALIVE
    turning(peer, 7.0, 7.5)
    assert peer.verdict(7.5) is not Verdict.ALIVE


def test_a_stream_that_moves_or_has_nothing_to_come_does_not_stand_still() -> None:
    feed = StallDetector()
    for position in range(20):
        feed.look(position, behind=True, seconds=0.25)
    assert feed.seconds == 0
    for _ in range(20):
        feed.look(19, behind=False, seconds=0.25)
    assert feed.seconds == 0


def test_a_stream_that_stands_still_crosses_a_limit_once_whatever_the_step() -> None:
    for step in (0.05, 0.1, 0.25, 0.3):
        feed, crossings = StallDetector(), 0
        for _ in range(200):
            feed.look(0, behind=True, seconds=step)
            crossings += feed.crossed(3.0, step)
        assert crossings == 1
        feed.look(1, behind=True, seconds=step)
        assert feed.seconds == 0

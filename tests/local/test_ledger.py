"""The bots' common ledger."""

from __future__ import annotations

from rooms.local.ledger import Ledger
from rooms.local.referee import Outcome


def test_a_match_counts_when_both_players_agree_and_the_first_one_is_timed():
    now = 100.0
    ledger = Ledger(lambda: now)
    ledger.finished("r1", Outcome("p0", "XXX"))
    assert (ledger.matches, ledger.unpaired) == (0, 1)
    now = 102.5
    ledger.finished("r1", Outcome("p0", "XXX"))
    assert (ledger.matches, ledger.unpaired, ledger.first_match_seconds) == (1, 0, 2.5)
    assert ledger.clean


def test_two_results_of_one_match_are_a_disagreement():
    ledger = Ledger(lambda: 0)
    ledger.finished("r1", Outcome("p0", "XXX"))
    ledger.finished("r1", Outcome("p1", "XXX"))
    assert (ledger.matches, ledger.disagreements, ledger.clean) == (0, 1, False)


def test_gaps_repeats_and_errors_make_it_unclean():
    for trouble in ({"gaps": 1, "repeats": 0}, {"gaps": 0, "repeats": 1}):
        ledger = Ledger(lambda: 0)
        ledger.numbered(**trouble)
        assert not ledger.clean
    ledger = Ledger(lambda: 0)
    ledger.error("no")
    assert not ledger.clean


def test_after_the_close_nothing_counts():
    ledger = Ledger(lambda: 0)
    ledger.close()
    ledger.finished("r1", Outcome("p0", "XXX"))
    ledger.numbered(gaps=1, repeats=1)
    ledger.error("cut")
    ledger.was_cut()
    ledger.refused()
    ledger.reconnected()
    ledger.walked_over()
    assert ledger.clean
    counts = (ledger.unpaired, ledger.cut, ledger.refused_joins, ledger.reconnects)
    assert (*counts, ledger.walkovers) == (0, 0, 0, 0, 0)

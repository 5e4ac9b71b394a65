"""The ledger that all bots share."""

from __future__ import annotations

from collections import Counter

from lastcall.local.bots.ledger import Ledger, at_quantile
from lastcall.local.bots.referee import Outcome


def test_a_match_counts_when_both_players_agree_and_the_first_one_is_timed():
    now = 100.0
    ledger = Ledger(lambda: now)
    ledger.finished("r1", Outcome("p0", "XXX"))
    assert (ledger.matches, ledger.unpaired) == (0, 1)
    now = 102.5
    ledger.finished("r1", Outcome("p0", "XXX"))
    assert (ledger.matches, ledger.unpaired, ledger.first_match_seconds) == (1, 0, 2.5)
    assert ledger.clean


def test_different_results_of_one_match_are_a_disagreement():
    ledger = Ledger(lambda: 0)
    ledger.finished("r1", Outcome("p0", "XXX"))
    ledger.finished("r1", Outcome("p1", "XXX"))
    assert (ledger.matches, ledger.disagreements, ledger.clean) == (0, 1, False)


def test_a_ledger_with_gaps_repeats_or_errors_is_not_clean():
    for counts in ({"gaps": 1, "repeats": 0}, {"gaps": 0, "repeats": 1}):
        ledger = Ledger(lambda: 0)
        ledger.add_numbering_errors(**counts)
        assert not ledger.clean
    ledger = Ledger(lambda: 0)
    ledger.error("no")
    assert not ledger.clean


def test_a_closed_ledger_counts_nothing():
    ledger = Ledger(lambda: 0)
    ledger.close()
    ledger.finished("r1", Outcome("p0", "XXX"))
    ledger.add_numbering_errors(gaps=1, repeats=1)
    ledger.error("cut")
    ledger.was_cut()
    ledger.refused()
    ledger.reconnected("bot-1")
    ledger.joined(0.2)
    ledger.rejected("no")
    ledger.walkover()
    assert ledger.clean
    totals = (ledger.unpaired, ledger.cut, ledger.refused_joins, ledger.hops.total())
    assert (*totals, ledger.walkovers) == (0, 0, 0, 0, 0)
    assert (ledger.turned_away, at_quantile(ledger.join_waits, 1)) == (0, 0)


def test_the_difference_of_two_marks_counts_the_events_between_them():
    ledger = Ledger(lambda: 0)
    ledger.error("before")
    ledger.reconnected("bot-1")
    ledger.joined(2)
    before = ledger.mark()
    ledger.refused()
    ledger.rejected("503")
    ledger.was_cut()
    ledger.error("lost")
    ledger.add_numbering_errors(gaps=1, repeats=2)
    ledger.walkover()
    for name in ("bot-1", "bot-1", "bot-2"):
        ledger.reconnected(name)
    ledger.joined(0.0301)
    difference = ledger.mark().since(before)
    assert (difference.refused, difference.cut, difference.lost) == (2, 1, 3)
    assert (difference.repeated, difference.errors) == (2, 2)
    assert difference.hops == {"bot-1": 2, "bot-2": 1}
    assert difference.waits == {31: 1}


def test_a_quantile_is_the_wait_that_a_fraction_of_all_waits_did_not_exceed():
    waits = Counter({10: 98, 20: 1, 700: 1})
    assert [at_quantile(waits, q) for q in (0.5, 0.98, 0.99, 1)] == [0.01, 0.01, 0.02, 0.7]
    assert at_quantile(Counter(), 0.99) == 0

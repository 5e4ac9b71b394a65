"""The check of the English finds each phrase, and leaves plain sentences alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.check_english import PATTERNS, hits, main

PHRASES = {
    "he": "# The player is moved, and he keeps the seat.",
    "his": "The author tests his room.",
    "Him": "Him it does not reach.",
    "himself": "a player kicks himself",
    "is no address": '"""Anything that is no address is refused."""',
    "are no limits": "so rates are no limits of the servers",
    "was no loss": "That was no loss.",
    "of before": "the ticket of before",
    "is had": "Every input is had.",
    "were had": "the inputs were had",
    "is to be seated": "The player is to be seated elsewhere.",
    "so many": "the cut comes in so many seconds",
    "so much": "only so much has left",
    "for so long": "tried again for so long",
    "whoever": "for whoever comes back",
    "nobody's": "It waits for nobody's match.",
    "of ours": "a fault of ours",
    "by way of": "a place by way of this link",
    "What comes in is kept": "# What comes in is kept.",
    "What the bench found": '"""What the bench found: tables."""',
    "what comes": "It is closed; what comes is dropped.",
    "Who is asked waits for the answer": "It is sent. Who is asked waits\n    # for the answer.",
}

PLAIN = [
    "The room is no longer open, and the wait was no longer than 5 s: no more than that.",
    "There is no room with that id; the inputs are no more than 64.",
    "So many clients reconnect that the node is busy, and it takes as long as it takes.",
    "# What does a player see?",
    "## What a player sees",
    "It decides; the caller is told who waits, and what to do; what to log is up to them.",
    "The node reports what it did, and to whom. The header, this theme: the Whole.",
]


@pytest.mark.parametrize("phrase", PHRASES)
def test_each_phrase_is_found_once(phrase: str) -> None:
    text = "A plain line.\n" + PHRASES[phrase] + "\nAnother plain line."
    assert [found for _, found, _ in hits(text)] == [phrase]


def test_every_pattern_has_a_phrase() -> None:
    assert all(any(one.search(text) for text in PHRASES.values()) for one in PATTERNS)


@pytest.mark.parametrize("text", PLAIN)
def test_a_plain_sentence_is_left_alone(text: str) -> None:
    assert list(hits(text)) == []


def test_a_phrase_may_span_two_lines_of_a_comment() -> None:
    assert [line for line, _, _ in hits("x = 1\n# The frame is\n# no answer.\n")] == [2]


def test_a_marked_line_is_skipped() -> None:
    assert list(hits('quote = "a fault of ours"  # english: ok')) == []


def test_a_hit_is_printed_with_its_place_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = tmp_path / "bad.md", tmp_path / "good.md"
    bad.write_text("# A page\n\nIt waits for nobody's match.\n", encoding="utf-8")
    good.write_text("It waits for no match.\n", encoding="utf-8")
    assert main([str(bad), str(good)]) == 1
    assert capsys.readouterr().out == f"{bad}:3: nobody's: It waits for nobody's match.\n"
    assert main([str(good)]) == 0

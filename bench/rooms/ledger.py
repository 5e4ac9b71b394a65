"""What was said and what was heard in one room, and whether the two agree.

Every player keeps a :class:`Ledger`, the room keeps a :class:`Book`, and :func:`check_room` holds
all of them against each other. Nothing here waits or reads a socket.

A value that is said is unique within its player. What the room whispers (:func:`is_whispered`) it
sends to the speaker alone as well, so that a message with one addressee is among the many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

__all__ = ["Book", "Ledger", "Tally", "Verdict", "check_room", "compare", "is_whispered", "rolled"]

WHISPERED = 8
COMPLAINTS_MAX = 5
_MODULUS = 2**61 - 1
_FACTOR = 1_000_003


def is_whispered(value: int) -> bool:
    """Whether the room repeats ``value`` to its speaker alone, too: one in 8, by its last bits."""
    return value % WHISPERED == 0


def rolled(digest: int, value: int) -> int:
    """The digest of what ``digest`` stands for with ``value`` after it; the order counts."""
    return (digest * _FACTOR + value + 1) % _MODULUS


def digest_of(values: Iterable[int]) -> int:
    """The digest of ``values`` in their order."""
    digest = 0
    for value in values:
        digest = rolled(digest, value)
    return digest


class Tally(msgspec.Struct, frozen=True):
    """What a room has had: of each player the count and the digest, and of all in their order.

    ``events``: how many events of each type the room has seen.
    """

    count: int
    digest: int
    players: dict[str, tuple[int, int]]
    events: dict[str, int]


class Book:
    """The room's own ledger."""

    __slots__ = ("_digest", "_players", "count", "events")

    def __init__(self) -> None:
        self._digest = 0
        self._players: dict[str, tuple[int, int]] = {}
        self.count = 0
        self.events: Counter[str] = Counter()

    def had(self, player: str, value: int) -> None:
        """The room has ``value`` from ``player`` now."""
        count, digest = self._players.get(player, (0, 0))
        self._players[player] = count + 1, rolled(digest, value)
        self._digest = rolled(self._digest, value)
        self.count += 1

    def tally(self) -> Tally:
        """What it comes to so far."""
        return Tally(self.count, self._digest, dict(self._players), dict(self.events))


class Ledger:
    """One player's: what he said, in his order, and what he heard, in the order of its coming.

    Of what was heard: ``(seq, whispered, who, value)``; ``who`` is the speaker or, of what was
    whispered, the addressee that the message names. Repeats are written down like all else.
    """

    __slots__ = ("broadcasts", "heard", "other_seqs", "player", "said", "whispers")

    def __init__(self) -> None:
        self.player = ""
        self.said: list[int] = []
        self.heard: list[tuple[int, bool, str, int]] = []
        self.other_seqs: list[int] = []
        """The numbers of messages that were neither: tallies."""
        self.broadcasts = 0
        self.whispers = 0

    def hear(self, seq: int, speaker: str, value: int) -> None:
        """A message to all has come."""
        self.broadcasts += 1
        self.heard.append((seq, False, speaker, value))

    def hear_whisper(self, seq: int, addressee: str, value: int) -> None:
        """A message to one player has come."""
        self.whispers += 1
        self.heard.append((seq, True, addressee, value))


class Verdict(msgspec.Struct, frozen=True):
    """How many of what; ``complaints`` are sentences, the first few of them."""

    inputs: int = 0
    messages: int = 0
    lost: int = 0
    twice: int = 0
    disordered: int = 0
    stray: int = 0
    """Of somebody who is not in the room, to somebody else, or of nobody's saying."""
    complaints: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether there is nothing to complain of."""
        return not (self.lost or self.twice or self.disordered or self.stray or self.complaints)

    def plus(self, other: Verdict) -> Verdict:
        """Both together."""
        return Verdict(
            inputs=self.inputs + other.inputs,
            messages=self.messages + other.messages,
            lost=self.lost + other.lost,
            twice=self.twice + other.twice,
            disordered=self.disordered + other.disordered,
            stray=self.stray + other.stray,
            complaints=(*self.complaints, *other.complaints)[:COMPLAINTS_MAX],
        )


def compare(expected: Sequence[int], found: Sequence[int], what: str) -> Verdict:
    """``found`` should be ``expected``, whose values are unique: what is wrong with it?

    A value that comes again counts as twice and not as out of order.
    """
    if expected == found:
        return Verdict()
    rank = {value: index for index, value in enumerate(expected)}
    times = Counter(found)
    once = [rank[value] for value in dict.fromkeys(found) if value in rank]
    lost = [value for value in expected if value not in times]
    twice = sum(count - 1 for value, count in times.items() if value in rank)
    stray = sum(count for value, count in times.items() if value not in rank)
    disordered = sum(after < before for before, after in pairwise(once))
    words = {"lost": len(lost), "twice": twice, "out of order": disordered, "stray": stray}
    told = ", ".join(f"{count} {word}" for word, count in words.items() if count)
    which = f" (the first lost is number {rank[lost[0]] + 1})" if lost else ""
    return Verdict(
        lost=len(lost),
        twice=twice,
        disordered=disordered,
        stray=stray,
        complaints=(f"{what}: {told} of {len(expected)}{which}",),
    )


def check_room(ledgers: Sequence[Ledger], tally: Tally | None) -> Verdict:
    """Holds the ledgers of all who sat in one room, from its beginning, against each other.

    Each input was applied once and in order (by the room's ``tally``; None: the room gave none),
    each player heard each of them once, under the same number as everybody, and each whisper was
    heard by its addressee alone.
    """
    verdict = Verdict(
        inputs=sum(len(one.said) for one in ledgers),
        messages=sum(len(one.heard) for one in ledgers),
    )
    if tally is None:
        verdict = verdict.plus(Verdict(complaints=("a room did not answer with its tally",)))
    else:
        verdict = verdict.plus(_check_applied(ledgers, tally))
    for ledger in ledgers:
        verdict = verdict.plus(_check_heard(ledger, ledgers))
        verdict = verdict.plus(_check_whispers(ledger))
        verdict = verdict.plus(_check_rising(ledger))
    return verdict.plus(_check_numbers(ledgers, tally)) if verdict.clean else verdict


def _check_applied(ledgers: Sequence[Ledger], tally: Tally) -> Verdict:
    """The inputs: said by the players, had by the room."""
    verdict = Verdict()
    for ledger in ledgers:
        count, digest = tally.players.get(ledger.player, (0, 0))
        if (count, digest) == (len(ledger.said), digest_of(ledger.said)):
            continue
        missing = len(ledger.said) - count
        words = f"{ledger.player} said {len(ledger.said)} inputs and the room has {count}"
        verdict = verdict.plus(
            Verdict(
                lost=max(0, missing),
                twice=max(0, -missing),
                disordered=int(missing == 0),
                complaints=(words if missing else f"{words}, but others or in another order",),
            )
        )
    strangers = set(tally.players) - {ledger.player for ledger in ledgers}
    if strangers:
        verdict = verdict.plus(
            Verdict(
                stray=sum(tally.players[player][0] for player in strangers),
                complaints=(f"a room has inputs of strangers: {', '.join(sorted(strangers))}",),
            )
        )
    return verdict


def _check_heard(ledger: Ledger, ledgers: Sequence[Ledger]) -> Verdict:
    by_speaker: dict[str, list[int]] = {}
    for _, whispered, speaker, value in ledger.heard:
        if not whispered:
            by_speaker.setdefault(speaker, []).append(value)
    verdict = Verdict()
    for other in ledgers:
        found = by_speaker.pop(other.player, [])
        what = f"{ledger.player} heard of {other.player}"
        verdict = verdict.plus(compare(other.said, found, what))
    for stranger, values in by_speaker.items():
        words = f"{ledger.player} heard {len(values)} of {stranger}, who is not in the room"
        verdict = verdict.plus(Verdict(stray=len(values), complaints=(words,)))
    return verdict


def _check_whispers(ledger: Ledger) -> Verdict:
    whispers = [(who, value) for _, whispered, who, value in ledger.heard if whispered]
    wrong = sum(who != ledger.player for who, _ in whispers)
    verdict = compare(
        [value for value in ledger.said if is_whispered(value)],
        [value for who, value in whispers if who == ledger.player],
        f"{ledger.player} was whispered",
    )
    if wrong:
        words = f"{ledger.player} heard {wrong} whispers to others"
        verdict = verdict.plus(Verdict(stray=wrong, complaints=(words,)))
    return verdict


def _check_rising(ledger: Ledger) -> Verdict:
    """``seq`` rises; one that comes again is counted elsewhere, as heard twice."""
    highest, known, late = 0, set[int](), 0
    for seq, *_ in ledger.heard:
        late += seq < highest and seq not in known
        known.add(seq)
        highest = max(highest, seq)
    if not late:
        return Verdict()
    words = f"{ledger.player}: {late} messages came after a later one"
    return Verdict(disordered=late, complaints=(words,))


def _check_numbers(ledgers: Sequence[Ledger], tally: Tally | None) -> Verdict:
    """All heard the same under the same numbers, in the room's own order, without a gap."""
    first, *others = [
        [(seq, who, value) for seq, whispered, who, value in one.heard if not whispered]
        for one in ledgers
    ]
    for ledger, other in zip(ledgers[1:], others, strict=True):
        if other != first:
            unlike = sum(one != two for one, two in zip(first, other, strict=True))
            words = f"{ledger.player} and {ledgers[0].player} have {unlike} numbers that differ"
            return Verdict(disordered=unlike, complaints=(words,))
    if tally is not None and tally.digest != digest_of(value for _, _, value in first):
        words = f"the players of {ledgers[0].player} heard another order than the room had"
        return Verdict(disordered=1, complaints=(words,))
    whispered = [seq for one in ledgers for seq, is_whisper, *_ in one.heard if is_whisper]
    seqs = [seq for seq, *_ in first] + whispered
    seqs += [seq for one in ledgers for seq in one.other_seqs]
    return _check_gaps(seqs, ledgers[0].player)


def _check_gaps(seqs: Sequence[int], who: str) -> Verdict:
    distinct = set(seqs)
    if len(distinct) < len(seqs):
        shared = len(seqs) - len(distinct)
        return Verdict(twice=shared, complaints=(f"{shared} numbers in {who}'s room name two",))
    gaps = max(distinct) - min(distinct) + 1 - len(distinct) if distinct else 0
    if gaps:
        return Verdict(lost=gaps, complaints=(f"{gaps} numbers in {who}'s room reached nobody",))
    return Verdict()

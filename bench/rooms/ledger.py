"""The ledgers of one room: what its players said and heard, compared with each other.

Every player keeps a :class:`PlayerLedger`, the room keeps a :class:`RoomLedger`, and
:func:`check_room` compares them all. Nothing here waits or reads a socket.

A player never says the same value twice. The room whispers some values (:func:`is_whispered`): it
also sends them to the speaker alone, so that messages to one player are tested as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import msgspec

WHISPERED = 8
COMPLAINTS_MAX = 5
_MODULUS = 2**61 - 1
_FACTOR = 1_000_003


def is_whispered(value: int) -> bool:
    """True if the room also whispers ``value`` to its speaker: one in 8, by its last bits."""
    return value % WHISPERED == 0


def extend_digest(digest: int, value: int) -> int:
    """The digest of a sequence with digest ``digest`` and ``value`` after it; order matters."""
    return (digest * _FACTOR + value + 1) % _MODULUS


def digest_of(values: Iterable[int]) -> int:
    """The digest of ``values`` in their order."""
    digest = 0
    for value in values:
        digest = extend_digest(digest, value)
    return digest


class Tally(msgspec.Struct, frozen=True):
    """The inputs of a room: count and digest of each player's, and of all in order.

    ``events``: how many events of each type the room has received.
    """

    count: int
    digest: int
    players: dict[str, tuple[int, int]]
    events: dict[str, int]


class RoomLedger(msgspec.Struct):
    """The inputs and events that the room has received; it moves with its room."""

    count: int = 0
    digest: int = 0
    players: dict[str, tuple[int, int]] = {}
    events: dict[str, int] = {}

    def note(self, event: str) -> None:
        """Counts an event of the type with that name."""
        self.events[event] = self.events.get(event, 0) + 1

    def record(self, player: str, value: int) -> None:
        """Records the input ``value`` of ``player``."""
        count, digest = self.players.get(player, (0, 0))
        self.players[player] = count + 1, extend_digest(digest, value)
        self.digest = extend_digest(self.digest, value)
        self.count += 1

    def tally(self) -> Tally:
        """The sums so far."""
        return Tally(self.count, self.digest, dict(self.players), dict(self.events))


class PlayerLedger:
    """The inputs and messages of one player, each in order.

    ``heard`` holds ``(seq, whispered, player, value)``, repeats included; ``player`` is the speaker
    or, in a whisper, the addressee.
    """

    __slots__ = ("broadcasts", "heard", "other_seqs", "player", "said", "whispers")

    def __init__(self) -> None:
        self.player = ""
        self.said: list[int] = []
        self.heard: list[tuple[int, bool, str, int]] = []
        self.other_seqs: list[int] = []
        """The numbers of the other messages: tallies."""
        self.broadcasts = 0
        self.whispers = 0

    def hear(self, seq: int, speaker: str, value: int) -> None:
        """Records a message to all."""
        self.broadcasts += 1
        self.heard.append((seq, False, speaker, value))

    def hear_whisper(self, seq: int, addressee: str, value: int) -> None:
        """Records a message to one player."""
        self.whispers += 1
        self.heard.append((seq, True, addressee, value))


class Verdict(msgspec.Struct, frozen=True):
    """The counts of messages and errors, and the first few ``complaints`` as sentences."""

    inputs: int = 0
    messages: int = 0
    lost: int = 0
    twice: int = 0
    disordered: int = 0
    stray: int = 0
    """Messages of players outside the room, for another player, or that nobody said."""
    complaints: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """True if nothing was wrong."""
        return not (self.lost or self.twice or self.disordered or self.stray or self.complaints)

    def plus(self, other: Verdict) -> Verdict:
        """The sum of both."""
        both = {name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__}
        return Verdict(**both | {"complaints": both["complaints"][:COMPLAINTS_MAX]})


def compare(expected: Sequence[int], found: Sequence[int], what: str) -> Verdict:
    """The differences between ``found`` and ``expected``, whose values are unique.

    A repeated value counts as twice and not as out of order.
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
    wrong = {"lost": len(lost), "twice": twice, "out of order": disordered, "stray": stray}
    counts = ", ".join(f"{count} {word}" for word, count in wrong.items() if count)
    which = f" (the first lost is number {rank[lost[0]] + 1})" if lost else ""
    return Verdict(
        lost=len(lost),
        twice=twice,
        disordered=disordered,
        stray=stray,
        complaints=(f"{what}: {counts} of {len(expected)}{which}",),
    )


def check_room(ledgers: Sequence[PlayerLedger], tally: Tally | None) -> Verdict:
    """Compares the ledgers of all players of one room, from its beginning, and its ``tally``.

    Each input must be applied once and in order. All players must hear it once and under the same
    number. Only its addressee must hear a whisper.
    """
    verdict = Verdict(
        inputs=sum(len(one.said) for one in ledgers),
        messages=sum(len(one.heard) for one in ledgers),
    )
    for found in _check_separately(ledgers, tally):
        verdict = verdict.plus(found)
    return verdict.plus(_check_numbers(ledgers, tally)) if verdict.clean else verdict


def _check_separately(ledgers: Sequence[PlayerLedger], tally: Tally | None) -> Iterator[Verdict]:
    """The checks of the tally and of each ledger."""
    if tally is None:
        yield Verdict(complaints=("a room did not answer with its tally",))
    else:
        yield from _check_applied(ledgers, tally)
    for ledger in ledgers:
        yield from _check_heard(ledger, ledgers)
        yield from _check_whispers(ledger)
        yield _check_rising(ledger)


def _check_applied(ledgers: Sequence[PlayerLedger], tally: Tally) -> Iterator[Verdict]:
    """The room must have the inputs that the players said."""
    for ledger in ledgers:
        count, digest = tally.players.get(ledger.player, (0, 0))
        if (count, digest) == (len(ledger.said), digest_of(ledger.said)):
            continue
        missing = len(ledger.said) - count
        complaint = f"{ledger.player} said {len(ledger.said)} inputs and the room has {count}"
        if not missing:
            complaint += ", but others or in another order"
        yield Verdict(
            lost=max(0, missing),
            twice=max(0, -missing),
            disordered=int(missing == 0),
            complaints=(complaint,),
        )
    strangers = sorted(set(tally.players) - {ledger.player for ledger in ledgers})
    if strangers:
        count = sum(tally.players[player][0] for player in strangers)
        complaint = f"a room has inputs of strangers: {', '.join(strangers)}"
        yield Verdict(stray=count, complaints=(complaint,))


def _check_heard(ledger: PlayerLedger, ledgers: Sequence[PlayerLedger]) -> Iterator[Verdict]:
    by_speaker: dict[str, list[int]] = {}
    for _, whispered, speaker, value in ledger.heard:
        if not whispered:
            by_speaker.setdefault(speaker, []).append(value)
    for other in ledgers:
        found = by_speaker.pop(other.player, [])
        yield compare(other.said, found, f"{ledger.player} heard of {other.player}")
    for stranger, values in by_speaker.items():
        complaint = f"{ledger.player} heard {len(values)} of {stranger}, who is not in the room"
        yield Verdict(stray=len(values), complaints=(complaint,))


def _check_whispers(ledger: PlayerLedger) -> Iterator[Verdict]:
    whispers = [(player, value) for _, whispered, player, value in ledger.heard if whispered]
    wrong = sum(player != ledger.player for player, _ in whispers)
    yield compare(
        [value for value in ledger.said if is_whispered(value)],
        [value for player, value in whispers if player == ledger.player],
        f"{ledger.player} was whispered",
    )
    if wrong:
        complaint = f"{ledger.player} heard {wrong} whispers to others"
        yield Verdict(stray=wrong, complaints=(complaint,))


def _check_rising(ledger: PlayerLedger) -> Verdict:
    """``seq`` must rise; repeats are counted elsewhere, as heard twice."""
    highest, known, late = 0, set[int](), 0
    for seq, *_ in ledger.heard:
        late += seq < highest and seq not in known
        known.add(seq)
        highest = max(highest, seq)
    if not late:
        return Verdict()
    complaint = f"{ledger.player}: {late} messages came after a later one"
    return Verdict(disordered=late, complaints=(complaint,))


def _check_numbers(ledgers: Sequence[PlayerLedger], tally: Tally | None) -> Verdict:
    """All players must hear the same under the same numbers, in the room's order, without a gap."""
    first, *others = [
        [(seq, player, value) for seq, whispered, player, value in one.heard if not whispered]
        for one in ledgers
    ]
    for ledger, other in zip(ledgers[1:], others, strict=True):
        if other != first:
            unlike = sum(one != two for one, two in zip(first, other, strict=True))
            complaint = f"{ledger.player} and {ledgers[0].player} have {unlike} numbers that differ"
            return Verdict(disordered=unlike, complaints=(complaint,))
    if tally is not None and tally.digest != digest_of(value for _, _, value in first):
        complaint = f"the players of {ledgers[0].player} heard another order than the room had"
        return Verdict(disordered=1, complaints=(complaint,))
    whispered = [seq for one in ledgers for seq, is_whisper, *_ in one.heard if is_whisper]
    seqs = [seq for seq, *_ in first] + whispered
    seqs += [seq for one in ledgers for seq in one.other_seqs]
    return _check_gaps(seqs, ledgers[0].player)


def _check_gaps(seqs: Sequence[int], player: str) -> Verdict:
    distinct = set(seqs)
    if len(distinct) < len(seqs):
        shared = len(seqs) - len(distinct)
        return Verdict(twice=shared, complaints=(f"{shared} numbers in {player}'s room name two",))
    gaps = max(distinct) - min(distinct) + 1 - len(distinct) if distinct else 0
    if gaps:
        return Verdict(lost=gaps, complaints=(f"{gaps} numbers in {player}'s room reached nobody",))
    return Verdict()

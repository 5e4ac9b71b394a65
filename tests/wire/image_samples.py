"""Random images of rooms, and one for the golden bytes."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from lastcall.identity import Identity
from lastcall.ids import KindName, PlayerId, RoomId
from lastcall.wire.images import (
    AlarmImage,
    BanImage,
    EventImage,
    GoneImage,
    HistoryImage,
    Image,
    SeatImage,
)

ANN, BOB, CAT = PlayerId("pann"), PlayerId("pbob"), PlayerId("pcat")
WHOLE = Image(
    v=1,
    room=RoomId("game-1.abc"),
    kind=KindName("chess"),
    epoch=1,
    options=b'{"width":3}',
    state=b"\x81\xa5cells\xa3---",
    seats=(
        SeatImage(
            player=ANN,
            secret="00",  # noqa: S106
            previous_secret="11",  # noqa: S106
            former=("game-2.x/pold/22",),
            name="Ann",
            key="k",
            address="192.0.2.1",
            identity=Identity("ann", claims={"level": 7}),
            joined_seq=3,
            session=2,
            last_n=9,
            confirmed=True,
            away_seconds=2.5,
            noticed=True,
        ),
        SeatImage(player=BOB, secret="33"),  # noqa: S106
    ),
    history=HistoryImage(seq=12, forgotten=9, kept=((11, b"1", None), (12, b"2", BOB))),
    alarms=(AlarmImage("bell", 1.5), AlarmImage("tick", 0.25, 0.5)),
    events=(
        EventImage("said", ANN, b'{"cell":4}'),
        EventImage("alarm", alarm="tick"),
        EventImage("joined", BOB),
    ),
    bans=(BanImage(60.0, identity="cat"), BanImage(float("inf"), key="k2")),
    gone=(GoneImage(SeatImage(player=CAT, secret="44"), "kicked", 11, 4.0),),  # noqa: S106
    age=5,
    open_seconds=90.0,
    started=True,
    locked=True,
)

seconds = st.integers(0, 4_000).map(lambda eighths: eighths / 8)
"""Sums of these are exact."""
texts = st.text(max_size=8)
secrets = st.text("0123456789abcdef", min_size=1, max_size=8)
tickets = st.builds("game-1.{}/p{}/{}".format, st.integers(), st.integers(), secrets)
identities = st.none() | st.builds(Identity, st.text(min_size=1, max_size=4))
players = st.integers(0, 999).map(lambda number: PlayerId(f"p{number}"))


def seat_images(player: PlayerId, key: str, seq: int) -> st.SearchStrategy[SeatImage]:
    away = st.fixed_dictionaries({"away_seconds": seconds, "noticed": st.booleans()})
    return st.builds(
        lambda absence, **fields: SeatImage(**fields, **absence),
        away | st.just({}),
        player=st.just(player),
        secret=secrets,
        previous_secret=st.just("") | secrets,
        former=st.lists(tickets, max_size=2, unique=True).map(tuple),
        name=texts,
        key=st.just(key),
        address=texts,
        identity=identities,
        joined_seq=st.integers(0, seq),
        session=st.integers(1, 9),
        last_n=st.integers(0, 99),
        confirmed=st.booleans(),
    )


@st.composite
def histories(draw: Any) -> HistoryImage:
    forgotten, count = draw(st.integers(0, 60)), draw(st.integers(0, 8))
    before = forgotten + draw(st.integers(0, 3))
    bodies = st.sampled_from([b"1", b'"x"', b"[]"])
    numbers = range(before + 1, before + count + 1)
    kept = tuple((seq, draw(bodies), draw(st.none() | players)) for seq in numbers)
    return HistoryImage(seq=before + count, forgotten=forgotten, kept=kept)


events = st.one_of(
    st.builds(EventImage, st.sampled_from(["joined", "left", "away", "back"]), players),
    st.builds(EventImage, st.just("said"), players, st.sampled_from([b"1", b'"hi"', b'{"x":[]}'])),
    st.builds(lambda name: EventImage("alarm", alarm=name), texts),
)
alarms = st.builds(AlarmImage, texts, seconds, st.just(0.0) | st.sampled_from([0.125, 2.0]))
bans = st.builds(BanImage, seconds, identity=st.text(min_size=1, max_size=4)) | st.builds(
    BanImage, seconds | st.just(float("inf")), key=st.text(min_size=1, max_size=4)
)


@st.composite
def images(draw: Any, **fixed: Any) -> Image:
    """An image of any room; ``fixed`` are fields that are not random."""
    history = draw(histories())
    names = draw(st.lists(players, max_size=6, unique=True))
    taken = draw(st.integers(0, len(names)))
    seats = [
        draw(seat_images(player, draw(st.sampled_from(["", f"k{player}"])), history.seq))
        for player in names
    ]
    gone = [
        GoneImage(
            replace(seat, away_seconds=None, noticed=False),
            "kicked",
            draw(st.integers(0, history.seq)),
            draw(seconds),
        )
        for seat in seats[taken:]
    ]
    fields: dict[str, Any] = {
        "v": 1,
        "room": RoomId(f"game-1.{draw(st.integers(0, 99))}"),
        "kind": KindName("chess"),
        "epoch": draw(st.integers(0, 9)),
        "moves": draw(st.integers(0, 9)),
        "options": draw(st.sampled_from([b"{}", b'{"width":4}'])),
        "state": draw(st.binary(max_size=8)),
        "seats": tuple(seats[:taken]),
        "history": history,
        "alarms": tuple(draw(st.lists(alarms, max_size=4, unique_by=lambda alarm: alarm.name))),
        "events": tuple(draw(st.lists(events, max_size=12))),
        "bans": tuple(
            draw(st.lists(bans, max_size=4, unique_by=lambda ban: (ban.identity, ban.key)))
        ),
        "gone": tuple(gone),
        "age": draw(st.integers(0, 99)),
        "open_seconds": draw(seconds),
        "started": draw(st.booleans()),
        "locked": draw(st.booleans()),
        "private": draw(st.booleans()),
    }
    return Image(**fields | fixed)

import trio
from msgspec import convert

from lastcall.bench.rooms.kinds import TALLY, RoomMessage, lounge
from lastcall.bench.rooms.ledger import PlayerLedger, check_room, is_whispered
from lastcall.testing import play


async def test_the_lounge_repeats_and_whispers_and_its_tally_agrees_with_its_players(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ledgers: list[PlayerLedger] = []
    async with play(lounge) as table:
        ann, bob = table.join("ann"), table.join("bob")
        for player, values in ((ann, [1, 8]), (bob, [2])):
            for value in values:
                table.say(player, value)
        table.say(ann, TALLY)
        await table.messages()
        for player, said in ((ann, [1, 8]), (bob, [2])):
            ledgers.append(ledger := PlayerLedger())
            ledger.player, ledger.said = player, said
            messages = [convert(one, RoomMessage) for one in table.heard_by(player)]
            for message in messages:
                if message.speaker:
                    ledger.hear(
                        [1, 8, 2].index(message.said) * 2 + 1, message.speaker, message.said
                    )
                elif message.to:
                    ledger.hear_whisper(4, message.to, message.said)
        (tally,) = [
            message.tally
            for message in (convert(one, RoomMessage) for one in table.heard_by(ann))
            if message.tally is not None
        ]
        table.leave(ann)
        table.leave(bob)
        await table.ended()

    assert (tally.count, tally.events) == (3, {"Joined": 2, "Said": 4})
    assert [ledger.whispers for ledger in ledgers] == [1, 0]
    assert is_whispered(8)
    verdict = check_room(ledgers, tally)
    assert (verdict.inputs, verdict.messages) == (3, 7)
    assert (verdict.twice, verdict.disordered, verdict.stray) == (0, 0, 0)

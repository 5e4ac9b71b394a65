"""A link needs proof of the cluster's secret, from both sides."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from lastcall.bus.base import Caller
from lastcall.bus.memory import MemoryBus
from lastcall.core.link.secret import Secrets, calling_side, proof, proven_by
from lastcall.errors import UsageError
from lastcall.game.admission import NO_SECRET, WRONG_SECRET, Admission
from lastcall.ids import Incarnation, LinkId, NodeName
from lastcall.runtime.cluster_secret import SecretFile
from lastcall.wire import nodes
from tests.links.test_links import FEED, GAME, Game, Pair

OLD, NEW = b"the old secret 123", b"the new secret 456"


class Cluster:
    """A game node, and a node of either tier that calls it, each with its own secrets."""

    def __init__(
        self, nursery: trio.Nursery, caller: Secrets, game: Secrets, tier: str = nodes.API
    ) -> None:
        self.bus = MemoryBus()
        me, rng = Incarnation(4), random.Random(2)
        node = Game(self.bus, me, admission=Admission(me, rng=rng, secrets=lambda: game))
        nursery.start_soon(node.run)
        self.feeds = node.feeds
        pair = Pair(nursery, self.bus, random.Random(3), secrets=lambda: caller, tier=tier)
        self.listener, self.connector = pair.listener, pair.connector

    async def ask(self, caller: Caller, request: nodes.Request) -> nodes.Reply:
        return nodes.decode_reply(await caller.call(nodes.encode(request)))


@pytest.mark.parametrize(
    ("api", "game"),
    [([OLD], [OLD]), ([OLD, NEW], [OLD]), ([NEW, OLD], [OLD, NEW]), ([NEW], [NEW, OLD]), ([], [])],
    ids=["one", "the new one is added", "they are swapped", "the old one is removed", "none"],
)
@pytest.mark.parametrize("tier", [nodes.API, nodes.GAME])
async def test_nodes_that_know_each_others_first_secret_are_linked(
    autojump_clock: MockClock, tier: str, api: Secrets, game: Secrets
) -> None:
    async with trio.open_nursery() as nursery:
        cluster = Cluster(nursery, api, game, tier)
        await trio.sleep(1)
        assert len(cluster.listener.up) == len(cluster.feeds.links) == 1
        assert cluster.connector.trouble == ""
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("api", "game", "why"),
    [
        ([OLD], [NEW], WRONG_SECRET),
        ([], [NEW], NO_SECRET),
        ([OLD], [], "does not know our secret"),
    ],
    ids=["another", "none here", "none there"],
)
@pytest.mark.parametrize("tier", [nodes.API, nodes.GAME])
async def test_nodes_without_a_common_secret_are_not_linked_and_both_say_why(
    autojump_clock: MockClock, tier: str, api: Secrets, game: Secrets, why: str
) -> None:
    with capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            cluster = Cluster(nursery, api, game, tier)
            await trio.sleep(60)
            assert cluster.listener.up == []
            assert cluster.feeds.links == {}
            assert why in cluster.connector.trouble
            nursery.cancel_scope.cancel()
    refused = [line for line in logs if line["event"] == "link.refused"]
    ours = [line for line in refused if "address" in line]
    assert len(ours) == 1
    assert why in ours[0]["why"]
    theirs = [line["why"] for line in refused if "peer" in line and line[tier] == "api-1"]
    assert theirs == ([why] * len(theirs))
    assert (0 < len(theirs) < 10) == bool(game)
    assert not [line for line in logs if line["log_level"] == "error"]
    attached = sum(line["event"] == "link.attached" for line in logs)
    assert attached <= (0 if game else 65), "after 0.2, 0.4 and 0.8 s it tries once a second"


async def test_a_recorded_attach_is_worth_nothing(autojump_clock: MockClock) -> None:
    """A stranger repeats what an api node has sent, byte for byte, after its link is over."""
    sent: list[bytes] = []

    class Tap(MemoryBus):
        def __init__(self, bus: MemoryBus) -> None:
            self._tapped = bus

        def caller(self, address: str) -> Caller:  # type: ignore[override]
            caller = self._tapped.caller(address)
            call: Callable[[bytes], object] = caller.call

            async def recorded(request: bytes) -> bytes:
                sent.append(request)
                return await call(request)  # type: ignore[misc, no-any-return]

            caller.call = recorded  # type: ignore[method-assign]
            return caller

        async def probe(self, address: str, timeout_seconds: float) -> object:  # type: ignore[override]
            return await self._tapped.probe(address, timeout_seconds)

    async with trio.open_nursery() as nursery:
        cluster = Cluster(nursery, [OLD], [OLD])
        context = cluster.connector._context
        object.__setattr__(context, "bus", Tap(cluster.bus.node("api")))
        cluster.connector._bus = context.bus
        await trio.sleep(1)
        attaches = [nodes.decode_request(one) for one in sent]
        proven = [one for one in attaches if isinstance(one, nodes.Attach) and one.proof]
        assert len(proven) == 1
        stranger = cluster.bus.caller(GAME)
        await cluster.ask(stranger, nodes.Detach(link=proven[0].link))
        assert cluster.feeds.links == {}
        answer = await cluster.ask(stranger, proven[0])
        assert isinstance(answer, nodes.Challenge)
        assert isinstance(await cluster.ask(stranger, proven[0]), nodes.Challenge)
        assert proven[0].link not in cluster.feeds.links
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("said", "meant"), [("api", "game"), ("game", "api")])
async def test_a_proof_of_one_tier_is_worth_nothing_for_the_other(
    autojump_clock: MockClock, said: str, meant: str
) -> None:
    """Somebody between the nodes changes what an attach says, after it was proven."""
    async with trio.open_nursery() as nursery:
        cluster = Cluster(nursery, [], [OLD])
        caller = cluster.bus.caller(GAME)
        attach = nodes.Attach(
            wire=nodes.WIRE,
            link=LinkId(99),
            attempt=1,
            api=NodeName("node"),
            incarnation=Incarnation(1),
            feed=FEED,
            nonce=b"n" * 16,
            tier=meant,
        )

        async def prove(tier: str) -> nodes.Reply:
            challenge = await cluster.ask(caller, attach)
            assert isinstance(challenge, nodes.Challenge)
            answer = msgspec.structs.replace(attach, challenge=challenge.nonce)
            shown = proof(OLD, calling_side(answer), answer, challenge.incarnation)
            return await cluster.ask(
                caller, msgspec.structs.replace(answer, proof=shown, tier=tier)
            )

        assert await prove(said) == nodes.Unsupported(WRONG_SECRET)
        assert cluster.feeds.links == {}
        assert isinstance(await prove(meant), nodes.Welcome)
        nursery.cancel_scope.cancel()


def test_the_node_that_is_called_cannot_prove_itself_by_the_callers_proof() -> None:
    """It could send back what it has just been shown, if both sides were called the same."""
    for tier in (nodes.API, nodes.GAME):
        attach = nodes.Attach(
            wire=nodes.WIRE,
            link=LinkId(99),
            attempt=1,
            api=NodeName("node"),
            incarnation=Incarnation(1),
            feed=FEED,
            nonce=b"n" * 16,
            challenge=b"c" * 16,
            tier=tier,
        )
        shown = proof(OLD, calling_side(attach), attach, Incarnation(4))
        assert proven_by([OLD], calling_side(attach), shown, attach, Incarnation(4)) == OLD
        assert proven_by([OLD], "game", shown, attach, Incarnation(4)) is None


async def test_a_stranger_who_knows_the_protocol_but_not_the_secret_gets_no_link(
    autojump_clock: MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        cluster = Cluster(nursery, [OLD], [OLD])
        await trio.sleep(1)
        stranger = cluster.bus.caller(GAME)
        attach = nodes.Attach(
            wire=nodes.WIRE,
            link=LinkId(99),
            attempt=1,
            api=NodeName("api-1"),
            incarnation=Incarnation(1),
            feed=FEED,
            nonce=b"n" * 16,
        )
        challenge = await cluster.ask(stranger, attach)
        assert isinstance(challenge, nodes.Challenge)
        for proof in (b"", b"x" * 32):
            guess = nodes.Attach(
                wire=nodes.WIRE,
                link=LinkId(99),
                attempt=1,
                api=NodeName("api-1"),
                incarnation=Incarnation(1),
                feed=FEED,
                nonce=b"n" * 16,
                challenge=challenge.nonce,
                proof=proof,
            )
            assert not isinstance(await cluster.ask(stranger, guess), nodes.Welcome)
        assert LinkId(99) not in cluster.feeds.links
        assert len(cluster.listener.up) == 1
        nursery.cancel_scope.cancel()


def test_the_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(OLD + b"\n")
    secrets = SecretFile(file)
    assert secrets.secrets() == (OLD,)
    file.write_bytes(NEW + b"\n\n" + OLD + b"\n")
    assert secrets.secrets() == (NEW, OLD)


@pytest.mark.parametrize("content", [None, b"", b"short"])
def test_a_file_that_vanishes_or_is_half_written_leaves_the_secrets_as_they_were(
    tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(OLD)
    secrets = SecretFile(file)
    file.unlink() if content is None else file.write_bytes(content)
    with capture_logs() as logs:
        assert [secrets.secrets() for _ in range(3)] == [(OLD,)] * 3
    assert [line["event"] for line in logs] == ["secret.unusable"]
    file.write_bytes(NEW)
    assert secrets.secrets() == (NEW,)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read"),
        (b"\n", "has 0 secrets"),
        (b"\n".join([OLD] * 3), "has 3 secrets"),
        (b"secret", "at least 16"),
    ],
)
def test_a_file_that_cannot_be_used_stops_the_start(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=f"--cluster-secret-file .*{why}"):
        SecretFile(file)

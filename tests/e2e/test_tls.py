"""TLS for clients of real nodes: both clients, certificates that change under load, and SIGHUP."""

from __future__ import annotations

import ssl
import subprocess
from functools import partial
from pathlib import Path
from signal import SIGHUP

import pytest
import trio
import trio.lowlevel
import trustme

from lastcall.client import PlaceState, connect, open_tcp
from tests.e2e.javascript import MODULE, node_22
from tests.e2e.nodes import ANY_PORT, ANY_URL, Node, Nodes, wait_until

pytestmark = pytest.mark.e2e

PLAYERS = 20
NODE = node_22()
PLAY = """
const { connect } = await import(process.argv[1]);
const place = await connect([process.argv[2]], { kind: "lounge", name: "Ada" });
await place.say("hello");
for await (const { data } of place) if (data.said === "hello") break;
console.log("heard");
process.exit(0);
"""


class Pair:
    """The files of a node's certificate and key, which are replaced one after the other."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.certificate, self.key = folder / "node.crt", folder / "node.key"
        self.bundle = folder / "authority.crt"
        self.authority.cert_pem.write_to_path(str(self.bundle))
        self.trust = ssl.create_default_context()
        self.authority.configure_trust(self.trust)
        self.write_certificate, self.write_key = self.next()
        self.write_certificate()
        self.write_key()

    def next(self) -> tuple[partial[None], partial[None]]:
        """A new pair; the two steps that write it."""
        issued = self.authority.issue_cert("localhost", "127.0.0.1")
        self.der = ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())
        return (
            partial(issued.cert_chain_pems[0].write_to_path, str(self.certificate)),
            partial(issued.private_key_pem.write_to_path, str(self.key)),
        )

    @property
    def options(self) -> tuple[str, ...]:
        return ("--tls-cert", str(self.certificate), "--tls-key", str(self.key))

    async def shown_by(self, node: Node) -> bytes:
        """The certificate that a new connection gets."""
        host, _, port = node.listen.rpartition(":")
        stream = await trio.open_ssl_over_tcp_stream(host, int(port), ssl_context=self.trust)
        await stream.do_handshake()
        der = stream.getpeercert(binary_form=True)
        await trio.aclose_forcefully(stream)
        assert der is not None
        return der


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


async def test_certificates_change_on_sighup_under_load_and_no_player_notices(
    nodes: Nodes, pair: Pair
) -> None:
    api, _ = await nodes.start_pair(*pair.options)
    url = f"wss://{api.listen}"
    open_stream = partial(open_tcp, ssl_context=pair.trust)
    changed = trio.Event()
    heard, states = [0] * PLAYERS, set()

    async def play(number: int) -> None:
        async with connect(
            url,
            kind="lounge",
            new=True,
            open_stream=open_stream,
            on_state=lambda _, state: states.add(state),
        ) as place:
            await place.say("hi")
            async for _ in place:
                heard[number] += 1
                if changed.is_set():
                    return
                await place.say("hi")

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for number in range(PLAYERS):
                nursery.start_soon(play, number)
            await wait_until(lambda: min(heard) > 0, within=20)
            for _ in range(10):
                write_certificate, write_key = pair.next()
                write_certificate()
                api.signal(SIGHUP)  # the pair does not match yet
                await pair.shown_by(api)
                write_key()
                api.signal(SIGHUP)
                await pair.shown_by(api)
            while await pair.shown_by(api) != pair.der:
                await trio.sleep(0.05)
            before = list(heard)
            await wait_until(lambda: all(map(int.__lt__, before, heard)), within=20)
            changed.set()
    assert PlaceState.AWAY not in states
    events = {event["event"] for event in api.events}
    assert "tls.reloaded" in events
    assert {event["event"] for event in api.warnings} <= {"tls.not_reloaded"}
    assert api.running


async def test_sighup_changes_nothing_on_nodes_without_tls(nodes: Nodes) -> None:
    api, game = await nodes.start_pair()
    for node in (api, game):
        assert node.has_handler(SIGHUP)
        node.signal(SIGHUP)
    async with connect(f"ws://{api.listen}", kind="lounge") as place:
        await place.say("hello")
        async for message in place:
            if message.data["said"] == "hello":
                break
    assert api.running
    assert game.running


@pytest.mark.skipif(not NODE, reason="no Node 22 here")
async def test_the_javascript_client_plays_over_wss(nodes: Nodes, pair: Pair) -> None:
    api, _ = await nodes.start_pair(*pair.options)
    url = f"wss://localhost:{api.listen.rpartition(':')[2]}"
    command = [*NODE, "--input-type=module", "-e", PLAY, MODULE.as_uri(), url]
    played = await trio.run_process(
        command,
        env={"NODE_EXTRA_CA_CERTS": str(pair.bundle)},
        capture_stdout=True,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert played.stdout == b"heard\n"


async def test_options_that_cannot_be_used_exit_2_and_say_what_to_do(
    nodes: Nodes, pair: Pair
) -> None:
    api = ("--listen", ANY_PORT, "--feed", ANY_URL, "--games", "tcp://127.0.0.1:9")
    cases = [
        (pair.options[:2], "give both, or neither"),
        (("--tls-cert", "/nowhere", *pair.options[2:]), "/nowhere cannot be read"),
        ((*pair.options[:3], str(pair.certificate)), "its unencrypted private key"),
        (("--origins", "play.example"), "such as https://play.example"),
        (("--trusted-proxies", "10.0.0.1/8"), "such as 10.0.0.0/8"),
    ]
    started = [(nodes.start("api", *api, *options), phrase) for options, phrase in cases]
    for node, phrase in started:
        assert await node.exit_code(within=20) == 2
        [line] = [one for one in node.stderr_text.splitlines() if one.startswith("Error: ")]
        assert phrase in line

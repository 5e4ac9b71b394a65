"""The warnings of a node at its start about ports that are open to everybody."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from lastcall.runtime.exposure import Exposure, warn, warnings

SWITCH = st.booleans()


def test_an_admin_port_beyond_loopback_without_a_token_is_named_with_the_option() -> None:
    with capture_logs() as logs:
        warn(Exposure(admin_port=True, admin_token=False))
    [line] = logs
    assert (line["event"], line["log_level"]) == ("node.exposed", "warning")
    assert "--admin-token-file" in line["hint"]


def test_a_port_without_any_protection_has_one_sentence_for_each_option_that_is_missing() -> None:
    open_wide = Exposure(
        admin_port=True,
        admin_token=False,
        client_port=True,
        auth=False,
        origins=False,
        link_port=True,
        cluster_protected=False,
    )
    options = ("--admin-token-file", "--auth", "--origins", "--cluster-tls")
    for option, sentence in zip(options, warnings(open_wide), strict=True):
        assert option in sentence


@given(token=st.booleans(), auth=SWITCH, origins=SWITCH, cluster=SWITCH)
def test_a_node_on_loopback_says_nothing(
    token: bool,
    auth: bool,
    origins: bool,
    cluster: bool,
) -> None:
    closed = Exposure(
        admin_port=False,
        admin_token=token,
        auth=auth,
        origins=origins,
        cluster_protected=cluster,
    )
    assert list(warnings(closed)) == []


@given(port=st.booleans())
def test_a_protected_node_and_one_without_such_ports_say_nothing(
    port: bool,
) -> None:
    protected = Exposure(
        admin_port=port,
        admin_token=True,
        client_port=port,
        auth=True,
        origins=True,
        link_port=port,
        cluster_protected=True,
    )
    assert list(warnings(protected)) == []
    assert list(warnings(Exposure(admin_port=port, admin_token=True))) == []

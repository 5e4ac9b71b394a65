import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from lastcall.core.lifecycle import Phase
from lastcall.reasons import ClientEnd, ErrorCode
from lastcall.runtime.admin.metrics import FAMILIES, node_registry
from lastcall.runtime.figures import Figures


class Node:
    def __init__(self) -> None:
        self.figures = Figures(phase=Phase.STARTING)
        self.reads = 0

    def read(self) -> Figures:
        self.reads += 1
        return self.figures


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
def registry(node: Node) -> CollectorRegistry:
    return node_registry(node.read, name="api-1", tier="api", version="7")


def scrape(registry: CollectorRegistry) -> list[str]:
    return generate_latest(registry).decode().splitlines()


def test_every_cause_of_a_clients_end_is_exported_from_the_start(
    node: Node, registry: CollectorRegistry
) -> None:
    node.figures = Figures(phase=Phase.SERVING, client_ends={ClientEnd.PING: 3})
    lines = [line for line in scrape(registry) if line.startswith("lastcall_client_ends_total{")]
    ends = dict.fromkeys(ClientEnd, 0.0) | {ClientEnd.PING: 3.0}
    assert lines == [
        f'lastcall_client_ends_total{{cause="{cause}"}} {number}' for cause, number in ends.items()
    ]


def test_the_figures_are_read_at_each_scrape(node: Node, registry: CollectorRegistry) -> None:
    node.figures = Figures(
        phase=Phase.SERVING,
        rooms=3,
        clients=12,
        links=2,
        peers=1,
        messages_in=70,
        messages_out=210,
        resumes=5,
    )
    lines = scrape(registry)
    assert "lastcall_rooms 3.0" in lines
    assert "lastcall_clients 12.0" in lines
    assert "lastcall_links 2.0" in lines
    assert "lastcall_peers 1.0" in lines
    assert 'lastcall_messages_total{direction="in"} 70.0' in lines
    assert 'lastcall_messages_total{direction="out"} 210.0' in lines
    assert "lastcall_resumes_total 5.0" in lines

    node.figures = Figures(phase=Phase.SERVING, rooms=2)

    assert "lastcall_rooms 2.0" in scrape(registry)


def test_the_current_phase_is_1_and_the_others_are_0(
    node: Node, registry: CollectorRegistry
) -> None:
    node.figures = Figures(phase=Phase.DRAINING)
    phases = [line for line in scrape(registry) if line.startswith("lastcall_phase{")]
    assert len(phases) == len(Phase)
    assert [line for line in phases if line.endswith(" 1.0")] == [
        'lastcall_phase{phase="draining"} 1.0'
    ]


def test_ended_rooms_start_at_0_and_are_counted_by_reason(
    node: Node, registry: CollectorRegistry
) -> None:
    node.figures = Figures(phase=Phase.SERVING, rooms_ended={"finished": 5, "elsewhere": 1})
    lines = scrape(registry)
    assert 'lastcall_rooms_ended_total{reason="finished"} 5.0' in lines
    assert 'lastcall_rooms_ended_total{reason="other"} 1.0' in lines
    assert 'lastcall_rooms_ended_total{reason="cut"} 0.0' in lines


def test_the_build_and_the_process_are_exported(registry: CollectorRegistry) -> None:
    lines = scrape(registry)
    assert 'lastcall_build_info{name="api-1",tier="api",version="7"} 1.0' in lines
    assert any(line.startswith("process_resident_memory_bytes ") for line in lines)
    assert any(line.startswith("python_gc_collections_total{") for line in lines)


def test_a_registry_reads_the_node_only_when_scraped(
    node: Node, registry: CollectorRegistry
) -> None:
    assert node.reads == 0
    scrape(registry)
    assert node.reads == 1


def test_two_nodes_in_one_process_have_separate_registries(registry: CollectorRegistry) -> None:
    other = node_registry(
        lambda: Figures(phase=Phase.SERVING, rooms=9), name="b", tier="game", version="7"
    )
    assert "lastcall_rooms 9.0" in scrape(other)
    assert "lastcall_rooms 0.0" in scrape(registry)


def test_openmetrics_has_the_same_samples_and_counters_without_total_in_their_families(
    node: Node, registry: CollectorRegistry
) -> None:
    node.figures = Figures(phase=Phase.SERVING, messages_in=7)
    node.figures.round_trips.observe(0.0003)
    families = {one.name: one for one in openmetrics(generate_openmetrics(registry).decode())}
    plain = {one.name: one for one in text_string_to_metric_families("\n".join(scrape(registry)))}
    for family in FAMILIES:
        assert families[family.name].type == plain[family.name].type == family.type
        assert families[family.name].samples == plain[family.name].samples
    buckets = {
        sample.labels["le"]: sample.value
        for sample in families["lastcall_link_round_trip_seconds"].samples
        if sample.name.endswith("_bucket")
    }
    assert (buckets["0.0002"], buckets["0.0005"], buckets["+Inf"]) == (0, 1, 1)


def test_what_has_no_label_of_its_own_counts_as_other(
    node: Node, registry: CollectorRegistry
) -> None:
    refusals = {"full": 2, "draining": 3, "wrong_key": 1, "of a later version": 4}
    node.figures = Figures(phase=Phase.SERVING, refusals=refusals)
    lines = [line for line in scrape(registry) if line.startswith("lastcall_refusals_total{")]
    assert len(lines) == len(ErrorCode) + 2
    assert [line.partition("{")[2] for line in lines if not line.endswith(" 0.0")] == [
        'code="full"} 2.0',
        'code="draining"} 3.0',
        'code="other"} 5.0',
    ]

"""The tables, figures and links of the documentation agree with the code."""

from __future__ import annotations

import inspect
import re
from itertools import takewhile
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from lastcall.client import Place, connect
from lastcall.core.client import reconnect
from lastcall.decorator import room
from lastcall.events import Event
from lastcall.limits import Limit, Limits, Rate
from lastcall.local.told import Told
from lastcall.policy import LinkPolicy, RoomPolicy, SocketPolicy
from lastcall.reasons import RETRY, Close, EndReason, ErrorCode
from lastcall.testing import Table
from lastcall.wire import frames
from lastcall.wire.reports import Status

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [
    *ROOT.glob("*.md"),
    *DOCS.rglob("*.md"),
    ROOT / "api" / "static" / "README.md",
]
Row = tuple[str, ...]


def text_of(page: str) -> str:
    """Returns a page as one line, so that line breaks do not matter."""
    return " ".join((DOCS / page).read_text(encoding="utf-8").split())


def table(page: str, head: str) -> list[Row]:
    """Returns the rows of the one table whose header begins with ``head``."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    [start] = [number for number, line in enumerate(lines) if line.startswith(head)]
    rows: list[Row] = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(tuple(cell.strip() for cell in line.strip("|").split("|")))
    return rows


def code(cell: str) -> str:
    return cell.strip("`")


def example(cell: str) -> bytes:
    """Returns the frame that a row begins with, with its placeholders filled in."""
    frame = code(cell).replace("[…]", "[]").replace('"…"', '"x"').replace("…", "1")
    return frame.replace("ID", '"game-1.x"').replace("PLAYER", '"px"').encode()


@pytest.mark.parametrize(
    ("head", "decode", "union"),
    [
        ("| client → api node", frames.decode, frames.FromClient),
        ("| api node → client", frames.decode_server, frames.FromServer),
    ],
)
def test_the_protocol_page_documents_every_frame_with_every_field(
    head: str, decode: object, union: object
) -> None:
    assert callable(decode)
    rows = table("protocol.md", head)
    documented = [type(decode(example(row[0]))) for row in rows]
    assert set(documented) == set(get_args(union))
    assert len(documented) == len(set(documented))
    page = text_of("protocol.md")
    for frame, row in zip(documented, rows, strict=True):
        for field in frame.__struct_fields__:
            names = (f'"{field}"', f"`{field}`")
            assert any(name in cell for name in names for cell in row) or (
                field == "state" and '"state"' in page
            ), f"{frame.__name__}.{field}"


def test_the_protocol_page_documents_every_close_code_and_which_are_final() -> None:
    rows = table("protocol.md", "| code | | what a client does")
    assert [int(row[0]) for row in rows] == sorted(Close)
    final = [int(row[0]) for row in rows if row[2].startswith(("gives up", "the same"))]
    assert sorted(reconnect.FINAL) == [code for code in final if 4001 <= code <= 4005]


def test_the_protocol_page_documents_every_error_code_and_which_may_be_retried() -> None:
    rows = table("protocol.md", "| code | retry")
    assert [code(row[0]) for row in rows] == list(ErrorCode)
    assert {code(row[0]) for row in rows if row[1] == "yes"} == RETRY


def test_the_protocol_page_documents_every_end_reason() -> None:
    assert [code(row[0]) for row in table("protocol.md", "| reason |")] == list(EndReason)


SOCKET, LINK, ROOM, LIMITS = SocketPolicy(), LinkPolicy(), RoomPolicy(), Limits()
JOINS = LIMITS.joins_per_client


@pytest.mark.parametrize(
    "figure",
    [
        f"({SOCKET.unacked_inputs} at the most",
        f"up to {1000 * SOCKET.ack_seconds:g} ms after the input",
        f"after {SOCKET.beat_seconds:g} s without another frame",
        f"the resume waits for it, {SOCKET.resume_seconds:g} s",
        f"counts as known for {LINK.lost_seconds:g} s, and",
        f"and for {LINK.hinted_seconds:g} s if the ticket names it",
        f"an address may fail at {LIMITS.failed_resumes.burst:g} resumes at once",
        f"at once, and at {LIMITS.failed_resumes.per_second:g} a second; beyond",
        f"a frame of more than {SOCKET.frame_bytes >> 10} KiB",
        f"{SOCKET.backlog_bytes >> 20} MiB was waiting, and it has read nothing",
        f"has read nothing for {SOCKET.stalled_seconds:g} s; or",
        f"or {SOCKET.backlog_bytes_max >> 20} MiB were waiting",
        f"over {LIMITS.inputs.per_second:g} a second, or more than the room takes for",
        f"the room takes for {SOCKET.blocked_seconds:g} s",
        f"options of more than {SOCKET.options_bytes >> 10} KiB",
        f"({JOINS.burst:g} at once, {JOINS.per_second:g} a second)",
        f"`resume_seconds` ({ROOM.resume_seconds:g})",
        f"for {ROOM.drain_grace_seconds:g} s at the most",
        f"1 024 messages or {ROOM.history_bytes >> 10} KiB",
        f"`players` are {ROOM.listed_players} at the most",
        f"could not be reached for {LINK.lost_seconds:g} s",
        f"a random time up to {reconnect.SOON_SECONDS:g} s",
    ],
)
def test_the_protocol_page_gives_the_figures_of_the_policies(figure: str) -> None:
    assert figure in text_of("protocol.md")


def test_the_rooms_page_documents_every_argument_of_room_with_its_default() -> None:
    rows = {code(row[0]): row[1].replace(" ", "") for row in table("rooms.md", "| | default")}
    assert list(rows) == list(inspect.signature(room).parameters)
    for name in ("history_messages", "history_bytes", "resume_seconds"):
        assert float(rows[name]) == getattr(ROOM, name)
    assert ROOM.history_messages == 1024


def test_the_client_page_documents_every_argument_of_connect() -> None:
    rows = table("client.md", "| | default")
    documented = [name for row in rows for name in re.findall(r"`(\w+)`", row[0])]
    arguments = inspect.signature(connect).parameters
    assert sorted(["urls", *documented]) == sorted(arguments)
    for row in rows:
        default = arguments[code(row[0].partition(",")[0])].default
        if row[1].isdigit():
            assert float(row[1]) == default


@pytest.mark.parametrize(
    ("page", "head", "kind"),
    [("client.md", "| `async for", Place), ("rooms.md", "| `table.join", Table)],
)
def test_every_attribute_in_a_table_of_the_docs_exists(page: str, head: str, kind: type) -> None:
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(head))
    documented: set[str] = set()
    for line in takewhile(lambda line: line.startswith("|"), lines[start:]):
        documented |= set(re.findall(r"(?:`|`await )(?:\w+\.)?(\w+)(?=[(`])", line.split("|")[1]))
    assert len(documented) >= 10
    known = set(dir(kind)) | set(re.findall(r"self\.(\w+)", inspect.getsource(kind)))
    assert documented <= known, documented - known


def test_the_rooms_page_documents_every_public_name_of_the_testing_table() -> None:
    page = text_of("rooms.md")
    for name, value in vars(Table).items():
        code = rf"`(table\.)?{name}\b" if isinstance(value, property) else rf"\b{name}\("
        assert name.startswith("_") or re.search(code, page), name


def test_the_rooms_page_documents_every_event_with_its_fields() -> None:
    page = (DOCS / "rooms.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| `([A-Z]\w+)\(([^)]*)\)`", page, re.MULTILINE))
    assert documented == {event.__name__: ", ".join(fields_of(event)) for event in get_args(Event)}
    assert f"gone for {ROOM.away_seconds:g} s" in page


def fields_of(event: type[msgspec.Struct]) -> tuple[str, ...]:
    return event.__struct_fields__


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_has_a_target(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_picture_is_there_and_light(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r'\b(?:src|srcset)="([^"]+)"', text):
        assert 0 < (page.parent / name).stat().st_size <= 1.5 * 1024 * 1024, name


def test_the_table_of_limits_has_every_key_with_its_default_and_its_label() -> None:
    rows = table("nodes.md", "| key | default | counts |")
    assert [code(row[0]) for row in rows] == list(Limits.__struct_encode_fields__)
    for name, row in zip(Limits.__struct_fields__, rows, strict=True):
        value = getattr(LIMITS, name)
        text = f"{value.burst}, {value.per_second}/s" if isinstance(value, Rate) else str(value)
        assert row[1] == text
    assert {code(row[4]) for row in rows if row[4]} == set(Limit)


def test_the_objects_of_the_commands_as_json_have_the_documented_keys() -> None:
    documented = {
        code(row[0]): set(re.findall(r"`([a-z_]+)`", row[2]))
        for row in table("nodes.md", "| `is` |")
    }
    shown = {struct.__struct_config__.tag: struct for struct in get_args(Told)}
    assert documented.keys() == shown.keys()
    for tag, struct in shown.items():
        assert set(struct.__struct_fields__) <= documented[tag], tag
    node = table("nodes.md", "| object of a node |")[0][1]
    assert {*Status.__struct_fields__, "admin", "pid", "dead"} <= set(
        re.findall(r"`([a-z_]+)`", node)
    )

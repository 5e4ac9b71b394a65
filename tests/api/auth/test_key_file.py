"""A file with keys that is replaced, is gone, or is only half there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import structlog
import trio

from lastcall.api.auth.key_file import KeyFile
from lastcall.api.auth.keys import read_keys
from lastcall.errors import UsageError
from tests.api.auth.conftest import EC, OTHER_EC, jwk, jwks, pem

OLD, NEW = pem(EC), pem(OTHER_EC)


@pytest.fixture
async def watched(tmp_path: Path, nursery: trio.Nursery) -> KeyFile:
    file = tmp_path / "key"
    file.write_bytes(OLD)
    keys = KeyFile(file)
    nursery.start_soon(keys.watch)
    return keys


def key_of(data: bytes) -> object:
    return read_keys(data).only.key  # type: ignore[union-attr]


async def test_new_keys_are_in_use_two_looks_after_they_were_written(
    autojump_clock, watched: KeyFile, tmp_path: Path
) -> None:
    (tmp_path / "key").write_bytes(NEW)
    await trio.sleep(1.5)
    assert watched.keys.only.key == key_of(OLD)  # type: ignore[union-attr]
    with structlog.testing.capture_logs() as logs:
        await trio.sleep(1)
    assert watched.keys.only.key == key_of(NEW)  # type: ignore[union-attr]
    assert [line["event"] for line in logs] == ["auth.keys_read"]


async def test_keys_that_are_renamed_into_place_are_read(
    autojump_clock, watched: KeyFile, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    new.write_bytes(NEW)
    stat = (tmp_path / "key").stat()
    os.utime(new, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as old as the old one
    new.replace(tmp_path / "key")
    await trio.sleep(2.5)
    assert watched.keys.only.key == key_of(NEW)  # type: ignore[union-attr]


async def test_while_the_file_is_gone_the_keys_stay_and_one_event_says_so(
    autojump_clock, watched: KeyFile, tmp_path: Path
) -> None:
    (tmp_path / "key").unlink()
    with structlog.testing.capture_logs() as logs:
        await trio.sleep(100)
    assert watched.keys.only.key == key_of(OLD)  # type: ignore[union-attr]
    assert [(line["event"], line["log_level"]) for line in logs] == [("auth.keys_kept", "warning")]
    assert "No such file" in logs[0]["why"]
    (tmp_path / "key").write_bytes(NEW)
    await trio.sleep(3)
    assert watched.keys.only.key == key_of(NEW)  # type: ignore[union-attr]


async def test_a_file_that_grows_is_not_read_before_it_has_kept_still_for_a_second(
    autojump_clock, watched: KeyFile, tmp_path: Path
) -> None:
    secret = b"s" * 640  # each beginning of which would be a secret too
    with structlog.testing.capture_logs() as logs:
        for size in range(64, 641, 64):
            (tmp_path / "key").write_bytes(secret[:size])
            await trio.sleep(0.9)
            assert watched.keys.only.key == key_of(OLD)  # type: ignore[union-attr]
        await trio.sleep(2)
    assert watched.keys.only.key == secret  # type: ignore[union-attr]
    assert [line["event"] for line in logs] == ["auth.keys_read"]


@pytest.mark.parametrize(
    "half",
    [NEW[:90], jwks(jwk(OTHER_EC, "k"))[:60], b"", b"s" * 10],
    ids=["PEM", "JWKS", "nothing", "short secret"],
)
async def test_half_a_file_changes_nothing_and_an_event_says_so(
    autojump_clock, watched: KeyFile, tmp_path: Path, half: bytes
) -> None:
    (tmp_path / "key").write_bytes(half)
    with structlog.testing.capture_logs() as logs:
        await trio.sleep(10)
    assert watched.keys.only.key == key_of(OLD)  # type: ignore[union-attr]
    assert [line["event"] for line in logs] == ["auth.keys_kept"]
    assert half.decode() not in logs[0]["why"] or not half, "no part of a key is logged"


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "No such file"), (b"x" * (2**20 + 1), "at most"), (b"", "0 b")],
)
def test_a_node_does_not_start_without_its_keys(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=why) as caught:
        KeyFile(file)
    assert str(file) in str(caught.value)

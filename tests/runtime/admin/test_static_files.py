from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from lastcall.runtime.admin.page_files import CLIENT_FILES as STATIC_FILES
from lastcall.runtime.admin.static_files import static_routes


def client(files: dict[str, Path]) -> httpx.AsyncClient:
    app = Starlette(routes=static_routes(files))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://admin")


async def test_a_script_is_served_to_pages_of_any_origin_and_revalidated_each_time(
    tmp_path: Path,
) -> None:
    script = tmp_path / "a.js"
    script.write_text("export const ä = 1;\n")
    async with client({"/a.js": script}) as http:
        http.headers["accept-encoding"] = "identity"
        answer = await http.get("/a.js")
        assert (answer.status_code, answer.text) == (200, "export const ä = 1;\n")
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["cache-control"] == "no-cache"
        tag = answer.headers["etag"]
        for kept in (tag, f'"other", W/{tag}'):
            again = await http.get("/a.js", headers={"if-none-match": kept})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == tag
        changed = await http.get("/a.js", headers={"if-none-match": '"other"'})
        assert changed.status_code == 200


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, deflate, br", "gzip"),
        ("br;q=1.0, GZIP;q=0.5", "gzip"),
        ("gzip;q=0, identity", None),
        ("gzip; q=0.000", None),
        ("br", None),
        ("", None),
    ],
)
async def test_a_client_that_takes_gzip_gets_it_with_a_tag_of_its_own(
    tmp_path: Path, accepted: str, coding: str | None
) -> None:
    script = tmp_path / "a.js"
    script.write_text("export const a = 1;\n" * 1000)
    async with client({"/a.js": script}) as http:
        http.headers["accept-encoding"] = accepted
        answer = await http.get("/a.js")
        assert answer.headers.get("content-encoding") == coding
        assert (len(answer.text), answer.headers["vary"]) == (20_000, "accept-encoding")
        assert answer.headers["etag"].endswith('-gzip"') == (coding == "gzip")
        again = await http.get("/a.js", headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


async def test_a_page_is_not_shared_with_other_origins(tmp_path: Path) -> None:
    page = tmp_path / "a.html"
    page.write_text("<!doctype html>")
    async with client({"/a": page}) as http:
        answer = await http.get("/a")
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "access-control-allow-origin" not in answer.headers


async def test_a_script_of_the_page_is_not_shared_with_other_origins(tmp_path: Path) -> None:
    script = tmp_path / "a.js"
    script.write_text("export {};")
    async with client({"/page/a.js": script}) as http:
        answer = await http.get("/page/a.js")
        assert answer.status_code == 200
        assert "access-control-allow-origin" not in answer.headers


async def test_only_the_given_files_are_served_and_only_by_get(tmp_path: Path) -> None:
    script = tmp_path / "a.js"
    script.write_text("1")
    async with client({"/a.js": script}) as http:
        assert (await http.get("/b.js")).status_code == 404
        assert (await http.post("/a.js")).status_code == 405


def test_a_missing_file_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        static_routes({"/a.js": tmp_path / "a.js"})


async def test_an_api_node_serves_the_javascript_client_and_the_demo() -> None:
    async with client(dict(STATIC_FILES)) as http:
        types = {path: (await http.get(path)).headers["content-type"] for path in STATIC_FILES}
    assert types == {
        "/lastcall.js": "text/javascript; charset=utf-8",
        "/lastcall.d.ts": "text/plain; charset=utf-8",
        "/demo": "text/html; charset=utf-8",
    }
